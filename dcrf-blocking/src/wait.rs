//! Waiting for futures without a runtime.

use std::time::Duration;

use async_io::Timer;
use futures_lite::future::{block_on, or, poll_once};

/// Waits for a future. Works inside and outside of runtimes.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    block_on(future)
}

/// Waits for a future, but not longer than `timeout`.
pub(crate) fn within<T>(future: impl Future<Output = T>, timeout: Duration) -> Option<T> {
    let timed_out = async {
        Timer::after(timeout).await;
        None
    };
    block_on(or(async { Some(future.await) }, timed_out))
}

/// Polls a future once.
pub(crate) fn now<T>(future: impl Future<Output = T>) -> Option<T> {
    block_on(poll_once(future))
}
