//! A buffer for readers that need only the newest change of each object: when it is full, changes that a newer one of the
//! same object supersedes are dropped first (S11).
//!
//! Each operation touches a few entries, however many are in the buffer.

use std::collections::{BTreeMap, BTreeSet};

use crate::buffer::{Held, Measure};
use crate::config::Limit;
use crate::event::{Change, Gap};
use crate::protocol::pk::Pk;

#[derive(Debug, Default)]
pub(super) struct Conflation {
    /// By sequence number, in the order of the server.
    entries: BTreeMap<u64, Entry>,
    next_number: u64,
    /// The number of the newest change of each key. A tree, since the server chooses the keys and could make a hash map
    /// degenerate.
    newest: BTreeMap<Pk, u64>,
    /// The numbers of the changes with a newer one of the same key.
    superseded: BTreeSet<u64>,
    bytes: usize,
    /// How many changes were dropped from the front.
    lagged: u64,
    /// The gap after the last change.
    gap: Option<Gap>,
}

#[derive(Debug)]
struct Entry {
    /// The gap before this change. If the change is dropped, the gap moves to the next one: a gap is never lost (S5). So
    /// there are no more gaps than changes, and they need no limit.
    gap: Option<Gap>,
    change: Change,
    key: Option<Pk>,
}

/// How many changes were dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct DroppedCount {
    /// Oldest changes, which the reader gets reported as lagged.
    pub(super) lagged: u64,
    /// Changes with a newer one of the same object.
    pub(super) superseded: u64,
}

impl Conflation {
    /// Adds a change, and counts the changes dropped for it.
    pub(super) fn push(&mut self, change: Change, key: Option<Pk>, limit: Limit) -> DroppedCount {
        if let Change::Gap(gap) = change {
            self.gap = Some(gap);
            return DroppedCount::default();
        }
        let number = self.next_number;
        self.next_number += 1;
        if let Some(key) = &key {
            let older = self.newest.insert(key.clone(), number);
            self.superseded.extend(older);
        }
        let gap = self.gap.take();
        self.bytes += change.bytes();
        self.entries.insert(number, Entry { gap, change, key });
        self.make_room(limit)
    }

    fn make_room(&mut self, limit: Limit) -> DroppedCount {
        let mut dropped = DroppedCount::default();
        while self.entries.len() > limit.count.max(1)
            || (self.bytes > limit.bytes && self.entries.len() > 1)
        {
            if let Some(&number) = self.superseded.first() {
                self.remove(number);
                dropped.superseded += 1;
            } else if let Some((&number, _)) = self.entries.first_key_value() {
                self.remove(number);
                dropped.lagged += 1;
            }
        }
        self.lagged += dropped.lagged;
        dropped
    }

    fn remove(&mut self, number: u64) -> Option<Change> {
        let Entry { gap, change, key } = self.entries.remove(&number)?;
        self.bytes -= change.bytes();
        if let (false, Some(key)) = (self.superseded.remove(&number), key) {
            self.newest.remove(&key);
        }
        if gap.is_some() {
            let next = self.entries.range_mut(number..).next();
            let slot = next.map_or(&mut self.gap, |(_, entry)| &mut entry.gap);
            // Two gaps without a change between them are one: the later.
            *slot = slot.take().or(gap);
        }
        Some(change)
    }

    pub(super) fn has_snapshot(&self) -> bool {
        self.entries.values().any(|entry| matches!(entry.change, Change::Snapshot(_)))
    }

    pub(super) fn held(&self) -> Held {
        Held { count: self.entries.len(), bytes: self.bytes }
    }

    pub(super) fn pop(&mut self) -> Option<Change> {
        if self.lagged > 0 {
            return Some(Change::Lagged(std::mem::take(&mut self.lagged)));
        }
        let Some(mut first) = self.entries.first_entry() else {
            return self.gap.take().map(Change::Gap);
        };
        if let Some(gap) = first.get_mut().gap.take() {
            return Some(Change::Gap(gap));
        }
        let number = *first.key();
        self.remove(number)
    }
}
