//! The invariants: a model of the calls, the frames and the outputs, against which each step of the session is checked.

mod collections;
mod link;
mod reader;
mod replies;
mod requests;
mod subscriptions;

use std::time::Instant;

use dcrf_proto::{ClientEvent, CloseReason, ConnectionError, ConnectionState, Event, Session};
use fastrand::Rng;
use serde_json::Value;

use self::collections::Collections;
use self::link::Link;
pub(crate) use self::replies::Next;
use self::replies::Streams;
pub(crate) use self::requests::Pending;
use self::requests::Requests;
pub(crate) use self::subscriptions::Spec;
use self::subscriptions::Subscriptions;
use crate::ConnectionIndex;
use crate::server::{Server, Target};

#[derive(Default)]
pub(crate) struct Invariants {
    link: Link,
    pub(crate) requests: Requests,
    pub(crate) streams: Streams,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) collections: Collections,
    numbers: u64,
}

// The connection
impl Invariants {
    /// A unique number for a request.
    pub(crate) fn next_number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    pub(crate) fn open_connection(&self) -> Option<ConnectionIndex> {
        self.link.open()
    }

    pub(crate) fn is_open(&self, nth: ConnectionIndex) -> bool {
        self.link.open() == Some(nth)
    }

    pub(crate) fn check_dial(&mut self, session: &Session) {
        assert!(!self.link.is_closed(), "L11: a dial after the close");
        assert!(self.link.open().is_none(), "a dial while a connection is open");
        assert!(
            matches!(session.state(), ConnectionState::Connecting { .. }),
            "a dial in {}",
            session.state()
        );
    }

    pub(crate) fn opened(&mut self, nth: ConnectionIndex, now: Instant) {
        self.link.opened(nth, now);
    }

    pub(crate) fn failed(&mut self, why: &ConnectionError, now: Instant) {
        self.link.failed(why, now);
    }

    /// The open connection is lost: with an error from outside, or without one if the session ended it.
    pub(crate) fn lost(
        &mut self,
        nth: ConnectionIndex,
        why: Option<&ConnectionError>,
        now: Instant,
    ) {
        self.link.lost(why, now);
        self.link.may_restart = self.subscriptions.has_suspects() && self.subscriptions.serves(nth);
        // A loss that the session found itself, a planned restart and an oversize message make no suspects.
        let is_death = match why {
            Some(ConnectionError::Closed(frame)) => !matches!(frame.code, 1001 | 1012),
            Some(ConnectionError::TooLarge { .. }) | None => false,
            Some(_) => true,
        };
        let is_of_a_consumer = matches!(
            why,
            Some(ConnectionError::Closed(frame)) if frame.code == 1011 && frame.reason.is_empty()
        );
        self.subscriptions.lost(nth, is_death, is_of_a_consumer, now);
        if let Some(ConnectionError::TooLarge { .. }) = why {
            self.subscriptions.large_refreshes += 1;
        }
        self.requests.lost(nth, why);
        self.streams.lost(nth);
        self.collections.lost(now);
    }

    /// Restarts the measurement of silence: a frame has arrived, or the program resumes.
    pub(crate) fn keep_alive(&mut self, now: Instant) {
        self.link.received(now);
    }

    pub(crate) fn force_reconnect(&mut self) {
        self.link.restart();
    }

    /// The caller closes the session.
    pub(crate) fn close(&mut self, session: &Session) {
        self.link.close(matches!(session.state(), ConnectionState::Closed(_)));
    }
}

// Frames
impl Invariants {
    pub(crate) fn transmitted(
        &mut self,
        nth: ConnectionIndex,
        frame: &Value,
        session: &Session,
        now: Instant,
    ) {
        assert!(self.is_open(nth), "{frame} is for a connection that is not open");
        let size = frame.to_string().len();
        assert!(size <= session.config().max_outgoing_message + 64, "R11: {size} bytes");
        let payload = &frame["payload"];
        let action = payload["action"].as_str().expect("an action");
        let stream = frame["stream"].as_str().expect("a stream");
        if payload["form"].is_u64() {
            return self.collections.transmitted(frame, session.config().request_timeout, now);
        }
        self.subscriptions.last_frame = Some(now);
        if let Some(target) = Target::of(stream, action, payload["pk"].as_u64()) {
            self.subscriptions.transmitted(nth, frame, &target, now);
            return;
        }
        if payload["number"].is_u64() {
            let age = self.link.age(now);
            self.subscriptions.check_sent_first(nth, frame, age, session);
        }
        if action == "stop" {
            self.streams.cancel_transmitted(nth, &payload["request_id"]);
        } else if let Some(number) = payload["number"].as_u64() {
            if !self.streams.transmitted(nth, number, frame) {
                self.requests.transmitted(nth, number, frame);
            }
        } else {
            self.subscriptions.refresh_transmitted(frame);
        }
    }

    /// The session is about to receive a frame on the open connection.
    pub(crate) fn received(&mut self, nth: ConnectionIndex, text: &str, session: &Session) {
        let text = text.replace(":NaN", ":null");
        let Ok(frame) = serde_json::from_str::<Value>(&text) else { return };
        self.subscriptions.received(nth, &frame);
        self.streams.received(nth, &frame);
        self.collections.received(&frame, session);
    }

    /// The session is about to receive a message over the size limit.
    pub(crate) fn received_too_large(&mut self, envelope: &str) {
        let frame: Value = serde_json::from_str(envelope).expect("an envelope");
        self.subscriptions.received_too_large(&frame);
        self.collections.received_too_large(&frame);
    }

    /// The id of any pending request or subscription.
    pub(crate) fn any_id(&self, random: &mut Rng) -> Option<Value> {
        let mut ids = self.subscriptions.ids();
        ids.extend(self.requests.ids());
        (!ids.is_empty()).then(|| ids.swap_remove(random.usize(..ids.len())))
    }

    /// The id and stream of a live subscription.
    pub(crate) fn live_id(
        &self,
        nth: ConnectionIndex,
        random: &mut Rng,
    ) -> Option<(Value, String)> {
        let mut live = self.subscriptions.live(nth);
        (!live.is_empty()).then(|| live.swap_remove(random.usize(..live.len())))
    }
}

// Events
impl Invariants {
    pub(crate) fn handle_event(&mut self, event: &Event, session: &Session, now: Instant) {
        match event {
            Event::Client(ClientEvent::State(state)) => self.link.handle_event(state, now, session),
            Event::Client(
                ClientEvent::Unhandled(_) | ClientEvent::Quarantined(_) | ClientEvent::Lagged(_),
            )
            | Event::CollectionReadable(_) => {}
            Event::Settled { request, result } => {
                if result.is_ok() {
                    self.link.worked();
                }
                self.requests.settled(*request, result, now);
            }
            Event::ReplyReadable(key) => self.streams.handle_event(*key),
            Event::Subscribed(key) => {
                if self.subscriptions.is_acknowledged(*key) {
                    self.link.worked();
                }
                self.subscriptions.handle_event(*key);
            }
            Event::ChangeReadable(key) => self.subscriptions.handle_event(*key),
            Event::Unsubscribed { subscription, .. } => {
                self.subscriptions.unsubscribed(*subscription);
            }
            other => panic!("{other:?} was not expected"),
        }
    }

    /// Checks what holds after every step.
    pub(crate) fn check(&mut self, session: &Session, now: Instant) {
        self.link.check(session, now);
        self.requests.check(now);
        self.subscriptions.check(session, now);
        if self.link.open().is_none() {
            self.collections.check_kept(session);
        } else {
            self.collections.forget_kept();
        }
        let (stats, config) = (session.stats(), session.config());
        assert!(stats.requests <= config.max_requests, "{} requests", stats.requests);
        assert!(stats.subscriptions <= config.max_subscriptions, "{}", stats.subscriptions);
        assert!(stats.unread_events <= config.events.count + 1, "{}", stats.unread_events);
        // As many again between the pages of a refresh (S6), and gaps, which are never dropped.
        let most = (2 * config.changes.count + 4) * stats.subscriptions;
        assert!(stats.unread_changes <= most.max(1), "S11: {}", stats.unread_changes);
    }

    /// Checks an ended session whose output was read completely.
    pub(crate) fn ended(&self, session: &Session) {
        self.link.ended(session);
        self.requests.ended();
        self.streams.ended();
        self.subscriptions.ended();
        self.collections.ended(session);
        let stats = session.stats();
        assert_eq!((stats.requests, stats.waiting_requests, stats.waiting_bytes), (0, 0, 0));
        assert_eq!((stats.subscriptions, stats.unread_changes, stats.unread_replies), (0, 0, 0));
        assert_eq!((stats.unpolled_events, stats.unread_events), (0, 0));
        assert_eq!(session.poll_timeout(), None, "a timer is left");
    }

    /// Whether exactly the wanted subscriptions are live on this connection.
    pub(crate) fn is_live(
        &self,
        nth: ConnectionIndex,
        on_server: &[(Value, Target)],
        session: &Session,
        server: &Server,
    ) -> Result<(), String> {
        self.requests.all_settled()?;
        self.subscriptions.are_live(nth, on_server, session, server)
    }

    /// Whether each subscriber that refreshes knows the server's rows.
    pub(crate) fn check_rows(&self, server: &Server, session: &Session) -> Result<(), String> {
        self.subscriptions.check_rows(server, session)
    }
}

fn closed_reason(session: &Session) -> Option<&CloseReason> {
    match session.state() {
        ConnectionState::Closed(reason) => Some(reason),
        _ => None,
    }
}
