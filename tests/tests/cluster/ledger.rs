//! What was committed: each row's version, which only ever grows, and who writes it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use dcrf_tests::models::Task;
use dcrf_tokio::{Client, Request, RequestError};
use serde_json::json;
use tokio::task::JoinHandle;

pub(crate) struct Ledger {
    rows: Vec<Row>,
    is_over: AtomicBool,
}

struct Row {
    pk: i64,
    version: AtomicI64,
}

impl Ledger {
    /// Makes the rows, with the version 0.
    pub(crate) async fn create(writer: &Client, count: usize) -> Self {
        let mut rows = Vec::new();
        for nth in 0..count {
            let title = format!("row {nth}");
            let task: Task = writer.create("tasks", &json!({"title": title})).await.unwrap();
            rows.push(Row { pk: task.pk, version: AtomicI64::new(0) });
        }
        Self { rows, is_over: AtomicBool::new(false) }
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

/// Writes the rows in turn until it is told to stop.
pub(crate) async fn write_on(writer: Client, ledger: Arc<Ledger>, pace: Duration) -> Client {
    let mut ticks = tokio::time::interval(pace);
    for row in (0..ledger.rows.len()).cycle() {
        ticks.tick().await;
        if ledger.is_over.load(Ordering::SeqCst) {
            break;
        }
        let Row { pk, version } = &ledger.rows[row];
        let next = version.load(Ordering::SeqCst) + 1;
        if write(&writer, *pk, next).await {
            version.store(next, Ordering::SeqCst);
        }
    }
    writer
}

/// Says whether the row has this version now. Where the answer was lost, the server is asked.
async fn write(writer: &Client, pk: i64, version: i64) -> bool {
    match writer.patch::<Task>("tasks", pk, &json!({"priority": version})).await {
        Ok(task) => task.priority == version,
        Err(RequestError::ConnectionLost { .. } | RequestError::TimedOut { .. }) => {
            let asked = Request::retrieve("tasks", pk).no_timeout();
            let task: Task = writer.call(asked).await.unwrap();
            task.priority == version
        }
        Err(error) => panic!("{error}"),
    }
}

pub(crate) async fn stop(ledger: &Ledger, writing: JoinHandle<Client>) -> Client {
    ledger.is_over.store(true, Ordering::SeqCst);
    writing.await.unwrap()
}
