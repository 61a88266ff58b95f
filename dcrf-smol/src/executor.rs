//! The executor that drives all clients of the program, on one thread.
//!
//! On smol's global executor, pings would wait if the program blocks it. And `smol` would add eight crates.

use std::future::{Future, pending};
use std::io;
use std::sync::{Mutex, PoisonError};
use std::thread;

use async_executor::Executor;

static EXECUTOR: Executor<'static> = Executor::new();
/// Whether the thread runs. If it can't be started, the next `spawn` tries again.
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
        // async-io's `block_on` polls I/O and timers on this thread. Any other `block_on` would need async-io's thread to
        // wake it. A panic, for example in a caller's waker, ends only its task: the executor catches it.
        let run = || async_io::block_on(EXECUTOR.run(pending::<()>()));
        thread::Builder::new().name("dcrf-smol".to_owned()).spawn(run)?;
        *started = true;
    }
    Ok(())
}
