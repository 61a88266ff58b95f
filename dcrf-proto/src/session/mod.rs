//! The session: the state of one client, kept across connections.

mod closing;
mod collections;
mod commands;
mod inputs;
mod polls;

use std::fmt;
use std::time::Instant;

use self::closing::Closing;
use crate::collections::Collections;
use crate::config::Config;
use crate::context::Context;
use crate::error::{CloseReason, RejectReason, SubscriptionError};
use crate::event::ConnectionState;
use crate::id::{Epoch, Seed, SubscriptionKey};
use crate::link::Link;
use crate::listeners::Listeners;
use crate::protocol::template::Templates;
use crate::requests::Requests;
use crate::stats::Stats;
use crate::subscriptions::Subscriptions;
#[cfg(feature = "client")]
use crate::trace::Records;
use crate::transmit::Attempt;

/// The state machine of one client. It outlives its connections.
///
/// A session does no I/O, reads no clock and has no source of randomness. The embedder passes in inputs and polls for
/// outputs. The methods come in four groups:
///
/// - **`handle_*`**: inputs from the socket and the clock
/// - **commands** of the caller, such as [`request`](Self::request)
/// - **`poll_*`**: outputs, which are frames to send and events for the caller
/// - **getters**, such as [`state`](Self::state)
///
/// Methods may be called at any time and in any order. Input for an [`Epoch`] that is over is ignored. An instant
/// earlier than that of a previous call counts as the latter.
///
/// The [crate's documentation](crate) contains a complete run loop.
pub struct Session {
    cx: Context,
    link: Link,
    requests: Requests,
    subscriptions: Subscriptions,
    listeners: Listeners,
    collections: Collections,
    closing: Option<Closing>,
    templates: Templates,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("state", self.state())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

impl Session {
    /// Creates a session that is not opened yet.
    ///
    /// In production, use an unpredictable `seed` and never the same one twice. The same seed and the same calls give
    /// the same behavior, which makes tests reproducible.
    ///
    /// ```
    /// use dcrf_proto::{Config, Seed, Session, ConnectionState};
    /// use std::time::Instant;
    ///
    /// let session = Session::new(Config::default(), Seed::from([7; 32]), Instant::now());
    /// assert_eq!(*session.state(), ConnectionState::Idle);
    /// ```
    #[expect(clippy::needless_pass_by_value, reason = "a seed is used once")]
    pub fn new(config: Config, seed: Seed, now: Instant) -> Self {
        Self {
            cx: Context::new(config, &seed, now),
            link: Link::new(),
            requests: Requests::new(),
            subscriptions: Subscriptions::new(),
            listeners: Listeners::new(),
            collections: Collections::new(),
            closing: None,
            templates: Templates::default(),
        }
    }

    /// The state of the connection.
    ///
    /// ```
    /// # use dcrf_proto::{Config, Seed, Session, ConnectionState};
    /// # use std::time::Instant;
    /// # let (mut session, now) = (Session::new(Config::default(), Seed::from([7; 32]), Instant::now()), Instant::now());
    /// session.open(now);
    /// assert_eq!(*session.state(), ConnectionState::Connecting { attempt: 1 });
    /// ```
    pub fn state(&self) -> &ConnectionState {
        self.link.state()
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.cx.config
    }

    /// Counters and gauges.
    ///
    /// ```
    /// # use dcrf_proto::{Config, Request, Seed, Session};
    /// # use std::time::Instant;
    /// # let (mut session, now) = (Session::new(Config::default(), Seed::from([7; 32]), Instant::now()), Instant::now());
    /// session.request(Request::list("people"), now)?;
    /// assert_eq!(session.stats().waiting_requests, 1);
    /// # Ok::<(), dcrf_proto::Rejected<Request>>(())
    /// ```
    pub fn stats(&self) -> Stats {
        let (queued, unread) = (self.requests.queued(), &self.cx.unread);
        let events = self.cx.client_events.held();
        let rows = self.collections.held();
        Stats {
            requests: self.requests.len(),
            waiting_requests: queued.count,
            waiting_bytes: queued.bytes,
            subscriptions: self.subscriptions.len(),
            listeners: self.listeners.len(),
            collections: self.collections.len(),
            rows: rows.count,
            rows_bytes: rows.bytes,
            unread_changes: unread.changes.count,
            unread_changes_bytes: unread.changes.bytes,
            unread_replies: unread.replies.count,
            unread_replies_bytes: unread.replies.bytes,
            unread_frames: unread.frames.count,
            unread_frames_bytes: unread.frames.bytes,
            unread_events: events.count,
            unread_events_bytes: events.bytes,
            unpolled_events: self.cx.events.len(),
            ..self.cx.stats
        }
    }

    /// Whether the server has acknowledged a subscription that has not ended.
    ///
    /// ```
    /// # use dcrf_proto::{Config, Seed, Session, Subscribe};
    /// # use std::time::Instant;
    /// # let (mut session, now) = (Session::new(Config::default(), Seed::from([7; 32]), Instant::now()), Instant::now());
    /// let person = session.subscribe(Subscribe::instance("people", 4), now)?;
    /// assert!(!session.is_acknowledged(person));
    /// # Ok::<(), dcrf_proto::Rejected<Subscribe>>(())
    /// ```
    pub fn is_acknowledged(&self, subscription: SubscriptionKey) -> bool {
        self.subscriptions.is_acknowledged(subscription)
    }

    /// Why a subscription has ended; `None` if it has not. There may still be changes to read.
    ///
    /// ```
    /// # use dcrf_proto::{CloseOptions, CloseReason, Config, SubscriptionError, Seed, Session, Subscribe};
    /// # use std::time::Instant;
    /// # let (mut session, now) = (Session::new(Config::default(), Seed::from([7; 32]), Instant::now()), Instant::now());
    /// let person = session.subscribe(Subscribe::instance("people", 4), now)?;
    /// session.close(CloseOptions::now(), now);
    /// assert_eq!(session.ended(person), Some(&SubscriptionError::Closed(CloseReason::ByCaller)));
    /// # Ok::<(), dcrf_proto::Rejected<Subscribe>>(())
    /// ```
    pub fn ended(&self, subscription: SubscriptionKey) -> Option<&SubscriptionError> {
        self.subscriptions.error(subscription)
    }

    /// The current connection or dial.
    ///
    /// Drop any socket or dial of another epoch: the session has abandoned it after a timeout.
    ///
    /// ```
    /// # use dcrf_proto::{Config, Seed, Session, Transmit};
    /// # use std::time::Instant;
    /// # let (mut session, now) = (Session::new(Config::default(), Seed::from([7; 32]), Instant::now()), Instant::now());
    /// assert_eq!(session.epoch(), None);
    /// session.open(now);
    /// let Some(Transmit::Dial(epoch)) = session.poll_transmit() else { unreachable!() };
    /// assert_eq!(session.epoch(), Some(epoch));
    /// ```
    pub fn epoch(&self) -> Option<Epoch> {
        self.link.epoch()
    }

    /// The current or last attempt: its number, and whether it needs fresh credentials.
    ///
    /// ```
    /// # use dcrf_proto::{Config, ConnectionError, Seed, Session, Transmit};
    /// # use std::time::Instant;
    /// # let (mut session, now) = (Session::new(Config::default(), Seed::from([7; 32]), Instant::now()), Instant::now());
    /// session.open(now);
    /// let Some(Transmit::Dial(epoch)) = session.poll_transmit() else { unreachable!() };
    /// assert_eq!((session.attempt().number, session.attempt().refresh), (1, false));
    /// session.handle_disconnected(epoch, ConnectionError::Http { status: 403, retry_after: None }, now);
    /// assert!(session.attempt().refresh);
    /// ```
    pub fn attempt(&self) -> Attempt {
        self.link.attempt()
    }

    /// Whether the session is closed and has no socket left, so the run loop may end.
    ///
    /// ```
    /// # use dcrf_proto::{CloseOptions, Config, Seed, Session};
    /// # use std::time::Instant;
    /// # let (mut session, now) = (Session::new(Config::default(), Seed::from([7; 32]), Instant::now()), Instant::now());
    /// session.close(CloseOptions::default(), now);
    /// assert!(session.is_finished());
    /// ```
    pub fn is_finished(&self) -> bool {
        self.link.is_finished()
    }

    /// Whether every request, message and subscribe was handed to the socket.
    ///
    /// ```
    /// # use dcrf_proto::{Config, Request, Seed, Session};
    /// # use std::time::Instant;
    /// # let (mut session, now) = (Session::new(Config::default(), Seed::from([7; 32]), Instant::now()), Instant::now());
    /// assert!(session.is_drained());
    /// session.send(Request::new("chat", "typing"), now)?;
    /// assert!(!session.is_drained());
    /// # Ok::<(), dcrf_proto::Rejected<Request>>(())
    /// ```
    pub fn is_drained(&self) -> bool {
        self.is_sent(u64::MAX)
    }

    /// Marks all requests accepted until now, for [`is_sent`](Self::is_sent).
    #[cfg(feature = "client")]
    pub(crate) fn mark(&self) -> u64 {
        self.requests.mark()
    }

    /// Whether all requests accepted before `mark`, and all subscribes, were handed to the socket.
    pub(crate) fn is_sent(&self, mark: u64) -> bool {
        self.requests.is_sent(mark) && !self.subscriptions.has_unsent()
    }

    /// Whether losing the connection or the dial of `epoch` now would count as a failure, for which a policy may choose
    /// the action.
    #[cfg(feature = "client")]
    pub(crate) fn would_fail(&self, epoch: Epoch) -> bool {
        self.link.would_fail(epoch)
    }

    /// Defers all trace records from now on, for [`take_records`](Self::take_records). For a session behind a lock.
    #[cfg(feature = "client")]
    pub(crate) fn collect_records(&mut self, server: impl FnOnce() -> Option<String>) {
        self.cx.trace.defer(server);
    }

    /// The deferred trace records. Dropping them emits them.
    #[cfg(feature = "client")]
    pub(crate) fn take_records(&mut self) -> Records {
        self.cx.trace.take_records()
    }

    fn check_open(&self) -> Result<(), RejectReason> {
        match self.link.state() {
            ConnectionState::Closed(reason) => Err(RejectReason::Closed(reason.clone())),
            _ if self.closing.is_some() => Err(RejectReason::Closed(CloseReason::ByCaller)),
            _ => Ok(()),
        }
    }
}
