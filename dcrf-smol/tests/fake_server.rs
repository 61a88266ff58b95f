//! The client and the server in memory, on smol and without an executor.

use std::thread;
use std::time::Duration;

use dcrf_smol::fake_server::{Answer, FakeServer, Feed, Field, Model, View};
use dcrf_smol::{
    Backoff, Builder, Change, ConnectError, ConnectionError, Request, RequestError, Subscribe,
    Subscription,
};
use futures_lite::future::block_on;
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
    dcrf_smol::builder("ws://example.com/ws/").backoff(backoff).fake_server(server)
}

async fn next(changes: &mut Subscription<Value>) -> Change<Value> {
    changes.next().await.expect("a change").expect("no end")
}

async fn use_client(server: &FakeServer) {
    let client = builder(server).connect().await.unwrap();
    let task: Value = client.create("tasks", &json!({"title": "Paint"})).await.unwrap();
    assert_eq!(task, server.row("tasks", task["id"].clone()).unwrap());
    client.close().await;
    assert_eq!(server.connections(), 0);
}

#[test]
fn request_is_answered_on_each_executor() {
    let server = server();
    smol::block_on(use_client(&server));
    async_std::task::block_on(use_client(&server));
    block_on(use_client(&server));
    let executor = smol::LocalExecutor::new();
    block_on(executor.run(use_client(&server)));
    assert_eq!(server.rows("tasks").len(), 4);
}

#[test]
fn built_driver_runs_on_any_thread() {
    let server = server();
    let (client, driver) = builder(&server).build().unwrap();
    let driving = thread::spawn(|| block_on(driver));
    assert_eq!(block_on(client.list::<Value>("tasks")), Ok(json!([])));
    drop(client);
    driving.join().unwrap();
    assert_eq!(server.connections(), 0);
}

#[test]
fn refused_handshake_is_an_error_with_its_status() {
    let server = server();
    server.refuse(1, 403);
    block_on(async {
        // Otherwise a second attempt may begin before the caller runs.
        let wait = Duration::from_secs(60);
        let backoff = Backoff { minimum: wait, maximum: wait, ..Backoff::default() };
        let error = builder(&server).backoff(backoff).connect().await.unwrap_err();
        let refused = ConnectionError::Http { status: 403, retry_after: None };
        assert!(
            matches!(&error, ConnectError::Failed { error, .. } if *error == refused),
            "{error:?}"
        );
        builder(&server).connect().await.unwrap();
    });
}

#[test]
fn dropped_connection_is_followed_by_a_replay() {
    let server = server();
    block_on(async {
        let client = builder(&server).connect().await.unwrap();
        let subscribe = Subscribe::new("tasks", "subscribe_all").include_create();
        let mut changes = client.subscribe::<Value>(subscribe).await.unwrap();
        server.drop_connections();
        match next(&mut changes).await {
            Change::Gap(gap) => assert_eq!(gap.cause, ConnectionError::Dropped),
            other => panic!("{other:?}"),
        }
        server.insert("tasks", json!({"title": "Paint"}));
        assert!(
            matches!(next(&mut changes).await, Change::Create(task) if task["title"] == "Paint")
        );
    });
}

#[test]
fn slow_answer_arrives_after_its_time() {
    let server = server();
    block_on(async {
        let client = builder(&server).connect().await.unwrap();
        let late = |time| Answer::ok(json!("late")).after(time);
        server.answer_next("tasks", "list", late(Duration::from_millis(5)));
        assert_eq!(client.list::<Value>("tasks").await, Ok(json!("late")));
        server.answer_next("tasks", "list", late(Duration::from_secs(3600)));
        let request = Request::new("tasks", "list").timeout(Duration::from_millis(5));
        let error = client.call::<Value>(request).await.unwrap_err();
        assert!(matches!(error, RequestError::TimedOut { .. }), "{error:?}");
    });
}

/// A lost wake-up would hang.
#[test]
fn events_of_other_threads_wake_the_client() {
    let server = server();
    let writer = server.clone();
    block_on(async {
        let client = builder(&server).connect().await.unwrap();
        let subscribe = Subscribe::new("tasks", "subscribe_all").include_create();
        let mut changes = client.subscribe::<Value>(subscribe).await.unwrap();
        let (next_one, is_next) = std::sync::mpsc::channel();
        let writing = thread::spawn(move || {
            while is_next.recv().is_ok() {
                writer.insert("tasks", json!({"title": "Paint"}));
            }
        });
        for number in 1..=2_000 {
            next_one.send(()).unwrap();
            assert!(
                matches!(next(&mut changes).await, Change::Create(task) if task["id"] == number)
            );
        }
        drop(next_one);
        writing.join().unwrap();
    });
}
