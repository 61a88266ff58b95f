//! The reaction to each connection error: close codes and HTTP statuses (L6, L7).

use std::time::{Duration, Instant};

use crate::error::{CloseReason, ConnectionError};

/// What to do after a connection or an attempt has failed. A policy returns it to override the default.
///
/// ```
/// use dcrf_proto::{ConnectionError, FailureAction};
///
/// /// Our server closes with 4001 when the token has expired, and with 4002 when the account is locked.
/// fn on_failure(error: &ConnectionError) -> Option<FailureAction> {
///     match error {
///         ConnectionError::Closed(frame) if frame.code == 4001 => Some(FailureAction::RefreshCredentials),
///         ConnectionError::Closed(frame) if frame.code == 4002 => Some(FailureAction::Stop),
///         _ => None, // the default
///     }
/// }
/// # let _ = on_failure;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FailureAction {
    /// Reconnect with backoff.
    ///
    /// The delay is never shorter than the server asks for: its `Retry-After` header, or ten seconds after the close
    /// codes 1013 (try again later) and 1014 (bad gateway).
    Retry,
    /// Reconnect with fresh credentials. If this happens twice in a row, the client closes with
    /// [`CloseReason::Unauthorized`](crate::CloseReason::Unauthorized); if a connection has worked before, only after
    /// [`Config::grace_period`](crate::Config::grace_period).
    RefreshCredentials,
    /// Close the client with [`CloseReason::Fatal`](crate::CloseReason::Fatal).
    Stop,
}

/// The reaction to one kind of error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reaction {
    /// Retry after at least this long.
    Retry(Duration),
    /// The server restarts: retry soon, spread over a few seconds so that clients don't all reconnect at once.
    Restart,
    /// Retry until failures of this class are final.
    Limited(Class),
    Stop,
}

/// Failures that look final, and share a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Certificate,
    Unauthorized,
    NotFound,
    Subprotocol,
    Protocol,
}

impl Class {
    /// How many in a row are final if no connection has ever worked.
    fn limit(self) -> u32 {
        match self {
            Self::Certificate => 1,
            // One retry, with fresh credentials.
            Self::Unauthorized => 2,
            Self::NotFound | Self::Subprotocol | Self::Protocol => 3,
        }
    }
}

/// The longest wait that a server can ask for.
pub(crate) const MAX_RETRY_AFTER: Duration = Duration::from_secs(5 * 60);
const TRY_AGAIN_LATER_DELAY: Duration = Duration::from_secs(10);

fn default_reaction(error: &ConnectionError) -> Reaction {
    match error {
        ConnectionError::Closed(frame) => match frame.code {
            1001 | 1012 => Reaction::Restart,
            1002 | 1003 | 1007 | 1010 => Reaction::Limited(Class::Protocol),
            1008 | 4401 | 4403 => Reaction::Limited(Class::Unauthorized),
            _ => Reaction::Retry(min_delay(error)),
        },
        ConnectionError::Http { status, .. } => match status {
            401 | 403 => Reaction::Limited(Class::Unauthorized),
            404 => Reaction::Limited(Class::NotFound),
            429 | 503 => Reaction::Retry(min_delay(error)),
            _ => Reaction::Retry(Duration::ZERO),
        },
        ConnectionError::Certificate(_) => Reaction::Limited(Class::Certificate),
        ConnectionError::Subprotocol(_) => Reaction::Limited(Class::Subprotocol),
        ConnectionError::Credentials { fatal: true, .. } => Reaction::Stop,
        ConnectionError::Dropped
        | ConnectionError::Io { .. }
        | ConnectionError::DialTimedOut(_)
        | ConnectionError::Silent(_)
        | ConnectionError::TooLarge { .. }
        | ConnectionError::Reconnect
        | ConnectionError::Unauthorized { .. }
        | ConnectionError::Credentials { fatal: false, .. }
        | ConnectionError::Tls(_)
        | ConnectionError::Protocol(_) => Reaction::Retry(Duration::ZERO),
    }
}

fn reaction_for(action: FailureAction, error: &ConnectionError) -> Reaction {
    match action {
        FailureAction::Retry => Reaction::Retry(min_delay(error)),
        FailureAction::RefreshCredentials => Reaction::Limited(Class::Unauthorized),
        FailureAction::Stop => Reaction::Stop,
    }
}

/// The shortest delay that the server allows.
fn min_delay(error: &ConnectionError) -> Duration {
    match error {
        ConnectionError::Closed(frame) if matches!(frame.code, 1013 | 1014) => {
            TRY_AGAIN_LATER_DELAY
        }
        ConnectionError::Http { retry_after, .. } => {
            retry_after.unwrap_or_default().min(MAX_RETRY_AFTER)
        }
        _ => Duration::ZERO,
    }
}

/// The next step after a failure.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NextStep {
    /// Wait at least this long.
    Retry {
        min_delay: Duration,
    },
    /// The server restarts.
    Restart,
    Stop(CloseReason),
}

/// Decides when failures are final. What has worked before is not final within minutes: a deployment answers 404 and
/// 403 for a while.
#[derive(Debug, Default)]
pub(crate) struct Finality {
    row: Option<Row>,
    has_worked: bool,
}

/// Failures of one class, with nothing better between them.
#[derive(Clone, Copy, Debug)]
struct Row {
    class: Class,
    count: u32,
    since: Instant,
}

impl Finality {
    pub(crate) fn reset(&mut self) {
        self.row = None;
    }

    /// A connection has worked.
    pub(crate) fn worked(&mut self) {
        self.row = None;
        self.has_worked = true;
    }

    /// The server has rejected the credentials of a connection that had worked.
    pub(crate) fn rejected(&mut self, now: Instant) {
        self.row = Some(Row { class: Class::Unauthorized, count: 1, since: now });
    }

    /// Whether the server has rejected the credentials of the last attempt.
    pub(crate) fn is_unauthorized(&self) -> bool {
        self.row.is_some_and(|row| row.class == Class::Unauthorized)
    }

    /// Records a failure. `action` overrides the default reaction.
    pub(crate) fn record(
        &mut self,
        error: &ConnectionError,
        action: Option<FailureAction>,
        now: Instant,
        grace_period: Duration,
    ) -> NextStep {
        let reaction =
            action.map_or_else(|| default_reaction(error), |action| reaction_for(action, error));
        let class = match reaction {
            Reaction::Limited(class) => class,
            Reaction::Retry(min_delay) => {
                // An attempt that had no credentials doesn't show whether the server accepts them.
                if !matches!(error, ConnectionError::Credentials { .. }) {
                    self.reset();
                }
                return NextStep::Retry { min_delay };
            }
            Reaction::Restart => {
                self.reset();
                return NextStep::Restart;
            }
            Reaction::Stop => return NextStep::Stop(CloseReason::Fatal(error.clone())),
        };
        let row = match self.row {
            Some(row) if row.class == class => Row { count: row.count + 1, ..row },
            _ => Row { class, count: 1, since: now },
        };
        self.row = Some(row);
        let has_lasted = !self.has_worked || now.duration_since(row.since) >= grace_period;
        if row.count < class.limit() || !has_lasted {
            return NextStep::Retry { min_delay: Duration::ZERO };
        }
        NextStep::Stop(match class {
            Class::Unauthorized => CloseReason::Unauthorized(error.clone()),
            _ => CloseReason::Fatal(error.clone()),
        })
    }
}
