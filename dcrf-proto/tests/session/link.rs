//! Dials, losses, backoff, heartbeat and close of the connection (rules L1 to L7, L9 and L11).

use std::time::Duration;

use crate::conversation::{Conversation, closed, dropped, http, millis, secs};
use dcrf_proto::{
    Backoff, CloseOptions, CloseReason, Config, ConnectionError, ConnectionState, Frame, Heartbeat,
    Request, Subscribe, Transmit,
};

/// No jitter, so that each wait is known.
fn no_jitter() -> Config {
    let mut config = Config::default();
    config.backoff.jitter = false;
    config
}

fn attempts_of(states: &[ConnectionState]) -> Vec<u32> {
    let attempt = |state: &ConnectionState| match state {
        ConnectionState::Connecting { attempt } => Some(*attempt),
        _ => None,
    };
    states.iter().filter_map(attempt).collect()
}

#[test]
fn l1_every_change_of_state_is_an_event() {
    let mut c = Conversation::idle(no_jitter());
    assert_eq!(*c.session.state(), ConnectionState::Idle);

    c.session.open(c.now);
    c.wait_for_dial();
    c.connect();
    c.disconnect(dropped());
    let until = c.now + secs(1);
    c.close(CloseOptions::default());

    assert_eq!(
        c.states(),
        [
            ConnectionState::Connecting { attempt: 1 },
            ConnectionState::Connected,
            ConnectionState::Waiting { attempt: 2, until, error: dropped() },
            ConnectionState::Closed(CloseReason::ByCaller),
        ]
    );
}

#[test]
fn l1_opening_twice_dials_once() {
    let mut c = Conversation::connecting(Config::default());
    c.session.open(c.now);
    assert_eq!(c.transmits(), []);
}

#[test]
fn l1_closed_session_cannot_be_opened() {
    let mut c = Conversation::idle(Config::default());
    c.close(CloseOptions::now());
    c.session.open(c.now);
    assert_eq!(c.transmits(), []);
    assert_eq!(*c.session.state(), ConnectionState::Closed(CloseReason::ByCaller));
}

#[test]
fn l2_waits_double_up_to_the_maximum_without_jitter() {
    let mut c = Conversation::connecting(no_jitter());
    let waits: Vec<u64> = (0..7)
        .map(|_| {
            c.disconnect(dropped());
            c.wait_for_dial().as_secs()
        })
        .collect();
    assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
}

#[test]
fn l2_minimum_maximum_and_factor_are_options() {
    let mut config = no_jitter();
    config.backoff = Backoff { minimum: secs(2), maximum: secs(60), factor: 3.0, ..config.backoff };
    let mut c = Conversation::connecting(config);
    let waits: Vec<u64> = (0..5)
        .map(|_| {
            c.disconnect(dropped());
            c.wait_for_dial().as_secs()
        })
        .collect();
    assert_eq!(waits, [2, 6, 18, 54, 60]);
}

#[test]
fn l2_no_wait_is_shorter_than_ten_milliseconds() {
    for jitter in [false, true] {
        let mut config = Config::default();
        let none = Duration::ZERO;
        config.backoff = Backoff { minimum: none, maximum: none, jitter, ..Backoff::default() };
        config.dial_timeout = none;
        let mut c = Conversation::connecting(config);
        for _ in 0..10 {
            c.disconnect(dropped());
            assert_eq!(c.wait_for_dial(), Duration::from_millis(10));
        }
    }
}

#[test]
fn l2_jitter_covers_the_whole_range() {
    let mut config = Config::default();
    config.backoff = Backoff { minimum: secs(8), maximum: secs(8), ..Backoff::default() };
    let mut c = Conversation::connecting(config);
    let mut eighths = [0; 8];
    for _ in 0..400 {
        c.disconnect(dropped());
        let wait = c.wait_for_dial();
        assert!(wait < secs(8), "{wait:?}");
        eighths[usize::try_from(wait.as_secs()).unwrap()] += 1;
    }
    assert!(eighths.iter().all(|count| (25..=75).contains(count)), "{eighths:?}");
}

#[test]
fn l2_first_wait_after_a_planned_restart_is_up_to_five_seconds() {
    for code in [1001, 1012] {
        let mut longest = Duration::ZERO;
        let mut c = Conversation::connected();
        for _ in 0..100 {
            c.advance(secs(10));
            c.disconnect(closed(code));
            let wait = c.wait_for_dial();
            assert!(wait < secs(5), "{wait:?}");
            longest = longest.max(wait);
            c.connect();
            c.session.handle_pong(c.epoch(), c.now);
        }
        assert!(longest > secs(4), "{longest:?}");
    }
}

#[test]
fn l3_waits_grow_if_the_server_accepts_and_closes() {
    let mut c = Conversation::connecting(no_jitter());
    let waits: Vec<u64> = (0..5)
        .map(|_| {
            c.connect();
            c.advance(secs(9));
            c.disconnect(dropped());
            c.wait_for_dial().as_secs()
        })
        .collect();
    assert_eq!(waits, [1, 2, 4, 8, 16]);
}

#[test]
fn l3_long_connection_resets_the_attempt_count() {
    let mut c = Conversation::connecting(no_jitter());
    for _ in 0..4 {
        c.disconnect(dropped());
        c.wait_for_dial();
    }
    c.connect();
    c.advance(secs(10));
    c.states();

    c.disconnect(dropped());

    assert_eq!(c.wait_for_dial(), secs(1));
    assert_eq!(attempts_of(&c.states()), [1]);
}

#[test]
fn l4_dial_times_out_after_ten_seconds() {
    let mut c = Conversation::connecting(no_jitter());
    let first = c.epoch();

    c.advance(millis(9_999));
    assert_eq!(c.transmits(), []);
    assert_eq!(c.session.epoch(), Some(first));
    c.advance(millis(1));

    assert_eq!(c.session.epoch(), None);
    let ConnectionState::Waiting { attempt: 2, error, .. } = c.session.state() else { panic!() };
    assert_eq!(*error, ConnectionError::DialTimedOut(secs(10)));
}

#[test]
fn l4_dial_that_succeeds_after_its_timeout_is_ignored() {
    let mut c = Conversation::connecting(no_jitter());
    c.advance(secs(10));
    c.session.handle_connected(c.epoch(), c.now);
    assert!(matches!(c.session.state(), ConnectionState::Waiting { .. }));
}

#[test]
fn l5_attempts_are_unlimited_by_default() {
    let mut c = Conversation::connecting(Config::default());
    for _ in 0..1_000 {
        c.disconnect(dropped());
        c.wait_for_dial();
    }
}

#[test]
fn l5_last_attempt_closes_and_settles_everything() {
    let mut config = no_jitter();
    config.max_attempts = Some(3);
    let mut c = Conversation::connecting(config);
    let request = c.request(Request::list("tasks"));
    let subscription = c.subscribe(Subscribe::instance("tasks", 7));
    for _ in 0..2 {
        c.disconnect(dropped());
        c.wait_for_dial();
    }

    c.disconnect(http(500));

    let reason = CloseReason::GaveUp { attempts: 3, last_error: http(500) };
    assert_eq!(*c.session.state(), ConnectionState::Closed(reason.clone()));
    let settled = c.settled();
    let error = dcrf_proto::RequestError::Closed { reason: reason.clone(), sent: false };
    assert_eq!(settled, [(request, Err(error))]);
    assert_eq!(c.end(subscription), dcrf_proto::SubscriptionError::Closed(reason));
    assert!(c.session.is_finished());
}

#[test]
fn l6_unauthorized_twice_in_a_row_closes_the_session() {
    for status in [401, 403] {
        let mut c = Conversation::connecting(no_jitter());
        c.disconnect(http(status));
        assert_eq!(c.wait_for_dial(), secs(1));
        c.disconnect(http(status));
        let reason = CloseReason::Unauthorized(http(status));
        assert_eq!(*c.session.state(), ConnectionState::Closed(reason));
    }
}

#[test]
fn l6_not_found_three_times_in_a_row_closes_the_session() {
    let mut c = Conversation::connecting(no_jitter());
    for _ in 0..2 {
        c.disconnect(http(404));
        c.wait_for_dial();
    }
    c.disconnect(http(404));
    assert_eq!(*c.session.state(), ConnectionState::Closed(CloseReason::Fatal(http(404))));
}

#[test]
fn l6_another_failure_resets_the_count() {
    let mut c = Conversation::connecting(no_jitter());
    for _ in 0..5 {
        c.disconnect(http(404));
        c.wait_for_dial();
        c.disconnect(http(404));
        c.wait_for_dial();
        c.disconnect(dropped());
        c.wait_for_dial();
    }
}

#[test]
fn l6_retry_after_is_obeyed_up_to_five_minutes() {
    for (retry_after, wait) in [(None, 1), (Some(7), 7), (Some(3_600), 300)] {
        for status in [429, 503] {
            let mut c = Conversation::connecting(no_jitter());
            c.disconnect(ConnectionError::Http { status, retry_after: retry_after.map(secs) });
            assert_eq!(c.wait_for_dial(), secs(wait));
        }
    }
}

#[test]
fn l6_other_statuses_are_retried() {
    for status in [301, 302, 400, 418, 500, 502, 504] {
        let mut c = Conversation::connecting(no_jitter());
        for _ in 0..20 {
            c.disconnect(http(status));
            c.wait_for_dial();
        }
    }
}

#[test]
fn l7_most_close_codes_reconnect() {
    for code in [1000, 1001, 1005, 1006, 1011, 1012, 1013, 4000, 4001, 4999] {
        let mut c = Conversation::connected();
        for _ in 0..20 {
            c.disconnect(closed(code));
            c.wait_and_connect();
        }
    }
}

#[test]
fn l7_close_code_1013_waits_at_least_ten_seconds() {
    let mut c = Conversation::connected_with(|config| config.backoff.jitter = false);
    c.disconnect(closed(1013));
    assert_eq!(c.wait_for_dial(), secs(10));
}

#[test]
fn l7_unauthorized_close_code_twice_in_a_row_closes_the_session() {
    for code in [1008, 4401, 4403] {
        let mut c = Conversation::connected();
        c.disconnect(closed(code));
        c.wait_and_connect();
        c.disconnect(closed(code));
        let reason = CloseReason::Unauthorized(closed(code));
        assert_eq!(*c.session.state(), ConnectionState::Closed(reason));
    }
}

#[test]
fn l7_status_403_and_close_code_4401_count_together() {
    let mut c = Conversation::connected();
    c.disconnect(closed(4401));
    c.wait_for_dial();
    c.disconnect(http(403));
    assert_eq!(*c.session.state(), ConnectionState::Closed(CloseReason::Unauthorized(http(403))));
}

#[test]
fn l7_protocol_close_code_three_times_in_a_row_closes_the_session() {
    for code in [1002, 1003, 1007, 1010] {
        let mut c = Conversation::connected();
        for _ in 0..2 {
            c.disconnect(closed(code));
            c.wait_and_connect();
        }
        c.disconnect(closed(code));
        assert_eq!(*c.session.state(), ConnectionState::Closed(CloseReason::Fatal(closed(code))));
    }
}

#[test]
fn l7_long_connection_resets_the_strikes() {
    let mut c = Conversation::connected();
    for _ in 0..10 {
        c.advance(secs(10));
        c.disconnect(closed(1008));
        c.wait_and_connect();
    }
}

#[test]
fn l7_certificate_error_closes_and_other_errors_retry() {
    let kind = std::io::ErrorKind::ConnectionRefused;
    let retried = [
        ConnectionError::Io { kind, message: "refused".into() },
        ConnectionError::Tls("handshake".into()),
        ConnectionError::Protocol("bad frame".into()),
        dropped(),
    ];
    for error in retried {
        let mut c = Conversation::connecting(Config::default());
        for _ in 0..20 {
            c.disconnect(error.clone());
            c.wait_for_dial();
        }
    }

    let mut c = Conversation::connecting(Config::default());
    let error = ConnectionError::Certificate("expired".into());
    c.disconnect(error.clone());
    assert_eq!(*c.session.state(), ConnectionState::Closed(CloseReason::Fatal(error)));
}

#[test]
fn l9_silent_connection_is_pinged_then_lost() {
    let mut c = Conversation::connected();
    let first = c.epoch();

    c.advance(millis(19_999));
    assert_eq!(c.transmits(), []);
    c.advance(millis(1));
    assert_eq!(c.transmits(), [Transmit::Frame(first, Frame::Ping)]);
    c.advance(millis(9_999));
    assert_eq!(*c.session.state(), ConnectionState::Connected);
    c.advance(millis(1));

    assert_eq!(c.session.epoch(), None);
    let ConnectionState::Waiting { error, .. } = c.session.state() else { panic!() };
    assert_eq!(*error, ConnectionError::Silent(secs(30)));
}

#[test]
fn l9_any_frame_is_a_sign_of_life() {
    let mut c = Conversation::connected();
    for round in 0..4 {
        c.advance(secs(20));
        assert_eq!(c.pings(), 1);
        c.advance(secs(9));
        match round {
            0 => c.session.handle_pong(c.epoch(), c.now),
            1 => c.receive_text("{}"),
            2 => c.receive_text("junk"),
            _ => c.session.handle_binary(c.epoch(), b"", c.now),
        }
    }
    c.advance(secs(19));
    assert_eq!(c.pings(), 0);
    assert_eq!(*c.session.state(), ConnectionState::Connected);
}

#[test]
fn l9_pong_at_the_instant_of_the_ping_counts() {
    let mut c = Conversation::connected();
    c.advance(secs(20));
    assert_eq!(c.pings(), 1);
    c.session.handle_pong(c.epoch(), c.now);
    c.advance(secs(19));
    assert_eq!(*c.session.state(), ConnectionState::Connected);
}

#[test]
fn l9_busy_connection_is_not_pinged() {
    let mut c = Conversation::connected();
    for _ in 0..20 {
        c.advance(secs(19));
        c.receive_text("{}");
    }
    assert_eq!(c.pings(), 0);
}

#[test]
fn l9_interval_and_timeout_are_options() {
    let mut c = Conversation::connected_with(|config| {
        config.heartbeat = Some(Heartbeat { interval: secs(3), timeout: secs(2) });
    });
    c.advance(secs(3));
    assert_eq!(c.pings(), 1);
    c.advance(secs(2));
    assert!(matches!(
        c.session.state(),
        ConnectionState::Waiting { error: ConnectionError::Silent(_), .. }
    ));
}

#[test]
fn l9_silent_connection_is_kept_without_a_heartbeat() {
    let mut c = Conversation::connected_with(|config| config.heartbeat = None);
    assert_eq!(c.session.poll_timeout(), None);
    c.advance(secs(100_000));
    assert_eq!(*c.session.state(), ConnectionState::Connected);
}

#[test]
fn l11_no_dial_after_a_close_in_any_state() {
    let states: [fn() -> Conversation; 5] = [
        || Conversation::idle(Config::default()),
        || Conversation::connecting(Config::default()),
        Conversation::connected,
        || {
            let mut waiting = Conversation::connected();
            waiting.disconnect(dropped());
            waiting
        },
        || {
            let mut closing = Conversation::connected();
            closing.send_request(Request::list("tasks").no_timeout());
            closing.close(CloseOptions::default());
            closing
        },
    ];
    for state in states {
        for close in [CloseOptions::default(), CloseOptions::now()] {
            let mut c = state();
            c.close(close);
            c.session.open(c.now);
            c.advance(secs(1_000));
            if let Some(epoch) = c.transmits().iter().find_map(|transmit| match transmit {
                Transmit::Frame(epoch, Frame::Close(_)) => Some(*epoch),
                _ => None,
            }) {
                c.session.handle_connected(epoch, c.now);
                c.session.handle_disconnected(epoch, dropped(), c.now);
            }
            c.advance(secs(1_000));
            assert_eq!(c.dials(), 0);
            assert!(c.session.is_finished());
        }
    }
}

#[test]
fn l11_close_withdraws_an_unpolled_dial() {
    let mut c = Conversation::idle(Config::default());
    c.session.open(c.now);
    c.close(CloseOptions::default());
    assert_eq!(c.transmits(), []);
    assert!(c.session.is_finished());
}

#[test]
fn l11_close_abandons_a_dial_in_progress() {
    let mut c = Conversation::connecting(Config::default());
    c.close(CloseOptions::default());
    assert_eq!(c.session.epoch(), None);
    assert_eq!(c.transmits(), []);
    assert!(c.session.is_finished());
}
