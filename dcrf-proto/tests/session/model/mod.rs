//! A simple model of a session. It checks what the session does during random calls.

mod listeners;
mod sends;
mod streams;

use std::collections::{BTreeMap, BTreeSet};

use dcrf_proto::{
    Change, Event, Frame, Json, OverflowPolicy, ReplyStreamKey, RequestKey, SubscriptionError,
    SubscriptionKey, Transmit,
};
use serde_json::Value;

use self::listeners::Listeners;
use self::sends::Sends;
use self::streams::Streams;

/// The index of a connection, in the order of dials.
pub(crate) type ConnectionIndex = usize;

/// The cancel action of reply streams.
pub(crate) const CANCEL: &str = "stop";

#[derive(Default)]
pub(crate) struct Model {
    requests: BTreeMap<RequestKey, RequestRecord>,
    by_number: BTreeMap<u64, Key>,
    pub(crate) streams: Streams,
    pub(crate) sends: Sends,
    pub(crate) listeners: Listeners,
    subscriptions: BTreeMap<SubscriptionKey, SubscriptionRecord>,
    /// The ids of the subscriptions that the server holds, by connection and target.
    live: BTreeMap<(ConnectionIndex, String), BTreeSet<String>>,
    /// The live ids that may be sent once more after a resubscribe.
    resubscribes: BTreeMap<(ConnectionIndex, String), BTreeSet<String>>,
    closed: bool,
}

/// The call that sent a frame, found by the number in the frame.
#[derive(Clone, Copy)]
enum Key {
    Request(RequestKey),
    Stream(ReplyStreamKey),
}

struct RequestRecord {
    idempotent: bool,
    sent: u32,
    end: Option<End>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Settled,
    Cancelled,
}

#[derive(Default)]
struct SubscriptionRecord {
    include_create: bool,
    overflow_policy: OverflowPolicy,
    /// The connection on which it was first acknowledged.
    first_live: Option<ConnectionIndex>,
    /// The connection of the last change that was read.
    last_connection: Option<ConnectionIndex>,
    /// A gap was read, and no change after it.
    after_gap: bool,
    /// The number of the last change that was read.
    last_number: u64,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Active,
    /// Unsubscribed, but the event has not been polled.
    Unsubscribing,
    /// Ended by `unsubscribe_all`, but the error has not been polled.
    UnsubscribedByAll,
    Ended,
}

// The calls
impl Model {
    pub(crate) fn request_made(&mut self, key: RequestKey, number: u64, idempotent: bool) {
        assert!(!self.closed, "a request was accepted after the close");
        let previous = self.requests.insert(key, RequestRecord { idempotent, sent: 0, end: None });
        assert!(previous.is_none(), "a request key was issued twice");
        self.by_number.insert(number, Key::Request(key));
    }

    pub(crate) fn stream_made(&mut self, key: ReplyStreamKey, number: u64, idempotent: bool) {
        assert!(!self.closed, "a stream was accepted after the close");
        self.streams.added(key, idempotent);
        self.by_number.insert(number, Key::Stream(key));
    }

    /// `was_pending` is false if the request had already settled.
    pub(crate) fn cancelled(&mut self, key: RequestKey, was_pending: bool) {
        let record = self.requests.get_mut(&key).expect("a known request");
        if was_pending {
            let earlier = record.end.replace(End::Cancelled);
            assert_eq!(earlier, None, "R5: {key:?} was cancelled after its end");
        }
    }

    pub(crate) fn subscribed(
        &mut self,
        key: SubscriptionKey,
        include_create: bool,
        overflow_policy: OverflowPolicy,
    ) {
        assert!(!self.closed, "a subscription was accepted after the close");
        let record =
            SubscriptionRecord { include_create, overflow_policy, ..SubscriptionRecord::default() };
        let previous = self.subscriptions.insert(key, record);
        assert!(previous.is_none(), "a subscription key was issued twice");
    }

    pub(crate) fn unsubscribed(&mut self, key: SubscriptionKey) {
        let record = self.subscriptions.get_mut(&key).expect("a known subscription");
        if matches!(record.phase, Phase::Active | Phase::UnsubscribedByAll) {
            record.phase = Phase::Unsubscribing;
        }
    }

    /// Ends all active subscriptions and returns their number.
    pub(crate) fn all_unsubscribed(
        &mut self,
        has_ended: impl Fn(SubscriptionKey) -> bool,
    ) -> usize {
        let is_active = |(key, record): &(&SubscriptionKey, &mut SubscriptionRecord)| {
            record.phase == Phase::Active && !has_ended(**key)
        };
        let end =
            |(_, record): (_, &mut SubscriptionRecord)| record.phase = Phase::UnsubscribedByAll;
        self.subscriptions.iter_mut().filter(is_active).map(end).count()
    }

    /// Each live subscription may be sent once more on this connection.
    pub(crate) fn resubscribed(&mut self, connection: ConnectionIndex) {
        let live = self.live.iter().filter(|((of, _), _)| *of == connection);
        self.resubscribes.extend(live.map(|(target, ids)| (target.clone(), ids.clone())));
    }

    pub(crate) fn closed(&mut self) {
        self.closed = true;
    }
}

// The outputs of the session
impl Model {
    pub(crate) fn transmitted(&mut self, connection: ConnectionIndex, transmit: &Transmit) {
        match transmit {
            Transmit::Dial(_) => assert!(!self.closed, "a dial after the close"),
            Transmit::Frame(_, Frame::Text(text)) => self.sent(connection, &frame(text)),
            _ => {}
        }
    }

    fn sent(&mut self, connection: ConnectionIndex, frame: &Value) {
        let (id, target) = (id_of(frame), target_of(frame));
        match action_of(frame) {
            "subscribe_instance" | "subscribe_feed" => {
                let is_resubscribe =
                    self.resubscribes.entry((connection, target.clone())).or_default().remove(&id);
                let live = self.live.entry((connection, target)).or_default();
                assert!(
                    live.is_empty() || is_resubscribe,
                    "{frame} was sent although {live:?} is live"
                );
                live.insert(id);
                assert_eq!(live.len(), 1, "two ids are live after {frame}");
            }
            "unsubscribe_instance" | "unsubscribe_feed" => {
                self.live.entry((connection, target)).or_default().remove(&id);
            }
            CANCEL => self.streams.cancel_sent(connection, frame, &id),
            _ => {
                let number = number_of(&frame["payload"]);
                if self.sends.sent(connection, number, frame) {
                    return;
                }
                match self.by_number[&number] {
                    Key::Request(key) => self.request_sent(key, frame),
                    Key::Stream(key) => self.streams.sent(connection, key, frame, id),
                }
            }
        }
    }

    fn request_sent(&mut self, key: RequestKey, frame: &Value) {
        let record = self.requests.get_mut(&key).expect("a request");
        assert_eq!(record.end, None, "{frame} was sent after its end");
        record.sent += 1;
        assert!(record.sent <= 1 + u32::from(record.idempotent), "{frame} was sent too often");
    }

    /// The server has sent an error reply to this frame.
    pub(crate) fn error_reply_sent(&mut self, connection: ConnectionIndex, frame: &Value) {
        self.live.entry((connection, target_of(frame))).or_default().remove(&id_of(frame));
    }

    /// The session reports the subscription as acknowledged on this connection.
    pub(crate) fn acknowledged(&mut self, key: SubscriptionKey, connection: ConnectionIndex) {
        let record = self.subscriptions.get_mut(&key).expect("a known subscription");
        record.first_live.get_or_insert(connection);
    }

    pub(crate) fn event_polled(&mut self, event: &Event) {
        match event {
            Event::Settled { request, .. } => {
                let record = self.requests.get_mut(request).expect("a known request");
                assert_eq!(
                    record.end.replace(End::Settled),
                    None,
                    "{event:?} arrived after its end"
                );
            }
            Event::Subscribed(key) | Event::ChangeReadable(key) => {
                let phase = self.subscriptions[key].phase;
                let is_open = matches!(phase, Phase::Active | Phase::UnsubscribedByAll);
                assert!(is_open, "{event:?} arrived after the end");
            }
            Event::ReplyReadable(key) => self.streams.notified(*key),
            Event::ListenerReadable(key) => self.listeners.notified(*key),
            Event::Unsubscribed { subscription, .. } => {
                let record = self.subscriptions.get_mut(subscription).expect("a subscription");
                assert_eq!(record.phase, Phase::Unsubscribing, "{event:?} without an unsubscribe");
                record.phase = Phase::Ended;
            }
            _ => {}
        }
    }

    pub(crate) fn change_polled(
        &mut self,
        key: SubscriptionKey,
        polled: &Result<Change, SubscriptionError>,
    ) {
        let record = self.subscriptions.get_mut(&key).expect("a known subscription");
        if record.phase == Phase::UnsubscribedByAll {
            assert_eq!(
                *polled,
                Err(SubscriptionError::Unsubscribed),
                "S12: the error is read first"
            );
            record.phase = Phase::Active;
        }
        assert_eq!(record.phase, Phase::Active, "{polled:?} arrived after the end");
        match polled {
            Ok(Change::Gap(_)) => record.after_gap = true,
            Ok(Change::Lagged(_)) => {
                assert_ne!(
                    record.overflow_policy,
                    OverflowPolicy::Close,
                    "S11: {key:?} dropped changes instead of ending"
                );
            }
            Err(SubscriptionError::Overflowed { .. }) => {
                assert_eq!(
                    record.overflow_policy,
                    OverflowPolicy::Close,
                    "S11: {key:?} ended instead of dropping changes"
                );
                record.phase = Phase::Ended;
            }
            Ok(change) => record.change(change),
            Err(_) => record.phase = Phase::Ended,
        }
    }

    /// Checks that nothing is left once the session is finished and everything was polled.
    pub(crate) fn assert_all_ended(&self) {
        for (key, record) in &self.requests {
            assert!(record.end.is_some(), "{key:?} has not settled");
        }
        for (key, record) in &self.subscriptions {
            assert_eq!(record.phase, Phase::Ended, "{key:?} has not ended");
        }
        assert_eq!(self.streams.active(), 0, "a stream has not ended");
        self.listeners.assert_all_read();
    }

    pub(crate) fn requests(&self) -> Vec<RequestKey> {
        self.requests.keys().copied().collect()
    }

    pub(crate) fn subscriptions(&self) -> Vec<SubscriptionKey> {
        self.subscriptions.keys().copied().collect()
    }
}

impl SubscriptionRecord {
    fn change(&mut self, change: &Change) {
        let (connection, number) = mark_of(change);
        assert!(
            self.include_create || !matches!(change, Change::Create(_)),
            "S13: {change:?} was not asked for"
        );
        assert!(number > self.last_number, "S5: {number} arrived after {}", self.last_number);
        // Changes that arrived before the acknowledgement may be read after it.
        let previous = self
            .last_connection
            .or(self.first_live.map(|first| first.min(connection)))
            .unwrap_or(connection);
        if connection != previous {
            assert!(
                connection > previous,
                "S5: a change of connection {connection} arrived after one of {previous}"
            );
            assert!(self.after_gap, "S5: no gap between connections {previous} and {connection}");
        }
        (self.last_connection, self.after_gap, self.last_number) =
            (Some(connection), false, number);
    }
}

/// The connection and the number with which the server marked a change.
fn mark_of(change: &Change) -> (ConnectionIndex, u64) {
    let decode = |json: &Json| -> Value { json.decode().expect("JSON") };
    let data = match change {
        Change::Create(data) | Change::Update(data) => decode(data),
        Change::Delete(deleted) => decode(&deleted.data),
        Change::ErrorReply(error_reply) => decode(&error_reply.errors)[0].take(),
        Change::Other { payload, .. } => decode(payload)["data"].take(),
        other => panic!("{other:?} does not change an object"),
    };
    let connection = data["connection"].as_u64().expect("a mark");
    (usize::try_from(connection).expect("small"), number_of(&data))
}

fn number_of(marked: &Value) -> u64 {
    marked["number"].as_u64().expect("a number")
}

pub(crate) fn frame(text: &str) -> Value {
    serde_json::from_str(text).expect("a text frame is JSON")
}

pub(crate) fn action_of(frame: &Value) -> &str {
    frame["payload"]["action"].as_str().expect("an action")
}

pub(crate) fn id_of(frame: &Value) -> String {
    frame["payload"]["request_id"].to_string()
}

fn target_of(frame: &Value) -> String {
    let action = action_of(frame).trim_start_matches("un");
    format!("{} {action} {}", frame["stream"], frame["payload"]["pk"])
}
