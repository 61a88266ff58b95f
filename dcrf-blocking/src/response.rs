//! The answer to a request that was started.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use dcrf_smol::RequestError;

use crate::thread::{self, Thread};

/// The answer to a request of [`Client::start`](crate::Client::start), once it comes. It always does, or an error
/// in its place: at the request's deadline, at the loss of the connection it was sent on, or when the client is
/// closed.
///
/// Dropping it cancels the request: if it has not been sent, it never is; if it has, the server may still act
/// on it, and its answer is dropped.
///
/// # Errors
///
/// - [`RequestError::Refused`]: the server answered with another status than 2xx;
/// - [`RequestError::TimedOut`]: the deadline passed, 30 seconds after the call unless set otherwise;
/// - [`RequestError::ConnectionLost`]: the connection was lost after the request was sent;
/// - [`RequestError::Closed`]: the client was closed first;
/// - [`RequestError::Rejected`]: the request was not accepted and is handed back;
/// - [`RequestError::Decode`]: the answer does not fit `T`.
#[must_use = "the request is cancelled when its response is dropped"]
pub struct Response<T> {
    // Dropped before the thread, whose end waits for it.
    response: dcrf_smol::Response<T>,
    _thread: Arc<Thread>,
}

impl<T> Response<T> {
    pub(crate) fn new(response: dcrf_smol::Response<T>, thread: Arc<Thread>) -> Self {
        Self { response, _thread: thread }
    }

    /// Waits for the answer.
    ///
    /// ```no_run
    /// # use dcrf_blocking::{RequestError, Response};
    /// # fn f(people: Response<Vec<String>>) -> Result<(), RequestError> {
    /// println!("{} people", people.wait()?.len());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of the [type](Self).
    pub fn wait(self) -> Result<T, RequestError> {
        thread::wait(self.response)
    }

    /// Waits for the answer, at most this long; hands the response back when it has not come.
    ///
    /// ```no_run
    /// # use dcrf_blocking::{RequestError, Response};
    /// # use std::time::Duration;
    /// # fn f(people: Response<Vec<String>>) -> Result<(), RequestError> {
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
    /// The response itself, when the answer has not come in time.
    pub fn wait_timeout(mut self, timeout: Duration) -> Result<Result<T, RequestError>, Self> {
        thread::wait_timeout(&mut self.response, timeout).ok_or(self)
    }

    /// The answer if it has come; hands the response back when it has not.
    ///
    /// ```no_run
    /// # use dcrf_blocking::{RequestError, Response};
    /// # fn f(people: Response<Vec<String>>) -> Result<(), RequestError> {
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
    /// The response itself, when the answer has not come yet.
    pub fn try_wait(mut self) -> Result<Result<T, RequestError>, Self> {
        thread::now(&mut self.response).ok_or(self)
    }
}

impl<T> fmt::Debug for Response<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.response.fmt(f)
    }
}
