//! The blocking client and the server in memory.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use dcrf_blocking::fake_server::{Answer, FakeServer, Feed, Field, Model, View};
use dcrf_blocking::{
    Backoff, Builder, Change, ConnectError, ConnectionError, Request, RequestError, Subscribe,
    Subscription,
};
use serde_json::{Value, json};

fn server() -> FakeServer {
    let server = FakeServer::new();
    server.model("tasks", Model::new().field(Field::text("title")));
    server.view("tasks", View::of("tasks").feed(Feed::new("subscribe_all")));
    server
}

/// Waits between attempts take a few milliseconds.
fn builder(server: &FakeServer) -> Builder {
    let wait = Duration::from_millis(5);
    let backoff = Backoff { minimum: wait, maximum: wait, ..Backoff::default() };
    dcrf_blocking::builder("ws://example.com/ws/").backoff(backoff).fake_server(server)
}

fn next(changes: &mut Subscription<Value>) -> Change<Value> {
    changes.recv().expect("a change").expect("no end")
}

#[test]
fn request_is_answered() {
    let server = server();
    let client = builder(&server).connect().unwrap();
    let task: Value = client.create("tasks", &json!({"title": "Paint"})).unwrap();
    assert_eq!(server.rows("tasks"), [task]);
    server.assert_called("tasks", "create", json!({"data": {"title": "Paint"}}));
    client.close();
    assert_eq!(server.connections(), 0);
}

#[test]
fn last_handle_that_is_dropped_ends_the_connection() {
    let server = server();
    let client = builder(&server).connect().unwrap();
    assert_eq!(server.connections(), 1);
    drop(client);
    assert_eq!(server.connections(), 0);
}

#[test]
fn refused_handshake_is_an_error_with_its_status() {
    let server = server();
    server.refuse(1, 403);
    // Otherwise a second attempt may begin before the caller runs.
    let wait = Duration::from_secs(60);
    let backoff = Backoff { minimum: wait, maximum: wait, ..Backoff::default() };
    let error = builder(&server).backoff(backoff).connect().unwrap_err();
    let refused = ConnectionError::Http { status: 403, retry_after: None };
    assert!(matches!(&error, ConnectError::Failed { error, .. } if *error == refused), "{error:?}");
    builder(&server).connect().unwrap();
}

#[test]
fn dropped_connection_is_followed_by_a_replay() {
    let server = server();
    let client = builder(&server).connect().unwrap();
    let subscribe = Subscribe::new("tasks", "subscribe_all").include_create();
    let mut changes = client.subscribe::<Value>(subscribe).unwrap();
    server.drop_connections();
    match next(&mut changes) {
        Change::Gap(gap) => assert_eq!(gap.cause, ConnectionError::Dropped),
        other => panic!("{other:?}"),
    }
    server.insert("tasks", json!({"title": "Paint"}));
    assert!(matches!(next(&mut changes), Change::Create(task) if task["title"] == "Paint"));
}

#[test]
fn slow_answer_arrives_after_its_time() {
    let server = server();
    let client = builder(&server).connect().unwrap();
    let late = |time| Answer::ok(json!("late")).after(time);
    server.answer_next("tasks", "list", late(Duration::from_millis(5)));
    assert_eq!(client.list::<Value>("tasks"), Ok(json!("late")));
    server.answer_next("tasks", "list", late(Duration::from_secs(3600)));
    let request = Request::new("tasks", "list").timeout(Duration::from_millis(5));
    let error = client.call::<Value>(request).unwrap_err();
    assert!(matches!(error, RequestError::TimedOut { .. }), "{error:?}");
}

/// A lost wake-up would hang.
#[test]
fn events_of_other_threads_wake_the_client() {
    let server = server();
    let client = builder(&server).connect().unwrap();
    let subscribe = Subscribe::new("tasks", "subscribe_all").include_create();
    let mut changes = client.subscribe::<Value>(subscribe).unwrap();
    let (next_one, is_next) = mpsc::channel();
    let writing = thread::spawn(move || {
        while is_next.recv().is_ok() {
            server.insert("tasks", json!({"title": "Paint"}));
        }
    });
    for number in 1..=2_000 {
        next_one.send(()).unwrap();
        assert!(matches!(next(&mut changes), Change::Create(task) if task["id"] == number));
    }
    drop(next_one);
    writing.join().unwrap();
}
