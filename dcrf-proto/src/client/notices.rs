//! The stream of what happens to the connection.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::{FusedStream, Stream};

use super::shared::{Listener, Shared};
use crate::context;
use crate::event::Notice;

/// What happens to a client's connection, and the frames that belong to nobody: the stream of
/// [`Client::events`](super::Client::events).
///
/// A slow reader misses the oldest, and is told how many ([`Notice::Missed`]).
///
/// ```no_run
/// # async fn example(client: dcrf_proto::client::Client) {
/// let mut events = client.events();
/// while let Some(event) = events.next().await {
///     println!("{event:?}");
/// }
/// # }
/// ```
pub struct Notices {
    shared: Arc<Shared>,
    listener: usize,
    ended: bool,
}

impl Notices {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        let mut inner = shared.lock();
        let notices = context::Notices::new(inner.session.config().notices);
        let listener = inner.listeners.insert(Listener { notices, waker: None });
        Self { shared: shared.clone(), listener, ended: false }
    }

    /// The next notice; `None` when the client is closed and its socket is gone.
    ///
    /// ```no_run
    /// # async fn example(mut events: dcrf_proto::client::Notices) {
    /// while let Some(event) = events.next().await {
    ///     println!("{event:?}");
    /// }
    /// # }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    #[expect(clippy::should_implement_trait, reason = "an async stream's next is its usual name")]
    pub fn next(&mut self) -> impl Future<Output = Option<Notice>> + Send {
        poll_fn(|cx| self.poll(cx))
    }

    fn poll(&mut self, cx: &Context<'_>) -> Poll<Option<Notice>> {
        let polled = self.shared.look(cx, |inner, task| {
            let finished = inner.finished;
            let Some(listener) = inner.listeners.get_mut(self.listener) else {
                return Poll::Ready(None);
            };
            match listener.notices.pop() {
                None if !finished => task.waits(&mut listener.waker),
                notice => Poll::Ready(notice),
            }
        });
        self.ended |= matches!(polled, Poll::Ready(None));
        polled
    }
}

impl Stream for Notices {
    type Item = Notice;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Notice>> {
        self.get_mut().poll(cx)
    }
}

impl FusedStream for Notices {
    fn is_terminated(&self) -> bool {
        self.ended
    }
}

impl Drop for Notices {
    fn drop(&mut self) {
        // Its waker is dropped after the lock is released.
        let mut inner = self.shared.lock();
        let listener = inner.listeners.try_remove(self.listener);
        // A client that is idle holds none, and `Client::opened` has made the first.
        inner.listeners.shrink_to_fit();
        drop(inner);
        drop(listener);
    }
}

impl fmt::Debug for Notices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Notices(…)")
    }
}
