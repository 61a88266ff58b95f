//! Live collections with typed rows.

mod builder;
mod changes;
mod reader;
mod status_watch;
mod view;

use std::fmt;
use std::future::{Future, poll_fn};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::de::DeserializeOwned;

pub use self::builder::CollectionBuilder;
pub use self::changes::{CollectionChange, CollectionChanges};
use self::reader::Reader;
pub use self::status_watch::CollectionStatusWatch;
use self::view::View;
use super::Client;
use crate::collections::CollectionStatus;
use crate::command::Collect;
use crate::error::CollectionError;
use crate::protocol::json::DecodeError;
use crate::protocol::pk::Pk;
use crate::session::Session;

/// A local copy of a list of the server that follows its changes.
///
/// It survives reconnects: rows are never dropped because a connection is lost, and what has changed meanwhile comes as a
/// difference. Clones share their rows, and so do collections with the same description: the server sees one list and one
/// subscription. It counts as a handle of its [`Client`](super::Client): the client stays open while there is a collection.
/// Dropping the last one unsubscribes, and so must its [`changes`](Self::changes) and [`watch_status`](Self::watch_status) be
/// dropped.
///
/// ```no_run
/// use dcrf_proto::client::{Client, Collection};
/// use dcrf_proto::{Collect, CollectionError, Subscribe};
/// use serde::Deserialize;
///
/// #[derive(Deserialize)]
/// struct Task {
///     title: String,
/// }
///
/// # async fn example(client: Client) -> Result<(), CollectionError> {
/// let tasks = Collect::new("tasks").feed(Subscribe::new("tasks", "subscribe_all"));
/// // Live when it returns:
/// let board = client.collect::<Task>(tasks).order_by(|one, other| one.title.cmp(&other.title)).await?;
/// for task in board.snapshot().iter() {
///     println!("{}", task.title);
/// }
/// # Ok(())
/// # }
/// ```
pub struct Collection<T> {
    inner: Arc<Inner<T>>,
}

struct Inner<T> {
    reader: Reader,
    view: Mutex<View<T>>,
}

impl Client {
    /// Follows a list of the server: keeps a local copy of its rows, decoded as `T`. Await the builder, or
    /// [`start`](CollectionBuilder::start) it to begin before there is a connection.
    pub fn collect<T>(&self, collect: Collect) -> CollectionBuilder<T>
    where
        T: DeserializeOwned + Send + Sync + 'static,
    {
        CollectionBuilder::new(self, collect)
    }
}

impl<T: DeserializeOwned + Send + Sync + 'static> Collection<T> {
    fn new(reader: Reader, view: View<T>) -> Self {
        Self { inner: Arc::new(Inner { reader, view: Mutex::new(view) }) }
    }

    /// The view with everything that has arrived.
    fn view(&self) -> MutexGuard<'_, View<T>> {
        let mut view = self.inner.view.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(Ok(batch)) = self.inner.reader.read() {
            view.apply(batch.rows);
        }
        view
    }

    /// All rows, in the order of [`order_by`](CollectionBuilder::order_by), or of their keys. Empty until the collection
    /// was live. Rows that don't decode are not in it: see [`undecodable`](Self::undecodable). Without changes since the last
    /// call, it costs nothing.
    pub fn snapshot(&self) -> Arc<[Arc<T>]> {
        self.view().snapshot()
    }

    /// Iterates over a [`snapshot`](Self::snapshot).
    pub fn iter(&self) -> impl Iterator<Item = Arc<T>> + use<T> {
        let snapshot = self.snapshot();
        (0..snapshot.len()).map(move |index| snapshot[index].clone())
    }

    /// The row with a primary key, if it decodes and passes the filter. A key of digits is a number.
    pub fn get(&self, key: impl Into<Pk>) -> Option<Arc<T>> {
        self.view().get(&key.into().canonical())
    }

    /// The number of rows that decode and pass the filter.
    pub fn len(&self) -> usize {
        self.view().len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Why rows could not be decoded as `T`, with their keys. These rows are not in the collection, whatever the filter says.
    pub fn undecodable(&self) -> Vec<DecodeError> {
        self.view().undecodable()
    }

    /// The changes from now on, in batches. The first batch is the state, and every change behind it follows.
    pub fn changes(&self) -> CollectionChanges<T> {
        let view = self.inner.view.lock().unwrap_or_else(PoisonError::into_inner).another();
        CollectionChanges::new(self.inner.reader.share(), view)
    }
}

impl<T> Collection<T> {
    /// What is known about the rows.
    pub fn status(&self) -> CollectionStatus {
        self.inner.reader.status()
    }

    /// Watches the status: a stream that begins with the current one and yields each later one, for a status line.
    pub fn watch_status(&self) -> CollectionStatusWatch {
        CollectionStatusWatch::new(self.inner.reader.watch())
    }

    /// Waits until the collection is live.
    ///
    /// # Errors
    ///
    /// The collection has ended, or was not live within [`Config::request_timeout`](crate::Config::request_timeout):
    /// [`CollectionError::TimedOut`]. It still goes on after that.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect on the collection.
    pub fn ready(&self) -> impl Future<Output = Result<(), CollectionError>> + Send + use<T> {
        // A reader of its own, so that several tasks can wait.
        let reader = self.inner.reader.watch();
        poll_fn(move |cx| reader.poll_ready(cx))
    }

    /// Lists the rows again, as soon as there is a connection: finds what the server did not report. Only differences are
    /// changes.
    pub fn resync(&self) {
        let Reader { handle, key, .. } = &self.inner.reader;
        handle.shared().command(|session: &mut Session, now| session.resync(*key, now));
    }
}

impl<T> Clone for Collection<T> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<T> fmt::Debug for Collection<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collection").field("status", &self.status()).finish_non_exhaustive()
    }
}
