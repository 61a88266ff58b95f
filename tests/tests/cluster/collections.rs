//! 200 clients, each with a collection of 500 rows, through a restart of each worker in turn. Rows are changed, created
//! and deleted meanwhile. No client ever shows less than the rows that nobody deletes, and all end with the database's.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dcrf_tests::models::Card;
use dcrf_tests::recoveries::Recoveries;
use dcrf_tokio::{Client, Request};
use serde_json::{Value, json};
use tokio::sync::oneshot::{self, error::TryRecvError};

use crate::follower::Follower;
use crate::nginx::Nginx;
use crate::redis::Redis;
use crate::workers::Workers;
use crate::{CLIENTS, LIMIT, REST, WORKERS};

const ROWS: usize = 500;
/// An endpoint without the multiplexer: its twenty other streams would cost the workers more than the events.
const ENDPOINT: &str = "/ws/bare/cards/";
/// The time between two changes. Each costs the workers a millisecond for each client.
const PACE: Duration = Duration::from_secs(1);
/// The time between two looks at all collections.
const LOOK: Duration = Duration::from_millis(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn collections_are_never_empty_and_end_with_the_rows_of_the_database() {
    let _turn = crate::TURN.lock().await;
    let redis = Redis::start();
    let workers = Workers::start(WORKERS, &redis.url());
    let nginx = Nginx::in_front_of(&workers.addresses());
    // No client can detect that a worker died between a commit and its event, so the writer's worker lives.
    let writers_worker = workers.start_another();
    let writer = dcrf_tokio::connect(&writers_worker.url("/ws/")).await.unwrap();
    let permanent = create_rows(&writer).await;

    let started = Instant::now();
    let mut followers = Vec::new();
    for _ in 0..CLIENTS {
        followers.push(Follower::start(&nginx.url(ENDPOINT), ROWS).await);
    }
    println!("collections: {CLIENTS} of {ROWS} rows in {:.1?}", started.elapsed());

    let followers = Arc::new(followers);
    let looking = tokio::spawn(look(Arc::clone(&followers)));
    let (stop, stopped) = oneshot::channel();
    let writing = tokio::spawn(write_until_stopped(writer, permanent, stopped));
    let (_workers, restarts) = workers.restart_in_turn(REST).await;
    stop.send(()).unwrap();
    let (writer, commits) = writing.await.unwrap();

    let committed = Instant::now();
    let table: Vec<Card> = writer.list("cards").await.unwrap();
    looking.abort();
    // A panic of the task, if there was one.
    assert!(looking.await.unwrap_err().is_cancelled());
    let [mut stale, mut live, mut convergence] = [(); 3].map(|()| Recoveries::default());
    let (mut changes, mut relists, mut losses) = (0, 0, 0);
    for follower in Arc::into_inner(followers).unwrap() {
        let (history, stats) = follower.converge(&table, LIMIT).await;
        convergence.push(history.changed().saturating_duration_since(committed));
        history.recoveries(&restarts, &mut stale, &mut live);
        changes += history.changes() - ROWS;
        relists += stats.relists;
        losses += stats.disconnects;
    }
    let restarts = restarts.len();
    println!(
        "collections: {restarts} restarts, {commits} commits, {changes} changes, {relists} lists"
    );
    assert!(losses >= CLIENTS as u64, "too few losses: {losses}");
    live.print("collections: from a worker's shutdown to `Live`");
    stale.print("collections: from the loss of a connection to `Live`");
    convergence.print("collections: from the last commit to the final state");
    writer.close().await;
}

/// Creates the rows that nobody deletes, and returns their keys.
async fn create_rows(writer: &Client) -> Vec<i64> {
    let seeded = writer.list::<Vec<Card>>("cards").await.unwrap().len();
    let arguments = json!({"model": "card", "count": ROWS - seeded});
    let request = Request::new("controls", "bulk_create").args(&arguments);
    writer.call::<Value>(request).await.unwrap();
    let rows: Vec<Card> = writer.list("cards").await.unwrap();
    rows.into_iter().map(|row| row.id).collect()
}

/// Changes a row every [`PACE`]. Every third time, it creates one, and deletes the oldest of the last few.
async fn write_until_stopped(
    writer: Client,
    permanent: Vec<i64>,
    mut stopped: oneshot::Receiver<()>,
) -> (Client, usize) {
    let mut ticks = tokio::time::interval(PACE);
    let mut guests = VecDeque::new();
    let mut commits = 0;
    for (nth, pk) in permanent.iter().cycle().enumerate() {
        ticks.tick().await;
        if stopped.try_recv() != Err(TryRecvError::Empty) {
            break;
        }
        let title = json!({"title": format!("change {nth}")});
        writer.patch::<Card>("cards", *pk, &title).await.unwrap();
        commits += 1;
        if nth % 3 == 0 {
            guests.push_back(writer.create::<Card>("cards", &title).await.unwrap().id);
            commits += 1;
        }
        if guests.len() > 5 {
            writer.delete("cards", guests.pop_front().unwrap()).await.unwrap();
            commits += 1;
        }
    }
    (writer, commits)
}

/// Looks at all collections, whatever the restarts do.
async fn look(followers: Arc<Vec<Follower>>) {
    loop {
        followers.iter().for_each(Follower::check);
        tokio::time::sleep(LOOK).await;
    }
}
