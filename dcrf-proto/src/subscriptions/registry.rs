//! The tables of upstream subscriptions and of subscribers.

use super::streams::Streams;
use super::subscriber::Subscriber;
use super::upstream::Upstream;
use crate::arena::Arena;
use crate::context::Context;
use crate::event::Change;
use crate::id::{SubscriptionKey, UpstreamKey};

/// What the caller is subscribed to: the source of truth for each replay (S1).
#[derive(Debug)]
pub(super) struct Registry {
    pub(super) upstreams: Arena<UpstreamKey, Upstream>,
    pub(super) subscribers: Arena<SubscriptionKey, Subscriber>,
    pub(super) streams: Streams,
    /// Upstream subscriptions that have lost a subscriber to an overflow, maybe their last.
    shrunk: Vec<UpstreamKey>,
}

impl Registry {
    pub(super) fn new() -> Self {
        Self {
            upstreams: Arena::new(),
            subscribers: Arena::new(),
            streams: Streams::default(),
            shrunk: Vec::new(),
        }
    }

    /// The keys of all upstream subscriptions, in the order of the subscribe calls.
    pub(super) fn in_order(&self) -> Vec<UpstreamKey> {
        let mut keys: Vec<(u64, UpstreamKey)> =
            self.upstreams.iter().map(|(key, upstream)| (upstream.sequence, key)).collect();
        keys.sort_unstable();
        keys.into_iter().map(|(_, key)| key).collect()
    }

    /// Calls `keep` for each subscriber of an upstream subscription, and detaches those for which it returns false.
    pub(super) fn retain_subscribers(
        &mut self,
        key: UpstreamKey,
        mut keep: impl FnMut(SubscriptionKey, &mut Subscriber) -> bool,
    ) -> Option<&mut Upstream> {
        let Self { upstreams, subscribers, .. } = self;
        let upstream = upstreams.get_mut(key)?;
        upstream.subscribers.retain(|key| {
            subscribers.get_mut(*key).is_some_and(|subscriber| keep(*key, subscriber))
        });
        Some(upstream)
    }

    /// Detaches a subscriber. Returns whether it was the last.
    pub(super) fn detach(&mut self, key: UpstreamKey, subscriber: SubscriptionKey) -> bool {
        let Some(upstream) = self.upstreams.get_mut(key) else { return false };
        if let Some(index) = upstream.subscribers.iter().position(|other| *other == subscriber) {
            upstream.subscribers.swap_remove(index);
        }
        upstream.subscribers.is_empty()
    }

    /// Delivers a change to one subscriber, unless its subscription is over. An overflow can end it: see
    /// [`next_unused`](Self::next_unused).
    pub(super) fn deliver(&mut self, cx: &mut Context, key: SubscriptionKey, change: Change) {
        let Some(subscriber) = self.subscribers.get_mut(key) else { return };
        let Some(upstream) = subscriber.upstream() else { return };
        if !subscriber.push(cx, key, change) {
            self.detach_later(upstream, key);
        }
    }

    /// Detaches a subscriber that has ended by an overflow.
    pub(super) fn detach_later(&mut self, upstream: UpstreamKey, subscriber: SubscriptionKey) {
        if self.detach(upstream, subscriber) {
            self.shrunk.push(upstream);
        }
    }

    /// The next upstream subscription that lost its last subscriber to an overflow.
    pub(super) fn next_unused(&mut self) -> Option<UpstreamKey> {
        while let Some(key) = self.shrunk.pop() {
            if self.upstreams.get(key).is_some_and(|upstream| upstream.subscribers.is_empty()) {
                return Some(key);
            }
        }
        None
    }
}
