//! One caller's subscription: its options, and the changes that wait for its reader.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use serde_json::value::RawValue;

use super::buffer::{ChangeBuffer, Overflow};
use super::refresh::Refresh;
use crate::buffer::{Buffer, Held};
use crate::command::{OverflowPolicy, Subscribe};
use crate::config::Config;
use crate::context::Context;
use crate::error::{ConnectionError, SubscriptionError};
use crate::event::{Change, Event, Gap};
use crate::id::{SubscriptionKey, UpstreamKey};
use crate::protocol::error_reply::ErrorReply;
use crate::protocol::json::Json;
use crate::protocol::pk::Deleted;
use crate::shown;
use crate::timer::Timer;

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent of each other")]
pub(crate) struct Subscriber {
    phase: Phase,
    /// When it times out, while it is not acknowledged.
    deadline: Option<Instant>,
    /// Inline: with many subscriptions, each event would miss the cache once more for a box.
    buffer: ChangeBuffer,
    overflow_policy: OverflowPolicy,
    include_create: bool,
    is_of_collection: bool,
    /// Boxed, because few subscriptions have their own.
    pk_field: Option<Box<Cow<'static, str>>>,
    pub(super) refresh: Option<Box<Refresh>>,
    history: History,
    /// Whether the event is queued already.
    readable_queued: bool,
    subscribed_queued: bool,
}

/// What the reader knows about gaps (S5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum History {
    /// Nothing was delivered: the loss of a connection leaves no gap.
    Empty,
    Complete,
    /// A connection was lost, and the gap is not delivered yet.
    GapOwed,
}

#[derive(Debug)]
enum Phase {
    Pending(UpstreamKey),
    Acknowledged(UpstreamKey),
    Ended(Box<SubscriptionError>),
}

impl Subscriber {
    pub(super) fn new(upstream: UpstreamKey, subscribe: &Subscribe) -> Self {
        let refresh = subscribe.refresh_request().map(|request| Box::new(Refresh::new(request)));
        Self {
            phase: Phase::Pending(upstream),
            deadline: None,
            buffer: ChangeBuffer::new(subscribe.overflow_policy),
            overflow_policy: subscribe.overflow_policy,
            include_create: subscribe.include_create || refresh.is_some(),
            is_of_collection: subscribe.is_of_collection,
            pk_field: subscribe.pk_field.clone(),
            refresh,
            history: History::Empty,
            readable_queued: false,
            subscribed_queued: false,
        }
    }

    /// `None` if the subscription has ended.
    pub(super) fn upstream(&self) -> Option<UpstreamKey> {
        match self.phase {
            Phase::Pending(upstream) | Phase::Acknowledged(upstream) => Some(upstream),
            Phase::Ended(_) => None,
        }
    }

    pub(crate) fn is_acknowledged(&self) -> bool {
        matches!(self.phase, Phase::Acknowledged(_))
    }

    /// Starts the time that it may take to be acknowledged (S3).
    pub(super) fn start_timeout(
        &mut self,
        cx: &mut Context,
        key: SubscriptionKey,
        timeout: Option<Duration>,
    ) {
        self.deadline = timeout.map(|timeout| cx.after(timeout));
        if let Some(deadline) = self.deadline {
            cx.timers.set(deadline, Timer::Subscription(key));
        }
    }

    fn stop_timeout(&mut self, cx: &mut Context, key: SubscriptionKey) {
        if let Some(deadline) = self.deadline.take() {
            cx.timers.clear(deadline, Timer::Subscription(key));
        }
    }

    pub(crate) fn error(&self) -> Option<&SubscriptionError> {
        match &self.phase {
            Phase::Ended(error) => Some(error),
            Phase::Pending(_) | Phase::Acknowledged(_) => None,
        }
    }

    pub(super) fn pk_field<'a>(&'a self, config: &'a Config) -> &'a str {
        self.pk_field.as_deref().unwrap_or(&config.pk_field)
    }

    /// The subscription is live on this connection.
    pub(super) fn acknowledge(
        &mut self,
        cx: &mut Context,
        key: SubscriptionKey,
        last_error: Option<&ConnectionError>,
    ) {
        self.deliver_gap(cx, key, last_error);
        if let Phase::Pending(upstream) = self.phase {
            self.phase = Phase::Acknowledged(upstream);
            self.stop_timeout(cx, key);
        }
        if !std::mem::replace(&mut self.subscribed_queued, true) {
            self.report(cx, Event::Subscribed(key));
        }
    }

    /// Delivers an event of the server. Returns whether the subscription goes on.
    pub(super) fn deliver(
        &mut self,
        cx: &mut Context,
        key: SubscriptionKey,
        last_error: Option<&ConnectionError>,
        event: &ServerEvent<'_>,
    ) -> bool {
        if !self.wants(event.action) && event.error.is_none() {
            return true; // S13
        }
        self.deliver_gap(cx, key, last_error);
        let rename = cx.config.ensure_pk_field_in_delete_events;
        let change = event.to_change(self.pk_field(&cx.config), rename);
        let Some(pages) = self.refresh.as_mut().and_then(|refresh| refresh.pages.as_mut()) else {
            return self.push(cx, key, change);
        };
        // S6: the change is newer than the pages received so far.
        let before = pages.changes.held();
        pages.changes.push(change);
        let is_over = pages.changes.is_over(cx.config.changes);
        cx.unread.changes.change(before, pages.changes.held());
        !is_over || self.give_up_pages(cx, key)
    }

    /// Whether it wants events with this action (S13).
    pub(super) fn wants(&self, action: Option<&str>) -> bool {
        action != Some("create") || self.include_create
    }

    /// Reports that a change is missing here. Returns whether the subscription goes on.
    pub(super) fn miss(
        &mut self,
        cx: &mut Context,
        key: SubscriptionKey,
        last_error: Option<&ConnectionError>,
        cause: &ConnectionError,
    ) -> bool {
        self.deliver_gap(cx, key, last_error);
        cx.stats.gaps += 1;
        self.push(cx, key, Change::Gap(Gap { cause: cause.clone() }))
    }

    /// Discards the pages of a refresh. Returns the changes since the first page.
    pub(super) fn discard_pages(&mut self, cx: &mut Context) -> Buffer<Change> {
        let pages = self.refresh.as_mut().and_then(|refresh| refresh.pages.take());
        let changes = pages.map(|pages| pages.changes).unwrap_or_default();
        cx.unread.changes.change(changes.held(), Held::default());
        changes
    }

    fn give_up_pages(&mut self, cx: &mut Context, key: SubscriptionKey) -> bool {
        let mut changes = self.discard_pages(cx);
        while let Some(change) = changes.pop() {
            if !self.push(cx, key, change) {
                return false;
            }
        }
        true
    }

    /// S5: the gap comes before anything from the new connection.
    fn deliver_gap(
        &mut self,
        cx: &mut Context,
        key: SubscriptionKey,
        last_error: Option<&ConnectionError>,
    ) {
        let history = std::mem::replace(&mut self.history, History::Complete);
        if let (History::GapOwed, Some(cause)) = (history, last_error) {
            cx.stats.gaps += 1;
            self.push(cx, key, Change::Gap(Gap { cause: cause.clone() }));
        }
    }

    /// Adds a change for the reader. If the buffer is full and its policy is to close, the subscription ends (S11). Returns
    /// whether it goes on.
    pub(super) fn push(&mut self, cx: &mut Context, key: SubscriptionKey, change: Change) -> bool {
        if self.buffer_change(cx, change).is_err() {
            self.end(cx, key, SubscriptionError::Overflowed { limit: cx.config.changes });
            return false;
        }
        self.queue_readable(cx, key);
        true
    }

    fn buffer_change(&mut self, cx: &mut Context, change: Change) -> Result<(), Overflow> {
        let Context { unread, stats, config, .. } = cx;
        let pk_field = self.pk_field.as_deref().unwrap_or(&config.pk_field);
        let before = self.buffer.held();
        let dropped = self.buffer.push(change, pk_field, config.changes);
        unread.changes.change(before, self.buffer.held());
        let dropped = dropped?;
        stats.lagged += dropped.lagged;
        stats.superseded += dropped.superseded;
        Ok(())
    }

    /// Whether a snapshot is unread.
    pub(super) fn has_snapshot(&self) -> bool {
        self.buffer.has_snapshot()
    }

    /// The caller has unsubscribed.
    pub(super) fn unsubscribed(&mut self, cx: &mut Context, key: SubscriptionKey) {
        self.stop_timeout(cx, key);
        self.clear(cx);
    }

    /// Discards all unread changes.
    fn clear(&mut self, cx: &mut Context) {
        let empty = ChangeBuffer::new(self.overflow_policy);
        let buffer = std::mem::replace(&mut self.buffer, empty);
        cx.unread.changes.change(buffer.held(), Held::default());
        self.discard_pages(cx);
    }

    fn queue_readable(&mut self, cx: &mut Context, key: SubscriptionKey) {
        if !std::mem::replace(&mut self.readable_queued, true) {
            self.report(cx, Event::ChangeReadable(key));
        }
    }

    /// Reports to the caller, or to its collection.
    pub(super) fn report(&self, cx: &mut Context, event: Event) {
        if self.is_of_collection { &mut cx.internal } else { &mut cx.events }.push_back(event);
    }

    pub(super) fn is_of_collection(&self) -> bool {
        self.is_of_collection
    }

    pub(super) fn disconnected(&mut self) {
        if self.history == History::Complete {
            self.history = History::GapOwed;
        }
    }

    /// The server answered the subscribe with an error (S7).
    pub(super) fn reject(
        &mut self,
        cx: &mut Context,
        key: SubscriptionKey,
        was_live: bool,
        reply: ErrorReply,
    ) {
        let was_live = was_live && self.is_acknowledged();
        let error = match reply.status {
            Some(404) if was_live => SubscriptionError::Gone(reply),
            Some(401 | 403) if was_live => SubscriptionError::Revoked(reply),
            _ => SubscriptionError::ErrorReply(reply),
        };
        self.end(cx, key, error);
    }

    pub(super) fn end(&mut self, cx: &mut Context, key: SubscriptionKey, error: SubscriptionError) {
        cx.stats.subscriptions_ended += u64::from(!matches!(error, SubscriptionError::Closed(_)));
        self.stop_timeout(cx, key);
        let mut changes = self.discard_pages(cx);
        while let Some(change) = changes.pop() {
            if self.buffer_change(cx, change).is_err() {
                break;
            }
        }
        if error == SubscriptionError::Unsubscribed {
            self.clear(cx);
        }
        self.phase = Phase::Ended(Box::new(error));
        self.queue_readable(cx, key);
    }

    /// The caller has polled this event.
    pub(crate) fn event_polled(&mut self, event: &Event) {
        match event {
            Event::ChangeReadable(_) => self.readable_queued = false,
            Event::Subscribed(_) => self.subscribed_queued = false,
            _ => {}
        }
    }

    pub(super) fn poll(&mut self, cx: &mut Context) -> Option<Result<Change, SubscriptionError>> {
        let before = self.buffer.held();
        let Some(change) = self.buffer.pop() else {
            return self.error().map(|error| Err(error.clone()));
        };
        cx.unread.changes.change(before, self.buffer.held());
        Some(Ok(change))
    }
}

/// An event from the server, before it is a [`Change`] of one subscriber.
pub(super) struct ServerEvent<'a> {
    pub(super) action: Option<&'a str>,
    /// Set if the server could not serialize the object (S14).
    pub(super) error: Option<ErrorReply>,
    pub(super) data: Option<&'a str>,
    /// The primary key of the instance that was subscribed to, for a delete event.
    pub(super) instance: Option<Box<RawValue>>,
    /// The data, or the whole payload of an event that has none.
    pub(super) json: Json,
}

impl ServerEvent<'_> {
    /// Whether it is about an object, and not of another form (S15).
    pub(super) fn is_about_object(action: Option<&str>, data: Option<&str>) -> bool {
        data.is_some() && matches!(action, Some("create" | "update" | "delete"))
    }

    fn to_change(&self, pk_field: &str, rename: bool) -> Change {
        if let Some(error) = &self.error {
            return Change::ErrorReply(error.clone()); // S14
        }
        match (self.action, self.data) {
            (Some("create"), Some(_)) => Change::Create(self.json.clone()),
            (Some("update"), Some(_)) => Change::Update(self.json.clone()),
            (Some("delete"), Some(data)) => {
                let deleted = Deleted::read(data, pk_field, rename, self.instance.as_deref());
                Change::Delete(deleted)
            }
            (action, _) => {
                Change::Other { action: action.map(shown::name), payload: self.json.clone() }
            }
        }
    }
}
