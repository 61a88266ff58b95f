//! The future of a request.

use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::shared::{Handle, Waiter};
use crate::command::Request;
use crate::error::RequestError;
use crate::id::RequestKey;
use crate::protocol::json::{DecodeError, Json};

/// The answer to a request, once it comes.
///
/// The request is queued already when this future is made. It always resolves: with the answer, or with
/// an error at the request's deadline, at the loss of the connection it was sent on, or when the client
/// is closed.
///
/// ```no_run
/// # use dcrf_proto::client::{Client, ReplyFuture};
/// # async fn example(client: Client) -> Result<(), dcrf_proto::RequestError> {
/// let people: ReplyFuture<Vec<String>> = client.list("people");
/// // It is on its way already.
/// println!("{} people", people.await?.len());
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
/// - [`RequestError::Rejected`]: the request was not accepted and is handed back, since the queue is
///   full, the message too large, the id in use, or an argument not valid;
/// - [`RequestError::Decode`]: the answer does not fit `T`.
///
/// # Cancel safety
///
/// Dropping the future cancels the request: if it has not been sent, it never is; if it has, the server
/// may still act on it, and its answer is dropped.
///
/// # Panics
///
/// When polled again after it has resolved.
#[must_use = "the request is cancelled when its response is dropped"]
pub struct ReplyFuture<T> {
    state: State,
    decode: fn(Json) -> Result<T, DecodeError>,
}

enum State {
    Waiting { handle: Arc<Handle>, key: RequestKey },
    Rejected(RequestError),
    Resolved,
}

impl<T> ReplyFuture<T> {
    pub(super) fn new(
        handle: &Arc<Handle>,
        request: Request,
        decode: fn(Json) -> Result<T, DecodeError>,
    ) -> Self {
        let accepted = handle.shared().command_with(|inner, now| {
            let accepted = inner.session.request(request, now);
            if let Ok(key) = &accepted {
                inner.responses.insert(*key, Waiter::Waiting(None));
            }
            accepted
        });
        let state = match accepted {
            Ok(key) => State::Waiting { handle: handle.clone(), key },
            Err(rejected) => State::Rejected(rejected.into()),
        };
        Self { state, decode }
    }
}

impl<T> Future for ReplyFuture<T> {
    type Output = Result<T, RequestError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let result = match mem::replace(&mut this.state, State::Resolved) {
            State::Waiting { handle, key } => {
                match handle.shared().poll_with(cx, |inner, task| inner.poll_response(key, task)) {
                    Poll::Ready(result) => result,
                    Poll::Pending => {
                        this.state = State::Waiting { handle, key };
                        return Poll::Pending;
                    }
                }
            }
            State::Rejected(error) => Err(error),
            State::Resolved => panic!("a response was polled after it had resolved"),
        };
        Poll::Ready(result.and_then(|json| (this.decode)(json).map_err(RequestError::Decode)))
    }
}

impl<T> Drop for ReplyFuture<T> {
    fn drop(&mut self) {
        if let State::Waiting { handle, key } = &self.state {
            let waiter = handle.shared().command_with(|inner, _| {
                inner.session.cancel(*key);
                inner.responses.remove(key)
            });
            // Its waker is dropped after the lock is released.
            drop(waiter);
        }
    }
}

impl<T> fmt::Debug for ReplyFuture<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Response(…)")
    }
}
