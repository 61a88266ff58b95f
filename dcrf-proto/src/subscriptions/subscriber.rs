//! One of the caller's subscriptions: what it asked for, and what waits for its reader.

use std::borrow::Cow;

use super::refresh::Refresh;
use crate::buffer::{Buffer, Held};
use crate::command::{OverflowPolicy, Subscribe};
use crate::context::Context;
use crate::error::{ConnectionError, SubscriptionError};
use crate::event::{Change, Event, Gap};
use crate::id::{SubscriptionKey, UpstreamKey};
use crate::inbox::{Overflow, Place};
use crate::protocol::error_reply::ErrorReply;
use crate::protocol::json::Json;
use crate::protocol::pk::Deleted;

#[derive(Debug)]
pub(crate) struct Subscriber {
    phase: Phase,
    /// What waits for its reader.
    inbox: Place,
    overflow_policy: OverflowPolicy,
    include_create: bool,
    /// Boxed, since few have one of their own.
    pub(super) pk_field: Option<Box<Cow<'static, str>>>,
    pub(super) refresh: Option<Box<Refresh>>,
    history: History,
    /// Whether the event waits to be polled already.
    readable_told: bool,
    subscribed_told: bool,
}

/// What the reader knows, so far as gaps go (S5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum History {
    /// Nothing has been told: a loss leaves no gap.
    Empty,
    /// Told up to now.
    Complete,
    /// The connection was lost and the reader has not been told yet.
    GapOwed,
}

#[derive(Debug)]
enum Phase {
    Pending(UpstreamKey),
    Acknowledged(UpstreamKey),
    /// Boxed, since those that go on are not to pay for its size.
    Ended(Box<SubscriptionError>),
}

impl Subscriber {
    pub(crate) fn new(upstream: UpstreamKey, subscribe: &Subscribe) -> Self {
        Self {
            phase: Phase::Pending(upstream),
            inbox: Place::default(),
            overflow_policy: subscribe.overflow_policy,
            include_create: subscribe.include_create,
            pk_field: subscribe.pk_field.clone().map(Box::new),
            refresh: subscribe.refresh_request().map(|request| Box::new(Refresh::new(request))),
            history: History::Empty,
            readable_told: false,
            subscribed_told: false,
        }
    }

    pub(crate) fn upstream(&self) -> Option<UpstreamKey> {
        match self.phase {
            Phase::Pending(upstream) | Phase::Acknowledged(upstream) => Some(upstream),
            Phase::Ended(_) => None,
        }
    }

    pub(crate) fn is_acknowledged(&self) -> bool {
        matches!(self.phase, Phase::Acknowledged(_))
    }

    pub(crate) fn ended(&self) -> Option<&SubscriptionError> {
        match &self.phase {
            Phase::Ended(ended) => Some(ended),
            Phase::Pending(_) | Phase::Acknowledged(_) => None,
        }
    }

    /// The server has acknowledged the subscription on this connection.
    pub(crate) fn acknowledge(
        &mut self,
        cx: &mut Context,
        key: SubscriptionKey,
        loss: Option<&ConnectionError>,
    ) {
        self.close_gap(cx, key, loss);
        if let Phase::Pending(upstream) = self.phase {
            self.phase = Phase::Acknowledged(upstream);
        }
        if !std::mem::replace(&mut self.subscribed_told, true) {
            cx.events.push_back(Event::Subscribed(key));
        }
    }

    /// An event has arrived. Says whether the subscription goes on.
    pub(crate) fn deliver(
        &mut self,
        cx: &mut Context,
        key: SubscriptionKey,
        loss: Option<&ConnectionError>,
        event: &Incoming<'_>,
    ) -> bool {
        if event.action == Some("create") && !self.include_create && event.refused.is_none() {
            return true; // S13
        }
        self.close_gap(cx, key, loss);
        let pk_field = self.pk_field.as_deref().unwrap_or(&cx.config.pk_field);
        let change = event.change(pk_field, cx.config.ensure_pk_field_in_delete_events);
        let Some(pages) = self.refresh.as_mut().and_then(|refresh| refresh.pages.as_mut()) else {
            return self.push(cx, key, change);
        };
        // S6: it is newer than what has come of the list.
        let before = pages.meanwhile.held();
        pages.meanwhile.push(change);
        let is_over = pages.meanwhile.is_over(cx.config.changes);
        cx.unread.meanwhile.change(before, pages.meanwhile.held());
        !is_over || self.give_up_pages(cx, key)
    }

    /// Gives up the pages of a refresh that have come. Returns what has changed since the first of them.
    pub(super) fn take_pages(&mut self, cx: &mut Context) -> Buffer<Change> {
        let pages = self.refresh.as_mut().and_then(|refresh| refresh.pages.take());
        let meanwhile = pages.map(|pages| pages.meanwhile).unwrap_or_default();
        cx.unread.meanwhile.change(meanwhile.held(), Held::default());
        meanwhile
    }

    fn give_up_pages(&mut self, cx: &mut Context, key: SubscriptionKey) -> bool {
        let mut meanwhile = self.take_pages(cx);
        while let Some(change) = meanwhile.pop() {
            if !self.push(cx, key, change) {
                return false;
            }
        }
        true
    }

    /// S5: the gap comes before anything of the new connection.
    fn close_gap(
        &mut self,
        cx: &mut Context,
        key: SubscriptionKey,
        loss: Option<&ConnectionError>,
    ) {
        let history = std::mem::replace(&mut self.history, History::Complete);
        if let (History::GapOwed, Some(cause)) = (history, loss) {
            cx.stats.gaps += 1;
            self.push(cx, key, Change::Gap(Gap { cause: cause.clone() }));
        }
    }

    /// Adds a change for the reader, if there is room or something gives way; else the subscription ends (S11).
    pub(super) fn push(&mut self, cx: &mut Context, key: SubscriptionKey, change: Change) -> bool {
        if self.keep(cx, change).is_err() {
            self.end(cx, key, SubscriptionError::Overflowed { limit: cx.config.changes });
            return false;
        }
        self.tell_readable(cx, key);
        true
    }

    fn keep(&mut self, cx: &mut Context, change: Change) -> Result<(), Overflow> {
        let Context { unread, stats, config, .. } = cx;
        let pk_field = self.pk_field.as_deref().unwrap_or(&config.pk_field);
        let (overflow_policy, limit) = (self.overflow_policy, config.changes);
        let gave_way =
            unread.inboxes.push(&mut self.inbox, overflow_policy, change, pk_field, limit)?;
        stats.lagged += gave_way.lagged;
        stats.superseded += gave_way.superseded;
        Ok(())
    }

    /// Drops all that waits for the reader.
    pub(crate) fn forget(&mut self, cx: &mut Context) {
        cx.unread.inboxes.clear(&mut self.inbox);
        self.take_pages(cx);
    }

    fn tell_readable(&mut self, cx: &mut Context, key: SubscriptionKey) {
        if !std::mem::replace(&mut self.readable_told, true) {
            cx.events.push_back(Event::ChangeReadable(key));
        }
    }

    /// The connection is lost.
    pub(crate) fn lose(&mut self) {
        if self.history == History::Complete {
            self.history = History::GapOwed;
        }
    }

    /// The server refuses: what was in force is gone or revoked (S7). What does not acknowledge counts as
    /// acknowledged before it is in force.
    pub(crate) fn refuse(
        &mut self,
        cx: &mut Context,
        key: SubscriptionKey,
        was_live: bool,
        error_reply: ErrorReply,
    ) {
        let was_live = was_live && self.is_acknowledged();
        let ended = match error_reply.status {
            Some(404) if was_live => SubscriptionError::Gone(error_reply),
            Some(401 | 403) if was_live => SubscriptionError::Revoked(error_reply),
            _ => SubscriptionError::ErrorReply(error_reply),
        };
        self.end(cx, key, ended);
    }

    pub(crate) fn end(&mut self, cx: &mut Context, key: SubscriptionKey, ended: SubscriptionError) {
        cx.stats.subscriptions_ended += u64::from(!matches!(ended, SubscriptionError::Closed(_)));
        let mut meanwhile = self.take_pages(cx);
        while let Some(change) = meanwhile.pop() {
            if self.keep(cx, change).is_err() {
                break;
            }
        }
        if ended == SubscriptionError::Unsubscribed {
            // S12: as after a cancel (S9), nothing more is delivered.
            cx.unread.inboxes.clear(&mut self.inbox);
        }
        self.phase = Phase::Ended(Box::new(ended));
        self.tell_readable(cx, key);
    }

    /// The caller is about to see this event.
    pub(crate) fn told(&mut self, event: &Event) {
        match event {
            Event::ChangeReadable(_) => self.readable_told = false,
            Event::Subscribed(_) => self.subscribed_told = false,
            _ => {}
        }
    }

    /// The next change, or the end once all changes are read.
    pub(crate) fn poll(&mut self, cx: &mut Context) -> Option<Result<Change, SubscriptionError>> {
        match (cx.unread.inboxes.pop(&mut self.inbox), &self.phase) {
            (Some(change), _) => Some(Ok(change)),
            (None, Phase::Ended(ended)) => Some(Err((**ended).clone())),
            (None, _) => None,
        }
    }
}

/// An event frame, as all members of a subscription on the wire see it.
pub(crate) struct Incoming<'a> {
    pub(crate) action: Option<&'a str>,
    pub(crate) refused: Option<ErrorReply>,
    pub(crate) data: Option<&'a str>,
    /// The data or, where it is of another kind, the payload; the members share it.
    pub(crate) json: Json,
}

impl Incoming<'_> {
    /// Whether the event is a change of an object: else it is delivered with its whole payload (S15).
    pub(crate) fn is_of_an_object(action: Option<&str>, data: Option<&str>) -> bool {
        data.is_some() && matches!(action, Some("create" | "update" | "delete"))
    }

    fn change(&self, pk_field: &str, rename: bool) -> Change {
        if let Some(error_reply) = &self.refused {
            return Change::ErrorReply(error_reply.clone()); // S14
        }
        match (self.action, self.data) {
            (Some("create"), Some(_)) => Change::Create(self.json.clone()),
            (Some("update"), Some(_)) => Change::Update(self.json.clone()),
            (Some("delete"), Some(data)) => Change::Delete(Deleted::read(data, pk_field, rename)),
            (action, _) => {
                Change::Other { action: action.map(str::to_owned), payload: self.json.clone() }
            }
        }
    }
}
