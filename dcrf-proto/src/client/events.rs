//! The stream of client events.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::{FusedStream, Stream};

use super::shared::{Listener, Shared};
use crate::context;
use crate::event::ClientEvent;

/// The events of a client, from [`Client::events`](super::Client::events).
///
/// If a reader falls behind, the oldest events are dropped and counted in [`ClientEvent::Lagged`].
///
/// ```no_run
/// # async fn example(client: dcrf_proto::client::Client) {
/// let mut events = client.events();
/// while let Some(event) = events.next().await {
///     println!("{event:?}");
/// }
/// # }
/// ```
pub struct Events {
    shared: Arc<Shared>,
    listener: usize,
    ended: bool,
}

impl Events {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        let mut inner = shared.lock();
        let events = context::ClientEvents::new(inner.session.config().events);
        let listener = inner.listeners.insert(Listener { events, waker: None });
        Self { shared: shared.clone(), listener, ended: false }
    }

    /// The next event. `None` once the client is closed and its socket is gone.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no event.
    #[expect(clippy::should_implement_trait, reason = "the usual name for an async stream")]
    pub fn next(&mut self) -> impl Future<Output = Option<ClientEvent>> + Send {
        poll_fn(|cx| self.poll(cx))
    }

    fn poll(&mut self, cx: &Context<'_>) -> Poll<Option<ClientEvent>> {
        let polled = self.shared.poll_with(cx, |inner, task| {
            let finished = inner.finished;
            let Some(listener) = inner.listeners.get_mut(self.listener) else {
                return Poll::Ready(None);
            };
            match listener.events.pop() {
                None if !finished => task.register(&mut listener.waker),
                event => Poll::Ready(event),
            }
        });
        self.ended |= matches!(polled, Poll::Ready(None));
        polled
    }
}

impl Stream for Events {
    type Item = ClientEvent;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<ClientEvent>> {
        self.get_mut().poll(cx)
    }
}

impl FusedStream for Events {
    fn is_terminated(&self) -> bool {
        self.ended
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        // The waker is dropped after the lock is released.
        let mut inner = self.shared.lock();
        let listener = inner.listeners.try_remove(self.listener);
        // An idle client needs no memory for it.
        inner.listeners.shrink_to_fit();
        drop(inner);
        drop(listener);
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Events(…)")
    }
}
