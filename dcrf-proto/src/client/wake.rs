//! Wakers: which tasks wait, and how to wake them without holding the client's lock.

use std::collections::HashSet;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Wake, Waker};

use rustc_hash::FxBuildHasher;

use crate::contain::contain;
use crate::id::{CollectionKey, ListenerKey, OwnMap, ReplyStreamKey, SubscriptionKey};

/// The waker of a task. To wake it or to drop it runs code of the executor or the program. If that panics, only this task
/// misses its wake.
pub(super) struct TaskWaker(Waker);

impl TaskWaker {
    pub(super) fn wake(mut self) {
        let waker = self.take();
        contain(|| waker.wake());
    }

    fn take(&mut self) -> Waker {
        mem::replace(&mut self.0, Waker::noop().clone())
    }
}

impl Drop for TaskWaker {
    fn drop(&mut self) {
        let waker = self.take();
        contain(|| drop(waker));
    }
}

/// The wakers to wake after the lock is released. Dropping it wakes them too.
#[derive(Default)]
pub(super) struct Wakers {
    /// A command wakes only the driver; this slot saves the allocation.
    first: Option<TaskWaker>,
    others: Vec<TaskWaker>,
}

impl Wakers {
    pub(super) fn wake(&mut self) {
        self.first.take().into_iter().chain(self.others.drain(..)).for_each(TaskWaker::wake);
    }
}

impl Extend<TaskWaker> for Wakers {
    fn extend<I: IntoIterator<Item = TaskWaker>>(&mut self, wakers: I) {
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

/// The task that polls under the lock.
///
/// Cloning or dropping a waker can run code of the executor or the user, so neither happens under the lock. The first
/// poll has no clone to register. If it is pending, the waker is cloned without the lock, and the task polls again.
pub(super) struct Task<'a> {
    waker: &'a Waker,
    /// The clone to register.
    cloned: Option<TaskWaker>,
    /// A replaced waker, dropped after the lock is released.
    removed: Option<TaskWaker>,
    needs_clone: bool,
}

impl<'a> Task<'a> {
    pub(super) fn new(waker: &'a Waker) -> Self {
        Self { waker, cloned: None, removed: None, needs_clone: false }
    }

    /// Registers the task's waker in `slot`.
    pub(super) fn register<T>(&mut self, slot: &mut Option<TaskWaker>) -> Poll<T> {
        if !slot.as_ref().is_some_and(|known| known.0.will_wake(self.waker)) {
            match self.cloned.take() {
                Some(waker) => self.removed = slot.replace(waker),
                None => self.needs_clone = true,
            }
        }
        Poll::Pending
    }

    /// Drops `waker` after the lock is released.
    pub(super) fn defer_drop(&mut self, waker: Option<TaskWaker>) {
        self.removed = waker;
    }

    /// Clones the waker if the last poll needed it, and returns whether to poll again. Call it without the lock.
    pub(super) fn prepare_retry(&mut self) -> bool {
        let retry = mem::take(&mut self.needs_clone);
        if retry {
            self.cloned = Some(TaskWaker(self.waker.clone()));
        }
        retry
    }
}

/// The socket's waker: records that the socket is ready, and wakes the driver.
///
/// The driver polls the socket only after a signal. On some runtimes each poll is a system call.
#[derive(Default)]
pub(super) struct Signal {
    is_set: AtomicBool,
    /// Taken by a wake; the driver registers again each time that it is polled.
    driver: Mutex<Option<TaskWaker>>,
}

impl Signal {
    /// Registers the driver's waker.
    pub(super) fn register(&self, driver: &Waker) {
        if !self.driver().as_ref().is_some_and(|known| known.0.will_wake(driver)) {
            // Cloning or dropping a waker can run foreign code: do both without the lock.
            let driver = TaskWaker(driver.clone());
            let previous = self.driver().replace(driver);
            drop(previous);
        }
    }

    fn driver(&self) -> MutexGuard<'_, Option<TaskWaker>> {
        self.driver.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set(&self) {
        self.is_set.store(true, Ordering::Release);
    }

    /// Clears the signal, and returns whether it was set.
    pub(super) fn take(&self) -> bool {
        self.is_set.swap(false, Ordering::Acquire)
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.set();
        let driver = self.driver().take();
        driver.into_iter().for_each(TaskWaker::wake);
    }
}

/// A queue of the session that a task can read.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Readable {
    Subscription(SubscriptionKey),
    Replies(ReplyStreamKey),
    Listener(ListenerKey),
    Collection(CollectionKey),
}

/// The readers of subscriptions, replies and listeners.
///
/// It remembers which readers were woken, so that the driver can let them run before a burst overflows their buffers.
#[derive(Default)]
pub(super) struct Readers {
    waiting: OwnMap<Readable, Option<TaskWaker>>,
    /// Woken, and not polled since.
    woken: HashSet<Readable, FxBuildHasher>,
}

impl Readers {
    /// Records that the reader has polled.
    pub(super) fn mark_polled(&mut self, readable: Readable) {
        if !self.woken.is_empty() {
            self.woken.remove(&readable);
        }
    }

    /// Registers the reader's task.
    pub(super) fn register<T>(&mut self, readable: Readable, task: &mut Task<'_>) -> Poll<T> {
        task.register(self.waiting.entry(readable).or_default())
    }

    /// Takes the waker of a reader that has something to read.
    pub(super) fn wake(&mut self, readable: Readable) -> Option<TaskWaker> {
        let waker = self.waiting.remove(&readable)??;
        self.woken.insert(readable);
        Some(waker)
    }

    /// Removes a reader that was dropped or has ended.
    pub(super) fn remove(&mut self, readable: Readable) -> Option<TaskWaker> {
        self.woken.remove(&readable);
        self.waiting.remove(&readable)?
    }

    pub(super) fn drain(&mut self) -> impl Iterator<Item = TaskWaker> {
        self.waiting.drain().filter_map(|(_, waker)| waker)
    }

    /// Whether a woken reader has not polled yet.
    pub(super) fn has_woken(&self) -> bool {
        !self.woken.is_empty()
    }

    /// Stops waiting for readers that haven't polled.
    pub(super) fn clear_woken(&mut self) {
        self.woken.clear();
    }
}
