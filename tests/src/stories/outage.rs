//! The server is killed (SIGKILL) and restarted on the same port.

use std::io::ErrorKind;
use std::time::Duration;

use crate::client::ReplyFuture;
use dcrf_proto::{Change, ConnectionError, Request, RequestError, Subscribe};
use serde_json::{Value, json};

use super::{create_task, rename};
use crate::adapter::{Adapter, quick_config};
use crate::models::Task;
use crate::observe::{Mark, change, connected, eventually, lost, restarted};
use crate::server::{Journal, Kind, Server};

/// A sent request fails with `sent: true`, an idempotent one is repeated, an unsent one waits,
/// subscriptions resume after a gap, and the server sees nothing twice.
pub async fn r4_server_killed_with_requests_in_flight<A: Adapter>(adapter: A) {
    let mut server = Server::start().unwrap();
    let mark = Mark::new("/ws/");
    let client = adapter.connect(&mark.url(&server), quick_config()).await.unwrap();
    let mut events = client.events();

    let task: Task = client.create("tasks", &json!({"title": "before"})).await.unwrap();
    let mut changes =
        client.subscribe::<Task>(Subscribe::instance("tasks", task.pk)).await.unwrap();

    // The application holds this request and never replies.
    let written: ReplyFuture<Value> = client.call(Request::new("tools", "mute"));
    eventually(&adapter, "the request arrives", || mark.count(&server, "tools/mute") == 1).await;
    // Two more are written, but the server never reads them.
    server.pause().unwrap();
    let repeated: ReplyFuture<Vec<Task>> = client.list("tasks");
    let not_idempotent: ReplyFuture<Task> = client.create("tasks", &json!({"title": "in flight"}));
    eventually(&adapter, "both are written", || client.stats().waiting_requests == 0).await;

    server.kill().unwrap();
    let killed = lost(&mut events).await;
    assert!(matches!(killed, ConnectionError::Dropped | ConnectionError::Io { .. }));
    let is_lost = |error| matches!(error, Some(RequestError::ConnectionLost { sent: true, cause }) if cause == killed);
    assert!(is_lost(written.await.err()));
    assert!(is_lost(not_idempotent.await.err()));

    // The client keeps working during the outage.
    // The system may close the connection before the listener. An attempt in between is reset.
    let refused = ErrorKind::ConnectionRefused;
    while !matches!(lost(&mut events).await, ConnectionError::Io { kind, .. } if kind == refused) {}
    let queued: ReplyFuture<Task> = client.create("tasks", &json!({"title": "queued"}));
    let expired: ReplyFuture<Value> =
        client.call(Request::new("tools", "echo").timeout(Duration::from_millis(50)));
    let subscribing = client.subscribe::<Task>(Subscribe::new("tasks", "subscribe_all"));
    assert_eq!(expired.await, Err(RequestError::TimedOut { sent: false }));

    let server = restarted(&adapter, server).await;
    assert!(repeated.await.unwrap().contains(&task));
    assert_eq!(queued.await.unwrap().title, "queued");
    let mut all = subscribing.await.unwrap();
    let Change::Gap(gap) = change(&mut changes).await else { panic!("no gap") };
    assert_eq!(gap.cause, killed, "the gap names the loss, not the failed attempts");

    let other = adapter.connect(&server.url("/ws/"), quick_config()).await.unwrap();
    let patched: Task = other.patch("tasks", task.pk, &json!({"title": "after"})).await.unwrap();
    assert_eq!(change(&mut changes).await, Change::Update(patched.clone()));
    assert_eq!(change(&mut all).await, Change::Update(patched));

    let [before, after]: [Vec<String>; 2] = mark.actions(&server).try_into().unwrap();
    assert_eq!(before, ["tasks/create", "tasks/subscribe_instance", "tools/mute"]);
    // S1, S4: subscriptions first. L12: the list was unanswered when the connection died, so it goes after the others.
    assert_eq!(
        after,
        ["tasks/subscribe_instance", "tasks/subscribe_all", "tasks/create", "tasks/list"]
    );
    assert_eq!(client.stats().repeated, 1);
    client.close().await;
}

/// Requests that the socket took fail; the rest are sent on the next connection, in order, each
/// once.
pub async fn r4_unsent_requests_wait_for_the_next_connection<A: Adapter>(adapter: A) {
    let mut server = Server::start().unwrap();
    let mark = Mark::new("/ws/");
    let client = adapter.connect(&mark.url(&server), quick_config()).await.unwrap();
    let mut events = client.events();

    // The server does not read, and a few megabytes fill the sockets. `status` replies with its
    // `data` alone.
    server.pause().unwrap();
    let padding = "x".repeat(1_000_000);
    let numbered = |number: usize| -> ReplyFuture<usize> {
        let request = Request::new("tools", "status").arg("code", 200).arg("data", number);
        client.call(request.arg("padding", &padding))
    };
    let requests: Vec<ReplyFuture<usize>> = (0..8).map(numbered).collect();
    eventually(&adapter, "some are written", || client.stats().waiting_requests < 8).await;

    server.kill().unwrap();
    lost(&mut events).await;
    let waiting = client.stats().waiting_requests;
    assert!((1..8).contains(&waiting), "{waiting} of 8 wait");
    let server = restarted(&adapter, server).await;
    for (number, request) in requests.into_iter().enumerate() {
        match request.await {
            Ok(replied) => assert!(replied == number && number >= 8 - waiting),
            Err(RequestError::ConnectionLost { sent: true, .. }) => assert!(number < 8 - waiting),
            Err(error) => panic!("{error}"),
        }
    }
    let [_, after]: [Journal; 2] = mark.connections(&server).try_into().unwrap();
    let seen: Vec<Value> = after.payloads("tools").map(|mut p| p["data"].take()).collect();
    assert_eq!(seen, (8 - waiting..8).map(Value::from).collect::<Vec<_>>());
}

/// An idempotent request is repeated once and fails at the second loss; others fail at the first.
pub async fn r4_idempotent_request_is_repeated_at_most_once<A: Adapter>(adapter: A) {
    let server = &adapter.shared();
    let mark = Mark::new("/ws/");
    let client = adapter.connect(&mark.url(server), quick_config()).await.unwrap();

    let mute = || Request::new("tools", "mute");
    let repeated: ReplyFuture<Value> = client.call(mute().idempotent(true));
    let not_repeated: ReplyFuture<Value> = client.call(mute());
    for connection in 1..=2 {
        let arrived = || mark.count(server, "tools/mute") == connection + 1;
        eventually(&adapter, "the request arrives", arrived).await;
        let crash = client.call::<Value>(Request::new("tools", "crash")).await;
        assert!(matches!(crash, Err(RequestError::ConnectionLost { sent: true, .. })));
    }
    assert!(matches!(not_repeated.await, Err(RequestError::ConnectionLost { sent: true, .. })));
    assert!(matches!(repeated.await, Err(RequestError::ConnectionLost { sent: true, .. })));
    assert_eq!(client.stats().repeated, 1);
    assert_eq!(mark.count(server, "tools/mute"), 3);
}

/// An orderly shutdown (SIGTERM to Uvicorn) closes with 1012: the client reconnects within seconds
/// and its subscription resumes.
pub async fn l2_planned_restart_of_the_server<A: Adapter>(adapter: A) {
    let mut server = Server::builder().kind(Kind::Uvicorn).start().unwrap();
    let client = adapter.connect(&server.url("/ws/"), quick_config()).await.unwrap();
    let mut events = client.events();
    let task = create_task(&client, "before").await;
    let mut changes =
        client.subscribe::<Task>(Subscribe::instance("tasks", task.pk)).await.unwrap();

    server.terminate().unwrap();
    let ConnectionError::Closed(frame) = lost(&mut events).await else { panic!("no close frame") };
    assert_eq!(frame.code, 1012);
    let server = restarted(&adapter, server).await;
    connected(&mut events).await;
    let Change::Gap(gap) = change(&mut changes).await else { panic!("no gap") };
    assert!(matches!(gap.cause, ConnectionError::Closed(frame) if frame.code == 1012));
    let other = adapter.connect(&server.url("/ws/"), quick_config()).await.unwrap();
    let renamed = rename(&other, &task, "after").await;
    assert_eq!(change(&mut changes).await, Change::Update(renamed));
}
