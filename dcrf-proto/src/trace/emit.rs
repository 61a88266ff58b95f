//! How each thing is told: as which span or event, at which level. All of it runs code of the user.

use std::borrow::Cow;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tracing::field::{Empty, display};
use tracing::{Span, debug, debug_span, info, trace, warn};

use super::SubscriptionEvent;
use crate::error::CloseReason;
use crate::event::ConnectionState;
use crate::id::RequestId;
use crate::outcome::Outcome;

// The targets, by which a program chooses what it wants to see. They are promised in the docs of the adapters.
pub(super) const CONNECTION: &str = "dcrf::connection";
const REQUEST: &str = "dcrf::request";
const SUBSCRIPTION: &str = "dcrf::subscription";
const FRAME: &str = "dcrf::frame";

/// One thing to tell.
#[derive(Debug)]
pub(super) enum Record {
    Accepted(Arc<Ask>),
    Repeated(Arc<Ask>),
    Ended(Arc<Ask>, End),
    Rejected(String),
    State(Change),
    Subscription {
        stream: String,
        action: String,
        id: RequestId,
        told: SubscriptionEvent,
    },
    Replays(usize),
    /// For the first time on this connection, or once more.
    Lagged(Option<String>, u64, bool),
    /// For the first time on this connection, or once more.
    Dropped(Frame, usize, bool),
}

/// The connection's state has changed.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) state: ConnectionState,
    pub(super) attempt: u32,
    /// How long the connection had been open that has ended.
    pub(super) connected_ms: Option<u64>,
    /// How long until the next attempt.
    pub(super) wait_ms: Option<u64>,
    /// Whether another attempt has failed before, since the last connection.
    pub(super) is_repeated: bool,
}

/// A frame that nobody got.
#[derive(Clone, Copy, Debug)]
pub(super) enum Frame {
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

/// A request as the session keeps it; `None` when nobody wants to be told of it.
pub(crate) type Asked = Option<Arc<Ask>>;

/// A request, and its span once that has begun.
#[derive(Debug)]
pub(crate) struct Ask {
    stream: Cow<'static, str>,
    action: Cow<'static, str>,
    id: RequestId,
    pub(super) since: Instant,
    progress: Mutex<Progress>,
}

/// The span begins on the caller's thread, so that it is a child of the caller's own. The end may be told by the
/// driver's, and even before.
#[derive(Debug)]
enum Progress {
    Accepted,
    Open(Arc<Span>),
    EndedBefore(End),
    Over,
}

impl Ask {
    pub(super) fn new(
        stream: Cow<'static, str>,
        action: Cow<'static, str>,
        id: RequestId,
        since: Instant,
    ) -> Self {
        Self { stream, action, id, since, progress: Mutex::new(Progress::Accepted) }
    }

    /// Held for one exchange of values: no code of the user runs meanwhile.
    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self) {
        let span = Arc::new(debug_span!(
            target: REQUEST,
            "request",
            stream = &*self.stream,
            action = &*self.action,
            request_id = %self.id,
            outcome = Empty,
            ms = Empty,
            sent = Empty,
        ));
        let before = mem::replace(&mut *self.progress(), Progress::Open(span));
        if let Progress::EndedBefore(end) = before {
            self.end(end);
        }
    }

    fn end(&self, end: End) {
        let mut progress = self.progress();
        match mem::replace(&mut *progress, Progress::Over) {
            Progress::Open(span) => {
                drop(progress);
                end.tell(&span);
            }
            Progress::Accepted => *progress = Progress::EndedBefore(end),
            Progress::EndedBefore(_) | Progress::Over => {}
        }
    }

    fn span(&self) -> Option<Arc<Span>> {
        match &*self.progress() {
            Progress::Open(span) => Some(span.clone()),
            _ => None,
        }
    }
}

impl End {
    fn tell(&self, span: &Span) {
        span.record("outcome", display(self.outcome));
        span.record("ms", self.ms);
        span.record("sent", self.sent);
        // Not by `parent`: another thread may have another subscriber, where the span's id is another span's.
        span.in_scope(|| debug!(target: REQUEST, "{}", self.outcome));
    }
}

impl Record {
    /// Tells it: a request as a child of the current span, all else in the span of the client, if it has one.
    pub(super) fn tell(self, client: Option<&Span>) {
        match self {
            Self::Accepted(ask) => ask.begin(),
            Self::Ended(ask, end) => ask.end(end),
            Self::Repeated(ask) => {
                if let Some(span) = ask.span() {
                    span.in_scope(|| debug!(target: REQUEST, "queued once more after a loss"));
                }
            }
            Self::Rejected(reason) => debug!(target: REQUEST, "not accepted: {reason}"),
            other => match client {
                Some(client) => client.in_scope(|| other.tell_of_the_client()),
                None => other.tell_of_the_client(),
            },
        }
    }

    fn tell_of_the_client(self) {
        match self {
            Self::State(change) => change.tell(),
            Self::Subscription { stream, action, id, told } => {
                told.tell(&stream, &action, &id);
            }
            Self::Replays(count) => debug!(target: SUBSCRIPTION, count, "subscribes anew"),
            Self::Lagged(stream, count, true) => {
                warn!(target: SUBSCRIPTION, stream, count, "dropped: the reader is too slow");
            }
            Self::Lagged(stream, count, false) => {
                trace!(target: SUBSCRIPTION, stream, count, "dropped: the reader is too slow");
            }
            Self::Dropped(_, bytes, true) => {
                warn!(target: FRAME, bytes, "dropped a frame that is no JSON object");
            }
            Self::Dropped(Frame::Malformed, bytes, false) => {
                trace!(target: FRAME, bytes, "dropped a frame that is no JSON object");
            }
            Self::Dropped(Frame::Unhandled, bytes, _) => {
                trace!(target: FRAME, bytes, "a frame that belongs to nobody");
            }
            Self::Dropped(Frame::Late, bytes, _) => {
                trace!(target: FRAME, bytes, "dropped a late answer");
            }
            Self::Accepted(_) | Self::Repeated(_) | Self::Ended(..) | Self::Rejected(_) => {}
        }
    }
}

impl Change {
    fn tell(&self) {
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

/// An event about a subscription, with what names it.
macro_rules! subscription {
    ($level:ident, $named:expr, $($what:tt)+) => {{
        let (stream, action, id) = $named;
        $level!(target: SUBSCRIPTION, stream, action, request_id = %id, $($what)+)
    }};
}

impl SubscriptionEvent {
    fn tell(self, stream: &str, action: &str, id: &RequestId) {
        let named = (stream, action, id);
        match self {
            Self::Subscribed { again } => subscription!(debug, named, again, "subscribed"),
            Self::Rejected { status, again: false } => {
                subscription!(debug, named, status, "refused");
            }
            Self::Rejected { status, again: true } => {
                subscription!(warn, named, status, "refused on a new connection, and ended");
            }
            Self::Deferred { status, wait } => {
                subscription!(debug, named, status, ?wait, "put off to later");
            }
            Self::Overdue => subscription!(debug, named, "not acknowledged in time"),
            Self::Poisoned => {
                subscription!(warn, named, "ended: three connections in a row died of it");
            }
            Self::Gap => subscription!(debug, named, "changes may be missing before this point"),
            Self::Unsubscribed => subscription!(debug, named, "unsubscribed"),
        }
    }
}
