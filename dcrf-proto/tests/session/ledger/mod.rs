//! The model that random calls are checked against: the session's invariants in their simplest form.

mod listening;
mod sends;
mod streams;

use std::collections::{BTreeMap, BTreeSet};

use dcrf_proto::{
    Change, Event, Frame, Json, OverflowPolicy, ReplyStreamKey, RequestKey, SubscriptionError,
    SubscriptionKey, Transmit,
};
use serde_json::Value;

use self::listening::Listening;
use self::sends::Sends;
use self::streams::Streams;

/// A connection, numbered in the order of the dials.
pub(crate) type Nth = usize;

/// The action that ends a reply stream on the server.
pub(crate) const CANCEL: &str = "stop";

#[derive(Default)]
pub(crate) struct Ledger {
    requests: BTreeMap<RequestKey, Asked>,
    by_number: BTreeMap<u64, Key>,
    pub(crate) streams: Streams,
    pub(crate) sends: Sends,
    pub(crate) listening: Listening,
    subscriptions: BTreeMap<SubscriptionKey, Wanted>,
    /// The subscriptions of the server on this connection: ids by target.
    live: BTreeMap<(Nth, String), BTreeSet<String>>,
    /// Those that may be sent once more, since the caller resubscribed.
    again: BTreeMap<(Nth, String), BTreeSet<String>>,
    closed: bool,
}

/// What a number in a frame identifies.
#[derive(Clone, Copy)]
enum Key {
    Request(RequestKey),
    Stream(ReplyStreamKey),
}

struct Asked {
    repeatable: bool,
    sent: u32,
    end: Option<End>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Settled,
    Cancelled,
}

#[derive(Default)]
struct Wanted {
    include_create: bool,
    overflow_policy: OverflowPolicy,
    /// The connection of the first acknowledgement.
    begun: Option<Nth>,
    /// The connection of the last change that was read.
    at: Option<Nth>,
    /// Whether a gap was read and no change after it.
    after_gap: bool,
    /// The number of the last change that was read.
    last: u64,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Alive,
    /// Unsubscribed; the event has not arrived.
    Leaving,
    /// Ended by `unsubscribe_all`; the reader has not been notified.
    Withdrawn,
    Gone,
}

// Calls
impl Ledger {
    pub(crate) fn asked(&mut self, key: RequestKey, number: u64, repeatable: bool) {
        assert!(!self.closed, "a request was accepted after the close");
        let known = self.requests.insert(key, Asked { repeatable, sent: 0, end: None });
        assert!(known.is_none(), "a request's key was given out twice");
        self.by_number.insert(number, Key::Request(key));
    }

    pub(crate) fn streamed(&mut self, key: ReplyStreamKey, number: u64, repeatable: bool) {
        assert!(!self.closed, "a stream was accepted after the close");
        self.streams.asked(key, repeatable);
        self.by_number.insert(number, Key::Stream(key));
    }

    /// `alive`: the session still had the request.
    pub(crate) fn cancelled(&mut self, key: RequestKey, alive: bool) {
        let asked = self.requests.get_mut(&key).expect("a known request");
        if alive {
            assert_eq!(asked.end.replace(End::Cancelled), None);
        }
    }

    pub(crate) fn wanted(
        &mut self,
        key: SubscriptionKey,
        include_create: bool,
        overflow_policy: OverflowPolicy,
    ) {
        assert!(!self.closed, "a subscription was accepted after the close");
        let wanted = Wanted { include_create, overflow_policy, ..Wanted::default() };
        let known = self.subscriptions.insert(key, wanted);
        assert!(known.is_none(), "a subscription's key was given out twice");
    }

    pub(crate) fn unwanted(&mut self, key: SubscriptionKey) {
        let wanted = self.subscriptions.get_mut(&key).expect("a known subscription");
        if matches!(wanted.phase, Phase::Alive | Phase::Withdrawn) {
            wanted.phase = Phase::Leaving;
        }
    }

    /// Ends all subscriptions that have not ended, and returns their number.
    pub(crate) fn all_unwanted(&mut self, has_ended: impl Fn(SubscriptionKey) -> bool) -> usize {
        let alive = |(key, wanted): &(&SubscriptionKey, &mut Wanted)| {
            wanted.phase == Phase::Alive && !has_ended(**key)
        };
        let withdraw = |(_, wanted): (_, &mut Wanted)| wanted.phase = Phase::Withdrawn;
        self.subscriptions.iter_mut().filter(alive).map(withdraw).count()
    }

    /// The caller resubscribes on this connection.
    pub(crate) fn wanted_again(&mut self, nth: Nth) {
        let live = self.live.iter().filter(|((its, _), _)| *its == nth);
        self.again.extend(live.map(|(target, ids)| (target.clone(), ids.clone())));
    }

    pub(crate) fn closed(&mut self) {
        self.closed = true;
    }
}

// Outputs of the session
impl Ledger {
    pub(crate) fn transmitted(&mut self, nth: Nth, transmit: &Transmit) {
        match transmit {
            Transmit::Dial(_) => assert!(!self.closed, "a dial after the close"),
            Transmit::Frame(_, Frame::Text(text)) => self.sent(nth, &frame(text)),
            _ => {}
        }
    }

    fn sent(&mut self, nth: Nth, frame: &Value) {
        let (id, target) = (id_of(frame), target_of(frame));
        match action_of(frame) {
            "subscribe_instance" | "subscribe_feed" => {
                let again = self.again.entry((nth, target.clone())).or_default().remove(&id);
                let live = self.live.entry((nth, target)).or_default();
                assert!(live.is_empty() || again, "{frame} although {live:?} is subscribed");
                live.insert(id);
                assert_eq!(live.len(), 1, "{frame} is subscribed to twice");
            }
            "unsubscribe_instance" | "unsubscribe_feed" => {
                self.live.entry((nth, target)).or_default().remove(&id);
            }
            CANCEL => self.streams.cancel_sent(nth, frame, &id),
            _ => {
                let number = number_of(&frame["payload"]);
                if self.sends.sent(nth, number, frame) {
                    return;
                }
                match self.by_number[&number] {
                    Key::Request(key) => self.request_sent(key, frame),
                    Key::Stream(key) => self.streams.sent(nth, key, frame, id),
                }
            }
        }
    }

    fn request_sent(&mut self, key: RequestKey, frame: &Value) {
        let asked = self.requests.get_mut(&key).expect("a request");
        assert_eq!(asked.end, None, "{frame} was sent after its end");
        asked.sent += 1;
        assert!(asked.sent <= 1 + u32::from(asked.repeatable), "{frame} was sent again");
    }

    /// The server has sent an error reply to this frame.
    pub(crate) fn refused(&mut self, nth: Nth, frame: &Value) {
        self.live.entry((nth, target_of(frame))).or_default().remove(&id_of(frame));
    }

    /// The session reports the subscription as acknowledged on this connection.
    pub(crate) fn acknowledged(&mut self, key: SubscriptionKey, nth: Nth) {
        let wanted = self.subscriptions.get_mut(&key).expect("a known subscription");
        wanted.begun.get_or_insert(nth);
    }

    pub(crate) fn told(&mut self, event: &Event) {
        match event {
            Event::Settled { request, .. } => {
                let asked = self.requests.get_mut(request).expect("a known request");
                assert_eq!(asked.end.replace(End::Settled), None, "{event:?} came after its end");
            }
            Event::Subscribed(key) | Event::ChangeReadable(key) => {
                let phase = self.subscriptions[key].phase;
                let is_known = matches!(phase, Phase::Alive | Phase::Withdrawn);
                assert!(is_known, "{event:?} came after the end");
            }
            Event::ReplyReadable(key) => self.streams.told(*key),
            Event::ListenerReadable(key) => self.listening.told(*key),
            Event::Unsubscribed { subscription, .. } => {
                let wanted = self.subscriptions.get_mut(subscription).expect("a subscription");
                assert_eq!(wanted.phase, Phase::Leaving, "{event:?} was not asked for");
                wanted.phase = Phase::Gone;
            }
            _ => {}
        }
    }

    pub(crate) fn read(
        &mut self,
        key: SubscriptionKey,
        polled: &Result<Change, SubscriptionError>,
    ) {
        let wanted = self.subscriptions.get_mut(&key).expect("a known subscription");
        if wanted.phase == Phase::Withdrawn {
            assert_eq!(*polled, Err(SubscriptionError::Unsubscribed), "S12");
            wanted.phase = Phase::Alive;
        }
        assert_eq!(wanted.phase, Phase::Alive, "{polled:?} came after the end");
        match polled {
            Ok(Change::Gap(_)) => wanted.after_gap = true,
            Ok(Change::Lagged(_)) => {
                assert_ne!(wanted.overflow_policy, OverflowPolicy::Close, "S11");
            }
            Err(SubscriptionError::Overflowed { .. }) => {
                assert_eq!(wanted.overflow_policy, OverflowPolicy::Close, "S11");
                wanted.phase = Phase::Gone;
            }
            Ok(change) => wanted.change(change),
            Err(_) => wanted.phase = Phase::Gone,
        }
    }

    /// Checks a finished session of which everything was polled.
    pub(crate) fn settled(&self) {
        for (key, asked) in &self.requests {
            assert!(asked.end.is_some(), "{key:?} has not settled");
        }
        for (key, wanted) in &self.subscriptions {
            assert_eq!(wanted.phase, Phase::Gone, "{key:?} has not ended");
        }
        assert_eq!(self.streams.alive(), 0, "a stream has not ended");
        self.listening.settled();
    }

    pub(crate) fn alive_requests(&self) -> Vec<RequestKey> {
        self.requests.keys().copied().collect()
    }

    pub(crate) fn subscriptions(&self) -> Vec<SubscriptionKey> {
        self.subscriptions.keys().copied().collect()
    }
}

impl Wanted {
    fn change(&mut self, change: &Change) {
        let (nth, number) = mark_of(change);
        assert!(self.include_create || !matches!(change, Change::Create(_)), "S13");
        assert!(number > self.last, "S5: {number} came after {}", self.last);
        // A change from before the acknowledgement may be read after it.
        let at = self.at.or(self.begun.map(|begun| begun.min(nth))).unwrap_or(nth);
        if nth != at {
            assert!(nth > at, "S5: a change of connection {nth} came after {at}");
            assert!(self.after_gap, "S5: no gap between connections {at} and {nth}");
        }
        (self.at, self.after_gap, self.last) = (Some(nth), false, number);
    }
}

/// The connection and number that the server put into a change.
fn mark_of(change: &Change) -> (Nth, u64) {
    let decode = |json: &Json| -> Value { json.decode().expect("JSON") };
    let data = match change {
        Change::Create(data) | Change::Update(data) => decode(data),
        Change::Delete(deleted) => decode(&deleted.data),
        Change::ErrorReply(error_reply) => decode(&error_reply.errors)[0].take(),
        Change::Other { payload, .. } => decode(payload)["data"].take(),
        other => panic!("{other:?} is no change of an object"),
    };
    let connection = data["connection"].as_u64().expect("a mark");
    (usize::try_from(connection).expect("small"), number_of(&data))
}

fn number_of(marked: &Value) -> u64 {
    marked["number"].as_u64().expect("a number")
}

pub(crate) fn frame(text: &str) -> Value {
    serde_json::from_str(text).expect("what is sent is JSON")
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
