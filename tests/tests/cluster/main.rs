//! A deployment as large ones are: nginx before four workers with the Redis channel layer, 200 clients with 10
//! subscriptions each, a writer, and workers that are restarted one after the other meanwhile. Every client ends with
//! what was committed, and whatever one missed before was announced to it by a gap.
//!
//! `cargo test -p dcrf-tests --features cluster --test cluster -- --nocapture`; redis-server and nginx are needed.

mod ledger;
mod nginx;
mod redis;
mod subscriber;
mod workers;

use std::sync::Arc;
use std::time::{Duration, Instant};

use dcrf_tests::recoveries::Recoveries;
use dcrf_tokio::{Client, Subscribe};

use self::ledger::Ledger;
use self::nginx::Nginx;
use self::redis::Redis;
use self::subscriber::{Reader, Report};
use self::workers::Workers;

const WORKERS: usize = 4;
const CLIENTS: usize = 200;
const SUBSCRIPTIONS: usize = 10;
const ROWS: usize = 400;
/// Each row is written anew only after all others were, so that its versions are far apart: an update that is told
/// late shows the newest version, and not its own.
const PACE: Duration = Duration::from_millis(30);
/// Until the next worker goes, the clients of the last one are connected elsewhere, and stably so (L3).
const REST: Duration = Duration::from_secs(12);
/// What takes longer hangs.
const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_client_converges_and_every_difference_was_announced() {
    let redis = Redis::start();
    let workers = Workers::start(WORKERS, &redis.url());
    let nginx = Nginx::before(&workers.addresses());
    let url = nginx.url("/ws/");

    let writer = dcrf_tokio::connect(&url).await.unwrap();
    let ledger = Arc::new(Ledger::create(&writer, ROWS).await);

    let began = Instant::now();
    let mut readers = Vec::new();
    let mut clients = Vec::new();
    for client in 0..CLIENTS {
        let connected = dcrf_tokio::connect(&url).await.unwrap();
        readers.extend(subscribe(&connected, client, &ledger).await);
        clients.push(connected);
    }
    println!(
        "cluster: {CLIENTS} clients with {} subscriptions in {:.1?}",
        readers.len(),
        began.elapsed()
    );

    let writing = tokio::spawn(ledger::write_on(writer, Arc::clone(&ledger), PACE));
    let (_workers, ends) = workers.restart_one_after_the_other(REST).await;
    let writer = ledger::stop(&ledger, writing).await;

    let stopped = Instant::now();
    let mut times = Recoveries::default();
    let mut report = Report::default();
    for reader in readers {
        let version = ledger.version(reader.row());
        let (reader, at) = reader.reaches(version, LIMIT).await;
        times.push(at.saturating_duration_since(stopped));
        report.add(&reader);
    }
    println!("cluster: {} restarts, {} commits, {report}", ends.len(), ledger.commits());
    report.check();
    report.recoveries(&ends).print("cluster: from the end of a worker until the state is known");
    times.print("cluster: from the last commit until it is known");
    for client in clients {
        client.close_now();
    }
    writer.close().await;
}

/// Ten rows for each client, so that each row has five subscribers, on any of the workers.
async fn subscribe(client: &Client, nth: usize, ledger: &Ledger) -> Vec<Reader> {
    let mut readers = Vec::new();
    for row in (0..SUBSCRIPTIONS).map(|at| (nth * SUBSCRIPTIONS + at * 37) % ROWS) {
        let subscribe = Subscribe::instance("tasks", ledger.pk(row)).refresh();
        let changes = client.subscribe(subscribe).await.unwrap();
        readers.push(Reader::start(row, changes));
    }
    readers
}
