//! A list that is built aside, and then replaces the rows (V5).

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use super::{Applied, Store};
use crate::buffer::Held;
use crate::collections::row_key::RowKey;
use crate::collections::rows::Slot;
use crate::protocol::json::Json;

#[derive(Default)]
pub(super) struct Listing {
    /// New and changed rows, in the order of the list. `None` where a later one has replaced it.
    rows: Vec<Option<(RowKey, Json)>>,
    /// Where they are in `rows`.
    places: BTreeMap<RowKey, usize>,
    held: Held,
    /// Rows that are as they were.
    unchanged: Slots,
    unchanged_size: Held,
    /// Where the next row of the list is, if it follows the one before as in the list before.
    next: Slot,
    /// Rows that have changed since the listing began.
    touched: BTreeSet<RowKey>,
    /// `Store::moves` when the listing began.
    pub(super) moves: u64,
}

impl Listing {
    /// What is kept beside the rows.
    pub(super) fn held(&self) -> Held {
        self.held
    }

    /// The number and size of the listed rows.
    pub(super) fn size(&self) -> Held {
        self.held + self.unchanged_size
    }

    fn insert(&mut self, key: RowKey, json: Json) {
        self.remove(&key);
        self.held.change(Held::default(), size(&key, &json));
        self.places.insert(key.clone(), self.rows.len());
        self.rows.push(Some((key, json)));
    }

    fn remove(&mut self, key: &RowKey) {
        let place = self.places.remove(key);
        let row = place.and_then(|place| self.rows.get_mut(place)?.take());
        if let Some((key, json)) = row {
            self.held.change(size(&key, &json), Held::default());
        }
    }

    fn set_unchanged(&mut self, slot: Slot, size: Held, is_unchanged: bool) {
        if self.unchanged.set(slot, is_unchanged) != is_unchanged {
            let (before, after) =
                if is_unchanged { (Held::default(), size) } else { (size, Held::default()) };
            self.unchanged_size.change(before, after);
        }
    }
}

/// What a row counts for.
fn size(key: &RowKey, json: &Json) -> Held {
    Held { count: 1, bytes: json.held() + key.bytes() }
}

/// A set of slots, one bit each.
#[derive(Default)]
struct Slots(Vec<u64>);

impl Slots {
    fn contains(&self, slot: Slot) -> bool {
        let word = self.0.get(slot as usize / 64);
        word.is_some_and(|word| word & (1 << (slot % 64)) != 0)
    }

    /// Returns whether the slot was in the set before.
    fn set(&mut self, slot: Slot, is_in: bool) -> bool {
        let before = self.contains(slot);
        if before != is_in {
            let at = slot as usize / 64;
            if at >= self.0.len() {
                self.0.resize(at + 1, 0);
            }
            self.0[at] ^= 1 << (slot % 64);
        }
        before
    }
}

/// What a list has changed.
#[derive(Debug, Default)]
pub(crate) struct Listed {
    /// How many rows were inserted, updated or removed.
    pub(crate) changed: usize,
    /// Rows that have changed during the list, where only the server knows which state is newer.
    pub(crate) doubtful: Vec<RowKey>,
}

impl Store {
    /// Begins to build a list aside. Changes from now on are applied behind it (V1).
    pub(crate) fn begin_listing(&mut self) {
        self.listing = Some(Listing { moves: self.moves, ..Listing::default() });
    }

    /// Applies what is older than the list that is under way, of which no row is known yet.
    pub(crate) fn before_listing<T>(&mut self, apply: impl FnOnce(&mut Self) -> T) -> T {
        let (listing, moves) = (self.listing.take(), self.moves);
        let applied = apply(self);
        self.listing = listing;
        if let Some(listing) = &mut self.listing {
            listing.moves += self.moves - moves;
        }
        applied
    }

    /// A list that fails removes nothing (V5).
    pub(crate) fn abandon_listing(&mut self) {
        self.listing = None;
    }

    pub(crate) fn is_listing(&self) -> bool {
        self.listing.is_some()
    }

    /// Adds the row at the start of `text` to the list, if it is the next one of the list before and has not changed.
    /// Returns its length.
    pub(crate) fn list_unchanged(&mut self, text: &str) -> Option<usize> {
        let listing = self.listing.as_mut()?;
        let slot = listing.next;
        let row = self.rows.get(slot)?;
        let json = row.json.as_ref().filter(|json| text.starts_with(json.as_str()))?;
        // No longer value begins with an object.
        if !json.as_str().ends_with('}') || listing.touched.contains(&row.key) {
            return None;
        }
        if !listing.places.is_empty() {
            listing.remove(&row.key);
        }
        listing.set_unchanged(slot, size(&row.key, json), true);
        listing.next = slot + 1;
        Some(json.as_str().len())
    }

    /// Adds a row to the list.
    pub(crate) fn list_row(&mut self, key: RowKey, row: &str) {
        let Some(listing) = &mut self.listing else { return };
        let Some(slot) = self.rows.slot(&key) else {
            return listing.insert(key, Json::from_checked(row));
        };
        listing.next = slot + 1;
        let known = self.rows.get(slot).and_then(|known| known.json.as_ref());
        match known {
            // What a row was before a change decides what the change is worth.
            Some(known) if known.as_str() == row && !listing.touched.contains(&key) => {
                listing.remove(&key);
                listing.set_unchanged(slot, size(&key, known), true);
            }
            known => {
                let before = known.map(|known| size(&key, known)).unwrap_or_default();
                listing.set_unchanged(slot, before, false);
                // An unchanged row is kept once.
                let same = known.filter(|known| known.as_str() == row).cloned();
                listing.insert(key, same.unwrap_or_else(|| Json::from_checked(row)));
            }
        }
    }

    /// A row changes. If there is a list under way, that matters to it.
    pub(super) fn touch(&mut self, key: &RowKey, slot: Option<Slot>) {
        let Some(listing) = &mut self.listing else { return };
        if !listing.touched.contains(key) {
            listing.touched.insert(key.clone());
        }
        let Some(slot) = slot.filter(|slot| listing.unchanged.contains(*slot)) else { return };
        if let Some(json) = self.rows.get(slot).and_then(|row| row.json.as_ref()) {
            listing.set_unchanged(slot, size(key, json), false);
            listing.insert(key.clone(), json.clone());
        }
    }

    /// The list has ended: replaces the rows by it, as a difference (V5). If it is not complete, rows that are not in it are
    /// in doubt.
    pub(crate) fn finish_listing(&mut self, is_complete: bool) -> Listed {
        let Some(listing) = self.listing.take() else { return Listed::default() };
        let mut listed = Listed::default();
        self.expire_tombstones(&listing.touched);
        let missing = self.missing(&listing);
        if is_complete {
            listed.changed += missing.len();
            self.remove_missing(missing);
        } else {
            let keys = missing.into_iter().filter_map(|slot| self.rows.get(slot));
            listed.doubtful.extend(keys.map(|row| row.key.clone()));
        }
        if self.rows.len() == 0 {
            let keys = listing.rows.iter().flatten().map(|(key, _)| key.clone());
            self.rows.fill(keys.collect());
        }
        for (key, json) in listing.rows.into_iter().flatten() {
            match self.apply_listed(&key, json, listing.touched.contains(&key)) {
                Applied::Changed => listed.changed += 1,
                Applied::Same => {}
                Applied::Doubtful => listed.doubtful.push(key),
            }
        }
        self.forget_unknown();
        listed
    }

    fn expire_tombstones(&mut self, touched: &BTreeSet<RowKey>) {
        let expired = std::mem::take(&mut self.tombstones);
        self.buried = Held::default();
        for (slot, is_exact) in expired {
            let Some(row) = self.rows.get(slot) else { continue };
            if touched.contains(&row.key) {
                self.add_tombstone(slot, is_exact);
            } else {
                // From now on, any state of the row is new.
                self.vanished.insert(row.revision, slot);
                self.rows.set_version(slot, None);
            }
        }
    }

    /// The rows that are not in the list.
    fn missing(&self, listing: &Listing) -> Vec<Slot> {
        if self.len() == listing.unchanged_size.count {
            return Vec::new();
        }
        let rows = self.rows.iter().filter(|(_, row)| row.json.is_some());
        let rows = rows.filter(|(slot, _)| !listing.unchanged.contains(*slot));
        let is_known = |key| listing.places.contains_key(key) || listing.touched.contains(key);
        rows.filter(|(_, row)| !is_known(&row.key)).map(|(slot, _)| slot).collect()
    }

    fn remove_missing(&mut self, missing: Vec<Slot>) {
        for slot in missing {
            self.change(slot, None);
            self.rows.set_version(slot, None);
            self.vanished.insert(self.rows.revision(), slot);
        }
    }

    /// Applies a row of the list. A row that has changed meanwhile is applied before its change.
    fn apply_listed(&mut self, key: &RowKey, json: Json, is_touched: bool) -> Applied {
        let slot = self.rows.slot(key);
        let known = slot.and_then(|slot| Some((slot, self.rows.get(slot)?)));
        if known.is_some_and(|(_, row)| row.json.as_ref() == Some(&json)) {
            return Applied::Same;
        }
        let version = self.read_version.as_ref().and_then(|read| read(&json));
        let known = known.filter(|(_, row)| row.json.is_some() || is_touched);
        let order = known.map(|(slot, _)| self.compare(version.as_ref(), slot));
        match order {
            Some(Some(Ordering::Less)) => return Applied::Same,
            Some(Some(Ordering::Equal)) if is_touched => return Applied::Same,
            Some(None) if is_touched => return Applied::Doubtful,
            // What was deleted can have been newer.
            Some(_) if slot.is_some_and(|slot| self.tombstones.get(&slot) == Some(&false)) => {
                return Applied::Doubtful;
            }
            _ => {}
        }
        let slot = slot.unwrap_or_else(|| self.rows.insert(key.clone()));
        self.set(slot, json, version);
        Applied::Changed
    }
}
