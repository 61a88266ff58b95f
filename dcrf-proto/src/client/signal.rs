//! Whether a socket has something to read: it is looked at when it says so, and not each time that the driver has
//! something else to do. On a runtime that does not remember, each look is a system call.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

/// Raised by the socket's waker, which wakes the driver too.
#[derive(Default)]
pub(super) struct Signal {
    raised: AtomicBool,
    /// Until it has been woken: it says so anew each time that it is polled.
    driver: Mutex<Option<Waker>>,
}

impl Signal {
    /// Has this one woken when the signal is raised.
    pub(super) fn wakes(&self, driver: &Waker) {
        if !self.driver().as_ref().is_some_and(|known| known.will_wake(driver)) {
            // To clone and to drop a waker runs code of the executor, which the lock is not held for.
            let driver = driver.clone();
            let before = self.driver().replace(driver);
            drop(before);
        }
    }

    fn driver(&self) -> MutexGuard<'_, Option<Waker>> {
        self.driver.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn raise(&self) {
        self.raised.store(true, Ordering::Release);
    }

    /// Whether it was raised since it was asked last.
    pub(super) fn take(&self) -> bool {
        self.raised.swap(false, Ordering::Acquire)
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.raise();
        let driver = self.driver().take();
        driver.into_iter().for_each(Waker::wake);
    }
}
