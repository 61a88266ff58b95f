//! What a caller decides about failures, and what the next attempt is told (rules L6 to L8).

use std::time::Duration;

use crate::conversation::{Conversation, closed, dropped, http, secs};
use dcrf_proto::{CloseReason, Config, ConnectionError, ConnectionState, FailureAction};

/// The dial, or the connection, ends, and the caller decides.
fn lost_with(c: &mut Conversation, why: &ConnectionError, verdict: FailureAction) {
    c.session.handle_disconnected_with(c.epoch(), why.clone(), verdict, c.now);
}

fn no_credentials(fatal: bool) -> ConnectionError {
    ConnectionError::Credentials { message: "the keyring is locked".into(), fatal }
}

#[test]
fn l6_the_attempt_after_a_refusal_asks_for_fresh_credentials() {
    for refused in [http(401), http(403), closed(1008), closed(4401), closed(4403)] {
        let mut c = Conversation::dialling(Config::default());
        assert!(!c.session.attempt().refresh);
        c.lost(refused.clone());
        c.redials();
        assert!(c.session.attempt().refresh, "after {refused:?}");
        assert_eq!(c.session.attempt().number, 2);
        c.lost(http(502));
        c.redials();
        assert!(!c.session.attempt().refresh);
    }
}

#[test]
fn l7_the_callers_stop_closes_whatever_the_rules_say() {
    let mut c = Conversation::open();
    lost_with(&mut c, &closed(1012), FailureAction::Stop);
    let fatal = CloseReason::Fatal(closed(1012));
    assert_eq!(*c.session.state(), ConnectionState::Closed(fatal));
}

#[test]
fn l7_the_callers_retry_goes_on_whatever_the_rules_say() {
    let certificate = ConnectionError::Certificate("expired".into());
    for why in [http(403), http(404), closed(1002), closed(4401), certificate] {
        let mut c = Conversation::dialling(Config::default());
        for _ in 0..10 {
            lost_with(&mut c, &why, FailureAction::Retry);
            c.redials();
            assert!(!c.session.attempt().refresh);
        }
    }
}

#[test]
fn l6_the_callers_retry_still_obeys_retry_after() {
    let mut c = Conversation::dialling(Config::default());
    let why = ConnectionError::Http { status: 502, retry_after: Some(secs(100)) };
    lost_with(&mut c, &why, FailureAction::Retry);
    assert!(c.redials() >= Duration::from_secs(100));
}

#[test]
fn l7_the_callers_retry_still_waits_ten_seconds_after_1013() {
    let mut c = Conversation::open_with(|config| config.backoff.jitter = false);
    lost_with(&mut c, &closed(1013), FailureAction::Retry);
    assert_eq!(c.redials(), Duration::from_secs(10));
}

#[test]
fn l7_the_callers_refresh_is_tried_once_more_and_then_ends() {
    let mut c = Conversation::open();
    lost_with(&mut c, &closed(4001), FailureAction::RefreshCredentials);
    c.redials();
    assert!(c.session.attempt().refresh);
    c.opens();
    lost_with(&mut c, &closed(4001), FailureAction::RefreshCredentials);
    let unauthorized = CloseReason::Unauthorized(closed(4001));
    assert_eq!(*c.session.state(), ConnectionState::Closed(unauthorized));
}

#[test]
fn l7_a_connection_that_lasted_begins_the_callers_refreshes_anew() {
    let mut c = Conversation::open_with(|config| config.heartbeat = None);
    for _ in 0..5 {
        lost_with(&mut c, &closed(4001), FailureAction::RefreshCredentials);
        c.reopens();
        c.passes(secs(10));
    }
}

#[test]
fn l8_credentials_that_fail_are_a_failed_attempt() {
    let mut c = Conversation::dialling(Config::default());
    for attempt in 2..10 {
        c.lost(no_credentials(false));
        let ConnectionState::Waiting { attempt: next, error, .. } = c.session.state() else {
            panic!()
        };
        assert_eq!((*next, error), (attempt, &no_credentials(false)));
        c.redials();
    }
}

#[test]
fn l6_the_wish_for_fresh_credentials_outlasts_a_provider_that_fails() {
    let mut c = Conversation::dialling(Config::default());
    c.lost(http(401));
    c.redials();
    c.lost(no_credentials(false));
    c.redials();
    assert!(c.session.attempt().refresh);
    c.lost(http(401));
    assert_eq!(*c.session.state(), ConnectionState::Closed(CloseReason::Unauthorized(http(401))));
}

#[test]
fn l8_credentials_that_fail_for_good_close_the_session() {
    let mut c = Conversation::dialling(Config::default());
    c.lost(no_credentials(true));
    let fatal = CloseReason::Fatal(no_credentials(true));
    assert_eq!(*c.session.state(), ConnectionState::Closed(fatal));
}

#[test]
fn l11_no_failure_action_dials_after_a_close() {
    let mut c = Conversation::open();
    c.session.close(dcrf_proto::CloseOptions::default(), c.now);
    c.transmits();
    lost_with(&mut c, &dropped(), FailureAction::Retry);
    c.passes(secs(100));
    assert_eq!(c.dials(), 0);
}

fn too_large() -> ConnectionError {
    ConnectionError::TooLarge { limit: 4 << 20 }
}

#[test]
fn f5_a_message_over_the_limit_reconnects_and_three_in_a_row_end() {
    let mut c = Conversation::open();
    for _ in 0..2 {
        c.lost(too_large());
        c.reopens();
    }
    c.lost(too_large());
    assert_eq!(*c.session.state(), ConnectionState::Closed(CloseReason::Fatal(too_large())));
}

#[test]
fn f5_another_loss_between_or_a_connection_that_lasted_begins_the_count_anew() {
    let mut c = Conversation::open();
    for _ in 0..5 {
        c.lost(too_large());
        c.reopens();
        c.lost(too_large());
        c.reopens();
        c.lost(dropped());
        c.reopens();
    }
    for _ in 0..10 {
        c.passes(secs(10));
        c.lost(too_large());
        c.reopens();
    }
}
