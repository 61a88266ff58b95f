//! A subscription, as an iterator over changes.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use dcrf_smol::{Change, ChangeError, Ended, UnsubscribeError};
use serde::de::DeserializeOwned;

use crate::thread::{self, Thread};

/// A subscription of [`Client::start_subscribe`](crate::Client::start_subscribe) that the server has not
/// acknowledged yet.
///
/// Without a connection it waits for one; with one, the server has [`Config::request_timeout`] to acknowledge it.
/// Dropping it unsubscribes.
///
/// [`Config::request_timeout`]: crate::Config::request_timeout
#[must_use = "the subscription ends when it is dropped"]
pub struct Subscribing<T> {
    // Dropped before the thread, whose end waits for it.
    subscribing: dcrf_smol::Subscribing<T>,
    thread: Arc<Thread>,
}

impl<T> Subscribing<T> {
    pub(crate) fn new(subscribing: dcrf_smol::Subscribing<T>, thread: Arc<Thread>) -> Self {
        Self { subscribing, thread }
    }

    /// Waits for the acknowledgement.
    ///
    /// ```no_run
    /// # use dcrf_blocking::{Ended, Subscribing, Subscription};
    /// # fn f(subscribing: Subscribing<String>) -> Result<(), Ended> {
    /// let names: Subscription<String> = subscribing.wait()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`Ended`]: the server refused, or did not acknowledge in time, or the client was closed.
    pub fn wait(self) -> Result<Subscription<T>, Ended> {
        Ok(Subscription::new(thread::wait(self.subscribing)?, self.thread))
    }

    /// Waits for the acknowledgement, at most this long; hands itself back when it has not come.
    ///
    /// ```no_run
    /// # use dcrf_blocking::{Ended, Subscribing};
    /// # use std::time::Duration;
    /// # fn f(subscribing: Subscribing<String>) -> Result<(), Ended> {
    /// match subscribing.wait_timeout(Duration::from_secs(1)) {
    ///     Ok(names) => println!("subscribed to {:?}", names?),
    ///     Err(subscribing) => println!("{subscribing:?} still waits"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Itself, when the acknowledgement has not come in time.
    pub fn wait_timeout(
        mut self,
        timeout: Duration,
    ) -> Result<Result<Subscription<T>, Ended>, Self> {
        match thread::wait_timeout(&mut self.subscribing, timeout) {
            Some(subscribed) => Ok(self.resolved(subscribed)),
            None => Err(self),
        }
    }

    /// The subscription if the server has acknowledged it; hands itself back when it has not.
    ///
    /// ```no_run
    /// # use dcrf_blocking::{Ended, Subscribing};
    /// # fn f(subscribing: Subscribing<String>) -> Result<(), Ended> {
    /// match subscribing.try_wait() {
    ///     Ok(names) => println!("subscribed to {:?}", names?),
    ///     Err(subscribing) => println!("{subscribing:?} still waits"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Itself, when the acknowledgement has not come yet.
    pub fn try_wait(mut self) -> Result<Result<Subscription<T>, Ended>, Self> {
        match thread::now(&mut self.subscribing) {
            Some(subscribed) => Ok(self.resolved(subscribed)),
            None => Err(self),
        }
    }

    fn resolved(
        self,
        subscribed: Result<dcrf_smol::Subscription<T>, Ended>,
    ) -> Result<Subscription<T>, Ended> {
        Ok(Subscription::new(subscribed?, self.thread))
    }
}

impl<T> fmt::Debug for Subscribing<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.subscribing.fmt(f)
    }
}

/// A subscription, as an iterator over changes, which waits for each. It goes on over every reconnect and ends
/// with an error that says why ([`ChangeError::Ended`]).
///
/// Dropping it unsubscribes.
#[must_use = "the subscription ends when it is dropped"]
pub struct Subscription<T> {
    // Dropped before the thread, whose end waits for it.
    inner: dcrf_smol::Subscription<T>,
    thread: Arc<Thread>,
    is_ended: bool,
}

impl<T> Subscription<T> {
    fn new(inner: dcrf_smol::Subscription<T>, thread: Arc<Thread>) -> Self {
        Self { inner, thread, is_ended: false }
    }

    /// Whether the end has been received: nothing comes after it. It tells the two meanings of `None` apart that
    /// [`try_recv`](Self::try_recv) and [`recv_timeout`](Self::recv_timeout) have.
    ///
    /// ```no_run
    /// # use dcrf_blocking::Subscription;
    /// # fn f(mut names: Subscription<String>) {
    /// while !names.is_ended() {
    ///     match names.try_recv() {
    ///         Some(change) => println!("{change:?}"),
    ///         None => println!("nothing new"),
    ///     }
    ///     std::thread::sleep(std::time::Duration::from_millis(16));
    /// }
    /// # }
    /// ```
    pub fn is_ended(&self) -> bool {
        self.is_ended
    }

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
        let Self { inner, thread, .. } = self;
        let cancelled = thread::wait(inner.cancel());
        drop(thread);
        cancelled
    }
}

impl<T: DeserializeOwned> Subscription<T> {
    async fn next_or_end(&mut self) -> Option<Result<Change<T>, ChangeError>> {
        let change = self.inner.next().await;
        self.is_ended |= matches!(change, Some(Err(ChangeError::Ended(_))));
        change
    }

    /// Waits for the next change; `None` after the subscription has ended.
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
    ///
    /// # Errors
    ///
    /// See [`ChangeError`]: the subscription has ended, or a change does not fit `T`.
    pub fn recv(&mut self) -> Option<Result<Change<T>, ChangeError>> {
        thread::wait(self.next_or_end())
    }

    /// Waits for the next change, at most this long; `None` when none has come, and after the subscription has
    /// ended.
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
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    pub fn recv_timeout(&mut self, timeout: Duration) -> Option<Result<Change<T>, ChangeError>> {
        thread::wait_timeout(self.next_or_end(), timeout).flatten()
    }

    /// The next change if it has come; `None` when none has, and after the subscription has ended.
    ///
    /// ```no_run
    /// # use dcrf_blocking::Subscription;
    /// # fn f(mut names: Subscription<String>) {
    /// while let Some(change) = names.try_recv() {
    ///     println!("{change:?}");
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    pub fn try_recv(&mut self) -> Option<Result<Change<T>, ChangeError>> {
        thread::now(self.next_or_end()).flatten()
    }
}

impl<T: DeserializeOwned> Iterator for Subscription<T> {
    type Item = Result<Change<T>, ChangeError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.recv()
    }
}

impl<T> fmt::Debug for Subscription<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
