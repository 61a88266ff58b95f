//! What each server does, and what becomes of its client.

use std::any::TypeId;
use std::io::Write;
use std::time::{Duration, Instant};

use dcrf_proto::client::ChangeError;
use dcrf_proto::websocket::ConnectError;
use dcrf_proto::{
    Change, ClientEvent, CloseReason, Config, ConnectionError, ConnectionState, Heartbeat, Request,
    RequestError, Subscribe,
};
use dcrf_tests::adapter::{Adapter, TokioMultiThread, quick};
use dcrf_tests::client::{Client, Subscription};
use dcrf_tests::observe::{change, closed, eventually, lost};
use serde_json::{Value, json};

use crate::server::{CONTINUATION, Server, TEXT, object};

/// As large as a message may be where nothing else is said.
const MAX_INCOMING: usize = 4 << 20;

/// A message without an end is over the limit at some fragment.
pub(crate) async fn endless_fragments<A: Adapter>(adapter: A) {
    let server = Server::after_the_handshake(|peer| {
        let content = vec![b'x'; 32 * 1024];
        peer.fragment(TEXT, &content)?;
        loop {
            peer.fragment(CONTINUATION, &content)?;
        }
    });
    ends_with_1009(adapter, &server).await;
}

/// Each fragment is a large part of what a message may be, and so are the buffers that hold it.
pub(crate) async fn large_fragments<A: Adapter>(adapter: A) {
    let server = Server::after_the_handshake(|peer| {
        let content = vec![b'x'; 1 << 20];
        peer.fragment(TEXT, &content)?;
        loop {
            peer.fragment(CONTINUATION, &content)?;
        }
    });
    ends_with_1009(adapter, &server).await;
}

/// A message that says that it is over the limit is not waited for.
pub(crate) async fn a_message_of_64_mib<A: Adapter>(adapter: A) {
    let server = Server::after_the_handshake(|peer| {
        peer.announce(64 << 20)?;
        let content = vec![b'x'; 32 * 1024];
        for _ in 0..64 * 32 {
            peer.bytes(&content)?;
        }
        peer.flush()
    });
    ends_with_1009(adapter, &server).await;
}

/// F5: each connection is closed with 1009, and the third is the last.
async fn ends_with_1009<A: Adapter>(adapter: A, server: &Server) {
    let client = adapter.connect_lazy(&server.url(), calm()).unwrap();
    let reason = closed(&client).await;
    assert_eq!(reason, CloseReason::Fatal(ConnectionError::TooLarge { limit: MAX_INCOMING }));
    let told = || server.close_codes() == [1009; 3];
    eventually(&adapter, "the server is told each time", told).await;
}

/// Fragments without content never reach the limit. They are no frames that anybody would hear, so the server
/// counts as silent, and whoever waits is not kept.
pub(crate) async fn endless_empty_fragments<A: Adapter>(adapter: A) {
    let server = Server::after_the_handshake(|peer| {
        peer.fragment(TEXT, b"")?;
        loop {
            peer.fragment(CONTINUATION, b"")?;
        }
    });
    let mut config = calm();
    config.heartbeat = Some(Heartbeat {
        interval: Duration::from_millis(100),
        timeout: Duration::from_millis(200),
    });
    let client = adapter.connect(&server.url(), config).await.unwrap();
    let mut events = client.events();
    let waiting = client.call::<Value>(Request::new("tools", "echo"));
    let silent = lost(&mut events).await;
    assert!(matches!(silent, ConnectionError::Silent(_)), "not silent, but {silent:?}");
    assert_eq!(waiting.await, Err(RequestError::ConnectionLost { sent: true }));
    adapter.within(Duration::from_secs(10), client.close()).await;
}

/// Answers to requests that nobody made are dropped and counted; the requests that were made are answered.
///
/// They take ten seconds in a debug build: one adapter has the million, the others a tenth of it.
pub(crate) async fn a_million_unknown_ids<A: Adapter>(adapter: A) {
    let all = TypeId::of::<A>() == TypeId::of::<TokioMultiThread>();
    let count = if all { 1_000_000 } else { 100_000 };
    let server = Server::after_the_handshake(|peer| {
        while let Some(request) = peer.request() {
            let count = request["count"].as_u64().unwrap_or(0);
            for n in 0..count {
                peer.text(&format!(
                    r#"{{"stream": "tasks", "payload": {{"errors": [], "data": null, "action": "list", "response_status": 200, "request_id": "{n}"}}}}"#
                ))?;
            }
            peer.answer(&request, "null")?;
        }
        Ok(())
    });
    let client = adapter.connect(&server.url(), calm()).await.unwrap();
    let mut unread = client.events();
    flood(&client, count).await;
    assert_eq!(client.stats().unhandled, count);
    // A program that does not read its notices is told how many it has missed.
    let room = u64::try_from(calm().events.count).unwrap();
    let Some(ClientEvent::Lagged(missed)) = unread.next().await else {
        panic!("nothing was missed")
    };
    assert!((count - room..count).contains(&missed), "missed {missed}");
    still_alive(&client).await;
}

/// What is nested deeper than anybody reads is dropped, or told by a typed error to who asked for it.
pub(crate) async fn nested_ten_thousand_deep<A: Adapter>(adapter: A) {
    let server = Server::after_the_handshake(|peer| {
        let arrays = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        let objects = format!("{}1{}", r#"{"a":"#.repeat(10_000), "}".repeat(10_000));
        let unclosed = r#"{"a":"#.repeat(10_000);
        let not_a_number = objects.replace('1', "NaN");
        let mut subscribe = Value::Null;
        while let Some(request) = peer.request() {
            match request["action"].as_str() {
                Some("subscribe_instance") => {
                    subscribe = request.clone();
                    peer.answer(&request, "null")?;
                }
                Some("deep") => {
                    peer.text(&arrays)?;
                    peer.text(&objects)?;
                    peer.text(&unclosed)?;
                    peer.text(&not_a_number)?;
                    for deep in [&arrays, &objects, &unclosed, &not_a_number] {
                        peer.text(&format!(r#"{{"stream": "tasks", "payload": {deep}}}"#))?;
                        peer.text(&format!(r#"{{"stream": {deep}, "payload": {{}}}}"#))?;
                        for field in ["errors", "data", "action", "response_status", "request_id"] {
                            peer.text(&format!(
                                r#"{{"stream": "tasks", "payload": {{"{field}": {deep}}}}}"#
                            ))?;
                        }
                    }
                    peer.event(&subscribe, &arrays)?;
                    peer.event(&subscribe, &objects)?;
                    peer.event(&subscribe, &object(1, ""))?;
                    peer.answer(&request, &objects)?;
                }
                _ => peer.answer(&request, "null")?,
            }
        }
        Ok(())
    });
    let client = adapter.connect(&server.url(), calm()).await.unwrap();
    let mut changes = subscribe(&client).await;
    let answer = client.call::<Value>(Request::new("tasks", "deep")).await;
    assert!(matches!(answer, Err(RequestError::Decode(_))), "{answer:?}");
    for _ in 0..2 {
        let change = changes.next().await;
        assert!(matches!(change, Some(Err(ChangeError::Decode(_)))), "{change:?}");
    }
    let Change::Update(task) = change(&mut changes).await else { panic!("no update") };
    assert_eq!(task["n"], 1);
    let stats = client.stats();
    assert_eq!(stats.malformed + stats.unhandled, 4 + 4 * 7);
    assert!(stats.malformed > 0 && stats.unhandled > 0);
    still_alive(&client).await;
}

/// An answer to the handshake that does not end is given up, whether it comes fast or slowly.
pub(crate) async fn endless_handshake_headers<A: Adapter>(adapter: A) {
    let fast = Server::in_the_handshake(|stream| {
        stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\n")?;
        let headers = "X-Another: and another and another and another\r\n".repeat(64);
        loop {
            stream.write_all(headers.as_bytes())?;
        }
    });
    let slow = Server::in_the_handshake(|stream| {
        stream.set_nodelay(true)?;
        stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nX-Slow: ")?;
        loop {
            stream.write_all(b"x")?;
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let mut config = calm();
    config.dial_timeout = Duration::from_millis(200);
    for server in [&fast, &slow] {
        let started = Instant::now();
        let connected = adapter.connect(&server.url(), config.clone()).await;
        let Err(ConnectError::Failed { error, .. }) = connected else { panic!("it connected") };
        assert!(
            matches!(error, ConnectionError::Protocol(_) | ConnectionError::DialTimedOut(_)),
            "{error:?}"
        );
        assert!(started.elapsed() < Duration::from_secs(10));

        // The lazy form goes on trying, as long as its program wants.
        let client = adapter.connect_lazy(&server.url(), config.clone()).unwrap();
        let mut events = client.events();
        for _ in 0..3 {
            let error = lost(&mut events).await;
            assert!(
                matches!(error, ConnectionError::Protocol(_) | ConnectionError::DialTimedOut(_)),
                "{error:?}"
            );
        }
        adapter.within(Duration::from_secs(10), client.close()).await;
    }
}

/// A reader that never reads loses the oldest, is told how many, and has the newest.
pub(crate) async fn a_flood_of_events<A: Adapter>(adapter: A) {
    let server = Server::after_the_handshake(|peer| {
        let mut subscribe = Value::Null;
        while let Some(request) = peer.request() {
            if request["action"] == "subscribe_instance" {
                subscribe = request.clone();
            }
            let size = usize::try_from(request["size"].as_u64().unwrap_or(0)).unwrap_or(0);
            let padding = "x".repeat(size);
            for n in 0..request["count"].as_u64().unwrap_or(0) {
                let n = usize::try_from(n).unwrap_or(0);
                peer.event(&subscribe, &object(n, &padding))?;
            }
            peer.answer(&request, "null")?;
        }
        Ok(())
    });
    let client = adapter.connect(&server.url(), calm()).await.unwrap();
    let mut changes = subscribe(&client).await;
    for (count, size) in [(30_000, 20), (100, 300_000)] {
        let request = Request::new("tasks", "flood").arg("count", count).arg("size", size);
        client.call::<Value>(request).await.unwrap();
        let Change::Lagged(mut told) = change(&mut changes).await else { panic!("none dropped") };
        let mut newest = Value::Null;
        while told < count {
            let Change::Update(task) = change(&mut changes).await else { panic!("no update") };
            newest = task["n"].clone();
            told += 1;
        }
        assert_eq!((told, newest), (count, json!(count - 1)));
    }
    assert_eq!(client.stats().unread_changes_bytes, 0);
    still_alive(&client).await;
}

/// The defaults, whose limits are those that are measured. A server that floods has no time for pings.
fn calm() -> Config {
    let mut config = quick();
    config.heartbeat = None;
    config.request_timeout = None;
    config
}

async fn subscribe(client: &Client) -> Subscription<Value> {
    client.subscribe(Subscribe::instance("tasks", 7)).await.unwrap()
}

async fn flood(client: &Client, count: u64) {
    let request = Request::new("tasks", "flood").arg("count", count);
    client.call::<Value>(request).await.unwrap();
}

/// It is on its first connection still, and its requests are answered.
async fn still_alive(client: &Client) {
    client.call::<Value>(Request::new("tasks", "ping")).await.unwrap();
    let stats = client.stats();
    assert_eq!(
        (client.state(), stats.connections, stats.disconnects),
        (ConnectionState::Connected, 1, 0)
    );
}
