//! Subscriptions: what is wanted is on the wire once for each connection, and every change that the server tells is
//! owed to those who want it (S1 to S9).

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use dcrf_proto::{OverflowPolicy, Session, SubscriptionKey};
use fastrand::Rng;
use serde_json::Value;

use super::reading::{Owed, Reader};
use crate::Nth;
use crate::server::{Rows, Target};

/// A connection that lives longer after the last subscribe has not died of it (L12).
const TRIAL: Duration = Duration::from_secs(5);

#[derive(Default)]
pub(crate) struct Subscriptions {
    pub(super) subscribers: BTreeMap<SubscriptionKey, Subscriber>,
    pub(super) upstreams: BTreeMap<Target, Upstream>,
    /// What the server was asked to hold on this connection, by id, and not to give up.
    held: BTreeMap<String, Target>,
    /// What the caller wants to be sent once more, and the ids of what was: the server holds that even if it refuses
    /// the second time.
    again: BTreeSet<Target>,
    repeated: BTreeSet<String>,
    /// The ids of what the server has refused on this connection.
    refused: BTreeSet<String>,
    last_subscribe: Option<Instant>,
}

/// What a caller asks for.
#[derive(Clone)]
pub(crate) struct Wish {
    pub(crate) target: Target,
    pub(crate) include_create: bool,
    pub(crate) refreshes: bool,
    pub(crate) overflow_policy: OverflowPolicy,
    pub(crate) is_slow: bool,
}

pub(super) struct Subscriber {
    pub(super) wish: Wish,
    pub(super) phase: Phase,
    pub(super) reader: Reader,
    /// The server has refused the subscription.
    pub(super) is_refused: bool,
    /// On how many deaths in a row its subscribe was unanswered, at most.
    pub(super) suspicions: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Alive,
    /// Unsubscribed, and the event that says so has not come.
    Leaving,
    /// Ended with all others, and the reader has not been told.
    Withdrawn,
}

#[derive(Default)]
pub(super) struct Upstream {
    id: String,
    sent_on: Option<Nth>,
    acknowledged_on: Option<Nth>,
    is_unanswered: bool,
    /// On how many deaths in a row it was unanswered.
    suspicions: u32,
}

// What the caller does
impl Subscriptions {
    pub(crate) fn wanted(
        &mut self,
        key: SubscriptionKey,
        wish: Wish,
        nth: Option<Nth>,
        session: &Session,
    ) {
        // Those before may have ended, and their readers be late to learn that.
        self.is_left(&wish.target, session);
        let upstream = self.upstreams.entry(wish.target.clone()).or_default();
        let mut reader = Reader::default();
        if nth.is_some() && upstream.acknowledged_on == nth {
            reader.acknowledged();
        }
        let subscriber =
            Subscriber { wish, phase: Phase::Alive, reader, is_refused: false, suspicions: 0 };
        assert!(self.subscribers.insert(key, subscriber).is_none(), "a key was given out twice");
    }

    pub(crate) fn unwanted(&mut self, key: SubscriptionKey, session: &Session) {
        let Some(subscriber) = self.subscribers.get_mut(&key) else { return };
        subscriber.phase = Phase::Leaving;
        let target = subscriber.wish.target.clone();
        self.is_left(&target, session);
    }

    /// If nobody wants it any more, its events are nobody's.
    pub(super) fn is_left(&mut self, target: &Target, session: &Session) {
        if !self.alive(session).any(|(_, subscriber)| subscriber.wish.target == *target) {
            self.upstreams.remove(target);
        }
    }

    /// Says how many have ended.
    pub(crate) fn all_unwanted(&mut self, session: &Session) -> usize {
        let keys: Vec<SubscriptionKey> = self.alive(session).map(|(key, _)| key).collect();
        for key in &keys {
            self.subscribers.get_mut(key).expect("a subscriber").phase = Phase::Withdrawn;
        }
        self.upstreams.clear();
        keys.len()
    }

    pub(crate) fn wanted_again(&mut self) {
        self.again = self.held.values().cloned().collect();
        for upstream in self.upstreams.values_mut() {
            upstream.acknowledged_on = None;
        }
    }

    fn alive<'a>(
        &'a self,
        session: &'a Session,
    ) -> impl Iterator<Item = (SubscriptionKey, &'a Subscriber)> {
        let subscribers = self.subscribers.iter().map(|(key, subscriber)| (*key, subscriber));
        subscribers.filter(|(key, subscriber)| {
            subscriber.phase == Phase::Alive && session.ended(*key).is_none()
        })
    }

    pub(crate) fn keys(&self, slow_too: bool) -> Vec<SubscriptionKey> {
        let subscribers = self.subscribers.iter().filter(|(_, subscriber)| {
            subscriber.phase != Phase::Leaving && (slow_too || !subscriber.wish.is_slow)
        });
        subscribers.map(|(key, _)| *key).collect()
    }

    pub(crate) fn any(&self, random: &mut Rng) -> Option<SubscriptionKey> {
        let keys = self.keys(true);
        (!keys.is_empty()).then(|| keys[random.usize(..keys.len())])
    }

    /// How many of those that are wanted are never acknowledged.
    pub(crate) fn mutes(&self) -> u32 {
        let mutes = self.upstreams.keys().filter(|target| target.is_mute()).count();
        u32::try_from(mutes).expect("few")
    }

    pub(crate) fn is_slow(&self, key: SubscriptionKey) -> bool {
        self.subscribers.get(&key).is_none_or(|subscriber| subscriber.wish.is_slow)
    }
}

// What the session sends
impl Subscriptions {
    pub(super) fn transmitted(&mut self, nth: Nth, frame: &Value, target: &Target, now: Instant) {
        let payload = &frame["payload"];
        let id = payload["request_id"].to_string();
        if payload["action"].as_str().is_some_and(|action| action.starts_with("un")) {
            let held = self.held.remove(&id).as_ref() == Some(target);
            assert!(held || self.refused.contains(&id), "{frame} ends what does not exist");
            return;
        }
        let wanted = self.subscribers.values().any(|subscriber| {
            subscriber.phase == Phase::Alive && subscriber.wish.target == *target
        });
        assert!(wanted, "S1: {frame} comes back from the dead");
        let twice = self.held.values().any(|other| other == target);
        if self.again.remove(target) && self.held.contains_key(&id) {
            self.repeated.insert(id.clone());
        } else {
            let may_be = self.repeated.contains(&id);
            assert!(!twice || may_be, "S1, S2: {frame} is subscribed already");
        }
        self.held.insert(id.clone(), target.clone());
        self.last_subscribe = Some(now);
        let upstream = self.upstreams.entry(target.clone()).or_default();
        (upstream.id, upstream.sent_on) = (id, Some(nth));
        upstream.is_unanswered = true;
        upstream.acknowledged_on = target.is_mute().then_some(nth);
        if target.is_mute() {
            self.acknowledged(target);
        }
    }

    /// A request is sent: what is subscribed to was sent before (R1, S4).
    pub(super) fn has_gone_first(&self, nth: Nth, frame: &Value, session: &Session) {
        for (key, subscriber) in self.alive(session) {
            let sent_on =
                self.upstreams.get(&subscriber.wish.target).and_then(|upstream| upstream.sent_on);
            assert!(sent_on == Some(nth), "S4: {frame} goes before the subscribe of {key:?}");
        }
    }

    pub(super) fn refresh_transmitted(&self, frame: &Value) {
        let is_wanted = self.subscribers.values().any(|subscriber| {
            subscriber.wish.refreshes && frame["stream"] == subscriber.wish.target.stream()
        });
        assert!(is_wanted, "S6: {frame} refreshes nothing");
    }

    pub(super) fn lost(&mut self, nth: Nth, found: bool, now: Instant) {
        let young = self.last_subscribe.is_some_and(|last| now.duration_since(last) < TRIAL);
        for upstream in self.upstreams.values_mut().filter(|upstream| upstream.sent_on == Some(nth))
        {
            if upstream.is_unanswered && young && !found {
                upstream.suspicions += 1;
            }
            upstream.acknowledged_on = None;
        }
        for subscriber in self.subscribers.values_mut() {
            subscriber.reader.loses();
            let suspicions =
                self.upstreams.get(&subscriber.wish.target).map(|upstream| upstream.suspicions);
            subscriber.suspicions = suspicions.max(Some(subscriber.suspicions)).unwrap_or_default();
        }
        self.held.clear();
        self.again.clear();
        self.repeated.clear();
        self.refused.clear();
    }
}

// What the server says
impl Subscriptions {
    pub(super) fn heard(&mut self, nth: Nth, frame: &Value) {
        let payload = &frame["payload"];
        let id = payload["request_id"].to_string();
        let Some(target) = self.held.get(&id).cloned() else { return };
        let is_current = self.upstreams.get(&target).is_some_and(|upstream| upstream.id == id);
        if !is_current || frame["stream"] != target.stream() {
            return;
        }
        let action = payload["action"].as_str().unwrap_or_default();
        if action.starts_with("subscribe_") {
            self.answered(nth, &id, &target, payload["response_status"].as_u64());
        } else if let Some(owed) = Owed::of(payload) {
            for subscriber in self.subscribers.values_mut() {
                if subscriber.phase == Phase::Alive && subscriber.wish.target == target {
                    subscriber.reader.owes(&owed, &subscriber.wish);
                }
            }
        }
    }

    fn answered(&mut self, nth: Nth, id: &str, target: &Target, status: Option<u64>) {
        let upstream = self.upstreams.get_mut(target).expect("a upstream");
        upstream.is_unanswered = false;
        upstream.suspicions = 0;
        match status {
            Some(200..=299) => {
                upstream.acknowledged_on = Some(nth);
                self.acknowledged(target);
            }
            Some(429 | 500..=599) => self.is_refused(id),
            _ => {
                self.is_refused(id);
                for subscriber in self.subscribers.values_mut() {
                    subscriber.is_refused |= subscriber.wish.target == *target;
                }
            }
        }
    }

    fn is_refused(&mut self, id: &str) {
        if !self.repeated.contains(id) {
            self.held.remove(id);
            self.refused.insert(id.to_owned());
        }
    }

    fn acknowledged(&mut self, target: &Target) {
        for subscriber in self.subscribers.values_mut() {
            if subscriber.phase == Phase::Alive && subscriber.wish.target == *target {
                subscriber.reader.acknowledged();
            }
        }
    }

    pub(super) fn ids(&self) -> Vec<Value> {
        self.held.keys().map(|id| serde_json::from_str(id).expect("an id")).collect()
    }

    /// The ids of what the server holds, with their streams.
    pub(super) fn live(&self, nth: Nth) -> Vec<(Value, String)> {
        let live =
            self.upstreams.iter().filter(|(_, upstream)| upstream.acknowledged_on == Some(nth));
        live.map(|(target, upstream)| {
            (serde_json::from_str(&upstream.id).expect("an id"), target.stream().to_owned())
        })
        .collect()
    }
}

// How it ends
impl Subscriptions {
    pub(super) fn are_live(
        &self,
        nth: Nth,
        on_server: &[(Value, Target)],
        session: &Session,
    ) -> Result<(), String> {
        let mut wanted = BTreeSet::new();
        for (key, subscriber) in self.alive(session) {
            let target = &subscriber.wish.target;
            let upstream = &self.upstreams[target];
            if upstream.acknowledged_on != Some(nth) {
                return Err(format!("{key:?} of {target:?} is not acknowledged"));
            }
            let held: Vec<_> = on_server.iter().filter(|(_, its)| its == target).collect();
            if held.len() != 1 || id_of(&held[0].0) != upstream.id {
                return Err(format!("the server holds {held:?} for {key:?}, not {}", upstream.id));
            }
            subscriber.reader.has_read_all(&subscriber.wish)?;
            wanted.insert(target);
        }
        match on_server.iter().find(|(_, target)| !wanted.contains(target)) {
            Some(other) => Err(format!("the server still holds {other:?}")),
            None => Ok(()),
        }
    }

    pub(super) fn know(&self, rows: &Rows, session: &Session) -> Result<(), String> {
        for (key, subscriber) in
            self.alive(session).filter(|(_, subscriber)| subscriber.wish.refreshes)
        {
            let stream = subscriber.wish.target.stream();
            let mut rows = rows.versions(stream);
            if let Some(pk) = subscriber.wish.target.pk() {
                rows.retain(|other, _| *other == pk);
            }
            subscriber
                .reader
                .knows(&rows)
                .map_err(|why| format!("S6: {key:?} of {stream}: {why}"))?;
        }
        Ok(())
    }

    pub(super) fn ended(&self) {
        assert!(self.subscribers.is_empty(), "{:?} have not ended", self.subscribers.keys());
    }
}

/// An id as the key of a map, whatever its type.
fn id_of(id: &Value) -> String {
    id.to_string()
}
