//! What follows from the loss of a connection: close codes and HTTP error replies (L6, L7).

use std::time::Duration;

use crate::error::{CloseReason, ConnectionError};

/// What a caller decides about the loss of a connection, in place of the rules (L6, L7): for
/// [`Session::handle_disconnected_with`](crate::Session::handle_disconnected_with).
///
/// ```
/// use dcrf_proto::{ConnectionError, FailureAction};
///
/// /// A server of ours closes with 4001 when the token has expired, and with 4002 for good.
/// fn on_failure(lost: &ConnectionError) -> Option<FailureAction> {
///     match lost {
///         ConnectionError::Closed(frame) if frame.code == 4001 => Some(FailureAction::RefreshCredentials),
///         ConnectionError::Closed(frame) if frame.code == 4002 => Some(FailureAction::Stop),
///         _ => None, // as the rules say
///     }
/// }
/// # let _ = on_failure;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FailureAction {
    /// Try again, as after a connection that was cut, but no sooner than the server has asked for: by `Retry-After`, or
    /// by the close code 1013, which stands for ten seconds.
    Retry,
    /// Try again with fresh credentials ([`Attempt::refresh`](crate::Attempt::refresh)); the second time in a
    /// row the session closes with [`CloseReason::Unauthorized`](crate::CloseReason::Unauthorized).
    RefreshCredentials,
    /// Close the session with [`CloseReason::Fatal`](crate::CloseReason::Fatal).
    Stop,
}

/// What to do after a loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// Try again, after at least this long.
    Retry(Duration),
    /// The server was restarted on purpose: try again soon, but not all clients at once.
    Restarted,
    /// Try again, but not for ever: so many in a row of the same class end the session.
    Limited(Class),
    Stop,
}

/// Failures that count together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Unauthorized,
    NotFound,
    Protocol,
    TooLarge,
}

impl Class {
    fn limit(self) -> u32 {
        match self {
            // Once more with fresh credentials, then no more.
            Self::Unauthorized => 2,
            Self::NotFound | Self::Protocol | Self::TooLarge => 3,
        }
    }
}

const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(5 * 60);
const TRY_AGAIN_LATER: Duration = Duration::from_secs(10);

fn rule(lost: &ConnectionError) -> Rule {
    match lost {
        ConnectionError::Closed(frame) => match frame.code {
            1001 | 1012 => Rule::Restarted,
            1002 | 1003 | 1007 | 1010 => Rule::Limited(Class::Protocol),
            1008 | 4401 | 4403 => Rule::Limited(Class::Unauthorized),
            _ => Rule::Retry(asked_for(lost)),
        },
        ConnectionError::Http { status, .. } => match status {
            401 | 403 => Rule::Limited(Class::Unauthorized),
            404 => Rule::Limited(Class::NotFound),
            429 | 503 => Rule::Retry(asked_for(lost)),
            _ => Rule::Retry(Duration::ZERO),
        },
        ConnectionError::Certificate(_) | ConnectionError::Credentials { fatal: true, .. } => {
            Rule::Stop
        }
        ConnectionError::TooLarge { .. } => Rule::Limited(Class::TooLarge),
        ConnectionError::Dropped
        | ConnectionError::Io { .. }
        | ConnectionError::DialTimedOut(_)
        | ConnectionError::Silent(_)
        | ConnectionError::Reconnect
        | ConnectionError::Credentials { fatal: false, .. }
        | ConnectionError::Tls(_)
        | ConnectionError::Protocol(_) => Rule::Retry(Duration::ZERO),
    }
}

fn decided(verdict: FailureAction, lost: &ConnectionError) -> Rule {
    match verdict {
        FailureAction::Retry => Rule::Retry(asked_for(lost)),
        FailureAction::RefreshCredentials => Rule::Limited(Class::Unauthorized),
        FailureAction::Stop => Rule::Stop,
    }
}

/// How long the server wants to be left alone.
fn asked_for(lost: &ConnectionError) -> Duration {
    match lost {
        ConnectionError::Closed(frame) if frame.code == 1013 => TRY_AGAIN_LATER,
        ConnectionError::Http { retry_after, .. } => {
            retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER)
        }
        _ => Duration::ZERO,
    }
}

/// What comes next after a loss.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Wait at least this long.
    Retry {
        at_least: Duration,
    },
    /// Planned restart.
    Restarted,
    Stop(CloseReason),
}

/// Counts the failures in a row of the classes that end a session.
#[derive(Debug, Default)]
pub(crate) struct Strikes {
    last: Option<(Class, u32)>,
}

impl Strikes {
    pub(crate) fn reset(&mut self) {
        self.last = None;
    }

    /// Whether the server has refused the credentials of the last attempt.
    pub(crate) fn is_unauthorized(&self) -> bool {
        matches!(self.last, Some((Class::Unauthorized, _)))
    }

    pub(crate) fn judge(&mut self, lost: &ConnectionError, verdict: Option<FailureAction>) -> Next {
        let rule = verdict.map_or_else(|| rule(lost), |verdict| decided(verdict, lost));
        let Rule::Limited(class) = rule else {
            // An attempt without credentials says nothing about those that the server refused.
            if !matches!(lost, ConnectionError::Credentials { .. }) {
                self.reset();
            }
            return match rule {
                Rule::Retry(at_least) => Next::Retry { at_least },
                Rule::Restarted => Next::Restarted,
                Rule::Limited(_) | Rule::Stop => Next::Stop(CloseReason::Fatal(lost.clone())),
            };
        };
        let count = match self.last {
            Some((same, count)) if same == class => count + 1,
            _ => 1,
        };
        self.last = Some((class, count));
        if count < class.limit() {
            return Next::Retry { at_least: Duration::ZERO };
        }
        Next::Stop(match class {
            Class::Unauthorized => CloseReason::Unauthorized(lost.clone()),
            _ => CloseReason::Fatal(lost.clone()),
        })
    }
}
