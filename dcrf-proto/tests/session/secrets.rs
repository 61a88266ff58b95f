//! `Debug` and `Display` show no payload and no close reason (rule X1).

use std::fmt::{Debug, Display};

use crate::conversation::{Conversation, dropped};
use dcrf_proto::{
    CloseFrame, CloseOptions, ConnectionError, Frame, Json, Rejected, Request, RequestError, Seed,
    Subscribe, Transmit,
};
use serde_json::json;

const CANARY: &str = "canary-5ec2e7";

#[track_caller]
fn assert_shows_no_secret(value: &impl Debug) {
    for shown in [format!("{value:?}"), format!("{value:#?}")] {
        assert!(!shown.contains(CANARY), "{shown}");
    }
}

#[track_caller]
fn assert_error_shows_no_secret(error: &(impl Debug + Display)) {
    assert_shows_no_secret(error);
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

/// Checks all outputs of the session, and the session itself.
fn assert_session_shows_no_secret(c: &mut Conversation) {
    assert_shows_no_secret(&c.session);
    assert_shows_no_secret(c.session.state());
    for notice in c.client_events() {
        assert_shows_no_secret(&notice);
    }
    for event in c.events() {
        assert_shows_no_secret(&event);
        if let dcrf_proto::Event::Settled { result: Err(error), .. } = event {
            assert_error_shows_no_secret(&error);
        }
    }
}

#[test]
fn x1_commands_show_only_the_names_of_their_arguments() {
    assert_shows_no_secret(&secret_request());
    assert_shows_no_secret(&secret_subscribe());
    assert_shows_no_secret(&CloseOptions::now().frame(close_frame()));
    assert!(format!("{:?}", secret_request()).contains("token"));
}

#[test]
fn x1_rejected_commands_show_no_secret() {
    let mut c = Conversation::connected_with(|config| config.max_outgoing_message = 10);
    let request = c.session.request(secret_request(), c.now).unwrap_err();
    let subscribe = c.session.subscribe(secret_subscribe(), c.now).unwrap_err();
    assert_error_shows_no_secret(&request);
    assert_error_shows_no_secret(&subscribe);
    assert_error_shows_no_secret(&RequestError::Rejected(Box::new(request)));
    let no_json = std::collections::BTreeMap::from([((CANARY, 2), CANARY)]);
    let invalid: Rejected<Request> =
        c.session.request(Request::list("tasks").arg("map", no_json), c.now).unwrap_err();
    assert_error_shows_no_secret(&invalid);
}

#[test]
fn x1_waiting_and_sent_requests_show_no_secret() {
    let mut c = Conversation::connected();
    c.request(secret_request());
    c.request(secret_request().idempotent(true));
    c.subscribe(secret_subscribe());
    assert_shows_no_secret(&c.session);
    let transmits = c.transmitted();
    assert_shows_no_secret(&transmits);
    assert!(
        transmits
            .iter()
            .any(|t| matches!(t, Transmit::Frame(_, Frame::Text(text)) if text.contains(CANARY)))
    );
    assert_shows_no_secret(&c.session);
    c.reconnect();
    assert_shows_no_secret(&c.session);
    c.close(CloseOptions::now().frame(close_frame()));
    assert_shows_no_secret(&c.session);
    assert_shows_no_secret(&c.transmitted());
}

#[test]
fn x1_replies_and_error_replies_show_no_secret() {
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
    assert_session_shows_no_secret(&mut c);
    assert_error_shows_no_secret(&c.end(key));
}

#[test]
fn x1_changes_and_unhandled_frames_show_no_secret() {
    let mut c = Conversation::connected();
    let (key, frame) = c.subscribe_live(secret_subscribe().include_create());
    let data = json!({"pk": CANARY, "password": CANARY});
    for action in ["create", "update", "delete", "other"] {
        c.event(&frame, action, &data);
    }
    c.receive_payload(&frame, "update", 404, &json!([CANARY]), &data);
    let changes = c.changes(key);
    assert_eq!(changes.len(), 5);
    for change in changes {
        assert_shows_no_secret(&change);
    }
    c.receive(&json!({"push": CANARY}));
    c.receive_text(CANARY);
    assert_session_shows_no_secret(&mut c);
}

#[test]
fn x1_rejected_unsubscribes_and_replays_show_no_secret() {
    let mut c = Conversation::connected();
    let (key, _) = c.subscribe_live(secret_subscribe());
    c.reconnect();
    let frame = c.sent_one();
    c.reply_with(&frame, 404, &json!([CANARY]), &json!(CANARY));
    let (changes, end) = c.changes_and_end(key);
    assert_shows_no_secret(&changes);
    assert_error_shows_no_secret(&end.unwrap());

    let (key, _) = c.subscribe_live(secret_subscribe());
    c.unsubscribe(key);
    let frame = c.sent_one();
    c.reply_with(&frame, 405, &json!([CANARY]), &json!(CANARY));
    assert_session_shows_no_secret(&mut c);
}

#[test]
fn x1_close_frames_show_no_reason() {
    let mut c = Conversation::connected_with(|config| config.max_attempts = Some(2));
    let lost = ConnectionError::Closed(close_frame());
    assert_shows_no_secret(&close_frame());
    assert_error_shows_no_secret(&lost);
    c.send_request(secret_request());
    let (key, _) = c.subscribe_live(secret_subscribe());
    c.disconnect(lost.clone());
    assert_session_shows_no_secret(&mut c);
    c.connect_again();
    let frame = c.sent_one();
    c.reply(&frame, &json!(null));
    assert_shows_no_secret(&c.changes(key));
    c.request(secret_request());
    c.disconnect(lost);
    assert_session_shows_no_secret(&mut c);
    assert_error_shows_no_secret(&c.end(key));
}

#[test]
fn x1_unauthorized_close_shows_no_secret() {
    let mut c = Conversation::connected();
    let lost = ConnectionError::Closed(CloseFrame { code: 4401, reason: CANARY.into() });
    c.disconnect(lost.clone());
    c.redial();
    c.request(secret_request());
    c.disconnect(lost);
    assert_session_shows_no_secret(&mut c);
    assert_error_shows_no_secret(&c.session.request(secret_request(), c.now).unwrap_err());
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
        assert_shows_no_secret(&json);
        let error = json.decode::<Task>().unwrap_err();
        assert_error_shows_no_secret(&error);
        assert_error_shows_no_secret(&RequestError::Decode(error));
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
