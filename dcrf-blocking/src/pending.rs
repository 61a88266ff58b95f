//! What was started and is not waited for yet.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use crate::{RequestError, Subscription, SubscriptionError, wait};

/// What a call has started and did not wait for: a [`ReplyFuture`] or a [`SubscribeFuture`].
///
/// Dropping it cancels what was started.
///
/// ```no_run
/// use dcrf_blocking::Pending;
///
/// /// Waits for all of them.
/// fn all<R>(started: Vec<Pending<R>>) -> Vec<R> {
///     started.into_iter().map(Pending::wait).collect()
/// }
/// ```
#[must_use = "what was started is cancelled when this is dropped"]
pub struct Pending<R>(Pin<Box<dyn Future<Output = R> + Send>>);

/// The answer to a request of [`Client::start`](crate::Client::start), once it comes. It always does, or an error
/// in its place: at the request's deadline, at the loss of the connection it was sent on, or when the client is
/// closed.
///
/// Dropping it cancels the request: if it has not been sent, it never is; if it has, the server may still act
/// on it, and its answer is dropped.
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
/// - [`RequestError::ErrorReply`]: the server answered with another status than 2xx;
/// - [`RequestError::TimedOut`]: the deadline passed, 30 seconds after the call unless set otherwise;
/// - [`RequestError::ConnectionLost`]: the connection was lost after the request was sent;
/// - [`RequestError::Closed`]: the client was closed first;
/// - [`RequestError::Rejected`]: the request was not accepted and is handed back;
/// - [`RequestError::Decode`]: the answer does not fit `T`.
pub type ReplyFuture<T> = Pending<Result<T, RequestError>>;

/// A subscription of [`Client::start_subscribe`](crate::Client::start_subscribe) that the server has not
/// acknowledged yet.
///
/// Without a connection it waits for one; with one, the server has [`Config::request_timeout`] to acknowledge it.
/// Dropping it unsubscribes.
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
/// See [`SubscriptionError`]: the server refused, or did not acknowledge in time, or the client was closed.
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

    /// Waits for the result, at most this long; hands itself back when it has not come.
    ///
    /// ```no_run
    /// # use dcrf_blocking::{RequestError, ReplyFuture};
    /// # use std::time::Duration;
    /// # fn f(people: ReplyFuture<Vec<String>>) -> Result<(), RequestError> {
    /// match people.wait_timeout(Duration::from_millis(16)) {
    ///     Ok(people) => println!("{} people", people?.len()),
    ///     Err(people) => println!("{people:?} still waits"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Itself, when the result has not come in time.
    pub fn wait_timeout(mut self, timeout: Duration) -> Result<R, Self> {
        wait::within(&mut self.0, timeout).ok_or(self)
    }

    /// The result if it has come; hands itself back when it has not.
    ///
    /// ```no_run
    /// # use dcrf_blocking::{RequestError, ReplyFuture};
    /// # fn f(people: ReplyFuture<Vec<String>>) -> Result<(), RequestError> {
    /// match people.try_wait() {
    ///     Ok(people) => println!("{} people", people?.len()),
    ///     Err(people) => println!("{people:?} still waits"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Itself, when the result has not come yet.
    pub fn try_wait(mut self) -> Result<R, Self> {
        wait::now(&mut self.0).ok_or(self)
    }
}

impl<R> fmt::Debug for Pending<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pending(…)")
    }
}
