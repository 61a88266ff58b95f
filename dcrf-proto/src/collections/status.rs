//! What is known about a collection's rows.

use std::fmt;
use std::time::Instant;

use crate::error::{CollectionError, ConnectionError, RequestError};

/// What is known about the rows of a collection (V6).
///
/// `Display` is short enough for a status line.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum CollectionStatus {
    /// The rows are not known yet. If there is no connection, or listing them has failed, this says why; it is tried again.
    Loading {
        /// Why the last attempt failed.
        error: Option<StaleCause>,
    },
    /// The rows are those of the server, and follow its changes.
    Live,
    /// As [`Live`](Self::Live), but a change between the list and the subscribe could have been missed: they are on two
    /// streams, and the server does not acknowledge the subscribe.
    Unproved,
    /// The rows are those of an earlier moment.
    Stale {
        /// Since when.
        since: Instant,
        /// Why.
        cause: StaleCause,
    },
    /// The collection has ended. Its rows stay readable, and no longer change.
    Ended(CollectionError),
}

/// Why the rows of a collection are not known, or may be out of date.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum StaleCause {
    /// There is no connection, it was lost, or changes were lost on it. The rows are listed again.
    Connection(ConnectionError),
    /// The rows could not be listed. It is tried again later. If several connections in a row were lost during the list, it is
    /// [`RequestError::ConnectionLost`].
    List(RequestError),
}

impl CollectionStatus {
    /// Whether the rows follow the server's changes.
    pub fn is_live(&self) -> bool {
        matches!(self, Self::Live | Self::Unproved)
    }
}

impl fmt::Display for CollectionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loading { error: None } => f.write_str("loading"),
            Self::Loading { error: Some(error) } => write!(f, "loading: {error}"),
            Self::Live => f.write_str("live"),
            Self::Unproved => f.write_str("live, unless a change was missed at the start"),
            Self::Stale { cause, .. } => write!(f, "out of date: {cause}"),
            Self::Ended(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for StaleCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection(error) => error.fmt(f),
            Self::List(error) => write!(f, "the list failed: {error}"),
        }
    }
}
