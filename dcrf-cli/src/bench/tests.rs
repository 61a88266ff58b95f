//! A run against the server in memory, in virtual time.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use dcrf_tokio::fake_server::{Answer, FakeServer, Feed, Field, Model, View};
use dcrf_tokio::{Backoff, Client, Request, Subscribe};
use serde_json::json;
use tokio::time::{Instant, sleep, sleep_until};

use super::client::Following;
use super::load::{self, WriteTo, Writer};
use super::measure::{Counts, Latency};
use super::report::Percentiles;
use super::run::Run;
use super::schedule::Schedule;

fn server() -> FakeServer {
    let server = FakeServer::new();
    let model = Model::new().field(Field::text("title").max_length(50));
    server.model("tasks", model.row(json!({"title": "row"})));
    server.view("tasks", View::of("tasks").feed(Feed::new("subscribe_all")));
    server
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn percentiles(run: &Run, latency: Latency) -> Percentiles {
    let (_, latencies, _) = run.total().unwrap().into_parts();
    Percentiles::of(&latencies[latency as usize])
}

async fn settled(run: &Run) {
    while run.outstanding.load(Ordering::Relaxed) > 0 {
        sleep(millis(1)).await;
    }
}

async fn connect(server: &FakeServer) -> Client {
    dcrf_tokio::builder("ws://server/ws/").fake_server(server).connect().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn server_that_falls_behind_shows_in_the_latencies() {
    let server = server();
    for _ in 0..10 {
        server.answer_next("tasks", "list", Answer::ok(json!([])).after(millis(100)));
    }
    let client = connect(&server).await;
    let run = Arc::new(Run::new(1, 1).unwrap());
    let schedule = Schedule::at_rate(Instant::now(), 20.0, millis(500));
    let ticks = schedule.ticks_in_virtual_time();
    let request = Request::new("tasks", "list");
    load::requests(run.clone(), [client].into(), request, schedule, ticks).await.unwrap();
    settled(&run).await;
    // The server makes one in 100 ms, and one is due every 50 ms: each waits 50 ms longer than the one before.
    let requests = percentiles(&run, Latency::Request);
    assert_eq!(requests.count, 10);
    let near = |value: f64, expected: f64| (value - expected).abs() < 5.0;
    assert!(near(requests.max, 550.0) && near(requests.mean, 325.0), "{requests:?}");
    assert!(percentiles(&run, Latency::SendDelay).max < 2.0);
}

#[tokio::test(start_paused = true)]
async fn lost_and_doubled_events_and_those_in_a_gap_are_told_apart() {
    let server = server();
    let run = Arc::new(Run::new(2, 2).unwrap());
    let begin = Instant::now();
    let mut clients = Vec::new();
    for number in 0..2 {
        let backoff = Backoff { minimum: millis(300), jitter: false, ..Backoff::default() };
        let builder = dcrf_tokio::builder("ws://server/ws/").backoff(backoff).fake_server(&server);
        let (client, driver) = builder.build().unwrap();
        clients.push(client.clone());
        let subscribe = Subscribe::new("tasks", "subscribe_all").include_create();
        let feed = Some(subscribe);
        tokio::spawn(Following::new(run.clone(), number, (client, driver), begin, feed));
    }
    let backoff = Backoff { minimum: millis(10), jitter: false, ..Backoff::default() };
    let builder = dcrf_tokio::builder("ws://server/ws/").backoff(backoff).fake_server(&server);
    let writer = Writer { client: builder.connect().await.unwrap(), key: json!(1) };
    while !run.all_are_live() {
        sleep(millis(1)).await;
    }

    // The writes 0 to 11, one every 100 ms.
    let start = Instant::now();
    let schedule = Schedule::at_rate(start, 10.0, millis(1200));
    let to = WriteTo { stream: "tasks".into(), field: "title".into() };
    let ticks = schedule.ticks_in_virtual_time();
    let writing = load::writes(run.clone(), [writer].into(), to, schedule, ticks);
    sleep_until(start + millis(250)).await;
    server.lose_events("tasks", 1);
    sleep_until(start + millis(450)).await;
    server.repeat_events("tasks", 1);
    sleep_until(start + millis(650)).await;
    run.begin_outage();
    server.drop_connections();
    sleep_until(start + millis(700)).await;
    assert_eq!(run.live.load(Ordering::Relaxed), 0);
    writing.await.unwrap();
    settled(&run).await;
    sleep(millis(50)).await;

    let tally = run.tally(false);
    assert_eq!((tally.lost, tally.in_gap), (1, 6), "7, 8 and 9 were written while both were away");
    let expected = Counts {
        connects: 4,
        lost_connections: 2,
        subscribes: 4,
        writes: 12,
        confirmed_writes: 12,
        events: 2 * 12 - 1 - 6 + 1,
        doubled_events: 1,
        gaps: 2,
        ..Counts::default()
    };
    assert_eq!(run.counts(), expected);
    let outage = run.outage();
    let away = outage.all_live.unwrap() - outage.first_loss.unwrap();
    assert!((millis(300)..millis(310)).contains(&away), "{away:?}");
    assert_eq!(percentiles(&run, Latency::EventFromSchedule).count, 17);
}

#[tokio::test(start_paused = true)]
async fn client_is_not_ready_before_it_is_connected() {
    let server = server();
    server.stop();
    for (number, is_early) in [true, false].into_iter().enumerate() {
        let run = Arc::new(Run::new(2, 1).unwrap());
        let backoff = Backoff { minimum: millis(100), jitter: false, ..Backoff::default() };
        let builder = dcrf_tokio::builder("ws://server/ws/").backoff(backoff).fake_server(&server);
        let (client, driver) = builder.build().unwrap();
        let subscribe = Subscribe::new("tasks", "subscribe_all");
        let subscribe = if is_early { subscribe.without_ack() } else { subscribe };
        let following = Following::new(
            run.clone(),
            number,
            (client.clone(), driver),
            Instant::now(),
            Some(subscribe),
        );
        tokio::spawn(following);
        sleep(millis(350)).await;
        assert_eq!(run.live.load(Ordering::Relaxed), 0);
        // At 0, 100 and 300 ms.
        assert_eq!(run.counts().failed_dials, 3);
        server.start();
        sleep(millis(1000)).await;
        assert_eq!(run.live.load(Ordering::Relaxed), 1, "{is_early}");
        assert_eq!((run.counts().failed_dials, run.counts().connects), (3, 1));
        server.stop();
        sleep(millis(10)).await;
        assert_eq!(run.live.load(Ordering::Relaxed), 0);
        assert_eq!(run.counts().lost_connections, 1);
        client.close().await;
    }
}
