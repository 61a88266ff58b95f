//! The changes that wait for a reader who needs the newest of each object: when there are too many, those
//! give way first that a newer change of the same key follows (S11).
//!
//! No operation looks at more than a few of the changes, however many wait.

use std::collections::{BTreeMap, BTreeSet};

use crate::buffer::{Held, Measure};
use crate::config::Limit;
use crate::event::{Change, Gap};
use crate::protocol::pk::Pk;

#[derive(Debug, Default)]
pub(super) struct Conflation {
    /// By their numbers, which count in the server's order.
    entries: BTreeMap<u64, Entry>,
    next_number: u64,
    /// Of each key that waits, the number of its newest change. A tree, and not a hash map, since the server
    /// chooses the keys.
    newest: BTreeMap<Pk, u64>,
    /// The numbers of those that a newer change of their key follows.
    superseded: BTreeSet<u64>,
    bytes: usize,
    /// How many changes were dropped before the first that is left.
    lagged: u64,
    /// The gap behind the last change.
    gap: Option<Gap>,
}

#[derive(Debug)]
struct Entry {
    /// The gap before this change. It goes to the next one when this one gives way, since a gap is never lost
    /// (S5); so there are never more of them than changes, and they need no limit.
    gap: Option<Gap>,
    change: Change,
    key: Option<Pk>,
}

/// How many changes gave way to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct GaveWay {
    /// The oldest, of which the reader is told.
    pub(crate) lagged: u64,
    /// Those with a newer one of their key.
    pub(crate) superseded: u64,
}

impl Conflation {
    /// Adds a change, and says how many others gave way.
    pub(super) fn push(&mut self, change: Change, key: Option<Pk>, limit: Limit) -> GaveWay {
        if let Change::Gap(gap) = change {
            self.gap = Some(gap);
            return GaveWay::default();
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

    fn make_room(&mut self, limit: Limit) -> GaveWay {
        let mut gave_way = GaveWay::default();
        while self.entries.len() > limit.count.max(1)
            || (self.bytes > limit.bytes && self.entries.len() > 1)
        {
            if let Some(&number) = self.superseded.first() {
                self.remove(number);
                gave_way.superseded += 1;
            } else if let Some((&number, _)) = self.entries.first_key_value() {
                self.remove(number);
                gave_way.lagged += 1;
            }
        }
        self.lagged += gave_way.lagged;
        gave_way
    }

    /// Takes a change out of every table.
    fn remove(&mut self, number: u64) -> Option<Change> {
        let Entry { gap, change, key } = self.entries.remove(&number)?;
        self.bytes -= change.bytes();
        if let (false, Some(key)) = (self.superseded.remove(&number), key) {
            self.newest.remove(&key);
        }
        if gap.is_some() {
            let next = self.entries.range_mut(number..).next();
            let place = next.map_or(&mut self.gap, |(_, entry)| &mut entry.gap);
            // Of two gaps with nothing between, the later one is told.
            *place = place.take().or(gap);
        }
        Some(change)
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
