//! The local copy of one collection, and what keeps it right: its feeds, its list, and rows that are retrieved again.

use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

#[cfg(feature = "client")]
use super::Awaited;
use super::feeds::{Feeds, Subject};
use super::fetches::Fetches;
use super::listing::{Listing, Next};
use super::row_key::RowKey;
use super::status::{CollectionStatus, StaleCause};
use super::store::{Applied, Origin, Store};
use super::{Owners, Parts};
use crate::buffer::Held;
use crate::command::{Collect, Request, Subscribe, Write, WriteKind, Written};
use crate::config::Config;
use crate::context::Context;
use crate::error::{CollectionError, ConnectionError, RejectReason, RequestError, WaitingFor};
use crate::event::Change;
use crate::id::{CollectionKey, ReplicaKey, RequestKey, SubscriptionKey};
use crate::protocol::json::Json;
use crate::protocol::pk::{Deleted, Pk};
use crate::timer::Timer;

/// The wait before a list that has failed is requested again grows from this with each failure.
const LEAST_RETRY: Duration = Duration::from_secs(1);
const MOST_RETRY: Duration = Duration::from_secs(30);

/// After how many connections in a row that were lost during a list the next one waits, so that it does not end the
/// connection of all others again.
const DEATHS: u32 = 3;
const MOST_PENANCE: Duration = Duration::from_secs(120);

/// When to list again if a row can't be retrieved, or if rows keep moving between the pages.
const SOON: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Replica {
    description: Collect,
    pub(super) store: Store,
    pub(super) handles: Vec<CollectionKey>,
    feeds: Feeds,
    status: CollectionStatus,
    status_changed: bool,
    has_loaded: bool,
    listing: Option<Listing>,
    fetches: Fetches,
    /// When to list again, after a failure or to find what was not reported.
    list_at: Option<Instant>,
    failures: u32,
    /// How many connections in a row were lost during a list.
    deaths: u32,
    timer: Option<Instant>,
    /// Until when it should be live, for callers who wait for that.
    ready_by: Option<Instant>,
    /// What it still waited for then.
    overdue: Option<WaitingFor>,
    #[cfg(feature = "client")]
    pub(super) decoding: super::Decoding,
}

impl Replica {
    /// Subscribes, and lists the objects once that is live. If a subscribe is rejected, the reason comes beside what has
    /// to be stopped.
    pub(super) fn start(
        parts: &mut Parts<'_>,
        owners: &mut Owners,
        key: ReplicaKey,
        description: Collect,
    ) -> (Self, Result<(), RejectReason>) {
        let mut replica = Self {
            store: Store::new(description.0.version.as_ref().map(|version| version.read.clone())),
            handles: Vec::new(),
            feeds: Feeds::default(),
            status: CollectionStatus::Loading { error: None },
            status_changed: false,
            has_loaded: false,
            listing: None,
            fetches: Fetches::default(),
            list_at: None,
            failures: 0,
            deaths: 0,
            timer: None,
            ready_by: None,
            overdue: None,
            #[cfg(feature = "client")]
            decoding: super::Decoding::default(),
            description,
        };
        for feed in replica.description.subscribes() {
            if let Err(reason) = replica.feeds.add(parts, owners, key, feed) {
                return (replica, Err(reason));
            }
        }
        replica.connected(parts, owners, key);
        (replica, Ok(()))
    }

    pub(super) fn into_description(self) -> Collect {
        self.description
    }

    pub(super) fn can_share(&self, collect: &Collect) -> bool {
        self.error().is_none() && self.description == *collect
    }

    pub(super) fn status(&self) -> &CollectionStatus {
        &self.status
    }

    pub(super) fn error(&self) -> Option<&CollectionError> {
        match &self.status {
            CollectionStatus::Ended(error) => Some(error),
            _ => None,
        }
    }

    /// Whether it was live at least once. Before that, the rows are no list.
    pub(super) fn has_loaded(&self) -> bool {
        self.has_loaded
    }

    pub(super) fn held(&self) -> Held {
        self.store.held()
    }

    /// Another caller waits until it is live.
    pub(super) fn await_again(&mut self, cx: &mut Context, key: ReplicaKey) {
        if !self.status.is_live() {
            self.overdue = None;
            self.ready_by = cx.config.request_timeout.map(|timeout| cx.after(timeout));
            self.schedule(cx, key);
        }
    }

    #[cfg(feature = "client")]
    pub(super) fn awaited(&self) -> Awaited {
        match (&self.status, self.overdue) {
            (CollectionStatus::Ended(error), _) => Awaited::Failed(error.clone()),
            (status, _) if status.is_live() => Awaited::Live,
            (_, Some(waiting_for)) => Awaited::Failed(CollectionError::TimedOut { waiting_for }),
            _ => Awaited::Pending,
        }
    }

    /// It is not live in time.
    fn note_overdue(&mut self, is_connected: bool) {
        self.ready_by = None;
        if self.status.is_live() {
            return;
        }
        self.overdue = Some(if !is_connected {
            WaitingFor::Connection
        } else if !self.feeds.are_live() {
            WaitingFor::Acknowledgement
        } else {
            WaitingFor::List
        });
        self.status_changed = true;
    }

    pub(super) fn take_status_changed(&mut self) -> bool {
        std::mem::take(&mut self.status_changed)
    }

    fn set_status(&mut self, status: CollectionStatus) {
        if self.error().is_none() && self.status != status {
            self.status = status;
            self.status_changed = true;
        }
    }

    /// The rows may be out of date from now on.
    fn set_stale(&mut self, cx: &Context, cause: StaleCause) {
        let since = match &self.status {
            CollectionStatus::Stale { since, .. } => *since,
            _ => cx.now,
        };
        self.set_status(match (self.has_loaded, cause) {
            (true, cause) => CollectionStatus::Stale { since, cause },
            (false, StaleCause::List(error)) => CollectionStatus::Loading { error: Some(error) },
            (false, StaleCause::Connection(_)) => return,
        });
    }

    /// A connection is open. Without a feed, that is enough to list. Rows that are not subscribed to again soon must not
    /// keep the list back.
    pub(super) fn connected(
        &mut self,
        parts: &mut Parts<'_>,
        owners: &mut Owners,
        key: ReplicaKey,
    ) {
        if !self.feeds.are_instances_live() {
            self.list_at.get_or_insert(parts.cx.after(SOON));
        }
        self.list_if_ready(parts, owners, key);
    }

    /// The server has acknowledged a feed on this connection.
    pub(super) fn feed_is_live(
        &mut self,
        parts: &mut Parts<'_>,
        owners: &mut Owners,
        key: ReplicaKey,
        feed: SubscriptionKey,
    ) {
        match self.feeds.set_live(feed) {
            // The row may have changed since it was listed.
            Subject::Row(row) if self.status.is_live() || self.listing.is_some() => {
                self.fetches.add(row);
                return self.fetch(parts, owners, key);
            }
            Subject::Row(_) => {}
            // It may have been lost on the server before.
            Subject::Rows => self.cancel_listing(parts, owners),
        }
        self.list_if_ready(parts, owners, key);
    }

    /// Lists the objects if all feeds are live (V1), unless a list is under way or has to wait.
    fn list_if_ready(&mut self, parts: &mut Parts<'_>, owners: &mut Owners, key: ReplicaKey) {
        let has_to_wait =
            self.failures > 0 || self.deaths >= DEATHS || !self.feeds.are_instances_live();
        let must_wait = has_to_wait && self.list_at.is_some_and(|at| parts.cx.now < at);
        let is_ready = parts.is_connected && self.feeds.are_live();
        if self.error().is_some() || !is_ready || must_wait || self.listing.is_some() {
            return self.schedule(parts.cx, key);
        }
        self.list_at = None;
        self.list(parts, owners, key, 0);
    }

    fn list(&mut self, parts: &mut Parts<'_>, owners: &mut Owners, key: ReplicaKey, restarts: u32) {
        let first = self.description.0.list.clone();
        match request(parts, owners, key, first.clone()) {
            Ok(request) => {
                parts.cx.stats.relists += 1;
                self.store.begin_listing();
                let is_repair = self.status.is_live();
                self.listing = Some(Listing::new(request, first, restarts, is_repair));
                self.schedule(parts.cx, key);
            }
            Err(error) => self.list_failed(parts, owners, key, error),
        }
    }

    /// Lists again as soon as possible (V12).
    pub(super) fn resync(&mut self, parts: &mut Parts<'_>, owners: &mut Owners, key: ReplicaKey) {
        if self.listing.is_some() {
            // The list may have been read before the call.
            self.cancel_listing(parts, owners);
        }
        self.failures = 0;
        self.list_if_ready(parts, owners, key);
    }

    fn list_failed(
        &mut self,
        parts: &mut Parts<'_>,
        owners: &mut Owners,
        key: ReplicaKey,
        error: RequestError,
    ) {
        self.store.abandon_listing();
        self.listing = None;
        if is_final(&error, self.has_loaded) {
            return self.end(parts, owners, key, CollectionError::List(error));
        }
        let wait = LEAST_RETRY.saturating_mul(1 << self.failures.min(6)).min(MOST_RETRY);
        self.failures += 1;
        self.list_at = Some(parts.cx.jittered(wait));
        self.set_stale(parts.cx, StaleCause::List(error));
        self.schedule(parts.cx, key);
    }

    fn cancel_listing(&mut self, parts: &mut Parts<'_>, owners: &mut Owners) {
        if let Some(listing) = self.listing.take() {
            cancel(parts, owners, listing.request);
            self.store.abandon_listing();
        }
    }

    /// One of its requests has settled.
    pub(super) fn settled(
        &mut self,
        parts: &mut Parts<'_>,
        owners: &mut Owners,
        key: ReplicaKey,
        request: RequestKey,
        result: Result<Json, RequestError>,
    ) {
        if self.listing.as_ref().is_some_and(|listing| listing.request == request) {
            match result {
                Ok(page) => self.read_page(parts, owners, key, &page),
                Err(error) => self.list_failed(parts, owners, key, error),
            }
        } else if let Some((row, again)) = self.fetches.settled(request) {
            self.fetched(parts.cx, &row, again, result);
            self.fetch(parts, owners, key);
        }
        self.schedule(parts.cx, key);
    }

    fn read_page(
        &mut self,
        parts: &mut Parts<'_>,
        owners: &mut Owners,
        key: ReplicaKey,
        page: &Json,
    ) {
        let Some(mut listing) = self.listing.take() else { return };
        let (pk_field, store) = (pk_field(&self.description, &parts.cx.config), &mut self.store);
        let (has_moved, mut without_key) = (store.has_moved(), 0);
        let row = |value: &RawValue| match read_key(value.get(), pk_field) {
            Some((row, _)) => store.list_row(row, Json::from(value)),
            None => without_key += 1,
        };
        let next = listing.read(page, row, has_moved);
        parts.cx.stats.rows_without_key += without_key;
        match next {
            Ok(Next::Page(next)) => match request(parts, owners, key, next.clone()) {
                Ok(request) => {
                    listing.advance(request, next);
                    self.listing = Some(listing);
                }
                Err(error) => self.list_failed(parts, owners, key, error),
            },
            Ok(Next::Restart) => {
                self.store.abandon_listing();
                self.list(parts, owners, key, listing.restarts() + 1);
            }
            Ok(Next::End { is_complete }) => {
                self.loaded(parts, owners, key, listing.is_repair, is_complete);
            }
            Err(error) => {
                self.store.abandon_listing();
                self.end(parts, owners, key, CollectionError::Decode(error));
            }
        }
    }

    /// The list is complete.
    fn loaded(
        &mut self,
        parts: &mut Parts<'_>,
        owners: &mut Owners,
        key: ReplicaKey,
        is_repair: bool,
        is_complete: bool,
    ) {
        let listed = self.store.finish_listing(is_complete);
        if is_repair {
            parts.cx.stats.repairs += listed.changed as u64;
        }
        (self.failures, self.deaths, self.has_loaded) = (0, 0, true);
        self.list_at = match self.description.0.resync_every {
            _ if !is_complete => Some(parts.cx.after(SOON)),
            Some(interval) => Some(parts.cx.jittered(interval)),
            None => None,
        };
        let is_proved = self.description.is_gapless();
        self.set_status(if is_proved {
            CollectionStatus::Live
        } else {
            CollectionStatus::Unproved
        });
        listed.doubtful.into_iter().for_each(|row| self.fetches.add(row));
        self.fetch(parts, owners, key);
        self.follow_rows(parts, owners, key);
    }

    /// Subscribes to each row, if there is no feed (V13).
    fn follow_rows(&mut self, parts: &mut Parts<'_>, owners: &mut Owners, key: ReplicaKey) {
        if !self.description.0.instances {
            return;
        }
        let Self { feeds, store, description, .. } = self;
        feeds.retain_instances(parts, owners, |row| store.get(row).is_some());
        let rows = store.iter().filter(|(row, _)| !feeds.has_instance(row));
        let new: Vec<(RowKey, Subscribe)> = rows
            .filter_map(|(row, stored)| {
                let subscribe = description.instance(&Pk::from(row), &stored.json)?;
                Some((row.clone(), subscribe))
            })
            .collect();
        for instance in new {
            if let Err(reason) = self.feeds.add_instance(parts, owners, key, instance) {
                return self.end(parts, owners, key, CollectionError::Rejected { reason });
            }
        }
    }

    /// Applies the changes of a feed.
    pub(super) fn read_feed(
        &mut self,
        parts: &mut Parts<'_>,
        owners: &mut Owners,
        key: ReplicaKey,
        feed: SubscriptionKey,
    ) {
        while let Some(change) = parts.subscriptions.poll_change(parts.cx, feed) {
            match change {
                Ok(Change::Create(row) | Change::Update(row)) => self.upsert(parts.cx, row),
                Ok(Change::Delete(deleted)) => self.remove(parts.cx, &deleted),
                // A reconnect lists anyway. Otherwise changes are missing on this connection.
                Ok(Change::Gap(gap)) => match self.feeds.row(feed).cloned() {
                    Some(row) => self.doubt(row),
                    None => self.missed(parts, owners, key, StaleCause::Connection(gap.cause)),
                },
                Ok(Change::Lagged(_)) => self.resync(parts, owners, key),
                Ok(Change::Other { action, payload }) => {
                    self.event_without_data(action.as_deref(), &payload);
                }
                Ok(_) => {}
                Err(error) => match self.feeds.ended(owners, feed) {
                    Subject::Rows => {
                        self.end(parts, owners, key, CollectionError::Subscription(error));
                    }
                    // It is gone, or may no longer be seen.
                    Subject::Row(row) => self.doubt(row),
                },
            }
        }
        self.fetch(parts, owners, key);
        self.schedule(parts.cx, key);
    }

    /// Only the server knows the state of a row. Before the list, that is so for all rows.
    fn doubt(&mut self, row: RowKey) {
        if self.status.is_live() || self.listing.is_some() {
            self.fetches.add(row);
        }
    }

    /// Changes are missing on this connection, unless it is new and not listed yet.
    fn missed(
        &mut self,
        parts: &mut Parts<'_>,
        owners: &mut Owners,
        key: ReplicaKey,
        cause: StaleCause,
    ) {
        if self.status.is_live() {
            self.set_stale(parts.cx, cause);
        }
        if self.listing.is_some() || self.feeds.are_live() {
            self.resync(parts, owners, key);
        }
    }

    fn upsert(&mut self, cx: &mut Context, row: Json) {
        let pk_field = pk_field(&self.description, &cx.config);
        let Some((key, has_data)) = read_key(row.as_str(), pk_field) else {
            cx.stats.rows_without_key += 1;
            return;
        };
        self.fetches.changed(&key);
        if !has_data {
            return self.fetches.add(key); // V4
        }
        let origin = if self.feeds.is_one() { Origin::Event } else { Origin::GroupEvent };
        let applied = self.store.upsert(&key, row, origin);
        match (applied, self.description.0.verify) {
            (Applied::Doubtful, _) => self.fetches.add(key),
            (Applied::Changed, Some(quiet)) => self.fetches.verify(&key, cx.after(quiet)),
            _ => {}
        }
    }

    /// Applies the reply to a write through the same resource (V14).
    pub(super) fn written(&mut self, cx: &mut Context, written: &Written) {
        let Written { write: Write { resource, kind }, reply } = written;
        if self.error().is_some() || self.description.0.resource.as_ref() != Some(resource) {
            return;
        }
        if let WriteKind::Delete(key) = kind {
            self.fetches.changed(key);
            let _ = self.store.gone(key);
            return;
        }
        let pk_field = pk_field(&self.description, &cx.config);
        let Some((key, true)) = read_key(reply.as_str(), pk_field) else { return };
        // A row of another group does not come by being changed.
        if *kind == WriteKind::Create || self.store.get(&key).is_some() {
            self.fetches.changed(&key);
            let _ = self.store.upsert(&key, reply.clone(), Origin::Reply);
        }
    }

    /// An event that only names its row (V4).
    fn event_without_data(&mut self, action: Option<&str>, payload: &Json) {
        let Some(pointer) = &self.description.0.key_at else { return };
        let payload: Option<Value> = payload.decode().ok();
        let pk = payload.as_ref().and_then(|payload| payload.pointer(pointer));
        let Some(pk) = pk.and_then(|pk| Pk::deserialize(pk).ok()) else { return };
        let key = RowKey::from(&pk);
        self.fetches.changed(&key);
        if action == Some("delete") {
            let _ = self.store.gone(&key);
        } else {
            self.fetches.add(key);
        }
    }

    fn remove(&mut self, cx: &mut Context, deleted: &Deleted) {
        let Some(pk) = &deleted.pk else {
            cx.stats.rows_without_key += 1;
            return;
        };
        let key = RowKey::from(pk);
        self.fetches.changed(&key);
        match (self.store.remove(&key, Some(&deleted.data)), self.description.0.verify) {
            (Applied::Doubtful, _) => self.fetches.add(key),
            // The events of a delete and a create can be swapped, too.
            (Applied::Changed, Some(quiet)) => self.fetches.verify(&key, cx.after(quiet)),
            _ => {}
        }
    }

    /// Retrieves rows, as many as may be in flight.
    fn fetch(&mut self, parts: &mut Parts<'_>, owners: &mut Owners, key: ReplicaKey) {
        // Before the list, it knows better.
        while self.status.is_live() && parts.is_connected {
            let Some(row) = self.fetches.next() else { return };
            let known = self.store.get(&row).map(|row| row.json);
            let retrieve = self.description.retrieve_request(&Pk::from(&row), known.as_ref());
            let Some(retrieve) = retrieve else {
                self.list_at.get_or_insert(parts.cx.after(SOON));
                continue;
            };
            match request(parts, owners, key, retrieve) {
                Ok(request) => {
                    parts.cx.stats.verifications += 1;
                    self.fetches.sent(request, row);
                }
                Err(_) => return self.fetches.verify(&row, parts.cx.after(SOON)),
            }
        }
    }

    /// The reply to a retrieve has arrived. `again`: the row has changed meanwhile, and is retrieved once more.
    fn fetched(
        &mut self,
        cx: &Context,
        row: &RowKey,
        again: bool,
        result: Result<Json, RequestError>,
    ) {
        match result {
            // The reply can be older than the delete event that came before it.
            Ok(_) if again && self.store.is_removed(row) => {}
            Ok(json) => _ = self.store.upsert(row, json, Origin::Reply),
            Err(RequestError::ErrorReply(reply)) if reply.status == Some(404) => {
                let _ = self.store.gone(row);
            }
            Err(RequestError::ErrorReply(reply)) if is_rejection(reply.status) => {
                self.list_at.get_or_insert(cx.after(SOON));
            }
            Err(_) => self.fetches.verify(row, cx.after(SOON)),
        }
        if again {
            self.fetches.add(row.clone());
        }
    }

    pub(super) fn connection_lost(
        &mut self,
        parts: &mut Parts<'_>,
        owners: &mut Owners,
        key: ReplicaKey,
        cause: &ConnectionError,
    ) {
        if self.error().is_some() {
            return;
        }
        self.feeds.connection_lost();
        if self.listing.is_some() && can_be_caused(cause) {
            self.deaths += 1;
            let penance = SOON.saturating_mul(1 << self.deaths.saturating_sub(DEATHS).min(7));
            if self.deaths >= DEATHS {
                self.list_at = Some(parts.cx.jittered(penance.min(MOST_PENANCE)));
            }
        }
        self.cancel_requests(parts, owners);
        if self.status.is_live() {
            self.set_stale(parts.cx, StaleCause::Connection(cause.clone()));
        }
        self.schedule(parts.cx, key);
    }

    fn cancel_requests(&mut self, parts: &mut Parts<'_>, owners: &mut Owners) {
        self.cancel_listing(parts, owners);
        for request in self.fetches.clear() {
            cancel(parts, owners, request);
        }
    }

    pub(super) fn timer_fired(
        &mut self,
        parts: &mut Parts<'_>,
        owners: &mut Owners,
        key: ReplicaKey,
    ) {
        self.timer = None;
        if self.ready_by.is_some_and(|by| by <= parts.cx.now) {
            self.note_overdue(parts.is_connected);
        }
        self.fetches.queue_due(parts.cx.now);
        self.fetch(parts, owners, key);
        if self.list_at.is_some_and(|at| at <= parts.cx.now) {
            self.list_if_ready(parts, owners, key);
        }
        self.schedule(parts.cx, key);
    }

    /// Sets the timer for what is due next.
    fn schedule(&mut self, cx: &mut Context, key: ReplicaKey) {
        let can_list = cx.now < self.list_at.unwrap_or(cx.now) && self.listing.is_none();
        let list_at = self.list_at.filter(|_| can_list);
        let next = [list_at, self.fetches.next_due(), self.ready_by].into_iter().flatten().min();
        let next = next.filter(|_| self.error().is_none());
        if next == self.timer {
            return;
        }
        if let Some(timer) = std::mem::replace(&mut self.timer, next) {
            cx.timers.clear(timer, Timer::Collection(key));
        }
        if let Some(next) = next {
            cx.timers.set(next, Timer::Collection(key));
        }
    }

    /// Ends the collection if it holds too much (V9).
    pub(super) fn check_limits(
        &mut self,
        parts: &mut Parts<'_>,
        owners: &mut Owners,
        key: ReplicaKey,
    ) {
        let (held, limit) = (self.held(), parts.cx.config.collections);
        if self.error().is_some() {
            return;
        }
        if held.count > limit.count || held.bytes > limit.bytes {
            let Held { count, bytes } = held;
            self.end(parts, owners, key, CollectionError::TooLarge { count, bytes, limit });
        } else if self.store.removed() > limit.count && self.listing.is_none() {
            // A list forgets what was removed before it.
            self.resync(parts, owners, key);
        }
    }

    pub(super) fn end(
        &mut self,
        parts: &mut Parts<'_>,
        owners: &mut Owners,
        key: ReplicaKey,
        error: CollectionError,
    ) {
        if self.error().is_none() {
            self.set_status(CollectionStatus::Ended(error));
            self.stop(parts, owners, key);
        }
    }

    /// Stops following the server.
    pub(super) fn stop(&mut self, parts: &mut Parts<'_>, owners: &mut Owners, key: ReplicaKey) {
        self.cancel_requests(parts, owners);
        self.feeds.stop(parts, owners);
        if let Some(timer) = self.timer.take() {
            parts.cx.timers.clear(timer, Timer::Collection(key));
        }
    }
}

fn pk_field<'a>(description: &'a Collect, config: &'a Config) -> &'a str {
    description.0.pk_field.as_deref().unwrap_or(&config.pk_field)
}

/// The key of a row, and whether the row has anything else.
fn read_key(row: &str, pk_field: &str) -> Option<(RowKey, bool)> {
    let (pk, has_data) = Pk::read(row, pk_field)?;
    Some((RowKey::from(&pk), has_data))
}

/// Makes a request of the replica's own. It fails with its connection: the next one begins with a list.
fn request(
    parts: &mut Parts<'_>,
    owners: &mut Owners,
    key: ReplicaKey,
    request: Request,
) -> Result<RequestKey, RequestError> {
    let request = parts.requests.request(parts.cx, request.of_collection())?;
    owners.requests.insert(request, key);
    Ok(request)
}

fn cancel(parts: &mut Parts<'_>, owners: &mut Owners, request: RequestKey) {
    owners.requests.remove(&request);
    parts.requests.cancel(parts.cx, request);
}

/// Whether listing again can't help. What has worked before is tried again, except a list that has become too large.
fn is_final(error: &RequestError, has_loaded: bool) -> bool {
    match error {
        RequestError::ReplyTooLarge { .. } => true,
        RequestError::ErrorReply(reply) => !has_loaded && is_rejection(reply.status),
        RequestError::Rejected(rejected) => {
            !matches!(rejected.reason, RejectReason::QueueFull | RejectReason::NotConnected)
        }
        _ => false,
    }
}

/// Whether what was sent can have ended the connection. A silent server, a reconnect that was asked for and a planned restart
/// have other causes.
fn can_be_caused(cause: &ConnectionError) -> bool {
    match cause {
        ConnectionError::Closed(frame) => !matches!(frame.code, 1001 | 1012),
        ConnectionError::Silent(_)
        | ConnectionError::Reconnect
        | ConnectionError::Unauthorized { .. } => false,
        _ => true,
    }
}

/// Whether the status says that the request is wrong.
fn is_rejection(status: Option<u16>) -> bool {
    status.is_some_and(|status| (400..500).contains(&status) && !matches!(status, 408 | 425 | 429))
}
