//! The stream of frames that match a selector (F2).

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
use crate::error::Rejected;
use crate::event::ListenerEvent;
use crate::id::ListenerKey;
use crate::protocol::json::{DecodeError, Json};
use crate::protocol::selector::Selector;

/// The frames that match a selector, from [`Client::listen`](super::Client::listen), with their payloads decoded as
/// `T`.
///
/// It survives reconnects, and ends when the client is closed. If the reader falls behind, the oldest frames are
/// dropped and counted in [`ListenerEvent::Lagged`]. It keeps the client alive until it is dropped.
///
/// ```no_run
/// # use dcrf_proto::{DecodeError, ListenerEvent, client::Listener};
/// # async fn example(mut ticks: Listener<u64>) -> Result<(), DecodeError> {
/// while let Some(event) = ticks.next().await {
///     if let ListenerEvent::Frame { payload, .. } = event? {
///         println!("{payload}");
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "the listening ends when it is dropped"]
pub struct Listener<T> {
    handle: Arc<Handle>,
    key: ListenerKey,
    ended: bool,
    payloads: PhantomData<fn() -> T>,
}

impl<T> Listener<T> {
    pub(super) fn new(
        handle: &Arc<Handle>,
        selector: Selector,
    ) -> Result<Self, Rejected<Selector>> {
        let key = handle.shared().command(|session, now| session.listen(selector, now))?;
        Ok(Self { handle: handle.clone(), key, ended: false, payloads: PhantomData })
    }
}

impl<T: DeserializeOwned> Listener<T> {
    /// The next frame. `None` once the client is closed.
    ///
    /// ```no_run
    /// # use dcrf_proto::{DecodeError, ListenerEvent, client::Listener};
    /// # #[derive(serde::Deserialize)]
    /// # struct Tick { n: u64 }
    /// # async fn example(mut ticks: Listener<Tick>) -> Result<(), DecodeError> {
    /// while let Some(event) = ticks.next().await {
    ///     if let ListenerEvent::Frame { payload: tick, .. } = event? {
    ///         println!("{}", tick.n);
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// A payload could not be decoded. The stream continues.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no frame.
    #[expect(clippy::should_implement_trait, reason = "the usual name for an async stream")]
    pub fn next(
        &mut self,
    ) -> impl Future<Output = Option<Result<ListenerEvent<T>, DecodeError>>> + Send {
        poll_fn(|cx| self.poll(cx))
    }

    fn poll(&mut self, cx: &Context<'_>) -> Poll<Option<Result<ListenerEvent<T>, DecodeError>>> {
        let polled = self.handle.shared().poll_with(cx, |inner, task| {
            let readable = Readable::Listener(self.key);
            inner.readers.mark_polled(readable);
            match inner.session.poll_listener(self.key) {
                None if !inner.finished => inner.readers.register(readable, task),
                heard => Poll::Ready(heard),
            }
        });
        self.ended |= matches!(polled, Poll::Ready(None));
        polled.map(|heard| heard.map(|heard| heard.try_map(|json: Json| json.decode())))
    }
}

impl<T: DeserializeOwned> Stream for Listener<T> {
    type Item = Result<ListenerEvent<T>, DecodeError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll(cx)
    }
}

impl<T: DeserializeOwned> FusedStream for Listener<T> {
    fn is_terminated(&self) -> bool {
        self.ended
    }
}

impl<T> Drop for Listener<T> {
    fn drop(&mut self) {
        let waker = self.handle.shared().command_with(|inner, _| {
            inner.session.unlisten(self.key);
            inner.readers.remove(Readable::Listener(self.key))
        });
        // The waker is dropped after the lock is released.
        drop(waker);
    }
}

impl<T> fmt::Debug for Listener<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listener(…)")
    }
}
