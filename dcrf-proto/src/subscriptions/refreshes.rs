//! Sends the refreshes of subscribers and turns their replies into snapshots (S6).

use std::collections::VecDeque;

use super::refresh::{Pages, Phase, Refresh};
use super::registry::Registry;
use crate::buffer::Buffer;
use crate::context::Context;
use crate::error::SubscriptionError;
use crate::event::Change;
use crate::frame::Frame;
use crate::id::{RequestId, SubscriptionKey};
use crate::protocol::envelope::Payload;
use crate::protocol::error_reply::ErrorReply;
use crate::protocol::json::Json;
use crate::protocol::page::Page;
use crate::protocol::pk::Deleted;
use crate::routing::{Destination, Route};
use crate::timer::Timer;

#[derive(Debug, Default)]
pub(super) struct Refreshes {
    queue: VecDeque<SubscriptionKey>,
    in_flight: usize,
}

impl Refreshes {
    pub(super) fn has_queued(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Starts the refresh of a subscriber from the first page.
    pub(super) fn restart(
        &mut self,
        registry: &mut Registry,
        cx: &mut Context,
        key: SubscriptionKey,
    ) {
        self.stop(registry, cx, key);
        let Some(refresh) = refresh_of(registry, key) else { return };
        refresh.reset();
        self.enqueue(registry, key);
    }

    /// Queues the next request, unless the subscription is over.
    fn enqueue(&mut self, registry: &mut Registry, key: SubscriptionKey) {
        let Some(subscriber) = registry.subscribers.get_mut(key) else { return };
        let is_over = subscriber.upstream().is_none();
        let Some(refresh) = subscriber.refresh.as_mut().filter(|_| !is_over) else { return };
        refresh.phase = Phase::Queued;
        self.queue.push_back(key);
    }

    /// Stops a refresh. A reply that is still to come is late.
    pub(super) fn stop(&mut self, registry: &mut Registry, cx: &mut Context, key: SubscriptionKey) {
        discard_pages(registry, cx, key);
        if let Some(id) = self.take_in_flight(registry, cx, key) {
            cx.routes.abandon(id);
        }
        let Some(refresh) = refresh_of(registry, key) else { return };
        if let Phase::Deferred { until } = refresh.phase {
            cx.timers.clear(until, Timer::Refresh(key));
        }
        refresh.phase = Phase::Idle;
    }

    pub(super) fn has_in_flight(&self) -> bool {
        self.in_flight > 0
    }

    /// The next subscriber with a request to send. Its key can be stale.
    pub(super) fn next(&mut self, window: usize) -> Option<SubscriptionKey> {
        if self.in_flight < window { self.queue.pop_front() } else { None }
    }

    /// Sends the request of a refresh, if it is queued.
    pub(super) fn send(
        &mut self,
        registry: &mut Registry,
        cx: &mut Context,
        key: SubscriptionKey,
    ) -> Option<Frame> {
        let refresh = refresh_of(registry, key)?;
        if !matches!(refresh.phase, Phase::Queued) {
            return None;
        }
        let due = cx.reply_due();
        let id = RequestId::random(&mut cx.random);
        let frame = refresh.encode(cx, &id);
        let destination = Destination::Refresh(key);
        let selector = cx.reply_selector(&refresh.request.stream, &id);
        let is_selected = selector.is_some();
        refresh.phase = Phase::Sent { id: id.clone(), due, is_selected };
        self.in_flight += 1;
        if let Some(selector) = selector {
            cx.selectors.insert(cx.config.framing, selector, destination);
        }
        let route = if is_selected { Route::BySelector } else { Route::To(destination) };
        cx.routes.insert(id, route);
        cx.timers.set(due, Timer::Refresh(key));
        cx.stats.refreshes += 1;
        Some(frame)
    }

    /// Handles the reply to a refresh. Returns whether it completes a snapshot.
    pub(super) fn replied(
        &mut self,
        registry: &mut Registry,
        cx: &mut Context,
        key: SubscriptionKey,
        payload: &Payload<'_>,
    ) -> bool {
        if self.take_in_flight(registry, cx, key).is_none() {
            cx.stats.late += 1;
            return false;
        }
        match payload.outcome() {
            Ok(data) => self.received(registry, cx, key, &Json::from_checked_or_null(data)),
            Err(reply) if matches!(reply.status, Some(429 | 500..=599)) => {
                defer(registry, cx, key);
            }
            Err(reply) => fail(registry, cx, key, reply),
        }
        // A later page can still kill the connection (L12).
        let refresh = refresh_of(registry, key).filter(|refresh| refresh.pages.is_none());
        let Some(refresh) = refresh else { return false };
        refresh.suspicion = None;
        matches!(refresh.phase, Phase::Idle)
    }

    /// Takes the refresh out of flight. Returns its request id if it was in flight.
    fn take_in_flight(
        &mut self,
        registry: &mut Registry,
        cx: &mut Context,
        key: SubscriptionKey,
    ) -> Option<RequestId> {
        let refresh = refresh_of(registry, key)?;
        let (id, due, is_selected) = match &refresh.phase {
            Phase::Sent { id, due, is_selected } => (id.clone(), *due, *is_selected),
            _ => return None,
        };
        refresh.phase = Phase::Idle;
        self.in_flight -= 1;
        cx.timers.clear(due, Timer::Refresh(key));
        cx.routes.remove(&id);
        if is_selected {
            cx.selectors.remove(Destination::Refresh(key));
        }
        Some(id)
    }

    /// Delivers an object or a whole list, or adds a page and requests the next one.
    fn received(
        &mut self,
        registry: &mut Registry,
        cx: &mut Context,
        key: SubscriptionKey,
        data: &Json,
    ) {
        let Some(refresh) = refresh_of(registry, key) else { return };
        let Ok(page) = data.decode::<Page<Json>>() else {
            return deliver_snapshot(registry, cx, key, vec![data.clone()]);
        };
        let requested = refresh.offset;
        if requested.is_some() && refresh.must_restart(page.count) {
            discard_pages(registry, cx, key);
            return self.enqueue(registry, key);
        }
        let is_last = page.is_last();
        let next = page.offset.saturating_add(page.limit);
        let pages =
            refresh.pages.get_or_insert_with(|| Pages { count: page.count, ..Pages::default() });
        pages.bytes += page.results.iter().map(Json::len).sum::<usize>();
        pages.objects.extend(page.results);
        // A server that ignores the offset would send the same page for ever.
        if is_last || requested.is_some_and(|requested| next <= requested) {
            let objects = std::mem::take(&mut pages.objects);
            return deliver_snapshot(registry, cx, key, objects);
        }
        if pages.bytes > cx.config.changes.bytes {
            return overflow(registry, cx, key);
        }
        refresh.offset = Some(next);
        self.enqueue(registry, key);
    }

    pub(super) fn timer_fired(
        &mut self,
        registry: &mut Registry,
        cx: &mut Context,
        key: SubscriptionKey,
    ) {
        let Some(refresh) = refresh_of(registry, key) else { return };
        match refresh.phase {
            Phase::Sent { .. } => {
                self.stop(registry, cx, key);
                defer(registry, cx, key);
            }
            Phase::Deferred { .. } => self.enqueue(registry, key),
            Phase::Idle | Phase::Queued => {}
        }
    }

    /// The connection is over. The next replay refreshes again.
    pub(super) fn disconnected(&mut self, registry: &mut Registry, cx: &mut Context) {
        self.queue.clear();
        let keys: Vec<SubscriptionKey> = registry.subscribers.iter().map(|(key, _)| key).collect();
        for key in keys {
            // Its id is not abandoned: no reply can outlive the connection.
            self.take_in_flight(registry, cx, key);
            self.stop(registry, cx, key);
        }
    }
}

/// The stream of a subscriber's refresh.
pub(super) fn stream(registry: &Registry, key: SubscriptionKey) -> Option<&str> {
    let refresh = registry.subscribers.get(key)?.refresh.as_ref()?;
    Some(&refresh.request.stream)
}

fn refresh_of(registry: &mut Registry, key: SubscriptionKey) -> Option<&mut Refresh> {
    registry.subscribers.get_mut(key)?.refresh.as_deref_mut()
}

fn deliver_snapshot(
    registry: &mut Registry,
    cx: &mut Context,
    key: SubscriptionKey,
    objects: Vec<Json>,
) {
    let changes = take_changes(registry, cx, key);
    registry.deliver(cx, key, Change::Snapshot(objects));
    deliver_all(registry, cx, key, changes);
}

/// Discards the pages received so far, and delivers the changes since.
fn discard_pages(registry: &mut Registry, cx: &mut Context, key: SubscriptionKey) {
    let changes = take_changes(registry, cx, key);
    deliver_all(registry, cx, key, changes);
}

/// Ends the collection of pages. Returns the changes since the first page.
fn take_changes(registry: &mut Registry, cx: &mut Context, key: SubscriptionKey) -> Buffer<Change> {
    let Some(subscriber) = registry.subscribers.get_mut(key) else { return Buffer::default() };
    if let Some(refresh) = &mut subscriber.refresh {
        refresh.offset = None;
    }
    subscriber.discard_pages(cx)
}

fn deliver_all(
    registry: &mut Registry,
    cx: &mut Context,
    key: SubscriptionKey,
    mut changes: Buffer<Change>,
) {
    while let Some(change) = changes.pop() {
        registry.deliver(cx, key, change);
    }
}

/// The snapshot is larger than the buffer may be.
fn overflow(registry: &mut Registry, cx: &mut Context, key: SubscriptionKey) {
    let Some(subscriber) = registry.subscribers.get_mut(key) else { return };
    let Some(upstream) = subscriber.upstream() else { return };
    subscriber.end(cx, key, SubscriptionError::Overflowed { limit: cx.config.changes });
    registry.detach_later(upstream, key);
}

/// The server answered a refresh with an error: 404 for an object means that it was deleted.
fn fail(registry: &mut Registry, cx: &mut Context, key: SubscriptionKey, reply: ErrorReply) {
    let Some(subscriber) = registry.subscribers.get_mut(key) else { return };
    let pk = subscriber.refresh.as_ref().and_then(|refresh| {
        let mut arguments = refresh.request.arguments.iter();
        arguments.find(|(name, _)| *name == "pk").map(|(_, pk)| pk.to_owned())
    });
    let change = match (reply.status, pk) {
        (Some(404), Some(pk)) => {
            Change::Delete(Deleted::of_key(&pk, subscriber.pk_field(&cx.config)))
        }
        _ => Change::ErrorReply(reply),
    };
    registry.deliver(cx, key, change);
}

/// Tries again later, with the backoff of connections.
fn defer(registry: &mut Registry, cx: &mut Context, key: SubscriptionKey) {
    discard_pages(registry, cx, key);
    let Some(refresh) = refresh_of(registry, key) else { return };
    let wait = cx.config.backoff.delay(refresh.failures, &mut cx.random);
    let until = cx.after(wait);
    refresh.failures = refresh.failures.saturating_add(1);
    refresh.phase = Phase::Deferred { until };
    cx.timers.set(until, Timer::Refresh(key));
}
