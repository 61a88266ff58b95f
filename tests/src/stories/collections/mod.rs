//! Live collections.
//!
//! A story in which every row counts starts a server. The others share one, and use rows of their own.

mod flood;
mod following;
mod forms;
mod groups;
mod outage;
mod pages;
mod races;
mod repair;

pub use self::flood::v9_sleeping_reader_gets_each_row_once;
pub use self::following::{
    v1_thousand_rows_equal_the_database, v10_forty_readers_need_one_list_per_connection,
    v11_order_and_filter_of_a_thousand_rows, v14_own_writes_are_seen_when_the_call_returns,
};
pub use self::forms::{
    v2_rows_looked_up_by_slug, v4_keys_are_fetched, v4_row_deleted_while_fetched,
};
pub use self::groups::{
    v3_moved_row_leaves_its_group_and_enters_the_other,
    v3_moved_row_stays_in_a_collection_of_both_groups, v12_silent_move_is_found_by_a_resync,
};
pub use self::outage::v6_server_killed_during_a_list;
pub use self::pages::v1_rows_that_move_between_pages;
pub use self::races::{
    v2_older_event_behind_a_newer_one_is_ignored_by_version, v2_race_is_corrected_by_verify,
    v2_race_without_version_or_verify_stays_until_the_next_resync,
};
pub use self::repair::{
    v12_bulk_create_is_found_by_a_resync, v12_resync_every_finds_silent_changes,
};

use std::sync::Arc;

use dcrf_blocking::CollectionChange;
use dcrf_proto::{Collect, Pk, Request, Subscribe};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::adapter::{Adapter, quick_config};
use crate::client::Client;
use crate::collection::{Collection, CollectionBuilder, CollectionChanges};
use crate::models::Card;
use crate::observe::{Mark, eventually};
use crate::server::Server;
use crate::story_server::Journaled;

/// A batch of changes.
type Batch<T> = Vec<CollectionChange<T>>;

/// A server that loses no event of a thousand rows that change at once.
fn roomy_server() -> Server {
    Server::builder().env("DCRF_TEST_CAPACITY", "1000000").start().unwrap()
}

/// A client that is found in the journal, and another one.
async fn follower_and_writer<A: Adapter>(
    adapter: &A,
    server: &(impl Journaled + Sync),
) -> (Mark, Client, Client) {
    let mark = Mark::new("/ws/");
    let follower = adapter.connect(&mark.url(server), quick_config()).await.unwrap();
    (mark, follower, adapter.connect(&server.url("/ws/"), quick_config()).await.unwrap())
}

/// A list and a feed of one stream.
fn collect(stream: &str) -> Collect {
    Collect::new(stream).pk_field("id").feed(Subscribe::new(stream, "subscribe_all"))
}

/// All cards, in the recommended form. Each call has the same description.
fn cards(client: &Client) -> CollectionBuilder<Card> {
    client.collect(collect("cards")).version(updated_at)
}

fn updated_at(card: &Card) -> String {
    card.updated_at.clone()
}

async fn create<T: DeserializeOwned + 'static>(client: &Client, stream: &str, title: &str) -> T {
    client.create(stream, &json!({"title": title})).await.unwrap()
}

async fn retitle(client: &Client, stream: &str, id: i64, title: &str) -> Card {
    client.patch(stream, id, &json!({"title": title})).await.unwrap()
}

/// What a test makes the server do.
async fn control(client: &Client, action: &str, arguments: Value) -> Value {
    let request = Request::new("controls", action).args(&arguments).no_timeout();
    client.call(request).await.unwrap()
}

/// All rows of the database, by key.
async fn table<T: DeserializeOwned + 'static>(client: &Client, stream: &str) -> Vec<T> {
    client.list(stream).await.unwrap()
}

/// Copies of all rows.
fn rows<T: DeserializeOwned + Clone + Send + Sync + 'static>(board: &Collection<T>) -> Vec<T> {
    board.snapshot().iter().map(|row| T::clone(row)).collect()
}

/// Waits until the collection equals the database, which nobody changes any more.
async fn equal<A: Adapter>(adapter: &A, board: &Collection<Card>, writer: &Client, stream: &str) {
    let table: Vec<Card> = table(writer, stream).await;
    eventually(adapter, "the collection equals the database", || rows(board) == table).await;
}

async fn batch<T>(changes: &mut CollectionChanges<T>) -> Batch<T>
where
    T: DeserializeOwned + Send + Sync + 'static,
{
    changes.next().await.unwrap().unwrap()
}

/// The changes of some rows, until one inserts the row `last`.
async fn until_inserted<T>(changes: &mut CollectionChanges<T>, of: &[i64], last: i64) -> Batch<T>
where
    T: DeserializeOwned + Send + Sync + 'static,
{
    let mut found = Vec::new();
    loop {
        let batch = batch(changes).await;
        let is_last = |change: &CollectionChange<T>| matches!(change, CollectionChange::Inserted { key, .. } if *key == last);
        let is_end = batch.iter().any(is_last);
        let is_of = |change: &CollectionChange<T>| of.iter().any(|id| *change.key() == *id);
        found.extend(batch.into_iter().filter(is_of));
        if is_end {
            return found;
        }
    }
}

/// What a change says, in short: `+` inserted, `~` updated, `-` removed, with the title.
fn brief(batch: &[CollectionChange<Card>]) -> Vec<(String, Pk)> {
    let brief = |change: &CollectionChange<Card>| match change {
        CollectionChange::Inserted { key, row, .. } => (format!("+ {}", row.title), key.clone()),
        CollectionChange::Updated { key, row, .. } => (format!("~ {}", row.title), key.clone()),
        CollectionChange::Removed { key, old, .. } => (format!("- {}", old.title), key.clone()),
        other => panic!("{other:?}"),
    };
    batch.iter().map(brief).collect()
}

/// A list that is built only from the changes of a collection with an order.
struct Screen<T> {
    changes: CollectionChanges<T>,
    rows: Vec<Arc<T>>,
}

impl<T: DeserializeOwned + PartialEq + std::fmt::Debug + Send + Sync + 'static> Screen<T> {
    fn new(changes: CollectionChanges<T>) -> Self {
        Self { changes, rows: Vec::new() }
    }

    /// Applies the next batch, and returns it.
    async fn advance(&mut self) -> Batch<T> {
        let batch = batch(&mut self.changes).await;
        for change in &batch {
            match change {
                CollectionChange::Inserted { row, index, .. } => {
                    self.rows.insert(index.unwrap(), row.clone());
                }
                CollectionChange::Updated { old, row, old_index, index, .. } => {
                    assert_eq!(self.rows.remove(old_index.unwrap()), *old);
                    self.rows.insert(index.unwrap(), row.clone());
                }
                CollectionChange::Removed { old, index, .. } => {
                    assert_eq!(self.rows.remove(index.unwrap()), *old);
                }
                other => panic!("{other:?}"),
            }
        }
        batch
    }
}
