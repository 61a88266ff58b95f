//! `Debug` and `Display` show no payloads and no close reasons (rule X1), and what they show of the server is escaped and
//! short (rule X0).

use std::fmt::{Debug, Display};

use crate::conversation::{Conversation, dropped};
use dcrf_proto::{
    Change, CloseFrame, CloseOptions, ConnectionError, Frame, Json, ListenerEvent, Rejected,
    Request, RequestError, Seed, Selector, Subscribe, Transmit,
};
use serde_json::json;

const CANARY: &str = "canary-5ec2e7";

#[track_caller]
fn assert_hides_canary(value: &impl Debug) {
    for shown in [format!("{value:?}"), format!("{value:#?}")] {
        assert!(!shown.contains(CANARY), "{shown}");
    }
}

#[track_caller]
fn assert_error_hides_canary(error: &(impl Debug + Display)) {
    assert_hides_canary(error);
    let shown = error.to_string();
    assert!(!shown.contains(CANARY), "{shown}");
}

fn close_frame() -> CloseFrame {
    CloseFrame { code: 4000, reason: CANARY.into() }
}

fn secret_request() -> Request {
    Request::create("tasks", &json!({"password": CANARY})).arg("token", CANARY)
}

fn secret_subscribe() -> Subscribe {
    Subscribe::instance("tasks", CANARY).arg("token", CANARY)
}

/// Checks the session, its state and its events.
fn assert_all_hide_canary(c: &mut Conversation) {
    assert_hides_canary(&c.session);
    assert_hides_canary(c.session.state());
    for event in c.client_events() {
        assert_hides_canary(&event);
    }
    for event in c.events() {
        assert_hides_canary(&event);
        if let dcrf_proto::Event::Settled { result: Err(error), .. } = event {
            assert_error_hides_canary(&error);
        }
    }
}

#[test]
fn x1_commands_show_only_argument_names() {
    assert_hides_canary(&secret_request());
    assert_hides_canary(&secret_subscribe());
    assert_hides_canary(&CloseOptions::now().frame(close_frame()));
    assert!(format!("{:?}", secret_request()).contains("token"));
}

#[test]
fn x1_rejected_commands_show_no_payload() {
    let mut c = Conversation::connected_with(|config| config.max_outgoing_message = 10);
    let request = c.session.request(secret_request(), c.now).unwrap_err();
    let subscribe = c.session.subscribe(secret_subscribe(), c.now).unwrap_err();
    assert_error_hides_canary(&request);
    assert_error_hides_canary(&subscribe);
    assert_error_hides_canary(&RequestError::Rejected(Box::new(request)));
    let no_json = std::collections::BTreeMap::from([((CANARY, 2), CANARY)]);
    let invalid: Rejected<Request> =
        c.session.request(Request::list("tasks").arg("map", no_json), c.now).unwrap_err();
    assert_error_hides_canary(&invalid);
}

#[test]
fn x1_queued_and_sent_frames_show_no_payload() {
    let mut c = Conversation::connected();
    c.request(secret_request());
    c.request(secret_request().idempotent(true));
    c.subscribe(secret_subscribe());
    assert_hides_canary(&c.session);
    let transmits = c.transmits();
    assert_hides_canary(&transmits);
    assert!(
        transmits
            .iter()
            .any(|t| matches!(t, Transmit::Frame(_, Frame::Text(text)) if text.contains(CANARY)))
    );
    assert_hides_canary(&c.session);
    c.reconnect();
    assert_hides_canary(&c.session);
    c.close(CloseOptions::now().frame(close_frame()));
    assert_hides_canary(&c.session);
    assert_hides_canary(&c.transmits());
}

#[test]
fn x1_replies_show_no_payload() {
    let mut c = Conversation::connected();
    let data = json!({"password": CANARY});
    let (_, frame) = c.send_request(secret_request());
    c.reply(&frame, &data);
    for (status, errors) in [(400, json!([CANARY])), (500, json!({ CANARY: CANARY }))] {
        let (_, frame) = c.send_request(secret_request());
        c.reply_with(&frame, status, &errors, &data);
    }
    let key = c.subscribe(secret_subscribe());
    let frame = c.sent_one();
    c.reply_with(&frame, 403, &json!([CANARY]), &data);
    assert_all_hide_canary(&mut c);
    assert_error_hides_canary(&c.end(key));
}

#[test]
fn x1_changes_and_unhandled_frames_show_no_payload() {
    let mut c = Conversation::connected();
    let (key, frame) = c.subscribe_acked(secret_subscribe().include_create());
    let data = json!({"pk": CANARY, "password": CANARY});
    for action in ["create", "update", "delete", "other"] {
        c.event(&frame, action, &data);
    }
    c.reply_as(&frame, "update", 404, &json!([CANARY]), &data);
    let changes = c.changes(key);
    assert_eq!(changes.len(), 5);
    for change in changes {
        assert_hides_canary(&change);
    }
    c.receive(&json!({"push": CANARY}));
    c.receive_text(CANARY);
    assert_all_hide_canary(&mut c);
}

#[test]
fn x1_error_replies_to_replay_and_unsubscribe_show_no_payload() {
    let mut c = Conversation::connected();
    let (key, _) = c.subscribe_acked(secret_subscribe());
    c.reconnect();
    let frame = c.sent_one();
    c.reply_with(&frame, 404, &json!([CANARY]), &json!(CANARY));
    let (changes, end) = c.changes_and_end(key);
    assert_hides_canary(&changes);
    assert_error_hides_canary(&end.unwrap());

    let (key, _) = c.subscribe_acked(secret_subscribe());
    c.unsubscribe(key);
    let frame = c.sent_one();
    c.reply_with(&frame, 405, &json!([CANARY]), &json!(CANARY));
    assert_all_hide_canary(&mut c);
}

#[test]
fn x1_close_frames_show_no_reason() {
    let mut c = Conversation::connected_with(|config| config.max_attempts = Some(2));
    let error = ConnectionError::Closed(close_frame());
    assert_hides_canary(&close_frame());
    assert_error_hides_canary(&error);
    c.send_request(secret_request());
    let (key, _) = c.subscribe_acked(secret_subscribe());
    c.disconnect(error.clone());
    assert_all_hide_canary(&mut c);
    c.wait_and_connect();
    let frame = c.sent_one();
    c.reply(&frame, &json!(null));
    assert_hides_canary(&c.changes(key));
    c.request(secret_request());
    c.disconnect(error);
    assert_all_hide_canary(&mut c);
    assert_error_hides_canary(&c.end(key));
}

#[test]
fn x1_unauthorized_close_shows_no_payload() {
    let mut c = Conversation::connected();
    let error = ConnectionError::Closed(CloseFrame { code: 4401, reason: CANARY.into() });
    c.disconnect(error.clone());
    c.wait_for_dial();
    c.request(secret_request());
    c.disconnect(error);
    assert_all_hide_canary(&mut c);
    assert_error_hides_canary(&c.session.request(secret_request(), c.now).unwrap_err());
}

#[test]
fn x1_decode_errors_show_only_what_was_expected() {
    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only its shape matters")]
    struct Task {
        title: String,
        kind: Kind,
        priority: Option<u8>,
    }
    #[derive(Debug, serde::Deserialize)]
    enum Kind {
        Bug,
    }
    let mismatches = [
        json!(CANARY),
        json!({ CANARY: 1 }),
        json!({"title": 1, "kind": CANARY}),
        json!({"title": CANARY, "kind": CANARY}),
        json!({"title": CANARY, "kind": {CANARY: 1}}),
        json!({"title": CANARY, "kind": "Bug", "priority": CANARY}),
        json!({"title": CANARY, "kind": "Bug", "priority": format!("x, expected {CANARY}")}),
        json!({"title": CANARY}),
        json!([CANARY]),
    ];
    for mismatch in mismatches {
        let json = Json::from_value(&mismatch).unwrap();
        assert_hides_canary(&json);
        let error = json.decode::<Task>().unwrap_err();
        assert_error_hides_canary(&error);
        assert_error_hides_canary(&RequestError::Decode(error));
    }
}

#[test]
fn x1_seed_is_not_shown() {
    let seed = Seed::from([42; 32]);
    assert!(!format!("{seed:?}").contains("42"));
    let mut c = Conversation::connected();
    c.disconnect(dropped());
    assert!(!format!("{:?}", c.session).to_lowercase().contains("xoshiro"));
}

/// A name that the server made up: it would forge lines, change colours and turn the text around.
const INJECTION: &str = "x\n2026 INFO forged\r\u{1b}[31m\u{202e}\u{85}";

#[track_caller]
fn assert_is_short_and_escaped(shown: &str) {
    assert!(shown.len() < 2_000, "{} bytes", shown.len());
    assert!(!shown.contains(['\n', '\r', '\u{1b}', '\u{202e}', '\u{85}']), "{shown:?}");
}

#[test]
fn x0_names_from_the_server_are_escaped_and_short() {
    for name in [INJECTION.to_owned(), INJECTION.repeat(100_000)] {
        let mut c = Conversation::connected();
        let all = c.session.listen(Selector::any(), c.now).unwrap();
        let (_, frame) = c.send_request(Request::new("tasks", "echo"));
        c.reply_as(&frame, &name, 404, &json!([]), &json!(null));
        let (_, error) = c.settled().remove(0);
        let error = error.unwrap_err();
        assert_is_short_and_escaped(&error.to_string());
        assert_is_short_and_escaped(&format!("{error:?}"));

        let (key, frame) = c.subscribe_acked(Subscribe::new("tasks", "subscribe_all"));
        c.event(&frame, &name, &json!(1));
        c.reply_as(&frame, &name, 404, &json!([]), &json!(null));
        let changes = c.changes(key);
        assert!(matches!(&changes[..], [Change::Other { .. }, Change::ErrorReply(_)]));
        assert_is_short_and_escaped(&format!("{changes:?}"));

        c.receive(&json!({"stream": name, "payload": {"a": 1}}));
        let mut last = None;
        while let Some(event) = c.session.poll_listener(all) {
            assert_is_short_and_escaped(&format!("{event:?}"));
            last = Some(event);
        }
        assert!(matches!(last, Some(ListenerEvent::Frame { .. })));
    }
}
