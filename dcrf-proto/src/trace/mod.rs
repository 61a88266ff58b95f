//! Logs through the crate `tracing`, with the feature of that name. Without it, all of this compiles to nothing.
//!
//! A `tracing` subscriber runs user code. A session behind a lock therefore defers its records, and the client emits
//! them after it has released the lock ([`Records`]). An embedder's session emits at once. A subscriber that panics loses
//! its own events, and harms nothing else. No record contains secrets
//! (X1): only names of streams and actions, request ids, statuses, sizes, and the `Display` of states and errors.

#[cfg(all(feature = "client", feature = "tracing"))]
mod deferred;
#[cfg(feature = "tracing")]
mod emit;
#[cfg(not(feature = "tracing"))]
mod noop;
#[cfg(feature = "tracing")]
mod span;

use std::time::Duration;

#[cfg(feature = "tracing")]
pub(crate) use self::emit::{RequestTrace, Tracer};
#[cfg(not(feature = "tracing"))]
pub(crate) use self::noop::{RequestTrace, Tracer};

#[cfg(all(feature = "client", feature = "tracing"))]
pub(crate) use self::deferred::Records;
#[cfg(all(feature = "client", not(feature = "tracing")))]
pub(crate) use self::noop::Records;

/// A step in the life of a subscription.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(feature = "tracing"), allow(dead_code, reason = "only emitted with `tracing`"))]
pub(crate) enum SubscriptionEvent {
    /// The server has acknowledged it; `again` on a replay.
    Subscribed {
        again: bool,
    },
    /// The server has answered with an error; `again` if it was live before.
    ErrorReply {
        status: Option<u16>,
        again: bool,
    },
    /// The server asks to try again later.
    Deferred {
        status: Option<u16>,
        wait: Duration,
    },
    /// The acknowledgement has not come in time.
    Overdue,
    /// Too many connections were lost before the acknowledgement.
    Poisoned,
    RefreshPoisoned,
    /// This many connections have died while only its subscribe or its refresh was unanswered.
    Suspected {
        deaths: u32,
    },
    /// Changes may be missing before this point.
    Gap,
    /// The last subscriber has left.
    Unsubscribed,
}
