//! Why a subscription, a refresh or an unsubscribe has failed.

use super::{CloseReason, ConnectionError, RejectReason, Rejected};
use crate::command::Subscribe;
use crate::config::Limit;
use crate::protocol::error_reply::ErrorReply;
use crate::protocol::json::DecodeError;

/// Why a subscription has ended, or could not be made.
///
/// ```
/// use dcrf_proto::SubscriptionError;
///
/// fn explain(error: &SubscriptionError) -> String {
///     match error {
///         SubscriptionError::Gone(_) => "it was deleted".to_owned(),
///         SubscriptionError::Revoked(_) => "you may no longer see it".to_owned(),
///         other => other.to_string(),
///     }
/// }
/// assert_eq!(explain(&SubscriptionError::Unsubscribed), "all subscriptions were ended");
/// ```
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SubscriptionError {
    /// The server replied to the subscribe with an error. It is not retried.
    #[error(transparent)]
    ErrorReply(ErrorReply),
    /// The object no longer existed when the client resubscribed after a reconnect (404).
    #[error("the object is gone")]
    Gone(ErrorReply),
    /// The permission was missing when the client resubscribed after a reconnect (401 or 403).
    #[error("the permission was revoked")]
    Revoked(ErrorReply),
    /// The server did not acknowledge the subscription in time, counted from the call: there was no connection, or the
    /// server did not reply or asked to try again later. If its action never replies, use
    /// [`Subscribe::without_ack`](crate::Subscribe::without_ack).
    #[error("the subscription was not acknowledged in time")]
    TimedOut,
    /// Like [`TimedOut`](Self::TimedOut), and a connection was lost while nothing but this subscribe was unanswered. Most
    /// often the server does not have the stream, or its consumer raises an exception.
    #[error(
        "the subscription was not acknowledged in time, and a connection was lost right after its subscribe (does the server have this stream?): {cause}"
    )]
    Suspected {
        /// Why the last connection was lost.
        cause: ConnectionError,
    },
    /// The reply to the refresh of the subscription is larger than the size limit of a message from the server. Use
    /// [`refresh_with`](crate::Subscribe::refresh_with) to request pages, or raise the limit.
    #[error("the state has {size} bytes, more than the limit of {limit} for a message")]
    RefreshTooLarge {
        /// The size of the message in bytes, or of those of its parts that were received.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// Connections kept ending right after this subscribe, for at least
    /// [`Config::poisoned_after`](crate::Config::poisoned_after), while nothing else was unanswered and the server
    /// acknowledged others. A stream that the server does not have, or an exception in its consumer, ends the connection.
    #[error("connections keep ending right after this subscribe: {cause}")]
    Poisoned {
        /// Why the last connection was lost.
        cause: ConnectionError,
    },
    /// Like [`Poisoned`](Self::Poisoned), but the subscribe was acknowledged, and connections kept ending after the
    /// request of its [refresh](crate::Subscribe::refresh): an exception, or a list that the server can't send.
    #[error("connections keep ending right after the refresh of this subscription: {cause}")]
    RefreshPoisoned {
        /// Why the last connection was lost.
        cause: ConnectionError,
    },
    /// The reader was too slow, and the policy is [`OverflowPolicy::Close`](crate::OverflowPolicy::Close). The changes
    /// in the buffer are delivered before this error.
    #[error(
        "the reader was too slow: more than {} changes or {} bytes were unread", .limit.count, .limit.bytes
    )]
    Overflowed {
        /// The size of the buffer, from [`Config::changes`](crate::Config::changes).
        limit: Limit,
    },
    /// The program called `unsubscribe_all`. Unread changes are discarded.
    #[error("all subscriptions were ended")]
    Unsubscribed,
    /// The client was closed.
    #[error("{0}")]
    Closed(CloseReason),
    /// The client rejected the subscription and hands it back.
    #[error("{0}")]
    Rejected(Box<Rejected<Subscribe>>),
}

impl SubscriptionError {
    /// Whether subscribing again would fail again, for example because the object or the permission is gone, the server
    /// replied with an error other than 429 and 5xx, or the client is closed.
    pub fn is_final(&self) -> bool {
        match self {
            Self::ErrorReply(reply) => {
                reply.status.is_none_or(|status| status != 429 && status < 500)
            }
            Self::Gone(_)
            | Self::Revoked(_)
            | Self::RefreshTooLarge { .. }
            | Self::Poisoned { .. }
            | Self::RefreshPoisoned { .. }
            | Self::Closed(_) => true,
            Self::TimedOut
            | Self::Suspected { .. }
            | Self::Overflowed { .. }
            | Self::Unsubscribed => false,
            Self::Rejected(rejected) => matches!(
                rejected.reason,
                RejectReason::InvalidArgument { .. }
                    | RejectReason::TooLarge { .. }
                    | RejectReason::Closed(_)
            ),
        }
    }
}

impl From<Rejected<Subscribe>> for SubscriptionError {
    /// If the client is closed, this is [`SubscriptionError::Closed`], as for a subscription that it had accepted.
    fn from(rejected: Rejected<Subscribe>) -> Self {
        match rejected.reason {
            RejectReason::Closed(reason) => Self::Closed(reason),
            _ => Self::Rejected(Box::new(rejected)),
        }
    }
}

/// Why the state of a subscription could not be refreshed. The subscription continues.
///
/// ```
/// use dcrf_proto::{ErrorReply, RefreshError};
///
/// assert!(RefreshError::ErrorReply(ErrorReply::new(403)).is_final());
/// assert!(!RefreshError::ErrorReply(ErrorReply::new(503)).is_final());
/// assert!(!RefreshError::TimedOut.is_final());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RefreshError {
    /// The server replied with an error.
    #[error(transparent)]
    ErrorReply(ErrorReply),
    /// The server did not reply within [`Config::request_timeout`](crate::Config::request_timeout).
    #[error("the server did not reply to the refresh in time")]
    TimedOut,
    /// The reply is neither a list nor a [page](crate::Page), or a page at the wrong place in the list.
    #[error(transparent)]
    Decode(DecodeError),
}

impl RefreshError {
    /// Whether the client gives up until the next reconnect, or until the reader has lagged. If not, it tries again
    /// with the backoff of connections, and reports only the first failure.
    pub fn is_final(&self) -> bool {
        match self {
            Self::ErrorReply(reply) => {
                reply.status.is_none_or(|status| status != 429 && status < 500)
            }
            Self::TimedOut => false,
            Self::Decode(_) => true,
        }
    }
}

/// Why the server did not confirm an unsubscribe. The subscription has ended in any case.
///
/// ```
/// use dcrf_proto::UnsubscribeError;
///
/// let error = UnsubscribeError::TimedOut;
/// assert_eq!(error.to_string(), "the server did not confirm the unsubscribe in time");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnsubscribeError {
    /// The server replied with an error other than 404.
    #[error(transparent)]
    ErrorReply(ErrorReply),
    /// The server did not reply in time.
    #[error("the server did not confirm the unsubscribe in time")]
    TimedOut,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn final_subscription_errors() {
        assert!(SubscriptionError::Closed(CloseReason::ByCaller).is_final());
        assert!(SubscriptionError::Poisoned { cause: ConnectionError::Dropped }.is_final());
        assert!(!SubscriptionError::TimedOut.is_final());
        assert!(!SubscriptionError::Unsubscribed.is_final());
    }
}
