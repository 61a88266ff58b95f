//! Results of calls that return before their result is there.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use crate::{RequestError, Subscription, SubscriptionError, wait};

/// The result of an operation that was started without waiting: a [`ReplyFuture`] or a [`SubscribeFuture`].
///
/// Dropping it cancels the operation.
///
/// ```no_run
/// use dcrf_blocking::Pending;
///
/// /// Waits for all results.
/// fn all<R>(started: Vec<Pending<R>>) -> Vec<R> {
///     started.into_iter().map(Pending::wait).collect()
/// }
/// ```
#[must_use = "dropping this cancels the operation"]
pub struct Pending<R>(Pin<Box<dyn Future<Output = R> + Send>>);

/// The reply to a request that [`Client::start`](crate::Client::start) made.
///
/// It always settles, at the latest at the request's deadline. Dropping it cancels the request. If the request was
/// already sent, the server may still act on it.
///
/// ```no_run
/// # use dcrf_blocking::{Client, Request, ReplyFuture};
/// # fn f(client: &Client) -> Result<(), dcrf_blocking::RequestError> {
/// let people: ReplyFuture<Vec<String>> = client.start(Request::list("people"));
/// println!("{} people", people.wait()?.len());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// - [`RequestError::ErrorReply`]: the server replied with a status other than 2xx.
/// - [`RequestError::TimedOut`]: the deadline passed. By default it is 30 seconds after the call.
/// - [`RequestError::ConnectionLost`]: the connection was lost after the request was sent.
/// - [`RequestError::Closed`]: the client was closed first.
/// - [`RequestError::Rejected`]: the request was not accepted. The error contains it.
/// - [`RequestError::Decode`]: the reply could not be decoded into `T`.
pub type ReplyFuture<T> = Pending<Result<T, RequestError>>;

/// A subscription that [`Client::start_subscribe`](crate::Client::start_subscribe) made and the server has not yet
/// acknowledged.
///
/// It settles at the latest at the subscription's deadline, by default [`Config::request_timeout`] after the call, also
/// while offline. Dropping it unsubscribes.
///
/// ```no_run
/// # use dcrf_blocking::{Client, Subscribe, SubscribeFuture, Subscription};
/// # fn f(client: &Client) -> Result<(), dcrf_blocking::SubscriptionError> {
/// let names: SubscribeFuture<String> = client.start_subscribe(Subscribe::instance("people", 4));
/// let names: Subscription<String> = names.wait()?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// See [`SubscriptionError`]: the server replied with an error or did not acknowledge in time, or the client was closed.
///
/// [`Config::request_timeout`]: crate::Config::request_timeout
pub type SubscribeFuture<T> = Pending<Result<Subscription<T>, SubscriptionError>>;

impl<R> Pending<R> {
    pub(crate) fn new(result: impl Future<Output = R> + Send + 'static) -> Self {
        Self(Box::pin(result))
    }

    /// Waits for the result.
    ///
    /// ```no_run
    /// # use dcrf_blocking::{RequestError, ReplyFuture};
    /// # fn f(people: ReplyFuture<Vec<String>>) -> Result<(), RequestError> {
    /// println!("{} people", people.wait()?.len());
    /// # Ok(())
    /// # }
    /// ```
    pub fn wait(self) -> R {
        wait::wait(self.0)
    }

    /// Waits for the result, but not longer than `timeout`.
    ///
    /// ```no_run
    /// # use dcrf_blocking::{RequestError, ReplyFuture};
    /// # use std::time::Duration;
    /// # fn f(people: ReplyFuture<Vec<String>>) -> Result<(), RequestError> {
    /// match people.wait_timeout(Duration::from_millis(16)) {
    ///     Ok(people) => println!("{} people", people?.len()),
    ///     Err(people) => println!("still waiting for {people:?}"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns itself if the timeout passes first.
    pub fn wait_timeout(mut self, timeout: Duration) -> Result<R, Self> {
        wait::within(&mut self.0, timeout).ok_or(self)
    }

    /// Returns the result without waiting.
    ///
    /// ```no_run
    /// # use dcrf_blocking::{RequestError, ReplyFuture};
    /// # fn f(people: ReplyFuture<Vec<String>>) -> Result<(), RequestError> {
    /// match people.try_wait() {
    ///     Ok(people) => println!("{} people", people?.len()),
    ///     Err(people) => println!("still waiting for {people:?}"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns itself if the result is not there yet.
    pub fn try_wait(mut self) -> Result<R, Self> {
        wait::now(&mut self.0).ok_or(self)
    }
}

impl<R> fmt::Debug for Pending<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pending(…)")
    }
}
