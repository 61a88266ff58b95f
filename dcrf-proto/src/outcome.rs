//! How a request ended, for counters and logs.

use std::fmt;

use crate::error::RequestError;
use crate::protocol::json::Json;
use crate::stats::Stats;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// With its reply, or the last of its replies.
    Replied,
    ErrorReply(Option<u16>),
    ReplyTooLarge,
    TimedOut,
    ConnectionLost,
    Closed,
    Cancelled,
    /// The reader of the reply stream was too slow.
    Overflowed,
    /// A message that expects no reply was handed to the socket.
    Sent,
}

impl Outcome {
    pub(crate) fn of(result: &Result<Json, RequestError>) -> Self {
        match result {
            Ok(_) => Self::Replied,
            Err(RequestError::ErrorReply(error_reply)) => Self::ErrorReply(error_reply.status),
            Err(RequestError::ReplyTooLarge { .. }) => Self::ReplyTooLarge,
            Err(RequestError::TimedOut { .. }) => Self::TimedOut,
            Err(RequestError::ConnectionLost { .. }) => Self::ConnectionLost,
            Err(RequestError::Closed { .. }) => Self::Closed,
            // Neither settles a request: one comes before it is accepted, the other after it has settled.
            Err(RequestError::Rejected(_) | RequestError::Decode(_)) => Self::Cancelled,
        }
    }

    /// Counts the end of a request, or of a message that expects no reply.
    pub(crate) fn count(self, stats: &mut Stats, is_message: bool) {
        let counter = match self {
            Self::Sent => &mut stats.messages_sent,
            _ if is_message => &mut stats.unsent,
            Self::Replied => &mut stats.requests_replied,
            Self::ErrorReply(_) => &mut stats.requests_error_reply,
            Self::ReplyTooLarge => &mut stats.requests_reply_too_large,
            Self::TimedOut => &mut stats.requests_timed_out,
            Self::ConnectionLost => &mut stats.requests_connection_lost,
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
            Self::Replied => "ok",
            Self::ErrorReply(Some(status)) => return write!(f, "error reply {status}"),
            Self::ErrorReply(None) => "error reply",
            Self::ReplyTooLarge => "reply too large",
            Self::TimedOut => "timed out",
            Self::ConnectionLost => "connection lost",
            Self::Closed => "closed",
            Self::Cancelled => "cancelled",
            Self::Overflowed => "overflowed",
            Self::Sent => "sent",
        })
    }
}
