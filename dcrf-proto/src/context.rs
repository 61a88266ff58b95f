//! What the parts of a session share: the clock as last told, the randomness, the routes of request ids,
//! the deadlines, and what waits to be told to the caller.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::buffer::{Buffer, Held, Measure};
use crate::config::{Config, Limit};
use crate::error::RejectReason;
use crate::event::{ClientEvent, ConnectionState, Event, Unhandled};
use crate::id::{Random, RequestId, Seed};
use crate::protocol::json::Json;
use crate::protocol::selector::Selector;
use crate::routing::{Routes, Selectors};
use crate::stats::{Dropped, Stats};
use crate::timer::Timers;
use crate::trace::Tracer;

/// As good as for ever, and still far from the end of any clock.
pub(crate) const FAR: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// The timeout of subscribes and refreshes if requests have none.
const DEFAULT_REPLY_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) config: Config,
    /// The latest instant that anyone has told; the session never goes back.
    pub(crate) now: Instant,
    pub(crate) random: Random,
    pub(crate) timers: Timers,
    pub(crate) routes: Routes,
    pub(crate) selectors: Selectors,
    /// What each wait of the caller ends with. Bounded by [`Context::admit`].
    pub(crate) events: VecDeque<Event>,
    pub(crate) client_events: ClientEvents,
    /// The counters; the gauges are taken when they are asked for.
    pub(crate) stats: Stats,
    pub(crate) unread: Unread,
    pub(crate) trace: Tracer,
}

/// What waits for its readers, in all buffers of a kind together.
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
            stats: Stats::default(),
            unread: Unread::default(),
            trace: Tracer::new(now),
        }
    }

    /// The instant after `wait`; the far future where the clock can't say it.
    pub(crate) fn after(&self, wait: Duration) -> Instant {
        self.now + wait.min(FAR)
    }

    /// When a reply to a frame that is sent now is overdue.
    pub(crate) fn reply_due(&self) -> Instant {
        self.after(self.config.request_timeout.unwrap_or(DEFAULT_REPLY_TIMEOUT))
    }

    /// Refuses a command while its caller leaves too many events unread.
    pub(crate) fn admit(&self) -> Result<(), RejectReason> {
        let limit = self.config.max_requests.saturating_add(self.config.max_subscriptions);
        if self.events.len() < limit { Ok(()) } else { Err(RejectReason::QueueFull) }
    }

    /// What the dialect says of the answers to this id.
    pub(crate) fn reply_selector(&self, stream: &str, id: &RequestId) -> Option<Selector> {
        self.config.dialect.as_ref()?.reply_selector(stream, id)
    }

    pub(crate) fn state_changed(&mut self, state: ConnectionState) {
        self.trace.state(&state, self.now);
        self.event(ClientEvent::State(state));
    }

    fn event(&mut self, event: ClientEvent) {
        self.stats.lagged_events += self.client_events.push(event);
    }

    /// A command was not accepted.
    pub(crate) fn rejected(&mut self, reason: &RejectReason) {
        self.stats.rejected += 1;
        self.trace.rejected(reason);
    }

    /// Tells the log whether a frame was dropped, as the counters say that were `before` it.
    pub(crate) fn trace_dropped(&mut self, before: Dropped, bytes: usize) {
        let now = self.stats.dropped();
        if now != before {
            self.trace.dropped(before, now, bytes);
        }
    }

    pub(crate) fn unhandled(&mut self, text: &str) {
        self.stats.unhandled += 1;
        let frame = Json::from_checked(text.trim());
        self.event(ClientEvent::Unhandled(Unhandled { frame }));
    }
}

/// The events that wait to be polled: bounded, the oldest give way. The newest stays whatever its size, so that
/// the state is always told.
#[derive(Debug)]
pub(crate) struct ClientEvents {
    items: Buffer<ClientEvent>,
    missed: u64,
    limit: Limit,
}

impl ClientEvents {
    pub(crate) fn new(limit: Limit) -> Self {
        Self { items: Buffer::default(), missed: 0, limit }
    }

    /// Adds a event, and says how many older ones gave way.
    pub(crate) fn push(&mut self, event: ClientEvent) -> u64 {
        self.items.push(event);
        let before = self.missed;
        while self.items.is_over(self.limit) {
            self.items.pop();
            self.missed += 1;
        }
        self.missed - before
    }

    pub(crate) fn held(&self) -> Held {
        self.items.held()
    }

    pub(crate) fn pop(&mut self) -> Option<ClientEvent> {
        if self.missed > 0 {
            return Some(ClientEvent::Lagged(std::mem::take(&mut self.missed)));
        }
        self.items.pop()
    }
}

impl Measure for ClientEvent {
    fn bytes(&self) -> usize {
        match self {
            Self::Unhandled(unhandled) => unhandled.frame.len(),
            Self::State(_) | Self::Lagged(_) => 0,
        }
    }
}
