//! How a call waits, without a runtime.

use std::time::Duration;

use async_io::Timer;
use futures_lite::future::{block_on, or, poll_once};

/// Waits for what `future` resolves to. It needs no runtime, and harms none around it.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    block_on(future)
}

/// What `future` resolves to within `timeout`.
pub(crate) fn within<T>(future: impl Future<Output = T>, timeout: Duration) -> Option<T> {
    let late = async {
        Timer::after(timeout).await;
        None
    };
    block_on(or(async { Some(future.await) }, late))
}

/// What `future` has resolved to by now.
pub(crate) fn now<T>(future: impl Future<Output = T>) -> Option<T> {
    block_on(poll_once(future))
}
