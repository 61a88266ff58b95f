//! Live collections.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use dcrf_proto::client;
use serde::de::DeserializeOwned;

use crate::forward::forward;
use crate::{Client, Collect, CollectionError, CollectionStatus, DecodeError, Pk, Receiver, wait};

/// The changes of a collection in batches: a blocking iterator from [`Collection::changes`].
///
/// The first batch has all rows, as [`Inserted`](crate::CollectionChange::Inserted), and may be empty. Each later batch
/// has every row that has changed since the one before, once. The last item is an error that says why the collection has
/// ended.
///
/// ```no_run
/// # use dcrf_blocking::{CollectionChange, CollectionChanges, CollectionError};
/// # fn f(names: CollectionChanges<String>) -> Result<(), CollectionError> {
/// for batch in names {
///     for change in batch? {
///         if let CollectionChange::Inserted { row, .. } = change {
///             println!("new: {row}");
///         }
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub type CollectionChanges<T> = Receiver<client::CollectionChanges<T>>;

/// The statuses of a collection: a blocking iterator from [`Collection::watch_status`]. It ends after
/// [`Ended`](CollectionStatus::Ended).
pub type CollectionStatusWatch = Receiver<client::CollectionStatusWatch>;

impl Client {
    /// Follows a list of the server: keeps a local copy of its rows, decoded as `T`.
    ///
    /// ```no_run
    /// use dcrf_blocking::{Client, Collect, CollectionError, Subscribe};
    /// use serde::Deserialize;
    ///
    /// #[derive(Deserialize)]
    /// struct Task {
    ///     title: String,
    /// }
    ///
    /// fn report(client: &Client) -> Result<(), CollectionError> {
    ///     let tasks = Collect::new("tasks").feed(Subscribe::new("tasks", "subscribe_all"));
    ///     // Live when it returns:
    ///     let tasks = client.collect::<Task>(tasks).wait()?;
    ///     for task in tasks.snapshot().iter() {
    ///         println!("{}", task.title);
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub fn collect<T>(&self, collect: Collect) -> CollectionBuilder<T>
    where
        T: DeserializeOwned + Send + Sync + 'static,
    {
        CollectionBuilder(self.0.collect(collect))
    }
}

/// Makes a [`Collection`], from [`Client::collect`].
#[must_use = "a builder does nothing until it is started"]
pub struct CollectionBuilder<T>(pub(crate) client::CollectionBuilder<T>);

impl<T: DeserializeOwned + Send + Sync + 'static> CollectionBuilder<T> {
    forward! {
        /// Sorts the rows of this reader. Rows that compare as equal are in the order of their keys. `order` must not use
        /// the collection.
        pub fn order_by(
            self,
            order: impl Fn(&T, &T) -> Ordering + Send + Sync + 'static
        ) -> Self;

        /// Hides rows from this reader: those for which `filter` returns false. `filter` must not use the collection.
        pub fn filter(self, filter: impl Fn(&T) -> bool + Send + Sync + 'static) -> Self;

        /// Retrieves a row again once it has not changed for `quiet`. See [`Collect::verify`].
        pub fn verify(self, quiet: Duration) -> Self;

        /// Says where the primary key stands in events without `data`. See [`Collect::key_at`].
        pub fn key_at(self, pointer: &str) -> Self;

        /// Follows each row with `subscribe_instance`, for a server without a feed. See [`Collect::instances`].
        pub fn instances(self) -> Self;

        /// Lists the rows again after each `interval`. See [`Collect::resync_every`].
        pub fn resync_every(self, interval: Duration) -> Self;
    }

    /// Reads the version of a row, so that an older one never replaces it. See [`Collect::version`].
    pub fn version<V: Ord + Send + Sync + 'static>(
        self,
        read: impl Fn(&T) -> V + Send + Sync + 'static,
    ) -> Self {
        Self(self.0.version(read))
    }

    /// Waits until the collection is live.
    ///
    /// # Errors
    ///
    /// See [`Collection::ready`]. If it fails, the collection ends.
    pub fn wait(self) -> Result<Collection<T>, CollectionError> {
        let collection = self.start()?;
        collection.ready()?;
        Ok(collection)
    }

    /// Starts without waiting. [`Collection::status`] says when it is live, and [`Collection::ready`] waits for that.
    ///
    /// # Errors
    ///
    /// The client rejected the collection, for example because it is closed.
    pub fn start(self) -> Result<Collection<T>, CollectionError> {
        self.0.start().map(Collection)
    }
}

/// A local copy of a list of the server that follows its changes, from [`Client::collect`].
///
/// It survives reconnects: rows are never dropped because a connection is lost, and what has changed meanwhile comes as a
/// difference. Clones share their rows, and so do collections with the same description: the server sees one list and one
/// subscription. It counts as a handle of its [`Client`]: the client stays open while there is a collection. Dropping the last
/// one unsubscribes, and so must its [`changes`](Self::changes) and [`watch_status`](Self::watch_status) be dropped.
pub struct Collection<T>(client::Collection<T>);

impl<T: DeserializeOwned + Send + Sync + 'static> Collection<T> {
    forward! {
        /// All rows, in the order of [`order_by`](CollectionBuilder::order_by), or of their keys. Empty until the
        /// collection was live. Rows that don't decode are not in it: see [`undecodable`](Self::undecodable). Without changes
        /// since the last call, it costs nothing.
        pub fn snapshot(&self) -> Arc<[Arc<T>]>;

        /// The row with a primary key, if it decodes and passes the filter. A key of digits is a number.
        pub fn get(&self, key: impl Into<Pk>) -> Option<Arc<T>>;

        /// The number of rows that decode and pass the filter.
        pub fn len(&self) -> usize;

        /// Whether there are no rows.
        pub fn is_empty(&self) -> bool;

        /// Why rows could not be decoded as `T`, with their keys. These rows are not in the collection, whatever the filter
        /// says.
        pub fn undecodable(&self) -> Vec<DecodeError>;
    }

    /// Iterates over a [`snapshot`](Self::snapshot).
    pub fn iter(&self) -> impl Iterator<Item = Arc<T>> + use<T> {
        self.0.iter()
    }

    /// The changes from now on, in batches. The first batch is the state, and every change behind it follows.
    pub fn changes(&self) -> CollectionChanges<T> {
        Receiver(self.0.changes())
    }
}

impl<T> Collection<T> {
    forward! {
        /// What is known about the rows.
        pub fn status(&self) -> CollectionStatus;

        /// Lists the rows again, as soon as there is a connection: finds what the server did not report. Only differences
        /// are changes.
        pub fn resync(&self);
    }

    /// Watches the status: begins with the current one and yields each later one, for a status line.
    pub fn watch_status(&self) -> CollectionStatusWatch {
        Receiver(self.0.watch_status())
    }

    /// Waits until the collection is live.
    ///
    /// # Errors
    ///
    /// The collection has ended, or was not live within [`Config::request_timeout`](crate::Config::request_timeout):
    /// [`CollectionError::TimedOut`]. It still goes on after that.
    pub fn ready(&self) -> Result<(), CollectionError> {
        wait::wait(self.0.ready())
    }
}

impl<T> Clone for Collection<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> fmt::Debug for Collection<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T> fmt::Debug for CollectionBuilder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
