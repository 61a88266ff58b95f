//! The stream of replies to one request (R12).

use std::fmt;
use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::{FusedStream, Stream};
use serde::de::DeserializeOwned;

use super::shared::Handle;
use super::wake::Readable;
use crate::command::Request;
use crate::error::{ReplyStreamError, RequestError};
use crate::id::ReplyStreamKey;
use crate::protocol::json::{DecodeError, Json};

/// The replies to a request, from [`Client::stream`](super::Client::stream).
///
/// The server does not mark the last reply, so say with [`until`](Self::until) which one it is. Otherwise the stream
/// ends with an error when no reply arrives within the request's timeout.
///
/// Dropping the stream before the last reply sends the request's [cancel action](crate::Request::cancel_action), if it
/// has one. Later replies are ignored.
///
/// ```no_run
/// # use dcrf_proto::client::{ReplyStream, ReplyError};
/// # async fn example(lines: ReplyStream<String>) -> Result<(), ReplyError> {
/// let mut lines = lines.until(|line| line == "end");
/// while let Some(line) = lines.next().await {
///     println!("{}", line?);
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// [`ReplyError::Stream`] is the last item. After [`ReplyError::Decode`] the stream continues.
#[must_use = "the stream is cancelled when it is dropped"]
pub struct ReplyStream<T> {
    state: State,
    is_last: Option<IsLast<T>>,
    decoded: PhantomData<fn() -> T>,
}

type IsLast<T> = Box<dyn FnMut(&T) -> bool + Send>;

enum State {
    Open { handle: Arc<Handle>, key: ReplyStreamKey },
    Rejected(RequestError),
    Ended,
}

/// An error of a [`ReplyStream`].
///
/// ```no_run
/// # use dcrf_proto::client::{ReplyStream, ReplyError};
/// # async fn example(mut lines: ReplyStream<String>) {
/// match lines.next().await {
///     Some(Ok(line)) => println!("{line}"),
///     Some(Err(ReplyError::Stream(error))) => println!("no more lines: {error}"),
///     Some(Err(error)) => println!("not a line: {error}"),
///     None => println!("that was the last line"),
/// }
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplyError {
    /// The stream has ended before its last reply. This is the last item.
    #[error(transparent)]
    Stream(ReplyStreamError),
    /// The reply could not be decoded. The stream continues.
    #[error(transparent)]
    Decode(DecodeError),
}

impl From<RequestError> for ReplyError {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Decode(error) => Self::Decode(error),
            error => Self::Stream(ReplyStreamError::Request(error)),
        }
    }
}

impl<T> ReplyStream<T> {
    pub(super) fn new(handle: &Arc<Handle>, request: Request) -> Self {
        let state = match handle.shared().command(|session, now| session.stream(request, now)) {
            Ok(key) => State::Open { handle: handle.clone(), key },
            Err(rejected) => State::Rejected(rejected.into()),
        };
        Self { state, is_last: None, decoded: PhantomData }
    }

    /// Ends the stream after the first reply for which `is_last` returns true.
    ///
    /// ```no_run
    /// # use dcrf_proto::{Page, Request, client::Client};
    /// # async fn example(client: Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let request = Request::list("rows").cancel_action("list_cancel");
    /// let mut pages = client.stream::<Page<u32>>(request).until(Page::is_last);
    /// while let Some(page) = pages.next().await {
    ///     println!("{} rows", page?.results.len());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn until(mut self, is_last: impl FnMut(&T) -> bool + Send + 'static) -> Self {
        self.is_last = Some(Box::new(is_last));
        self
    }

    /// The last reply was received.
    fn finish(&mut self) {
        if let State::Open { handle, key } = std::mem::replace(&mut self.state, State::Ended) {
            leave(&handle, key, |session| session.finish_reply_stream(key));
        }
    }
}

/// Leaves a stream. Its waker is dropped after the lock is released.
fn leave(handle: &Handle, key: ReplyStreamKey, leave: impl FnOnce(&mut crate::session::Session)) {
    let waker = handle.shared().command_with(|inner, _| {
        leave(&mut inner.session);
        inner.readers.remove(Readable::Replies(key))
    });
    drop(waker);
}

impl<T: DeserializeOwned> ReplyStream<T> {
    /// The next reply. `None` after the last one.
    ///
    /// # Errors
    ///
    /// See [`ReplyError`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no reply.
    #[expect(clippy::should_implement_trait, reason = "the usual name for an async stream")]
    pub fn next(&mut self) -> impl Future<Output = Option<Result<T, ReplyError>>> + Send {
        poll_fn(|cx| self.poll(cx))
    }

    fn poll(&mut self, cx: &Context<'_>) -> Poll<Option<Result<T, ReplyError>>> {
        let polled = match &self.state {
            State::Open { handle, key } => {
                let readable = Readable::Replies(*key);
                let polled = handle.shared().poll_with(cx, |inner, task| {
                    inner.readers.mark_polled(readable);
                    match inner.session.poll_reply(*key) {
                        Some(Ok(reply)) => Poll::Ready(Ok(reply)),
                        Some(Err(ended)) => {
                            // The session has forgotten the stream.
                            task.defer_drop(inner.readers.remove(readable));
                            Poll::Ready(Err(ended))
                        }
                        None => inner.readers.register(readable, task),
                    }
                });
                let Poll::Ready(polled) = polled else { return Poll::Pending };
                polled
            }
            State::Rejected(error) => Err(ReplyStreamError::Request(error.clone())),
            State::Ended => return Poll::Ready(None),
        };
        Poll::Ready(Some(match polled {
            Ok(json) => self.read(&json).map_err(ReplyError::Decode),
            Err(ended) => {
                self.state = State::Ended;
                Err(ReplyError::Stream(ended))
            }
        }))
    }

    fn read(&mut self, json: &Json) -> Result<T, DecodeError> {
        let reply = json.decode()?;
        if self.is_last.as_mut().is_some_and(|is_last| is_last(&reply)) {
            self.finish();
        }
        Ok(reply)
    }
}

impl<T: DeserializeOwned> Stream for ReplyStream<T> {
    type Item = Result<T, ReplyError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll(cx)
    }
}

impl<T: DeserializeOwned> FusedStream for ReplyStream<T> {
    fn is_terminated(&self) -> bool {
        matches!(self.state, State::Ended)
    }
}

impl<T> Drop for ReplyStream<T> {
    fn drop(&mut self) {
        if let State::Open { handle, key } = &self.state {
            leave(handle, *key, |session| session.cancel_reply_stream(*key));
        }
    }
}

impl<T> fmt::Debug for ReplyStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Replies(…)")
    }
}
