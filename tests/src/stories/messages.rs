//! Messages without a reply, `flush`, and unsolicited frames.

use crate::client::{Client, Listener};
use dcrf_proto::{
    CloseReason, ListenerEvent, RejectReason, Request, RequestError, Selector, Subscribe,
};
use futures_lite::future::poll_once;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::adapter::{Adapter, quick_config};
use crate::observe::{Mark, connected, eventually, lost, restarted};
use crate::server::{Journal, Server};

#[derive(Debug, Deserialize)]
struct Tick {
    n: u64,
}

fn echo(number: u32) -> Request {
    Request::new("tools", "echo").arg("number", number)
}

/// Offline, messages wait in call order, `send_now` hands its message back, and nothing is sent
/// twice.
pub async fn r10_message_waits_for_the_connection<A: Adapter>(adapter: A) {
    let mut server = Server::start().unwrap();
    let mark = Mark::new("/ws/");
    let client = adapter.connect(&mark.url(&server), quick_config()).await.unwrap();
    let mut events = client.events();
    client.send_now(echo(1)).unwrap();
    client.flush().await.unwrap();
    eventually(&adapter, "its reply is counted", || client.stats().late == 1).await;

    server.kill().unwrap();
    lost(&mut events).await;
    let rejected = client.send_now(echo(2)).unwrap_err();
    assert_eq!((rejected.command, rejected.reason), (echo(2), RejectReason::NotConnected));
    client.send(echo(3)).unwrap();
    let reply = client.call::<Value>(echo(4));
    client.send(echo(5)).unwrap();
    let flush = client.flush();
    assert_eq!(client.stats().waiting_requests, 3);

    let server = restarted(&adapter, server).await;
    connected(&mut events).await;
    flush.await.unwrap();
    assert_eq!(client.stats().waiting_requests, 0);
    assert_eq!(reply.await, Ok(json!({"number": 4})));
    // The replies to messages are dropped.
    eventually(&adapter, "their replies are counted", || client.stats().late == 3).await;
    let [before, after]: [Journal; 2] = mark.connections(&server).try_into().unwrap();
    let numbers = |journal: &Journal| -> Vec<Value> {
        journal.payloads("tools").map(|mut payload| payload["number"].take()).collect()
    };
    assert_eq!(
        (numbers(&before), numbers(&after)),
        (vec![json!(1)], vec![3.into(), 4.into(), 5.into()])
    );
    assert_eq!((client.stats().unhandled, client.stats().unsent), (0, 0));
}

/// `flush` waits until the socket has taken everything accepted before it, subscriptions too.
pub async fn c3_flush_waits_for_the_socket<A: Adapter>(adapter: A) {
    let server = Server::start().unwrap();
    let mark = Mark::new("/ws/");
    let client = adapter.connect(&mark.url(&server), quick_config()).await.unwrap();

    // The server does not read, and a few megabytes fill the sockets.
    server.pause().unwrap();
    let padding = "x".repeat(1_000_000);
    for _ in 0..8 {
        client.send(Request::new("tools", "mute").arg("padding", &padding)).unwrap();
    }
    let subscribing = client.subscribe::<Value>(Subscribe::instance("tasks", 1));
    let mut flush = client.flush();
    eventually(&adapter, "some are written", || client.stats().waiting_requests < 8).await;
    assert!(poll_once(&mut flush).await.is_none());
    assert!(client.stats().waiting_requests > 0);

    server.resume().unwrap();
    flush.await.unwrap();
    assert_eq!(client.stats().waiting_requests, 0);
    drop(subscribing.await.unwrap());
    eventually(&adapter, "all have arrived", || mark.count(&server, "tools/mute") == 8).await;
}

/// A client that closes before its first connection reports why nothing was written.
pub async fn c3_flush_fails_if_the_client_closes_first<A: Adapter>(adapter: A) {
    let mut server = Server::start().unwrap();
    server.kill().unwrap();
    let client = adapter.connect_lazy(&server.url("/ws/"), quick_config()).unwrap();

    client.send(echo(1)).unwrap();
    let flush = client.flush();
    client.close_now();
    assert_eq!(flush.await, Err(CloseReason::ByCaller));
    assert_eq!(client.flush().await, Err(CloseReason::ByCaller));
    let rejected = client.send(echo(2)).unwrap_err();
    assert_eq!(rejected.reason, RejectReason::Closed(CloseReason::ByCaller));
    assert_eq!(client.stats().unsent, 1);
}

/// Listeners receive matching unsolicited frames, also on the next connection.
pub async fn f2_listener_survives_a_reconnect<A: Adapter>(adapter: A) {
    let mark = Mark::new("/ws/");
    let client = adapter.connect(&mark.url(&adapter.shared()), quick_config()).await.unwrap();
    let mut events = client.events();
    let selector = || Selector::stream("tools").contains(json!({"type": "tick"}));
    let mut ticks = client.listen::<Tick>(selector()).unwrap();
    let mut second = client.listen::<Tick>(selector().contains(json!({"n": 1}))).unwrap();

    assert_eq!(pushed(&client, &mut ticks, 3).await, [0, 1, 2]);
    let crash = client.call::<Value>(Request::new("tools", "crash")).await;
    assert!(matches!(crash, Err(RequestError::ConnectionLost { sent: true, .. })));
    lost(&mut events).await;
    connected(&mut events).await;
    assert_eq!(pushed(&client, &mut ticks, 2).await, [0, 1]);
    assert_eq!((next(&mut second).await, next(&mut second).await), (1, 1));
    assert_eq!(client.stats().unhandled, 0);

    drop((ticks, second));
    client.call::<Value>(Request::new("tools", "push").arg("count", 1)).await.unwrap();
    assert_eq!(client.stats().unhandled, 1);
    let mut late = client.listen::<Tick>(selector()).unwrap();
    client.close().await;
    assert!(late.next().await.is_none());
}

/// Makes the server push `count` ticks and collects them.
async fn pushed(client: &Client, ticks: &mut Listener<Tick>, count: usize) -> Vec<u64> {
    let push = Request::new("tools", "push").arg("count", count);
    assert_eq!(client.call::<Value>(push).await, Ok(json!({"pushed": count})));
    let mut numbers = Vec::new();
    for _ in 0..count {
        numbers.push(next(ticks).await);
    }
    numbers
}

async fn next(ticks: &mut Listener<Tick>) -> u64 {
    match ticks.next().await {
        Some(Ok(ListenerEvent::Frame { payload: Tick { n }, .. })) => n,
        other => panic!("expected a tick, got {other:?}"),
    }
}
