//! Failure actions, and the credentials of the next attempt (rules L6 to L8).

use std::time::Duration;

use crate::conversation::{Conversation, closed, dropped, http, secs};
use dcrf_proto::{CloseReason, Config, ConnectionError, ConnectionState, FailureAction};

/// The connection is lost or the dial fails, and the caller's policy decides.
fn disconnect_with(c: &mut Conversation, error: &ConnectionError, action: FailureAction) {
    c.session.handle_disconnected_with(c.epoch(), error.clone(), action, c.now);
}

fn no_credentials(fatal: bool) -> ConnectionError {
    ConnectionError::Credentials { message: "the keyring is locked".into(), fatal }
}

#[test]
fn l6_attempt_after_unauthorized_refreshes_credentials() {
    for unauthorized in [http(401), http(403), closed(1008), closed(4401), closed(4403)] {
        let mut c = Conversation::connecting(Config::default());
        assert!(!c.session.attempt().refresh);
        c.disconnect(unauthorized.clone());
        c.wait_for_dial();
        assert!(c.session.attempt().refresh, "after {unauthorized:?}");
        assert_eq!(c.session.attempt().number, 2);
        c.disconnect(http(502));
        c.wait_for_dial();
        assert!(!c.session.attempt().refresh);
    }
}

#[test]
fn l7_stop_action_closes_on_any_error() {
    let mut c = Conversation::connected();
    disconnect_with(&mut c, &closed(1012), FailureAction::Stop);
    let reason = CloseReason::Fatal(closed(1012));
    assert_eq!(*c.session.state(), ConnectionState::Closed(reason));
}

#[test]
fn l7_retry_action_retries_on_any_error() {
    let certificate = ConnectionError::Certificate("expired".into());
    for error in [http(403), http(404), closed(1002), closed(4401), certificate] {
        let mut c = Conversation::connecting(Config::default());
        for _ in 0..10 {
            disconnect_with(&mut c, &error, FailureAction::Retry);
            c.wait_for_dial();
            assert!(!c.session.attempt().refresh);
        }
    }
}

#[test]
fn l6_retry_action_obeys_retry_after() {
    let mut c = Conversation::connecting(Config::default());
    let error = ConnectionError::Http { status: 502, retry_after: Some(secs(100)) };
    disconnect_with(&mut c, &error, FailureAction::Retry);
    assert!(c.wait_for_dial() >= Duration::from_secs(100));
}

#[test]
fn l7_retry_action_waits_ten_seconds_after_1013() {
    let mut c = Conversation::connected_with(|config| config.backoff.jitter = false);
    disconnect_with(&mut c, &closed(1013), FailureAction::Retry);
    assert_eq!(c.wait_for_dial(), Duration::from_secs(10));
}

#[test]
fn l7_refresh_action_twice_in_a_row_closes_the_session() {
    let mut c = Conversation::connected();
    disconnect_with(&mut c, &closed(4001), FailureAction::RefreshCredentials);
    c.wait_for_dial();
    assert!(c.session.attempt().refresh);
    c.connect();
    disconnect_with(&mut c, &closed(4001), FailureAction::RefreshCredentials);
    let reason = CloseReason::Unauthorized(closed(4001));
    assert_eq!(*c.session.state(), ConnectionState::Closed(reason));
}

#[test]
fn l7_long_connection_resets_the_count_of_refresh_actions() {
    let mut c = Conversation::connected_with(|config| config.heartbeat = None);
    for _ in 0..5 {
        disconnect_with(&mut c, &closed(4001), FailureAction::RefreshCredentials);
        c.wait_and_connect();
        c.advance(secs(10));
    }
}

#[test]
fn l8_failed_credentials_are_a_failed_attempt() {
    let mut c = Conversation::connecting(Config::default());
    for attempt in 2..10 {
        c.disconnect(no_credentials(false));
        let ConnectionState::Waiting { attempt: next, error, .. } = c.session.state() else {
            panic!()
        };
        assert_eq!((*next, error), (attempt, &no_credentials(false)));
        c.wait_for_dial();
    }
}

#[test]
fn l6_refresh_is_requested_again_after_the_provider_failed() {
    let mut c = Conversation::connecting(Config::default());
    c.disconnect(http(401));
    c.wait_for_dial();
    c.disconnect(no_credentials(false));
    c.wait_for_dial();
    assert!(c.session.attempt().refresh);
    c.disconnect(http(401));
    assert_eq!(*c.session.state(), ConnectionState::Closed(CloseReason::Unauthorized(http(401))));
}

#[test]
fn l8_fatal_credentials_error_closes_the_session() {
    let mut c = Conversation::connecting(Config::default());
    c.disconnect(no_credentials(true));
    let reason = CloseReason::Fatal(no_credentials(true));
    assert_eq!(*c.session.state(), ConnectionState::Closed(reason));
}

#[test]
fn l11_failure_action_does_not_dial_after_a_close() {
    let mut c = Conversation::connected();
    c.session.close(dcrf_proto::CloseOptions::default(), c.now);
    c.transmits();
    disconnect_with(&mut c, &dropped(), FailureAction::Retry);
    c.advance(secs(100));
    assert_eq!(c.dials(), 0);
}
