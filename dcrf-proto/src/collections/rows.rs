//! The rows of a store, by key and by the order of their last changes.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use slab::Slab;

use super::index::Index;
use super::row_key::RowKey;
use super::version::Version;
use crate::arena::make_room;
use crate::buffer::Held;
use crate::protocol::json::Json;

/// A row decoded by a reader, for all readers of its type.
pub(crate) type Decoded = Arc<dyn Any + Send + Sync>;

/// The place of a row.
pub(super) type Slot = u32;

/// How many changes are kept before the first look for those that no reader needs.
const FEW: usize = 64;

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
}

/// Rows by key, and the changes that some reader has not read. Of these, only the last one of a row counts: a reader that
/// remembers the last revision it has seen finds each row that has changed since, once (V9).
pub(super) struct Rows {
    slots: Slab<Row>,
    by_key: Index,
    /// From the oldest to the newest. The row of an older change has another revision by now.
    changes: Vec<(u64, Slot)>,
    /// How many changes there may be before those that no reader needs are forgotten.
    most_changes: usize,
    revision: u64,
    held: Held,
    /// Of rows that have one. In a table of its own, because most collections have none.
    versions: BTreeMap<Slot, Version>,
}

impl Rows {
    pub(super) fn new() -> Self {
        Self {
            slots: Slab::new(),
            by_key: Index::default(),
            changes: Vec::new(),
            most_changes: FEW,
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
        self.by_key.get(key)
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
        self.by_key.slots().filter_map(|slot| Some((slot, self.get(slot)?)))
    }

    /// The rows in the order of their last changes.
    pub(super) fn by_change(&self) -> impl Iterator<Item = &Row> {
        let mut rows: Vec<&Row> = self.slots.iter().map(|(_, row)| row).collect();
        rows.sort_unstable_by_key(|row| row.revision);
        rows.into_iter()
    }

    /// The rows that have changed since a revision that a reader has seen, in the order of their last changes.
    pub(super) fn since(&self, revision: u64) -> impl Iterator<Item = &Row> {
        let newer = self.changes.iter().rev().take_while(|(change, _)| *change > revision).count();
        let (_, changes) = self.changes.split_at(self.changes.len() - newer);
        changes
            .iter()
            .filter_map(|(change, slot)| self.get(*slot).filter(|row| row.revision == *change))
    }

    /// Whether to look for changes that no reader needs.
    pub(super) fn has_many_changes(&self) -> bool {
        self.changes.len() >= self.most_changes
    }

    /// Forgets the changes that every reader has read, and those that later ones have replaced.
    pub(super) fn forget_changes(&mut self, seen: u64) {
        let slots = &self.slots;
        self.changes.retain(|(change, slot)| {
            *change > seen && slots.get(*slot as usize).is_some_and(|row| row.revision == *change)
        });
        self.most_changes = FEW.max(2 * self.changes.len());
        self.changes.shrink_to(self.most_changes);
    }

    /// Sets or removes a row: a change that readers see.
    pub(super) fn set(&mut self, slot: Slot, json: Option<Json>) {
        self.revision += 1;
        let revision = self.revision;
        if let Some(row) = self.slots.get_mut(slot as usize) {
            let before = held(row);
            row.json = json;
            row.decoded = None;
            row.revision = revision;
            self.held.change(before, held(row));
        }
        self.changes.push((revision, slot));
    }

    /// Makes places for the first rows.
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
        });
        Slot::try_from(slot).expect("limits keep a store below 2^32 rows")
    }

    /// Forgets a row that was removed.
    pub(super) fn forget(&mut self, slot: Slot) {
        if let Some(row) = self.slots.try_remove(slot as usize) {
            self.held.change(held(&row), Held::default());
            self.by_key.remove(&row.key);
            self.versions.remove(&slot);
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
