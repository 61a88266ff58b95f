//! Our counterparts of the usages in `tests/peer/hooks.mjs`, with dialects for dcrf-client's options.

use std::sync::atomic::{AtomicU64, Ordering};

use dcrf_proto::{Dialect, Frame, Request, Subscribe};
use serde_json::{Map, Value, json};

use crate::counterparts::Counterpart;
use crate::ours::Ours;

type Payload = Map<String, Value>;

/// Makes a new token for each message.
#[derive(Default)]
struct Tokens(AtomicU64);

impl Tokens {
    fn next(&self) -> String {
        format!("token-{}", self.0.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

#[derive(Default)]
struct PayloadToken(Tokens);

impl Dialect for PayloadToken {
    fn preprocess_payload(&self, stream: &str, mut payload: Payload) -> Payload {
        payload.insert("token".to_owned(), format!("{} for {stream}", self.0.next()).into());
        payload.insert("ref".to_owned(), payload["request_id"].clone());
        payload
    }
}

struct ReplacePayload;

impl Dialect for ReplacePayload {
    fn preprocess_payload(&self, _: &str, _: Payload) -> Payload {
        Map::from_iter([("this".to_owned(), "is my new payload".into())])
    }
}

#[derive(Default)]
struct MessageToken(Tokens);

impl Dialect for MessageToken {
    fn preprocess_message(&self, mut message: Value) -> Value {
        message["token"] = self.0.next().into();
        message
    }
}

struct ReplaceMessage;

impl Dialect for ReplaceMessage {
    fn preprocess_message(&self, _: Value) -> Value {
        json!({"stream": "creek", "payload": "craycrayload"})
    }
}

struct Versioned;

impl Dialect for Versioned {
    fn multiplexed_message(&self, stream: &str, payload: Payload) -> Value {
        json!({"stream": stream, "payload": payload, "version": 2})
    }
}

#[derive(Default)]
struct SubscribeToken(Tokens);

impl Dialect for SubscribeToken {
    fn subscribe_payload(&self, _: &str, mut payload: Payload) -> Payload {
        payload.insert("token".to_owned(), self.0.next().into());
        payload
    }
}

/// Encodes messages as text that is not JSON, with the keys in dcrf-client's order.
struct Prefixed;

impl Dialect for Prefixed {
    fn encode(&self, message: &Value) -> Frame {
        let (stream, payload) = (&message["stream"], &message["payload"]);
        Frame::Text(format!(r#"json {{"stream":{stream},"payload":{payload}}}"#))
    }
}

fn ping() -> Request {
    Request::new("tools", "ping")
}

fn create() -> Request {
    Request::create("people", &json!({"name": "Alex"}))
}

fn person() -> Subscribe {
    Subscribe::instance("people", 1)
}

pub(crate) const HOOKS: &[(&str, Counterpart)] = &[
    ("send", || Ours::connected().send(ping())),
    ("send_offline", || Ours::connected().go_offline().request(create()).send(ping()).go_online()),
    ("send_now", || Ours::connected().send_now(ping())),
    ("send_now_offline", || {
        let ours = Ours::connected().subscribe(person()).go_offline().request(create());
        ours.assert_send_now_is_rejected(ping()).go_online()
    }),
    ("preprocess_payload", || {
        let ours = Ours::with_dialect(PayloadToken::default()).request(create()).settle();
        ours.subscribe(person()).reconnect()
    }),
    ("preprocess_payload_that_returns", || Ours::with_dialect(ReplacePayload).request(create())),
    ("preprocess_message", || {
        let ours = Ours::with_dialect(MessageToken::default()).request(create()).settle();
        ours.subscribe(person()).settle().send(ping()).reconnect()
    }),
    ("preprocess_message_that_returns", || Ours::with_dialect(ReplaceMessage).request(create())),
    ("build_multiplexed_message", || {
        Ours::with_dialect(Versioned).request(create()).settle().subscribe(person()).reconnect()
    }),
    ("build_subscribe_payload", || {
        Ours::with_dialect(SubscribeToken::default()).subscribe(person()).reconnect()
    }),
    ("serializer", || Ours::with_dialect(Prefixed).request(create())),
];
