//! The timer of async-io, as the client waits for it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

/// A future that is ready when its time has come, on any executor.
///
/// ```
/// use dcrf_proto::websocket::Runtime;
/// use dcrf_smol::{Smol, Timer};
/// use std::time::Duration;
///
/// let timer: Timer = Smol.sleep_until(Smol::now() + Duration::from_millis(1));
/// futures_lite::future::block_on(timer);
/// ```
#[derive(Debug)]
#[must_use = "a timer does nothing until it is awaited"]
pub struct Timer(async_io::Timer);

impl Timer {
    pub(crate) fn at(deadline: Instant) -> Self {
        Self(async_io::Timer::at(deadline))
    }
}

impl Future for Timer {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx).map(|_| ())
    }
}
