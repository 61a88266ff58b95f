//! What a subscriber asks the server for, each time that its subscription is in force, to have the server's state
//! whatever it has missed (S6).

use std::time::Instant;

use super::{Subscriptions, replay};
use crate::buffer::Buffer;
use crate::command::Request;
use crate::context::{Context, Route};
use crate::error::SubscriptionError;
use crate::event::Change;
use crate::frame::Frame;
use crate::id::{RequestId, SubscriptionKey};
use crate::outgoing::{self, Purpose};
use crate::protocol::envelope::Payload;
use crate::protocol::error_reply::ErrorReply;
use crate::protocol::json::Json;
use crate::protocol::page::Page;
use crate::protocol::pk::Deleted;
use crate::selection::Taker;
use crate::timer::Timer;

/// How often the pages of a list are begun anew since it changed between them.
const MAX_RESTARTS: u32 = 3;

/// What one subscriber asks for, and how far that is.
#[derive(Debug)]
pub(crate) struct Refresh {
    request: Request,
    phase: Phase,
    /// The offset of the page that is asked for, if it is not the first.
    offset: Option<u64>,
    /// From the first page until the last has come.
    pub(super) pages: Option<Pages>,
    /// How often the pages were begun anew since they did not fit together.
    restarts: u32,
    /// How often in a row the server has failed.
    failures: u32,
}

/// The pages that have come, and what has changed since the first of them: that is newer than some of their objects,
/// and so is told behind them.
#[derive(Debug, Default)]
pub(super) struct Pages {
    objects: Vec<Json>,
    bytes: usize,
    /// How many objects there were at the first page.
    count: u64,
    pub(super) meanwhile: Buffer<Change>,
}

#[derive(Debug)]
enum Phase {
    Idle,
    Queued,
    Sent { id: RequestId, due: Instant, is_selected: bool },
    Deferred { until: Instant },
}

impl Refresh {
    pub(super) fn new(request: Request) -> Self {
        let phase = Phase::Idle;
        Self { request, phase, offset: None, pages: None, restarts: 0, failures: 0 }
    }

    /// Whether the pages so far and one with this count do not fit together: they were given up meanwhile, or objects
    /// have come or gone, so that some may stand on no page. A list that never stands still is taken as it comes.
    fn begins_anew(&mut self, count: u64) -> bool {
        let anew = match &self.pages {
            None => true,
            Some(pages) => pages.count != count && self.restarts < MAX_RESTARTS,
        };
        self.restarts += u32::from(anew);
        anew
    }

    fn encode(&self, cx: &Context, id: &RequestId) -> Frame {
        let (stream, action) = (&self.request.stream, &self.request.action);
        let paged = self.offset.map(|offset| self.request.clone().arg("offset", offset));
        let arguments = paged.as_ref().unwrap_or(&self.request).arguments.iter();
        outgoing::encode(&cx.config, Purpose::Request, stream, action, id, arguments)
    }
}

impl Subscriptions {
    /// The subscription is in force: it is refreshed, from the first page on.
    pub(super) fn refresh(&mut self, cx: &mut Context, key: SubscriptionKey) {
        self.stop_refresh(cx, key);
        let Some(refresh) = self.refresh_of(key) else { return };
        (refresh.restarts, refresh.failures) = (0, 0);
        self.queue_refresh(key);
    }

    fn refresh_of(&mut self, key: SubscriptionKey) -> Option<&mut Refresh> {
        self.pairs.get_mut(key)?.refresh.as_deref_mut()
    }

    /// Not of a subscription that has ended.
    fn queue_refresh(&mut self, key: SubscriptionKey) {
        let is_alive =
            self.pairs.get(key).is_some_and(|subscriber| subscriber.upstream().is_some());
        let Some(refresh) = self.refresh_of(key).filter(|_| is_alive) else { return };
        refresh.phase = Phase::Queued;
        self.refreshes.push_back(key);
    }

    /// Nothing more is asked for, an answer that is under way is late, and the next begins with the first page.
    pub(super) fn stop_refresh(&mut self, cx: &mut Context, key: SubscriptionKey) {
        self.forget_pages(cx, key);
        let Some(refresh) = self.refresh_of(key) else { return };
        match std::mem::replace(&mut refresh.phase, Phase::Idle) {
            Phase::Idle | Phase::Queued => {}
            Phase::Deferred { until } => cx.timers.clear(until, Timer::Refresh(key)),
            sent @ Phase::Sent { .. } => {
                refresh.phase = sent;
                if let Some(id) = self.settle_refresh(cx, key) {
                    cx.routes.abandon(id);
                }
            }
        }
    }

    /// The next of the requests that wait to be sent, as far as the window allows.
    pub(super) fn next_refresh(&mut self, cx: &mut Context) -> Option<Frame> {
        while self.refreshing < cx.config.replay_window.max(1) {
            let key = self.refreshes.pop_front()?;
            let due = replay::due(cx);
            let id = RequestId::random(&mut cx.random);
            let Some(refresh) = self.refresh_of(key) else { continue };
            if !matches!(refresh.phase, Phase::Queued) {
                continue;
            }
            let message = refresh.encode(cx, &id);
            let selector = cx.reply_selector(&refresh.request.stream, &id);
            let is_selected = selector.is_some();
            refresh.phase = Phase::Sent { id: id.clone(), due, is_selected };
            self.refreshing += 1;
            if let Some(selector) = selector {
                cx.selection.insert(cx.config.framing, selector, Taker::Refresh(key));
            }
            cx.routes.insert(id, if is_selected { Route::Selected } else { Route::Refresh(key) });
            cx.timers.set(due, Timer::Refresh(key));
            cx.stats.refreshes += 1;
            return Some(message);
        }
        None
    }

    /// Whether a frame on `stream` can answer the refresh of this subscription.
    pub(crate) fn refreshes_on(&self, key: SubscriptionKey) -> Option<&str> {
        let refresh = self.pairs.get(key)?.refresh.as_ref()?;
        Some(&refresh.request.stream)
    }

    /// The server has answered a refresh.
    pub(crate) fn refreshed(
        &mut self,
        cx: &mut Context,
        key: SubscriptionKey,
        payload: &Payload<'_>,
    ) {
        if self.settle_refresh(cx, key).is_none() {
            cx.stats.late += 1;
            return;
        }
        match payload.outcome() {
            Ok(data) => self.refreshed_with(cx, key, &Json::from_checked_or_null(data)),
            // The server's own failures pass, as for a subscribe (S3).
            Err(error_reply) if matches!(error_reply.status, Some(429 | 500..=599)) => {
                self.defer_refresh(cx, key);
            }
            Err(error_reply) => self.refresh_refused(cx, key, error_reply),
        }
    }

    /// The request is not under way any more. Returns its id, if it was.
    fn settle_refresh(&mut self, cx: &mut Context, key: SubscriptionKey) -> Option<RequestId> {
        let refresh = self.refresh_of(key)?;
        let (id, due, is_selected) = match &refresh.phase {
            Phase::Sent { id, due, is_selected } => (id.clone(), *due, *is_selected),
            _ => return None,
        };
        refresh.phase = Phase::Idle;
        self.refreshing -= 1;
        cx.timers.clear(due, Timer::Refresh(key));
        cx.routes.remove(&id);
        if is_selected {
            cx.selection.remove(|taker| taker == Taker::Refresh(key));
        }
        Some(id)
    }

    fn refreshed_with(&mut self, cx: &mut Context, key: SubscriptionKey, data: &Json) {
        let Some(refresh) = self.refresh_of(key) else { return };
        let Ok(page) = data.decode::<Page<Json>>() else {
            // No list: the object itself.
            return self.deliver_snapshot(cx, key, vec![data.clone()]);
        };
        let asked = refresh.offset;
        if asked.is_some() && refresh.begins_anew(page.count) {
            self.forget_pages(cx, key);
            return self.queue_refresh(key);
        }
        let is_last = page.is_last();
        let next = page.offset.saturating_add(page.limit);
        let pages =
            refresh.pages.get_or_insert_with(|| Pages { count: page.count, ..Pages::default() });
        pages.bytes += page.results.iter().map(Json::len).sum::<usize>();
        pages.objects.extend(page.results);
        if is_last || asked.is_some_and(|asked| next <= asked) {
            let objects = std::mem::take(&mut pages.objects);
            return self.deliver_snapshot(cx, key, objects);
        }
        if pages.bytes > cx.config.changes.bytes {
            return self.overflow(cx, key);
        }
        refresh.offset = Some(next);
        self.queue_refresh(key);
    }

    /// All pages are there: they come before what has changed since the first of them.
    fn deliver_snapshot(&mut self, cx: &mut Context, key: SubscriptionKey, objects: Vec<Json>) {
        let meanwhile = self.take_pages(cx, key);
        self.deliver_to(cx, key, Change::Snapshot(objects));
        self.deliver_all(cx, key, meanwhile);
    }

    /// The pages that have come are of no use any more; what has changed since is.
    fn forget_pages(&mut self, cx: &mut Context, key: SubscriptionKey) {
        let meanwhile = self.take_pages(cx, key);
        self.deliver_all(cx, key, meanwhile);
    }

    fn take_pages(&mut self, cx: &mut Context, key: SubscriptionKey) -> Buffer<Change> {
        let Some(subscriber) = self.pairs.get_mut(key) else { return Buffer::default() };
        if let Some(refresh) = &mut subscriber.refresh {
            refresh.offset = None;
        }
        subscriber.take_pages(cx)
    }

    fn deliver_all(&mut self, cx: &mut Context, key: SubscriptionKey, mut changes: Buffer<Change>) {
        while let Some(change) = changes.pop() {
            self.deliver_to(cx, key, change);
        }
    }

    /// The list is larger than what may wait for a reader.
    fn overflow(&mut self, cx: &mut Context, key: SubscriptionKey) {
        let Some(subscriber) = self.pairs.get_mut(key) else { return };
        let Some(upstream) = subscriber.upstream() else { return };
        subscriber.end(cx, key, SubscriptionError::Overflowed { limit: cx.config.changes });
        if let Some(upstream) = self.without_subscriber(upstream, key) {
            self.leave(cx, upstream, None);
        }
    }

    /// Delivers a change to one subscriber alone.
    fn deliver_to(&mut self, cx: &mut Context, key: SubscriptionKey, change: Change) {
        let Some(subscriber) = self.pairs.get_mut(key) else { return };
        let Some(upstream) = subscriber.upstream() else { return };
        if !subscriber.push(cx, key, change) {
            if let Some(upstream) = self.without_subscriber(upstream, key) {
                self.leave(cx, upstream, None);
            }
        }
    }

    /// An object that is not there is deleted; another refusal is told as one.
    fn refresh_refused(&mut self, cx: &mut Context, key: SubscriptionKey, error_reply: ErrorReply) {
        let Some(subscriber) = self.pairs.get_mut(key) else { return };
        let pk = subscriber.refresh.as_ref().and_then(|refresh| {
            let mut arguments = refresh.request.arguments.iter();
            arguments.find(|(name, _)| *name == "pk").map(|(_, pk)| pk.to_owned())
        });
        let change = match (error_reply.status, pk) {
            (Some(404), Some(pk)) => {
                let pk_field = subscriber.pk_field.as_deref().unwrap_or(&cx.config.pk_field);
                Change::Delete(Deleted::of_key(&pk, pk_field))
            }
            _ => Change::ErrorReply(error_reply),
        };
        self.deliver_to(cx, key, change);
    }

    fn defer_refresh(&mut self, cx: &mut Context, key: SubscriptionKey) {
        self.forget_pages(cx, key);
        let Some(failures) = self.refresh_of(key).map(|refresh| refresh.failures) else { return };
        let wait = cx.config.backoff.delay(failures, &mut cx.random);
        let until = cx.after(wait);
        if let Some(refresh) = self.refresh_of(key) {
            refresh.failures = failures.saturating_add(1);
            refresh.phase = Phase::Deferred { until };
            cx.timers.set(until, Timer::Refresh(key));
        }
    }

    /// The answer to a refresh is late, or its wait is over.
    pub(crate) fn refresh_timer_fired(&mut self, cx: &mut Context, key: SubscriptionKey) {
        let Some(refresh) = self.refresh_of(key) else { return };
        match refresh.phase {
            Phase::Sent { .. } => {
                self.stop_refresh(cx, key);
                self.defer_refresh(cx, key);
            }
            Phase::Deferred { .. } => self.queue_refresh(key),
            Phase::Idle | Phase::Queued => {}
        }
    }

    /// The connection is lost: the next acknowledgement begins anew.
    pub(super) fn lose_refreshes(&mut self, cx: &mut Context) {
        self.refreshes.clear();
        let keys: Vec<SubscriptionKey> =
            self.pairs.iter::<SubscriptionKey>().map(|(key, _)| key).collect();
        for key in keys {
            self.settle_refresh(cx, key);
            self.stop_refresh(cx, key);
        }
    }
}
