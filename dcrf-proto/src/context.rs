//! What the parts of a session share: the clock as last told, the randomness, the routes of request ids,
//! the deadlines, and what waits to be told to the caller.

use std::collections::VecDeque;
use std::collections::hash_map::Entry;
use std::time::{Duration, Instant};

use crate::buffer::{Buffer, Held, Measure};
use crate::config::{Config, Limit};
use crate::error::RejectReason;
use crate::event::{ClientEvent, ConnectionState, Event, Unhandled};
use crate::id::{IdMap, Random, RequestId, RequestKey, Seed, SubscriptionKey, UpstreamKey};
use crate::inbox::Inboxes;
use crate::protocol::json::Json;
use crate::protocol::selector::Selector;
use crate::selection::Selection;
use crate::stats::{Dropped, Stats};
use crate::timer::Timers;
use crate::trace::Tracer;

/// As good as for ever, and still far from the end of any clock.
pub(crate) const FAR: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) config: Config,
    /// The latest instant that anyone has told; the session never goes back.
    pub(crate) now: Instant,
    pub(crate) random: Random,
    pub(crate) timers: Timers,
    pub(crate) routes: Routes,
    /// Who takes frames by a selector, and not by their id.
    pub(crate) selection: Selection,
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
    pub(crate) inboxes: Inboxes,
    /// Changes that came while the pages of a refresh did.
    pub(crate) meanwhile: Held,
    pub(crate) replies: Held,
    pub(crate) heard: Held,
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
            selection: Selection::default(),
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

    /// Refuses a command while its caller leaves too many events unread.
    pub(crate) fn admit(&self) -> Result<(), RejectReason> {
        let limit = self.config.max_requests.saturating_add(self.config.max_subscriptions);
        if self.events.len() < limit { Ok(()) } else { Err(RejectReason::QueueFull) }
    }

    /// The id for a new request or subscription: the caller's, when `is_free` says so (R8), or the one that `make`
    /// makes.
    pub(crate) fn choose_id(
        &mut self,
        wanted: Option<&RequestId>,
        is_free: impl FnOnce(&Routes, &RequestId) -> bool,
        make: impl FnOnce(&mut Random) -> RequestId,
    ) -> Result<RequestId, RejectReason> {
        match wanted {
            Some(id) if !is_free(&self.routes, id) => Err(RejectReason::IdInUse),
            Some(id) => Ok(id.clone()),
            None => Ok(make(&mut self.random)),
        }
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

/// Where a frame with a certain request id belongs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Route {
    Request(RequestKey),
    /// A subscription with an id of the caller's own: one that the session makes carries its place, and needs no
    /// route ([`Subscriptions::wire_of`](crate::subscriptions::Subscriptions::wire_of)).
    Upstream(UpstreamKey),
    /// The refresh of a subscription (S6).
    Refresh(SubscriptionKey),
    /// The dialect has a selector for its answers.
    Selected,
    /// Nobody waits for it any more; an answer to it is late (R3, R9).
    Abandoned,
    /// The server has confirmed the end of the subscription. It sometimes sends an event all the same, which
    /// is late too, but another subscription may use the id (R8).
    Released,
}

/// One lookup from a request id to who waits for it, but for ids that carry their place.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    by_id: IdMap<Route>,
    /// The abandoned and released ids, the oldest first.
    past: VecDeque<RequestId>,
}

impl Routes {
    /// How many past ids are kept; a frame that is later still shows up as unhandled.
    const MAX_PAST: usize = 1024;

    pub(crate) fn get(&self, id: &RequestId) -> Option<Route> {
        self.by_id.get(id).copied()
    }

    pub(crate) fn insert(&mut self, id: RequestId, route: Route) {
        match self.by_id.entry(id) {
            Entry::Vacant(entry) => _ = entry.insert(route),
            Entry::Occupied(mut entry) => {
                // It has become another subscription's id.
                let id = entry.key();
                self.past.retain(|past| past != id);
                entry.insert(route);
            }
        }
    }

    pub(crate) fn remove(&mut self, id: &RequestId) {
        self.by_id.remove(id);
    }

    /// Whether a request may use an id that no subscription has.
    pub(crate) fn is_unknown(&self, id: &RequestId) -> bool {
        self.get(id).is_none()
    }

    /// Whether a subscription may use an id that no other has: a late event does no harm to it, while it would answer
    /// a request.
    pub(crate) fn is_free(&self, id: &RequestId) -> bool {
        matches!(self.get(id), None | Some(Route::Released))
    }

    /// From now on an answer with this id is late.
    pub(crate) fn abandon(&mut self, id: RequestId) {
        self.retire(id, Route::Abandoned);
    }

    /// The server has answered to the end; what it still sends with this id is late.
    pub(crate) fn release(&mut self, id: RequestId) {
        self.retire(id, Route::Released);
    }

    fn retire(&mut self, id: RequestId, route: Route) {
        if self.past.len() == Self::MAX_PAST {
            if let Some(oldest) = self.past.pop_front() {
                self.by_id.remove(&oldest);
            }
        }
        self.by_id.insert(id.clone(), route);
        self.past.push_back(id);
    }

    /// What is late ends with its connection.
    pub(crate) fn forget_past(&mut self) {
        for id in self.past.drain(..) {
            self.by_id.remove(&id);
        }
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
