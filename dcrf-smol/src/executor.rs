//! The executor that drives the clients of the program, and its one thread.
//!
//! It is not smol's global one: a program that blocks that one would keep its pings waiting, and all of smol
//! would cost eight crates more.

use std::future::{Future, pending};
use std::io;
use std::sync::{Mutex, PoisonError};
use std::thread;

use async_executor::Executor;

static EXECUTOR: Executor<'static> = Executor::new();
/// Whether the thread is there; a start that failed is tried again.
static STARTED: Mutex<bool> = Mutex::new(false);

/// Runs a task in the background, to its end.
pub(crate) fn spawn(task: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
    start()?;
    EXECUTOR.spawn(task).detach();
    Ok(())
}

fn start() -> io::Result<()> {
    let mut started = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
    if !*started {
        // async-io's own `block_on` waits for I/O and timers itself; another would be woken by async-io's
        // thread. A task that panics, as a caller's waker may, ends alone: the executor catches it.
        let run = || async_io::block_on(EXECUTOR.run(pending::<()>()));
        thread::Builder::new().name("dcrf-smol".to_owned()).spawn(run)?;
        *started = true;
    }
    Ok(())
}
