//! The end of a client: closed in every state, dropped, or abandoned by its runtime.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use crate::client::ReplyFuture;
use dcrf_proto::{
    CloseOptions, CloseReason, ConnectionState, Request, RequestError, Subscribe, SubscriptionError,
};
use serde_json::{Value, json};

use super::connect::refused_url;
use super::{connect_to_shared, create_task};
use crate::adapter::{Adapter, quick_config};
use crate::models::Task;
use crate::observe::{Mark, ended, eventually, lost};
use crate::server::Server;
use crate::story_server::Journaled;

/// Longer than any close here may take.
const SOON: Duration = Duration::from_secs(3);

/// Requests in flight get their replies before the connection closes with 1000.
pub async fn c1_close_waits_for_replies_in_flight<A: Adapter>(adapter: A) {
    let server = &adapter.shared();
    let mark = Mark::new("/ws/");
    let client = adapter.connect(&mark.url(server), quick_config()).await.unwrap();
    let task = create_task(&client, "watched").await;
    let mut changes =
        client.subscribe::<Task>(Subscribe::instance("tasks", task.pk)).await.unwrap();

    let slow: ReplyFuture<Value> = client.call(Request::new("tools", "slow").arg("seconds", 0.3));
    let closing = client.close();
    // The call rejects new requests at once.
    let rejected = client.call::<Value>(Request::new("tools", "echo")).await;
    adapter.within(SOON, closing).await;
    assert_eq!(slow.await, Ok(json!({"slept": 0.3})));
    assert_eq!(ended(&mut changes).await, SubscriptionError::Closed(CloseReason::ByCaller));
    let closed = RequestError::Closed { reason: CloseReason::ByCaller, sent: false };
    assert_eq!(rejected, Err(closed));

    eventually(&adapter, "the server sees the end", || mark.close_codes(server) == [1000]).await;
    assert_eq!(mark.count(server, "tasks/unsubscribe_instance"), 0);
    // Closing again is a no-op.
    adapter.within(SOON, client.close()).await;
    client.close_now();
    assert_eq!(client.state(), ConnectionState::Closed(CloseReason::ByCaller));
}

/// The wait for replies is bounded; requests without a reply settle with an error.
pub async fn c1_close_waits_no_longer_than_its_timeout<A: Adapter>(adapter: A) {
    let client = connect_to_shared(&adapter).await;

    let mute: ReplyFuture<Value> = client.call(Request::new("tools", "mute"));
    let close = CloseOptions::default().wait(Duration::from_millis(200));
    adapter.within(SOON, client.close_with(close)).await;
    let reason = CloseReason::ByCaller;
    assert_eq!(mute.await, Err(RequestError::Closed { reason, sent: true }));
}

/// With `unsubscribe()` the unsubscribes are sent first.
pub async fn c1_close_can_unsubscribe_first<A: Adapter>(adapter: A) {
    let server = &adapter.shared();
    let mark = Mark::new("/ws/");
    let client = adapter.connect(&mark.url(server), quick_config()).await.unwrap();
    let task = create_task(&client, "watched").await;
    let _changes = client.subscribe::<Task>(Subscribe::instance("tasks", task.pk)).await.unwrap();

    adapter.within(SOON, client.close_with(CloseOptions::default().unsubscribe())).await;
    eventually(&adapter, "the server sees the end", || mark.close_codes(server) == [1000]).await;
    assert_eq!(mark.count(server, "tasks/unsubscribe_instance"), 1);
}

/// Closing without waiting settles everything at once and still sends a close frame.
pub async fn c1_close_now_settles_at_once<A: Adapter>(adapter: A) {
    let server = &adapter.shared();
    let mark = Mark::new("/ws/");
    let client = adapter.connect(&mark.url(server), quick_config()).await.unwrap();

    let mute: ReplyFuture<Value> = client.call(Request::new("tools", "mute"));
    eventually(&adapter, "the request arrives", || mark.count(server, "tools/mute") == 1).await;
    client.close_now();
    let reason = CloseReason::ByCaller;
    assert_eq!(client.state(), ConnectionState::Closed(reason.clone()));
    assert_eq!(mute.await, Err(RequestError::Closed { reason, sent: true }));
    eventually(&adapter, "the server sees the end", || mark.close_codes(server) == [1000]).await;
}

/// Offline there is nothing to wait for, and no dial follows.
pub async fn c1_close_offline_settles_at_once<A: Adapter>(adapter: A) {
    let client = adapter.connect_lazy(&refused_url("/ws/"), quick_config()).unwrap();
    let mut events = client.events();
    let waiting: ReplyFuture<Value> = client.call(Request::new("tools", "echo"));
    let subscribing = client.subscribe::<Task>(Subscribe::instance("tasks", 1));

    lost(&mut events).await;
    adapter.within(SOON, client.close()).await;
    let reason = CloseReason::ByCaller;
    assert_eq!(waiting.await, Err(RequestError::Closed { reason: reason.clone(), sent: false }));
    assert_eq!(subscribing.await.map(drop), Err(SubscriptionError::Closed(reason)));
    no_task_is_left(&adapter).await; // L11: nothing is left that could dial.
}

/// A close aborts a handshake that never ends.
pub async fn c1_close_aborts_a_dial<A: Adapter>(adapter: A) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("ws://{}/ws/", listener.local_addr().unwrap());
    let client = adapter.connect_lazy(&url, quick_config()).unwrap();

    let waiting: ReplyFuture<Value> = client.call(Request::new("tools", "echo"));
    listener.set_nonblocking(true).unwrap();
    let mut accepted = None;
    eventually(&adapter, "the dial is under way", || {
        accepted = listener.accept().ok();
        accepted.is_some()
    })
    .await;
    assert!(matches!(client.state(), ConnectionState::Connecting { .. }));
    adapter.within(SOON, client.close()).await;
    let reason = CloseReason::ByCaller;
    assert_eq!(waiting.await, Err(RequestError::Closed { reason, sent: false }));
    no_task_is_left(&adapter).await;
}

/// Clones, pending replies and subscriptions keep a client alive; dropping the last one releases
/// everything.
pub async fn c2_dropping_the_last_handle_releases_everything<A: Adapter>(adapter: A) {
    let server = Server::start().unwrap();
    let mark = Mark::new("/ws/");
    let client = adapter.connect(&mark.url(&server), quick_config()).await.unwrap();
    let clone = client.clone();
    let mute: ReplyFuture<Value> = clone.call(Request::new("tools", "mute"));
    let changes = clone.subscribe::<Task>(Subscribe::instance("tasks", 1)).await.unwrap();
    assert_eq!(sockets_to(server.address()), 1);

    drop(client);
    drop(clone);
    drop(mute);
    assert_eq!((sockets_to(server.address()), mark.close_codes(&server).len()), (1, 0));
    drop(changes);
    no_task_is_left(&adapter).await;
    eventually(&adapter, "no descriptor is left", || sockets_to(server.address()) == 0).await;
    eventually(&adapter, "the server sees the end", || mark.close_codes(&server) == [1000]).await;
}

/// The same without a connection.
pub async fn c2_dropping_the_last_handle_offline<A: Adapter>(adapter: A) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let silent = listener.local_addr().unwrap();
    for (url, sockets) in [(format!("ws://{silent}/ws/"), 1), (refused_url("/ws/"), 0)] {
        let client = adapter.connect_lazy(&url, quick_config()).unwrap();
        let reply: ReplyFuture<Value> = client.call(Request::new("tools", "echo"));
        eventually(&adapter, "it dials", || sockets_to(silent) == sockets).await;
        drop(client);
        assert!(
            adapter.tasks().is_none_or(|tasks| tasks == 1),
            "the pending reply keeps the client alive"
        );
        assert_eq!(sockets_to(silent), sockets);
        drop(reply);
        no_task_is_left(&adapter).await;
        eventually(&adapter, "no descriptor is left", || sockets_to(silent) == 0).await;
    }
}

/// A runtime that shuts down settles every call. With dcrf-smol and dcrf-blocking nothing shuts
/// down: the client stays connected until it is closed.
pub async fn c2_runtime_shutdown_settles_everything<A: Adapter>(adapter: A) {
    let url = adapter.shared().url("/ws/");
    let inner = {
        let adapter = adapter.clone();
        move || {
            adapter.clone().run(async move {
                let client = adapter.connect(&url, quick_config()).await.unwrap();
                let mute: ReplyFuture<Value> = client.call(Request::new("tools", "mute"));
                let task = Subscribe::instance("tasks", 1);
                let changes = client.subscribe::<Task>(task).await.unwrap();
                (client, mute, changes)
            })
        }
    };
    // On another thread, because this one is inside a runtime.
    let (client, mute, mut changes) = std::thread::spawn(inner).join().unwrap();

    let reason = if adapter.ends_with_run() {
        CloseReason::DriverStopped
    } else {
        let echo = client.call::<Value>(Request::new("tools", "echo")).await;
        assert_eq!(echo, Ok(json!({})));
        client.close_now();
        CloseReason::ByCaller
    };
    assert_eq!(client.state(), ConnectionState::Closed(reason.clone()));
    assert_eq!(mute.await, Err(RequestError::Closed { reason: reason.clone(), sent: true }));
    assert_eq!(ended(&mut changes).await, SubscriptionError::Closed(reason.clone()));
    let late = client.call::<Value>(Request::new("tools", "echo")).await;
    assert_eq!(late, Err(RequestError::Closed { reason, sent: false }));
    adapter.within(SOON, client.close()).await;
}

async fn no_task_is_left<A: Adapter>(adapter: &A) {
    eventually(adapter, "no task is left", || adapter.tasks().is_none_or(|tasks| tasks == 0)).await;
}

/// The number of open client sockets to a server's port on this machine.
fn sockets_to(server: SocketAddr) -> usize {
    let port = format!(":{:04X}", server.port());
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let is_open = |line: &&str| {
        // sl, local_address, rem_address, st, …, inode: 0 once no descriptor holds the socket.
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields[2].ends_with(&port) && fields[9] != "0"
    };
    table.lines().skip(1).filter(is_open).count()
}
