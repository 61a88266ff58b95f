//! Decoding frames, and unhandled frames (rules F1 to F4 and F6).

use crate::conversation::{Conversation, value};
use dcrf_proto::{Change, ClientEvent, Framing, Request, Subscribe};
use serde_json::{Value, json};

fn bare() -> Conversation {
    Conversation::connected_with(|config| config.framing = Framing::Bare)
}

#[test]
fn f1_multiplexed_frames_carry_stream_and_payload() {
    let mut c = Conversation::connected();
    let (key, frame) = c.send_request(Request::retrieve("tasks", 1).id(5));
    let payload = json!({"action": "retrieve", "request_id": 5, "pk": 1});
    assert_eq!(frame, json!({"stream": "tasks", "payload": payload}));
    let payload = json!({"data": 2, "response_status": 200, "request_id": 5});
    c.receive(&json!({"stream": "tasks", "payload": payload}));
    assert_eq!(c.settled(), [(key, Ok(json!(2)))]);
}

#[test]
fn f1_bare_frame_is_only_the_payload() {
    let mut c = bare();
    let (key, frame) = c.send_request(Request::retrieve("tasks", 1).id(5));
    assert_eq!(frame, json!({"action": "retrieve", "request_id": 5, "pk": 1}));
    c.receive(&json!({"data": 2, "response_status": 200, "request_id": 5}));
    assert_eq!(c.settled(), [(key, Ok(json!(2)))]);
}

#[test]
fn f1_bare_subscription_delivers_the_whole_payload() {
    let mut c = bare();
    let key = c.subscribe(Subscribe::new("", "subscribe_all").id("s"));
    let frame = c.sent_one();
    assert_eq!(frame, json!({"action": "subscribe_all", "request_id": "s"}));
    let event = json!({"message": {"pk": 6}, "action": "update", "request_id": "s"});
    c.receive(&event);
    let changes = c.changes(key);
    let [Change::Other { payload, .. }] = &changes[..] else { panic!("{changes:?}") };
    assert_eq!(value(payload), event);
}

#[test]
fn f1_multiplexed_frame_is_unhandled_in_bare_framing() {
    let mut c = bare();
    c.send_request(Request::list("tasks").id(5));
    let frame = json!({"stream": "tasks", "payload": {"data": 2, "request_id": 5}});
    c.receive(&frame);
    assert_eq!(c.settled(), []);
    assert_eq!(c.unhandled(), [frame]);
}

#[test]
fn f2_unhandled_frame_is_an_event_with_the_whole_frame() {
    let mut c = Conversation::connected();
    let frames = [
        json!({"stream": "tools", "payload": {"type": "tick", "n": 0}}),
        json!({"stream": "tools", "payload": {"data": 1, "request_id": "unknown"}}),
        json!({"stream": "tools", "payload": {"data": 1, "request_id": 7.5}}),
        json!({"stream": "tools", "payload": {"data": 1, "request_id": [1]}}),
        json!({"stream": "tools", "payload": {"data": 1, "request_id": 18_446_744_073_709_551_615_u64}}),
        json!({"stream": "tools", "payload": "text"}),
        json!({"stream": "tools", "payload": null}),
        json!({"stream": 7, "payload": {"response_status": [], "action": {}}}),
        json!({"payload": {}}),
        json!({"hello": "world"}),
        json!({}),
    ];
    for frame in &frames {
        c.receive(frame);
    }
    assert_eq!(c.unhandled(), frames);
    assert_eq!(c.session.stats().unhandled, 11);
    assert_eq!(c.session.stats().malformed, 0);
}

#[test]
fn f2_unhandled_frame_keeps_its_exact_text() {
    let mut c = Conversation::connected();
    let text = r#"{"n": 1.50, "stream":"caf\u00e9", "big":9223372036854775809}"#;
    c.receive_text(&format!(" {text}\n"));
    let events = c.client_events();
    let [.., ClientEvent::Unhandled(unhandled)] = &events[..] else { panic!() };
    assert_eq!(unhandled.frame.as_str(), text);
}

#[test]
fn f2_frame_for_an_unsent_request_is_no_reply() {
    let mut c = Conversation::connected();
    c.request(Request::list("tasks").id(5));
    c.receive(&json!({"stream": "tasks", "payload": {"data": 1, "request_id": 5}}));
    assert_eq!(c.settled(), []);
    assert_eq!(c.session.stats().late, 1);
}

#[test]
fn f3_nan_and_infinity_are_read_as_null() {
    let mut c = Conversation::connected();
    let (key, _) = c.send_request(Request::new("tools", "nan").id("n"));
    c.receive_text(
        r#"{"stream": "tools", "payload": {"errors": [], "data": {"v": NaN, "inf": [Infinity, -Infinity],
            "text": "NaN \" -Infinity", "big": 9223372036854775809}, "action": "nan", "request_id": "n"}}"#,
    );
    let text = "NaN \" -Infinity";
    let data =
        json!({"v": null, "inf": [null, null], "text": text, "big": 9_223_372_036_854_775_809_u64});
    assert_eq!(c.settled(), [(key, Ok(data))]);
}

#[test]
fn f3_nan_is_null_in_other_events_and_unhandled_frames() {
    let mut c = Conversation::connected();
    let (key, frame) = c.subscribe_acked(Subscribe::new("tools", "subscribe_load"));
    let id = frame["payload"]["request_id"].as_str().unwrap();
    c.receive_text(&format!(
        r#"{{"stream":"tools","payload":{{"action":"load","value":NaN,"request_id":"{id}"}}}}"#
    ));
    let changes = c.changes(key);
    let [Change::Other { payload, .. }] = &changes[..] else { panic!("{changes:?}") };
    assert_eq!(value(payload)["value"], Value::Null);

    c.receive_text(r#"{"load": Infinity}"#);
    assert_eq!(c.unhandled(), [json!({"load": null})]);
}

#[test]
fn f4_text_that_is_not_a_json_object_is_dropped_and_counted() {
    let junk = [
        "",
        " ",
        "null",
        "true",
        "7",
        "NaN",
        "\"text\"",
        "{",
        "{not json",
        "{\"stream\":\"tools\"",
        "{} {}",
        "[]",
        "[{}]",
        "\u{feff}{}",
    ];
    let mut c = Conversation::connected();
    c.client_events();
    for text in junk {
        c.receive_text(text);
    }
    assert_eq!(c.session.stats().malformed, 14);
    assert_eq!(c.client_events(), []);
}

#[test]
fn f4_array_is_not_read_as_an_envelope() {
    for framing in [Framing::Multiplexed, Framing::Bare] {
        let mut c = Conversation::connected_with(|config| config.framing = framing);
        c.request(Request::list("tasks").id(5));
        c.flush();
        c.receive_text(r#"["list", 5, 200, null, "data"]"#);
        c.receive_text(r#"["tasks", {"request_id": 5, "response_status": 200}]"#);
        assert_eq!(c.session.stats().malformed, 2);
        c.receive_text(r#"{"stream": "tasks", "payload": ["list", 5, 200, null, "data"]}"#);
        assert_eq!(c.session.stats().unhandled, 1);
        assert_eq!(c.settled(), []);
    }
}

#[test]
fn f4_binary_frames_are_dropped_and_counted() {
    let mut c = Conversation::connected();
    c.send_request(Request::list("tasks").id(5));
    let frame = br#"{"stream": "tasks", "payload": {"data": 1, "request_id": 5}}"#;
    c.session.handle_binary(c.epoch(), frame, c.now);
    assert_eq!(c.settled(), []);
    assert_eq!(c.session.stats().malformed, 1);
}

#[test]
fn f4_deep_nesting_does_not_overflow_the_stack() {
    let mut c = Conversation::connected();
    let depth = 200_000;
    let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let (_, frame) = c.send_request(Request::list("tasks"));
    let id = &frame["payload"]["request_id"];
    c.receive_text(&deep);
    c.receive_text(&format!(r#"{{"a": {deep}}}"#));
    c.receive_text(&format!(r#"{{"stream": {deep}, "payload": {{"request_id": {deep}}}}}"#));
    c.receive_text(&format!(
        r#"{{"stream": "tasks", "payload": {{"response_status": 200, "data": {deep}, "request_id": {id}}}}}"#
    ));
    c.receive_text(&"{\"a\":".repeat(depth));
    let events = c.events();
    let [dcrf_proto::Event::Settled { result: Ok(data), .. }] = &events[..] else { panic!() };
    assert_eq!(data.as_str().len(), 2 * depth);
    assert_eq!(c.session.stats().unhandled, 2);
    assert_eq!(c.session.stats().malformed, 2);
}

#[test]
fn f6_error_reply_with_a_null_id_matches_no_request() {
    let mut c = Conversation::connected();
    c.send_request(Request::patch("tasks", 1, &json!({})));
    let (subscription, _) = c.subscribe_acked(Subscribe::instance("tasks", 1));
    let frame = json!({"stream": "tasks", "payload": {
        "errors": ["You do not have permission to perform this action."], "data": null,
        "action": "update", "response_status": 403, "request_id": null,
    }});
    c.receive(&frame);
    assert_eq!(c.settled(), []);
    assert_eq!(c.changes(subscription), []);
    assert_eq!(c.unhandled(), [frame]);
}

#[test]
fn frames_of_another_connection_are_ignored() {
    let mut c = Conversation::connected();
    let first = c.epoch();
    let (_, frame) = c.send_request(Request::list("tasks").no_timeout());
    c.reconnect();
    let resent = c.sent_one();
    assert_eq!(resent, frame);
    let before = (c.session.stats(), c.session.state().clone());

    let reply = json!({"stream": "tasks", "payload": {
        "data": 1, "request_id": frame["payload"]["request_id"]}});
    c.session.handle_text(first, &reply.to_string(), c.now);
    c.session.handle_text(first, "junk", c.now);
    c.session.handle_binary(first, b"junk", c.now);
    c.session.handle_pong(first, c.now);
    c.session.handle_connected(first, c.now);
    c.session.handle_disconnected(first, crate::conversation::dropped(), c.now);

    assert_eq!((c.session.stats(), c.session.state().clone()), before);
    assert_eq!(c.settled(), []);
    c.receive(&reply);
    assert_eq!(c.settled().len(), 1);
}
