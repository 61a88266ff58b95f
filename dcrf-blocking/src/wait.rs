//! Waiting for futures without a runtime.

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures_lite::future::{block_on, poll_once};

/// Waits for a future. Works inside and outside of runtimes.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    block_on(future)
}

/// Waits for a future, but not longer than `timeout`. No timer of a runtime is needed, so it returns in time even if
/// nothing else runs.
pub(crate) fn within<T>(future: impl Future<Output = T>, timeout: Duration) -> Option<T> {
    let Some(deadline) = Instant::now().checked_add(timeout) else { return Some(wait(future)) };
    let (parker, unparker) = parking::pair();
    let waker = Waker::from(unparker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(value);
        }
        if !parker.park_deadline(deadline) || deadline <= Instant::now() {
            return None;
        }
    }
}

/// Polls a future once.
pub(crate) fn now<T>(future: impl Future<Output = T>) -> Option<T> {
    block_on(poll_once(future))
}

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn};

    use super::*;

    #[test]
    fn a_future_that_wakes_itself_forever_times_out() {
        let busy = poll_fn(|cx| {
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        });
        assert_eq!(within(busy, Duration::from_millis(10)), None);
        assert_eq!(within(pending::<()>(), Duration::ZERO), None);
        assert_eq!(within(async { 7 }, Duration::MAX), Some(7));
    }
}
