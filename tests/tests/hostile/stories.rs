//! What each server does, and how the client reacts.

use std::any::TypeId;
use std::io::Write;
use std::time::{Duration, Instant};

use dcrf_proto::client::ChangeError;
use dcrf_proto::websocket::ConnectError;
use dcrf_proto::{
    Change, ClientEvent, Config, ConnectionError, ConnectionState, Heartbeat, Request,
    RequestError, Subscribe,
};
use dcrf_tests::adapter::{Adapter, TokioMultiThread, quick_config};
use dcrf_tests::client::{Client, Subscription};
use dcrf_tests::observe::{change, eventually, lost};
use serde_json::{Value, json};

use crate::server::{CONTINUATION, Server, TEXT, data};

/// The default limit of a message from the server.
const MAX_INCOMING: usize = 4 << 20;

/// A message without end exceeds the limit after some fragments.
pub(crate) async fn endless_fragments<A: Adapter>(adapter: A) {
    let server = Server::after_handshake(|peer| {
        let content = vec![b'x'; 32 * 1024];
        peer.fragment(TEXT, &content)?;
        loop {
            peer.fragment(CONTINUATION, &content)?;
        }
    });
    assert_closes_with_1009(adapter, &server).await;
}

/// Each fragment is a quarter of the limit, and so are the buffers that hold it.
pub(crate) async fn endless_large_fragments<A: Adapter>(adapter: A) {
    let server = Server::after_handshake(|peer| {
        let content = vec![b'x'; 1 << 20];
        peer.fragment(TEXT, &content)?;
        loop {
            peer.fragment(CONTINUATION, &content)?;
        }
    });
    assert_closes_with_1009(adapter, &server).await;
}

/// The header of a message announces that it exceeds the limit; the client does not read the rest.
pub(crate) async fn message_of_64_mib<A: Adapter>(adapter: A) {
    let server = Server::after_handshake(|peer| {
        peer.text_header(64 << 20)?;
        let content = vec![b'x'; 32 * 1024];
        for _ in 0..64 * 32 {
            peer.bytes(&content)?;
        }
        peer.flush()
    });
    assert_closes_with_1009(adapter, &server).await;
}

/// Asserts that the client closes each connection with 1009, and reconnects (F5).
async fn assert_closes_with_1009<A: Adapter>(adapter: A, server: &Server) {
    let client = adapter.connect_lazy(&server.url(), without_heartbeat()).unwrap();
    let mut events = client.events();
    for _ in 0..4 {
        let error = lost(&mut events).await;
        let is_too_large = |size: usize, limit| size > MAX_INCOMING && limit == MAX_INCOMING;
        match error {
            ConnectionError::TooLarge { size, limit } if is_too_large(size, limit) => {}
            other => panic!("{other:?}"),
        }
    }
    let closed = || server.close_codes().starts_with(&[1009; 3]);
    eventually(&adapter, "the server receives three close frames", closed).await;
}

/// Empty fragments never reach the limit. They don't count as a sign of life, so the heartbeat ends the
/// connection and requests in flight fail.
pub(crate) async fn endless_empty_fragments<A: Adapter>(adapter: A) {
    let server = Server::after_handshake(|peer| {
        peer.fragment(TEXT, b"")?;
        loop {
            peer.fragment(CONTINUATION, b"")?;
        }
    });
    let mut config = without_heartbeat();
    config.heartbeat = Some(Heartbeat {
        interval: Duration::from_millis(100),
        timeout: Duration::from_millis(200),
    });
    let client = adapter.connect(&server.url(), config).await.unwrap();
    let mut events = client.events();
    let request = client.call::<Value>(Request::new("tools", "echo"));
    let error = lost(&mut events).await;
    assert!(matches!(error, ConnectionError::Silent(_)), "{error:?}");
    assert!(matches!(request.await, Err(RequestError::ConnectionLost { sent: true, .. })));
    adapter.within(Duration::from_secs(10), client.close()).await;
}

/// Replies to unknown requests are counted and reported as events; a real request gets its reply.
///
/// A million takes ten seconds in a debug build, so all adapters but one get a tenth of it.
pub(crate) async fn million_unknown_ids<A: Adapter>(adapter: A) {
    let is_full = TypeId::of::<A>() == TypeId::of::<TokioMultiThread>();
    let count = if is_full { 1_000_000 } else { 100_000 };
    let server = Server::after_handshake(|peer| {
        while let Some(request) = peer.request() {
            let count = request["count"].as_u64().unwrap_or(0);
            for n in 0..count {
                peer.text(&format!(
                    r#"{{"stream": "tasks", "payload": {{"errors": [], "data": null, "action": "list", "response_status": 200, "request_id": "{n}"}}}}"#
                ))?;
            }
            peer.reply(&request, "null")?;
        }
        Ok(())
    });
    let client = adapter.connect(&server.url(), without_heartbeat()).await.unwrap();
    let mut events = client.events();
    flood(&client, count).await;
    assert_eq!(client.stats().unhandled, count);
    let capacity = u64::try_from(without_heartbeat().events.count).unwrap();
    let Some(ClientEvent::Lagged(dropped)) = events.next().await else { panic!("expected Lagged") };
    assert!((count - capacity..count).contains(&dropped), "{dropped} events were dropped");
    assert_still_connected(&client).await;
}

/// JSON that is nested too deep is dropped, or is a typed error of the request or subscription that it belongs to.
pub(crate) async fn json_nested_10_000_deep<A: Adapter>(adapter: A) {
    let server = Server::after_handshake(|peer| {
        let arrays = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        let objects = format!("{}1{}", r#"{"a":"#.repeat(10_000), "}".repeat(10_000));
        let unclosed = r#"{"a":"#.repeat(10_000);
        let not_a_number = objects.replace('1', "NaN");
        let mut subscribe = Value::Null;
        while let Some(request) = peer.request() {
            match request["action"].as_str() {
                Some("subscribe_instance") => {
                    subscribe = request.clone();
                    peer.reply(&request, "null")?;
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
                    peer.event(&subscribe, &data(1, ""))?;
                    peer.reply(&request, &objects)?;
                }
                _ => peer.reply(&request, "null")?,
            }
        }
        Ok(())
    });
    let client = adapter.connect(&server.url(), without_heartbeat()).await.unwrap();
    let mut changes = subscribe(&client).await;
    let reply = client.call::<Value>(Request::new("tasks", "deep")).await;
    assert!(matches!(reply, Err(RequestError::Decode(_))), "{reply:?}");
    for _ in 0..2 {
        let change = changes.next().await;
        assert!(matches!(change, Some(Err(ChangeError::Decode(_)))), "{change:?}");
    }
    let Change::Update(task) = change(&mut changes).await else { panic!("expected an update") };
    assert_eq!(task["n"], 1);
    let stats = client.stats();
    assert_eq!(stats.malformed + stats.unhandled, 4 + 4 * 7);
    assert!(stats.malformed > 0 && stats.unhandled > 0);
    assert_still_connected(&client).await;
}

/// A handshake response without end fails the attempt, whether it arrives fast or slowly.
pub(crate) async fn endless_handshake_headers<A: Adapter>(adapter: A) {
    let fast = Server::instead_of_handshake(|stream| {
        stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\n")?;
        let headers = "X-Another: and another and another and another\r\n".repeat(64);
        loop {
            stream.write_all(headers.as_bytes())?;
        }
    });
    let slow = Server::instead_of_handshake(|stream| {
        stream.set_nodelay(true)?;
        stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nX-Slow: ")?;
        loop {
            stream.write_all(b"x")?;
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let mut config = without_heartbeat();
    config.dial_timeout = Duration::from_millis(200);
    for server in [&fast, &slow] {
        let started = Instant::now();
        let connected = adapter.connect(&server.url(), config.clone()).await;
        let Err(ConnectError::Failed { error, .. }) = connected else { panic!("connected") };
        assert!(
            matches!(error, ConnectionError::Protocol(_) | ConnectionError::DialTimedOut(_)),
            "{error:?}"
        );
        assert!(started.elapsed() < Duration::from_secs(10));

        // A lazy client keeps trying.
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

/// A subscriber that does not read loses the oldest changes, learns their number, and gets the newest.
pub(crate) async fn flood_of_events<A: Adapter>(adapter: A) {
    let server = Server::after_handshake(|peer| {
        let mut subscribe = Value::Null;
        while let Some(request) = peer.request() {
            if request["action"] == "subscribe_instance" {
                subscribe = request.clone();
            }
            let size = usize::try_from(request["size"].as_u64().unwrap_or(0)).unwrap_or(0);
            let padding = "x".repeat(size);
            for n in 0..request["count"].as_u64().unwrap_or(0) {
                let n = usize::try_from(n).unwrap_or(0);
                peer.event(&subscribe, &data(n, &padding))?;
            }
            peer.reply(&request, "null")?;
        }
        Ok(())
    });
    let client = adapter.connect(&server.url(), without_heartbeat()).await.unwrap();
    let mut changes = subscribe(&client).await;
    for (count, size) in [(30_000, 20), (100, 300_000)] {
        let request = Request::new("tasks", "flood").arg("count", count).arg("size", size);
        client.call::<Value>(request).await.unwrap();
        let Change::Lagged(mut seen) = change(&mut changes).await else {
            panic!("expected Lagged")
        };
        let mut newest = Value::Null;
        while seen < count {
            let Change::Update(task) = change(&mut changes).await else {
                panic!("expected an update")
            };
            newest = task["n"].clone();
            seen += 1;
        }
        assert_eq!((seen, newest), (count, json!(count - 1)));
    }
    assert_eq!(client.stats().unread_changes_bytes, 0);
    assert_still_connected(&client).await;
}

/// The default limits. The servers are too busy to answer pings in time, so there is no heartbeat.
fn without_heartbeat() -> Config {
    let mut config = quick_config();
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

/// Asserts that requests still get replies, on the first connection.
async fn assert_still_connected(client: &Client) {
    client.call::<Value>(Request::new("tasks", "ping")).await.unwrap();
    let stats = client.stats();
    assert_eq!(
        (client.state(), stats.connections, stats.disconnects),
        (ConnectionState::Connected, 1, 0)
    );
}
