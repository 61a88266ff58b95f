//! X1: no secret is shown or logged, whether it is in the query, a header, a cookie, a subprotocol or a payload. This
//! test has its own process, because a process has one logger.
#![expect(clippy::result_large_err, reason = "the type is tungstenite's")]

#[path = "../../dcrf-proto/tests/trace/collector/mod.rs"]
#[allow(dead_code, reason = "each test binary uses a part of it")]
mod collector;
#[allow(dead_code, unreachable_pub, reason = "each test uses a part of these builders")]
#[path = "../../dcrf-proto/src/fake_server/frames.rs"]
mod server_frames;

use std::fmt::Debug;
use std::sync::Mutex;

use async_tungstenite::tokio::accept_hdr_async;
use async_tungstenite::tungstenite::handshake::server::{Request as Handshake, Response as Answer};
use async_tungstenite::tungstenite::protocol::CloseFrame as TungsteniteFrame;
use async_tungstenite::tungstenite::{Message, Utf8Bytes};
use collector::Collector;
use dcrf_tokio::{
    Change, ChangeError, ClientEvent, CloseOptions, ConnectError, Credentials, Request,
    RequestError, Subscribe, SubscriptionError,
};
use futures_lite::StreamExt;
use serde_json::{Value, json};
use tokio::io::{DuplexStream, duplex};

const CANARY: &str = "canary-5ec2e7";

/// The reason in the server's close frame.
const REASON: &str = "the-reason-7d01f3";

/// All log records, of all crates and levels.
struct Records(Mutex<Vec<(String, log::Level, String)>>);

static RECORDS: Records = Records(Mutex::new(Vec::new()));

impl log::Log for Records {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let text = format!("{} {:?}", record.args(), record.module_path());
        self.0.lock().unwrap().push((record.target().to_owned(), record.level(), text));
    }

    fn flush(&self) {}
}

/// Puts the canary into every reply and event, replies to `fail` with an error, and closes with a reason.
async fn serve(far: DuplexStream) {
    let pick = |_: &Handshake, mut response: Answer| {
        response.headers_mut().insert("sec-websocket-protocol", "v1".parse().unwrap());
        Ok(response)
    };
    let Ok(mut socket) = accept_hdr_async(far, pick).await else { return };
    while let Some(Ok(Message::Text(text))) = socket.next().await {
        let frame: Value = serde_json::from_str(&text).unwrap();
        let frame_with = |action: &str, status: u16| {
            let (errors, data) = (json!([CANARY]), json!({"secret": CANARY}));
            server_frames::frame(&frame, action, status, &errors, &data)
        };
        let mut frames = Vec::new();
        match server_frames::action_of(&frame) {
            "fail" => frames.push(frame_with("fail", 400)),
            "subscribe" => frames.extend([
                frame_with("subscribe", 200),
                frame_with("update", 200),
                frame_with("delete", 200),
                json!({"stream": "tools", "payload": {"type": CANARY}}),
            ]),
            "close" => {
                let reason = Utf8Bytes::from_static(REASON);
                let _ = socket.close(Some(TungsteniteFrame { code: 4000.into(), reason })).await;
                return;
            }
            action => frames.push(frame_with(action, 200)),
        }
        for frame in frames {
            socket.send(Message::text(frame.to_string())).await.unwrap();
        }
    }
}

#[track_caller]
fn assert_no_secret(what: &impl Debug) {
    let text = format!("{what:?} {what:#?}");
    assert!(!text.contains(CANARY) && !text.contains(REASON), "{text}");
}

#[track_caller]
fn assert_no_secret_in_error(error: &impl std::error::Error) {
    assert_no_secret(&error);
    assert!(!error.to_string().contains(CANARY), "{error}");
}

#[tokio::test]
async fn x1_no_secret_is_shown_or_logged() {
    log::set_logger(&RECORDS).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    let traced = Collector::default();
    tracing::subscriber::set_global_default(traced.clone()).unwrap();

    let url = format!("ws://example.com/ws/?token={CANARY}");
    let builder = dcrf_tokio::builder(&url)
        .header("authorization", CANARY)
        .cookie("sessionid", CANARY)
        .subprotocol("v1")
        .subprotocol(CANARY)
        .credentials(|_| async {
            let credentials = Credentials::new().header("x-token", CANARY);
            assert_no_secret(&credentials);
            Ok(credentials)
        })
        .connector(|endpoint| {
            assert_no_secret(&endpoint);
            assert!(!endpoint.to_string().contains(CANARY));
            let (near, far) = duplex(64 * 1024);
            tokio::spawn(serve(far));
            async { Ok(near) }
        });
    assert_no_secret(&builder);
    let client = builder.connect().await.unwrap();
    let mut events = client.events();

    let request = Request::new("tools", "echo").arg("password", CANARY);
    assert_no_secret(&request);
    let response = client.call::<Value>(request);
    assert_no_secret(&response);
    assert_eq!(response.await.unwrap()["secret"], CANARY);
    let error_reply = client.call::<Value>(Request::new("tools", "fail")).await.unwrap_err();
    assert!(matches!(error_reply, RequestError::ErrorReply(_)));
    assert_no_secret_in_error(&error_reply);
    let wrong_type = client.call::<u32>(Request::new("tools", "echo")).await.unwrap_err();
    assert_no_secret_in_error(&wrong_type);

    let subscribe = Subscribe::new("tools", "subscribe").arg("password", CANARY);
    assert_no_secret(&subscribe);
    let mut changes = client.subscribe::<dcrf_tokio::Json>(subscribe).await.unwrap();
    assert_no_secret(&changes);
    for _ in 0..2 {
        let change: Change<_> = changes.next().await.unwrap().unwrap();
        assert_no_secret(&change);
    }
    let connection_lost = client.call::<Value>(Request::new("tools", "close")).await.unwrap_err();
    assert_no_secret_in_error(&connection_lost);
    loop {
        let event = events.next().await.unwrap();
        assert_no_secret(&event);
        if let ClientEvent::State(state) = &event {
            assert!(!state.to_string().contains(CANARY));
            if matches!(state, dcrf_tokio::ConnectionState::Waiting { .. }) {
                break;
            }
        }
    }
    client.close_with(CloseOptions::default()).await;
    assert_no_secret(&client);
    let subscription_error = loop {
        match changes.next().await.unwrap() {
            Ok(change) => assert_no_secret(&change),
            Err(error) => break error,
        }
    };
    assert!(matches!(subscription_error, ChangeError::Subscription(SubscriptionError::Closed(_))));
    assert_no_secret_in_error(&subscription_error);
    let unreachable = dcrf_tokio::connect(&format!("ws://127.0.0.1:1/?token={CANARY}")).await;
    let error: ConnectError = unreachable.unwrap_err();
    assert_no_secret_in_error(&error);

    let traced = [traced.spans(), traced.events()].concat().join("\n");
    assert!(!traced.contains(CANARY) && !traced.contains(REASON), "{traced}");
    for what in
        ["server=ws://example.com/ws/", "action=echo", "outcome=error reply 400", "code 4000"]
    {
        assert!(traced.contains(what), "{what} in {traced}");
    }

    let records = RECORDS.0.lock().unwrap();
    // The guide warns of these (`guide/observability.rs`). If this assertion fails because there are fewer, update it.
    let seen = |secret: &str| {
        let mut seen: Vec<(&str, log::Level)> = records
            .iter()
            .filter(|(.., text)| text.contains(secret))
            .map(|(target, level, _)| (target.split("::").next().unwrap(), *level))
            .collect();
        seen.sort_unstable();
        seen.dedup();
        seen
    };
    assert_eq!(seen(CANARY), [("tungstenite", log::Level::Trace)]);
    assert_eq!(
        seen(REASON),
        [("tungstenite", log::Level::Debug), ("tungstenite", log::Level::Trace)]
    );
    let own = records.iter().filter(|(target, ..)| target.starts_with("dcrf")).count();
    assert_eq!(own, 0, "this library doesn't log through `log`");
}
