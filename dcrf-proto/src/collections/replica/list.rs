//! The list of a replica: when it is requested, its pages, and what follows from it (V1, V6, V7).

use std::time::Duration;

use super::{DEATHS, Replica, SOON, is_rejection, pk_field, read_key};
use crate::collections::host::Host;
use crate::collections::listing::{Listing, Next};
use crate::collections::row_key::RowKey;
use crate::collections::status::{CollectionStatus, StaleCause};
use crate::error::{CollectionError, RejectReason, RequestError};
use crate::protocol::json::{DecodeError, Json};
use crate::protocol::pk::Pk;
use crate::protocol::scan::Scan;

/// The wait before a list that has failed is requested again grows from this with each failure.
const LEAST_RETRY: Duration = Duration::from_secs(1);
const MOST_RETRY: Duration = Duration::from_secs(30);

impl Replica {
    /// A connection is open. Without a feed, that is enough to list. Rows that are not subscribed to again soon must not
    /// keep the list back.
    pub(in crate::collections) fn connected(&mut self, host: &mut Host<'_>) {
        if !self.feeds.are_instances_live() && self.deaths < DEATHS {
            self.list_by(host.cx.after(SOON));
        }
        self.list_if_ready(host);
    }

    /// Lists the objects if all feeds are live (V1), unless a list is under way or has to wait.
    pub(super) fn list_if_ready(&mut self, host: &mut Host<'_>) {
        let has_to_wait =
            self.failures > 0 || self.deaths >= DEATHS || !self.feeds.are_instances_live();
        let must_wait = has_to_wait && self.list_at.is_some_and(|at| host.cx.now < at);
        let is_ready = host.is_connected && self.feeds.are_live();
        if self.error().is_some() || !is_ready || must_wait || self.listing.is_some() {
            return self.schedule(host);
        }
        self.list_at = None;
        self.list(host, 0);
    }

    fn list(&mut self, host: &mut Host<'_>, restarts: u32) {
        let first = self.description.0.list.clone();
        match host.request(first.clone()) {
            Ok(request) => {
                host.cx.stats.relists += 1;
                self.store.begin_listing();
                // The server replies to the requests of a stream in their order.
                if self.description.0.retrieve.stream() == self.description.0.list.stream() {
                    self.fetches.list_requested();
                }
                let is_repair = self.status.is_live();
                self.listing = Some(Listing::new(request, first, restarts, is_repair));
                self.schedule(host);
            }
            Err(error) => self.list_failed(host, error),
        }
    }

    /// Lists again as soon as possible (V12).
    pub(in crate::collections) fn resync(&mut self, host: &mut Host<'_>) {
        if self.listing.is_some() {
            // The list may have been read before the call.
            self.cancel_listing(host);
        }
        self.failures = 0;
        self.list_if_ready(host);
    }

    pub(super) fn list_failed(&mut self, host: &mut Host<'_>, error: RequestError) {
        self.store.abandon_listing();
        self.listing = None;
        if is_final(&error, self.has_loaded) {
            return self.end(host, CollectionError::List(error));
        }
        let wait = LEAST_RETRY.saturating_mul(1 << self.failures.min(6)).min(MOST_RETRY);
        self.failures += 1;
        self.list_at = Some(host.cx.jittered(wait));
        self.set_stale(host.cx, StaleCause::List(error));
        self.schedule(host);
    }

    pub(super) fn cancel_listing(&mut self, host: &mut Host<'_>) {
        if let Some(listing) = self.listing.take() {
            host.cancel(listing.request);
            self.store.abandon_listing();
        }
    }

    /// Changes that came before the list was sent are in it.
    pub(super) fn restart_unsent_listing(&mut self, host: &Host<'_>) {
        if self.listing.as_ref().is_some_and(|list| list.is_first() && host.is_queued(list.request))
        {
            self.store.begin_listing();
        }
    }

    pub(super) fn read_page(&mut self, host: &mut Host<'_>, page: &Json) {
        let Some(mut listing) = self.listing.take() else { return };
        let (pk_field, store) = (pk_field(&self.description, &host.cx.config), &mut self.store);
        let (has_moved, mut without_key) = (store.has_moved(), 0);
        let row = |scan: &mut Scan<'_>| {
            if let Some(length) = store.list_unchanged(scan.rest()) {
                scan.advance(length);
                return Some(());
            }
            let row = scan.raw()?;
            match read_key(row, pk_field) {
                Some((key, _)) => store.list_row(key, row),
                None => without_key += 1,
            }
            Some(())
        };
        let next = listing.read(page, row, has_moved);
        host.cx.stats.rows_without_key += without_key;
        match next {
            Ok(Next::Page(_)) if listing.repeats(self.store.listed()) => {
                self.store.abandon_listing();
                let error = DecodeError::new("another page, the server repeats those before");
                self.end(host, CollectionError::Decode(error));
            }
            Ok(Next::Page(next)) => match host.request(next.clone()) {
                Ok(request) => {
                    listing.advance(request, next);
                    self.listing = Some(listing);
                }
                Err(error) => self.list_failed(host, error),
            },
            Ok(Next::Restart) => {
                self.store.abandon_listing();
                self.list(host, listing.restarts() + 1);
            }
            Ok(Next::End { .. }) if without_key > 0 && self.store.listed() == 0 => {
                self.store.abandon_listing();
                let pk_field = pk_field.to_owned();
                self.end(host, CollectionError::WithoutKeys { pk_field });
            }
            Ok(Next::End { is_complete }) => self.loaded(host, &listing, is_complete),
            Err(error) => {
                self.store.abandon_listing();
                self.end(host, CollectionError::Decode(error));
            }
        }
    }

    /// The list is complete.
    fn loaded(&mut self, host: &mut Host<'_>, listing: &Listing, is_complete: bool) {
        let listed = self.store.finish_listing(is_complete);
        self.fetches.overtaken();
        if listing.is_repair {
            host.cx.stats.repairs += listed.changed as u64;
        }
        (self.failures, self.deaths, self.has_loaded) = (0, 0, true);
        // Another list may have been asked for meanwhile.
        if let Some(interval) = self.description.0.resync_every {
            self.list_by(host.cx.jittered(interval));
        }
        if !is_complete {
            let wait = self.shifts.note();
            self.list_by(host.cx.after(wait));
        } else if listing.can_shift() {
            self.shifts.listed(&self.store, host.cx.now);
        }
        let is_proved = self.description.is_gapless();
        self.set_status(if is_proved {
            CollectionStatus::Live
        } else {
            CollectionStatus::Unproved
        });
        listed.doubtful.into_iter().for_each(|row| self.fetches.add(row));
        self.fetch(host);
        self.follow_rows(host);
    }

    /// Subscribes to each row, if there is no feed (V13).
    fn follow_rows(&mut self, host: &mut Host<'_>) {
        if !self.description.0.instances {
            return;
        }
        let Self { feeds, store, .. } = self;
        feeds.retain_instances(host, |row| store.get(row).is_some());
        let new = store.iter().map(|(row, _)| row).filter(|row| !feeds.has_instance(row));
        let new: Vec<RowKey> = new.cloned().collect();
        for row in new {
            self.follow(host, &row);
        }
    }

    /// Subscribes to a row that is new, if there is no feed. Before the list, it knows better.
    pub(super) fn follow(&mut self, host: &mut Host<'_>, row: &RowKey) {
        let is_due = self.description.0.instances && self.status.is_live();
        if !is_due || self.feeds.has_instance(row) {
            return;
        }
        let Some(stored) = self.store.get(row) else { return };
        let subscribe = self.description.instance(&Pk::from(row), &stored.json);
        let Some(instance) = subscribe.map(|subscribe| (row.clone(), subscribe)) else { return };
        if let Err(reason) = self.feeds.add_instance(host, instance) {
            self.end(host, CollectionError::Rejected { reason });
        }
    }
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
