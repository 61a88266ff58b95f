//! Subscriptions: what is wanted is on the wire once for each connection, and every change that the server tells is
//! owed to those who want it (S1 to S9).

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use dcrf_proto::{Session, SubscriptionKey, WhenFull};
use fastrand::Rng;
use serde_json::Value;

use super::reading::{Owed, Reader};
use crate::Nth;
use crate::server::{Rows, Target};

/// A connection that lives longer after the last subscribe has not died of it (L12).
const TRIAL: Duration = Duration::from_secs(5);

#[derive(Default)]
pub(crate) struct Subscriptions {
    pub(super) members: BTreeMap<SubscriptionKey, Member>,
    pub(super) wires: BTreeMap<Target, Wire>,
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
    pub(crate) when_full: WhenFull,
    pub(crate) is_slow: bool,
}

pub(super) struct Member {
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
pub(super) struct Wire {
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
        let wire = self.wires.entry(wish.target.clone()).or_default();
        let mut reader = Reader::default();
        if nth.is_some() && wire.acknowledged_on == nth {
            reader.acknowledged();
        }
        let member = Member { wish, phase: Phase::Alive, reader, is_refused: false, suspicions: 0 };
        assert!(self.members.insert(key, member).is_none(), "a key was given out twice");
    }

    pub(crate) fn unwanted(&mut self, key: SubscriptionKey, session: &Session) {
        let Some(member) = self.members.get_mut(&key) else { return };
        member.phase = Phase::Leaving;
        let target = member.wish.target.clone();
        self.is_left(&target, session);
    }

    /// If nobody wants it any more, its events are nobody's.
    pub(super) fn is_left(&mut self, target: &Target, session: &Session) {
        if !self.alive(session).any(|(_, member)| member.wish.target == *target) {
            self.wires.remove(target);
        }
    }

    /// Says how many have ended.
    pub(crate) fn all_unwanted(&mut self, session: &Session) -> usize {
        let keys: Vec<SubscriptionKey> = self.alive(session).map(|(key, _)| key).collect();
        for key in &keys {
            self.members.get_mut(key).expect("a member").phase = Phase::Withdrawn;
        }
        self.wires.clear();
        keys.len()
    }

    pub(crate) fn wanted_again(&mut self) {
        self.again = self.held.values().cloned().collect();
        for wire in self.wires.values_mut() {
            wire.acknowledged_on = None;
        }
    }

    fn alive<'a>(
        &'a self,
        session: &'a Session,
    ) -> impl Iterator<Item = (SubscriptionKey, &'a Member)> {
        let members = self.members.iter().map(|(key, member)| (*key, member));
        members
            .filter(|(key, member)| member.phase == Phase::Alive && session.ended(*key).is_none())
    }

    pub(crate) fn keys(&self, slow_too: bool) -> Vec<SubscriptionKey> {
        let members = self.members.iter().filter(|(_, member)| {
            member.phase != Phase::Leaving && (slow_too || !member.wish.is_slow)
        });
        members.map(|(key, _)| *key).collect()
    }

    pub(crate) fn any(&self, random: &mut Rng) -> Option<SubscriptionKey> {
        let keys = self.keys(true);
        (!keys.is_empty()).then(|| keys[random.usize(..keys.len())])
    }

    /// How many of those that are wanted are never acknowledged.
    pub(crate) fn mutes(&self) -> u32 {
        let mutes = self.wires.keys().filter(|target| target.is_mute()).count();
        u32::try_from(mutes).expect("few")
    }

    pub(crate) fn is_slow(&self, key: SubscriptionKey) -> bool {
        self.members.get(&key).is_none_or(|member| member.wish.is_slow)
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
        let wanted = self
            .members
            .values()
            .any(|member| member.phase == Phase::Alive && member.wish.target == *target);
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
        let wire = self.wires.entry(target.clone()).or_default();
        (wire.id, wire.sent_on) = (id, Some(nth));
        wire.is_unanswered = true;
        wire.acknowledged_on = target.is_mute().then_some(nth);
        if target.is_mute() {
            self.acknowledged(target);
        }
    }

    /// A request is sent: what is subscribed to was sent before (R1, S4).
    pub(super) fn has_gone_first(&self, nth: Nth, frame: &Value, session: &Session) {
        for (key, member) in self.alive(session) {
            let sent_on = self.wires.get(&member.wish.target).and_then(|wire| wire.sent_on);
            assert!(sent_on == Some(nth), "S4: {frame} goes before the subscribe of {key:?}");
        }
    }

    pub(super) fn refresh_transmitted(&self, frame: &Value) {
        let is_wanted = self
            .members
            .values()
            .any(|member| member.wish.refreshes && frame["stream"] == member.wish.target.stream());
        assert!(is_wanted, "S6: {frame} refreshes nothing");
    }

    pub(super) fn lost(&mut self, nth: Nth, found: bool, now: Instant) {
        let young = self.last_subscribe.is_some_and(|last| now.duration_since(last) < TRIAL);
        for wire in self.wires.values_mut().filter(|wire| wire.sent_on == Some(nth)) {
            if wire.is_unanswered && young && !found {
                wire.suspicions += 1;
            }
            wire.acknowledged_on = None;
        }
        for member in self.members.values_mut() {
            member.reader.loses();
            let suspicions = self.wires.get(&member.wish.target).map(|wire| wire.suspicions);
            member.suspicions = suspicions.max(Some(member.suspicions)).unwrap_or_default();
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
        let is_current = self.wires.get(&target).is_some_and(|wire| wire.id == id);
        if !is_current || frame["stream"] != target.stream() {
            return;
        }
        let action = payload["action"].as_str().unwrap_or_default();
        if action.starts_with("subscribe_") {
            self.answered(nth, &id, &target, payload["response_status"].as_u64());
        } else if let Some(owed) = Owed::of(payload) {
            for member in self.members.values_mut() {
                if member.phase == Phase::Alive && member.wish.target == target {
                    member.reader.owes(&owed, &member.wish);
                }
            }
        }
    }

    fn answered(&mut self, nth: Nth, id: &str, target: &Target, status: Option<u64>) {
        let wire = self.wires.get_mut(target).expect("a wire");
        wire.is_unanswered = false;
        wire.suspicions = 0;
        match status {
            Some(200..=299) => {
                wire.acknowledged_on = Some(nth);
                self.acknowledged(target);
            }
            Some(429 | 500..=599) => self.is_refused(id),
            _ => {
                self.is_refused(id);
                for member in self.members.values_mut() {
                    member.is_refused |= member.wish.target == *target;
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
        for member in self.members.values_mut() {
            if member.phase == Phase::Alive && member.wish.target == *target {
                member.reader.acknowledged();
            }
        }
    }

    pub(super) fn ids(&self) -> Vec<Value> {
        self.held.keys().map(|id| serde_json::from_str(id).expect("an id")).collect()
    }

    /// The ids of what the server holds, with their streams.
    pub(super) fn live(&self, nth: Nth) -> Vec<(Value, String)> {
        let live = self.wires.iter().filter(|(_, wire)| wire.acknowledged_on == Some(nth));
        live.map(|(target, wire)| {
            (serde_json::from_str(&wire.id).expect("an id"), target.stream().to_owned())
        })
        .collect()
    }
}

// How it ends
impl Subscriptions {
    pub(super) fn are_in_force(
        &self,
        nth: Nth,
        on_server: &[(Value, Target)],
        session: &Session,
    ) -> Result<(), String> {
        let mut wanted = BTreeSet::new();
        for (key, member) in self.alive(session) {
            let target = &member.wish.target;
            let wire = &self.wires[target];
            if wire.acknowledged_on != Some(nth) {
                return Err(format!("{key:?} of {target:?} is not acknowledged"));
            }
            let held: Vec<_> = on_server.iter().filter(|(_, its)| its == target).collect();
            if held.len() != 1 || id_of(&held[0].0) != wire.id {
                return Err(format!("the server holds {held:?} for {key:?}, not {}", wire.id));
            }
            member.reader.has_read_all(&member.wish)?;
            wanted.insert(target);
        }
        match on_server.iter().find(|(_, target)| !wanted.contains(target)) {
            Some(other) => Err(format!("the server still holds {other:?}")),
            None => Ok(()),
        }
    }

    pub(super) fn know(&self, rows: &Rows, session: &Session) -> Result<(), String> {
        for (key, member) in self.alive(session).filter(|(_, member)| member.wish.refreshes) {
            let stream = member.wish.target.stream();
            let mut rows = rows.versions(stream);
            if let Some(pk) = member.wish.target.pk() {
                rows.retain(|other, _| *other == pk);
            }
            member.reader.knows(&rows).map_err(|why| format!("S6: {key:?} of {stream}: {why}"))?;
        }
        Ok(())
    }

    pub(super) fn ended(&self) {
        assert!(self.members.is_empty(), "{:?} have not ended", self.members.keys());
    }
}

/// An id as the key of a map, whatever its type.
fn id_of(id: &Value) -> String {
    id.to_string()
}
