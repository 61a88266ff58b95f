//! Why a collection has ended.

use super::{CloseReason, RejectReason, Rejected, RequestError, SubscriptionError};
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
    /// The objects could not be listed, and trying again can't help.
    #[error("the objects could not be listed: {0}")]
    List(#[source] RequestError),
    /// The reply to `list` is no list.
    #[error("the reply to `list` is no list: {0}")]
    Decode(#[source] DecodeError),
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

impl From<Rejected<Collect>> for CollectionError {
    fn from(rejected: Rejected<Collect>) -> Self {
        match rejected.reason {
            RejectReason::Closed(reason) => Self::Closed(reason),
            reason => Self::Rejected { reason },
        }
    }
}
