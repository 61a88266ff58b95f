//! The local copy of one collection, and what keeps it right: its feeds, its list, and rows that are retrieved again.

mod changes;
mod list;
mod shifts;

use std::time::{Duration, Instant};

use self::shifts::Shifts;
#[cfg(feature = "client")]
use super::Awaited;
use super::feeds::{Feeds, Subject};
use super::fetches::Fetches;
use super::host::Host;
use super::listing::Listing;
use super::row_key::RowKey;
use super::status::{CollectionStatus, StaleCause};
use super::store::Store;
use crate::buffer::Held;
use crate::command::Collect;
use crate::config::Config;
use crate::context::Context;
use crate::error::{CollectionError, ConnectionError, RejectReason, RequestError, WaitingFor};
use crate::id::{CollectionKey, RequestKey, SubscriptionKey};
use crate::protocol::json::Json;
use crate::protocol::pk::Pk;
use crate::subscriptions::Suspicion;

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
    /// Whether rows have moved between the pages of its last list after all, which their late events tell.
    shifts: Shifts,
    fetches: Fetches,
    /// When to list again, after a failure or to find what was not reported.
    list_at: Option<Instant>,
    failures: u32,
    /// How many connections in a row were lost during a list.
    deaths: u32,
    /// What speaks against its list.
    suspicion: Suspicion,
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
        host: &mut Host<'_>,
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
            shifts: Shifts::default(),
            fetches: Fetches::default(),
            list_at: None,
            failures: 0,
            deaths: 0,
            suspicion: Suspicion::default(),
            timer: None,
            ready_by: None,
            overdue: None,
            #[cfg(feature = "client")]
            decoding: super::Decoding::default(),
            description,
        };
        for feed in replica.description.subscribes() {
            if let Err(reason) = replica.feeds.add(host, feed) {
                return (replica, Err(reason));
            }
        }
        replica.connected(host);
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
    pub(super) fn await_again(&mut self, host: &mut Host<'_>) {
        if !self.status.is_live() {
            self.overdue = None;
            let timeout = host.cx.config.request_timeout;
            self.ready_by = timeout.map(|timeout| host.cx.after(timeout));
            self.schedule(host);
        }
    }

    #[cfg(feature = "client")]
    pub(super) fn awaited(&self) -> Awaited {
        match (&self.status, self.overdue.clone()) {
            (CollectionStatus::Ended(error), _) => Awaited::Failed(error.clone()),
            (status, _) if status.is_live() => Awaited::Live,
            (_, Some(waiting_for)) => Awaited::Failed(CollectionError::TimedOut { waiting_for }),
            _ => Awaited::Pending,
        }
    }

    /// It is not live in time.
    fn note_overdue(&mut self, host: &Host<'_>) {
        self.ready_by = None;
        if self.status.is_live() {
            return;
        }
        self.overdue = Some(if let Some(suspect) = self.suspect(host) {
            suspect
        } else if !host.is_connected {
            let error = match &self.status {
                CollectionStatus::Loading { error: Some(StaleCause::Connection(error)) }
                | CollectionStatus::Stale { cause: StaleCause::Connection(error), .. } => {
                    Some(error.clone())
                }
                _ => None,
            };
            WaitingFor::Connection { error }
        } else if !self.feeds.are_live() {
            WaitingFor::Acknowledgement
        } else {
            WaitingFor::List
        });
        self.status_changed = true;
    }

    /// What connections keep ending after.
    fn suspect(&self, host: &Host<'_>) -> Option<WaitingFor> {
        let (stream, action, cause) = match &self.status {
            CollectionStatus::Loading { error: Some(StaleCause::List(error)) }
            | CollectionStatus::Stale { cause: StaleCause::List(error), .. } => {
                let RequestError::ConnectionLost { cause, .. } = error else { return None };
                let list = &self.description.0.list;
                (list.stream(), list.action(), cause)
            }
            _ => self.feeds.waiting().find_map(|feed| host.suspicion(feed))?,
        };
        let (stream, action) = (stream.to_owned(), action.to_owned());
        Some(WaitingFor::Suspected { stream, action, cause: cause.clone() })
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
        self.set_status(if self.has_loaded {
            CollectionStatus::Stale { since, cause }
        } else {
            CollectionStatus::Loading { error: Some(cause) }
        });
    }

    /// The server has acknowledged a feed on this connection.
    pub(super) fn feed_is_live(&mut self, host: &mut Host<'_>, feed: SubscriptionKey) {
        match self.feeds.set_live(feed) {
            // The row may have changed since it was listed.
            Subject::Row(row) if self.status.is_live() || self.listing.is_some() => {
                self.fetches.add(row);
                return self.fetch(host);
            }
            Subject::Row(_) => {}
            // It may have been lost on the server before.
            Subject::Rows => self.cancel_listing(host),
        }
        self.list_if_ready(host);
    }

    /// One of its requests has settled.
    pub(super) fn settled(
        &mut self,
        host: &mut Host<'_>,
        request: RequestKey,
        result: Result<Json, RequestError>,
    ) {
        if self.listing.as_ref().is_some_and(|listing| listing.request == request) {
            match result {
                Ok(page) => self.read_page(host, &page),
                Err(error) => self.list_failed(host, error),
            }
        } else if let Some((row, flight)) = self.fetches.settled(request) {
            let is_new = self.store.get(&row).is_none();
            self.fetched(host.cx, &row, flight, result);
            if is_new {
                self.follow(host, &row);
            }
            self.restart_unsent_listing(host);
            self.fetch(host);
        }
        self.schedule(host);
    }

    pub(super) fn connection_lost(&mut self, host: &mut Host<'_>, cause: &ConnectionError) {
        if self.error().is_some() {
            return;
        }
        self.feeds.connection_lost();
        let is_guilty = self.is_list_guilty(host, cause);
        let was_sent = self.listing.as_ref().is_some_and(|list| !host.is_queued(list.request));
        let is_suspect = was_sent && can_be_caused(cause) && self.list_died(host.cx);
        self.cancel_requests(host);
        let cause = cause.clone();
        if is_suspect {
            let lost = RequestError::ConnectionLost { sent: true, cause };
            if is_guilty {
                return self.end(host, CollectionError::List(lost));
            }
            self.set_stale(host.cx, StaleCause::List(lost));
        } else if self.status.is_live() || !self.has_loaded {
            self.set_stale(host.cx, StaleCause::Connection(cause));
        }
        self.schedule(host);
    }

    /// Whether the list is proved to end connections (L12), and has never worked.
    fn is_list_guilty(&mut self, host: &Host<'_>, cause: &ConnectionError) -> bool {
        let list = self.listing.as_ref().map(|listing| listing.request);
        let is_alone = can_be_caused(cause) && list.is_some_and(|list| host.is_suspect(list));
        is_alone && !self.has_loaded && self.suspicion.record_list(host.cx.now, &host.cx.config)
    }

    /// A connection was lost during the list. Returns whether that was so often that the next one has to wait.
    fn list_died(&mut self, cx: &mut Context) -> bool {
        self.deaths += 1;
        let penance = SOON.saturating_mul(1 << self.deaths.saturating_sub(DEATHS).min(7));
        if self.deaths >= DEATHS {
            self.list_at = Some(cx.jittered(penance.min(MOST_PENANCE)));
        }
        self.deaths >= DEATHS
    }

    /// An attempt to connect has failed.
    pub(super) fn dial_failed(&mut self, host: &Host<'_>, error: &ConnectionError) {
        if !self.has_loaded {
            self.set_stale(host.cx, StaleCause::Connection(error.clone()));
        }
    }

    fn cancel_requests(&mut self, host: &mut Host<'_>) {
        self.cancel_listing(host);
        for request in self.fetches.clear() {
            host.cancel(request);
        }
    }

    pub(super) fn timer_fired(&mut self, host: &mut Host<'_>) {
        self.timer = None;
        if self.ready_by.is_some_and(|by| by <= host.cx.now) {
            self.note_overdue(host);
        }
        self.fetches.queue_due(host.cx.now);
        self.fetch(host);
        if self.list_at.is_some_and(|at| at <= host.cx.now) {
            self.list_if_ready(host);
        }
        self.schedule(host);
    }

    /// Lists again at `at`, if not before.
    fn list_by(&mut self, at: Instant) {
        self.list_at = Some(self.list_at.map_or(at, |list_at| list_at.min(at)));
    }

    /// Sets the timer for what is due next.
    fn schedule(&mut self, host: &mut Host<'_>) {
        if self.listing.is_none() {
            if let Some(wait) = self.shifts.observe(&self.store, host.cx.now) {
                self.list_by(host.cx.after(wait));
            }
        }
        let can_list = host.is_connected && self.feeds.are_live() && self.listing.is_none();
        let list_at = self.list_at.filter(|_| can_list);
        let next = [list_at, self.fetches.next_due(), self.ready_by].into_iter().flatten().min();
        let next = next.filter(|_| self.error().is_none());
        host.set_timer(&mut self.timer, next);
    }

    /// Ends the collection if it holds too much (V9).
    pub(super) fn check_limits(&mut self, host: &mut Host<'_>) {
        let (held, buried) = (self.store.size(), self.store.buried());
        let limit = host.cx.config.collections;
        if self.error().is_some() {
            return;
        }
        if held.count > limit.count || held.bytes > limit.bytes {
            let Held { count, bytes } = held;
            self.end(host, CollectionError::TooLarge { count, bytes, limit });
        } else if buried.count + self.fetches.waiting() > limit.count || buried.bytes > limit.bytes
        {
            self.list_instead(host);
        }
    }

    /// Lists the rows, which is less than everything that is remembered about single ones.
    fn list_instead(&mut self, host: &mut Host<'_>) {
        if self.listing.is_none() {
            self.list_if_ready(host);
            if self.listing.is_some() {
                self.fetches.forget_waiting();
            }
        }
    }

    pub(super) fn end(&mut self, host: &mut Host<'_>, error: CollectionError) {
        if self.error().is_none() {
            self.set_status(CollectionStatus::Ended(error));
            self.stop(host);
        }
    }

    /// Stops following the server.
    pub(super) fn stop(&mut self, host: &mut Host<'_>) {
        self.cancel_requests(host);
        self.feeds.stop(host);
        host.set_timer(&mut self.timer, None);
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
