//! What feeds, writes and retrieved rows change in a replica (V2 to V5, V14).

use serde::Deserialize;
use serde_json::Value;

use super::{Replica, SOON, is_rejection, pk_field, read_key};
use crate::collections::feeds::Subject;
use crate::collections::fetches::Flight;
use crate::collections::host::Host;
use crate::collections::listing::Listing;
use crate::collections::row_key::RowKey;
use crate::collections::status::StaleCause;
use crate::collections::store::{Applied, Origin};
use crate::command::{Write, WriteKind, Written};
use crate::context::Context;
use crate::error::{CollectionError, RequestError};
use crate::event::Change;
use crate::id::SubscriptionKey;
use crate::protocol::json::Json;
use crate::protocol::pk::{Deleted, Pk};

impl Replica {
    /// Applies the changes of a feed.
    pub(in crate::collections) fn read_feed(&mut self, host: &mut Host<'_>, feed: SubscriptionKey) {
        while let Some(change) = host.poll_change(feed) {
            match change {
                Ok(Change::Create(row) | Change::Update(row)) => self.upsert(host.cx, feed, row),
                Ok(Change::Delete(Deleted { pk: Some(pk), data })) => {
                    self.remove(host.cx, RowKey::from(&pk), Some(&data));
                }
                Ok(Change::Delete(_)) => self.unnamed(host.cx, feed),
                // A reconnect lists anyway. Otherwise changes are missing on this connection.
                Ok(Change::Gap(gap)) => match self.feeds.row(feed).cloned() {
                    Some(row) => self.doubt(row),
                    None => self.missed(host, StaleCause::Connection(gap.cause)),
                },
                Ok(Change::Lagged(_)) => self.resync(host),
                Ok(Change::Other { action, payload }) => {
                    self.event_without_data(host.cx, feed, action.as_deref(), &payload);
                }
                Ok(Change::ErrorReply(_)) => self.lost(host.cx, feed),
                Ok(_) => {}
                Err(error) => match self.feeds.ended(host, feed) {
                    Subject::Rows => {
                        self.end(host, CollectionError::Subscription(error));
                    }
                    // It is gone, or may no longer be seen.
                    Subject::Row(row) => self.doubt(row),
                },
            }
        }
        self.restart_unsent_listing(host);
        self.fetch(host);
        self.schedule(host);
    }

    /// Only the server knows the state of a row. Before the list, that is so for all rows.
    fn doubt(&mut self, row: RowKey) {
        if self.status.is_live() || self.listing.is_some() {
            self.fetches.add(row);
        }
    }

    /// Changes are missing on this connection, unless it is new and not listed yet.
    fn missed(&mut self, host: &mut Host<'_>, cause: StaleCause) {
        if self.status.is_live() {
            self.set_stale(host.cx, cause);
        }
        if self.listing.is_some() || self.feeds.are_live() {
            self.resync(host);
        }
    }

    /// A change does not say which row it is about.
    fn unnamed(&mut self, cx: &mut Context, feed: SubscriptionKey) {
        cx.stats.rows_without_key += 1;
        self.lost(cx, feed);
    }

    /// A change of the rows of a feed is not known.
    fn lost(&mut self, cx: &Context, feed: SubscriptionKey) {
        match self.feeds.row(feed).cloned() {
            Some(row) => self.doubt(row),
            None if self.status.is_live() || self.listing.is_some() => self.list_by(cx.after(SOON)),
            None => {}
        }
    }

    fn upsert(&mut self, cx: &mut Context, feed: SubscriptionKey, row: Json) {
        let pk_field = pk_field(&self.description, &cx.config);
        let Some((key, has_data)) = read_key(row.as_str(), pk_field) else {
            return self.unnamed(cx, feed);
        };
        self.fetches.changed(&key);
        if !has_data {
            return self.fetches.add(key); // V4
        }
        let applied = self.store.upsert(&key, row, self.event_origin());
        match (applied, self.description.0.verify) {
            (Applied::Doubtful, _) => self.fetches.add(key),
            (Applied::Changed, Some(quiet)) => self.fetches.verify(&key, cx.after(quiet)),
            _ => {}
        }
    }

    /// Applies the reply to a write through the same resource (V14).
    pub(in crate::collections) fn written(&mut self, host: &mut Host<'_>, written: &Written) {
        let Written { write: Write { resource, kind }, reply } = written;
        if self.error().is_some() || self.description.0.resource.as_ref() != Some(resource) {
            return;
        }
        match kind {
            WriteKind::Delete(key) => self.deleted(host.cx, resource.looked_up_by(), key),
            WriteKind::Create => self.saved(host, reply, true),
            WriteKind::Change => self.saved(host, reply, false),
        }
        self.restart_unsent_listing(host);
        self.fetch(host);
        self.schedule(host);
    }

    /// The row with a value of its lookup field was deleted through the same resource.
    fn deleted(&mut self, cx: &Context, lookup_field: &str, value: &RowKey) {
        let is_key = ["pk", pk_field(&self.description, &cx.config)].contains(&lookup_field);
        let keys = if is_key { vec![value.clone()] } else { self.find(lookup_field, value) };
        match &keys[..] {
            [] => {}
            [key] => {
                self.fetches.changed(key);
                let _ = self.store.gone(key);
            }
            // One of them has another value by now.
            _ => self.list_by(cx.after(SOON)),
        }
    }

    /// The rows that have a value in a field.
    fn find(&self, field: &str, value: &RowKey) -> Vec<RowKey> {
        let value_of = |row: &Json| Pk::in_field(row.as_str(), field).map(|pk| RowKey::from(&pk));
        let rows = self.store.iter().filter(|(_, row)| value_of(&row.json).as_ref() == Some(value));
        rows.map(|(key, _)| key.clone()).collect()
    }

    /// A row was created or changed through the same resource.
    fn saved(&mut self, host: &mut Host<'_>, reply: &Json, is_new: bool) {
        let pk_field = pk_field(&self.description, &host.cx.config);
        let Some((key, true)) = read_key(reply.as_str(), pk_field) else { return };
        let is_ours = match self.store.get(&key) {
            Some(known) => self.description.keeps(&known.json, reply),
            None if is_new => !self.description.is_part(),
            // A row of another group does not come by being changed.
            None => return,
        };
        self.fetches.changed(&key);
        if is_ours {
            let _ = self.store.upsert(&key, reply.clone(), Origin::Reply);
            self.follow(host, &key);
        } else {
            self.doubt(key);
        }
    }

    /// An event that only names its row (V4).
    fn event_without_data(
        &mut self,
        cx: &mut Context,
        feed: SubscriptionKey,
        action: Option<&str>,
        payload: &Json,
    ) {
        let pointer = self.description.0.key_at.as_deref();
        let payload: Option<Value> = pointer.and_then(|_| payload.decode().ok());
        let pk = payload.as_ref().zip(pointer).and_then(|(payload, key)| payload.pointer(key));
        let Some(pk) = pk.and_then(|pk| Pk::deserialize(pk).ok()) else {
            return self.unnamed(cx, feed);
        };
        let key = RowKey::from(&pk);
        if action == Some("delete") {
            self.remove(cx, key, None);
        } else {
            self.fetches.changed(&key);
            self.fetches.add(key);
        }
    }

    fn event_origin(&self) -> Origin {
        if self.feeds.is_one() { Origin::Event } else { Origin::GroupEvent }
    }

    /// A delete event has come. `data`: the object, if the event carries it.
    fn remove(&mut self, cx: &Context, key: RowKey, data: Option<&Json>) {
        self.fetches.changed(&key);
        let applied = self.store.remove(&key, data, self.event_origin());
        match (applied, self.description.0.verify) {
            (Applied::Doubtful, _) => self.fetches.add(key),
            // The events of a delete and a create can be swapped, too.
            (Applied::Changed, Some(quiet)) => self.fetches.verify(&key, cx.after(quiet)),
            _ => {}
        }
    }

    /// Retrieves rows, as many as may be in flight.
    pub(super) fn fetch(&mut self, host: &mut Host<'_>) {
        // Before the list, it knows better.
        while self.status.is_live() && host.is_connected {
            let Some(row) = self.fetches.next() else { return };
            let known = self.store.get(&row).map(|row| row.json);
            let retrieve = self.description.retrieve_request(&Pk::from(&row), known.as_ref());
            let Some(retrieve) = retrieve else {
                self.list_by(host.cx.after(SOON));
                continue;
            };
            match host.request(retrieve) {
                Ok(request) => {
                    host.cx.stats.verifications += 1;
                    self.fetches.sent(request, row);
                }
                Err(_) => return self.fetches.verify(&row, host.cx.after(SOON)),
            }
        }
    }

    /// The reply to a retrieve has arrived.
    pub(super) fn fetched(
        &mut self,
        cx: &Context,
        row: &RowKey,
        flight: Flight,
        result: Result<Json, RequestError>,
    ) {
        let pk_field = pk_field(&self.description, &cx.config);
        let is_by_pk = self.description.0.lookup_field == "pk";
        let is_older =
            flight.is_before_list && self.listing.as_ref().is_some_and(Listing::is_first);
        let store = &mut self.store;
        match result {
            // The reply can be older than the delete event that came before it.
            Ok(_) if flight.again && store.is_removed(row) => {}
            // It is no row, or another one that has its lookup value by now.
            Ok(json) if !can_be(&json, row, pk_field) => {
                self.list_by(cx.after(SOON));
            }
            // The list decides.
            Ok(json) if is_older => {
                let _ = store.before_listing(|store| store.upsert(row, json, Origin::Reply));
            }
            Ok(json) => _ = store.upsert(row, json, Origin::Reply),
            // With another lookup field, the row may exist and have another value by now.
            Err(RequestError::ErrorReply(reply)) if reply.status == Some(404) && is_by_pk => {
                if is_older {
                    let _ = store.before_listing(|store| store.gone(row));
                } else {
                    let _ = store.gone(row);
                }
            }
            Err(RequestError::ErrorReply(reply)) if is_rejection(reply.status) => {
                self.list_by(cx.after(SOON));
            }
            // It will be too large again. The list may have less of each row.
            Err(RequestError::ReplyTooLarge { .. }) => self.list_by(cx.after(SOON)),
            Err(_) => self.fetches.verify(row, cx.after(SOON)),
        }
        if flight.again {
            self.fetches.add(row.clone());
        }
    }
}

/// Whether a reply can be a row. Its serializer may leave out the key.
fn can_be(json: &Json, row: &RowKey, pk_field: &str) -> bool {
    json.as_str().starts_with('{')
        && read_key(json.as_str(), pk_field).is_none_or(|(key, _)| key == *row)
}
