//! What is subscribed to on the wire and by the caller's subscriptions: two tables in one. Most often one of the caller's
//! has a wire for itself, and stands beside it: an event then goes to one place in memory, and not to two.

use slab::Slab;

use super::member::Member;
use super::wire::Wire;
use crate::arena::{self, Key};
use crate::id::{SubscriptionKey, WireKey};

#[derive(Debug, Default)]
pub(super) struct Pairs {
    slots: Slab<Slot>,
    wires: usize,
    members: usize,
    next_generation: u32,
}

/// A wire and the first of those who want it. Either may be there without the other.
#[derive(Debug, Default)]
pub(super) struct Slot {
    wire: Option<Wire>,
    member: Option<Member>,
    // Beside each other they need no padding.
    wire_generation: u32,
    member_generation: u32,
}

/// The key of one half of a pair.
pub(super) trait HalfKey: Key {
    type Half;
    fn half(slot: &Slot) -> (Option<&Self::Half>, u32);
    fn half_mut(slot: &mut Slot) -> (&mut Option<Self::Half>, &mut u32);
    fn count(pairs: &mut Pairs) -> &mut usize;
}

impl HalfKey for WireKey {
    type Half = Wire;

    fn half(slot: &Slot) -> (Option<&Wire>, u32) {
        (slot.wire.as_ref(), slot.wire_generation)
    }

    fn half_mut(slot: &mut Slot) -> (&mut Option<Wire>, &mut u32) {
        (&mut slot.wire, &mut slot.wire_generation)
    }

    fn count(pairs: &mut Pairs) -> &mut usize {
        &mut pairs.wires
    }
}

impl HalfKey for SubscriptionKey {
    type Half = Member;

    fn half(slot: &Slot) -> (Option<&Member>, u32) {
        (slot.member.as_ref(), slot.member_generation)
    }

    fn half_mut(slot: &mut Slot) -> (&mut Option<Member>, &mut u32) {
        (&mut slot.member, &mut slot.member_generation)
    }

    fn count(pairs: &mut Pairs) -> &mut usize {
        &mut pairs.members
    }
}

impl Pairs {
    pub(super) fn get<K: HalfKey>(&self, key: K) -> Option<&K::Half> {
        let (index, generation) = key.parts();
        let (half, its) = K::half(self.slots.get(index as usize)?);
        half.filter(|_| its == generation)
    }

    pub(super) fn get_mut<K: HalfKey>(&mut self, key: K) -> Option<&mut K::Half> {
        let (index, generation) = key.parts();
        let (half, its) = K::half_mut(self.slots.get_mut(index as usize)?);
        half.as_mut().filter(|_| *its == generation)
    }

    /// The wire in this place, whatever its generation.
    pub(super) fn wire_at(&self, index: u32) -> Option<(WireKey, &Wire)> {
        let slot = self.slots.get(index as usize)?;
        Some((WireKey::new(index, slot.wire_generation), slot.wire.as_ref()?))
    }

    /// The place of the next wire.
    pub(super) fn next_index(&self) -> u32 {
        checked(self.slots.vacant_key())
    }

    pub(super) fn insert_wire(&mut self, wire: Wire) -> WireKey {
        let index = self.vacant();
        self.insert(index, wire)
    }

    /// The caller's subscription to this wire: beside it, where that place is free.
    pub(super) fn insert_member(&mut self, wire: WireKey, member: Member) -> SubscriptionKey {
        let beside = wire.parts().0 as usize;
        let is_free = self.slots.get(beside).is_some_and(|slot| slot.member.is_none());
        let index = if is_free { beside } else { self.vacant() };
        self.insert(index, member)
    }

    fn vacant(&mut self) -> usize {
        arena::make_room(&mut self.slots);
        self.slots.insert(Slot::default())
    }

    fn insert<K: HalfKey>(&mut self, index: usize, half: K::Half) -> K {
        let generation = self.next_generation;
        self.next_generation = generation.wrapping_add(1);
        let (place, its) = K::half_mut(&mut self.slots[index]);
        (*place, *its) = (Some(half), generation);
        *K::count(self) += 1;
        K::new(checked(index), generation)
    }

    pub(super) fn remove<K: HalfKey>(&mut self, key: K) -> Option<K::Half> {
        self.get(key)?;
        let index = key.parts().0 as usize;
        let slot = &mut self.slots[index];
        let half = K::half_mut(slot).0.take();
        if slot.wire.is_none() && slot.member.is_none() {
            self.slots.remove(index);
        }
        *K::count(self) -= 1;
        half
    }

    /// Goes over the caller's subscriptions to a wire, and takes those off it that `keep` says no to.
    pub(super) fn retain_members(
        &mut self,
        wire: WireKey,
        mut keep: impl FnMut(SubscriptionKey, &mut Member) -> bool,
    ) -> Option<&mut Wire> {
        let mut members = std::mem::take(&mut self.get_mut(wire)?.members);
        members.retain(|key| self.get_mut(*key).is_some_and(|member| keep(*key, member)));
        let wire = self.get_mut(wire)?;
        wire.members = members;
        Some(wire)
    }

    pub(super) fn wires(&self) -> usize {
        self.wires
    }

    pub(super) fn members(&self) -> usize {
        self.members
    }

    /// The wires, or the caller's subscriptions, by index.
    pub(super) fn iter<K: HalfKey>(&self) -> impl Iterator<Item = (K, &K::Half)>
    where
        K::Half: 'static,
    {
        self.slots.iter().filter_map(|(index, slot)| {
            let (half, generation) = K::half(slot);
            Some((K::new(checked(index), generation), half?))
        })
    }
}

fn checked(index: usize) -> u32 {
    u32::try_from(index).expect("limits keep a table below 2^32 entries")
}
