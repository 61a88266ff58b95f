//! The executor that drives the clients of the program, and its one thread.
//!
//! It is not smol's global one: a program that blocks that one would keep its pings waiting, and all of smol
//! would cost eight crates more.

use std::future::{Future, pending};
use std::sync::OnceLock;
use std::thread::{self, JoinHandle};

use async_executor::Executor;

static EXECUTOR: Executor<'static> = Executor::new();
/// Empty until it is started; a start that failed is tried again.
static THREAD: OnceLock<JoinHandle<()>> = OnceLock::new();

/// Runs a task in the background, to its end.
pub(crate) fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    THREAD.get_or_init(start);
    EXECUTOR.spawn(task).detach();
}

fn start() -> JoinHandle<()> {
    thread::Builder::new()
        .name("dcrf-smol".to_owned())
        // async-io's own `block_on` waits for I/O and timers itself; another would be woken by async-io's
        // thread. A task that panics, as a caller's waker may, ends alone: the executor catches it.
        .spawn(|| async_io::block_on(EXECUTOR.run(pending())))
        .unwrap_or_else(|error| panic!("there is no thread to drive the client: {error}"))
}
