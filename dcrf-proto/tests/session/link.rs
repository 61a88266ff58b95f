//! The connection's life: dial, open, lose, wait, dial again, close (rules L1 to L7, L9 and L11).

use std::time::Duration;

use crate::conversation::{Conversation, closed, dropped, http, millis, secs};
use dcrf_proto::{
    Backoff, CloseOptions, CloseReason, Config, ConnectionError, ConnectionState, Frame, Heartbeat,
    Request, Subscribe, Transmit,
};

/// Without jitter a wait is its bound, so that tests can name it.
fn steady() -> Config {
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
    let mut c = Conversation::idle(steady());
    assert_eq!(*c.session.state(), ConnectionState::Idle);

    c.session.open(c.now);
    c.redials();
    c.opens();
    c.lost(dropped());
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
    let mut c = Conversation::dialling(Config::default());
    c.session.open(c.now);
    assert_eq!(c.transmits(), []);
}

#[test]
fn l1_a_closed_session_is_never_opened_again() {
    let mut c = Conversation::idle(Config::default());
    c.close(CloseOptions::now());
    c.session.open(c.now);
    assert_eq!(c.transmits(), []);
    assert_eq!(*c.session.state(), ConnectionState::Closed(CloseReason::ByCaller));
}

#[test]
fn l2_without_jitter_waits_double_up_to_the_maximum() {
    let mut c = Conversation::dialling(steady());
    let waits: Vec<u64> = (0..7)
        .map(|_| {
            c.lost(dropped());
            c.redials().as_secs()
        })
        .collect();
    assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
}

#[test]
fn l2_minimum_maximum_and_factor_are_options() {
    let mut config = steady();
    config.backoff = Backoff { minimum: secs(2), maximum: secs(60), factor: 3.0, ..config.backoff };
    let mut c = Conversation::dialling(config);
    let waits: Vec<u64> = (0..5)
        .map(|_| {
            c.lost(dropped());
            c.redials().as_secs()
        })
        .collect();
    assert_eq!(waits, [2, 6, 18, 54, 60]);
}

#[test]
fn l2_jitter_draws_the_whole_range_below_the_bound() {
    let mut config = Config::default();
    config.backoff = Backoff { minimum: secs(8), maximum: secs(8), ..Backoff::default() };
    let mut c = Conversation::dialling(config);
    let mut eighths = [0; 8];
    for _ in 0..400 {
        c.lost(dropped());
        let wait = c.redials();
        assert!(wait < secs(8), "{wait:?}");
        eighths[usize::try_from(wait.as_secs()).unwrap()] += 1;
    }
    assert!(eighths.iter().all(|count| (25..=75).contains(count)), "{eighths:?}");
}

#[test]
fn l2_the_first_wait_after_a_planned_restart_is_spread_over_five_seconds() {
    for code in [1001, 1012] {
        let mut longest = Duration::ZERO;
        let mut c = Conversation::open();
        for _ in 0..100 {
            c.passes(secs(10));
            c.lost(closed(code));
            let wait = c.redials();
            assert!(wait < secs(5), "{wait:?}");
            longest = longest.max(wait);
            c.opens();
            c.session.handle_pong(c.epoch(), c.now);
        }
        assert!(longest > secs(4), "{longest:?}");
    }
}

#[test]
fn l3_a_server_that_accepts_and_closes_sees_growing_delays() {
    let mut c = Conversation::dialling(steady());
    let waits: Vec<u64> = (0..5)
        .map(|_| {
            c.opens();
            c.passes(secs(9));
            c.lost(dropped());
            c.redials().as_secs()
        })
        .collect();
    assert_eq!(waits, [1, 2, 4, 8, 16]);
}

#[test]
fn l3_a_connection_that_lasts_begins_the_count_anew() {
    let mut c = Conversation::dialling(steady());
    for _ in 0..4 {
        c.lost(dropped());
        c.redials();
    }
    c.opens();
    c.passes(secs(10));
    c.states();

    c.lost(dropped());

    assert_eq!(c.redials(), secs(1));
    assert_eq!(attempts_of(&c.states()), [1]);
}

#[test]
fn l4_a_dial_has_ten_seconds() {
    let mut c = Conversation::dialling(steady());
    let first = c.epoch();

    c.passes(millis(9_999));
    assert_eq!(c.transmits(), []);
    assert_eq!(c.session.epoch(), Some(first));
    c.passes(millis(1));

    assert_eq!(c.session.epoch(), None);
    let ConnectionState::Waiting { attempt: 2, error, .. } = c.session.state() else { panic!() };
    assert_eq!(*error, ConnectionError::DialTimedOut(secs(10)));
}

#[test]
fn l4_a_dial_that_opens_after_its_time_is_ignored() {
    let mut c = Conversation::dialling(steady());
    c.passes(secs(10));
    c.session.handle_connected(c.epoch(), c.now);
    assert!(matches!(c.session.state(), ConnectionState::Waiting { .. }));
}

#[test]
fn l5_attempts_are_unlimited_by_default() {
    let mut c = Conversation::dialling(Config::default());
    for _ in 0..1_000 {
        c.lost(dropped());
        c.redials();
    }
}

#[test]
fn l5_used_up_attempts_close_and_settle_everything() {
    let mut config = steady();
    config.max_attempts = Some(3);
    let mut c = Conversation::dialling(config);
    let request = c.request(Request::list("tasks"));
    let subscription = c.subscribe(Subscribe::instance("tasks", 7));
    for _ in 0..2 {
        c.lost(dropped());
        c.redials();
    }

    c.lost(http(500));

    let reason = CloseReason::GaveUp { attempts: 3, last_error: http(500) };
    assert_eq!(*c.session.state(), ConnectionState::Closed(reason.clone()));
    let settled = c.settled();
    let error = dcrf_proto::RequestError::Closed { reason: reason.clone(), sent: false };
    assert_eq!(settled, [(request, Err(error))]);
    assert_eq!(c.end(subscription), dcrf_proto::SubscriptionError::Closed(reason));
    assert!(c.session.is_finished());
}

#[test]
fn l6_unauthorized_is_tried_once_more_and_then_ends() {
    for status in [401, 403] {
        let mut c = Conversation::dialling(steady());
        c.lost(http(status));
        assert_eq!(c.redials(), secs(1));
        c.lost(http(status));
        let reason = CloseReason::Unauthorized(http(status));
        assert_eq!(*c.session.state(), ConnectionState::Closed(reason));
    }
}

#[test]
fn l6_not_found_ends_after_three_in_a_row() {
    let mut c = Conversation::dialling(steady());
    for _ in 0..2 {
        c.lost(http(404));
        c.redials();
    }
    c.lost(http(404));
    assert_eq!(*c.session.state(), ConnectionState::Closed(CloseReason::Fatal(http(404))));
}

#[test]
fn l6_another_failure_between_begins_the_count_anew() {
    let mut c = Conversation::dialling(steady());
    for _ in 0..5 {
        c.lost(http(404));
        c.redials();
        c.lost(http(404));
        c.redials();
        c.lost(dropped());
        c.redials();
    }
}

#[test]
fn l6_retry_after_is_obeyed_up_to_five_minutes() {
    for (asked, waited) in [(None, 1), (Some(7), 7), (Some(3_600), 300)] {
        for status in [429, 503] {
            let mut c = Conversation::dialling(steady());
            c.lost(ConnectionError::Http { status, retry_after: asked.map(secs) });
            assert_eq!(c.redials(), secs(waited));
        }
    }
}

#[test]
fn l6_other_statuses_are_tried_again() {
    for status in [301, 302, 400, 418, 500, 502, 504] {
        let mut c = Conversation::dialling(steady());
        for _ in 0..20 {
            c.lost(http(status));
            c.redials();
        }
    }
}

#[test]
fn l7_codes_that_reconnect() {
    for code in [1000, 1001, 1005, 1006, 1011, 1012, 1013, 4000, 4001, 4999] {
        let mut c = Conversation::open();
        for _ in 0..20 {
            c.lost(closed(code));
            c.reopens();
        }
    }
}

#[test]
fn l7_try_again_later_waits_at_least_ten_seconds() {
    let mut c = Conversation::open_with(|config| config.backoff.jitter = false);
    c.lost(closed(1013));
    assert_eq!(c.redials(), secs(10));
}

#[test]
fn l7_codes_that_mean_unauthorized() {
    for code in [1008, 4401, 4403] {
        let mut c = Conversation::open();
        c.lost(closed(code));
        c.reopens();
        c.lost(closed(code));
        let reason = CloseReason::Unauthorized(closed(code));
        assert_eq!(*c.session.state(), ConnectionState::Closed(reason));
    }
}

#[test]
fn l7_a_refused_handshake_and_an_unauthorized_close_count_together() {
    let mut c = Conversation::open();
    c.lost(closed(4401));
    c.redials();
    c.lost(http(403));
    assert_eq!(*c.session.state(), ConnectionState::Closed(CloseReason::Unauthorized(http(403))));
}

#[test]
fn l7_codes_that_end_after_three_in_a_row() {
    for code in [1002, 1003, 1007, 1010] {
        let mut c = Conversation::open();
        for _ in 0..2 {
            c.lost(closed(code));
            c.reopens();
        }
        c.lost(closed(code));
        assert_eq!(*c.session.state(), ConnectionState::Closed(CloseReason::Fatal(closed(code))));
    }
}

#[test]
fn l7_a_connection_that_lasted_wipes_out_the_strikes() {
    let mut c = Conversation::open();
    for _ in 0..10 {
        c.passes(secs(10));
        c.lost(closed(1008));
        c.reopens();
    }
}

#[test]
fn l7_certificate_errors_end_and_other_failures_retry() {
    let kind = std::io::ErrorKind::ConnectionRefused;
    let retried = [
        ConnectionError::Io { kind, message: "refused".into() },
        ConnectionError::Tls("handshake".into()),
        ConnectionError::Protocol("bad frame".into()),
        dropped(),
    ];
    for lost in retried {
        let mut c = Conversation::dialling(Config::default());
        for _ in 0..20 {
            c.lost(lost.clone());
            c.redials();
        }
    }

    let mut c = Conversation::dialling(Config::default());
    let lost = ConnectionError::Certificate("expired".into());
    c.lost(lost.clone());
    assert_eq!(*c.session.state(), ConnectionState::Closed(CloseReason::Fatal(lost)));
}

#[test]
fn l9_silence_is_answered_with_a_ping_and_then_with_a_loss() {
    let mut c = Conversation::open();
    let first = c.epoch();

    c.passes(millis(19_999));
    assert_eq!(c.transmits(), []);
    c.passes(millis(1));
    assert_eq!(c.transmits(), [Transmit::Frame(first, Frame::Ping)]);
    c.passes(millis(9_999));
    assert_eq!(*c.session.state(), ConnectionState::Connected);
    c.passes(millis(1));

    assert_eq!(c.session.epoch(), None);
    let ConnectionState::Waiting { error, .. } = c.session.state() else { panic!() };
    assert_eq!(*error, ConnectionError::Silent(secs(30)));
}

#[test]
fn l9_any_frame_counts_as_life() {
    let mut c = Conversation::open();
    for round in 0..4 {
        c.passes(secs(20));
        assert_eq!(c.pings(), 1);
        c.passes(secs(9));
        match round {
            0 => c.session.handle_pong(c.epoch(), c.now),
            1 => c.receives_text("{}"),
            2 => c.receives_text("junk"),
            _ => c.session.handle_binary(c.epoch(), b"", c.now),
        }
    }
    c.passes(secs(19));
    assert_eq!(c.pings(), 0);
    assert_eq!(*c.session.state(), ConnectionState::Connected);
}

#[test]
fn l9_a_pong_at_the_instant_of_the_ping_counts_as_life() {
    let mut c = Conversation::open();
    c.passes(secs(20));
    assert_eq!(c.pings(), 1);
    c.session.handle_pong(c.epoch(), c.now);
    c.passes(secs(19));
    assert_eq!(*c.session.state(), ConnectionState::Connected);
}

#[test]
fn l9_frames_that_keep_coming_need_no_ping() {
    let mut c = Conversation::open();
    for _ in 0..20 {
        c.passes(secs(19));
        c.receives_text("{}");
    }
    assert_eq!(c.pings(), 0);
}

#[test]
fn l9_interval_and_timeout_are_options() {
    let mut c = Conversation::open_with(|config| {
        config.heartbeat = Some(Heartbeat { interval: secs(3), timeout: secs(2) });
    });
    c.passes(secs(3));
    assert_eq!(c.pings(), 1);
    c.passes(secs(2));
    assert!(matches!(
        c.session.state(),
        ConnectionState::Waiting { error: ConnectionError::Silent(_), .. }
    ));
}

#[test]
fn l9_without_a_heartbeat_silence_is_no_loss() {
    let mut c = Conversation::open_with(|config| config.heartbeat = None);
    assert_eq!(c.session.poll_timeout(), None);
    c.passes(secs(100_000));
    assert_eq!(*c.session.state(), ConnectionState::Connected);
}

#[test]
fn l11_no_dial_follows_a_close_in_whatever_state() {
    let states: [fn() -> Conversation; 5] = [
        || Conversation::idle(Config::default()),
        || Conversation::dialling(Config::default()),
        Conversation::open,
        || {
            let mut waiting = Conversation::open();
            waiting.lost(dropped());
            waiting
        },
        || {
            let mut closing = Conversation::open();
            closing.requests(Request::list("tasks").no_timeout());
            closing.close(CloseOptions::default());
            closing
        },
    ];
    for state in states {
        for close in [CloseOptions::default(), CloseOptions::now()] {
            let mut c = state();
            c.close(close);
            c.session.open(c.now);
            c.passes(secs(1_000));
            if let Some(epoch) = c.transmits().iter().find_map(|transmit| match transmit {
                Transmit::Frame(epoch, Frame::Close(_)) => Some(*epoch),
                _ => None,
            }) {
                c.session.handle_connected(epoch, c.now);
                c.session.handle_disconnected(epoch, dropped(), c.now);
            }
            c.passes(secs(1_000));
            assert_eq!(c.dials(), 0);
            assert!(c.session.is_finished());
        }
    }
}

#[test]
fn l11_a_dial_that_was_not_begun_is_taken_back() {
    let mut c = Conversation::idle(Config::default());
    c.session.open(c.now);
    c.close(CloseOptions::default());
    assert_eq!(c.transmits(), []);
    assert!(c.session.is_finished());
}

#[test]
fn l11_a_dial_under_way_is_given_up() {
    let mut c = Conversation::dialling(Config::default());
    c.close(CloseOptions::default());
    assert_eq!(c.session.epoch(), None);
    assert_eq!(c.transmits(), []);
    assert!(c.session.is_finished());
}
