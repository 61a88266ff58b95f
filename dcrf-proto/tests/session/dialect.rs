//! The hooks of a [`Dialect`] (rules F1, F2, F4 and S4).

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::conversation::{Conversation, update, value};
use dcrf_proto::{
    Change, ChangeKind, Collect, Dialect, Event, Frame, Framing, ListenerEvent, Request, RequestId,
    Selector, Subscribe, Transmit,
};
use serde_json::{Map, Value, json};

fn connected(dialect: impl Dialect) -> Conversation {
    Conversation::connected_with(|config| config.dialect = Some(Arc::new(dialect)))
}

/// Each payload gets the next token.
#[derive(Default)]
struct Tokens(AtomicU64);

impl Dialect for Tokens {
    fn preprocess_payload(
        &self,
        stream: &str,
        mut payload: Map<String, Value>,
    ) -> Map<String, Value> {
        let token = self.0.fetch_add(1, Ordering::Relaxed);
        payload.insert("token".to_owned(), format!("{stream}-{token}").into());
        payload
    }
}

#[test]
fn s4_hooks_run_for_requests_subscribes_and_each_replay() {
    let mut c = connected(Tokens::default());
    let (_, request) = c.send_request(Request::new("tasks", "archive").arg("pk", 7));
    assert_eq!(request["payload"]["token"], "tasks-0");
    assert_eq!(request["payload"]["pk"], 7);
    let (key, first) = c.subscribe_acked(Subscribe::instance("tasks", 7));
    assert_eq!(first["payload"]["token"], "tasks-1");
    c.reconnect();
    let replay = c.sent_one();
    assert_eq!(replay["payload"]["token"], "tasks-2");
    assert_eq!(replay["payload"]["request_id"], first["payload"]["request_id"]);
    c.reply(&replay, &Value::Null);
    c.unsubscribe(key);
    assert_eq!(c.sent_one()["payload"]["token"], "tasks-3");
}

#[test]
fn s4_hooks_of_a_request_run_at_the_call() {
    let mut c = connected(Tokens::default());
    c.disconnect(crate::conversation::dropped());
    c.request(Request::list("tasks"));
    c.subscribe(Subscribe::instance("memos", 7));
    c.wait_and_connect();
    let tokens: Vec<Value> = c.sent().iter().map(|f| f["payload"]["token"].clone()).collect();
    assert_eq!(tokens, ["memos-1", "tasks-0"]);
}

/// Each hook adds its name to the payload.
struct Steps;

impl Steps {
    fn add_step(payload: &mut Map<String, Value>, step: &str) {
        let steps = payload.entry("steps").or_insert_with(|| json!([]));
        steps.as_array_mut().unwrap().push(step.into());
    }
}

impl Dialect for Steps {
    fn subscribe_payload(&self, _: &str, mut payload: Map<String, Value>) -> Map<String, Value> {
        Self::add_step(&mut payload, "subscribe");
        payload
    }

    fn unsubscribe_payload(&self, _: &str, mut payload: Map<String, Value>) -> Map<String, Value> {
        Self::add_step(&mut payload, "unsubscribe");
        payload
    }

    fn preprocess_payload(&self, _: &str, mut payload: Map<String, Value>) -> Map<String, Value> {
        Self::add_step(&mut payload, "payload");
        payload
    }

    fn multiplexed_message(&self, stream: &str, mut payload: Map<String, Value>) -> Value {
        Self::add_step(&mut payload, "multiplex");
        json!({"stream": stream, "payload": payload})
    }

    fn preprocess_message(&self, mut message: Value) -> Value {
        message["version"] = 2.into();
        message
    }
}

#[test]
fn f1_hooks_run_in_order() {
    let mut c = connected(Steps);
    let (_, request) = c.send_request(Request::new("tools", "echo").arg("n", 1));
    assert_eq!(request["payload"]["steps"], json!(["payload", "multiplex"]));
    assert_eq!(request["version"], 2);
    let (key, subscribe) = c.subscribe_acked(Subscribe::instance("tasks", 7));
    assert_eq!(subscribe["payload"]["steps"], json!(["subscribe", "payload", "multiplex"]));
    c.unsubscribe(key);
    let unsubscribe = c.sent_one();
    assert_eq!(unsubscribe["payload"]["steps"], json!(["unsubscribe", "payload", "multiplex"]));
    assert_eq!(unsubscribe["payload"]["pk"], 7);
}

#[test]
fn f1_bare_framing_skips_the_multiplex_hook() {
    let mut c = Conversation::connected_with(|config| {
        config.framing = Framing::Bare;
        config.dialect = Some(Arc::new(Steps));
    });
    let (_, request) = c.send_request(Request::new("tools", "echo"));
    assert_eq!(request["steps"], json!(["payload"]));
    assert_eq!(request["version"], 2);
}

/// Binary messages with the bytes of the text in reverse order.
struct Reversed;

fn reversed(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().rev().copied().collect()
}

impl Dialect for Reversed {
    fn encode(&self, message: &Value) -> Frame {
        Frame::Binary(reversed(message.to_string().as_bytes()))
    }

    fn decode_text<'a>(&self, _: &'a str) -> Option<Cow<'a, str>> {
        None
    }

    fn decode_binary(&self, bytes: &[u8]) -> Option<String> {
        String::from_utf8(reversed(bytes)).ok()
    }
}

#[test]
fn f4_dialect_encodes_and_decodes_binary_messages() {
    let mut c = connected(Reversed);
    let request = c.request(Request::retrieve("tasks", 7).id("a"));
    let [Transmit::Frame(epoch, Frame::Binary(bytes))] = &c.transmits()[..] else {
        panic!("no binary message")
    };
    let frame: Value = serde_json::from_slice(&reversed(bytes)).unwrap();
    assert_eq!(frame["payload"], json!({"action": "retrieve", "request_id": "a", "pk": 7}));

    let reply = json!({"stream": "tasks", "payload": {"request_id": "a", "response_status": 200,
        "action": "retrieve", "errors": [], "data": 1}});
    c.session.handle_binary(*epoch, &reversed(reply.to_string().as_bytes()), c.now);
    assert_eq!(c.settled(), [(request, Ok(json!(1)))]);

    c.receive(&reply);
    c.session.handle_binary(*epoch, &[0xff], c.now);
    assert_eq!(c.session.stats().malformed, 2, "a text message, and invalid UTF-8");
}

#[test]
fn r4_binary_request_is_resent_unchanged() {
    let mut c = connected(Reversed);
    c.request(Request::list("tasks"));
    let messages = |transmits: Vec<Transmit>| -> Vec<Vec<u8>> {
        let bytes = |transmit| match transmit {
            Transmit::Frame(_, Frame::Binary(bytes)) => Some(bytes),
            _ => None,
        };
        transmits.into_iter().filter_map(bytes).collect()
    };
    let first = messages(c.transmits());
    c.reconnect();
    assert_eq!(messages(c.transmits()), first);
    assert_eq!(first.len(), 1);
}

/// A server whose replies have the request id in `re`, and whose events have a `type` and no request id.
struct Selecting;

impl Dialect for Selecting {
    fn reply_selector(&self, stream: &str, id: &RequestId) -> Option<Selector> {
        Some(Selector::stream(stream).contains(json!({"re": id.to_value()})))
    }

    fn change_selector(
        &self,
        kind: ChangeKind,
        subscribe: &Subscribe,
        _: &RequestId,
    ) -> Option<Selector> {
        let kind = format!("task.{}", kind.action());
        let pk = subscribe.argument("pk").map(|pk| value(&pk));
        let stream = Selector::stream(subscribe.stream());
        Some(stream.contains(json!({"type": kind, "data": {"pk": pk}})))
    }
}

fn frame(payload: &Value) -> Value {
    json!({"stream": "tasks", "payload": payload})
}

/// The form of DCRF's documentation whose events have no request id: `{"message": {"pk": 1}, "action": "update"}`.
struct Documented;

impl Dialect for Documented {
    fn change_selector(
        &self,
        kind: ChangeKind,
        subscribe: &Subscribe,
        _: &RequestId,
    ) -> Option<Selector> {
        let action = json!({"action": kind.action()});
        Some(Selector::stream(subscribe.stream()).contains(action))
    }
}

#[test]
fn v4_events_without_a_request_id_are_found_by_the_selectors() {
    let mut c = connected(Documented);
    let feed = Subscribe::new("tasks", "subscribe_all").without_ack();
    let tasks = Collect::new("tasks").feed(feed).key_at("/message/pk");
    let tasks = c.session.collect(tasks, c.now).unwrap();
    let row = |title: &str| json!({"pk": 1, "title": title});
    let list = c.sent().pop().unwrap();
    c.reply(&list, &json!([row("a"), {"pk": 2}]));
    c.receive(&frame(&json!({"message": {"pk": 1}, "action": "update"})));
    let retrieve = c.sent_one();
    c.reply(&retrieve, &row("b"));
    c.receive(&frame(&json!({"message": {"pk": 2}, "action": "delete"})));
    let rows: Vec<Value> = c.session.collection_rows(tasks).map(|(_, row)| value(&row)).collect();
    assert_eq!(rows, [row("b")]);
}

#[test]
fn f2_dialect_selectors_route_replies() {
    let mut c = connected(Selecting);
    let (one, first) = c.send_request(Request::retrieve("tasks", 1));
    let (two, second) = c.send_request(Request::retrieve("tasks", 2));
    let id = |frame: &Value| frame["payload"]["request_id"].clone();

    // The request id no longer routes the reply.
    c.reply(&first, &json!("by its id"));
    assert_eq!(c.settled(), []);
    c.receive(&frame(&json!({"re": id(&second), "response_status": 200, "data": 2})));
    c.receive(&frame(&json!({"re": id(&first), "response_status": 404, "errors": ["no"]})));
    let settled = c.settled();
    assert_eq!(settled[0], (two, Ok(json!(2))));
    assert!(settled[1].0 == one && settled[1].1.is_err());
    assert_eq!(c.session.stats().unhandled, 1);

    // The selectors are removed with their requests.
    c.receive(&frame(&json!({"re": id(&first), "response_status": 200, "data": 1})));
    assert_eq!(c.session.stats().unhandled, 2);
}

#[test]
fn f2_dialect_selectors_route_reply_streams() {
    let mut c = connected(Selecting);
    let key = c.session.stream(Request::list("tasks"), c.now).unwrap();
    let id = c.sent_one()["payload"]["request_id"].clone();
    for page in 0..2 {
        c.receive(&frame(&json!({"re": id, "response_status": 200, "data": page})));
    }
    assert_eq!(c.events(), [Event::ReplyReadable(key)]);
    for page in 0..2 {
        assert_eq!(c.session.poll_reply(key).unwrap().unwrap().decode(), Ok(page));
    }
}

#[test]
fn f2_dialect_selectors_route_acknowledgements_and_changes() {
    let mut c = connected(Selecting);
    let key = c.subscribe(Subscribe::instance("tasks", 7).include_create());
    let other = c.subscribe(Subscribe::instance("tasks", 8));
    let ids: Vec<Value> = c.sent().iter().map(|f| f["payload"]["request_id"].clone()).collect();
    let listener = c.session.listen(Selector::stream("tasks"), c.now).unwrap();

    c.receive(&frame(&json!({"re": ids[0], "response_status": 201, "data": null})));
    assert!(c.session.is_acknowledged(key) && !c.session.is_acknowledged(other));
    c.receive(&frame(&json!({"re": ids[1], "response_status": 403, "errors": ["no"]})));
    assert!(matches!(c.end(other), dcrf_proto::SubscriptionError::ErrorReply(_)));

    for kind in ["create", "update", "delete"] {
        let data = json!({"pk": 7, "title": kind});
        c.receive(&frame(&json!({"type": format!("task.{kind}"), "data": data})));
    }
    c.receive(&frame(&json!({"type": "task.update", "data": {"pk": 8}})));
    // The request id no longer routes events.
    c.receive(&frame(&json!({"request_id": ids[0], "action": "update", "data": {"pk": 7}})));
    let changes = c.changes(key);
    assert_eq!(changes.len(), 3);
    assert!(matches!(changes[0], Change::Create(_)));
    assert_eq!(changes[1], update(&json!({"pk": 7, "title": "update"})));
    assert!(matches!(&changes[2], Change::Delete(deleted) if deleted.pk == Some(7.into())));

    let mut frames = 0;
    while let Some(ListenerEvent::Frame { .. }) = c.session.poll_listener(listener) {
        frames += 1;
    }
    assert_eq!(frames, 7);
    assert_eq!(c.session.stats().unhandled, 0, "the listener got the others");
}

#[test]
fn f2_dialect_selectors_last_as_long_as_the_subscription() {
    let mut c = connected(Selecting);
    let key = c.subscribe(Subscribe::instance("tasks", 7));
    let id = c.sent_one()["payload"]["request_id"].clone();
    let acknowledged = frame(&json!({"re": id, "response_status": 201, "data": null}));
    c.receive(&acknowledged);
    c.reconnect();
    assert_eq!(c.sent_one()["payload"]["request_id"], id);
    c.receive(&acknowledged);
    let event = frame(&json!({"type": "task.update", "data": {"pk": 7}}));
    c.receive(&event);
    assert_eq!(c.changes(key).len(), 2, "a gap and the update");

    c.unsubscribe(key);
    assert_eq!(c.sent_one()["payload"]["action"], "unsubscribe_instance");
    c.receive(&frame(&json!({"re": id, "response_status": 204, "data": null})));
    assert_eq!(c.unsubscribed(), [(key, Ok(()))]);
    c.receive(&event);
    assert_eq!(c.session.stats().unhandled, 1);
}
