//! The future of a request's reply.

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

/// Waits for the reply to a request.
///
/// The request is queued when this future is created, not when it is polled. The future always completes: with the
/// reply, or with an error when the request times out, its connection is lost, or the client is closed.
///
/// ```no_run
/// # use dcrf_proto::client::{Client, ReplyFuture};
/// # async fn example(client: Client) -> Result<(), dcrf_proto::RequestError> {
/// let people: ReplyFuture<Vec<String>> = client.list("people");
/// // The request is on its way.
/// println!("{} people", people.await?.len());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// - [`RequestError::ErrorReply`]: the server replied with an error
/// - [`RequestError::TimedOut`]: there was no reply in time, by default within 30 seconds of the call
/// - [`RequestError::ConnectionLost`]: the connection was lost after the request was sent
/// - [`RequestError::Closed`]: the client was closed
/// - [`RequestError::Rejected`]: the client did not accept the request, and hands it back, because the queue is full,
///   the message is too large, the id is in use, or an argument is invalid
/// - [`RequestError::Decode`]: the reply could not be decoded as `T`
///
/// # Cancel safety
///
/// Dropping the future cancels the request. If it was not sent yet, it never is. If it was, the server may still act on
/// it, and the reply is ignored.
///
/// # Panics
///
/// If polled after completion.
#[must_use = "the request is cancelled when this future is dropped"]
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
                inner.replies.insert(*key, Waiter::Waiting(None));
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
                match handle.shared().poll_with(cx, |inner, task| inner.poll_reply(key, task)) {
                    Poll::Ready(result) => result,
                    Poll::Pending => {
                        this.state = State::Waiting { handle, key };
                        return Poll::Pending;
                    }
                }
            }
            State::Rejected(error) => Err(error),
            State::Resolved => panic!("`ReplyFuture` polled after completion"),
        };
        Poll::Ready(result.and_then(|json| (this.decode)(json).map_err(RequestError::Decode)))
    }
}

impl<T> Drop for ReplyFuture<T> {
    fn drop(&mut self) {
        if let State::Waiting { handle, key } = &self.state {
            let waiter = handle.shared().command_with(|inner, _| {
                inner.session.cancel(*key);
                inner.replies.remove(key)
            });
            // The waker is dropped after the lock is released.
            drop(waiter);
        }
    }
}

impl<T> fmt::Debug for ReplyFuture<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReplyFuture(…)")
    }
}
