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
        Ok(Subscription { subscription: thread::wait(self.subscribing)?, thread: self.thread })
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
        Ok(Subscription { subscription: subscribed?, thread: self.thread })
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
    subscription: dcrf_smol::Subscription<T>,
    thread: Arc<Thread>,
}

impl<T> Subscription<T> {
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
        let Self { subscription, thread } = self;
        let cancelled = thread::wait(subscription.cancel());
        drop(thread);
        cancelled
    }
}

impl<T: DeserializeOwned> Subscription<T> {
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
        thread::wait(self.subscription.next())
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
        thread::wait_timeout(self.subscription.next(), timeout).flatten()
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
        thread::now(self.subscription.next()).flatten()
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
        self.subscription.fmt(f)
    }
}
