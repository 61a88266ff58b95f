//! Whom to wake once the lock is released.

use std::task::Waker;

/// Woken when they are dropped at the latest: what is told when the lock is released goes to a subscriber of `tracing`,
/// which may panic, and nobody else would wake them.
#[derive(Default)]
pub(super) struct Wakers {
    /// A command wakes one, the driver, and that without an allocation.
    first: Option<Waker>,
    others: Vec<Waker>,
}

impl Wakers {
    pub(super) fn wake(&mut self) {
        self.first.take().into_iter().chain(self.others.drain(..)).for_each(Waker::wake);
    }
}

impl Extend<Waker> for Wakers {
    fn extend<I: IntoIterator<Item = Waker>>(&mut self, wakers: I) {
        let mut wakers = wakers.into_iter();
        if self.first.is_none() {
            self.first = wakers.next();
        }
        self.others.extend(wakers);
    }
}

impl Drop for Wakers {
    fn drop(&mut self) {
        self.wake();
    }
}
