//! Subscriptions: each is sent once on each connection, and each event reaches all its subscribers (S1 to S9).

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use dcrf_proto::{OverflowPolicy, Session, SubscriptionKey};
use fastrand::Rng;
use serde_json::Value;

use super::reader::{Expected, Reader};
use crate::ConnectionIndex;
use crate::server::{Server, Target};

/// A connection that lasts longer after the last frame was not killed by it (L12).
const QUARANTINE_WINDOW: Duration = Duration::from_secs(5);
/// A feed without acknowledgement is outlived by then.
pub(super) const WATCH: Duration = Duration::from_secs(1);
/// How long requests wait for suspects.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(crate) struct Subscriptions {
    pub(super) subscribers: BTreeMap<SubscriptionKey, Subscriber>,
    pub(super) upstreams: BTreeMap<Target, Upstream>,
    /// The subscriptions sent on this connection, by id.
    held: BTreeMap<String, Target>,
    /// The targets to resubscribe, and the ids that were sent again: the server keeps those even if it rejects the
    /// second subscribe.
    again: BTreeSet<Target>,
    repeated: BTreeSet<String>,
    /// The ids that the server has rejected on this connection.
    rejected: BTreeSet<String>,
    /// How many replies over the size limit may have ended a subscription that refreshes.
    pub(super) large_refreshes: u64,
    /// When each must be acknowledged, or have ended (S3).
    deadlines: BTreeSet<(Instant, SubscriptionKey)>,
    /// How often targets were suspected whose last subscriber has left, and since when.
    left: BTreeMap<Target, Suspicion>,
    /// The ids of the refreshes without a reply, and whether a connection has died of one.
    refreshes: BTreeMap<String, (String, Option<u64>)>,
    /// The deaths with a refresh unanswered, by stream and object, until it is answered.
    pub(super) refresh_deaths: BTreeMap<(String, Option<u64>), Suspicion>,
    has_refresh_suspects: bool,
    /// When the last frame was sent.
    pub(super) last_frame: Option<Instant>,
}

/// A caller's subscribe.
#[derive(Clone)]
pub(crate) struct Spec {
    pub(crate) target: Target,
    pub(crate) include_create: bool,
    pub(crate) refreshes: bool,
    pub(crate) overflow_policy: OverflowPolicy,
    pub(crate) is_slow: bool,
    pub(crate) timeout: Option<Duration>,
}

pub(super) struct Subscriber {
    pub(super) spec: Spec,
    pub(super) phase: Phase,
    pub(super) reader: Reader,
    /// Whether the server has rejected the subscription.
    pub(super) has_error_reply: bool,
    /// The strongest that was there against its subscribe.
    pub(super) suspicion: Suspicion,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Alive,
    /// Unsubscribed; the event has not arrived.
    Unsubscribing,
    /// Ended by `unsubscribe_all`; the reader has not seen it.
    EndedByAll,
}

/// The deaths in a row with a subscribe unanswered.
#[derive(Clone, Copy, Default)]
pub(super) struct Suspicion {
    pub(super) times: u32,
    /// When the first was.
    pub(super) since: Option<Instant>,
    /// How many of them no consumer has caused: nothing can tell these from the others.
    pub(super) coincidences: u32,
}

#[derive(Default)]
pub(super) struct Upstream {
    id: String,
    sent_on: Option<ConnectionIndex>,
    acknowledged_on: Option<ConnectionIndex>,
    is_unanswered: bool,
    sent_at: Option<Instant>,
    suspicion: Suspicion,
}

impl Upstream {
    /// The server has answered or outlived its subscribe.
    fn answer(&mut self) {
        (self.is_unanswered, self.suspicion) = (false, Suspicion::default());
    }
}

// Calls
impl Subscriptions {
    pub(crate) fn add(
        &mut self,
        key: SubscriptionKey,
        spec: Spec,
        nth: Option<ConnectionIndex>,
        session: &Session,
        now: Instant,
    ) {
        self.deadlines.extend(spec.timeout.map(|timeout| (now + timeout, key)));
        // Earlier subscribers may have ended without having read that.
        self.forget_if_unused(&spec.target, session);
        let left = self.left.remove(&spec.target);
        let upstream = self.upstreams.entry(spec.target.clone()).or_default();
        if let Some(suspicion) = left {
            upstream.suspicion = suspicion;
        }
        let mut reader = Reader::default();
        if nth.is_some() && upstream.acknowledged_on == nth {
            reader.acknowledged();
        }
        let subscriber = Subscriber {
            spec,
            phase: Phase::Alive,
            reader,
            has_error_reply: false,
            suspicion: Suspicion::default(),
        };
        assert!(self.subscribers.insert(key, subscriber).is_none(), "a key was given out twice");
    }

    pub(crate) fn unsubscribe(&mut self, key: SubscriptionKey, session: &Session) {
        let Some(subscriber) = self.subscribers.get_mut(&key) else { return };
        subscriber.phase = Phase::Unsubscribing;
        let target = subscriber.spec.target.clone();
        self.forget_if_unused(&target, session);
    }

    pub(super) fn check(&mut self, session: &Session, now: Instant) {
        while self.deadlines.first().is_some_and(|(deadline, _)| *deadline <= now) {
            let Some((_, key)) = self.deadlines.pop_first() else { return };
            let is_alive = self.alive(session).any(|(alive, _)| alive == key);
            assert!(!is_alive || session.is_acknowledged(key), "S3: {key:?} is past its deadline");
        }
    }

    /// Forgets the upstream subscription if it has no subscriber left.
    pub(super) fn forget_if_unused(&mut self, target: &Target, session: &Session) {
        if !self.alive(session).any(|(_, subscriber)| subscriber.spec.target == *target) {
            if let Some(upstream) = self.upstreams.remove(target) {
                self.left(target, &upstream);
            }
        }
    }

    /// Its last subscriber has left. What speaks against it is remembered.
    fn left(&mut self, target: &Target, upstream: &Upstream) {
        if upstream.suspicion.times > 0 {
            self.left.insert(target.clone(), upstream.suspicion);
        }
    }

    /// Returns how many have ended.
    pub(crate) fn unsubscribe_all(&mut self, session: &Session) -> usize {
        let keys: Vec<SubscriptionKey> = self.alive(session).map(|(key, _)| key).collect();
        for key in &keys {
            self.subscribers.get_mut(key).expect("a subscriber").phase = Phase::EndedByAll;
        }
        for (target, upstream) in std::mem::take(&mut self.upstreams) {
            self.left(&target, &upstream);
        }
        keys.len()
    }

    pub(crate) fn resubscribe(&mut self) {
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
            subscriber.phase != Phase::Unsubscribing && (slow_too || !subscriber.spec.is_slow)
        });
        subscribers.map(|(key, _)| *key).collect()
    }

    /// The subscriptions whose refresh has failed for good.
    pub(crate) fn failed_refreshes(&self) -> Vec<(SubscriptionKey, Spec)> {
        let subscribers = self.subscribers.iter().filter(|(_, subscriber)| {
            subscriber.phase == Phase::Alive && subscriber.reader.has_failed()
        });
        subscribers.map(|(key, subscriber)| (*key, subscriber.spec.clone())).collect()
    }

    pub(crate) fn any(&self, random: &mut Rng) -> Option<SubscriptionKey> {
        let keys = self.keys(true);
        (!keys.is_empty()).then(|| keys[random.usize(..keys.len())])
    }

    /// How many are never acknowledged.
    pub(crate) fn mute_count(&self) -> u32 {
        let mutes = self.upstreams.keys().filter(|target| target.is_mute()).count();
        u32::try_from(mutes).expect("few")
    }

    /// Whether the server acknowledges it.
    pub(super) fn is_acknowledged(&self, key: SubscriptionKey) -> bool {
        self.subscribers.get(&key).is_some_and(|subscriber| !subscriber.spec.target.is_mute())
    }

    pub(crate) fn is_slow(&self, key: SubscriptionKey) -> bool {
        self.subscribers.get(&key).is_none_or(|subscriber| subscriber.spec.is_slow)
    }
}

// Frames sent
impl Subscriptions {
    pub(super) fn transmitted(
        &mut self,
        nth: ConnectionIndex,
        frame: &Value,
        target: &Target,
        now: Instant,
    ) {
        let payload = &frame["payload"];
        let id = payload["request_id"].to_string();
        if payload["action"].as_str().is_some_and(|action| action.starts_with("un")) {
            let held = self.held.remove(&id).as_ref() == Some(target);
            assert!(held || self.rejected.contains(&id), "{frame} ends what does not exist");
            return;
        }
        let wanted = self.subscribers.values().any(|subscriber| {
            subscriber.phase == Phase::Alive && subscriber.spec.target == *target
        });
        assert!(wanted, "S1: {frame} has no subscriber");
        let twice = self.held.values().any(|other| other == target);
        if self.again.remove(target) && self.held.contains_key(&id) {
            self.repeated.insert(id.clone());
        } else {
            let may_be = self.repeated.contains(&id);
            assert!(!twice || may_be, "S1, S2: {frame} is subscribed already");
        }
        self.held.insert(id.clone(), target.clone());
        let upstream = self.upstreams.entry(target.clone()).or_default();
        (upstream.id, upstream.sent_on) = (id, Some(nth));
        (upstream.is_unanswered, upstream.sent_at) = (true, Some(now));
        upstream.acknowledged_on = target.is_mute().then_some(nth);
        if target.is_mute() {
            self.acknowledged(target);
        }
    }

    /// Checks that all subscribes on its stream were sent before this request (R1, S4), except suspects after a second.
    pub(super) fn check_sent_first(
        &self,
        nth: ConnectionIndex,
        frame: &Value,
        age: Duration,
        session: &Session,
    ) {
        for (key, subscriber) in self.alive(session) {
            let target = &subscriber.spec.target;
            let upstream = self.upstreams.get(target);
            let is_suspect = upstream.is_some_and(|upstream| upstream.suspicion.times > 0);
            if frame["stream"] != target.stream() || (is_suspect && age >= PATIENCE) {
                continue;
            }
            let sent_on = upstream.and_then(|upstream| upstream.sent_on);
            assert!(
                sent_on == Some(nth),
                "S4: {frame} goes before the subscribe of {key:?} to {target:?}"
            );
        }
    }

    /// Whether something may wait in quarantine.
    pub(crate) fn has_suspects(&self) -> bool {
        self.has_refresh_suspects
            || self.upstreams.values().any(|upstream| upstream.suspicion.times > 0)
    }

    /// Whether anything was acknowledged on this connection.
    pub(super) fn serves(&self, nth: ConnectionIndex) -> bool {
        self.upstreams.values().any(|upstream| upstream.acknowledged_on == Some(nth))
    }

    pub(super) fn refresh_transmitted(&mut self, frame: &Value) {
        let payload = &frame["payload"];
        let stream = frame["stream"].as_str().unwrap_or_default().to_owned();
        let refreshed = (stream, payload["pk"].as_u64());
        self.refreshes.insert(payload["request_id"].to_string(), refreshed);
        let is_wanted = self.subscribers.values().any(|subscriber| {
            subscriber.spec.refreshes && frame["stream"] == subscriber.spec.target.stream()
        });
        assert!(is_wanted, "S6: {frame} refreshes nothing");
    }

    pub(super) fn lost(
        &mut self,
        nth: ConnectionIndex,
        is_death: bool,
        is_of_a_consumer: bool,
        now: Instant,
    ) {
        let since = |sent: Option<Instant>| sent.map(|sent| now.duration_since(sent));
        let is_recent = since(self.last_frame).is_some_and(|since| since < QUARANTINE_WINDOW);
        for (target, upstream) in &mut self.upstreams {
            if upstream.sent_on != Some(nth) {
                continue;
            }
            if target.is_mute() && since(upstream.sent_at).is_some_and(|since| since >= WATCH) {
                upstream.answer();
            }
            if upstream.is_unanswered && is_recent && is_death {
                upstream.suspicion.times += 1;
                upstream.suspicion.since.get_or_insert(now);
                upstream.suspicion.coincidences += u32::from(!is_of_a_consumer);
            }
            upstream.acknowledged_on = None;
        }
        self.has_refresh_suspects |= is_recent && is_death && !self.refreshes.is_empty();
        for refreshed in std::mem::take(&mut self.refreshes).into_values() {
            if is_recent && is_death {
                let suspicion = self.refresh_deaths.entry(refreshed).or_default();
                suspicion.coincidences += u32::from(!is_of_a_consumer);
            }
        }
        self.last_frame = None;
        for subscriber in self.subscribers.values_mut() {
            subscriber.reader.lose();
            let Some(upstream) = self.upstreams.get(&subscriber.spec.target) else { continue };
            if upstream.suspicion.times >= subscriber.suspicion.times {
                subscriber.suspicion = upstream.suspicion;
            }
        }
        self.held.clear();
        self.again.clear();
        self.repeated.clear();
        self.rejected.clear();
    }
}

// Frames received
impl Subscriptions {
    pub(super) fn received(&mut self, nth: ConnectionIndex, frame: &Value) {
        let payload = &frame["payload"];
        let id = payload["request_id"].to_string();
        if let Some((stream, pk)) = self.refreshes.remove(&id) {
            self.refresh_deaths.remove(&(stream, pk));
            self.refreshed(frame, pk);
        }
        let Some(target) = self.held.get(&id).cloned() else { return };
        let is_current = self.upstreams.get(&target).is_some_and(|upstream| upstream.id == id);
        if !is_current || frame["stream"] != target.stream() {
            return;
        }
        let action = payload["action"].as_str().unwrap_or_default();
        if action.starts_with("subscribe_") {
            self.answered(nth, &id, &target, payload["response_status"].as_u64());
        } else if let Some(expected) = Expected::of(payload) {
            for subscriber in self.subscribers.values_mut() {
                if subscriber.phase == Phase::Alive && subscriber.spec.target == target {
                    subscriber.reader.expect_change(&expected, &subscriber.spec);
                }
            }
        }
    }

    /// A refresh of the object `pk` was answered.
    fn refreshed(&mut self, frame: &Value, pk: Option<u64>) {
        let is_missing = pk.is_some() && frame["payload"]["response_status"] == 404;
        for subscriber in self.subscribers.values_mut().filter(|_| is_missing) {
            let target = &subscriber.spec.target;
            if subscriber.spec.refreshes && frame["stream"] == target.stream() && target.pk() == pk
            {
                subscriber.reader.is_missing = true;
            }
        }
    }

    /// An event over the limit is a gap; any other such message may answer a refresh.
    pub(super) fn received_too_large(&mut self, frame: &Value) {
        let id = frame["payload"]["request_id"].to_string();
        let Some(target) = self.held.get(&id).cloned() else {
            self.large_refreshes += 1;
            return;
        };
        let is_create = frame["payload"]["action"] == "create";
        let is_current = self.upstreams.get(&target).is_some_and(|upstream| upstream.id == id);
        for subscriber in self.subscribers.values_mut() {
            let is_wanted = !is_create || subscriber.spec.include_create;
            let is_alive = subscriber.phase == Phase::Alive && is_current;
            if is_alive && is_wanted && subscriber.spec.target == target {
                subscriber.reader.miss();
            }
        }
    }

    fn answered(&mut self, nth: ConnectionIndex, id: &str, target: &Target, status: Option<u64>) {
        let upstream = self.upstreams.get_mut(target).expect("an upstream subscription");
        upstream.answer();
        match status {
            Some(200..=299) => {
                upstream.acknowledged_on = Some(nth);
                self.acknowledged(target);
            }
            Some(429 | 500..=599) => self.has_error_reply(id),
            _ => {
                self.has_error_reply(id);
                for subscriber in self.subscribers.values_mut() {
                    subscriber.has_error_reply |= subscriber.spec.target == *target;
                }
            }
        }
    }

    fn has_error_reply(&mut self, id: &str) {
        if !self.repeated.contains(id) {
            self.held.remove(id);
            self.rejected.insert(id.to_owned());
        }
    }

    fn acknowledged(&mut self, target: &Target) {
        for subscriber in self.subscribers.values_mut() {
            if subscriber.phase == Phase::Alive && subscriber.spec.target == *target {
                subscriber.reader.acknowledged();
            }
        }
    }

    pub(super) fn ids(&self) -> Vec<Value> {
        self.held.keys().map(|id| serde_json::from_str(id).expect("an id")).collect()
    }

    /// The ids and streams of the live subscriptions.
    pub(super) fn live(&self, nth: ConnectionIndex) -> Vec<(Value, String)> {
        let live =
            self.upstreams.iter().filter(|(_, upstream)| upstream.acknowledged_on == Some(nth));
        live.map(|(target, upstream)| {
            (serde_json::from_str(&upstream.id).expect("an id"), target.stream().to_owned())
        })
        .collect()
    }
}

// The end
impl Subscriptions {
    pub(super) fn are_live(
        &self,
        nth: ConnectionIndex,
        on_server: &[(Value, Target)],
        session: &Session,
        server: &Server,
    ) -> Result<(), String> {
        let is_guilty = |spec: &Spec| server.is_guilty(&spec.target, spec.refreshes);
        let shows_guilt = |subscriber: &Subscriber, but: &Target| {
            let spec = &subscriber.spec;
            !spec.target.is_mute() && spec.target != *but && !is_guilty(spec)
        };
        let mut wanted = BTreeSet::new();
        for (key, subscriber) in self.alive(session) {
            let target = &subscriber.spec.target;
            if is_guilty(&subscriber.spec) {
                // Guilt shows only while others are served.
                if self.alive(session).any(|(_, other)| shows_guilt(other, target)) {
                    return Err(format!("L12: {key:?} of {target:?} is not found"));
                }
                wanted.insert(target);
                continue;
            }
            let upstream = &self.upstreams[target];
            if upstream.acknowledged_on != Some(nth) {
                return Err(format!("{key:?} of {target:?} is not acknowledged"));
            }
            let held: Vec<_> = on_server.iter().filter(|(_, its)| its == target).collect();
            if held.len() != 1 || id_of(&held[0].0) != upstream.id {
                return Err(format!("the server holds {held:?} for {key:?}, not {}", upstream.id));
            }
            subscriber.reader.has_read_all(&subscriber.spec)?;
            wanted.insert(target);
        }
        // The unsubscribe of a deleted object gets a 404, and the server keeps the subscription.
        let is_deleted = |target: &Target| {
            target.pk().is_some_and(|pk| !server.versions(target.stream()).contains_key(&pk))
        };
        let mut others = on_server.iter().filter(|(_, target)| !wanted.contains(target));
        match others.find(|(_, target)| !is_deleted(target)) {
            Some(other) => Err(format!("the server still holds {other:?}")),
            None => Ok(()),
        }
    }

    pub(super) fn check_rows(&self, server: &Server, session: &Session) -> Result<(), String> {
        for (key, subscriber) in
            self.alive(session).filter(|(_, subscriber)| subscriber.spec.refreshes)
        {
            if server.is_guilty(&subscriber.spec.target, true) {
                continue;
            }
            let stream = subscriber.spec.target.stream();
            let mut rows = server.versions(stream);
            if let Some(pk) = subscriber.spec.target.pk() {
                rows.retain(|other, _| *other == pk);
            }
            subscriber
                .reader
                .check_rows(&rows)
                .map_err(|why| format!("S6: {key:?} of {stream}: {why}"))?;
        }
        Ok(())
    }

    pub(super) fn ended(&self) {
        assert!(self.subscribers.is_empty(), "{:?} have not ended", self.subscribers.keys());
    }
}

/// An id as the key of a map.
fn id_of(id: &Value) -> String {
    id.to_string()
}
