//! The changes of a collection.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::{FusedStream, Stream};
use serde::de::DeserializeOwned;

use super::reader::Reader;
use super::view::View;
use crate::error::CollectionError;
use crate::protocol::json::DecodeError;
use crate::protocol::pk::Pk;

/// A change of a row in a [`Collection`](super::Collection).
///
/// A row that begins to pass the filter is inserted, and one that no longer passes is removed. With an order, each change
/// has its place, as if the changes were applied to a list one after another. `Debug` shows neither keys nor rows, so it
/// is safe to log.
#[derive(Clone)]
#[non_exhaustive]
pub enum CollectionChange<T> {
    /// A row is new to this reader.
    Inserted {
        /// The primary key.
        key: Pk,
        /// The row.
        row: Arc<T>,
        /// Its index, with an order.
        index: Option<usize>,
    },
    /// A row has changed.
    Updated {
        /// The primary key.
        key: Pk,
        /// The row that this reader had.
        old: Arc<T>,
        /// The row as it is now.
        row: Arc<T>,
        /// From which index it is taken, with an order.
        old_index: Option<usize>,
        /// At which index it is put after that, with an order.
        index: Option<usize>,
    },
    /// A row is gone.
    Removed {
        /// The primary key.
        key: Pk,
        /// The row that this reader had.
        old: Arc<T>,
        /// From which index it is taken, with an order.
        index: Option<usize>,
    },
    /// A row can't be decoded. If this reader had an earlier state of it, a [`Removed`](Self::Removed) has come before.
    Undecodable {
        /// The primary key.
        key: Pk,
        /// Why.
        error: DecodeError,
    },
}

impl<T> CollectionChange<T> {
    /// The primary key of the row.
    pub fn key(&self) -> &Pk {
        match self {
            Self::Inserted { key, .. }
            | Self::Updated { key, .. }
            | Self::Removed { key, .. }
            | Self::Undecodable { key, .. } => key,
        }
    }
}

impl<T> CollectionChange<T> {
    /// The row as it is now. `None` if it is gone, or can't be decoded.
    pub fn row(&self) -> Option<&Arc<T>> {
        match self {
            Self::Inserted { row, .. } | Self::Updated { row, .. } => Some(row),
            Self::Removed { .. } | Self::Undecodable { .. } => None,
        }
    }
}

impl<T> fmt::Debug for CollectionChange<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inserted { index, .. } => {
                f.debug_struct("Inserted").field("index", index).finish_non_exhaustive()
            }
            Self::Updated { index, .. } => {
                f.debug_struct("Updated").field("index", index).finish_non_exhaustive()
            }
            Self::Removed { index, .. } => {
                f.debug_struct("Removed").field("index", index).finish_non_exhaustive()
            }
            Self::Undecodable { error, .. } => {
                f.debug_struct("Undecodable").field("error", error).finish_non_exhaustive()
            }
        }
    }
}

/// The changes of a collection in batches, from [`Collection::changes`](super::Collection::changes).
///
/// The first batch has all rows, as [`Inserted`](CollectionChange::Inserted), and may be empty. Each later batch has every
/// row that has changed since the one before, once: a slow reader gets fewer batches with newer rows, and misses nothing.
/// The last item is an error that says why the collection has ended.
///
/// ```no_run
/// # use dcrf_proto::{CollectionError, client::{CollectionChange, CollectionChanges}};
/// # async fn example(mut names: CollectionChanges<String>) -> Result<(), CollectionError> {
/// while let Some(batch) = names.next().await {
///     for change in batch? {
///         match change {
///             CollectionChange::Inserted { row, .. } => println!("new: {row}"),
///             CollectionChange::Updated { old, row, .. } => println!("{old} is now {row}"),
///             CollectionChange::Removed { old, .. } => println!("gone: {old}"),
///             other => println!("{other:?}"),
///         }
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "the changes are read with `next`"]
pub struct CollectionChanges<T> {
    pub(super) reader: Reader,
    pub(super) view: View<T>,
    ended: bool,
}

impl<T> CollectionChanges<T> {
    pub(super) fn new(reader: Reader, view: View<T>) -> Self {
        Self { reader, view, ended: false }
    }
}

impl<T: DeserializeOwned + Send + Sync + 'static> CollectionChanges<T> {
    /// The next batch of changes. `None` after the collection has ended.
    ///
    /// # Errors
    ///
    /// Why the collection has ended. This is the last item.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no change.
    #[expect(clippy::should_implement_trait, reason = "the usual name for an async stream")]
    pub fn next(
        &mut self,
    ) -> impl Future<Output = Option<Result<Vec<CollectionChange<T>>, CollectionError>>> + Send
    {
        poll_fn(|cx| self.poll(cx))
    }

    fn poll(
        &mut self,
        cx: &Context<'_>,
    ) -> Poll<Option<Result<Vec<CollectionChange<T>>, CollectionError>>> {
        while !self.ended {
            ready!(self.reader.poll_readable(cx));
            match self.reader.read() {
                Some(Ok(batch)) => {
                    let changes = self.view.apply(batch.rows);
                    // A new status alone is no change.
                    if batch.is_first || !changes.is_empty() {
                        return Poll::Ready(Some(Ok(changes)));
                    }
                }
                Some(Err(error)) => {
                    self.ended = true;
                    return Poll::Ready(Some(Err(error)));
                }
                None => {}
            }
        }
        Poll::Ready(None)
    }
}

// No `T` is ever pinned.
impl<T> Unpin for CollectionChanges<T> {}

impl<T: DeserializeOwned + Send + Sync + 'static> Stream for CollectionChanges<T> {
    type Item = Result<Vec<CollectionChange<T>>, CollectionError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll(cx)
    }
}

impl<T: DeserializeOwned + Send + Sync + 'static> FusedStream for CollectionChanges<T> {
    fn is_terminated(&self) -> bool {
        self.ended
    }
}

impl<T> fmt::Debug for CollectionChanges<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CollectionChanges").field("len", &self.view.len()).finish_non_exhaustive()
    }
}
