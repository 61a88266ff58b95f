//! The task that looks for something, and waits in a place where there is nothing.

use std::mem;
use std::task::{Poll, Waker};

/// To clone and to drop a waker runs code of the executor, and of the user where its task owns handles, so that happens
/// while the lock is free: the task looks first, and only once it is to wait its waker is cloned, and it looks again.
pub(super) struct Task<'a> {
    waker: &'a Waker,
    /// To be put into a place.
    cloned: Option<Waker>,
    /// What was in a place before, to be dropped.
    removed: Option<Waker>,
    /// It was to wait, and had no waker to be put there.
    is_to_look_again: bool,
}

impl<'a> Task<'a> {
    pub(super) fn new(waker: &'a Waker) -> Self {
        Self { waker, cloned: None, removed: None, is_to_look_again: false }
    }

    /// There was nothing: has the task woken by who takes the waker from this place.
    pub(super) fn waits<T>(&mut self, place: &mut Option<Waker>) -> Poll<T> {
        if !place.as_ref().is_some_and(|known| known.will_wake(self.waker)) {
            match self.cloned.take() {
                Some(waker) => self.removed = place.replace(waker),
                None => self.is_to_look_again = true,
            }
        }
        Poll::Pending
    }

    /// Has a waker dropped once the lock is released.
    pub(super) fn drops(&mut self, waker: Option<Waker>) {
        self.removed = waker;
    }

    /// Prepares for the next look, if there is to be one. The lock is free.
    pub(super) fn looks_again(&mut self) -> bool {
        let again = mem::take(&mut self.is_to_look_again);
        if again {
            self.cloned = Some(self.waker.clone());
        }
        again
    }
}
