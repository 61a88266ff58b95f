//! What the session tells the crate `tracing`, with the feature of that name; without it all of this is empty, and
//! the session's calls cost nothing.
//!
//! A subscriber is code of the user. So a session behind a lock collects what is to be told, and whoever holds the
//! lock takes it along and tells it after the release ([`Records`]); a session of an embedder tells at once. Nothing
//! secret is in any of it (X1): names of streams and actions, request ids, statuses, sizes, and the `Display` of
//! states and errors.

#[cfg(all(feature = "client", feature = "tracing"))]
mod deferred;
#[cfg(feature = "tracing")]
mod emit;
#[cfg(not(feature = "tracing"))]
mod noop;
#[cfg(feature = "tracing")]
mod tracer;

use std::time::Duration;

#[cfg(feature = "tracing")]
pub(crate) use self::emit::Asked;
#[cfg(not(feature = "tracing"))]
pub(crate) use self::noop::{Asked, Tracer};
#[cfg(feature = "tracing")]
pub(crate) use self::tracer::Tracer;

#[cfg(all(feature = "client", feature = "tracing"))]
pub(crate) use self::deferred::Records;
#[cfg(all(feature = "client", not(feature = "tracing")))]
pub(crate) use self::noop::Records;

/// What has become of a subscription.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(feature = "tracing"), allow(dead_code, reason = "nobody is told"))]
pub(crate) enum SubscriptionEvent {
    /// It is in force, for the first time or on a new connection.
    Subscribed { again: bool },
    /// The server refused it; `again` when it had been in force.
    Rejected { status: Option<u16>, again: bool },
    /// The server asked to come back later.
    Deferred { status: Option<u16>, wait: Duration },
    /// The server did not acknowledge it in time.
    Overdue,
    /// Too many connections were lost before it was acknowledged.
    Poisoned,
    /// Changes may be missing before this point.
    Gap,
    /// Nobody wants it any more.
    Unsubscribed,
}
