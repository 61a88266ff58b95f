//! The client and the server in memory, with Tokio's paused time: no test waits for real time.

use std::io;
use std::time::Duration;

use dcrf_tokio::fake_server::{Answer, FakeServer, Feed, Field, Model, View};
use dcrf_tokio::{
    Backoff, Builder, Change, CloseFrame, ConnectError, ConnectionError, ConnectionState, Request,
    RequestError, Subscribe, Subscription,
};
use serde_json::{Value, json};
use tokio::time::Instant;

fn server() -> FakeServer {
    let server = FakeServer::new();
    server.model("tasks", Model::new().field(Field::text("title")));
    server.view("tasks", View::of("tasks").feed(Feed::new("subscribe_all")));
    server
}

/// The first wait between attempts is at most a second.
fn builder(server: &FakeServer) -> Builder {
    let backoff = Backoff { minimum: Duration::from_secs(1), ..Backoff::default() };
    dcrf_tokio::builder("ws://example.com/ws/?lang=en").backoff(backoff).fake_server(server)
}

async fn next(changes: &mut Subscription<Value>) -> Change<Value> {
    changes.next().await.expect("a change").expect("no end")
}

async fn next_gap(changes: &mut Subscription<Value>) -> ConnectionError {
    match next(changes).await {
        Change::Gap(gap) => gap.cause,
        other => panic!("{other:?}"),
    }
}

async fn next_update(changes: &mut Subscription<Value>) -> Value {
    match next(changes).await {
        Change::Update(task) => task,
        other => panic!("{other:?}"),
    }
}

fn failure(error: ConnectError) -> ConnectionError {
    match error {
        ConnectError::Failed { error, .. } => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn request_is_answered() {
    let server = server();
    let client = builder(&server).header("X-Team", "red").connect().await.unwrap();
    let task: Value = client.create("tasks", &json!({"title": "Paint"})).await.unwrap();
    assert_eq!(task, json!({"id": 1, "title": "Paint"}));
    assert_eq!(server.rows("tasks"), [task]);
    let call = server.assert_called("tasks", "create", json!({"data": {"title": "Paint"}}));
    assert_eq!((&*call.handshake.path, &*call.handshake.query), ("/ws/", "lang=en"));
    assert_eq!(call.handshake.header("x-team"), Some("red"));
    server.assert_nothing_else();
    client.close().await;
    assert_eq!(server.connections(), 0);
}

#[tokio::test(start_paused = true)]
async fn large_messages_pass_in_both_directions() {
    let server = server();
    let client = builder(&server).connect().await.unwrap();
    let title = "é".repeat(200_000);
    let task: Value = client.create("tasks", &json!({"title": title})).await.unwrap();
    assert_eq!(task["title"], title);
}

#[tokio::test(start_paused = true)]
async fn wss_needs_no_tls() {
    let url = "wss://example.com/ws/";
    let client = match dcrf_tokio::builder(url).fake_server(&server()).connect().await {
        // A build without TLS knows no such URL.
        Err(ConnectError::InvalidUrl(_)) => return,
        client => client.unwrap(),
    };
    assert_eq!(client.list::<Value>("tasks").await, Ok(json!([])));
}

#[tokio::test(start_paused = true)]
async fn refused_handshake_is_an_error_with_its_status() {
    let server = server();
    for status in [403, 404, 503] {
        server.refuse(1, status);
        let error = builder(&server).connect().await.unwrap_err();
        assert_eq!(failure(error), ConnectionError::Http { status, retry_after: None });
    }
    server.check_handshake(|handshake| match handshake.header("authorization") {
        Some("Token 9944b091") => Ok(()),
        _ => Err(401),
    });
    let error = builder(&server).connect().await.unwrap_err();
    assert_eq!(failure(error), ConnectionError::Http { status: 401, retry_after: None });
    builder(&server).header("authorization", "Token 9944b091").connect().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn refused_handshakes_are_followed_by_a_connection() {
    let server = server();
    server.refuse(3, 503);
    let client = builder(&server).connect_lazy().unwrap();
    assert_eq!(client.list::<Value>("tasks").await, Ok(json!([])));
    assert_eq!(client.stats().failed_attempts, 3);
}

#[tokio::test(start_paused = true)]
async fn stopped_server_refuses_connections_until_its_start() {
    let server = server();
    server.stop();
    let error = failure(builder(&server).connect().await.unwrap_err());
    assert!(
        matches!(error, ConnectionError::Io { kind: io::ErrorKind::ConnectionRefused, .. }),
        "{error:?}"
    );
    let client = builder(&server).connect_lazy().unwrap();
    let tasks = client.list::<Value>("tasks");
    server.start();
    assert_eq!(tasks.await, Ok(json!([])));
}

#[tokio::test(start_paused = true)]
async fn silent_server_lets_an_attempt_time_out() {
    let server = server();
    server.black_hole();
    let (began, timeout) = (Instant::now(), Duration::from_secs(7));
    let error = builder(&server).dial_timeout(timeout).connect().await.unwrap_err();
    assert_eq!(failure(error), ConnectionError::DialTimedOut(timeout));
    assert_eq!(began.elapsed(), timeout);
}

#[tokio::test(start_paused = true)]
async fn events_of_another_writer_arrive() {
    let server = server();
    let client = builder(&server).connect().await.unwrap();
    let subscribe = Subscribe::new("tasks", "subscribe_all").include_create();
    let mut changes = client.subscribe::<Value>(subscribe).await.unwrap();
    let pk = server.insert("tasks", json!({"title": "Paint"}));
    assert!(matches!(next(&mut changes).await, Change::Create(task) if task["title"] == "Paint"));
    assert!(server.update("tasks", pk.clone(), json!({"title": "Mow"})));
    assert_eq!(next_update(&mut changes).await, json!({"id": 1, "title": "Mow"}));
    assert!(server.delete("tasks", pk));
    assert!(matches!(next(&mut changes).await, Change::Delete(_)));
}

#[tokio::test(start_paused = true)]
async fn dropped_connection_is_followed_by_a_replay() {
    let server = server();
    let pk = server.insert("tasks", json!({"title": "Paint"}));
    let client = builder(&server).connect().await.unwrap();
    let mut changes = client.subscribe(Subscribe::instance("tasks", &pk).refresh()).await.unwrap();
    assert!(matches!(next(&mut changes).await, Change::Snapshot(_)));
    server.drop_connections();
    server.update("tasks", pk.clone(), json!({"title": "Mow"}));
    assert_eq!(next_gap(&mut changes).await, ConnectionError::Dropped);
    match next(&mut changes).await {
        Change::Snapshot(tasks) => assert_eq!(*tasks, [json!({"id": 1, "title": "Mow"})]),
        other => panic!("{other:?}"),
    }
    server.update("tasks", pk, json!({"title": "Swim"}));
    assert_eq!(next_update(&mut changes).await["title"], "Swim");
    assert_eq!(server.calls("tasks", "subscribe_instance").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn close_frame_arrives_with_its_code() {
    let server = server();
    let client = builder(&server).connect().await.unwrap();
    let mut changes = client.subscribe(Subscribe::new("tasks", "subscribe_all")).await.unwrap();
    server.close(4001, "bye");
    match next_gap(&mut changes).await {
        ConnectionError::Closed(frame) => assert_eq!(frame.code, 4001),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn close_frame_of_the_client_ends_the_connection() {
    let server = server();
    let client = builder(&server).connect().await.unwrap();
    let mut changes = client.subscribe(Subscribe::new("tasks", "subscribe_all")).await.unwrap();
    client.force_reconnect_with(CloseFrame { code: 4000, reason: "bye".to_owned() });
    assert_eq!(next_gap(&mut changes).await, ConnectionError::Reconnect);
    assert_eq!(client.list::<Value>("tasks").await, Ok(json!([])));
    assert_eq!(server.connections(), 1);
}

#[tokio::test(start_paused = true)]
async fn last_handle_that_is_dropped_ends_the_connection() {
    let server = server();
    let (client, driver) = builder(&server).build().unwrap();
    let driving = tokio::spawn(driver);
    client.connected().await.unwrap();
    assert_eq!(server.connections(), 1);
    drop(client);
    driving.await.unwrap();
    assert_eq!(server.connections(), 0);
}

#[test]
fn runtime_that_is_dropped_ends_the_connection() {
    let server = server();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let client = runtime.block_on(builder(&server).connect()).unwrap();
    assert_eq!(server.connections(), 1);
    drop(runtime);
    assert_eq!(server.connections(), 0);
    drop(client);
}

#[tokio::test(start_paused = true)]
async fn black_hole_is_found_by_the_heartbeat() {
    let server = server();
    let client = builder(&server).connect().await.unwrap();
    let mut changes = client.subscribe(Subscribe::new("tasks", "subscribe_all")).await.unwrap();
    let began = Instant::now();
    server.black_hole();
    let mut states = client.watch_state();
    let lost = loop {
        if let ConnectionState::Waiting { error, .. } = states.next().await.expect("a state") {
            break error;
        }
    };
    assert_eq!(lost, ConnectionError::Silent(Duration::from_secs(30)));
    assert_eq!(began.elapsed(), Duration::from_secs(30));
    server.end_black_hole();
    let cause = next_gap(&mut changes).await;
    assert_eq!(cause, ConnectionError::Silent(Duration::from_secs(30)));
    assert_eq!(server.connections(), 1, "the silent one was given up");
}

#[tokio::test(start_paused = true)]
async fn slow_answer_takes_virtual_time() {
    let server = server();
    let client = builder(&server).request_timeout(None).connect().await.unwrap();
    for time in [Duration::from_millis(1), Duration::from_secs(3), Duration::from_secs(600)] {
        server.answer_next("tasks", "list", Answer::ok(json!(["late"])).after(time));
        let began = Instant::now();
        assert_eq!(client.list::<Value>("tasks").await, Ok(json!(["late"])));
        assert_eq!(began.elapsed(), time);
    }
    // Pings were answered meanwhile.
    assert_eq!(client.stats().disconnects, 0);
}

#[tokio::test(start_paused = true)]
async fn server_whose_clock_is_advanced_answers_sooner() {
    let server = server();
    let client = builder(&server).connect().await.unwrap();
    server.answer_next("tasks", "list", Answer::ok(json!([])).after(Duration::from_secs(3)));
    let began = Instant::now();
    let list = client.list::<Value>("tasks");
    let advance = async {
        while server.calls("tasks", "list").is_empty() {
            tokio::task::yield_now().await;
        }
        server.advance(Duration::from_secs(3));
    };
    let (list, ()) = tokio::join!(list, advance);
    assert_eq!(list, Ok(json!([])));
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn unanswered_request_times_out_in_virtual_time() {
    let server = server();
    let client = builder(&server).connect().await.unwrap();
    server.answer_next("tasks", "list", Answer::silence());
    let began = Instant::now();
    let request = Request::new("tasks", "list").timeout(Duration::from_secs(90));
    let error = client.call::<Value>(request).await.unwrap_err();
    assert!(matches!(error, RequestError::TimedOut { .. }), "{error:?}");
    assert_eq!(began.elapsed(), Duration::from_secs(90));
}

#[tokio::test(start_paused = true)]
async fn held_reply_arrives_when_it_is_released() {
    let server = server();
    let client = builder(&server).connect().await.unwrap();
    let hold = server.hold_reply("tasks", "create");
    let create = tokio::spawn(client.create::<Value>("tasks", &json!({"title": "Paint"})));
    hold.reached().await;
    assert_eq!(server.rows("tasks").len(), 1);
    assert!(!create.is_finished());
    hold.release();
    assert_eq!(create.await.unwrap().unwrap()["id"], 1);
}

#[tokio::test(start_paused = true)]
async fn exception_closes_the_connection() {
    let server = server();
    let client = builder(&server).connect().await.unwrap();
    let mut changes = client.subscribe(Subscribe::new("tasks", "subscribe_all")).await.unwrap();
    server.answer_next("tasks", "create", Answer::raise());
    let error = client.create::<Value>("tasks", &json!({"title": "Paint"})).await.unwrap_err();
    assert!(matches!(error, RequestError::ConnectionLost { .. }), "{error:?}");
    match next_gap(&mut changes).await {
        ConnectionError::Closed(frame) => assert_eq!(frame.code, 1011),
        other => panic!("{other:?}"),
    }
}

/// A lost wake-up would end in the timeout of the test's harness.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_other_threads_wake_the_client() {
    let server = server();
    let client = builder(&server).connect().await.unwrap();
    let subscribe = Subscribe::new("tasks", "subscribe_all").include_create();
    let mut changes = client.subscribe::<Value>(subscribe).await.unwrap();
    for number in 1..=2_000 {
        let server = server.clone();
        let insert = move || server.insert("tasks", json!({"title": "Paint"}));
        let inserting = tokio::task::spawn_blocking(insert);
        assert!(matches!(next(&mut changes).await, Change::Create(task) if task["id"] == number));
        inserting.await.unwrap();
    }
}
