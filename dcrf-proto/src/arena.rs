//! A slab whose keys contain a generation. A stale key finds nothing, even if its slot is in use again.

use slab::Slab;

/// The key of an [`Arena`].
pub(crate) trait Key: Copy {
    fn new(index: u32, generation: u32) -> Self;
    fn parts(self) -> (u32, u32);
}

#[derive(Debug)]
pub(crate) struct Arena<K, V> {
    slots: Slab<(u32, V)>,
    next_generation: u32,
    key: std::marker::PhantomData<fn() -> K>,
}

impl<K: Key, V> Arena<K, V> {
    pub(crate) fn new() -> Self {
        Self { slots: Slab::new(), next_generation: 0, key: std::marker::PhantomData }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Inserts the value that `make` builds from its key.
    pub(crate) fn insert_with(&mut self, make: impl FnOnce(K) -> V) -> K {
        let generation = self.next_generation;
        self.next_generation = generation.wrapping_add(1);
        make_room(&mut self.slots);
        let entry = self.slots.vacant_entry();
        let index = u32::try_from(entry.key()).expect("limits keep an arena below 2^32 entries");
        let key = K::new(index, generation);
        entry.insert((generation, make(key)));
        key
    }

    pub(crate) fn get(&self, key: K) -> Option<&V> {
        let (index, generation) = key.parts();
        self.slots.get(index as usize).filter(|slot| slot.0 == generation).map(|slot| &slot.1)
    }

    pub(crate) fn get_mut(&mut self, key: K) -> Option<&mut V> {
        let (index, generation) = key.parts();
        let slot = self.slots.get_mut(index as usize).filter(|slot| slot.0 == generation);
        slot.map(|slot| &mut slot.1)
    }

    pub(crate) fn remove(&mut self, key: K) -> Option<V> {
        self.get(key)?;
        Some(self.slots.remove(key.parts().0 as usize).1)
    }

    /// All entries, in the order of their slots.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (K, &V)> {
        self.slots.iter().map(|(index, (generation, value))| {
            (K::new(u32::try_from(index).unwrap_or(u32::MAX), *generation), value)
        })
    }
}

/// Reserves room for one more entry. Grows by an eighth instead of doubling, so that large tables waste little memory. The
/// first entry is often the only one: a program with many clients has one subscription in each.
pub(crate) fn make_room<T>(slots: &mut Slab<T>) {
    if slots.len() == slots.capacity() {
        slots.reserve_exact(if slots.is_empty() { 1 } else { slots.len() / 8 + 4 });
    }
}
