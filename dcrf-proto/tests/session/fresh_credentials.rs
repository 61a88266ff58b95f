//! A replay that is refused with 401 or 403 asks for fresh credentials, once (rule S7).

use crate::conversation::{Conversation, closed, dropped, secs};
use dcrf_proto::{
    Change, CloseOptions, ConnectionError, ConnectionState, Frame, Gap, Request, Subscribe,
    SubscriptionError, SubscriptionKey, Transmit,
};
use serde_json::{Value, json};

/// Subscriptions to three objects, of which the server refuses to replay the last two. Their gap is owed.
fn refused(c: &mut Conversation, status: u16) -> [SubscriptionKey; 3] {
    let keys = [1, 2, 3].map(|pk| {
        let (key, frame) = c.subscribe_acked(Subscribe::instance("tasks", pk));
        c.event(&frame, "update", &json!({"pk": pk}));
        c.changes(key);
        key
    });
    c.disconnect(dropped());
    c.wait_and_connect();
    refuse_all(c, status);
    keys
}

/// Acknowledges the first subscribe and refuses the others.
fn refuse_all(c: &mut Conversation, status: u16) {
    for frame in c.sent() {
        match frame["payload"]["pk"].as_u64() {
            Some(1) => c.reply_with(&frame, 201, &json!([]), &Value::Null),
            _ => c.reply_error(&frame, status),
        }
    }
}

/// The closing handshake completes, and the session dials and connects again.
fn complete_reconnect(c: &mut Conversation) {
    let closes = |transmit: &Transmit| matches!(transmit, Transmit::Frame(_, Frame::Close(_)));
    assert!(c.transmits().iter().any(closes));
    assert_eq!(*c.session.state(), ConnectionState::Connecting { attempt: 1 });
    c.disconnect(closed(1000));
    c.wait_for_dial();
    assert!(c.session.attempt().refresh);
    c.connect();
}

#[test]
fn s7_refused_replay_asks_for_fresh_credentials() {
    for status in [401, 403] {
        let mut c = Conversation::connected();
        let keys = refused(&mut c, status);
        complete_reconnect(&mut c);
        for frame in c.sent() {
            c.reply_with(&frame, 201, &json!([]), &Value::Null);
        }
        for key in keys {
            let gap = Change::Gap(Gap::new(ConnectionError::Unauthorized { status }));
            assert_eq!(c.changes(key).last(), Some(&gap));
        }
        // The token expires again an hour later.
        c.advance(secs(10));
        c.disconnect(dropped());
        c.wait_and_connect();
        refuse_all(&mut c, status);
        complete_reconnect(&mut c);
    }
}

#[test]
fn s7_refused_replay_ends_its_subscription_if_fresh_credentials_are_refused_too() {
    let mut c = Conversation::connected();
    let [live, other, third] = refused(&mut c, 403);
    complete_reconnect(&mut c);
    refuse_all(&mut c, 403);
    for key in [other, third] {
        let (_, end) = c.changes_and_end(key);
        assert!(matches!(end, Some(SubscriptionError::Revoked(_))), "{end:?}");
    }
    assert!(c.session.is_acknowledged(live));
    assert_eq!(*c.session.state(), ConnectionState::Connected);
    assert_eq!(c.transmits(), []);
}

#[test]
fn s7_dials_that_fail_do_not_renew_the_one_request_for_fresh_credentials() {
    let mut c = Conversation::connected();
    let [_, other, _] = refused(&mut c, 403);
    c.transmits();
    c.disconnect(closed(1000));
    for _ in 0..3 {
        c.wait_for_dial();
        c.disconnect(dropped());
    }
    c.wait_and_connect();
    refuse_all(&mut c, 403);
    let (_, end) = c.changes_and_end(other);
    assert!(matches!(end, Some(SubscriptionError::Revoked(_))), "{end:?}");
}

#[test]
fn s7_refused_replay_ends_its_subscription_without_a_provider() {
    let mut c = Conversation::connected_with(|config| config.refresh_credentials = false);
    let [_, other, _] = refused(&mut c, 403);
    let (_, end) = c.changes_and_end(other);
    assert!(matches!(end, Some(SubscriptionError::Revoked(_))), "{end:?}");
    assert_eq!(*c.session.state(), ConnectionState::Connected);
}

#[test]
fn s7_refused_first_subscribe_asks_for_nothing() {
    let mut c = Conversation::connected();
    let key = c.subscribe(Subscribe::instance("tasks", 1));
    let frame = c.sent_one();
    c.reply_error(&frame, 403);
    assert!(matches!(c.end(key), SubscriptionError::ErrorReply(_)));
    assert_eq!(*c.session.state(), ConnectionState::Connected);
}

#[test]
fn s7_close_in_progress_does_not_reconnect() {
    let mut c = Conversation::connected();
    c.subscribe_acked(Subscribe::instance("tasks", 1));
    c.disconnect(dropped());
    c.wait_and_connect();
    let replay = c.sent_one();
    c.send_request(Request::list("tasks"));
    c.close(CloseOptions::default());
    c.reply_error(&replay, 403);
    c.advance(secs(10));
    assert_eq!(c.dials(), 0);
    assert!(c.session.is_finished());
}
