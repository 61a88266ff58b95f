//! Sends the refreshes of subscribers and turns their replies into snapshots (S6).

use std::collections::VecDeque;
use std::time::Instant;

use serde::de::IgnoredAny;

use super::refresh::{Expects, Pages, Phase, Refresh};
use super::registry::Registry;
use super::subscriber::Subscriber;
use crate::buffer::Buffer;
use crate::context::Context;
use crate::error::{RefreshError, SubscriptionError};
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
    /// Whether they are sent one at a time, to find the one whose reply ends the connection (F5).
    one_at_a_time: bool,
}

impl Refreshes {
    pub(super) fn has_queued(&self) -> bool {
        !self.queue.is_empty()
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    pub(super) fn send_one_at_a_time(&mut self, one_at_a_time: bool) {
        self.one_at_a_time = one_at_a_time;
    }

    /// A reply over the size limit has ended the connection: ends the subscriptions whose refresh is in flight.
    pub(super) fn fail_too_large(
        &mut self,
        registry: &mut Registry,
        cx: &mut Context,
        (size, limit): (usize, usize),
    ) {
        let is_sent = |subscriber: &Subscriber| {
            let refresh = subscriber.refresh.as_ref();
            refresh.is_some_and(|refresh| matches!(refresh.phase, Phase::Sent { .. }))
        };
        let subscribers = registry.subscribers.iter();
        let keys: Vec<SubscriptionKey> =
            subscribers.filter(|(_, subscriber)| is_sent(subscriber)).map(|(key, _)| key).collect();
        for key in keys {
            self.take_in_flight(registry, cx, key);
            end(registry, cx, key, SubscriptionError::RefreshTooLarge { size, limit });
        }
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

    /// The reader has read that changes were dropped, so it needs another snapshot. A refresh that is under way, or a
    /// snapshot that is still unread, is newer than what was dropped. A subscription that is not live is refreshed when
    /// it is.
    ///
    /// The refresh waits for the reader, so a slow reader costs the server no more lists than it reads.
    pub(super) fn lagged(&mut self, registry: &mut Registry, key: SubscriptionKey) {
        let Some(subscriber) = registry.subscribers.get(key) else { return };
        let is_idle = |refresh: &Refresh| matches!(refresh.phase, Phase::Idle);
        if !subscriber.refresh.as_deref().is_some_and(is_idle) || subscriber.has_snapshot() {
            return;
        }
        let upstream = subscriber.upstream().and_then(|key| registry.upstreams.get(key));
        if upstream.is_some_and(|upstream| upstream.phase.is_live()) {
            let Some(refresh) = refresh_of(registry, key) else { return };
            refresh.reset();
            self.enqueue(registry, key);
        }
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
        let window = if self.one_at_a_time { 1 } else { window };
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
        let due = cx.now + cx.patience(cx.config.request_timeout);
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
        if let Some((size, limit)) = cx.too_large {
            end(registry, cx, key, SubscriptionError::RefreshTooLarge { size, limit });
            return false;
        }
        match payload.outcome() {
            Ok(data) => self.received(registry, cx, key, &Json::from_checked_or_null(data)),
            Err(reply) => error_replied(registry, cx, key, reply),
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
        if is_too_long(registry, cx, key, data) {
            return overflow(registry, cx, key);
        }
        let Some(refresh) = refresh_of(registry, key) else { return };
        let expects = refresh.expects();
        let page = (expects != Expects::Object).then(|| data.decode::<Page<Json>>());
        let page = match page {
            Some(Ok(page)) => page,
            Some(Err(error)) if expects == Expects::List => {
                return fail(registry, cx, key, RefreshError::Decode(error));
            }
            // One object, whatever it looks like.
            Some(Err(_)) | None => return deliver_snapshot(registry, cx, key, vec![data.clone()]),
        };
        if let Some(request) = &refresh.next_page {
            if let Err(error) = page.check_follows(request) {
                return fail(registry, cx, key, RefreshError::Decode(error));
            }
            if refresh.must_restart(page.count) {
                discard_pages(registry, cx, key);
                return self.enqueue(registry, key);
            }
        }
        let next_page = page.next_request(&refresh.request);
        let pages =
            refresh.pages.get_or_insert_with(|| Pages { count: page.count, ..Pages::default() });
        pages.bytes += page.results.iter().map(Json::held).sum::<usize>();
        pages.objects.extend(page.results);
        if pages.bytes > cx.config.changes.bytes {
            return overflow(registry, cx, key);
        }
        if next_page.is_none() {
            let objects = std::mem::take(&mut pages.objects);
            return deliver_snapshot(registry, cx, key, objects);
        }
        refresh.next_page = next_page;
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
            Phase::Sent { due, .. } => {
                // L15
                cx.overdue(&refresh.request.stream, sent_at(due, cx));
                self.stop(registry, cx, key);
                defer(registry, cx, key, RefreshError::TimedOut);
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

/// When a refresh was sent whose reply is due at `due`.
pub(super) fn sent_at(due: Instant, cx: &Context) -> Instant {
    due.checked_sub(cx.patience(cx.config.request_timeout)).unwrap_or(due)
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
        refresh.next_page = None;
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

/// Whether the objects of a page take more memory than the buffer may hold. Counted before they are allocated: each can
/// be a single byte.
fn is_too_long(registry: &mut Registry, cx: &Context, key: SubscriptionKey, data: &Json) -> bool {
    let Some(refresh) = refresh_of(registry, key) else { return false };
    let earlier = refresh.pages.as_ref().map_or(0, |pages| pages.bytes);
    let Ok(page) = data.decode::<Page<IgnoredAny>>() else { return false };
    let held = page.results.len().saturating_mul(Json::OVERHEAD);
    earlier.saturating_add(held) > cx.config.changes.bytes
}

/// The snapshot is larger than the buffer may be.
fn overflow(registry: &mut Registry, cx: &mut Context, key: SubscriptionKey) {
    let limit = cx.config.changes;
    end(registry, cx, key, SubscriptionError::Overflowed { limit });
}

/// Ends a subscription whose state is too large.
fn end(registry: &mut Registry, cx: &mut Context, key: SubscriptionKey, error: SubscriptionError) {
    let Some(subscriber) = registry.subscribers.get_mut(key) else { return };
    let Some(upstream) = subscriber.upstream() else { return };
    subscriber.end(cx, key, error);
    registry.detach_later(upstream, key);
}

/// The server answered a refresh with an error: 404 for an object means that it was deleted, and 429 and 5xx pass.
fn error_replied(
    registry: &mut Registry,
    cx: &mut Context,
    key: SubscriptionKey,
    reply: ErrorReply,
) {
    let Some(subscriber) = registry.subscribers.get_mut(key) else { return };
    let Some(refresh) = &subscriber.refresh else { return };
    let is_of_object =
        refresh.expects() == Expects::Object || refresh.request.argument("pk").is_some();
    match reply.status {
        Some(404) if is_of_object => {
            let arguments = refresh.request.arguments.iter();
            let deleted = Deleted::of_lookup(arguments, subscriber.pk_field(&cx.config));
            discard_pages(registry, cx, key);
            registry.deliver(cx, key, Change::Delete(deleted));
        }
        Some(429 | 500..=599) => defer(registry, cx, key, RefreshError::ErrorReply(reply)),
        _ => fail(registry, cx, key, RefreshError::ErrorReply(reply)),
    }
}

/// Gives up until the next replay.
fn fail(registry: &mut Registry, cx: &mut Context, key: SubscriptionKey, error: RefreshError) {
    discard_pages(registry, cx, key);
    registry.deliver(cx, key, Change::RefreshFailed(error));
}

/// Tries again later, with the backoff of connections. Reports the first error only.
fn defer(registry: &mut Registry, cx: &mut Context, key: SubscriptionKey, error: RefreshError) {
    discard_pages(registry, cx, key);
    let is_first = refresh_of(registry, key).is_some_and(|refresh| refresh.failures == 0);
    if is_first {
        registry.deliver(cx, key, Change::RefreshFailed(error));
    }
    let Some(subscriber) = registry.subscribers.get_mut(key) else { return };
    if subscriber.upstream().is_none() {
        return; // It has overflowed.
    }
    let Some(refresh) = &mut subscriber.refresh else { return };
    let wait = cx.config.backoff.delay(refresh.failures, &mut cx.random);
    let until = cx.after(wait);
    refresh.failures = refresh.failures.saturating_add(1);
    refresh.phase = Phase::Deferred { until };
    cx.timers.set(until, Timer::Refresh(key));
}
