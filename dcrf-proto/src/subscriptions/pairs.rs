//! What is subscribed to on the wire and by the caller's subscriptions: two tables in one. Most often one of the caller's
//! has a wire for itself, and stands beside it: an event then goes to one place in memory, and not to two.

use slab::Slab;

use super::subscriber::Subscriber;
use super::upstream::Upstream;
use crate::arena::{self, Key};
use crate::id::{SubscriptionKey, UpstreamKey};

#[derive(Debug, Default)]
pub(super) struct Pairs {
    slots: Slab<Slot>,
    upstreams: usize,
    subscribers: usize,
    next_generation: u32,
}

/// A wire and the first of those who want it. Either may be there without the other.
#[derive(Debug, Default)]
pub(super) struct Slot {
    upstream: Option<Upstream>,
    subscriber: Option<Subscriber>,
    // Beside each other they need no padding.
    upstream_generation: u32,
    subscriber_generation: u32,
}

/// The key of one half of a pair.
pub(super) trait HalfKey: Key {
    type Half;
    fn half(slot: &Slot) -> (Option<&Self::Half>, u32);
    fn half_mut(slot: &mut Slot) -> (&mut Option<Self::Half>, &mut u32);
    fn count(pairs: &mut Pairs) -> &mut usize;
}

impl HalfKey for UpstreamKey {
    type Half = Upstream;

    fn half(slot: &Slot) -> (Option<&Upstream>, u32) {
        (slot.upstream.as_ref(), slot.upstream_generation)
    }

    fn half_mut(slot: &mut Slot) -> (&mut Option<Upstream>, &mut u32) {
        (&mut slot.upstream, &mut slot.upstream_generation)
    }

    fn count(pairs: &mut Pairs) -> &mut usize {
        &mut pairs.upstreams
    }
}

impl HalfKey for SubscriptionKey {
    type Half = Subscriber;

    fn half(slot: &Slot) -> (Option<&Subscriber>, u32) {
        (slot.subscriber.as_ref(), slot.subscriber_generation)
    }

    fn half_mut(slot: &mut Slot) -> (&mut Option<Subscriber>, &mut u32) {
        (&mut slot.subscriber, &mut slot.subscriber_generation)
    }

    fn count(pairs: &mut Pairs) -> &mut usize {
        &mut pairs.subscribers
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
    pub(super) fn upstream_at(&self, index: u32) -> Option<(UpstreamKey, &Upstream)> {
        let slot = self.slots.get(index as usize)?;
        Some((UpstreamKey::new(index, slot.upstream_generation), slot.upstream.as_ref()?))
    }

    /// The place of the next wire.
    pub(super) fn next_index(&self) -> u32 {
        checked(self.slots.vacant_key())
    }

    pub(super) fn insert_upstream(&mut self, upstream: Upstream) -> UpstreamKey {
        let index = self.vacant();
        self.insert(index, upstream)
    }

    /// The caller's subscription to this wire: beside it, where that place is free.
    pub(super) fn insert_subscriber(
        &mut self,
        upstream: UpstreamKey,
        subscriber: Subscriber,
    ) -> SubscriptionKey {
        let beside = upstream.parts().0 as usize;
        let is_free = self.slots.get(beside).is_some_and(|slot| slot.subscriber.is_none());
        let index = if is_free { beside } else { self.vacant() };
        self.insert(index, subscriber)
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
        if slot.upstream.is_none() && slot.subscriber.is_none() {
            self.slots.remove(index);
        }
        *K::count(self) -= 1;
        half
    }

    /// Goes over the caller's subscriptions to a wire, and takes those off it that `keep` says no to.
    pub(super) fn retain_subscribers(
        &mut self,
        upstream: UpstreamKey,
        mut keep: impl FnMut(SubscriptionKey, &mut Subscriber) -> bool,
    ) -> Option<&mut Upstream> {
        let mut subscribers = std::mem::take(&mut self.get_mut(upstream)?.subscribers);
        subscribers
            .retain(|key| self.get_mut(*key).is_some_and(|subscriber| keep(*key, subscriber)));
        let upstream = self.get_mut(upstream)?;
        upstream.subscribers = subscribers;
        Some(upstream)
    }

    pub(super) fn upstreams(&self) -> usize {
        self.upstreams
    }

    pub(super) fn subscribers(&self) -> usize {
        self.subscribers
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
