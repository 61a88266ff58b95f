//! The server is killed (SIGKILL) and started again on the same port.

use std::io::ErrorKind;
use std::time::Duration;

use crate::client::ReplyFuture;
use dcrf_proto::{Change, ConnectionError, Request, RequestError, Subscribe};
use serde_json::{Value, json};

use super::{create_task, rename};
use crate::adapter::{Adapter, quick};
use crate::models::Task;
use crate::observe::{Mark, change, connected, eventually, lost, restarted};
use crate::server::{Journal, Kind, Server};

/// What was sent fails once and says so, what may be repeated is, what was not sent waits, subscriptions
/// go on behind a gap, and the server sees nothing twice.
pub async fn r4_killed_with_requests_in_flight<A: Adapter>(adapter: A) {
    let mut server = Server::start().unwrap();
    let mark = Mark::new("/ws/");
    let client = adapter.connect(&mark.url(&server), quick()).await.unwrap();
    let mut events = client.events();

    let task: Task = client.create("tasks", &json!({"title": "before"})).await.unwrap();
    let mut changes =
        client.subscribe::<Task>(Subscribe::instance("tasks", task.pk)).await.unwrap();

    // One request is with the application, which will never answer it.
    let written: ReplyFuture<Value> = client.call(Request::new("tools", "mute"));
    eventually(&adapter, "the request arrives", || mark.count(&server, "tools/mute") == 1).await;
    // Two more leave, and the server does not get to read them.
    server.pause().unwrap();
    let repeated: ReplyFuture<Vec<Task>> = client.list("tasks");
    let unsafe_to_repeat: ReplyFuture<Task> =
        client.create("tasks", &json!({"title": "in flight"}));
    eventually(&adapter, "both are handed over", || client.stats().waiting_requests == 0).await;

    server.kill().unwrap();
    let killed = lost(&mut events).await;
    assert!(matches!(killed, ConnectionError::Dropped | ConnectionError::Io { .. }));
    let sent = Err(RequestError::ConnectionLost { sent: true });
    assert_eq!(written.await, sent);
    assert_eq!(unsafe_to_repeat.await.map(drop), sent.map(drop));

    // The outage goes on, and so does the program.
    let refused = lost(&mut events).await;
    assert!(matches!(refused, ConnectionError::Io { kind: ErrorKind::ConnectionRefused, .. }));
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
    assert_eq!(gap.cause, killed, "the attempts in between are not why changes are missing");

    let other = adapter.connect(&server.url("/ws/"), quick()).await.unwrap();
    let patched: Task = other.patch("tasks", task.pk, &json!({"title": "after"})).await.unwrap();
    assert_eq!(change(&mut changes).await, Change::Update(patched.clone()));
    assert_eq!(change(&mut all).await, Change::Update(patched));

    let [before, after]: [Vec<String>; 2] = mark.actions(&server).try_into().unwrap();
    assert_eq!(before, ["tasks/create", "tasks/subscribe_instance", "tools/mute"]);
    // S1, S4: subscriptions first. R4: the list in its old place.
    assert_eq!(
        after,
        ["tasks/subscribe_instance", "tasks/subscribe_all", "tasks/list", "tasks/create"]
    );
    assert_eq!(client.stats().repeated, 1);
    client.close().await;
}

/// Of more than the socket takes, what it took fails and the rest is answered on the next connection, in
/// order, each seen once.
pub async fn r4_what_the_socket_did_not_take_waits<A: Adapter>(adapter: A) {
    let mut server = Server::start().unwrap();
    let mark = Mark::new("/ws/");
    let client = adapter.connect(&mark.url(&server), quick()).await.unwrap();
    let mut events = client.events();

    // The server does not read, and a megabyte each is soon more than the sockets hold. `status` answers
    // with its `data` alone.
    server.pause().unwrap();
    let padding = "x".repeat(1_000_000);
    let numbered = |number: usize| -> ReplyFuture<usize> {
        let request = Request::new("tools", "status").arg("code", 200).arg("data", number);
        client.call(request.arg("padding", &padding))
    };
    let requests: Vec<ReplyFuture<usize>> = (0..8).map(numbered).collect();
    eventually(&adapter, "some are handed over", || client.stats().waiting_requests < 8).await;

    server.kill().unwrap();
    lost(&mut events).await;
    let waiting = client.stats().waiting_requests;
    assert!((1..8).contains(&waiting), "{waiting} of 8 wait");
    let server = restarted(&adapter, server).await;
    for (number, request) in requests.into_iter().enumerate() {
        let expected = match number {
            sent if sent < 8 - waiting => Err(RequestError::ConnectionLost { sent: true }),
            _ => Ok(number),
        };
        assert_eq!(request.await, expected);
    }
    let [_, after]: [Journal; 2] = mark.connections(&server).try_into().unwrap();
    let seen: Vec<Value> = after.payloads("tools").map(|mut p| p["data"].take()).collect();
    assert_eq!(seen, (8 - waiting..8).map(Value::from).collect::<Vec<_>>());
}

/// A request that may be repeated is, once: a second loss is its end. One that may not says so.
pub async fn r4_repeated_at_most_once<A: Adapter>(adapter: A) {
    let server = Server::shared();
    let mark = Mark::new("/ws/");
    let client = adapter.connect(&mark.url(server), quick()).await.unwrap();

    let mute = || Request::new("tools", "mute");
    let repeated: ReplyFuture<Value> = client.call(mute().idempotent(true));
    let not_repeated: ReplyFuture<Value> = client.call(mute());
    for connection in 1..=2 {
        let arrived = || mark.count(server, "tools/mute") == connection + 1;
        eventually(&adapter, "the request arrives", arrived).await;
        let crash = client.call::<Value>(Request::new("tools", "crash")).await;
        assert_eq!(crash, Err(RequestError::ConnectionLost { sent: true }));
    }
    assert_eq!(not_repeated.await, Err(RequestError::ConnectionLost { sent: true }));
    assert_eq!(repeated.await, Err(RequestError::ConnectionLost { sent: true }));
    assert_eq!(client.stats().repeated, 1);
    assert_eq!(mark.count(server, "tools/mute"), 3);
}

/// A server that is shut down in order (SIGTERM to Uvicorn) says that it restarts: the client is back
/// within seconds, and its subscription goes on.
pub async fn l2_a_planned_restart<A: Adapter>(adapter: A) {
    let mut server = Server::builder().kind(Kind::Uvicorn).start().unwrap();
    let client = adapter.connect(&server.url("/ws/"), quick()).await.unwrap();
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
    let other = adapter.connect(&server.url("/ws/"), quick()).await.unwrap();
    let renamed = rename(&other, &task, "after").await;
    assert_eq!(change(&mut changes).await, Change::Update(renamed));
}
