//! One reader's view of a collection: decoded, filtered and sorted rows (V11).

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::changes::CollectionChange;
use crate::contain::contain;
use crate::protocol::json::DecodeError;
use crate::protocol::pk::Pk;

/// Compares rows.
pub(super) type Order<T> = Arc<dyn Fn(&T, &T) -> Ordering + Send + Sync>;

/// Whether a row belongs to the view.
pub(super) type Filter<T> = Arc<dyn Fn(&T) -> bool + Send + Sync>;

pub(super) struct View<T> {
    order: Option<Order<T>>,
    filter: Option<Filter<T>>,
    rows: BTreeMap<Pk, Arc<T>>,
    /// The same rows in their order, if there is one. Rows that compare as equal are in the order of their keys.
    sorted: Vec<(Arc<T>, Pk)>,
    snapshot: Option<Arc<[Arc<T>]>>,
    /// Rows that could not be decoded.
    undecodable: BTreeMap<Pk, DecodeError>,
}

/// A row as it arrives: `None` if it was removed.
pub(super) type Row<T> = Option<Result<Arc<T>, DecodeError>>;

impl<T> View<T> {
    pub(super) fn new(order: Option<Order<T>>, filter: Option<Filter<T>>) -> Self {
        Self {
            order,
            filter,
            rows: BTreeMap::new(),
            sorted: Vec::new(),
            snapshot: None,
            undecodable: BTreeMap::new(),
        }
    }

    /// An empty view with the same order and filter.
    pub(super) fn another(&self) -> Self {
        Self::new(self.order.clone(), self.filter.clone())
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn get(&self, key: &Pk) -> Option<Arc<T>> {
        self.rows.get(key).cloned()
    }

    /// All rows, in the reader's order, or in the order of their keys.
    pub(super) fn snapshot(&mut self) -> Arc<[Arc<T>]> {
        let Self { order, rows, sorted, snapshot, .. } = self;
        let snapshot = snapshot.get_or_insert_with(|| match order {
            Some(_) => sorted.iter().map(|(row, _)| row.clone()).collect(),
            None => rows.values().cloned().collect(),
        });
        snapshot.clone()
    }

    pub(super) fn undecodable(&self) -> Vec<DecodeError> {
        self.undecodable.values().cloned().collect()
    }

    fn note_undecodable(&mut self, rows: &[(Pk, Row<T>)]) {
        for (key, row) in rows {
            if let Some(Err(error)) = row {
                self.undecodable.insert(key.clone(), error.clone());
            } else if !self.undecodable.is_empty() {
                self.undecodable.remove(key);
            }
        }
    }

    /// Applies rows, and returns what has changed.
    pub(super) fn apply(&mut self, rows: Vec<(Pk, Row<T>)>) -> Vec<CollectionChange<T>> {
        self.note_undecodable(&rows);
        if self.rows.is_empty() && self.order.is_some() {
            return self.fill(rows);
        }
        let mut changes = Vec::with_capacity(rows.len());
        for (key, row) in rows {
            let (row, error) = match row {
                Some(Ok(row)) => (Some(row), None),
                Some(Err(error)) => (None, Some(error)),
                None => (None, None),
            };
            changes.extend(self.set(&key, row));
            changes.extend(error.map(|error| CollectionChange::Undecodable { key, error }));
        }
        changes
    }

    /// The first rows: sorts them once.
    fn fill(&mut self, rows: Vec<(Pk, Row<T>)>) -> Vec<CollectionChange<T>> {
        let (mut sorted, mut undecodable) = (Vec::with_capacity(rows.len()), Vec::new());
        for (key, row) in rows {
            match row {
                Some(Ok(row)) if self.passes(&row) => sorted.push((row, key)),
                Some(Err(error)) => undecodable.push(CollectionChange::Undecodable { key, error }),
                Some(Ok(_)) | None => {}
            }
        }
        // An order that contradicts itself can make the sort panic, which leaves all rows in some order.
        let _ = contain(|| sorted.sort_by(|one, other| self.compare(one, other)));
        self.rows = sorted.iter().map(|(row, key)| (key.clone(), row.clone())).collect();
        self.snapshot = None;
        let inserted = sorted.iter().enumerate().map(|(index, (row, key))| {
            let (key, row) = (key.clone(), row.clone());
            CollectionChange::Inserted { key, row, index: Some(index) }
        });
        let changes = inserted.chain(undecodable).collect();
        self.sorted = sorted;
        changes
    }

    fn set(&mut self, key: &Pk, row: Option<Arc<T>>) -> Option<CollectionChange<T>> {
        let row = row.filter(|row| self.passes(row));
        let old = match &row {
            Some(row) => self.rows.insert(key.clone(), row.clone()),
            None => self.rows.remove(key),
        };
        self.snapshot = None;
        let old_index = old.as_ref().and_then(|old| self.take(old, key));
        let index = row.as_ref().and_then(|row| self.place(row, key));
        let key = key.clone();
        Some(match (old, row) {
            (None, Some(row)) => CollectionChange::Inserted { key, row, index },
            (Some(old), Some(row)) => CollectionChange::Updated { key, old, row, old_index, index },
            (Some(old), None) => CollectionChange::Removed { key, old, index: old_index },
            (None, None) => return None,
        })
    }

    fn passes(&self, row: &T) -> bool {
        self.filter.as_ref().is_none_or(|filter| contain(|| filter(row)).unwrap_or(false))
    }

    fn compare(&self, one: &(Arc<T>, Pk), other: &(Arc<T>, Pk)) -> Ordering {
        let order = self.order.as_ref().and_then(|order| contain(|| order(&one.0, &other.0)));
        let order = order.unwrap_or(Ordering::Equal);
        order.then_with(|| one.1.cmp(&other.1))
    }

    /// Takes a row out of the order, and returns where it was.
    fn take(&mut self, row: &Arc<T>, key: &Pk) -> Option<usize> {
        self.order.as_ref()?;
        let entry = (row.clone(), key.clone());
        let found = self.sorted.binary_search_by(|known| self.compare(known, &entry)).ok();
        // An order that contradicts itself must not make ghosts.
        let found = found.filter(|index| self.sorted[*index].1 == *key);
        let index = found.or_else(|| self.sorted.iter().position(|known| known.1 == *key))?;
        self.sorted.remove(index);
        Some(index)
    }

    /// Puts a row into the order, and returns where.
    fn place(&mut self, row: &Arc<T>, key: &Pk) -> Option<usize> {
        self.order.as_ref()?;
        let entry = (row.clone(), key.clone());
        let (Ok(index) | Err(index)) =
            self.sorted.binary_search_by(|known| self.compare(known, &entry));
        self.sorted.insert(index, entry);
        Some(index)
    }
}
