//! Starts async-io's reactor, which all sockets and timers use.
//!
//! If async-io can't open its file descriptors, it panics, also on its own thread, which it never starts again. Whatever
//! waits without polling the reactor itself then waits forever. So it is started only if there are descriptors.

use std::panic::catch_unwind;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;

use async_io::Timer;

/// How long async-io's thread may take for the first timer.
const LIMIT: Duration = Duration::from_secs(2);

/// Starts the reactor, unless it runs. If that fails, the next call tries again.
pub(crate) fn start() -> Result<(), String> {
    static STARTED: Mutex<bool> = Mutex::new(false);
    let mut started = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
    if !*started {
        check_descriptors().map_err(|error| format!("async-io needs file descriptors: {error}"))?;
        // It panics if another thread has taken the descriptors meanwhile.
        *started = catch_unwind(fires_timers).unwrap_or(false);
        if !*started {
            return Err("async-io's thread does not run".to_owned());
        }
    }
    Ok(())
}

/// Checks that the process can open the descriptors that the reactor needs.
#[cfg(unix)]
fn check_descriptors() -> std::io::Result<()> {
    use std::os::unix::net::UnixStream;

    // Linux: epoll, a timer, and an event or a pipe.
    let _four = (UnixStream::pair()?, UnixStream::pair()?);
    Ok(())
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "it can fail on Unix")]
fn check_descriptors() -> std::io::Result<()> {
    Ok(())
}

/// Whether async-io's thread fires timers. Starts the reactor and this thread if they don't run.
fn fires_timers() -> bool {
    let (parker, unparker) = parking::pair();
    let waker = Waker::from(unparker);
    let timer = pin!(Timer::after(Duration::from_millis(1)));
    std::future::Future::poll(timer, &mut Context::from_waker(&waker)).is_ready()
        || parker.park_timeout(LIMIT)
}
