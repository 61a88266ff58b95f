//! A reader of a collection: waits for batches, and decodes their rows.

use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll};

use serde::de::DeserializeOwned;

use super::view::Row;
use crate::client::shared::Handle;
use crate::client::wake::Readable;
use crate::collections::{Awaited, CollectionStatus, Decoded, Decoding};
use crate::contain::contain;
use crate::error::CollectionError;
use crate::id::CollectionKey;
use crate::protocol::json::{DecodeError, Json};
use crate::protocol::pk::Pk;
use crate::session::Session;

/// Ends its key when it is dropped.
pub(super) struct Reader {
    pub(super) handle: Arc<Handle>,
    pub(super) key: CollectionKey,
    decoding: Decoding,
}

/// Decoded rows.
pub(super) struct Batch<T> {
    /// Whether it has all rows, so that an empty batch is a list without rows.
    pub(super) is_first: bool,
    pub(super) rows: Vec<(Pk, Row<T>)>,
}

impl Reader {
    pub(super) fn new(handle: Arc<Handle>, key: CollectionKey) -> Self {
        let decoding = handle.shared().lock().session.collection_decoding(key);
        Self { handle, key, decoding: decoding.unwrap_or_default() }
    }

    /// Another reader of the same rows.
    pub(super) fn share(&self) -> Self {
        self.share_for(true)
    }

    /// A reader of the status alone.
    pub(super) fn watch(&self) -> Self {
        self.share_for(false)
    }

    fn share_for(&self, wants_rows: bool) -> Self {
        let share = |session: &mut Session, _| session.share_collection(self.key, wants_rows);
        let key = self.handle.shared().command(share);
        // The session keeps a key until it is dropped here.
        Self {
            handle: self.handle.clone(),
            key: key.unwrap_or(self.key),
            decoding: self.decoding.clone(),
        }
    }

    pub(super) fn status(&self) -> CollectionStatus {
        let inner = self.handle.shared().lock();
        let status = inner.session.collection_status(self.key);
        status.cloned().unwrap_or(CollectionStatus::Loading { error: None })
    }

    /// Waits for a batch.
    pub(super) fn poll_readable(&self, cx: &Context<'_>) -> Poll<()> {
        let readable = Readable::Collection(self.key);
        self.handle.shared().poll_with(cx, |inner, task| {
            inner.readers.mark_polled(readable);
            if inner.session.is_collection_readable(self.key) {
                return Poll::Ready(());
            }
            inner.readers.register(readable, task)
        })
    }

    /// Waits for a status that it has not returned.
    pub(super) fn poll_status(&self, cx: &Context<'_>, is_first: bool) -> Poll<CollectionStatus> {
        let readable = Readable::Collection(self.key);
        self.handle.shared().poll_with(cx, |inner, task| {
            inner.readers.mark_polled(readable);
            match inner.session.take_collection_status(self.key) {
                Some((status, is_new)) if is_first || is_new => Poll::Ready(status),
                _ => inner.readers.register(readable, task),
            }
        })
    }

    /// Waits until the collection is live, has ended, or its time is over.
    pub(super) fn poll_ready(&self, cx: &Context<'_>) -> Poll<Result<(), CollectionError>> {
        let readable = Readable::Collection(self.key);
        self.handle.shared().poll_with(cx, |inner, task| {
            inner.readers.mark_polled(readable);
            match inner.session.await_collection(self.key) {
                Awaited::Live => Poll::Ready(Ok(())),
                Awaited::Failed(error) => Poll::Ready(Err(error)),
                Awaited::Pending => inner.readers.register(readable, task),
            }
        })
    }

    /// What has changed since the last call. Only one reader of the same rows decodes at a time, so that it finds what the
    /// others have decoded.
    pub(super) fn read<T: DeserializeOwned + Send + Sync + 'static>(
        &self,
    ) -> Option<Result<Batch<T>, CollectionError>> {
        let _decoding = self.decoding.lock().unwrap_or_else(PoisonError::into_inner);
        let batch = self.handle.shared().lock().session.poll_collection(self.key)?;
        let batch = match batch {
            Ok(batch) => batch,
            Err(error) => return Some(Err(error)),
        };
        let mut fresh: Vec<(Pk, u64, Decoded)> = Vec::new();
        let mut rows = Vec::with_capacity(batch.rows.len());
        for change in batch.rows {
            let known = change.decoded.and_then(|decoded| decoded.downcast::<T>().ok());
            let row = match (known, change.row) {
                (Some(known), _) => Some(Ok(known)),
                (None, Some(json)) => {
                    Some(decode::<T>(&json, &change.key).inspect(|row: &Arc<T>| {
                        fresh.push((change.key.clone(), change.revision, row.clone()));
                    }))
                }
                (None, None) => None,
            };
            rows.push((change.key, row));
        }
        if !fresh.is_empty() {
            self.handle.shared().lock().session.set_decoded(self.key, fresh);
        }
        Some(Ok(Batch { is_first: batch.is_first, rows }))
    }
}

fn decode<T: DeserializeOwned>(row: &Json, key: &Pk) -> Result<Arc<T>, DecodeError> {
    let decoded = contain(|| row.decode().map(Arc::new));
    let decoded =
        decoded.unwrap_or_else(|| Err(DecodeError::new("a row whose decoding does not panic")));
    decoded.map_err(|error| DecodeError { pk: Some(key.clone()), ..error })
}

impl Drop for Reader {
    fn drop(&mut self) {
        let waker = self.handle.shared().command_with(|inner, now| {
            inner.session.end_collection(self.key, now);
            inner.readers.remove(Readable::Collection(self.key))
        });
        // The waker is dropped after the lock is released.
        drop(waker);
    }
}
