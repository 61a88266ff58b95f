//! A connection on the server: its subscriptions, and the work of each stream.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use serde_json::{Value, json};

use super::boards::BoardPeer;
use super::rows::{Commit, Kind, Rows};
use crate::server_frames;

/// A subscribe to this object makes the consumer raise, if the scenario has poison.
pub(crate) const POISON: u64 = 1;

/// The target of a subscription.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    Instance(String, u64),
    /// A `model_observer` with a serializer, whose actions reply.
    Feed(String),
    /// One as in DCRF's docs, whose actions never reply.
    Mute(String),
}

impl Target {
    /// The target of a subscribe or unsubscribe.
    pub(crate) fn of(stream: &str, action: &str, pk: Option<u64>) -> Option<Self> {
        let stream = stream.to_owned();
        match action.strip_prefix("un").unwrap_or(action) {
            "subscribe_instance" => Some(Self::Instance(stream, pk.unwrap_or_default())),
            "subscribe_feed" => Some(Self::Feed(stream)),
            "subscribe_mute" => Some(Self::Mute(stream)),
            _ => None,
        }
    }

    pub(crate) fn stream(&self) -> &str {
        match self {
            Self::Instance(stream, _) | Self::Feed(stream) | Self::Mute(stream) => stream,
        }
    }

    pub(crate) fn pk(&self) -> Option<u64> {
        self.object().map(|(_, pk)| pk)
    }

    pub(crate) fn object(&self) -> Option<(String, u64)> {
        match self {
            Self::Instance(stream, pk) => Some((stream.clone(), *pk)),
            Self::Feed(_) | Self::Mute(_) => None,
        }
    }

    pub(crate) fn is_mute(&self) -> bool {
        matches!(self, Self::Mute(_))
    }

    pub(super) fn is_of(&self, commit: &Commit) -> bool {
        match self {
            Self::Instance(stream, pk) => {
                *stream == commit.stream && *pk == commit.pk && commit.kind != Kind::Create
            }
            Self::Feed(stream) | Self::Mute(stream) => *stream == commit.stream,
        }
    }
}

/// An event on its way to a consumer.
pub(super) struct PendingEvent {
    pub(super) id: Value,
    pub(super) target: Target,
    pub(super) commit: Commit,
}

impl PendingEvent {
    /// The payload that the consumer sends.
    pub(super) fn payload(&self, rows: &Rows) -> Value {
        let (action, pk) = (self.commit.kind.action(), self.commit.pk);
        let say = |data: &Value, status: u16, errors: &Value| {
            server_frames::payload(&self.id, action, status, errors, data)
        };
        match (&self.target, self.commit.kind) {
            (Target::Instance(..), Kind::Delete) => say(&json!({"pk": pk}), 204, &json!([])),
            // Quirk 3: an update is read when it is delivered.
            (Target::Instance(stream, _), _) => match rows.get(stream, pk) {
                Some(row) => say(&row, 200, &json!([])),
                None => say(&Value::Null, 404, &json!(["Not found"])),
            },
            (Target::Feed(_), Kind::Create) => say(&self.commit.row, 201, &json!([])),
            (Target::Feed(_), Kind::Update) => say(&self.commit.row, 200, &json!([])),
            (Target::Feed(_), Kind::Delete) => say(&self.commit.row, 204, &json!([])),
            (Target::Mute(_), _) => {
                json!({"message": self.commit.row, "action": action, "request_id": self.id})
            }
        }
    }
}

pub(super) struct Sub {
    pub(super) id: Value,
    pub(super) target: Target,
    pub(super) is_silenced: bool,
}

pub(super) struct Peer {
    pub(super) subs: Vec<Sub>,
    /// The objects with a delivered event (quirk 1).
    pub(super) delivered_objects: BTreeSet<(String, u64)>,
    /// A consumer has raised, and nothing more is processed.
    pub(super) has_raised: bool,
    /// Whether it answers pings and nothing else.
    pub(super) is_deaf: bool,
    /// Until then a frame for `notes` kills the connection.
    pub(super) unready_until: Duration,
    /// When the last published event arrives, and the events by stream.
    pub(super) events_until: Duration,
    pub(super) events: BTreeMap<String, VecDeque<PendingEvent>>,
    pub(super) boards: BoardPeer,
    /// The ids of the reply streams.
    pub(super) reply_streams: BTreeSet<String>,
    /// How long each stream is busy.
    busy: BTreeMap<String, Duration>,
}

impl Peer {
    pub(super) fn new(unready_until: Duration, is_deaf: bool) -> Self {
        Self {
            subs: Vec::new(),
            delivered_objects: BTreeSet::new(),
            has_raised: false,
            is_deaf,
            unready_until,
            events_until: Duration::ZERO,
            events: BTreeMap::new(),
            boards: BoardPeer::default(),
            reply_streams: BTreeSet::new(),
            busy: BTreeMap::new(),
        }
    }

    pub(super) fn free_at(&self, stream: &str) -> Duration {
        self.busy.get(stream).copied().unwrap_or_default()
    }

    /// Occupies the stream for `time` once it is free. Returns until when.
    pub(super) fn occupy(&mut self, stream: &str, now: Duration, time: Duration) -> Duration {
        let done = self.free_at(stream).max(now) + time;
        self.busy.insert(stream.to_owned(), done);
        done
    }

    pub(super) fn finish_work(&mut self) {
        self.busy.clear();
        self.events_until = Duration::ZERO;
        self.boards.until = Duration::ZERO;
        self.unready_until = Duration::ZERO;
    }

    pub(super) fn subscribe(&mut self, id: &Value, target: &Target) {
        if !self.subs.iter().any(|sub| sub.id == *id && sub.target == *target) {
            let (id, target) = (id.clone(), target.clone());
            self.subs.push(Sub { id, target, is_silenced: false });
        }
        for sub in self.subs.iter_mut().filter(|sub| sub.target == *target) {
            sub.is_silenced = false;
        }
    }

    pub(super) fn unsubscribe(&mut self, id: &Value, target: &Target) {
        // Quirk 2: the id alone decides.
        self.subs.retain(|sub| sub.id != *id);
        // Quirk 1: after an event, the other ids are silenced.
        if target.object().is_some_and(|object| self.delivered_objects.contains(&object)) {
            for sub in self.subs.iter_mut().filter(|sub| sub.target == *target) {
                sub.is_silenced = true;
            }
        }
    }
}
