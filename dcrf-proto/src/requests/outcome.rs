//! How a request ended, for who counts and who traces.

use std::fmt;

use crate::error::RequestError;
use crate::stats::Stats;
use crate::wire::json::Json;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// With an answer, or with the last of its replies.
    Answered,
    Refused(Option<u16>),
    TimedOut,
    Lost,
    Closed,
    Cancelled,
    /// The reader of its replies was too slow.
    Overflowed,
    /// A message without an answer has been handed to the socket.
    Sent,
}

impl Outcome {
    pub(super) fn of(result: &Result<Json, RequestError>) -> Self {
        match result {
            Ok(_) => Self::Answered,
            Err(RequestError::Refused(refusal)) => Self::Refused(refusal.status),
            Err(RequestError::TimedOut { .. }) => Self::TimedOut,
            Err(RequestError::ConnectionLost { .. }) => Self::Lost,
            Err(RequestError::Closed { .. }) => Self::Closed,
            // Told before a request is accepted, and after it has settled.
            Err(RequestError::Rejected(_) | RequestError::Decode(_)) => Self::Cancelled,
        }
    }

    /// Counts the end of a request, or of a message that awaits no answer.
    pub(super) fn count(self, stats: &mut Stats, is_message: bool) {
        let counter = match self {
            Self::Sent => &mut stats.messages_sent,
            _ if is_message => &mut stats.unsent,
            Self::Answered => &mut stats.requests_answered,
            Self::Refused(_) => &mut stats.requests_refused,
            Self::TimedOut => &mut stats.requests_timed_out,
            Self::Lost => &mut stats.requests_lost,
            Self::Closed => &mut stats.requests_closed,
            Self::Cancelled => &mut stats.requests_cancelled,
            Self::Overflowed => &mut stats.requests_overflowed,
        };
        *counter += 1;
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Answered => "ok",
            Self::Refused(Some(status)) => return write!(f, "refused {status}"),
            Self::Refused(None) => "refused",
            Self::TimedOut => "timed out",
            Self::Lost => "lost",
            Self::Closed => "closed",
            Self::Cancelled => "cancelled",
            Self::Overflowed => "overflowed",
            Self::Sent => "sent",
        })
    }
}
