//! The local copy of a list: rows as JSON by key, what is remembered of removed ones, and what each reader has seen.
//!
//! A store does no I/O and knows no session. It is told what arrives, and decides what is newer.

mod listing;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use self::listing::Listing;
use super::batch::RowChange;
use super::row_key::RowKey;
use super::rows::{Decoded, Row, Rows, Slot};
use super::version::{ReadVersion, Version};
use crate::arena::Arena;
use crate::buffer::Held;
use crate::id::ReaderKey;
use crate::protocol::json::Json;

pub(crate) struct Store {
    rows: Rows,
    /// Removed rows that an update must not bring back until the next list (V3), and whether their versions are those of
    /// their last states.
    tombstones: BTreeMap<Slot, bool>,
    /// The number and size of their keys.
    buried: Held,
    /// Removed rows without a tombstone, which some reader may still have, by their revisions.
    vanished: BTreeMap<u64, Slot>,
    readers: Arena<ReaderKey, Reader>,
    read_version: Option<ReadVersion>,
    listing: Option<Listing>,
    /// How many rows were inserted or removed by changes.
    moves: u64,
}

#[derive(Debug)]
struct Reader {
    /// The last revision that it has read, once it has read.
    seen: Option<u64>,
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Applied {
    /// The row has changed.
    Changed,
    /// Nothing has changed: it is known, or older than what is known.
    Same,
    /// Only the server knows whether it is newer than what is known: retrieve the row.
    Doubtful,
}

/// Where a row comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// An event. It can be older than what is known.
    Event,
    /// An event of one of several feeds. A row that has left the group of another may have moved to this one.
    GroupEvent,
    /// The reply to a request that read or wrote the row.
    Reply,
}

/// A row as it is stored.
pub(crate) struct StoredRow {
    pub(crate) json: Json,
    /// Set once a reader has decoded it.
    pub(crate) decoded: Option<Decoded>,
    pub(crate) revision: u64,
}

impl fmt::Debug for StoredRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredRow").field("json", &self.json).finish_non_exhaustive()
    }
}

impl Store {
    pub(crate) fn new(read_version: Option<ReadVersion>) -> Self {
        Self {
            rows: Rows::new(),
            tombstones: BTreeMap::new(),
            buried: Held::default(),
            vanished: BTreeMap::new(),
            readers: Arena::new(),
            read_version,
            listing: None,
            moves: 0,
        }
    }

    /// The number and size of the rows, with those of a list that is under way.
    pub(crate) fn held(&self) -> Held {
        self.rows.held() + self.listing.as_ref().map(Listing::held).unwrap_or_default()
    }

    /// The number and size of the rows, or of those of the list that is to replace them, if they are more.
    pub(crate) fn size(&self) -> Held {
        let (rows, listing) = (self.rows.held(), self.listing_size());
        Held { count: rows.count.max(listing.count), bytes: rows.bytes.max(listing.bytes) }
    }

    fn listing_size(&self) -> Held {
        self.listing.as_ref().map(Listing::size).unwrap_or_default()
    }

    /// How many rows the list that is under way has so far.
    pub(crate) fn listed(&self) -> usize {
        self.listing_size().count
    }

    /// The number of rows.
    pub(crate) fn len(&self) -> usize {
        self.rows.held().count
    }

    /// How many removed rows are remembered until the next list, and the size of their keys.
    pub(crate) fn buried(&self) -> Held {
        self.buried
    }

    fn add_tombstone(&mut self, slot: Slot, is_exact: bool) {
        if self.tombstones.insert(slot, is_exact).is_none() {
            self.buried.change(Held::default(), self.key_size(slot));
        }
    }

    fn key_size(&self, slot: Slot) -> Held {
        Held { count: 1, bytes: self.rows.get(slot).map_or(0, |row| row.key.bytes()) }
    }

    /// Sets a row, unless it is older than what is known (V2, V3).
    pub(crate) fn upsert(&mut self, key: &RowKey, json: Json, origin: Origin) -> Applied {
        let version = self.read_version.as_ref().and_then(|read| read(&json));
        let slot = self.rows.slot(key);
        let known = slot.and_then(|slot| Some((slot, self.rows.get(slot)?)));
        if let Some((slot, row)) = known {
            let order = self.compare(version.as_ref(), slot);
            if order == Some(Ordering::Less) {
                return Applied::Same;
            }
            let tombstone = self.tombstones.get(&slot).filter(|_| origin != Origin::Reply);
            match (tombstone, order) {
                (Some(_), Some(Ordering::Equal)) if origin == Origin::Event => {
                    return Applied::Same;
                }
                (None, _) | (Some(true), Some(Ordering::Greater)) => {}
                (Some(_), _) => return Applied::Doubtful,
            }
            if row.json.as_ref() == Some(&json) {
                self.touch(key, Some(slot));
                return Applied::Same;
            }
        }
        self.moves += u64::from(known.is_none_or(|(_, row)| row.json.is_none()));
        self.touch(key, slot);
        let slot = slot.unwrap_or_else(|| self.rows.insert(key.clone()));
        self.set(slot, json, version);
        Applied::Changed
    }

    fn set(&mut self, slot: Slot, json: Json, version: Option<Version>) {
        self.unmark(slot);
        self.note_insert(slot);
        self.change(slot, Some(json));
        self.rows.set_version(slot, version);
    }

    /// Sets or removes a row, for all readers to read.
    fn change(&mut self, slot: Slot, json: Option<Json>) {
        self.rows.set(slot, json);
        if self.rows.has_many_changes() {
            self.rows.forget_changes(self.least_seen());
        }
    }

    /// A row is about to be set. If it is new to all readers, its removal will be nothing to those who never read it (V9).
    fn note_insert(&mut self, slot: Slot) {
        let Some(row) = self.rows.get(slot).filter(|row| row.json.is_none()) else { return };
        if row.inserted == u64::MAX || self.least_seen() >= row.revision {
            let next = self.rows.revision() + 1;
            if let Some(row) = self.rows.get_mut(slot) {
                row.inserted = next;
            }
        }
    }

    /// Removes a row, or only leaves a tombstone if there is none. `is_exact`: its version is that of its last state.
    fn bury(&mut self, key: &RowKey, is_exact: bool) -> (Slot, Applied) {
        let known = self.rows.slot(key);
        self.touch(key, known);
        let slot = known.unwrap_or_else(|| self.rows.insert(key.clone()));
        self.unmark(slot);
        let is_buried =
            known.is_some() && self.rows.get(slot).is_some_and(|row| row.json.is_none());
        if !is_buried {
            self.moves += 1;
            self.change(slot, None);
        }
        self.add_tombstone(slot, is_exact);
        let applied = if is_buried || known.is_none() { Applied::Same } else { Applied::Changed };
        (slot, applied)
    }

    /// Forgets why a removed row is remembered.
    fn unmark(&mut self, slot: Slot) {
        if self.tombstones.remove(&slot).is_some() {
            self.buried.change(self.key_size(slot), Held::default());
        }
        if !self.vanished.is_empty() {
            if let Some(row) = self.rows.get(slot) {
                self.vanished.remove(&row.revision);
            }
        }
    }

    /// Compares a version with that of a known row.
    fn compare(&self, version: Option<&Version>, slot: Slot) -> Option<Ordering> {
        version?.compare(self.rows.version(slot)?)
    }

    /// Removes a row and leaves a tombstone. `data` is the object that the event carries, if it carries one.
    pub(crate) fn remove(&mut self, key: &RowKey, data: Option<&Json>, origin: Origin) -> Applied {
        let version = self.read_version.as_ref().zip(data).and_then(|(read, data)| read(data));
        let known = self.rows.find(key);
        let order = known.and_then(|(slot, _)| self.compare(version.as_ref(), slot));
        let is_doubtful = match order {
            // The deleted object is older: it was stale in the process that deleted it, or it has come back since.
            Some(Ordering::Less) => true,
            Some(Ordering::Greater) => false,
            // It may have come to the group of another feed before it has left that of this one.
            Some(Ordering::Equal) | None => origin == Origin::GroupEvent,
        };
        if is_doubtful && known.is_some_and(|(_, row)| row.json.is_some()) {
            return Applied::Doubtful;
        }
        let (slot, applied) = self.bury(key, version.is_some() && order != Some(Ordering::Less));
        if order.is_none_or(Ordering::is_gt) && version.is_some() {
            self.rows.set_version(slot, version);
        }
        applied
    }

    /// The server says that a row does not exist.
    pub(crate) fn gone(&mut self, key: &RowKey) -> Applied {
        self.bury(key, false).1
    }

    /// Whether rows were inserted or removed since the listing began.
    pub(crate) fn has_moved(&self) -> bool {
        self.listing.as_ref().is_some_and(|listing| listing.moves != self.moves)
    }

    /// How many rows were inserted or removed by changes, ever.
    pub(crate) fn moves(&self) -> u64 {
        self.moves
    }

    pub(crate) fn is_removed(&self, key: &RowKey) -> bool {
        self.rows.find(key).is_some_and(|(_, row)| row.json.is_none())
    }

    /// Adds a reader. Its first batch is all rows (V10).
    pub(crate) fn add_reader(&mut self) -> ReaderKey {
        self.readers.insert_with(|_| Reader { seen: None })
    }

    pub(crate) fn remove_reader(&mut self, reader: ReaderKey) {
        self.readers.remove(reader);
        self.forget_vanished();
    }

    /// Whether a reader has not read the newest change.
    pub(crate) fn is_behind(&self, reader: ReaderKey) -> bool {
        let revision = self.rows.revision();
        self.readers
            .get(reader)
            .is_some_and(|reader| reader.seen.is_none_or(|seen| seen < revision))
    }

    /// The rows that have changed since the reader has read, in the order of their last changes. At first, all rows.
    pub(crate) fn read(&mut self, reader: ReaderKey) -> Vec<RowChange> {
        let revision = self.rows.revision();
        let Some(reader) = self.readers.get_mut(reader) else { return Vec::new() };
        let seen = reader.seen.replace(revision);
        // Most readers keep up, so one change is what they read.
        let mut changes = Vec::with_capacity(1);
        if let Some(seen) = seen {
            for row in self.rows.since(seen) {
                // A removed row that it never had is nothing to it.
                if row.json.is_some() || row.inserted <= seen {
                    changes.push(RowChange::new(&row.key, stored(row)));
                }
            }
        } else {
            let rows = self.rows.by_change().filter(|row| row.json.is_some());
            changes.extend(rows.map(|row| RowChange::new(&row.key, stored(row))));
        }
        self.forget_vanished();
        changes
    }

    pub(crate) fn get(&self, key: &RowKey) -> Option<StoredRow> {
        self.rows.find(key).and_then(|(_, row)| stored(row))
    }

    /// All rows, in the order of their keys.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&RowKey, StoredRow)> {
        self.rows.iter().filter_map(|(_, row)| Some((&row.key, stored(row)?)))
    }

    /// Keeps what a reader has decoded, unless the row has changed since.
    #[cfg(any(feature = "client", test))]
    pub(crate) fn set_decoded(&mut self, key: &RowKey, revision: u64, decoded: Decoded) {
        let Some((slot, _)) = self.rows.find(key) else { return };
        if let Some(row) = self.rows.get_mut(slot).filter(|row| row.revision == revision) {
            row.decoded = Some(decoded);
        }
    }

    /// Forgets the removed rows that every reader knows to be removed.
    fn forget_vanished(&mut self) {
        if self.vanished.is_empty() {
            return;
        }
        let seen = self.least_seen();
        while let Some(vanished) = self.vanished.first_entry().filter(|first| *first.key() <= seen)
        {
            self.rows.forget(vanished.remove());
        }
    }

    /// What every reader has read. One that has read nothing yet has no rows that could be removed.
    fn least_seen(&self) -> u64 {
        self.seen().min().unwrap_or(u64::MAX)
    }

    fn seen(&self) -> impl Iterator<Item = u64> {
        self.readers.iter().filter_map(|(_, reader)| reader.seen)
    }

    /// Forgets the removed rows that no reader has: those of a reader that stops reading are no more than it had.
    fn forget_unknown(&mut self) {
        if self.vanished.is_empty() {
            return;
        }
        let seen: Vec<u64> = self.seen().collect();
        let Self { rows, vanished, .. } = self;
        vanished.retain(|removed, slot| {
            let inserted = rows.get(*slot).map_or(u64::MAX, |row| row.inserted);
            let is_known = seen.iter().any(|seen| (inserted..*removed).contains(seen));
            if !is_known {
                rows.forget(*slot);
            }
            is_known
        });
    }
}

fn stored(row: &Row) -> Option<StoredRow> {
    let json = row.json.clone()?;
    Some(StoredRow { json, decoded: row.decoded.clone(), revision: row.revision })
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("rows", &self.rows)
            .field("readers", &self.readers.len())
            .field("is_listing", &self.is_listing())
            .finish_non_exhaustive()
    }
}
