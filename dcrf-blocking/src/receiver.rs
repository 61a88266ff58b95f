//! What comes one by one, as an iterator that waits for each.

use std::fmt;
use std::time::Duration;

use dcrf_proto::client;
use futures_core::FusedStream;
use futures_lite::StreamExt;
use serde::de::DeserializeOwned;

use crate::{UnsubscribeError, wait};

/// What comes one by one: a [`Subscription`], [`ReplyStream`], [`Pages`], a [`Listener`] or [`Events`]. As an iterator it
/// waits for each.
///
/// Dropping it ends what it receives.
///
/// ```no_run
/// # fn f(mut names: dcrf_blocking::Subscription<String>) {
/// for change in names.by_ref().take(10) {
///     println!("{change:?}");
/// }
/// println!("and now, without waiting: {:?}", names.try_recv());
/// # }
/// ```
#[must_use = "what it receives ends when it is dropped"]
pub struct Receiver<S>(pub(crate) S);

/// A subscription, as an iterator over changes, which waits for each. It goes on over every reconnect and ends
/// with an error that says why ([`ChangeError::Subscription`](crate::ChangeError::Subscription)).
///
/// Dropping it unsubscribes.
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

/// What happens to a client's connection, and the frames that belong to nobody, as an iterator, which waits
/// for each: of [`Client::events`](crate::Client::events). It ends when the client is closed and its socket is
/// gone.
///
/// A slow reader misses the oldest, and is told how many ([`ClientEvent::Lagged`](crate::ClientEvent::Lagged)).
///
/// ```no_run
/// # fn f(events: dcrf_blocking::Events) {
/// for event in events {
///     println!("{event:?}");
/// }
/// # }
/// ```
pub type Events = Receiver<client::Events>;

/// The replies to a request of [`Client::stream`](crate::Client::stream), as an iterator, which waits for each.
///
/// The server does not tell which reply is the last: [`until`](Receiver::until) does. Without it they go on until this
/// is dropped, or nothing has come for the time of the request's timeout. An end before the last reply is an error,
/// the last item ([`ReplyError::Stream`](crate::ReplyError::Stream)).
///
/// Dropping it before the last reply sends the request's [cancel action](crate::Request::cancel_action), if it has one.
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

/// The pages of a list, in order, as an iterator, which waits for each: of
/// [`Client::list_pages`](crate::Client::list_pages) and [`Client::stream_pages`](crate::Client::stream_pages). An error
/// is the last item.
///
/// While one page is read, the next is on its way.
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

/// The objects of a list in pages, one by one, as an iterator, which waits for each: of
/// [`Client::list_all`](crate::Client::list_all), or of [`Pages::items`](Receiver::items). An error is the last item.
///
/// ```no_run
/// # use dcrf_blocking::{Items, ReplyError};
/// # fn f(names: Items<String>) -> Result<(), ReplyError> {
/// let names: Vec<String> = names.collect::<Result<_, _>>()?;
/// # Ok(())
/// # }
/// ```
pub type Items<T> = Receiver<client::Items<T>>;

/// The frames that a selector takes, as an iterator, which waits for each: of
/// [`Client::listen`](crate::Client::listen). It goes on over every reconnect, and ends when the client is closed.
///
/// A slow reader misses the oldest, and is told how many ([`ListenerEvent::Lagged`](crate::ListenerEvent::Lagged)).
///
/// ```no_run
/// # use dcrf_blocking::{DecodeError, ListenerEvent, Listener};
/// # fn f(ticks: Listener<u64>) -> Result<(), DecodeError> {
/// for heard in ticks {
///     if let ListenerEvent::Frame { payload, .. } = heard? {
///         println!("{payload}");
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub type Listener<T> = Receiver<client::Listener<T>>;

impl<S: FusedStream + Unpin> Receiver<S> {
    /// Waits for the next; `None` after the end.
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

    /// Waits for the next, at most this long; `None` when none has come, and after the end.
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

    /// The next if it has come; `None` when none has, and after the end.
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

    /// Whether the end has been received: nothing comes after it. It tells the two meanings of `None` apart that
    /// [`try_recv`](Self::try_recv) and [`recv_timeout`](Self::recv_timeout) have.
    ///
    /// ```no_run
    /// # use dcrf_blocking::Subscription;
    /// /// What a game does in each frame; whether there is more to come.
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
    /// Ends the subscription and waits until the server has confirmed it.
    ///
    /// Without a connection, and when the connection is lost meanwhile, that is a success: the server
    /// drops a connection's subscriptions by itself.
    ///
    /// ```no_run
    /// # use dcrf_blocking::{Subscription, UnsubscribeError};
    /// # fn f(names: Subscription<String>) -> Result<(), UnsubscribeError> {
    /// names.cancel()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When the server refuses, or does not answer in time. The subscription is over all the same.
    pub fn cancel(self) -> Result<(), UnsubscribeError> {
        wait::wait(self.0.cancel())
    }
}

impl<T> Receiver<client::ReplyStream<T>> {
    /// Ends the replies with the first that `is_last` says so of; that one is still handed out.
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
    /// How many objects the server counted when it made the last page that was received; `None` before the first.
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

    /// The objects, one by one.
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
    /// How many objects the list has, see [`Pages::total`](Receiver::total).
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
