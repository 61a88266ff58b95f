//! Who polls the driver of a client: its thread, or a call that has something to send, on the thread of the caller.

use std::cell::Cell;
use std::io;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, JoinHandle, ThreadId};

use futures_lite::future::poll_fn;

/// What moves a client's frames.
pub(crate) struct Driver {
    /// None once it has ended.
    future: Mutex<Option<Pin<Box<dyn Future<Output = ()> + Send>>>>,
    /// Held for a moment only, and never while something is polled or woken.
    state: Mutex<Option<Polled>>,
    /// Wakes the thread, which polls at once when it begins.
    thread: OnceLock<Waker>,
}

thread_local! {
    /// Whether this thread begins a call, which polls the first driver that it wakes.
    static BEGINS: Cell<bool> = const { Cell::new(false) };
}

/// Begins a call, which sends what it has to send: to wake the thread for that would take longer. The turn is not taken
/// before there is something, since a subscriber of `tracing` may be called first, and wait for what it likes.
pub(crate) fn begin<T>(call: impl FnOnce() -> T) -> T {
    struct Beginning;
    impl Drop for Beginning {
        fn drop(&mut self) {
            BEGINS.set(false);
        }
    }
    BEGINS.set(true);
    let _beginning = Beginning;
    call()
}

/// The driver is polled.
struct Polled {
    by: ThreadId,
    /// It was woken meanwhile, and is to be polled once more.
    is_woken: bool,
}

/// The right to poll. When it ends the thread goes on with what is left.
struct Turn<'a>(&'a Arc<Driver>);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let polled = self.0.state().take();
        if polled.is_some_and(|polled| polled.is_woken) {
            self.0.wake_thread();
        }
    }
}

/// How often a call polls a driver that is woken again: to send, and to wait for more from the socket.
const POLLS_PER_CALL: usize = 2;

impl Driver {
    pub(crate) fn new(driver: impl Future<Output = ()> + Send + 'static) -> Arc<Self> {
        let future: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(driver);
        let (state, thread) = (Mutex::new(None), OnceLock::new());
        Arc::new(Self { future: Mutex::new(Some(future)), state, thread })
    }

    /// In a call that has woken it, to send what that has to send.
    fn poll_in_call(self: &Arc<Self>) {
        let Some(_turn) = self.take_turn() else { return };
        for _ in 0..POLLS_PER_CALL {
            if self.poll().is_ready() || !self.was_woken() {
                return;
            }
        }
        // The rest is the thread's, once the turn has ended.
        self.wake_by_ref();
    }

    /// On its thread.
    fn poll_on_thread(self: &Arc<Self>, cx: &Context<'_>) -> Poll<()> {
        self.thread.get_or_init(|| cx.waker().clone());
        match self.take_turn() {
            Some(_turn) => self.poll(),
            // It is woken when that turn ends.
            None => Poll::Pending,
        }
    }

    fn poll(self: &Arc<Self>) -> Poll<()> {
        let mut future = self.future.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(driver) = &mut *future {
            let waker = Waker::from(self.clone());
            let poll = || driver.as_mut().poll(&mut Context::from_waker(&waker));
            if let Ok(Poll::Pending) = catch_unwind(AssertUnwindSafe(poll)) {
                return Poll::Pending;
            }
        }
        // It has ended, maybe by a panic of one of the program's functions, which is none of the call's. The thread is to
        // notice it.
        *future = None;
        self.wake_by_ref();
        Poll::Ready(())
    }

    /// There is one if nobody else has it. Who has it sees to what this one came for.
    fn take_turn(self: &Arc<Self>) -> Option<Turn<'_>> {
        let mut state = self.state();
        if let Some(polled) = &mut *state {
            polled.is_woken = true;
            return None;
        }
        *state = Some(Polled { by: thread::current().id(), is_woken: false });
        Some(Turn(self))
    }

    fn was_woken(&self) -> bool {
        self.state().as_mut().is_some_and(|polled| mem::take(&mut polled.is_woken))
    }

    fn is_polled_here(&self) -> bool {
        self.state().as_ref().is_some_and(|polled| polled.by == thread::current().id())
    }

    fn wake_thread(&self) {
        self.thread.get().into_iter().for_each(Waker::wake_by_ref);
    }

    fn state(&self) -> MutexGuard<'_, Option<Polled>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Driver {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // A call that panics wakes whom it would have woken, but what made it panic is not to meet the driver.
        if BEGINS.take() && !thread::panicking() {
            return self.poll_in_call();
        }
        let is_polled = self.state().as_mut().map(|polled| polled.is_woken = true).is_some();
        if !is_polled {
            self.wake_thread();
        }
    }
}

/// The thread of a client. Whoever drops this waits for its end: the client is closed by then, and a closing handshake
/// takes a second at most.
pub(crate) struct Thread {
    driver: Arc<Driver>,
    thread: Option<JoinHandle<()>>,
}

impl Thread {
    pub(crate) fn spawn(driver: Arc<Driver>) -> io::Result<Self> {
        let its = driver.clone();
        let run = || async_io::block_on(poll_fn(move |cx| its.poll_on_thread(cx)));
        let thread = thread::Builder::new().name("dcrf-blocking".to_owned()).spawn(run)?;
        Ok(Self { driver, thread: Some(thread) })
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        // A function of the program that the driver runs, such as a policy, may hold the last handle.
        if !self.driver.is_polled_here() {
            // It does not panic: what it polls is caught.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc;

    use super::*;

    /// Tells by which thread it is polled, and ends when it is told to.
    struct Probe {
        waker: Waker,
        ends: Arc<AtomicBool>,
        polls: mpsc::Receiver<ThreadId>,
        _thread: Thread,
    }

    impl Drop for Probe {
        fn drop(&mut self) {
            // Whatever the test has come to: its thread is waited for.
            self.ends.store(true, Ordering::SeqCst);
            self.waker.wake_by_ref();
        }
    }

    /// A driver on its thread, which has polled it once.
    fn probe(end: fn()) -> Probe {
        let (told, polls) = mpsc::channel();
        let (tell_waker, waker) = mpsc::channel();
        let ends = Arc::new(AtomicBool::new(false));
        let is_to_end = ends.clone();
        let driver = Driver::new(poll_fn(move |cx| {
            // Nobody listens any more when the test has failed.
            let _ = tell_waker.send(cx.waker().clone());
            let _ = told.send(thread::current().id());
            if is_to_end.load(Ordering::SeqCst) {
                end();
                return Poll::Ready(());
            }
            Poll::Pending
        }));
        let thread = Thread::spawn(driver.clone()).expect("a thread");
        let waker = waker.recv().expect("it is polled");
        let own = polls.recv().expect("it is polled");
        assert_ne!(own, thread::current().id());
        while driver.state().is_some() {
            thread::yield_now();
        }
        Probe { waker, ends, polls, _thread: thread }
    }

    impl Probe {
        fn begin(&self) {
            begin(|| self.waker.wake_by_ref());
        }
    }

    #[test]
    fn a_call_polls_what_it_wakes_and_nothing_else() {
        let probe = probe(|| ());
        probe.begin();
        assert_eq!(probe.polls.try_recv(), Ok(thread::current().id()));
        begin(|| ());
        assert!(probe.polls.try_recv().is_err());
    }

    #[test]
    fn outside_of_a_call_the_thread_polls() {
        let probe = probe(|| ());
        probe.waker.wake_by_ref();
        assert_ne!(probe.polls.recv(), Ok(thread::current().id()));
    }

    #[test]
    fn what_a_call_does_first_holds_nobody_up() {
        let probe = probe(|| ());
        begin(|| {
            // As a subscriber of `tracing` may, that waits for another thread which uses the client.
            let waker = probe.waker.clone();
            let other = thread::spawn(move || {
                waker.wake();
                thread::current().id()
            });
            let by = probe.polls.recv().expect("it is polled");
            assert_ne!(by, thread::current().id());
            assert_ne!(by, other.join().expect("it does not panic"));
        });
    }

    #[test]
    fn a_call_that_panics_polls_nothing() {
        struct Wakes(Waker);
        impl Drop for Wakes {
            fn drop(&mut self) {
                self.0.wake_by_ref();
            }
        }
        let probe = probe(|| ());
        let failed = catch_unwind(AssertUnwindSafe(|| {
            begin(|| {
                let _wakes = Wakes(probe.waker.clone());
                panic!("as a subscriber may")
            })
        }));
        assert!(failed.is_err());
        let by = probe.polls.recv().expect("it is polled");
        assert_ne!(by, thread::current().id());
    }

    #[test]
    fn a_call_that_panics_is_over() {
        let probe = probe(|| ());
        let failed = catch_unwind(|| begin(|| panic!("as a subscriber may")));
        assert!(failed.is_err());
        probe.waker.wake_by_ref();
        assert_ne!(probe.polls.recv(), Ok(thread::current().id()));
    }

    #[test]
    fn the_thread_goes_on_with_what_a_call_leaves() {
        let (told, polls) = mpsc::channel();
        let driver = Driver::new(poll_fn(move |cx| {
            let _ = told.send((thread::current().id(), cx.waker().clone()));
            // It has always more to do.
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        }));
        let waker = Waker::from(driver.clone());
        begin(|| waker.wake_by_ref());
        let by: Vec<_> = polls.try_iter().map(|(by, _)| by).collect();
        assert_eq!(by, [thread::current().id(); POLLS_PER_CALL]);
        // Nobody waits for its end: it has none.
        mem::forget(Thread::spawn(driver).expect("a thread"));
        for _ in 0..3 {
            let (by, _) = polls.recv().expect("it is polled");
            assert_ne!(by, thread::current().id());
        }
    }

    #[test]
    fn what_ends_in_a_call_ends_the_thread() {
        for end in [|| (), || panic!("as a policy may")] {
            let probe = probe(end);
            probe.ends.store(true, Ordering::SeqCst);
            probe.begin();
            assert_eq!(probe.polls.recv(), Ok(thread::current().id()));
            // The sender is gone with the future.
            probe.begin();
            assert!(probe.polls.recv().is_err());
            // And here its thread is waited for.
        }
    }

    #[test]
    fn many_calls_at_once_are_all_seen_to() {
        let (done, asked) = (Mutex::new(0), Arc::new(Mutex::new((0, None::<Waker>))));
        let asks = asked.clone();
        let (answers, answered) = mpsc::channel();
        let driver = Driver::new(poll_fn(move |cx| {
            let mut asks = asks.lock().expect("it is whole");
            for _ in 0..mem::take(&mut asks.0) {
                let _ = answers.send(());
            }
            asks.1 = Some(cx.waker().clone());
            Poll::<()>::Pending
        }));
        // Nobody waits for its end: it has none.
        mem::forget(Thread::spawn(driver.clone()).expect("a thread"));
        let answered = Mutex::new(answered);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..2_000 {
                        begin(|| {
                            let mut asked = asked.lock().expect("it is whole");
                            asked.0 += 1;
                            let waker = asked.1.take();
                            drop(asked);
                            waker.into_iter().for_each(Waker::wake);
                        });
                        // One for each that has asked.
                        answered.lock().expect("it is whole").recv().expect("it is answered");
                        *done.lock().expect("it is whole") += 1;
                    }
                });
            }
        });
        assert_eq!(done.into_inner().expect("it is whole"), 8_000);
    }
}
