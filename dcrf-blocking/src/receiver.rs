//! What comes one by one, as an iterator that waits for each.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use dcrf_proto::client;
use dcrf_proto::vocabulary::UnsubscribeError;
use futures_core::{FusedStream, Stream};
use futures_lite::StreamExt;

use crate::thread::{self, Thread};

/// What comes one by one: a [`Subscription`] or [`Notices`]. As an iterator it waits for each.
///
/// Dropping it ends what it receives.
#[must_use = "what it receives ends when it is dropped"]
pub struct Receiver<S> {
    // Dropped before the thread, whose end waits for it.
    stream: S,
    thread: Option<Arc<Thread>>,
}

/// A subscription, as an iterator over changes, which waits for each. It goes on over every reconnect and ends
/// with an error that says why ([`ChangeError::Ended`](crate::ChangeError::Ended)).
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
/// A slow reader misses the oldest, and is told how many ([`Notice::Missed`](crate::Notice::Missed)).
///
/// ```no_run
/// # fn f(events: dcrf_blocking::Notices) {
/// for event in events {
///     println!("{event:?}");
/// }
/// # }
/// ```
pub type Notices = Receiver<client::Notices>;

impl<S> Receiver<S> {
    /// Without a thread it does not keep the client alive.
    pub(crate) fn new(stream: S, thread: Option<Arc<Thread>>) -> Self {
        Self { stream, thread }
    }
}

impl<S: Stream + Unpin> Receiver<S> {
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
        thread::wait(self.stream.next())
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
        thread::wait_timeout(self.stream.next(), timeout).flatten()
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
        thread::now(self.stream.next()).flatten()
    }
}

impl<S: FusedStream> Receiver<S> {
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
        self.stream.is_terminated()
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
        let Self { stream, thread } = self;
        let cancelled = thread::wait(stream.cancel());
        drop(thread);
        cancelled
    }
}

impl<S: Stream + Unpin> Iterator for Receiver<S> {
    type Item = S::Item;

    fn next(&mut self) -> Option<S::Item> {
        self.recv()
    }
}

impl<S: fmt::Debug> fmt::Debug for Receiver<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stream.fmt(f)
    }
}
