//! What a program may log: payloads and close reasons are in no `Debug` and no `Display` (rule X1).

use std::fmt::{Debug, Display};

use crate::conversation::{Conversation, dropped};
use dcrf_proto::{
    CloseFrame, CloseOptions, ConnectionError, Frame, Json, Rejected, Request, RequestError, Seed,
    Subscribe, Transmit,
};
use serde_json::json;

const CANARY: &str = "canary-5ec2e7";

#[track_caller]
fn silent(value: &impl Debug) {
    for shown in [format!("{value:?}"), format!("{value:#?}")] {
        assert!(!shown.contains(CANARY), "{shown}");
    }
}

#[track_caller]
fn silent_error(error: &(impl Debug + Display)) {
    silent(error);
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

/// Looks at all that a session tells, and at the session itself.
fn everything_is_silent(c: &mut Conversation) {
    silent(&c.session);
    silent(c.session.state());
    for event in c.client_events() {
        silent(&event);
    }
    for event in c.events() {
        silent(&event);
        if let dcrf_proto::Event::Settled { result: Err(error), .. } = event {
            silent_error(&error);
        }
    }
}

#[test]
fn x1_commands_show_only_argument_names() {
    silent(&secret_request());
    silent(&secret_subscribe());
    silent(&CloseOptions::now().frame(close_frame()));
    assert!(format!("{:?}", secret_request()).contains("token"));
}

#[test]
fn x1_rejected_commands_show_no_payload() {
    let mut c = Conversation::connected_with(|config| config.max_outgoing_message = 10);
    let request = c.session.request(secret_request(), c.now).unwrap_err();
    let subscribe = c.session.subscribe(secret_subscribe(), c.now).unwrap_err();
    silent_error(&request);
    silent_error(&subscribe);
    silent_error(&RequestError::Rejected(Box::new(request)));
    let no_json = std::collections::BTreeMap::from([((CANARY, 2), CANARY)]);
    let invalid: Rejected<Request> =
        c.session.request(Request::list("tasks").arg("map", no_json), c.now).unwrap_err();
    silent_error(&invalid);
}

#[test]
fn x1_queued_and_sent_frames_show_no_payload() {
    let mut c = Conversation::connected();
    c.request(secret_request());
    c.request(secret_request().idempotent(true));
    c.subscribe(secret_subscribe());
    silent(&c.session);
    let transmits = c.transmits();
    silent(&transmits);
    assert!(
        transmits
            .iter()
            .any(|t| matches!(t, Transmit::Frame(_, Frame::Text(text)) if text.contains(CANARY)))
    );
    silent(&c.session);
    c.reconnect();
    silent(&c.session);
    c.close(CloseOptions::now().frame(close_frame()));
    silent(&c.session);
    silent(&c.transmits());
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
    everything_is_silent(&mut c);
    silent_error(&c.end(key));
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
        silent(&change);
    }
    c.receive(&json!({"push": CANARY}));
    c.receive_text(CANARY);
    everything_is_silent(&mut c);
}

#[test]
fn x1_error_replies_to_replay_and_unsubscribe_show_no_payload() {
    let mut c = Conversation::connected();
    let (key, _) = c.subscribe_acked(secret_subscribe());
    c.reconnect();
    let frame = c.sent_one();
    c.reply_with(&frame, 404, &json!([CANARY]), &json!(CANARY));
    let (changes, end) = c.changes_and_end(key);
    silent(&changes);
    silent_error(&end.unwrap());

    let (key, _) = c.subscribe_acked(secret_subscribe());
    c.unsubscribe(key);
    let frame = c.sent_one();
    c.reply_with(&frame, 405, &json!([CANARY]), &json!(CANARY));
    everything_is_silent(&mut c);
}

#[test]
fn x1_close_frames_show_no_reason() {
    let mut c = Conversation::connected_with(|config| config.max_attempts = Some(2));
    let lost = ConnectionError::Closed(close_frame());
    silent(&close_frame());
    silent_error(&lost);
    c.send_request(secret_request());
    let (key, _) = c.subscribe_acked(secret_subscribe());
    c.disconnect(lost.clone());
    everything_is_silent(&mut c);
    c.wait_and_connect();
    let frame = c.sent_one();
    c.reply(&frame, &json!(null));
    silent(&c.changes(key));
    c.request(secret_request());
    c.disconnect(lost);
    everything_is_silent(&mut c);
    silent_error(&c.end(key));
}

#[test]
fn x1_unauthorized_close_shows_no_payload() {
    let mut c = Conversation::connected();
    let lost = ConnectionError::Closed(CloseFrame { code: 4401, reason: CANARY.into() });
    c.disconnect(lost.clone());
    c.wait_for_dial();
    c.request(secret_request());
    c.disconnect(lost);
    everything_is_silent(&mut c);
    silent_error(&c.session.request(secret_request(), c.now).unwrap_err());
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
    let misfits = [
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
    for misfit in misfits {
        let json = Json::from_value(&misfit).unwrap();
        silent(&json);
        let error = json.decode::<Task>().unwrap_err();
        silent_error(&error);
        silent_error(&RequestError::Decode(error));
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
