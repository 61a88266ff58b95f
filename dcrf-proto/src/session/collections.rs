//! Live collections.

use std::time::Instant;

use super::Session;
#[cfg(feature = "client")]
use crate::collections::{Awaited, Decoded, Decoding};
use crate::collections::{CollectionBatch, CollectionStatus, Parts};
use crate::command::Collect;
use crate::error::{CloseReason, CollectionError, ConnectionError, Rejected};
use crate::id::{CollectionKey, ReplicaKey};
use crate::protocol::json::Json;
use crate::protocol::pk::Pk;

/// Borrows what collections use, without the collections themselves.
macro_rules! parts {
    ($session:expr) => {{
        let is_connected = $session.link.is_open() && $session.check_open().is_ok();
        Parts {
            cx: &mut $session.cx,
            requests: &mut $session.requests,
            subscriptions: &mut $session.subscriptions,
            is_connected,
        }
    }};
}
impl Session {
    /// Follows a list of the server: keeps a local copy of its rows that survives reconnects. Read its changes with
    /// [`poll_collection`](Self::poll_collection).
    ///
    /// Collections with equal descriptions share their rows, and cost the server one list and one subscription.
    ///
    /// ```
    /// # use dcrf_proto::{Collect, CollectionStatus, Config, Seed, Session, Subscribe};
    /// # use std::time::Instant;
    /// # let (mut session, now) = (Session::new(Config::default(), Seed::from([7; 32]), Instant::now()), Instant::now());
    /// let feed = Subscribe::new("people", "subscribe_all");
    /// let people = session.collect(Collect::new("people").feed(feed), now)?;
    /// assert_eq!(session.collection_status(people), Some(&CollectionStatus::Loading { error: None }));
    /// # Ok::<(), dcrf_proto::Rejected<Collect>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns the collection, with the reason, if it is rejected.
    pub fn collect(
        &mut self,
        collect: Collect,
        now: Instant,
    ) -> Result<CollectionKey, Rejected<Collect>> {
        let result = self.accept(collect, now, |session, collect| {
            session.collections.collect(&mut parts!(session), collect)
        });
        self.run_collections();
        result
    }

    /// Ends a collection. With the last one of its description, its rows are dropped and the server gets the unsubscribes.
    /// The key becomes invalid.
    pub fn end_collection(&mut self, collection: CollectionKey, now: Instant) {
        self.advance(now);
        self.collections.remove(&mut parts!(self), collection);
        self.finish_close_if_idle();
    }

    /// Lists the rows again, as soon as there is a connection. Only differences are reported.
    pub fn resync(&mut self, collection: CollectionKey, now: Instant) {
        self.advance(now);
        self.collections.resync(&mut parts!(self), collection);
        self.run_collections();
    }

    /// What is known about the rows of a collection. `None` if the key is invalid.
    pub fn collection_status(&self, collection: CollectionKey) -> Option<&CollectionStatus> {
        self.collections.status(collection)
    }

    /// The row with a primary key. `None` if there is none, or before the collection was live.
    pub fn collection_row(&self, collection: CollectionKey, pk: &Pk) -> Option<Json> {
        self.collections.row(collection, pk).map(|row| row.json)
    }

    /// All rows, in the order of their keys. None before the collection was live.
    pub fn collection_rows(
        &self,
        collection: CollectionKey,
    ) -> impl Iterator<Item = (Pk, Json)> + use<'_> {
        self.collections.rows(collection).map(|(key, row)| (Pk::from(key), row.json))
    }

    /// What has changed in a collection since the last call.
    ///
    /// [`Event::CollectionReadable`](crate::Event::CollectionReadable) reports that there is something to read. The first
    /// batch with rows comes when the collection is live, and has all of them. A slow reader gets fewer batches, in which
    /// each row is as it is now.
    ///
    /// # Errors
    ///
    /// Returns why the collection has ended, once. The key stays valid until
    /// [`end_collection`](Self::end_collection), and so do the rows.
    #[must_use]
    pub fn poll_collection(
        &mut self,
        collection: CollectionKey,
    ) -> Option<Result<CollectionBatch, CollectionError>> {
        self.collections.poll(collection)
    }

    /// Another key for the same rows, which remembers by itself what it has read; or for the status alone.
    #[cfg(feature = "client")]
    pub(crate) fn share_collection(
        &mut self,
        collection: CollectionKey,
        wants_rows: bool,
    ) -> Option<CollectionKey> {
        self.collections.share(&mut parts!(self), collection, wants_rows)
    }

    #[cfg(feature = "client")]
    pub(crate) fn take_collection_status(
        &mut self,
        collection: CollectionKey,
    ) -> Option<(CollectionStatus, bool)> {
        self.collections.take_status(collection)
    }

    #[cfg(feature = "client")]
    pub(crate) fn is_collection_readable(&self, collection: CollectionKey) -> bool {
        self.collections.is_readable(collection)
    }

    #[cfg(feature = "client")]
    pub(crate) fn await_collection(&self, collection: CollectionKey) -> Awaited {
        self.collections.awaited(collection)
    }

    #[cfg(feature = "client")]
    pub(crate) fn collection_decoding(&self, collection: CollectionKey) -> Option<Decoding> {
        self.collections.decoding(collection)
    }

    #[cfg(feature = "client")]
    pub(crate) fn set_decoded(
        &mut self,
        collection: CollectionKey,
        rows: impl IntoIterator<Item = (Pk, u64, Decoded)>,
    ) {
        self.collections.set_decoded(collection, rows);
    }

    /// Lets collections handle what has happened to their own requests and subscriptions.
    pub(super) fn run_collections(&mut self) {
        if !self.cx.written.is_empty() {
            for written in std::mem::take(&mut self.cx.written) {
                self.collections.written(&mut parts!(self), &written);
            }
        }
        if !self.cx.internal.is_empty() {
            self.collections.run(&mut parts!(self));
        }
    }

    pub(super) fn connect_collections(&mut self) {
        if !self.collections.is_empty() {
            self.collections.connected(&mut parts!(self));
        }
    }

    pub(super) fn disconnect_collections(&mut self, cause: &ConnectionError) {
        if !self.collections.is_empty() {
            self.collections.connection_lost(&mut parts!(self), cause);
        }
    }

    pub(super) fn report_failed_dial(&mut self, error: &ConnectionError) {
        if !self.collections.is_empty() {
            self.collections.dial_failed(&mut parts!(self), error);
        }
    }

    pub(super) fn collection_timer_fired(&mut self, key: ReplicaKey) {
        self.collections.timer_fired(&mut parts!(self), key);
    }

    pub(super) fn close_collections(&mut self, reason: &CloseReason) {
        if !self.collections.is_empty() {
            self.collections.close(&mut parts!(self), reason);
        }
    }
}
