//! Why a collection has ended.

use std::fmt;

use super::{
    CloseReason, ConnectionError, RejectReason, Rejected, RequestError, SubscriptionError,
};
use crate::command::Collect;
use crate::config::Limit;
use crate::protocol::json::DecodeError;

/// Why a collection has ended, or could not be made.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CollectionError {
    /// A subscription to its changes has ended.
    #[error("the subscription of the collection has ended: {0}")]
    Subscription(#[source] SubscriptionError),
    /// The objects could not be listed, and trying again can't help. It is [`RequestError::ConnectionLost`] if the list is
    /// proved to end connections, for example because the server can't send so large a message.
    #[error("the objects could not be listed: {0}")]
    List(#[source] RequestError),
    /// The reply to `list` is no list.
    #[error("the reply to `list` is no list: {0}")]
    Decode(#[source] DecodeError),
    /// No row of the list has a primary key. Rows without one are skipped, but not all of them.
    #[error(
        "no row of the list has a primary key in the field `{pk_field}` (`pk_field` says where it is)"
    )]
    WithoutKeys {
        /// Where the key was looked for.
        pk_field: String,
    },
    /// It was not live in time.
    #[error("the collection was not live in time, {waiting_for}")]
    TimedOut {
        /// What it still waits for.
        waiting_for: WaitingFor,
    },
    /// The server has more rows than [`Config::collections`](crate::Config::collections) allows.
    #[error("the collection has {count} rows with {bytes} bytes, more than the limit of {} rows and {} bytes", limit.count, limit.bytes)]
    TooLarge {
        /// The number of rows.
        count: usize,
        /// The size of the rows in bytes.
        bytes: usize,
        /// The limit.
        limit: Limit,
    },
    /// The client was closed.
    #[error("the client is closed: {0}")]
    Closed(CloseReason),
    /// The client did not accept the collection.
    #[error("the collection was rejected: {reason}")]
    Rejected {
        /// Why.
        reason: RejectReason,
    },
}

/// What a collection waits for before it is live.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitingFor {
    /// A connection.
    Connection {
        /// Why the last attempt failed, or why the last connection was lost.
        error: Option<ConnectionError>,
    },
    /// A reply to its subscribe or its list, after which connections end: the server does not have the stream, its consumer
    /// raises an exception, or it can't send so large a reply.
    Suspected {
        /// The stream.
        stream: String,
        /// The action.
        action: String,
        /// Why the last connection ended.
        cause: ConnectionError,
    },
    /// The acknowledgement of a feed. If its action never replies, use
    /// [`Subscribe::without_ack`](crate::Subscribe::without_ack).
    Acknowledgement,
    /// The list.
    List,
}

impl fmt::Display for WaitingFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connection { error: None } => "because there is no connection",
            Self::Connection { error: Some(error) } => {
                return write!(f, "because there is no connection: {error}");
            }
            Self::Suspected { stream, action, cause } => {
                let hint = "does the server have it, and can it send its reply?";
                return write!(
                    f,
                    "because connections end after `{action}` on `{stream}` ({hint}): {cause}"
                );
            }
            Self::Acknowledgement => {
                "because its feed is not acknowledged (if the action never replies, use `without_ack`, and `key_at` if its events have no `data`)"
            }
            Self::List => "because there is no reply to its list",
        })
    }
}

impl From<Rejected<Collect>> for CollectionError {
    fn from(rejected: Rejected<Collect>) -> Self {
        match rejected.reason {
            RejectReason::Closed(reason) => Self::Closed(reason),
            reason => Self::Rejected { reason },
        }
    }
}
