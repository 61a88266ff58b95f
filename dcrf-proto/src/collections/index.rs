//! Where the row with a key is.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::row_key::RowKey;
use super::rows::Slot;

/// Keys in their order. Servers choose them, so a hash table could be attacked.
///
/// Most keys are numbers, which take half of the memory and of the time in a tree of their own.
#[derive(Default)]
pub(super) struct Index {
    numbers: BTreeMap<i64, Slot>,
    texts: BTreeMap<Arc<str>, Slot>,
}

impl Index {
    pub(super) fn get(&self, key: &RowKey) -> Option<Slot> {
        match key {
            RowKey::Number(number) => self.numbers.get(number).copied(),
            RowKey::Text(text) => self.texts.get(text).copied(),
        }
    }

    pub(super) fn insert(&mut self, key: RowKey, slot: Slot) {
        match key {
            RowKey::Number(number) => _ = self.numbers.insert(number, slot),
            RowKey::Text(text) => _ = self.texts.insert(text, slot),
        }
    }

    pub(super) fn remove(&mut self, key: &RowKey) {
        match key {
            RowKey::Number(number) => _ = self.numbers.remove(number),
            RowKey::Text(text) => _ = self.texts.remove(text),
        }
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = Slot> {
        self.numbers.values().chain(self.texts.values()).copied()
    }
}

/// An index that is built at once takes half of the memory of one that has grown.
impl FromIterator<(RowKey, Slot)> for Index {
    fn from_iter<I: IntoIterator<Item = (RowKey, Slot)>>(places: I) -> Self {
        let (mut numbers, mut texts) = (Vec::new(), Vec::new());
        for (key, slot) in places {
            match key {
                RowKey::Number(number) => numbers.push((number, slot)),
                RowKey::Text(text) => texts.push((text, slot)),
            }
        }
        Self { numbers: numbers.into_iter().collect(), texts: texts.into_iter().collect() }
    }
}
