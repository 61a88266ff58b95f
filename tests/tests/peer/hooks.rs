//! The usages of dcrf-client's options, done with dialects: each does what the usage of its name in
//! `tests/peer/hooks.mjs` does.

use std::sync::atomic::{AtomicU64, Ordering};

use dcrf_proto::{Dialect, Frame, Request, Subscribe};
use serde_json::{Map, Value, json};

use crate::counterparts::Counterpart;
use crate::ours::Ours;

type Payload = Map<String, Value>;

/// A token that is fresh in each message.
#[derive(Default)]
struct Tokens(AtomicU64);

impl Tokens {
    fn next(&self) -> String {
        format!("token-{}", self.0.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

#[derive(Default)]
struct InPayload(Tokens);

impl Dialect for InPayload {
    fn preprocess_payload(&self, stream: &str, mut payload: Payload) -> Payload {
        payload.insert("token".to_owned(), format!("{} for {stream}", self.0.next()).into());
        payload.insert("ref".to_owned(), payload["request_id"].clone());
        payload
    }
}

struct NewPayload;

impl Dialect for NewPayload {
    fn preprocess_payload(&self, _: &str, _: Payload) -> Payload {
        Map::from_iter([("this".to_owned(), "is my new payload".into())])
    }
}

#[derive(Default)]
struct InMessage(Tokens);

impl Dialect for InMessage {
    fn preprocess_message(&self, mut message: Value) -> Value {
        message["token"] = self.0.next().into();
        message
    }
}

struct NewMessage;

impl Dialect for NewMessage {
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
struct InSubscribe(Tokens);

impl Dialect for InSubscribe {
    fn subscribe_payload(&self, _: &str, mut payload: Payload) -> Payload {
        payload.insert("token".to_owned(), self.0.next().into());
        payload
    }
}

/// Text that is no JSON; the keys are in the order of JavaScript.
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
    ("send_offline", || Ours::connected().loses().request(create()).send(ping()).returns()),
    ("send_now", || Ours::connected().send_now(ping())),
    ("send_now_offline", || {
        let ours = Ours::connected().subscribe(person()).loses().request(create());
        ours.can_not_send_now(ping()).returns()
    }),
    ("preprocess_payload", || {
        let ours = Ours::speaking(InPayload::default()).request(create()).settles();
        ours.subscribe(person()).reconnects()
    }),
    ("preprocess_payload_that_returns", || Ours::speaking(NewPayload).request(create())),
    ("preprocess_message", || {
        let ours = Ours::speaking(InMessage::default()).request(create()).settles();
        ours.subscribe(person()).settles().send(ping()).reconnects()
    }),
    ("preprocess_message_that_returns", || Ours::speaking(NewMessage).request(create())),
    ("build_multiplexed_message", || {
        Ours::speaking(Versioned).request(create()).settles().subscribe(person()).reconnects()
    }),
    ("build_subscribe_payload", || {
        Ours::speaking(InSubscribe::default()).subscribe(person()).reconnects()
    }),
    ("serializer", || Ours::speaking(Prefixed).request(create())),
];
