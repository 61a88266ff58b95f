//! The executor that drives all clients of the program, on one thread.
//!
//! smol's global executor won't do: if the program blocks it, pings are late. `smol` would also add 13 crates.

use std::future::{Future, pending};
use std::io;
use std::sync::{Mutex, PoisonError};
use std::thread;

use async_executor::Executor;

static EXECUTOR: Executor<'static> = Executor::new();
/// Whether the thread was started. If that failed, the next `spawn` tries again.
static STARTED: Mutex<bool> = Mutex::new(false);

/// Runs a task in the background.
pub(crate) fn spawn(task: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
    start()?;
    EXECUTOR.spawn(task).detach();
    Ok(())
}

fn start() -> io::Result<()> {
    let mut started = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
    if !*started {
        // async-io's `block_on` polls I/O and timers on this thread. Any other would be woken by async-io's own thread.
        // The executor catches panics, for example in a caller's waker, so a panic ends only its task.
        let run = || async_io::block_on(EXECUTOR.run(pending::<()>()));
        thread::Builder::new().name("dcrf-smol".to_owned()).spawn(run)?;
        *started = true;
    }
    Ok(())
}
