//! Which failures close the session, and when (rules L6 and L7): what has worked is not final within minutes.

use crate::conversation::{Conversation, closed, dropped, http, secs};
use dcrf_proto::{
    CloseReason, Config, ConnectionError, ConnectionState, FailureAction, Request, Subscribe,
};
use serde_json::json;

fn certificate() -> ConnectionError {
    ConnectionError::Certificate("expired".into())
}

fn subprotocol() -> ConnectionError {
    ConnectionError::Subprotocol("the server picked none".into())
}

/// All failures that can be final, and after how many in a row if nothing has ever worked.
fn failures() -> Vec<(ConnectionError, u32)> {
    let mut failures = vec![(certificate(), 1), (subprotocol(), 3), (http(404), 3)];
    failures.extend([http(401), http(403)].map(|error| (error, 2)));
    failures.extend([1008, 4401, 4403].map(|code| (closed(code), 2)));
    failures.extend([1002, 1003, 1007, 1010].map(|code| (closed(code), 3)));
    failures
}

/// A request is answered.
fn work(c: &mut Conversation) {
    let (_, frame) = c.send_request(Request::list("tasks"));
    c.reply(&frame, &json!([]));
}

/// A connection that has worked and was lost; the next dial is on its way.
fn after_work() -> Conversation {
    let mut c = Conversation::connected();
    work(&mut c);
    c.disconnect(dropped());
    c.wait_for_dial();
    c
}

/// Fails with `error` until the session closes, and returns how many failures and seconds that took.
fn fail_until_closed(c: &mut Conversation, error: &ConnectionError) -> (u32, u64) {
    let start = c.now;
    for count in 1..1_000 {
        // A close code comes after the handshake.
        if matches!(error, ConnectionError::Closed(_)) {
            c.connect();
        }
        c.disconnect(error.clone());
        if let ConnectionState::Closed(reason) = c.session.state() {
            let (CloseReason::Fatal(last) | CloseReason::Unauthorized(last)) = reason else {
                panic!("{reason}")
            };
            assert_eq!(last, error);
            return (count, (c.now - start).as_secs());
        }
        c.wait_for_dial();
    }
    panic!("{error:?} is never final")
}

#[test]
fn l6_failure_is_final_after_a_few_in_a_row_if_nothing_ever_worked() {
    for (error, count) in failures() {
        let mut c = Conversation::connecting(Config::default());
        assert_eq!(fail_until_closed(&mut c, &error).0, count, "{error:?}");
    }
}

#[test]
fn l6_failure_is_final_after_five_minutes_if_a_connection_has_worked() {
    for (error, _) in failures() {
        let mut c = after_work();
        let (count, seconds) = fail_until_closed(&mut c, &error);
        assert!(count > 5 && (300..340).contains(&seconds), "{error:?}: {count} in {seconds} s");
    }
}

#[test]
fn l6_grace_period_is_an_option() {
    let mut c = Conversation::connected_with(|config| config.grace_period = secs(20));
    work(&mut c);
    c.disconnect(dropped());
    c.wait_for_dial();
    let (_, seconds) = fail_until_closed(&mut c, &http(404));
    assert!((20..60).contains(&seconds), "{seconds} s");
}

#[test]
fn l6_deployment_that_answers_404_and_403_for_a_minute_is_survived() {
    for status in [404, 403] {
        let mut c = after_work();
        let start = c.now;
        while c.now - start < secs(60) {
            c.disconnect(http(status));
            c.wait_for_dial();
        }
        c.connect();
        work(&mut c);
    }
}

#[test]
fn l6_five_minutes_begin_anew_after_something_better() {
    let mut c = after_work();
    let start = c.now;
    while c.now - start < secs(1_000) {
        for error in [http(404), http(404), http(502)] {
            c.disconnect(error);
            c.wait_for_dial();
        }
    }
}

#[test]
fn l7_acknowledged_subscription_and_long_connection_prove_that_it_worked() {
    let mut subscribed = Conversation::connected();
    subscribed.subscribe_acked(Subscribe::instance("tasks", 7));
    let mut long = Conversation::connected();
    long.advance(secs(10));
    for mut c in [subscribed, long] {
        c.disconnect(dropped());
        c.wait_for_dial();
        let (_, seconds) = fail_until_closed(&mut c, &http(403));
        assert!(seconds >= 300, "{seconds} s");
    }
}

#[test]
fn l7_error_replies_without_permission_and_pushed_frames_prove_nothing() {
    let mut c = Conversation::connected();
    c.receive_text(r#"{"error": "who are you"}"#);
    let (_, frame) = c.send_request(Request::list("tasks"));
    c.reply_error(&frame, 401);
    c.disconnect(closed(4401));
    c.wait_and_connect();
    c.disconnect(closed(4401));
    assert!(matches!(c.session.state(), ConnectionState::Closed(CloseReason::Unauthorized(_))));
}

#[test]
fn l7_answered_request_ends_the_row() {
    let mut c = Conversation::connecting(Config::default());
    c.disconnect(http(403));
    c.wait_for_dial();
    assert!(c.session.attempt().refresh);
    c.connect();
    work(&mut c);
    c.disconnect(closed(4401));
    assert!(matches!(c.session.state(), ConnectionState::Waiting { .. }), "{}", c.session.state());
    c.wait_for_dial();
    assert!(c.session.attempt().refresh);
}

#[test]
fn l7_refresh_action_follows_the_same_rule() {
    let mut c = after_work();
    let start = c.now;
    loop {
        let (error, action) = (closed(4001), FailureAction::RefreshCredentials);
        c.session.handle_disconnected_with(c.epoch(), error, action, c.now);
        if let ConnectionState::Closed(_) = c.session.state() {
            break;
        }
        c.wait_for_dial();
        assert!(c.session.attempt().refresh);
    }
    assert!(c.now - start >= secs(300));
}

#[test]
fn l7_stop_action_and_fatal_credentials_are_final_at_once_even_after_work() {
    let mut c = after_work();
    let error = ConnectionError::Credentials { message: "signed out".into(), fatal: true };
    c.disconnect(error.clone());
    assert_eq!(*c.session.state(), ConnectionState::Closed(CloseReason::Fatal(error)));

    let mut c = after_work();
    c.session.handle_disconnected_with(c.epoch(), http(403), FailureAction::Stop, c.now);
    assert_eq!(*c.session.state(), ConnectionState::Closed(CloseReason::Fatal(http(403))));
}

#[test]
fn l13_planned_reconnect_keeps_the_proof_that_it_worked() {
    let mut c = Conversation::connected();
    work(&mut c);
    c.session.force_reconnect(dcrf_proto::CloseFrame::normal(), c.now);
    c.disconnect(dropped());
    c.wait_for_dial();
    let (_, seconds) = fail_until_closed(&mut c, &http(404));
    assert!(seconds >= 300, "{seconds} s");
}

#[test]
fn l7_unlisted_close_codes_are_unknown_and_reconnect() {
    for code in [0, 1, 999, 1004, 1005, 1006, 1009, 1015, 1016, 2999, 3000, 5000, 65_535] {
        let mut c = Conversation::connected();
        for _ in 0..20 {
            c.disconnect(closed(code));
            c.wait_and_connect();
        }
    }
}

#[test]
fn l7_bad_gateway_waits_as_try_again_later_does() {
    let mut c = Conversation::connected_with(|config| config.backoff.jitter = false);
    c.disconnect(closed(1014));
    assert_eq!(c.wait_for_dial(), secs(10));
}
