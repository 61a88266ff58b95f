//! The spans and events of a client with the feature `tracing`, over an in-memory WebSocket. The manifest enables the
//! feature for all tests of this crate.

#[path = "../../dcrf-proto/tests/trace/collector/mod.rs"]
#[allow(dead_code, reason = "each test binary uses a part of it")]
mod collector;
#[allow(dead_code, unreachable_pub, reason = "each test uses a part of these builders")]
#[path = "../../dcrf-proto/src/fake_server/frames.rs"]
mod server_frames;

use async_tungstenite::tokio::accept_async;
use async_tungstenite::tungstenite::Message;
use collector::Collector;
use dcrf_tokio::{Client, ClientEvent, ConnectionState, Request};
use futures_lite::StreamExt;
use serde_json::Value;
use tokio::io::{DuplexStream, duplex};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};

/// Replies to each request with 200, and drops the connection at the action `vanish`.
async fn serve(far: DuplexStream) {
    let Ok(mut socket) = accept_async(far).await else { return };
    while let Some(Ok(Message::Text(text))) = socket.next().await {
        let frame: Value = serde_json::from_str(&text).unwrap();
        if server_frames::action_of(&frame) == "vanish" {
            return;
        }
        let reply = server_frames::reply(&frame, 200, &Value::Null);
        let _ = socket.send(Message::text(reply.to_string())).await;
    }
}

async fn connect() -> Client {
    let builder = dcrf_tokio::builder("ws://example.com/ws/?token=secret").connector(|_| {
        let (near, far) = duplex(64 * 1024);
        tokio::spawn(serve(far));
        async { Ok(near) }
    });
    builder.connect().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn request_and_reconnect_are_traced() {
    let collector = Collector::default();
    let _guard = collector.collect();
    let client = connect().await;
    let mut client_events = client.events();
    let checkout = tracing::span!(target: "story", Level::INFO, "checkout");
    let echo = checkout.in_scope(|| client.call::<()>(Request::new("tools", "echo").id("a")));
    echo.await.unwrap();
    client.call::<()>(Request::new("tools", "vanish").id("b")).await.unwrap_err();
    while !matches!(
        client_events.next().await.unwrap(),
        ClientEvent::State(ConnectionState::Connected)
    ) {}
    client.close().await;

    let events: Vec<String> = collector.events().iter().map(|event| without_times(event)).collect();
    assert_eq!(
        events,
        [
            "DEBUG dcrf::connection connecting, attempt 1 attempt=1 in client",
            "INFO dcrf::connection connected attempt=1 in client",
            "DEBUG dcrf::request ok in request",
            "INFO dcrf::connection waiting for attempt 2: the connection ended without a close frame \
             attempt=1 in client",
            "DEBUG dcrf::request connection lost in request",
            "DEBUG dcrf::connection connecting, attempt 2 attempt=2 in client",
            "INFO dcrf::connection connected attempt=2 in client",
            "INFO dcrf::connection closed: the client was closed attempt=2 in client",
        ]
    );
    let spans: Vec<String> = collector.spans().iter().map(|span| without_times(span)).collect();
    let request = "DEBUG dcrf::request request stream=tools";
    assert_eq!(
        spans,
        [
            "INFO dcrf::connection client server=ws://example.com/ws/".to_owned(),
            "INFO story checkout".to_owned(),
            format!("{request} action=echo request_id=a in checkout outcome=ok sent=true"),
            format!("{request} action=vanish request_id=b outcome=connection lost sent=true"),
        ]
    );
}

fn without_times(text: &str) -> String {
    let is_time = |word: &&str| !word.split('=').next().unwrap().ends_with("ms");
    text.split(' ').filter(is_time).collect::<Vec<_>>().join(" ")
}

/// Panics on each call.
struct Panicking;

const EXPECTED: &str = "expected in the output of this test";

impl Subscriber for Panicking {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {
        panic!("{EXPECTED}");
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {
        panic!("{EXPECTED}");
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {
        panic!("{EXPECTED}");
    }

    fn try_close(&self, _: Id) -> bool {
        panic!("{EXPECTED}");
    }
}

/// It would abort the process, and with it all tests of this file.
#[test]
fn c4_a_panicking_subscriber_ends_neither_the_process_nor_the_client() {
    let _turn = collector::turn();
    let _guard = tracing::subscriber::set_default(Panicking);
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().start_paused(true).build().unwrap().block_on(async {
        let client = connect().await;
        client.call::<()>(Request::new("tools", "echo")).await.unwrap();
        client.call::<()>(Request::new("tools", "vanish")).await.unwrap_err();
        client.connected().await.unwrap();
        client.call::<()>(Request::new("tools", "echo")).await.unwrap();
        client.close().await;
    });
}
