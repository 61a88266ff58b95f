//! Lone surrogates, which Python writes and no string of Rust can hold (rule F3).

use crate::conversation::{Conversation, value};
use dcrf_proto::{
    Change, ListenerEvent, OverflowPolicy, Pk, Request, RequestError, Selector, Subscribe,
};
use serde_json::{Value, json};

/// Receives a frame in which each `LONE` is a lone surrogate.
fn receive(c: &mut Conversation, frame: &Value) {
    let text = frame.to_string();
    assert!(text.contains("LONE"));
    c.receive_text(&text.replace("LONE", r"\ud83d"));
}

fn frame(sent: &Value, action: &str, status: u16, errors: &Value, data: &Value) -> Value {
    json!({"stream": sent["stream"], "payload": {"errors": errors, "data": data, "action": action,
        "response_status": status, "request_id": sent["payload"]["request_id"]}})
}

#[test]
fn f3_lone_surrogate_in_errors_is_replaced() {
    let mut c = Conversation::connected();
    let (_, sent) = c.send_request(Request::create("memos", &json!({})));
    let errors = json!([{"LONEtitle": ["cut LONE"]}]);
    receive(&mut c, &frame(&sent, "create", 400, &errors, &Value::Null));
    let settled = c.settled();
    let [(_, Err(RequestError::ErrorReply(reply)))] = &settled[..] else { panic!("{settled:?}") };
    assert_eq!(reply.messages(), ["\u{fffd}title: cut \u{fffd}"]);
}

#[test]
fn f3_lone_surrogate_in_an_event_costs_neither_its_key_nor_its_kind() {
    let mut c = Conversation::connected();
    let feed = Subscribe::new("memos", "subscribe_all").overflow_policy(OverflowPolicy::Conflate);
    let (key, sent) = c.subscribe_acked(feed);
    let data = json!({"LONE": 1, "pk": "LONE7"});
    for action in ["update", "delete"] {
        receive(&mut c, &frame(&sent, action, 200, &json!([]), &data));
    }
    receive(&mut c, &frame(&sent, "LONE", 200, &json!([]), &data));
    let changes = c.changes(key);
    let [Change::Update(data), Change::Delete(deleted), Change::Other { action, payload }] =
        &changes[..]
    else {
        panic!("{changes:?}")
    };
    assert_eq!(value(data), json!({"\u{fffd}": 1, "pk": "\u{fffd}7"}));
    assert_eq!(deleted.pk, Some(Pk::from("\u{fffd}7")));
    assert_eq!(action.as_deref(), Some("\u{fffd}"));
    assert_eq!(value(payload)["data"]["pk"], "\u{fffd}7");
}

#[test]
fn f3_lone_surrogate_leaves_the_key_to_conflate_and_to_rename() {
    let mut c = Conversation::connected_with(|config| {
        config.changes = dcrf_proto::Limit { count: 1, bytes: 1_000 };
    });
    let feed = Subscribe::new("memos", "subscribe_all").overflow_policy(OverflowPolicy::Conflate);
    let (key, sent) = c.subscribe_acked(feed.pk_field("id"));
    for action in ["update", "update", "delete"] {
        receive(&mut c, &frame(&sent, action, 200, &json!([]), &json!({"pk": 7, "title": "LONE"})));
    }
    let changes = c.changes(key);
    let [Change::Delete(deleted)] = &changes[..] else { panic!("superseded ones: {changes:?}") };
    assert_eq!(value(&deleted.data), json!({"id": 7, "title": "\u{fffd}"}));
}

#[test]
fn f3_listener_matches_a_frame_with_a_lone_surrogate() {
    let mut c = Conversation::connected();
    let selector = Selector::stream("tools").contains(json!({"payload": {"type": "tick"}}));
    let any = Selector::stream("tools").contains(json!({"type": "tick"}));
    let listeners = [selector, any].map(|selector| c.session.listen(selector, c.now).unwrap());
    receive(&mut c, &json!({"stream": "tools", "payload": {"type": "tick", "text": "LONE"}}));
    let read = listeners.iter().filter_map(|key| c.session.poll_listener(*key));
    let payloads: Vec<Value> = read
        .map(|event| match event {
            ListenerEvent::Frame { payload, .. } => value(&payload),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(payloads, [json!({"type": "tick", "text": "\u{fffd}"})]);
}

#[test]
fn f3_snapshot_with_a_lone_surrogate_is_delivered() {
    let mut c = Conversation::connected();
    let (key, _) = c.subscribe_acked(Subscribe::new("memos", "subscribe_all").refresh());
    let first = c.sent_one();
    let page =
        |offset: u64| json!({"count": 2, "results": [{"t": "LONE"}], "limit": 1, "offset": offset});
    receive(&mut c, &frame(&first, "list", 200, &json!([]), &page(0)));
    let second = c.sent_one();
    receive(&mut c, &frame(&second, "list", 200, &json!([]), &page(1)));
    let changes = c.changes(key);
    let [Change::Snapshot(objects)] = &changes[..] else { panic!("{changes:?}") };
    assert_eq!(objects.iter().map(value).collect::<Vec<_>>(), vec![json!({"t": "\u{fffd}"}); 2]);
}
