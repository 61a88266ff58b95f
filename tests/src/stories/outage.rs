//! The server is killed (SIGKILL) and started again on the same port.

use std::time::Duration;

use dcrf_proto::client::Response;
use dcrf_proto::{Change, Lost, Request, RequestError, Subscribe};
use serde_json::{Value, json};

use crate::adapter::{Adapter, quick};
use crate::models::Task;
use crate::observe::{Mark, change, eventually, lost};
use crate::server::Server;

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
    let written: Response<Value> = client.call(Request::new("tools", "mute"));
    eventually(&adapter, "the request arrives", || mark.count(&server, "tools/mute") == 1).await;
    // Two more leave, and the server does not get to read them.
    server.pause().unwrap();
    let repeated: Response<Vec<Task>> = client.list("tasks");
    let unsafe_to_repeat: Response<Task> = client.create("tasks", &json!({"title": "in flight"}));
    eventually(&adapter, "both are handed over", || client.stats().waiting_requests == 0).await;

    server.kill().unwrap();
    assert!(matches!(lost(&mut events).await, Lost::Dropped | Lost::Io { .. }));
    let sent = Err(RequestError::ConnectionLost { sent: true });
    assert_eq!(written.await, sent);
    assert_eq!(unsafe_to_repeat.await.map(drop), sent.map(drop));

    // The outage goes on, and so does the program.
    let queued: Response<Task> = client.create("tasks", &json!({"title": "queued"}));
    let expired: Response<Value> =
        client.call(Request::new("tools", "echo").timeout(Duration::from_millis(50)));
    let subscribing = client.subscribe::<Task>(Subscribe::new("tasks", "subscribe_all"));
    assert_eq!(expired.await, Err(RequestError::TimedOut { sent: false }));

    server.restart().unwrap();
    assert!(repeated.await.unwrap().contains(&task));
    assert_eq!(queued.await.unwrap().title, "queued");
    let mut all = subscribing.await.unwrap();
    assert!(matches!(change(&mut changes).await, Change::Gap(_)));

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
