//! A large deployment: nginx in front of four workers with the Redis channel layer, 200 clients with 10
//! subscriptions each, a writer, and a restart of each worker in turn. Every subscriber ends with the committed
//! state, and every change that it missed was announced by a gap.
//!
//! `cargo test -p dcrf-tests --features cluster --test cluster -- --nocapture` needs redis-server and nginx.

mod collections;
mod follower;
mod ledger;
mod nginx;
mod redis;
mod subscriber;
mod workers;

use std::sync::Arc;
use std::time::{Duration, Instant};

use dcrf_tests::recoveries::Recoveries;
use dcrf_tokio::{Client, Subscribe};
use tokio::sync::Mutex;

use self::ledger::Ledger;
use self::nginx::Nginx;
use self::redis::Redis;
use self::subscriber::{Report, Subscriber};
use self::workers::Workers;

const WORKERS: usize = 4;
const CLIENTS: usize = 200;
const SUBSCRIPTIONS: usize = 10;
const ROWS: usize = 400;
/// The time between two writes. An event carries the row's state at delivery, so a late event would skip a version if
/// the same row were written again soon. All other rows are written first.
const PACE: Duration = Duration::from_millis(30);
/// The time between two restarts. It lets all clients reconnect, and stay connected long enough to reset their
/// backoff (L3).
const REST: Duration = Duration::from_secs(12);
/// A client that takes longer to converge fails its test.
const LIMIT: Duration = Duration::from_secs(60);

/// The tests take turns, since each needs the whole machine.
static TURN: Mutex<()> = Mutex::const_new(());

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscribers_converge_and_every_loss_is_announced() {
    let _turn = TURN.lock().await;
    let redis = Redis::start();
    let workers = Workers::start(WORKERS, &redis.url());
    let nginx = Nginx::in_front_of(&workers.addresses());
    let url = nginx.url("/ws/");

    let writer = dcrf_tokio::connect(&url).await.unwrap();
    let ledger = Arc::new(Ledger::create(&writer, ROWS).await);

    let started = Instant::now();
    let mut subscribers = Vec::new();
    let mut clients = Vec::new();
    for nth in 0..CLIENTS {
        let client = dcrf_tokio::connect(&url).await.unwrap();
        subscribers.extend(subscribe(&client, nth, &ledger).await);
        clients.push(client);
    }
    println!(
        "cluster: {CLIENTS} clients with {} subscriptions in {:.1?}",
        subscribers.len(),
        started.elapsed()
    );

    let writing = tokio::spawn(ledger::write_until_stopped(writer, Arc::clone(&ledger), PACE));
    let (_workers, restarts) = workers.restart_in_turn(REST).await;
    let writer = ledger::stop(&ledger, writing).await;

    let stopped = Instant::now();
    let mut convergence = Recoveries::default();
    let mut report = Report::default();
    for subscriber in subscribers {
        let version = ledger.version(subscriber.row());
        let view = subscriber.converge(version, LIMIT).await;
        convergence.push(view.since().saturating_duration_since(stopped));
        report.add(&view);
    }
    println!("cluster: {} restarts, {} commits, {report}", restarts.len(), ledger.commits());
    report.check();
    report.recoveries(&restarts).print("cluster: from a worker's shutdown to the next snapshot");
    convergence.print("cluster: from the last commit to the final state");
    for client in clients {
        client.close_now();
    }
    writer.close().await;
}

/// Subscribes a client to ten rows. Each row gets five subscribers, on different workers.
async fn subscribe(client: &Client, nth: usize, ledger: &Ledger) -> Vec<Subscriber> {
    let mut subscribers = Vec::new();
    for row in (0..SUBSCRIPTIONS).map(|at| (nth * SUBSCRIPTIONS + at * 37) % ROWS) {
        let subscribe = Subscribe::instance("tasks", ledger.pk(row)).refresh();
        let changes = client.subscribe(subscribe).await.unwrap();
        subscribers.push(Subscriber::start(row, changes));
    }
    subscribers
}
