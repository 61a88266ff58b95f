//! The thread in the background of a client, and how a call waits for it.

use std::io;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use async_io::Timer;
use futures_lite::future::{block_on, or, poll_once};

/// The thread that drives one client. Whoever drops this waits for its end: the client is closed by then, and a
/// closing handshake takes a second at most.
pub(crate) struct Thread(Option<JoinHandle<()>>);

impl Thread {
    pub(crate) fn spawn(driver: impl Future<Output = ()> + Send + 'static) -> io::Result<Self> {
        let run = || async_io::block_on(driver);
        Ok(Self(Some(thread::Builder::new().name("dcrf-blocking".to_owned()).spawn(run)?)))
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        let Some(thread) = self.0.take() else { return };
        // A function of the program that the thread runs, such as a policy, may hold the last handle.
        if thread.thread().id() != thread::current().id() {
            // It panics only where such a function does.
            let _ = thread.join();
        }
    }
}

/// Waits for what `future` resolves to. It needs no runtime, and harms none around it.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    block_on(future)
}

/// What `future` resolves to within `timeout`.
pub(crate) fn wait_timeout<T>(future: impl Future<Output = T>, timeout: Duration) -> Option<T> {
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
