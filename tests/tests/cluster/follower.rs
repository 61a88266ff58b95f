//! A client that follows a list through the restarts, and checks each state that it shows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dcrf_tests::models::Card;
use dcrf_tests::recoveries::Recoveries;
use dcrf_tokio::{
    Client, Collection, CollectionChange, CollectionError, CollectionStatus, Framing, Pk, Stats,
};
use tokio::task::JoinHandle;

pub(crate) struct Follower {
    client: Client,
    cards: Collection<Card>,
    /// The rows that nobody deletes.
    permanent: usize,
    watching: JoinHandle<History>,
}

/// What a follower has seen. Its rows are built only from the changes.
#[derive(Default)]
pub(crate) struct History {
    rows: BTreeMap<Pk, Arc<Card>>,
    changes: usize,
    /// When the last change arrived.
    changed: Option<Instant>,
    outages: Vec<Outage>,
}

/// The time in which a collection was stale.
struct Outage {
    since: Instant,
    until: Instant,
}

impl Follower {
    pub(crate) async fn start(url: &str, permanent: usize) -> Self {
        let client = dcrf_tokio::builder(url).framing(Framing::Bare).connect().await.unwrap();
        let resource = client.resource("cards").pk_field("id").feed_action("subscribe_all");
        let collection = resource.collection().version(|card: &Card| card.updated_at.clone());
        let cards = collection.await.unwrap();
        let watching = tokio::spawn(watch(cards.clone(), permanent));
        Self { client, cards, permanent, watching }
    }

    /// Asserts that all rows are visible that nobody deletes.
    pub(crate) fn check(&self) {
        check(self.cards.snapshot().len(), self.permanent);
        assert!(!self.watching.is_finished(), "a follower has stopped");
    }

    /// Waits until the collection is live and has these rows, closes the client, and returns what it has seen.
    pub(crate) async fn converge(self, table: &[Card], limit: Duration) -> (History, Stats) {
        let deadline = Instant::now() + limit;
        let is_equal = || self.cards.snapshot().iter().map(|row| &**row).eq(table);
        while !is_equal() || self.cards.status() != CollectionStatus::Live {
            let status = self.cards.status();
            assert!(Instant::now() < deadline, "{status}: {} rows", self.cards.len());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let stats = self.client.stats();
        assert_eq!(stats.rows, table.len());
        self.client.close().await;
        let history = self.watching.await.unwrap();
        assert!(history.rows.values().map(|row| &**row).eq(table), "changes are missing");
        (history, stats)
    }
}

#[track_caller]
fn check(rows: usize, permanent: usize) {
    assert!(rows >= permanent, "only {rows} of {permanent} rows are visible");
}

/// Reads the changes and the statuses until the client is closed.
async fn watch(cards: Collection<Card>, permanent: usize) -> History {
    let (mut changes, mut statuses) = (cards.changes(), cards.watch_status());
    let mut history = History::default();
    history.apply(changes.next().await.unwrap().unwrap());
    loop {
        check(cards.len(), permanent);
        check(history.rows.len(), permanent);
        tokio::select! {
            batch = changes.next() => match batch.unwrap() {
                Ok(batch) => history.apply(batch),
                Err(CollectionError::Closed(_)) => return history,
                Err(error) => panic!("{error}"),
            },
            Some(status) = statuses.next() => history.note(&status),
        }
    }
}

impl History {
    fn apply(&mut self, batch: Vec<CollectionChange<Card>>) {
        self.changes += batch.len();
        self.changed = Some(Instant::now());
        for change in batch {
            match change {
                CollectionChange::Inserted { key, row, .. } => {
                    assert_eq!(self.rows.insert(key, row), None);
                }
                CollectionChange::Updated { key, old, row, .. } => {
                    assert!(row.updated_at > old.updated_at, "{old:?}, then {row:?}");
                    assert_eq!(self.rows.insert(key, row), Some(old));
                }
                CollectionChange::Removed { key, old, .. } => {
                    assert_eq!(self.rows.remove(&key), Some(old));
                }
                other => panic!("{other:?}"),
            }
        }
    }

    fn note(&mut self, status: &CollectionStatus) {
        let now = Instant::now();
        match status {
            // It can become stale for another cause before it is live.
            CollectionStatus::Stale { since, .. } => {
                if self.outages.last().is_none_or(|outage| outage.since != *since) {
                    self.outages.push(Outage { since: *since, until: now });
                }
            }
            // The first status, or the end of an outage.
            CollectionStatus::Live => {
                if let Some(outage) = self.outages.last_mut() {
                    outage.until = now;
                }
            }
            CollectionStatus::Ended(CollectionError::Closed(_)) => {}
            other => panic!("{other}"),
        }
    }

    pub(crate) fn changes(&self) -> usize {
        self.changes
    }

    pub(crate) fn changed(&self) -> Instant {
        self.changed.unwrap()
    }

    /// Adds the times without `Live`, and those from the shutdown of a worker until `Live`.
    pub(crate) fn recoveries(
        &self,
        restarts: &[Instant],
        stale: &mut Recoveries,
        live: &mut Recoveries,
    ) {
        for Outage { since, until } in &self.outages {
            stale.push(*until - *since);
            let restart = restarts.iter().rev().find(|restart| *restart <= until);
            live.push(*until - *restart.unwrap());
        }
    }
}
