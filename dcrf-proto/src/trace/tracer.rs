//! What is to be told: collected, or told at once. Nothing here runs a subscriber's code but [`Record::tell`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::Span;
use tracing::level_filters::LevelFilter;

use super::SubscriptionEvent;
use super::emit::{Ask, Asked, Change, End, Frame, Record};
use crate::command::Request;
use crate::error::RejectReason;
use crate::event::ConnectionState;
use crate::id::RequestId;
use crate::outcome::Outcome;
use crate::stats::Dropped;

#[derive(Debug)]
pub(crate) struct Tracer {
    pub(super) mode: Mode,
    /// Which attempt the last one was.
    attempt: u32,
    /// Since when the connection is open.
    connected: Option<Instant>,
    /// What was told at a louder level once, and is not again before the next connection.
    said: Said,
}

#[derive(Debug)]
#[cfg_attr(
    not(feature = "client"),
    allow(dead_code, reason = "an embedder's session tells at once")
)]
pub(super) enum Mode {
    AtOnce,
    /// For whoever holds the lock of the session, with the span of its client.
    Collected(Arc<Span>, Vec<Record>),
}

#[derive(Debug, Default)]
struct Said {
    failed: bool,
    malformed: bool,
    lagged: bool,
}

/// Whether anyone wants to be told at this level. It is one comparison: to ask a subscriber whether it wants a
/// certain record would be code of the user.
fn is_wanted(level: LevelFilter) -> bool {
    level <= LevelFilter::current()
}

impl Tracer {
    pub(crate) fn new(_: Instant) -> Self {
        Self { mode: Mode::AtOnce, attempt: 0, connected: None, said: Said::default() }
    }

    fn push(&mut self, level: LevelFilter, record: impl FnOnce() -> Record) {
        if !is_wanted(level) {
            return;
        }
        match &mut self.mode {
            Mode::AtOnce => record().tell(None),
            Mode::Collected(_, records) => records.push(record()),
        }
    }

    /// A request was accepted: its span begins.
    pub(crate) fn accepted(&mut self, request: &Request, id: &RequestId, now: Instant) -> Asked {
        if !is_wanted(LevelFilter::DEBUG) {
            return None;
        }
        let (stream, action) = (request.stream.clone(), request.action.clone());
        let ask = Arc::new(Ask::new(stream, action, id.clone(), now));
        self.push(LevelFilter::DEBUG, || Record::Accepted(ask.clone()));
        Some(ask)
    }

    pub(crate) fn repeated(&mut self, asked: &Asked) {
        if let Some(ask) = asked {
            self.push(LevelFilter::DEBUG, || Record::Repeated(ask.clone()));
        }
    }

    /// A request has settled, or was given up: its span ends.
    pub(crate) fn ended(&mut self, asked: &Asked, outcome: Outcome, sent: bool, now: Instant) {
        let Some(ask) = asked else { return };
        let end = End { outcome, sent, ms: millis(now.saturating_duration_since(ask.since)) };
        let record = Record::Ended(ask.clone(), end);
        // Whatever the level is by now: a span that has begun ends.
        match &mut self.mode {
            Mode::AtOnce => record.tell(None),
            Mode::Collected(_, records) => records.push(record),
        }
    }

    pub(crate) fn rejected(&mut self, reason: &RejectReason) {
        self.push(LevelFilter::DEBUG, || Record::Rejected(reason.to_string()));
    }

    pub(crate) fn state(&mut self, state: &ConnectionState, now: Instant) {
        let connected = self.connected.take();
        let connected_ms = connected.map(|since| millis(now.saturating_duration_since(since)));
        let mut wait_ms = None;
        let mut is_repeated = false;
        match state {
            ConnectionState::Connecting { attempt } => self.attempt = *attempt,
            ConnectionState::Connected => {
                self.connected = Some(now);
                self.said = Said::default();
            }
            ConnectionState::Waiting { until, .. } => {
                wait_ms = Some(millis(until.saturating_duration_since(now)));
                is_repeated = connected.is_none() && std::mem::replace(&mut self.said.failed, true);
            }
            ConnectionState::Idle | ConnectionState::Closed(_) => {}
        }
        let attempt = self.attempt;
        let change =
            || Change { state: state.clone(), attempt, connected_ms, wait_ms, is_repeated };
        self.push(LevelFilter::WARN, || Record::State(change()));
    }

    pub(crate) fn subscription(
        &mut self,
        stream: &str,
        action: &str,
        id: &RequestId,
        told: SubscriptionEvent,
    ) {
        let level = match told {
            SubscriptionEvent::Rejected { again: true, .. } | SubscriptionEvent::Poisoned => {
                LevelFilter::WARN
            }
            _ => LevelFilter::DEBUG,
        };
        self.push(level, || Record::Subscription {
            stream: stream.to_owned(),
            action: action.to_owned(),
            id: id.clone(),
            told,
        });
    }

    /// So many subscriptions that were in force are sent anew.
    pub(crate) fn replays(&mut self, count: usize) {
        if count > 0 {
            self.push(LevelFilter::DEBUG, || Record::Replays(count));
        }
    }

    /// So many changes or frames of a stream were dropped, since their reader is too slow.
    pub(crate) fn lagged(&mut self, stream: Option<&str>, count: u64) {
        if count > 0 {
            let first = !std::mem::replace(&mut self.said.lagged, true);
            self.push(level(first), || Record::Lagged(stream.map(str::to_owned), count, first));
        }
    }

    /// A frame was dropped, as the counters before and after it say.
    pub(crate) fn dropped(&mut self, before: Dropped, after: Dropped, bytes: usize) {
        let malformed = after.malformed > before.malformed;
        let first = malformed && !std::mem::replace(&mut self.said.malformed, true);
        let frame = match malformed {
            true => Frame::Malformed,
            false if after.unhandled > before.unhandled => Frame::Unhandled,
            false => Frame::Late,
        };
        self.push(level(first), || Record::Dropped(frame, bytes, first));
    }
}

/// What is told of what happens again and again.
fn level(first: bool) -> LevelFilter {
    if first { LevelFilter::WARN } else { LevelFilter::TRACE }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
