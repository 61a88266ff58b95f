//! Records what the session does, and emits each record as a span or an event. Only `emit` methods call into the
//! `tracing` subscriber, which is user code.

use std::borrow::Cow;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::field::{Empty, display};
use tracing::level_filters::LevelFilter;
use tracing::{debug, debug_span, info, trace, warn};

use super::SubscriptionEvent;
use super::span::ContainedSpan;
use crate::command::Request;
use crate::contain::contain;
use crate::error::{CloseReason, RejectReason};
use crate::event::ConnectionState;
use crate::id::RequestId;
use crate::outcome::Outcome;
use crate::stats::Dropped;

// The targets. The adapters' docs list them, so they are part of the API.
pub(super) const CONNECTION: &str = "dcrf::connection";
const REQUEST: &str = "dcrf::request";
const SUBSCRIPTION: &str = "dcrf::subscription";
const FRAME: &str = "dcrf::frame";

#[derive(Debug)]
pub(crate) struct Tracer {
    pub(super) sink: Sink,
    /// The number of the last attempt.
    attempt: u32,
    connected_since: Option<Instant>,
    warned: Warned,
}

#[derive(Debug)]
#[cfg_attr(
    not(feature = "client"),
    allow(dead_code, reason = "an embedder's session emits at once")
)]
pub(super) enum Sink {
    Immediate,
    /// The span of the client, and the records to emit once its lock is released.
    Deferred(Arc<ContainedSpan>, Vec<Record>),
}

/// Which kinds of event were emitted at a high level on this connection. Repetitions get a lower one.
#[derive(Debug, Default)]
struct Warned {
    failed: bool,
    malformed: bool,
    lagged: bool,
}

/// Whether some subscriber may want this level. One comparison that runs no user code.
fn is_enabled(level: LevelFilter) -> bool {
    level <= LevelFilter::current()
}

impl Tracer {
    pub(crate) fn new(_: Instant) -> Self {
        Self { sink: Sink::Immediate, attempt: 0, connected_since: None, warned: Warned::default() }
    }

    fn push(&mut self, level: LevelFilter, record: impl FnOnce() -> Record) {
        if !is_enabled(level) {
            return;
        }
        match &mut self.sink {
            Sink::Immediate => record().emit(None),
            Sink::Deferred(_, records) => records.push(record()),
        }
    }

    /// Begins the span of an accepted request.
    pub(crate) fn accepted(
        &mut self,
        request: &Request,
        id: &RequestId,
        now: Instant,
    ) -> RequestTrace {
        if !is_enabled(LevelFilter::DEBUG) {
            return None;
        }
        let (stream, action) = (request.stream.clone(), request.action.clone());
        let span = Arc::new(RequestSpan::new(stream, action, id.clone(), now));
        self.push(LevelFilter::DEBUG, || Record::Accepted(span.clone()));
        Some(span)
    }

    pub(crate) fn retried(&mut self, request: &RequestTrace) {
        if let Some(span) = request {
            self.push(LevelFilter::DEBUG, || Record::Retried(span.clone()));
        }
    }

    /// Ends the span of a request.
    pub(crate) fn ended(
        &mut self,
        request: &RequestTrace,
        outcome: Outcome,
        sent: bool,
        now: Instant,
    ) {
        let Some(span) = request else { return };
        let end = End { outcome, sent, ms: millis(now.saturating_duration_since(span.since)) };
        let record = Record::Ended(span.clone(), end);
        // At any level: a span that has begun must end.
        match &mut self.sink {
            Sink::Immediate => record.emit(None),
            Sink::Deferred(_, records) => records.push(record),
        }
    }

    pub(crate) fn rejected(&mut self, reason: &RejectReason) {
        self.push(LevelFilter::DEBUG, || Record::Rejected(reason.to_string()));
    }

    pub(crate) fn state_changed(&mut self, state: &ConnectionState, now: Instant) {
        let connected = self.connected_since.take();
        let connected_ms = connected.map(|since| millis(now.saturating_duration_since(since)));
        let mut wait_ms = None;
        let mut is_repeated = false;
        match state {
            ConnectionState::Connecting { attempt } => self.attempt = *attempt,
            ConnectionState::Connected => {
                self.connected_since = Some(now);
                self.warned = Warned::default();
            }
            ConnectionState::Waiting { until, .. } => {
                wait_ms = Some(millis(until.saturating_duration_since(now)));
                is_repeated =
                    connected.is_none() && std::mem::replace(&mut self.warned.failed, true);
            }
            ConnectionState::Idle | ConnectionState::Closed(_) => {}
        }
        let attempt = self.attempt;
        let change =
            || Change { state: state.clone(), attempt, connected_ms, wait_ms, is_repeated };
        self.push(LevelFilter::WARN, || Record::StateChanged(change()));
    }

    pub(crate) fn subscription_event(
        &mut self,
        stream: &str,
        action: &str,
        id: &RequestId,
        event: SubscriptionEvent,
    ) {
        let level = match event {
            SubscriptionEvent::ErrorReply { again: true, .. }
            | SubscriptionEvent::Poisoned
            | SubscriptionEvent::RefreshPoisoned
            | SubscriptionEvent::Suspected { .. } => LevelFilter::WARN,
            _ => LevelFilter::DEBUG,
        };
        self.push(level, || Record::SubscriptionEvent {
            stream: stream.to_owned(),
            action: action.to_owned(),
            id: id.clone(),
            event,
        });
    }

    pub(crate) fn replaying(&mut self, count: usize) {
        if count > 0 {
            self.push(LevelFilter::DEBUG, || Record::Replaying(count));
        }
    }

    /// `count` changes or frames were dropped because the reader is too slow.
    pub(crate) fn lagged(&mut self, stream: Option<&str>, count: u64) {
        if count > 0 {
            let first = !std::mem::replace(&mut self.warned.lagged, true);
            self.push(repeatable_level(first), || {
                Record::Lagged(stream.map(str::to_owned), count, first)
            });
        }
    }

    /// A frame was dropped. The counters before and after it show why.
    pub(crate) fn dropped(&mut self, before: Dropped, after: Dropped, bytes: usize) {
        let malformed = after.malformed > before.malformed;
        let first = malformed && !std::mem::replace(&mut self.warned.malformed, true);
        let reason = match malformed {
            true => DropReason::Malformed,
            false if after.unhandled > before.unhandled => DropReason::Unhandled,
            false => DropReason::Late,
        };
        self.push(repeatable_level(first), || Record::Dropped(reason, bytes, first));
    }
}

/// The first on a connection is a warning, repetitions are not.
fn repeatable_level(first: bool) -> LevelFilter {
    if first { LevelFilter::WARN } else { LevelFilter::TRACE }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// One span or event to emit.
#[derive(Debug)]
pub(super) enum Record {
    Accepted(Arc<RequestSpan>),
    Retried(Arc<RequestSpan>),
    Ended(Arc<RequestSpan>, End),
    Rejected(String),
    StateChanged(Change),
    SubscriptionEvent {
        stream: String,
        action: String,
        id: RequestId,
        event: SubscriptionEvent,
    },
    Replaying(usize),
    /// The stream, how many, and whether it is the first lag on this connection.
    Lagged(Option<String>, u64, bool),
    /// The reason, the size, and whether it is the first malformed frame on this connection.
    Dropped(DropReason, usize, bool),
}

/// A change of the connection's state.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) state: ConnectionState,
    pub(super) attempt: u32,
    /// How long the connection that has ended was open.
    pub(super) connected_ms: Option<u64>,
    /// The time until the next attempt.
    pub(super) wait_ms: Option<u64>,
    /// Whether an earlier attempt since the last connection has failed too.
    pub(super) is_repeated: bool,
}

/// Why a frame was not delivered.
#[derive(Clone, Copy, Debug)]
pub(super) enum DropReason {
    Malformed,
    Unhandled,
    Late,
}

/// How a request ended.
#[derive(Debug)]
pub(super) struct End {
    pub(super) outcome: Outcome,
    pub(super) sent: bool,
    pub(super) ms: u64,
}

/// The span that a session keeps for a request; `None` if its level is off.
pub(crate) type RequestTrace = Option<Arc<RequestSpan>>;

/// A request and its span.
#[derive(Debug)]
pub(crate) struct RequestSpan {
    stream: Cow<'static, str>,
    action: Cow<'static, str>,
    id: RequestId,
    pub(super) since: Instant,
    state: Mutex<SpanState>,
}

/// The span begins on the caller's thread, as a child of the caller's span. The driver's thread may emit the end, even
/// before the beginning.
#[derive(Debug)]
enum SpanState {
    Pending,
    Open(Arc<ContainedSpan>),
    EndedEarly(End),
    Closed,
}

impl RequestSpan {
    pub(super) fn new(
        stream: Cow<'static, str>,
        action: Cow<'static, str>,
        id: RequestId,
        since: Instant,
    ) -> Self {
        Self { stream, action, id, since, state: Mutex::new(SpanState::Pending) }
    }

    /// Hold it only to exchange the value, never while user code runs.
    fn state(&self) -> MutexGuard<'_, SpanState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self) {
        let span = || {
            debug_span!(
                target: REQUEST,
                "request",
                stream = &*self.stream,
                action = &*self.action,
                request_id = %self.id,
                outcome = Empty,
                ms = Empty,
                sent = Empty,
            )
        };
        let span = Arc::new(ContainedSpan::new(span));
        let before = mem::replace(&mut *self.state(), SpanState::Open(span));
        if let SpanState::EndedEarly(end) = before {
            self.end(end);
        }
    }

    fn end(&self, end: End) {
        let mut state = self.state();
        match mem::replace(&mut *state, SpanState::Closed) {
            SpanState::Open(span) => {
                drop(state);
                end.emit(&span);
            }
            SpanState::Pending => *state = SpanState::EndedEarly(end),
            SpanState::EndedEarly(_) | SpanState::Closed => {}
        }
    }

    fn span(&self) -> Option<Arc<ContainedSpan>> {
        match &*self.state() {
            SpanState::Open(span) => Some(span.clone()),
            _ => None,
        }
    }
}

impl End {
    fn emit(&self, span: &ContainedSpan) {
        span.record(|span| {
            span.record("outcome", display(self.outcome));
            span.record("ms", self.ms);
            span.record("sent", self.sent);
        });
        // `parent: span` would pass only the id, and this thread's subscriber may use it for a different span.
        span.in_scope(|| debug!(target: REQUEST, "{}", self.outcome));
    }
}

impl Record {
    /// Emits it: requests as children of the current span, everything else in the client's span, if there is one.
    pub(super) fn emit(self, client: Option<&ContainedSpan>) {
        match self {
            Self::Accepted(request) => request.begin(),
            Self::Ended(request, end) => request.end(end),
            Self::Retried(request) => {
                if let Some(span) = request.span() {
                    span.in_scope(
                        || debug!(target: REQUEST, "queued again: the connection was lost"),
                    );
                }
            }
            Self::Rejected(reason) => {
                contain(|| debug!(target: REQUEST, "rejected: {reason}"));
            }
            other => match client {
                Some(client) => client.in_scope(|| other.emit_in_client()),
                None => {
                    contain(|| other.emit_in_client());
                }
            },
        }
    }

    fn emit_in_client(self) {
        match self {
            Self::StateChanged(change) => change.emit(),
            Self::SubscriptionEvent { stream, action, id, event } => {
                event.emit(&stream, &action, &id);
            }
            Self::Replaying(count) => debug!(target: SUBSCRIPTION, count, "resubscribing"),
            Self::Lagged(stream, count, true) => {
                warn!(target: SUBSCRIPTION, stream, count, "lagged: the reader is too slow");
            }
            Self::Lagged(stream, count, false) => {
                trace!(target: SUBSCRIPTION, stream, count, "lagged: the reader is too slow");
            }
            Self::Dropped(_, bytes, true) => {
                warn!(target: FRAME, bytes, "dropped a frame that is not a JSON object");
            }
            Self::Dropped(DropReason::Malformed, bytes, false) => {
                trace!(target: FRAME, bytes, "dropped a frame that is not a JSON object");
            }
            Self::Dropped(DropReason::Unhandled, bytes, _) => {
                trace!(target: FRAME, bytes, "unhandled frame");
            }
            Self::Dropped(DropReason::Late, bytes, _) => {
                trace!(target: FRAME, bytes, "dropped a late reply");
            }
            Self::Accepted(_) | Self::Retried(_) | Self::Ended(..) | Self::Rejected(_) => {}
        }
    }
}

impl Change {
    fn emit(&self) {
        let Self { state, attempt, connected_ms, wait_ms, is_repeated } = self;
        match state {
            ConnectionState::Idle => {}
            ConnectionState::Connecting { .. } => debug!(target: CONNECTION, attempt, "{state}"),
            ConnectionState::Connected => info!(target: CONNECTION, attempt, "{state}"),
            ConnectionState::Waiting { .. } if *is_repeated => {
                debug!(target: CONNECTION, attempt, wait_ms, "{state}");
            }
            ConnectionState::Waiting { .. } => {
                info!(target: CONNECTION, attempt, connected_ms, wait_ms, "{state}");
            }
            ConnectionState::Closed(CloseReason::ByCaller | CloseReason::DriverStopped) => {
                info!(target: CONNECTION, attempt, connected_ms, "{state}");
            }
            ConnectionState::Closed(_) => {
                warn!(target: CONNECTION, attempt, connected_ms, "{state}");
            }
        }
    }
}

/// Emits an event about a subscription, with its stream, action and request id.
macro_rules! subscription {
    ($level:ident, $named:expr, $($what:tt)+) => {{
        let (stream, action, id) = $named;
        $level!(target: SUBSCRIPTION, stream, action, request_id = %id, $($what)+)
    }};
}

impl SubscriptionEvent {
    fn emit(self, stream: &str, action: &str, id: &RequestId) {
        let named = (stream, action, id);
        match self {
            Self::Subscribed { again } => subscription!(debug, named, again, "subscribed"),
            Self::ErrorReply { status, again: false } => {
                subscription!(debug, named, status, "error reply");
            }
            Self::ErrorReply { status, again: true } => {
                subscription!(warn, named, status, "ended: error reply on a new connection");
            }
            Self::Deferred { status, wait } => {
                subscription!(debug, named, status, ?wait, "deferred");
            }
            Self::Overdue => subscription!(debug, named, "acknowledgement timed out"),
            Self::Poisoned => {
                subscription!(warn, named, "ended: connections die after this subscribe");
            }
            Self::Suspected { deaths } => {
                subscription!(warn, named, deaths, "connections may die of this subscription");
            }
            Self::RefreshPoisoned => {
                subscription!(warn, named, "ended: connections die after its refresh");
            }
            Self::Gap => subscription!(debug, named, "changes may be missing before this point"),
            Self::Unsubscribed => subscription!(debug, named, "unsubscribed"),
        }
    }
}
