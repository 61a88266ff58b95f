//! Messages that make the server raise or close.

use fastrand::Rng;
use serde_json::{Value, json};

use crate::conversation::Message;
use crate::streams::{self, Lists, TOOLS};
use crate::values::pick;

/// A message that ends the connection.
pub(crate) fn message(rng: &mut Rng, stream: &'static str, is_bare: bool) -> Message {
    match rng.u8(..9) {
        0 => Message::Binary,
        8 => Message::Text(" ".repeat((1 << 20) + 1)),
        1 if is_bare => text(rng, &["", "{", "null", "5", "[]", "\"text\""]),
        1 => text(
            rng,
            &[
                "",
                "{",
                "null",
                "5",
                "[]",
                "{}",
                r#"{"stream": "tasks"}"#,
                r#"{"payload": {}}"#,
                r#"{"stream": "nosuch", "payload": {}}"#,
                r#"{"stream": null, "payload": {}}"#,
                r#"{"stream": 1, "payload": {}}"#,
                r#"{"stream": ["tasks"], "payload": {}}"#,
            ],
        ),
        2 => Message::Payload(pick(rng, &[json!(null), json!([]), json!("text"), json!(5)])),
        3 => {
            Message::Payload(json!({"action": pick(rng, &[json!([]), json!({})]), "request_id": 1}))
        }
        _ if stream == TOOLS => Message::Payload(tool(rng)),
        _ => Message::Payload(call(rng, streams::find(stream))),
    }
}

fn text(rng: &mut Rng, texts: &[&str]) -> Message {
    Message::Text(pick(rng, texts).to_owned())
}

fn tool(rng: &mut Rng) -> Value {
    let calls = [
        json!({"action": "crash", "request_id": 1}),
        json!({"action": "fail", "request_id": 1}),
        json!({"action": "fail", "kind": "nosuch"}),
        json!({"action": "status"}),
        json!({"action": "push"}),
        json!({"action": "slow_inline"}),
        json!({"action": "kick", "code": 4001, "reason": "bye"}),
        json!({"action": "kick", "code": 3000}),
        json!({"action": "kick", "code": 1000}),
        json!({"action": "kick"}),
        json!({"action": "hangup", "code": 4002}),
        json!({"action": "hangup"}),
    ];
    pick(rng, &calls)
}

fn call(rng: &mut Rng, stream: &streams::Stream) -> Value {
    let mut calls = vec![json!({"action": {}, "request_id": 1})];
    if stream.has_instances {
        calls.extend([
            json!({"action": "retrieve", "request_id": 1}),
            json!({"action": "subscribe_instance", "request_id": 1}),
            json!({"action": "subscribe_instance", stream.lookup: 1}),
            json!({"action": "subscribe_instance", stream.lookup: "article-1", "request_id": null}),
            json!({"action": "subscribe_instance", stream.lookup: 1, "request_id": [1]}),
            json!({"action": "unsubscribe_instance", stream.lookup: 1, "request_id": {}}),
            json!({"action": "unsubscribe_instance", "request_id": 1}),
        ]);
    }
    if stream.writes {
        calls.extend([
            json!({"action": "create", "request_id": 1}),
            json!({"action": "update", stream.lookup: 1, "request_id": 1}),
            json!({"action": "patch", "data": {}, "request_id": 1}),
            json!({"action": "delete", "request_id": 1}),
        ]);
    }
    for (subscribe, group) in stream.feeds {
        calls.push(json!({"action": subscribe, "request_id": [1]}));
        calls.push(json!({"action": subscribe}));
        calls.push(json!({"action": format!("un{subscribe}"), "request_id": {}}));
        if group.is_some() {
            calls.push(json!({"action": subscribe, "request_id": 1}));
            calls.push(json!({"action": format!("un{subscribe}"), "request_id": 1}));
        }
    }
    if stream.lists == Lists::ByOffset {
        calls.push(json!({"action": "list", "limit": null, "request_id": 1}));
        calls.push(json!({"action": "list", "offset": [], "request_id": 1}));
    }
    if stream.name == "issues" {
        calls.push(json!({"action": "list", "project": "abc", "request_id": 1}));
        calls.push(json!({"action": "retrieve", "pk": 1, "project": [], "request_id": 1}));
    }
    pick(rng, &calls)
}
