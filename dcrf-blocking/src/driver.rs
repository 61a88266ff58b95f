//! The background thread that runs a client's driver.

use std::io;
use std::thread::{self, JoinHandle};

/// The thread of a client. Drop joins it, which takes a second at most: the client is already closed, and only the
/// closing handshake may still run.
pub(crate) struct Thread(Option<JoinHandle<()>>);

impl Thread {
    pub(crate) fn spawn(driver: impl Future<Output = ()> + Send + 'static) -> io::Result<Self> {
        // A panic in a callback of the program ends only this thread. The driver is dropped, which closes the client.
        let run = || async_io::block_on(driver);
        let thread = thread::Builder::new().name("dcrf-blocking".to_owned()).spawn(run)?;
        Ok(Self(Some(thread)))
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        let Some(thread) = self.0.take() else { return };
        // A callback, such as a policy, may drop the last handle on this thread, which can't join itself.
        if thread.thread().id() != thread::current().id() {
            // The panic hook has already reported a panic.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;

    #[test]
    fn drop_waits_for_the_end_of_the_thread() {
        static HAS_ENDED: AtomicBool = AtomicBool::new(false);
        let thread = Thread::spawn(async {
            async_io::Timer::after(Duration::from_millis(50)).await;
            HAS_ENDED.store(true, Ordering::SeqCst);
        });
        drop(thread.expect("a thread"));
        assert!(HAS_ENDED.load(Ordering::SeqCst));
    }

    #[test]
    fn drop_on_the_thread_itself_does_not_wait() {
        let (sender, receiver) = channel::<Thread>();
        let (done_sender, done_receiver) = channel();
        let receiver = Mutex::new(receiver);
        let thread = Thread::spawn(async move {
            drop(receiver.lock().expect("not poisoned").recv());
            done_sender.send(()).expect("the test waits");
        });
        sender.send(thread.expect("a thread")).expect("the thread waits");
        assert_eq!(done_receiver.recv(), Ok(()));
    }

    #[test]
    fn drop_does_not_pass_on_a_panic() {
        let thread = Thread::spawn(async { panic!("expected in the output of this test") });
        drop(thread.expect("a thread"));
    }
}
