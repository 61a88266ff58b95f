//! Whether a socket has something to read: it is looked at when it says so, and not each time that the driver has
//! something else to do. On a runtime that does not remember, each look is a system call.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};

/// Raised by the socket's waker, which wakes the driver too.
pub(super) struct Signal {
    raised: AtomicBool,
    driver: Mutex<Waker>,
}

impl Signal {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { raised: AtomicBool::new(false), driver: Mutex::new(Waker::noop().clone()) })
    }

    /// Has this one woken when the signal is raised.
    pub(super) fn wakes(&self, driver: &Waker) {
        let mut known = self.driver.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.will_wake(driver) {
            let before = std::mem::replace(&mut *known, driver.clone());
            drop(known);
            // Its drop may run code of the executor.
            drop(before);
        }
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
        let driver = self.driver.lock().unwrap_or_else(PoisonError::into_inner).clone();
        driver.wake();
    }
}
