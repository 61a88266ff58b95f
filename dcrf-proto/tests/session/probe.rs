//! Probes (rule L10).

use std::time::Duration;

use crate::conversation::{Conversation, closed, dropped, millis, secs};
use dcrf_proto::{CloseOptions, Config, ConnectionError, ConnectionState, Heartbeat, Request};
use serde_json::json;

impl Conversation {
    fn probe(&mut self) {
        self.session.probe(self.now);
    }

    fn is_connected(&self) -> bool {
        *self.session.state() == ConnectionState::Connected
    }

    #[track_caller]
    fn assert_silent_for(&self, time: Duration) {
        let ConnectionState::Waiting { error, .. } = self.session.state() else {
            panic!("{:?}", self.session.state())
        };
        assert_eq!(*error, ConnectionError::Silent(time));
    }
}

/// One connection with the default heartbeat, and one without.
fn connections() -> [Conversation; 2] {
    [Conversation::connected(), Conversation::connected_with(|config| config.heartbeat = None)]
}

#[test]
fn l10_probe_pings_at_once_and_times_out_after_two_seconds() {
    for mut c in connections() {
        c.advance(secs(7));
        c.probe();
        assert_eq!(c.pings(), 1);
        c.advance(millis(1_999));
        assert!(c.is_connected());
        c.advance(millis(1));
        c.assert_silent_for(secs(9));
        assert_eq!(c.session.epoch(), None);
    }
}

#[test]
fn l10_any_frame_answers_a_probe() {
    for round in 0..4 {
        for mut c in connections() {
            c.probe();
            c.advance(secs(1));
            match round {
                0 => c.session.handle_pong(c.epoch(), c.now),
                1 => c.receive_text("{}"),
                2 => c.receive_text("junk"),
                _ => c.session.handle_binary(c.epoch(), b"", c.now),
            }
            c.advance(secs(10));
            assert!(c.is_connected());
            assert_eq!(c.pings(), 1);
        }
    }
}

#[test]
fn l10_second_probe_during_a_probe_changes_nothing() {
    for mut c in connections() {
        c.probe();
        for _ in 0..19 {
            c.advance(millis(100));
            c.probe();
        }
        assert_eq!(c.pings(), 1);
        c.advance(millis(100));
        c.assert_silent_for(secs(2));
    }
}

#[test]
fn l10_probe_can_be_repeated_after_an_answer() {
    for mut c in connections() {
        for _ in 0..3 {
            c.probe();
            assert_eq!(c.pings(), 1);
            c.advance(millis(500));
            c.session.handle_pong(c.epoch(), c.now);
        }
        c.probe();
        c.advance(secs(2));
        c.assert_silent_for(secs(2));
    }
}

#[test]
fn l10_answered_probe_leaves_no_timer_without_a_heartbeat() {
    let [_, mut c] = connections();
    c.probe();
    c.session.handle_pong(c.epoch(), c.now);
    c.advance(secs(100_000));
    assert!(c.is_connected());
    assert_eq!(c.session.poll_timeout(), None);
    assert_eq!(c.pings(), 1);
}

#[test]
fn l10_heartbeat_continues_after_an_answered_probe() {
    let mut c = Conversation::connected();
    c.advance(secs(15));
    c.probe();
    c.session.handle_pong(c.epoch(), c.now);
    assert_eq!(c.pings(), 1);
    c.advance(millis(19_999));
    assert_eq!(c.pings(), 0);
    c.advance(millis(1));
    assert_eq!(c.pings(), 1);
    c.advance(secs(10));
    c.assert_silent_for(secs(30));
}

#[test]
fn l10_probe_does_not_delay_a_faster_heartbeat() {
    let mut c = Conversation::connected_with(|config| {
        config.heartbeat = Some(Heartbeat { interval: secs(1), timeout: secs(9) });
    });
    c.advance(millis(900));
    c.probe();
    c.session.handle_pong(c.epoch(), c.now);
    assert_eq!(c.pings(), 1);
    c.advance(secs(1));
    assert_eq!(c.pings(), 1);
}

#[test]
fn l10_probe_gives_a_pending_ping_its_full_time_again() {
    // The machine slept until a millisecond before the heartbeat's timeout.
    for is_answered in [false, true] {
        let mut c = Conversation::connected();
        c.advance(millis(29_999));
        assert_eq!(c.pings(), 1);
        c.probe();
        assert_eq!(c.pings(), 1);
        c.advance(millis(1_999));
        assert!(c.is_connected());
        if is_answered {
            c.session.handle_pong(c.epoch(), c.now);
        }
        c.advance(millis(1));
        assert_eq!(c.is_connected(), is_answered);
    }
}

#[test]
fn l10_probe_does_not_duplicate_an_unsent_ping() {
    let mut c = Conversation::connected();
    // The heartbeat's ping is due but not polled.
    c.now += secs(20);
    c.session.handle_timeout(c.now);
    c.probe();
    assert_eq!(c.pings(), 1);
}

#[test]
fn l10_probe_does_not_shorten_request_timeouts() {
    let mut c = Conversation::connected();
    let (key, frame) = c.send_request(Request::list("tasks").timeout(secs(30)));
    c.advance(secs(10));
    c.probe();
    c.session.handle_pong(c.epoch(), c.now);
    c.advance(secs(19));
    c.reply(&frame, &json!([]));
    assert_eq!(c.settled(), [(key, Ok(json!([])))]);
}

#[test]
fn l10_probe_works_while_a_close_waits() {
    let mut c = Conversation::connected();
    c.send_request(Request::list("tasks"));
    c.close(CloseOptions::default());
    c.probe();
    assert_eq!(c.pings(), 1);
    c.advance(secs(2));
    assert!(c.session.is_finished());
    assert_eq!(c.session.poll_timeout(), None);
}

#[test]
fn l10_probe_without_a_connection_does_nothing() {
    let states: [fn() -> Conversation; 5] = [
        || Conversation::idle(Config::default()),
        || Conversation::connecting(Config::default()),
        || {
            let mut waiting = Conversation::connected();
            waiting.disconnect(dropped());
            waiting
        },
        || {
            let mut closing = Conversation::connected();
            closing.close(CloseOptions::now());
            closing.transmits();
            closing
        },
        || {
            let mut closed_session = Conversation::connected();
            closed_session.disconnect(closed(4001));
            closed_session.close(CloseOptions::now());
            closed_session
        },
    ];
    for state in states {
        let mut c = state();
        let before = (c.session.state().clone(), c.session.poll_timeout());
        c.probe();
        assert_eq!(c.transmits(), []);
        assert_eq!((c.session.state().clone(), c.session.poll_timeout()), before);
    }
}
