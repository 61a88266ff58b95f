//! State shared by all parts of a session: clock, random generator, routes, timers, and events for the caller.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::buffer::{Buffer, Held, Measure};
use crate::command::Written;
use crate::config::{Config, Limit};
use crate::error::RejectReason;
use crate::event::{ClientEvent, ConnectionState, Event, Quarantined, Unhandled};
use crate::id::{Random, RequestId, Seed};
use crate::link::{Proof, Silence};
use crate::protocol::framing::Framing;
use crate::protocol::json::Json;
use crate::protocol::selector::Selector;
use crate::routing::{Routes, Selectors};
use crate::stats::{Dropped, Stats};
use crate::timer::Timers;
use crate::trace::Tracer;

/// Longer than any program runs, but short enough that adding it to an `Instant` can't overflow.
pub(crate) const FAR: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// The timeout of subscribes and refreshes if requests have none.
const DEFAULT_REPLY_TIMEOUT: Duration = Duration::from_secs(30);

/// The shortest wait for the reply to a subscribe or a refresh.
const LEAST_PATIENCE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) config: Config,
    /// The latest instant passed in. It never goes back.
    pub(crate) now: Instant,
    pub(crate) random: Random,
    pub(crate) timers: Timers,
    pub(crate) routes: Routes,
    pub(crate) selectors: Selectors,
    /// Events for the caller. Bounded by [`Context::admit`].
    pub(crate) events: VecDeque<Event>,
    /// Events for collections.
    pub(crate) internal: VecDeque<Event>,
    /// Writes that collections have not seen (V14).
    pub(crate) written: Vec<Written>,
    pub(crate) client_events: ClientEvents,
    /// The counters. `Session::stats` adds the gauges.
    pub(crate) stats: Stats,
    pub(crate) unread: Unread,
    /// Of the current connection.
    pub(crate) silence: Silence,
    /// Set while a message over the size limit is routed: its size and the limit.
    pub(crate) too_large: Option<(usize, usize)>,
    /// Whether the server has answered something on the current connection with success.
    pub(crate) has_worked: bool,
    pub(crate) trace: Tracer,
}

/// The unread items of all buffers, by kind.
#[derive(Debug, Default)]
pub(crate) struct Unread {
    pub(crate) changes: Held,
    pub(crate) replies: Held,
    pub(crate) frames: Held,
}

impl Context {
    pub(crate) fn new(config: Config, seed: &Seed, now: Instant) -> Self {
        Self {
            client_events: ClientEvents::new(config.events),
            config,
            now,
            random: Random::new(seed),
            timers: Timers::default(),
            routes: Routes::default(),
            selectors: Selectors::default(),
            events: VecDeque::new(),
            internal: VecDeque::new(),
            written: Vec::new(),
            stats: Stats::default(),
            unread: Unread::default(),
            silence: Silence::new(now),
            too_large: None,
            has_worked: false,
            trace: Tracer::new(now),
        }
    }

    /// The instant after `wait`, at most [`FAR`] from now.
    pub(crate) fn after(&self, wait: Duration) -> Instant {
        self.now + wait.min(FAR)
    }

    /// The instant after a wait that is shortened by up to a tenth at random.
    pub(crate) fn jittered(&mut self, wait: Duration) -> Instant {
        let share = 1.0 - self.random.unit() / 10.0;
        self.after(wait.min(FAR).mul_f64(share))
    }

    /// The timeout of requests, or the default if they have none.
    fn request_timeout(&self) -> Duration {
        self.config.request_timeout.unwrap_or(DEFAULT_REPLY_TIMEOUT)
    }

    /// The deadline for a reply to a frame that is sent now.
    pub(crate) fn reply_due(&self) -> Instant {
        self.after(self.request_timeout())
    }

    /// How long to wait for the reply to a subscribe or a refresh with this timeout: at least for as long as it can kill
    /// the connection (L12), and never so short that its timer fires without end.
    pub(crate) fn patience(&self, timeout: Option<Duration>) -> Duration {
        let least = self.config.quarantine_window.clamp(LEAST_PATIENCE, DEFAULT_REPLY_TIMEOUT);
        timeout.unwrap_or(DEFAULT_REPLY_TIMEOUT).min(FAR).max(least)
    }

    /// The reply to a frame that was sent at `sent` on `stream` is overdue (L15).
    pub(crate) fn overdue(&mut self, stream: &str, sent: Instant) -> Proof {
        // A consumer without a multiplexer is one stream.
        let stream = if self.config.framing == Framing::Bare { "" } else { stream };
        let least = self.request_timeout();
        let proof = self.silence.overdue(stream, sent, self.now, least);
        if proof == Proof::Silent {
            self.silence.prove();
        }
        proof
    }

    /// Rejects a command if the caller has not polled too many events.
    pub(crate) fn admit(&self) -> Result<(), RejectReason> {
        let limit = self.config.max_requests.saturating_add(self.config.max_subscriptions);
        if self.events.len() < limit { Ok(()) } else { Err(RejectReason::QueueFull) }
    }

    /// The dialect's selector for replies to this id.
    pub(crate) fn reply_selector(&self, stream: &str, id: &RequestId) -> Option<Selector> {
        self.config.dialect.as_ref()?.reply_selector(stream, id)
    }

    pub(crate) fn state_changed(&mut self, state: ConnectionState) {
        self.trace.state_changed(&state, self.now);
        self.event(ClientEvent::State(state));
    }

    /// Reports a suspect that is not proved guilty (L12).
    pub(crate) fn quarantined(&mut self, quarantined: Quarantined) {
        self.event(ClientEvent::Quarantined(quarantined));
    }

    fn event(&mut self, event: ClientEvent) {
        self.stats.lagged_events += self.client_events.push(event);
    }

    pub(crate) fn rejected(&mut self, reason: &RejectReason) {
        self.stats.rejected += 1;
        self.trace.rejected(reason);
    }

    /// Logs a dropped frame, if the counters have changed since `before`.
    pub(crate) fn trace_dropped(&mut self, before: Dropped, bytes: usize) {
        let after = self.stats.dropped();
        if after != before {
            self.trace.dropped(before, after, bytes);
        }
    }

    pub(crate) fn unhandled(&mut self, text: &str) {
        self.stats.unhandled += 1;
        let frame = Json::from_checked(text.trim());
        self.event(ClientEvent::Unhandled(Unhandled { frame }));
    }
}

/// The unread client events. If there are too many, the oldest are dropped. The newest is kept whatever its size, so
/// that the reader always sees the current state.
#[derive(Debug)]
pub(crate) struct ClientEvents {
    items: Buffer<ClientEvent>,
    lagged: u64,
    limit: Limit,
}

impl ClientEvents {
    pub(crate) fn new(limit: Limit) -> Self {
        Self { items: Buffer::default(), lagged: 0, limit }
    }

    /// Adds an event and returns how many older ones were dropped.
    pub(crate) fn push(&mut self, event: ClientEvent) -> u64 {
        self.items.push(event);
        let before = self.lagged;
        while self.items.is_over(self.limit) {
            self.items.pop();
            self.lagged += 1;
        }
        self.lagged - before
    }

    pub(crate) fn held(&self) -> Held {
        self.items.held()
    }

    pub(crate) fn pop(&mut self) -> Option<ClientEvent> {
        if self.lagged > 0 {
            return Some(ClientEvent::Lagged(std::mem::take(&mut self.lagged)));
        }
        self.items.pop()
    }
}

impl Measure for ClientEvent {
    fn bytes(&self) -> usize {
        match self {
            Self::Unhandled(unhandled) => unhandled.frame.len(),
            Self::State(_) | Self::Lagged(_) => 0,
            Self::Quarantined(quarantined) => quarantined.stream.len() + quarantined.action.len(),
        }
    }
}
