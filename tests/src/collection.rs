//! One live collection for all stories: an async client's, or the blocking client's, whose calls wait on threads.

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

use dcrf_blocking::CollectionChange;
use dcrf_proto::{Collect, CollectionError, CollectionStatus, Pk};
use serde::de::DeserializeOwned;

use crate::client::{Client, received};
use crate::resource::Resource;

/// A collection that is not started yet.
#[derive(Debug)]
pub enum CollectionBuilder<T> {
    /// An async client's.
    Async(dcrf_proto::client::CollectionBuilder<T>),
    /// A blocking client's.
    Blocking(dcrf_blocking::CollectionBuilder<T>),
}

/// A live collection.
#[derive(Debug)]
pub enum Collection<T> {
    /// An async client's.
    Async(dcrf_proto::client::Collection<T>),
    /// A blocking client's.
    Blocking(dcrf_blocking::Collection<T>),
}

/// The changes of a collection.
#[derive(Debug)]
#[must_use = "the changes are read with `next`"]
pub enum CollectionChanges<T> {
    /// An async client's.
    Async(dcrf_proto::client::CollectionChanges<T>),
    /// A blocking client's.
    Blocking(dcrf_blocking::CollectionChanges<T>),
}

impl Client {
    /// Follows a list.
    pub fn collect<T>(&self, collect: Collect) -> CollectionBuilder<T>
    where
        T: DeserializeOwned + Send + Sync + 'static,
    {
        match self {
            Self::Async(client) => CollectionBuilder::Async(client.collect(collect)),
            Self::Blocking(client) => CollectionBuilder::Blocking(client.collect(collect)),
        }
    }
}

impl<T: DeserializeOwned + Send + Sync + 'static> Resource<T> {
    /// Follows all objects.
    pub fn collection(&self) -> CollectionBuilder<T> {
        match self {
            Self::Async(resource) => CollectionBuilder::Async(resource.collection()),
            Self::Blocking(resource) => CollectionBuilder::Blocking(resource.collection()),
        }
    }
}

/// Calls the same method of both kinds, and wraps the result.
macro_rules! both {
    ($self:ident.$method:ident($($argument:expr),*) => $wrapper:ident) => {
        match $self {
            Self::Async(inner) => $wrapper::Async(inner.$method($($argument),*)),
            Self::Blocking(inner) => $wrapper::Blocking(inner.$method($($argument),*)),
        }
    };
    ($self:ident.$method:ident($($argument:expr),*)) => {
        match $self {
            Self::Async(inner) => inner.$method($($argument),*),
            Self::Blocking(inner) => inner.$method($($argument),*),
        }
    };
}

impl<T: DeserializeOwned + Send + Sync + 'static> CollectionBuilder<T> {
    /// Sorts the rows.
    #[must_use]
    pub fn order_by(self, order: impl Fn(&T, &T) -> Ordering + Send + Sync + 'static) -> Self {
        both!(self.order_by(order) => Self)
    }

    /// Hides rows.
    #[must_use]
    pub fn filter(self, filter: impl Fn(&T) -> bool + Send + Sync + 'static) -> Self {
        both!(self.filter(filter) => Self)
    }

    /// Reads the version of a row.
    #[must_use]
    pub fn version<V: Ord + Send + Sync + 'static>(
        self,
        read: impl Fn(&T) -> V + Send + Sync + 'static,
    ) -> Self {
        both!(self.version(read) => Self)
    }

    /// Retrieves a row again after its last change.
    #[must_use]
    pub fn verify(self, quiet: Duration) -> Self {
        both!(self.verify(quiet) => Self)
    }

    /// Lists the rows again after each interval.
    #[must_use]
    pub fn resync_every(self, interval: Duration) -> Self {
        both!(self.resync_every(interval) => Self)
    }

    /// Starts, and waits until the collection is live.
    ///
    /// # Errors
    ///
    /// It is not live in time.
    pub async fn live(self) -> Result<Collection<T>, CollectionError> {
        match self {
            Self::Async(builder) => builder.await.map(Collection::Async),
            Self::Blocking(builder) => {
                smol::unblock(|| builder.wait()).await.map(Collection::Blocking)
            }
        }
    }

    /// Starts without waiting.
    ///
    /// # Errors
    ///
    /// The client rejects it.
    pub fn start(self) -> Result<Collection<T>, CollectionError> {
        Ok(match self {
            Self::Async(builder) => Collection::Async(builder.start()?),
            Self::Blocking(builder) => Collection::Blocking(builder.start()?),
        })
    }
}

impl<T: DeserializeOwned + Send + Sync + 'static> Collection<T> {
    /// All rows.
    pub fn snapshot(&self) -> Arc<[Arc<T>]> {
        both!(self.snapshot())
    }

    /// The row with a primary key.
    pub fn get(&self, key: impl Into<Pk>) -> Option<Arc<T>> {
        both!(self.get(key))
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        both!(self.len())
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        both!(self.is_empty())
    }

    /// The changes, beginning with all rows.
    pub fn changes(&self) -> CollectionChanges<T> {
        both!(self.changes() => CollectionChanges)
    }

    /// What is known about the rows.
    pub fn status(&self) -> CollectionStatus {
        both!(self.status())
    }

    /// Lists the rows again.
    pub fn resync(&self) {
        both!(self.resync());
    }

    /// Waits until the collection is live.
    ///
    /// # Errors
    ///
    /// It is not live in time.
    pub async fn ready(&self) -> Result<(), CollectionError> {
        match self {
            Self::Async(collection) => collection.ready().await,
            Self::Blocking(collection) => {
                let collection = collection.clone();
                smol::unblock(move || collection.ready()).await
            }
        }
    }
}

impl<T> Clone for Collection<T> {
    fn clone(&self) -> Self {
        both!(self.clone() => Self)
    }
}

impl<T: DeserializeOwned + Send + Sync + 'static> CollectionChanges<T> {
    /// Waits for the next batch.
    pub async fn next(&mut self) -> Option<Result<Vec<CollectionChange<T>>, CollectionError>> {
        match self {
            Self::Async(changes) => changes.next().await,
            Self::Blocking(changes) => received(changes).await,
        }
    }
}
