//! Blocking iterators over the streams of the async client.

use std::fmt;
use std::time::Duration;

use dcrf_proto::client;
use futures_core::FusedStream;
use futures_lite::StreamExt;
use serde::de::DeserializeOwned;

use crate::{UnsubscribeError, wait};

/// A blocking iterator: a [`Subscription`], [`ReplyStream`], [`Pages`], [`Items`], [`Listener`] or [`Events`].
///
/// `next` waits for an item; the methods below also wait with a timeout or not at all. Dropping the receiver ends the
/// subscription, request or listener.
///
/// ```no_run
/// # fn f(mut names: dcrf_blocking::Subscription<String>) {
/// for change in names.by_ref().take(10) {
///     println!("{change:?}");
/// }
/// println!("next, without waiting: {:?}", names.try_recv());
/// # }
/// ```
///
/// To wait for several at once, give each a thread that forwards to a channel:
///
/// ```no_run
/// # fn f(first: dcrf_blocking::Subscription<u32>, second: dcrf_blocking::Subscription<u32>) {
/// let (sender, changes) = std::sync::mpsc::channel();
/// for subscription in [first, second] {
///     let sender = sender.clone();
///     std::thread::spawn(move || subscription.into_iter().try_for_each(|change| sender.send(change)));
/// }
/// drop(sender);
/// for change in changes {
///     println!("{change:?}");
/// }
/// # }
/// ```
#[must_use = "dropping a receiver ends what it receives"]
pub struct Receiver<S>(pub(crate) S);

/// A subscription: a blocking iterator over changes that survives reconnects.
///
/// The last item is an error that says why the subscription ended
/// ([`ChangeError::Subscription`](crate::ChangeError::Subscription)). Dropping the iterator unsubscribes.
///
/// ```no_run
/// # use dcrf_blocking::{Change, ChangeError, Subscription};
/// # fn f(names: Subscription<String>) -> Result<(), ChangeError> {
/// for change in names {
///     if let Change::Update(name) = change? {
///         println!("{name}");
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub type Subscription<T> = Receiver<client::Subscription<T>>;

/// The connection's state changes and unhandled frames: a blocking iterator from
/// [`Client::events`](crate::Client::events). It ends when the client is closed and its socket is dropped.
///
/// If the reader is slow, the oldest events are dropped, and
/// [`ClientEvent::Lagged`](crate::ClientEvent::Lagged) counts them.
///
/// ```no_run
/// # fn f(events: dcrf_blocking::Events) {
/// for event in events {
///     println!("{event:?}");
/// }
/// # }
/// ```
pub type Events = Receiver<client::Events>;

/// The states of the connection: a blocking iterator from [`Client::watch_state`](crate::Client::watch_state). It ends after
/// [`ConnectionState::Closed`](crate::ConnectionState::Closed).
///
/// ```no_run
/// # fn f(states: dcrf_blocking::StateWatch) {
/// for state in states {
///     println!("{state}");
/// }
/// # }
/// ```
pub type StateWatch = Receiver<client::StateWatch>;

/// The replies to a request of [`Client::stream`](crate::Client::stream): a blocking iterator.
///
/// The server does not mark the last reply, so describe it with [`until`](Receiver::until). Otherwise the iterator ends
/// with an error when no reply arrives within the request's timeout. An error before the last reply is the last item
/// ([`ReplyError::Stream`](crate::ReplyError::Stream)).
///
/// Dropping the iterator before the last reply sends the request's
/// [cancel action](crate::Request::cancel_action), if it has one.
///
/// ```no_run
/// # use dcrf_blocking::{ReplyStream, ReplyError};
/// # fn f(lines: ReplyStream<String>) -> Result<(), ReplyError> {
/// for line in lines.until(|line| line == "end") {
///     println!("{}", line?);
/// }
/// # Ok(())
/// # }
/// ```
pub type ReplyStream<T> = Receiver<client::ReplyStream<T>>;

/// The pages of a list, in order: a blocking iterator from
/// [`Client::list_pages`](crate::Client::list_pages) or [`Client::stream_pages`](crate::Client::stream_pages).
///
/// An error is the last item. The next page is requested while you read the current one.
///
/// ```no_run
/// # use dcrf_blocking::{Pages, ReplyError};
/// # fn f(pages: Pages<String>) -> Result<(), ReplyError> {
/// for page in pages {
///     println!("{:?}", page?.results);
/// }
/// # Ok(())
/// # }
/// ```
pub type Pages<T> = Receiver<client::Pages<T>>;

/// The objects of a paginated list: a blocking iterator from [`Client::list_all`](crate::Client::list_all) or
/// [`Pages::items`](Receiver::items). An error is the last item.
///
/// ```no_run
/// # use dcrf_blocking::{Items, ReplyError};
/// # fn f(names: Items<String>) -> Result<(), ReplyError> {
/// let names: Vec<String> = names.collect::<Result<_, _>>()?;
/// # Ok(())
/// # }
/// ```
pub type Items<T> = Receiver<client::Items<T>>;

/// The frames that match a selector: a blocking iterator from [`Client::listen`](crate::Client::listen). It survives
/// reconnects and ends when the client is closed.
///
/// If the reader is slow, the oldest frames are dropped, and
/// [`ListenerEvent::Lagged`](crate::ListenerEvent::Lagged) counts them.
///
/// ```no_run
/// # use dcrf_blocking::{DecodeError, ListenerEvent, Listener};
/// # fn f(ticks: Listener<u64>) -> Result<(), DecodeError> {
/// for event in ticks {
///     if let ListenerEvent::Frame { payload, .. } = event? {
///         println!("{payload}");
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub type Listener<T> = Receiver<client::Listener<T>>;

impl<S: FusedStream + Unpin> Receiver<S> {
    /// Waits for the next item. Returns `None` after the end.
    ///
    /// ```no_run
    /// # use dcrf_blocking::{Change, ChangeError, Subscription};
    /// # fn f(mut names: Subscription<String>) -> Result<(), ChangeError> {
    /// while let Some(change) = names.recv() {
    ///     if let Change::Update(name) = change? {
    ///         println!("{name}");
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn recv(&mut self) -> Option<S::Item> {
        wait::wait(self.0.next())
    }

    /// Waits for the next item, but not longer than `timeout`. Returns `None` if the timeout passes, and after the end.
    ///
    /// ```no_run
    /// # use dcrf_blocking::Subscription;
    /// # use std::time::Duration;
    /// # fn f(mut names: Subscription<String>) {
    /// if let Some(change) = names.recv_timeout(Duration::from_secs(1)) {
    ///     println!("{change:?}");
    /// }
    /// # }
    /// ```
    pub fn recv_timeout(&mut self, timeout: Duration) -> Option<S::Item> {
        wait::within(self.0.next(), timeout).flatten()
    }

    /// Returns the next item without waiting. Returns `None` if there is none yet, and after the end.
    ///
    /// ```no_run
    /// # use dcrf_blocking::Subscription;
    /// # fn f(mut names: Subscription<String>) {
    /// while let Some(change) = names.try_recv() {
    ///     println!("{change:?}");
    /// }
    /// # }
    /// ```
    pub fn try_recv(&mut self) -> Option<S::Item> {
        wait::now(self.0.next()).flatten()
    }

    /// Whether no item will follow. Use it to interpret a `None` from [`try_recv`](Self::try_recv) or
    /// [`recv_timeout`](Self::recv_timeout).
    ///
    /// ```no_run
    /// # use dcrf_blocking::Subscription;
    /// /// Called in each frame of a game. Returns whether the subscription goes on.
    /// fn frame(names: &mut Subscription<String>) -> bool {
    ///     while let Some(change) = names.try_recv() {
    ///         println!("{change:?}");
    ///     }
    ///     !names.is_ended()
    /// }
    /// ```
    pub fn is_ended(&self) -> bool {
        self.0.is_terminated()
    }
}

impl<T> Receiver<client::Subscription<T>> {
    /// Unsubscribes and waits for the server's confirmation.
    ///
    /// Succeeds without a confirmation while offline, or if the connection is lost: the server drops the subscriptions of
    /// a closed connection.
    ///
    /// # Errors
    ///
    /// If the server replies with an error or does not reply in time. The subscription has ended in any case.
    pub fn cancel(self) -> Result<(), UnsubscribeError> {
        wait::wait(self.0.cancel())
    }
}

impl<T> Receiver<client::ReplyStream<T>> {
    /// Ends the iterator after the first reply for which `is_last` returns true.
    ///
    /// ```no_run
    /// # use dcrf_blocking::{Client, ReplyError, Request};
    /// # fn f(client: Client) -> Result<(), ReplyError> {
    /// for line in client.stream::<String>(Request::new("reports", "print")).until(|line| line == "end") {
    ///     println!("{}", line?);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn until(self, is_last: impl FnMut(&T) -> bool + Send + 'static) -> Self {
        Self(self.0.until(is_last))
    }
}

impl<T: DeserializeOwned> Receiver<client::Pages<T>> {
    /// The number of objects in the list, according to the latest page. `None` before the first page.
    ///
    /// ```no_run
    /// # use dcrf_blocking::{Pages, ReplyError};
    /// # fn f(mut pages: Pages<String>) -> Result<(), ReplyError> {
    /// while let Some(page) = pages.recv() {
    ///     println!("{} of {:?}", page?.results.len(), pages.total());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn total(&self) -> Option<u64> {
        self.0.total()
    }

    /// Iterates over the objects instead of the pages.
    ///
    /// ```no_run
    /// # use dcrf_blocking::{Pages, ReplyError};
    /// # fn f(pages: Pages<String>) -> Result<(), ReplyError> {
    /// for name in pages.items() {
    ///     println!("{}", name?);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn items(self) -> Items<T> {
        Receiver(self.0.items())
    }
}

impl<T: DeserializeOwned> Receiver<client::Items<T>> {
    /// The number of objects in the list, according to the latest page. `None` before the first page.
    ///
    /// ```no_run
    /// # use dcrf_blocking::Items;
    /// # fn f(names: Items<String>) {
    /// println!("of {:?}", names.total());
    /// # }
    /// ```
    pub fn total(&self) -> Option<u64> {
        self.0.total()
    }
}

impl<S: FusedStream + Unpin> Iterator for Receiver<S> {
    type Item = S::Item;

    fn next(&mut self) -> Option<S::Item> {
        self.recv()
    }
}

impl<S: fmt::Debug> fmt::Debug for Receiver<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
