//! The changes that wait for one subscription's reader: bounded, the oldest give way and are counted
//! (S11).

use std::collections::VecDeque;

use crate::config::Limit;
use crate::event::{Change, Gap};

#[derive(Debug, Default)]
pub(crate) struct Inbox {
    changes: VecDeque<Change>,
    bytes: usize,
    /// How many changes were dropped before the first that is left.
    lagged: u64,
    /// The last gap among those dropped: a gap is never lost (S5).
    lagged_gap: Option<Gap>,
}

impl Inbox {
    /// Adds a change, and says how many older ones gave way.
    pub(crate) fn push(&mut self, change: Change, limit: Limit) -> u64 {
        self.bytes += size(&change);
        self.changes.push_back(change);
        let before = self.lagged;
        while self.changes.len() > limit.count.max(1)
            || (self.bytes > limit.bytes && self.changes.len() > 1)
        {
            self.drop_oldest();
        }
        self.lagged - before
    }

    fn drop_oldest(&mut self) {
        let Some(change) = self.changes.pop_front() else { return };
        self.bytes -= size(&change);
        match change {
            Change::Gap(gap) => self.lagged_gap = Some(gap),
            _ => self.lagged += 1,
        }
    }

    pub(crate) fn pop(&mut self) -> Option<Change> {
        if self.lagged > 0 {
            return Some(Change::Lagged(std::mem::take(&mut self.lagged)));
        }
        if let Some(gap) = self.lagged_gap.take() {
            return Some(Change::Gap(gap));
        }
        let change = self.changes.pop_front()?;
        self.bytes -= size(&change);
        // A buffer that a burst has grown is given back once it is empty.
        if self.changes.is_empty() && self.changes.capacity() > 64 {
            self.changes = VecDeque::new();
        }
        Some(change)
    }
}

fn size(change: &Change) -> usize {
    match change {
        Change::Create(data) | Change::Update(data) => data.len(),
        Change::Delete(deleted) => deleted.data.len(),
        Change::Refused(refusal) => {
            length(refusal.action.as_deref()) + refusal.errors.len() + refusal.data.len()
        }
        Change::Other { action, payload } => length(action.as_deref()) + payload.len(),
        Change::Gap(_) | Change::Lagged(_) => 0,
    }
}

fn length(action: Option<&str>) -> usize {
    action.map_or(0, str::len)
}
