//! The options of a session, with their defaults.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use crate::dialect::Dialect;
use crate::protocol::framing::Framing;

/// The options of a session. Start from the default and set what differs:
///
/// ```
/// use dcrf_proto::Config;
/// use std::time::Duration;
///
/// let mut config = Config::default();
/// config.request_timeout = Some(Duration::from_secs(10));
/// config.backoff.maximum = Duration::from_secs(60);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// How payloads are wrapped. Default: multiplexed.
    pub framing: Framing,
    /// The hooks that customise the wire. Default: none, for the wire of DCRF itself.
    pub dialect: Option<Arc<dyn Dialect>>,
    /// The waits between attempts to connect.
    pub backoff: Backoff,
    /// How long a connection must have lasted for the backoff to begin anew after it (L3). Default: 10 s.
    pub min_uptime: Duration,
    /// How long an attempt to connect may take, from the name lookup to the end of the handshake (L4).
    /// Default: 10 s.
    pub dial_timeout: Duration,
    /// How many attempts to make since the last stable connection before giving up (L5). Default: no
    /// limit.
    pub max_attempts: Option<u32>,
    /// When to ask whether the server is still there (L9). `None` never asks. Default: after 20 s without
    /// a frame, and 10 s for the answer.
    pub heartbeat: Option<Heartbeat>,
    /// How long a request waits for its answer, counted from the call (R3); also how long the server has
    /// to acknowledge a subscription once its frame is sent. `None` waits as long as the session lives.
    /// Default: 30 s.
    pub request_timeout: Option<Duration>,
    /// What may wait for a connection or, with one, for the socket to take it (R2): a program that makes
    /// more requests at once without awaiting any needs more. Default: 1,024 requests and 8 MiB.
    pub outbox: Limit,
    /// How many requests may be alive: waiting, in flight, or settled and not yet polled. Default: 65,536.
    pub max_requests: usize,
    /// How many subscriptions may be alive. Default: 65,536.
    pub max_subscriptions: usize,
    /// The size of the largest message to the server in bytes (R11). Default: 1 MiB − 1, since Daphne drops
    /// the connection over 1 MiB.
    pub max_outgoing_message: usize,
    /// What may wait in one subscription for its reader (S11). Default: 1,024 changes and 4 MiB.
    pub changes: Limit,
    /// What may wait in one stream of replies for its reader (R12). Default: 1,024 replies and 4 MiB.
    pub replies: Limit,
    /// The limit of each stream of events and of each listener: how many events or frames may wait for the reader,
    /// and their total size in bytes. Default: 1,024 and 4 MiB.
    pub events: Limit,
    /// How many subscriptions may wait for their acknowledgement at once when they are replayed (S4).
    /// Default: 64.
    pub replay_window: usize,
    /// How long a connection must last after a subscription was sent on it for the subscription not to be
    /// suspected of its end (L12). Default: 5 s.
    pub quarantine_window: Duration,
    /// The name of the primary key in the server's objects, under which delete events are delivered (S10).
    /// Default: `pk`, which is how the server sends it.
    pub pk_field: Cow<'static, str>,
    /// Whether a delete event that has no key of that name gets it in place of `pk` (S10). Default: true.
    pub ensure_pk_field_in_delete_events: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            framing: Framing::Multiplexed,
            dialect: None,
            backoff: Backoff::default(),
            min_uptime: Duration::from_secs(10),
            dial_timeout: Duration::from_secs(10),
            max_attempts: None,
            heartbeat: Some(Heartbeat::default()),
            request_timeout: Some(Duration::from_secs(30)),
            outbox: Limit { count: 1024, bytes: 8 << 20 },
            max_requests: 65_536,
            max_subscriptions: 65_536,
            max_outgoing_message: (1 << 20) - 1,
            changes: Limit { count: 1024, bytes: 4 << 20 },
            replies: Limit { count: 1024, bytes: 4 << 20 },
            events: Limit { count: 1024, bytes: 4 << 20 },
            replay_window: 64,
            quarantine_window: Duration::from_secs(5),
            pk_field: Cow::Borrowed("pk"),
            ensure_pk_field_in_delete_events: true,
        }
    }
}

/// How long to wait before attempt n (from 0): a time drawn evenly between zero and
/// `min(maximum, minimum · factorⁿ)`, so that clients of one server do not return in step (L2).
///
/// ```
/// use dcrf_proto::{Backoff, Config};
/// use std::time::Duration;
///
/// let mut config = Config::default();
/// config.backoff = Backoff { maximum: Duration::from_secs(5), ..Backoff::default() };
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Backoff {
    /// The bound of the first wait. Default: 1 s.
    pub minimum: Duration,
    /// The bound of all waits. Default: 30 s.
    pub maximum: Duration,
    /// By how much the bound grows with each failure; below 1 it counts as 1. Default: 2.
    pub factor: f64,
    /// Whether to draw the wait; without it the wait is the bound itself. Default: true.
    pub jitter: bool,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            minimum: Duration::from_secs(1),
            maximum: Duration::from_secs(30),
            factor: 2.0,
            jitter: true,
        }
    }
}

/// When to ask whether the server is still there (L9).
///
/// ```
/// use dcrf_proto::{Config, Heartbeat};
/// use std::time::Duration;
///
/// let mut config = Config::default();
/// config.heartbeat = Some(Heartbeat { interval: Duration::from_secs(5), ..Heartbeat::default() });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// How long without any frame until a ping is sent. Default: 20 s.
    pub interval: Duration,
    /// How long after the ping without any frame until the connection counts as lost. Default: 10 s.
    pub timeout: Duration,
}

impl Default for Heartbeat {
    fn default() -> Self {
        Self { interval: Duration::from_secs(20), timeout: Duration::from_secs(10) }
    }
}

/// How much a queue may hold.
///
/// ```
/// use dcrf_proto::{Config, Limit};
///
/// let mut config = Config::default();
/// config.changes = Limit { count: 100_000, bytes: 64 << 20 };
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The number of items.
    pub count: usize,
    /// The size of their texts together, in bytes.
    pub bytes: usize,
}
