//! Who polls a client's driver: its background thread, or a call that has queued a request.
//!
//! A call sends its own request, because to wake the thread for it takes longer. The thread waits for the socket.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, JoinHandle, ThreadId};

use futures_lite::future::poll_fn;

/// A client's driver.
pub(crate) struct Driver {
    /// Never held while the driver is polled or a thread is woken.
    state: Mutex<State>,
    /// The waker of the background thread, set by its first poll.
    thread: OnceLock<Waker>,
}

struct State {
    /// `None` while it is polled, and after its end.
    future: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    polled_by: Option<ThreadId>,
    /// The threads that are queueing a request. Each polls the driver afterwards if it has woken it.
    callers: Vec<ThreadId>,
    /// Whether the driver was woken since its last poll began.
    is_woken: bool,
}

impl Driver {
    pub(crate) fn new(driver: impl Future<Output = ()> + Send + 'static) -> Arc<Self> {
        let future: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(driver);
        let (callers, polled_by) = (Vec::new(), None);
        let state = State { future: Some(future), polled_by, callers, is_woken: false };
        Arc::new(Self { state: Mutex::new(state), thread: OnceLock::new() })
    }

    /// Runs a call that queues a request, and sends the request.
    pub(crate) fn send<T>(self: &Arc<Self>, call: impl FnOnce() -> T) -> T {
        let caller = thread::current().id();
        self.state().callers.push(caller);
        let call_ends = Call { driver: self, caller };
        let result = call();
        drop(call_ends);
        if self.state().is_woken {
            let _: Poll<()> = self.poll();
        }
        result
    }

    /// Polls the driver. If another thread is polling it and it was woken meanwhile, that thread wakes the background
    /// thread afterwards.
    fn poll(self: &Arc<Self>) -> Poll<()> {
        let mut state = self.state();
        if state.polled_by.is_some() {
            return Poll::Pending;
        }
        let Some(mut driver) = state.future.take() else { return Poll::Ready(()) };
        state.polled_by = Some(thread::current().id());
        state.is_woken = false;
        drop(state);
        let waker = Waker::from(self.clone());
        let poll = move || match driver.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Pending => Some(driver),
            Poll::Ready(()) => None,
        };
        // A panic in a callback of the program ends the driver, which closes the client, but not the caller.
        let driver = catch_unwind(AssertUnwindSafe(poll)).unwrap_or_default();
        let has_ended = driver.is_none();
        let mut state = self.state();
        state.future = driver;
        state.polled_by = None;
        let is_woken = state.is_woken;
        drop(state);
        if is_woken || has_ended {
            self.wake_thread();
        }
        if has_ended { Poll::Ready(()) } else { Poll::Pending }
    }

    fn is_polled_here(&self) -> bool {
        self.state().polled_by == Some(thread::current().id())
    }

    fn wake_thread(&self) {
        self.thread.get().into_iter().for_each(Waker::wake_by_ref);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that queues a request.
struct Call<'a> {
    driver: &'a Driver,
    caller: ThreadId,
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        let mut state = self.driver.state();
        let last = state.callers.iter().rposition(|caller| *caller == self.caller);
        last.map(|index| state.callers.swap_remove(index));
        let is_woken = state.is_woken;
        drop(state);
        // A subscriber of `tracing` may panic in the call.
        if is_woken && thread::panicking() {
            self.driver.wake_thread();
        }
    }
}

impl Wake for Driver {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut state = self.state();
        state.is_woken = true;
        // The thread that polls, or the call, looks at `is_woken` next.
        let is_seen = state.polled_by.is_some() || state.callers.contains(&thread::current().id());
        drop(state);
        if !is_seen {
            self.wake_thread();
        }
    }
}

/// The thread of a client. Drop joins it, which takes a second at most: the client is already closed, and only the
/// closing handshake may still run.
pub(crate) struct Thread {
    driver: Arc<Driver>,
    thread: Option<JoinHandle<()>>,
}

impl Thread {
    pub(crate) fn spawn(driver: Arc<Driver>) -> io::Result<Self> {
        let polled = driver.clone();
        let run = poll_fn(move |cx| {
            polled.thread.get_or_init(|| cx.waker().clone());
            polled.poll()
        });
        let run = || async_io::block_on(run);
        let thread = thread::Builder::new().name("dcrf-blocking".to_owned()).spawn(run)?;
        Ok(Self { driver, thread: Some(thread) })
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        // A callback, such as a policy, may drop the last handle. The driver can't end before the callback returns.
        if !self.driver.is_polled_here() {
            // The thread does not panic: each poll catches panics.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    fn here() -> ThreadId {
        thread::current().id()
    }

    /// A driver that reports which thread polls it. Its thread has polled it once. It ends with its second poll if there
    /// is an `end`.
    fn start(end: Option<fn()>) -> (Arc<Driver>, Thread, Receiver<ThreadId>) {
        let (reports, polls) = channel();
        let mut polled = 0;
        let driver = Driver::new(poll_fn(move |_| {
            // After the test, nobody receives.
            let has_ended = reports.send(here()).is_err();
            polled += 1;
            match end {
                Some(end) if polled == 2 => {
                    end();
                    Poll::Ready(())
                }
                _ if has_ended => Poll::Ready(()),
                _ => Poll::Pending,
            }
        }));
        let thread = Thread::spawn(driver.clone()).expect("a thread");
        assert_ne!(polls.recv(), Ok(here()));
        while driver.state().polled_by.is_some() {
            thread::yield_now();
        }
        (driver, thread, polls)
    }

    /// Ends a driver that has no `end`, and joins its thread.
    fn stop((driver, thread, polls): (Arc<Driver>, Thread, Receiver<ThreadId>)) {
        drop(polls);
        driver.wake_by_ref();
        drop(thread);
    }

    #[test]
    fn a_call_polls_the_driver_that_it_wakes() {
        let (driver, thread, polls) = start(None);
        driver.send(|| driver.wake_by_ref());
        assert_eq!(polls.try_recv(), Ok(here()));
        driver.send(|| ());
        assert!(polls.try_recv().is_err());
        driver.wake_by_ref();
        assert_ne!(polls.recv(), Ok(here()), "outside of a call");
        stop((driver, thread, polls));
    }

    #[test]
    fn a_slow_call_holds_up_no_other_thread() {
        let (driver, thread, polls) = start(None);
        // A subscriber of `tracing` may wait for another thread that uses the client.
        driver.send(|| {
            let driver = driver.clone();
            let other = thread::spawn(move || driver.wake());
            assert_ne!(polls.recv(), Ok(here()));
            other.join().expect("no panic");
        });
        stop((driver, thread, polls));
    }

    #[test]
    fn the_thread_polls_after_a_call_that_panics() {
        let (driver, thread, polls) = start(None);
        let call = || {
            driver.send(|| {
                driver.wake_by_ref();
                panic!("expected in the output of this test")
            })
        };
        assert!(catch_unwind(AssertUnwindSafe(call)).is_err());
        assert_ne!(polls.recv(), Ok(here()));
        assert!(driver.state().callers.is_empty());
        stop((driver, thread, polls));
    }

    #[test]
    fn a_driver_that_ends_in_a_call_ends_its_thread() {
        for end in [|| (), || panic!("expected in the output of this test")] {
            let (driver, thread, polls) = start(Some(end));
            driver.send(|| driver.wake_by_ref());
            assert_eq!(polls.recv(), Ok(here()));
            drop(thread);
        }
    }

    #[test]
    fn drop_in_a_callback_does_not_wait_for_the_thread() {
        let (threads, thread) = channel::<Thread>();
        let (done, is_done) = channel();
        let driver = Driver::new(async move {
            drop(thread.recv().expect("the test sends it"));
            done.send(()).expect("the test waits");
        });
        threads.send(Thread::spawn(driver).expect("a thread")).expect("the driver waits");
        assert_eq!(is_done.recv(), Ok(()));
    }

    #[test]
    fn no_call_of_many_threads_is_lost() {
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        let (answers, answered) = channel();
        let driver = Driver::new(poll_fn(move |_| {
            let is_over = (0..ASKED.swap(0, Ordering::SeqCst)).any(|_| answers.send(()).is_err());
            if is_over { Poll::Ready(()) } else { Poll::Pending }
        }));
        let ask = || {
            ASKED.fetch_add(1, Ordering::SeqCst);
            driver.wake_by_ref();
        };
        let thread = Thread::spawn(driver.clone()).expect("a thread");
        let answered = Mutex::new(answered);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..2_000 {
                        driver.send(ask);
                        answered.lock().expect("not poisoned").recv().expect("an answer");
                    }
                });
            }
        });
        drop(answered);
        ask();
        drop(thread);
    }
}
