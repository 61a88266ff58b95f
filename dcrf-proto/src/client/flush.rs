//! Waiting until accepted requests are written (C3).

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::{Context, Poll};

use super::shared::{Flusher, Handle, Waiter};
use crate::error::CloseReason;

struct Flushing {
    handle: Arc<Handle>,
    place: usize,
}

/// Waits until everything accepted before this call is written.
pub(super) fn flush(
    handle: &Arc<Handle>,
) -> impl Future<Output = Result<(), CloseReason>> + Send + use<> {
    let place = handle.shared().command_with(|inner, _| {
        let mark = inner.session.mark();
        // A driver that has not ended may still write, and then reports it.
        let over = inner.flushed(mark).filter(|_| inner.finished);
        let waiter = over.map_or(Waiter::Waiting(None), Waiter::Done);
        inner.flushers.insert(Flusher { mark, waiter })
    });
    let flushing = Flushing { handle: handle.clone(), place };
    poll_fn(move |cx| flushing.poll(cx))
}

impl Flushing {
    fn poll(&self, cx: &Context<'_>) -> Poll<Result<(), CloseReason>> {
        self.handle.shared().poll_with(cx, |inner, task| {
            match &mut inner.flushers[self.place].waiter {
                Waiter::Done(result) => Poll::Ready(result.clone()),
                Waiter::Waiting(place) => task.register(place),
            }
        })
    }
}

impl Drop for Flushing {
    fn drop(&mut self) {
        // The waker is dropped after the lock is released.
        let flusher = self.handle.shared().lock().flushers.try_remove(self.place);
        drop(flusher);
    }
}
