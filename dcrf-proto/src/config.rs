//! The options of a client, with their defaults.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use crate::dialect::Dialect;
use crate::protocol::framing::Framing;

/// The options of a client. Start with the default and change single options, here or with the setters of the builder.
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
    /// Whether the server multiplexes streams. Default: multiplexed.
    pub framing: Framing,
    /// Hooks for servers that deviate from DCRF's protocol. Default: none.
    pub dialect: Option<Arc<dyn Dialect>>,
    /// The waits between attempts to connect.
    pub backoff: Backoff,
    /// How long a connection must last to reset the backoff. Default: 10 s.
    pub min_uptime: Duration,
    /// The timeout of an attempt to connect, from the name lookup to the end of the handshake. Default: 10 s.
    pub dial_timeout: Duration,
    /// How long a failure that looks final, such as HTTP status 403 or 404, must last before the client closes, if a
    /// connection has worked before. It should be longer than a deployment. Default: 5 min.
    pub grace_period: Duration,
    /// After how many failed attempts in a row the client gives up and closes. Default: never.
    pub max_attempts: Option<u32>,
    /// Whether fresh credentials can be had. If the server then refuses to replay a subscription with 401 or 403, the
    /// client reconnects once with fresh credentials ([`Attempt::refresh`](crate::Attempt::refresh)) before the
    /// subscription ends, and `connect` makes a second attempt. Default: true. A `Builder` without a credentials
    /// provider turns it off.
    pub refresh_credentials: bool,
    /// When to ping a silent server. `None` for never. Default: after 20 s without a frame, with 10 s for the answer.
    pub heartbeat: Option<Heartbeat>,
    /// The timeout of a request and of a subscribe, counted from the call. `None` for no timeout. Default: 30 s.
    ///
    /// A replayed subscribe and a refresh also count as overdue after this time, but never before
    /// [`quarantine_window`](Self::quarantine_window) has passed.
    pub request_timeout: Option<Duration>,
    /// How many requests may wait to be sent, while offline or because the socket is slow. Default: 1,024 requests and
    /// 8 MiB.
    pub outbox: Limit,
    /// How many requests may be pending: queued, in flight, or settled and not yet polled. Default: 65,536.
    pub max_requests: usize,
    /// How many subscriptions may be open, and how many listeners. Default: 65,536 each.
    pub max_subscriptions: usize,
    /// The size limit of a message to the server, in bytes. Default: 1 MiB − 1, because Daphne drops the connection
    /// over 1 MiB.
    pub max_outgoing_message: usize,
    /// How many unread changes a subscription may hold. Default: 1,024 changes and 4 MiB.
    pub changes: Limit,
    /// How many unread replies a reply stream may hold. Default: 1,024 replies and 4 MiB.
    pub replies: Limit,
    /// The limit of each stream of events and of each listener: how many events or frames may wait for the reader,
    /// and their total size in bytes. Default: 1,024 and 4 MiB.
    pub events: Limit,
    /// How many rows a collection may hold, and their total size in bytes. Over it, the collection ends with
    /// [`CollectionError::TooLarge`](crate::CollectionError::TooLarge). While a list is read that replaces all rows, the
    /// collection holds up to twice as much. Default: 100,000 rows and 64 MiB.
    pub collections: Limit,
    /// How many replayed subscribes may be unacknowledged at first on each connection. Default: 64.
    pub replay_window: usize,
    /// How far the replay window grows: it doubles each time that as many subscribes were acknowledged as it holds.
    /// Default: 1,024.
    pub max_replay_window: usize,
    /// Connections that end within this time after a frame was sent make suspects of the subscribes and requests without
    /// a reply. Zero turns the quarantine off. Default: 5 s.
    pub quarantine_window: Duration,
    /// How long a subscribe or a refresh must have ended connections before its subscription ends with
    /// [`SubscriptionError::Poisoned`](crate::SubscriptionError::Poisoned). Until then, and while nothing proves that the
    /// server is well, it is tried again ever more slowly. Default: 1 min.
    pub poisoned_after: Duration,
    /// The serializers' name for the primary key. Delete events are delivered with this name. Default: `pk`.
    pub pk_field: Cow<'static, str>,
    /// Whether `pk` in delete events is renamed to [`pk_field`](Self::pk_field). Default: true.
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
            grace_period: Duration::from_secs(5 * 60),
            max_attempts: None,
            refresh_credentials: true,
            heartbeat: Some(Heartbeat::default()),
            request_timeout: Some(Duration::from_secs(30)),
            outbox: Limit { count: 1024, bytes: 8 << 20 },
            max_requests: 65_536,
            max_subscriptions: 65_536,
            max_outgoing_message: (1 << 20) - 1,
            changes: Limit { count: 1024, bytes: 4 << 20 },
            replies: Limit { count: 1024, bytes: 4 << 20 },
            events: Limit { count: 1024, bytes: 4 << 20 },
            collections: Limit { count: 100_000, bytes: 64 << 20 },
            replay_window: 64,
            max_replay_window: 1024,
            quarantine_window: Duration::from_secs(5),
            poisoned_after: Duration::from_secs(60),
            pk_field: Cow::Borrowed("pk"),
            ensure_pk_field_in_delete_events: true,
        }
    }
}

/// The waits between attempts to connect. The wait before attempt n, from 0, is random between zero and
/// `min(maximum, minimum · factorⁿ)`, so that clients don't all reconnect at once. No wait is shorter than 10 ms.
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
    /// The upper bound of the first wait. Default: 1 s.
    pub minimum: Duration,
    /// The upper bound of all waits. Default: 30 s.
    pub maximum: Duration,
    /// The factor by which the upper bound grows with each failure, at least 1. Default: 2.
    pub factor: f64,
    /// Whether the waits are random. Otherwise each wait is as long as its upper bound. Default: true.
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

/// When to ping a silent server, and how long to wait for an answer.
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
    /// The time without any frame after which a ping is sent. Default: 20 s.
    pub interval: Duration,
    /// How long to wait for any frame after the ping. Then the connection is lost. Default: 10 s.
    pub timeout: Duration,
}

impl Default for Heartbeat {
    fn default() -> Self {
        Self { interval: Duration::from_secs(20), timeout: Duration::from_secs(10) }
    }
}

/// The capacity of a queue.
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
    /// The total size of the items in bytes: their JSON text, and 48 bytes for each object of a snapshot.
    pub bytes: usize,
}
