//! Options of a typed collection.

use std::cmp::Ordering;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::Collection;
use super::reader::Reader;
use super::view::{Filter, Order, View};
use crate::client::Client;
use crate::command::Collect;
use crate::error::CollectionError;

/// Makes a [`Collection`], from [`Client::collect`]. Await it: the collection is live then.
///
/// # Errors
///
/// See [`Collection::ready`]. If it fails, the collection ends.
///
/// # Cancel safety
///
/// Dropping the future ends the collection.
#[must_use = "a builder does nothing until it is awaited or started"]
pub struct CollectionBuilder<T> {
    client: Client,
    collect: Collect,
    order: Option<Order<T>>,
    filter: Option<Filter<T>>,
}

impl<T: DeserializeOwned + Send + Sync + 'static> CollectionBuilder<T> {
    pub(super) fn new(client: &Client, collect: Collect) -> Self {
        let collect = collect.of_type::<T>();
        Self { client: client.clone(), collect, order: None, filter: None }
    }

    /// Sorts the rows of this reader. Rows that compare as equal are in the order of their keys. If `order` contradicts
    /// itself or panics, rows are misplaced, but none is lost. It must not use the collection.
    pub fn order_by(mut self, order: impl Fn(&T, &T) -> Ordering + Send + Sync + 'static) -> Self {
        self.order = Some(Arc::new(order));
        self
    }

    /// Hides rows from this reader: those for which `filter` returns false or panics. It must not use the collection.
    pub fn filter(mut self, filter: impl Fn(&T) -> bool + Send + Sync + 'static) -> Self {
        self.filter = Some(Arc::new(filter));
        self
    }

    /// Reads the version of a row, so that an older one never replaces it. See [`Collect::version`].
    pub fn version<V: Ord + Send + Sync + 'static>(
        mut self,
        read: impl Fn(&T) -> V + Send + Sync + 'static,
    ) -> Self {
        self.collect = self.collect.version(move |row| Some(read(&row.decode::<T>().ok()?)));
        self
    }

    /// Retrieves a row again once it has not changed for `quiet`. See [`Collect::verify`].
    pub fn verify(mut self, quiet: Duration) -> Self {
        self.collect = self.collect.verify(quiet);
        self
    }

    /// Says where the primary key stands in events without `data`. See [`Collect::key_at`].
    pub fn key_at(mut self, pointer: &str) -> Self {
        self.collect = self.collect.key_at(pointer);
        self
    }

    /// Follows each row with `subscribe_instance`, for a server without a feed. See [`Collect::instances`].
    pub fn instances(mut self) -> Self {
        self.collect = self.collect.instances();
        self
    }

    /// Lists the rows again after each `interval`. See [`Collect::resync_every`].
    pub fn resync_every(mut self, interval: Duration) -> Self {
        self.collect = self.collect.resync_every(interval);
        self
    }

    /// Starts without waiting. [`Collection::status`] says when it is live, and [`Collection::ready`] waits for that.
    ///
    /// # Errors
    ///
    /// The client rejected the collection, for example because it is closed.
    pub fn start(self) -> Result<Collection<T>, CollectionError> {
        let handle = self.client.handle.clone();
        let key = handle.shared().command(|session, now| session.collect(self.collect, now))?;
        let view = View::new(self.order, self.filter);
        Ok(Collection::new(Reader::new(handle, key), view))
    }
}

impl<T: DeserializeOwned + Send + Sync + 'static> IntoFuture for CollectionBuilder<T> {
    type Output = Result<Collection<T>, CollectionError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        let started = self.start();
        Box::pin(async move {
            let collection = started?;
            collection.ready().await?;
            Ok(collection)
        })
    }
}

impl<T> fmt::Debug for CollectionBuilder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CollectionBuilder").field("collect", &self.collect).finish_non_exhaustive()
    }
}
