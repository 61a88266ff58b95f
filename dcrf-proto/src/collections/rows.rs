//! The rows of a store, by key and by the order of their last changes.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use slab::Slab;

use super::row_key::RowKey;
use super::version::Version;
use crate::arena::make_room;
use crate::buffer::Held;
use crate::protocol::json::Json;

/// A row decoded by a reader, for all readers of its type.
pub(crate) type Decoded = Arc<dyn Any + Send + Sync>;

/// The place of a row.
pub(super) type Slot = u32;

const NONE: Slot = Slot::MAX;

/// A row, or the memory of one that was removed.
pub(super) struct Row {
    pub(super) key: RowKey,
    /// `None` if the row was removed.
    pub(super) json: Option<Json>,
    pub(super) decoded: Option<Decoded>,
    /// Grows with each change of the store.
    pub(super) revision: u64,
    /// A reader that has seen less than this revision never had the row. `u64::MAX` if there never was one.
    pub(super) inserted: u64,
    older: Slot,
    newer: Slot,
}

/// Rows by key, linked from the oldest to the newest change. A change moves its row to the end, so a reader that remembers
/// the last revision it has seen finds each row that has changed since, once (V9).
pub(super) struct Rows {
    slots: Slab<Row>,
    // Servers choose the keys, so a hash table could be attacked.
    by_key: BTreeMap<RowKey, Slot>,
    newest: Slot,
    revision: u64,
    held: Held,
    /// Of rows that have one. In a table of its own, because most collections have none.
    versions: BTreeMap<Slot, Version>,
}

impl Rows {
    pub(super) fn new() -> Self {
        Self {
            slots: Slab::new(),
            by_key: BTreeMap::new(),
            newest: NONE,
            revision: 0,
            held: Held::default(),
            versions: BTreeMap::new(),
        }
    }

    /// The revision of the last change.
    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    /// The number and size of the rows that exist.
    pub(super) fn held(&self) -> Held {
        self.held
    }

    /// How many rows there are, with removed ones that are remembered.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn slot(&self, key: &RowKey) -> Option<Slot> {
        self.by_key.get(key).copied()
    }

    pub(super) fn find(&self, key: &RowKey) -> Option<(Slot, &Row)> {
        let slot = self.slot(key)?;
        Some((slot, self.get(slot)?))
    }

    pub(super) fn get(&self, slot: Slot) -> Option<&Row> {
        self.slots.get(slot as usize)
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut Row> {
        self.slots.get_mut(slot as usize)
    }

    pub(super) fn version(&self, slot: Slot) -> Option<&Version> {
        self.versions.get(&slot)
    }

    pub(super) fn set_version(&mut self, slot: Slot, version: Option<Version>) {
        match version {
            Some(version) => _ = self.versions.insert(slot, version),
            None => _ = self.versions.remove(&slot),
        }
    }

    /// All rows in the order of their keys, with removed ones that are remembered.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Slot, &Row)> {
        self.by_key.values().filter_map(|slot| Some((*slot, self.get(*slot)?)))
    }

    /// The rows that have changed since a revision, newest first.
    pub(super) fn since(&self, revision: u64) -> impl Iterator<Item = (Slot, &Row)> {
        let mut slot = self.newest;
        std::iter::from_fn(move || {
            let row = self.get(slot).filter(|row| row.revision > revision)?;
            let this = std::mem::replace(&mut slot, row.older);
            Some((this, row))
        })
    }

    /// Sets or removes a row: a change that readers see.
    pub(super) fn set(&mut self, slot: Slot, json: Option<Json>) {
        self.revision += 1;
        self.unlink(slot);
        let revision = self.revision;
        if let Some(row) = self.slots.get_mut(slot as usize) {
            let before = held(row);
            row.json = json;
            row.decoded = None;
            row.revision = revision;
            self.held.change(before, held(row));
        }
        self.link_newest(slot);
    }

    /// Makes places for the first rows. An index that is built at once takes half of the memory of one that has grown.
    pub(super) fn fill(&mut self, keys: Vec<RowKey>) {
        self.slots.reserve_exact(keys.len());
        let places: Vec<(RowKey, Slot)> =
            keys.into_iter().map(|key| (key.clone(), self.add(key))).collect();
        self.by_key = places.into_iter().collect();
    }

    /// The place of a new row, which is yet to be set.
    pub(super) fn insert(&mut self, key: RowKey) -> Slot {
        make_room(&mut self.slots);
        let slot = self.add(key.clone());
        self.by_key.insert(key, slot);
        slot
    }

    fn add(&mut self, key: RowKey) -> Slot {
        let slot = self.slots.insert(Row {
            key,
            json: None,
            decoded: None,
            revision: 0,
            inserted: u64::MAX,
            older: NONE,
            newer: NONE,
        });
        Slot::try_from(slot).expect("limits keep a store below 2^32 rows")
    }

    /// Forgets a row that was removed.
    pub(super) fn forget(&mut self, slot: Slot) {
        self.unlink(slot);
        if let Some(row) = self.slots.try_remove(slot as usize) {
            self.held.change(held(&row), Held::default());
            self.by_key.remove(&row.key);
            self.versions.remove(&slot);
        }
    }

    fn unlink(&mut self, slot: Slot) {
        let newest = self.newest;
        let Some(row) = self.get_mut(slot) else { return };
        let older = std::mem::replace(&mut row.older, NONE);
        let newer = std::mem::replace(&mut row.newer, NONE);
        if let Some(row) = self.get_mut(older) {
            row.newer = newer;
        }
        match self.get_mut(newer) {
            Some(row) => row.older = older,
            None if newest == slot => self.newest = older,
            None => {}
        }
    }

    fn link_newest(&mut self, slot: Slot) {
        let older = std::mem::replace(&mut self.newest, slot);
        if let Some(row) = self.get_mut(older) {
            row.newer = slot;
        }
        if let Some(row) = self.get_mut(slot) {
            row.older = older;
        }
    }
}

/// What a row counts for.
fn held(row: &Row) -> Held {
    row.json
        .as_ref()
        .map_or_else(Held::default, |json| Held { count: 1, bytes: json.held() + row.key.bytes() })
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows").field("len", &self.held.count).finish_non_exhaustive()
    }
}
