//! The committed version of each row, and the task that writes them. Versions only grow.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use dcrf_tests::models::Task;
use dcrf_tokio::{Client, RequestError};
use serde_json::json;
use tokio::task::JoinHandle;

pub(crate) struct Ledger {
    rows: Vec<Row>,
    is_stopped: AtomicBool,
}

struct Row {
    pk: i64,
    version: AtomicI64,
}

impl Ledger {
    /// Creates the rows, with version 0.
    pub(crate) async fn create(writer: &Client, count: usize) -> Self {
        let mut rows = Vec::new();
        for nth in 0..count {
            let title = format!("row {nth}");
            let task: Task = writer.create("tasks", &json!({"title": title})).await.unwrap();
            rows.push(Row { pk: task.pk, version: AtomicI64::new(0) });
        }
        Self { rows, is_stopped: AtomicBool::new(false) }
    }

    pub(crate) fn pk(&self, row: usize) -> i64 {
        self.rows[row].pk
    }

    pub(crate) fn version(&self, row: usize) -> i64 {
        self.rows[row].version.load(Ordering::SeqCst)
    }

    pub(crate) fn commits(&self) -> i64 {
        (0..self.rows.len()).map(|row| self.version(row)).sum()
    }
}

/// Writes the rows in turn until [`stop`], and then each once more, so that an earlier silent loss shows.
pub(crate) async fn write_until_stopped(
    writer: Client,
    ledger: Arc<Ledger>,
    pace: Duration,
) -> Client {
    let mut ticks = tokio::time::interval(pace);
    for row in ledger.rows.iter().cycle() {
        ticks.tick().await;
        if ledger.is_stopped.load(Ordering::SeqCst) {
            break;
        }
        write(&writer, row).await;
    }
    for row in &ledger.rows {
        write(&writer, row).await;
    }
    writer
}

/// Writes the next version of a row until the server confirms it.
///
/// A worker that dies between its commit and the event sends no event and no reply. The second write sends the
/// event.
async fn write(writer: &Client, row: &Row) {
    let version = row.version.load(Ordering::SeqCst) + 1;
    loop {
        match writer.patch::<Task>("tasks", row.pk, &json!({"priority": version})).await {
            Ok(task) => assert_eq!(task.priority, version),
            Err(RequestError::ConnectionLost { .. } | RequestError::TimedOut { .. }) => continue,
            Err(error) => panic!("{error}"),
        }
        return row.version.store(version, Ordering::SeqCst);
    }
}

pub(crate) async fn stop(ledger: &Ledger, writing: JoinHandle<Client>) -> Client {
    ledger.is_stopped.store(true, Ordering::SeqCst);
    writing.await.unwrap()
}
