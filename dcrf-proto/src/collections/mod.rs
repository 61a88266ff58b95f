//! Live collections: local copies of the server's lists that follow its changes (V1 to V14).
//!
//! Each call to collect makes a [`Handle`]. Handles with equal descriptions share a [`Replica`] (V10), which keeps the rows
//! in a [`Store`](store::Store) and uses the session's own requests and subscriptions.

mod batch;
mod feeds;
mod fetches;
mod host;
mod index;
mod listing;
mod replica;
mod row_key;
mod rows;
mod status;
mod store;
mod version;

use std::collections::VecDeque;

pub use self::batch::{CollectionBatch, RowChange};
use self::host::{Host, Owners};
use self::replica::Replica;
pub(crate) use self::row_key::RowKey;
#[cfg(feature = "client")]
pub(crate) use self::rows::Decoded;
pub use self::status::{CollectionStatus, StaleCause};
pub(crate) use self::store::StoredRow;
pub(crate) use self::version::{ReadVersion, Version};
use crate::arena::Arena;
use crate::buffer::Held;
use crate::command::{Collect, Written};
use crate::context::Context;
use crate::error::{CloseReason, CollectionError, ConnectionError, RejectReason, Rejected};
use crate::event::Event;
use crate::id::{CollectionKey, ReaderKey, ReplicaKey};
use crate::protocol::pk::Pk;
use crate::requests::Requests;
use crate::subscriptions::Subscriptions;

/// Held by the reader that decodes the rows of a replica.
#[cfg(feature = "client")]
pub(crate) type Decoding = std::sync::Arc<std::sync::Mutex<()>>;

/// The parts of the session that replicas use.
pub(crate) struct Parts<'a> {
    pub(crate) cx: &'a mut Context,
    pub(crate) requests: &'a mut Requests,
    pub(crate) subscriptions: &'a mut Subscriptions,
    pub(crate) is_connected: bool,
}

#[derive(Debug)]
pub(crate) struct Collections {
    replicas: Arena<ReplicaKey, Replica>,
    handles: Arena<CollectionKey, Handle>,
    owners: Owners,
}

/// One caller's view of a replica.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent of each other")]
struct Handle {
    replica: ReplicaKey,
    /// `None` if it only watches the status.
    reader: Option<ReaderKey>,
    /// Whether its first batch was read, which it gets even if there are no rows.
    has_read: bool,
    /// Whether the status has changed since it was read.
    status_changed: bool,
    /// Whether the event is queued already.
    readable_queued: bool,
    /// Whether the error that ended the collection was read.
    ended: bool,
}

impl Handle {
    fn has_rows(&self, replica: &Replica) -> bool {
        let is_behind = |reader| !self.has_read || replica.store.is_behind(reader);
        replica.has_loaded() && self.reader.is_some_and(is_behind)
    }

    /// Whether there is something to read.
    fn is_readable(&self, replica: &Replica) -> bool {
        let has_error = replica.error().is_some() && !self.ended;
        self.status_changed || has_error || self.has_rows(replica)
    }
}

/// What a caller gets who waits until a collection is live.
#[cfg(feature = "client")]
pub(crate) enum Awaited {
    Pending,
    Live,
    Failed(CollectionError),
}

impl Collections {
    pub(crate) fn new() -> Self {
        Self { replicas: Arena::new(), handles: Arena::new(), owners: Owners::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.replicas.len() == 0
    }

    /// The number of handles.
    pub(crate) fn len(&self) -> usize {
        self.handles.len()
    }

    /// The rows of all replicas.
    pub(crate) fn held(&self) -> Held {
        self.replicas.iter().fold(Held::default(), |sum, (_, replica)| sum + replica.held())
    }

    pub(crate) fn collect(
        &mut self,
        parts: &mut Parts<'_>,
        collect: Collect,
    ) -> Result<CollectionKey, Rejected<Collect>> {
        let reason = if self.handles.len() >= parts.cx.config.max_subscriptions {
            Some(RejectReason::QueueFull)
        } else {
            collect.check().err()
        };
        if let Some(reason) = reason {
            return Err(Rejected { command: collect, reason });
        }
        let shared = self.replicas.iter().find(|(_, replica)| replica.can_share(&collect));
        let replica = match shared.map(|(key, _)| key) {
            Some(key) => key,
            None => self.start(parts, collect)?,
        };
        Ok(self.join(parts, replica, true))
    }

    /// Another handle of the same replica.
    #[cfg(feature = "client")]
    pub(crate) fn share(
        &mut self,
        parts: &mut Parts<'_>,
        key: CollectionKey,
        wants_rows: bool,
    ) -> Option<CollectionKey> {
        let replica = self.handles.get(key)?.replica;
        Some(self.join(parts, replica, wants_rows))
    }

    fn join(
        &mut self,
        parts: &mut Parts<'_>,
        replica: ReplicaKey,
        wants_rows: bool,
    ) -> CollectionKey {
        let Some(shared) = self.replicas.get_mut(replica) else {
            unreachable!("it was just found")
        };
        shared.await_again(&mut Host::new(parts, &mut self.owners, replica));
        let reader = wants_rows.then(|| shared.store.add_reader());
        let key = self.handles.insert_with(|_| Handle {
            replica,
            reader,
            has_read: false,
            status_changed: false,
            readable_queued: false,
            ended: false,
        });
        shared.handles.push(key);
        self.notify(parts.cx, replica);
        key
    }

    fn start(
        &mut self,
        parts: &mut Parts<'_>,
        collect: Collect,
    ) -> Result<ReplicaKey, Rejected<Collect>> {
        let owners = &mut self.owners;
        let mut rejected = None;
        let key = self.replicas.insert_with(|key| {
            let (replica, result) = Replica::start(&mut Host::new(parts, owners, key), collect);
            rejected = result.err();
            replica
        });
        let Some(reason) = rejected else { return Ok(key) };
        let Some(mut replica) = self.replicas.remove(key) else { unreachable!("it was just made") };
        replica.stop(&mut Host::new(parts, &mut self.owners, key));
        Err(Rejected { command: replica.into_description(), reason })
    }

    /// Removes a handle. With the last one, its replica goes too.
    pub(crate) fn remove(&mut self, parts: &mut Parts<'_>, key: CollectionKey) {
        let Some(handle) = self.handles.remove(key) else { return };
        let Some(replica) = self.replicas.get_mut(handle.replica) else { return };
        if let Some(reader) = handle.reader {
            replica.store.remove_reader(reader);
        }
        replica.handles.retain(|other| *other != key);
        if replica.handles.is_empty() {
            if let Some(mut replica) = self.replicas.remove(handle.replica) {
                replica.stop(&mut Host::new(parts, &mut self.owners, handle.replica));
            }
        }
    }

    /// Handles what has happened to the replicas' own requests and subscriptions.
    pub(crate) fn run(&mut self, parts: &mut Parts<'_>) {
        while let Some(event) = parts.cx.internal.pop_front() {
            let owner = match &event {
                Event::Subscribed(key) | Event::ChangeReadable(key) => {
                    if let Some(subscriber) = parts.subscriptions.subscriber_mut(*key) {
                        subscriber.event_polled(&event);
                    }
                    self.owners.feeds.get(key).copied()
                }
                Event::Settled { request, .. } => self.owners.requests.remove(request),
                _ => None,
            };
            let Some(key) = owner else { continue };
            self.update(parts, key, |replica, host| match event {
                Event::Subscribed(feed) => replica.feed_is_live(host, feed),
                Event::ChangeReadable(feed) => replica.read_feed(host, feed),
                Event::Settled { request, result } => {
                    replica.settled(host, request, result);
                }
                _ => {}
            });
        }
    }

    /// Shows a write to the collections of its resource, before its caller gets the reply (V14).
    pub(crate) fn written(&mut self, parts: &mut Parts<'_>, written: &Written) {
        for key in self.keys() {
            self.update(parts, key, |replica, host| replica.written(host, written));
        }
    }

    fn update(
        &mut self,
        parts: &mut Parts<'_>,
        key: ReplicaKey,
        update: impl FnOnce(&mut Replica, &mut Host<'_>),
    ) {
        let Some(replica) = self.replicas.get_mut(key) else { return };
        let host = &mut Host::new(parts, &mut self.owners, key);
        update(replica, host);
        replica.check_limits(host);
        self.notify(parts.cx, key);
    }

    /// Queues an event for each handle that has something to read.
    fn notify(&mut self, cx: &mut Context, key: ReplicaKey) {
        let Some(replica) = self.replicas.get_mut(key) else { return };
        let status_changed = replica.take_status_changed();
        let replica = &*replica;
        for key in &replica.handles {
            let Some(handle) = self.handles.get_mut(*key) else { continue };
            handle.status_changed |= status_changed;
            let is_readable = handle.is_readable(replica);
            if is_readable && !std::mem::replace(&mut handle.readable_queued, true) {
                cx.events.push_back(Event::CollectionReadable(*key));
            }
        }
    }

    /// The caller has polled the event. Returns whether the handle is still there.
    pub(crate) fn event_polled(&mut self, key: CollectionKey) -> bool {
        let handle = self.handles.get_mut(key);
        handle.map(|handle| handle.readable_queued = false).is_some()
    }

    pub(crate) fn connection_lost(&mut self, parts: &mut Parts<'_>, cause: &ConnectionError) {
        for key in self.keys() {
            self.update(parts, key, |replica, host| {
                replica.connection_lost(host, cause);
            });
        }
    }

    pub(crate) fn dial_failed(&mut self, parts: &mut Parts<'_>, error: &ConnectionError) {
        for key in self.keys() {
            self.update(parts, key, |replica, host| replica.dial_failed(host, error));
        }
    }

    /// Without feeds, a replica waits only for the connection.
    pub(crate) fn connected(&mut self, parts: &mut Parts<'_>) {
        for key in self.keys() {
            self.update(parts, key, Replica::connected);
        }
    }

    pub(crate) fn timer_fired(&mut self, parts: &mut Parts<'_>, key: ReplicaKey) {
        self.update(parts, key, Replica::timer_fired);
    }

    pub(crate) fn resync(&mut self, parts: &mut Parts<'_>, key: CollectionKey) {
        let Some(key) = self.handles.get(key).map(|handle| handle.replica) else { return };
        self.update(parts, key, Replica::resync);
    }

    /// Ends all collections because the session closes.
    pub(crate) fn close(&mut self, parts: &mut Parts<'_>, reason: &CloseReason) {
        for key in self.keys() {
            self.update(parts, key, |replica, host| {
                replica.end(host, CollectionError::Closed(reason.clone()));
            });
        }
    }

    fn keys(&self) -> VecDeque<ReplicaKey> {
        self.replicas.iter().map(|(key, _)| key).collect()
    }

    /// What has changed since the handle has read.
    pub(crate) fn poll(
        &mut self,
        key: CollectionKey,
    ) -> Option<Result<CollectionBatch, CollectionError>> {
        let handle = self.handles.get_mut(key)?;
        let replica = self.replicas.get_mut(handle.replica)?;
        let has_rows = handle.has_rows(replica);
        let status_changed = std::mem::take(&mut handle.status_changed);
        if has_rows || status_changed {
            let reader = handle.reader.filter(|_| has_rows);
            let rows = reader.map(|reader| replica.store.read(reader)).unwrap_or_default();
            let is_first = has_rows && !std::mem::replace(&mut handle.has_read, true);
            return Some(Ok(CollectionBatch { status: replica.status().clone(), is_first, rows }));
        }
        let error = replica.error().filter(|_| !handle.ended)?;
        handle.ended = true;
        Some(Err(error.clone()))
    }

    pub(crate) fn status(&self, key: CollectionKey) -> Option<&CollectionStatus> {
        Some(self.replica(key)?.status())
    }

    /// Whether the handle has something to read.
    #[cfg(feature = "client")]
    pub(crate) fn is_readable(&self, key: CollectionKey) -> bool {
        let handle = self.handles.get(key);
        let replica = handle.and_then(|handle| self.replicas.get(handle.replica));
        handle.zip(replica).is_some_and(|(handle, replica)| handle.is_readable(replica))
    }

    /// The status, and whether the handle has not seen it.
    #[cfg(feature = "client")]
    pub(crate) fn take_status(&mut self, key: CollectionKey) -> Option<(CollectionStatus, bool)> {
        let handle = self.handles.get_mut(key)?;
        let is_new = std::mem::take(&mut handle.status_changed);
        Some((self.replicas.get(handle.replica)?.status().clone(), is_new))
    }

    /// Whether the collection is live, can't become live, or has used up its time for that.
    #[cfg(feature = "client")]
    pub(crate) fn awaited(&self, key: CollectionKey) -> Awaited {
        self.replica(key).map_or(Awaited::Pending, Replica::awaited)
    }

    /// Readers hold it while they decode rows, so that each row is decoded once.
    #[cfg(feature = "client")]
    pub(crate) fn decoding(&self, key: CollectionKey) -> Option<Decoding> {
        self.replica(key).map(|replica| replica.decoding.clone())
    }

    /// Keeps decoded rows for the other readers.
    #[cfg(feature = "client")]
    pub(crate) fn set_decoded(
        &mut self,
        key: CollectionKey,
        rows: impl IntoIterator<Item = (Pk, u64, Decoded)>,
    ) {
        let Some(handle) = self.handles.get(key) else { return };
        let Some(replica) = self.replicas.get_mut(handle.replica) else { return };
        for (pk, revision, decoded) in rows {
            replica.store.set_decoded(&RowKey::from(&pk), revision, decoded);
        }
    }

    /// A row, once the collection was live.
    pub(crate) fn row(&self, key: CollectionKey, pk: &Pk) -> Option<StoredRow> {
        self.replica(key).filter(|replica| replica.has_loaded())?.store.get(&RowKey::from(pk))
    }

    pub(crate) fn rows(&self, key: CollectionKey) -> impl Iterator<Item = (&RowKey, StoredRow)> {
        let replica = self.replica(key).filter(|replica| replica.has_loaded());
        replica.into_iter().flat_map(|replica| replica.store.iter())
    }

    fn replica(&self, key: CollectionKey) -> Option<&Replica> {
        self.replicas.get(self.handles.get(key)?.replica)
    }
}
