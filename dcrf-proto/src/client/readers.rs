//! Who reads what comes without end: they wait, are woken, and get their turn before a burst overruns them.

use std::collections::HashSet;
use std::task::{Poll, Waker};

use rustc_hash::FxBuildHasher;

use super::task::Task;
use crate::id::{ListenerKey, OwnMap, ReplyStreamKey, SubscriptionKey};

/// What is read once the session has told that there is something.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Readable {
    Subscription(SubscriptionKey),
    Replies(ReplyStreamKey),
    Listener(ListenerKey),
}

#[derive(Default)]
pub(super) struct Readers {
    waiting: OwnMap<Readable, Option<Waker>>,
    /// Those that were woken and have not looked since.
    expected: HashSet<Readable, FxBuildHasher>,
}

impl Readers {
    /// A reader looks whether there is something.
    pub(super) fn looks(&mut self, readable: Readable) {
        if !self.expected.is_empty() {
            self.expected.remove(&readable);
        }
    }

    /// There was nothing: has the reader woken by what comes next.
    pub(super) fn wait<T>(&mut self, readable: Readable, task: &mut Task<'_>) -> Poll<T> {
        task.waits(self.waiting.entry(readable).or_default())
    }

    /// There is something to read.
    pub(super) fn wake(&mut self, readable: Readable) -> Option<Waker> {
        let waker = self.waiting.remove(&readable)??;
        self.expected.insert(readable);
        Some(waker)
    }

    /// The reader is gone.
    pub(super) fn forget(&mut self, readable: Readable) -> Option<Waker> {
        self.expected.remove(&readable);
        self.waiting.remove(&readable)?
    }

    pub(super) fn forget_all(&mut self) -> impl Iterator<Item = Waker> {
        self.waiting.drain().filter_map(|(_, waker)| waker)
    }

    /// Whether somebody was woken whose turn has not come yet.
    pub(super) fn are_expected(&self) -> bool {
        !self.expected.is_empty()
    }

    /// Who has not looked by now has something else to do.
    pub(super) fn expect_nobody(&mut self) {
        self.expected.clear();
    }
}
