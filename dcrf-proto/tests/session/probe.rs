//! Asking at once whether the server is still there (rule L10).

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
    fn was_silent_for(&self, time: Duration) {
        let ConnectionState::Waiting { error, .. } = self.session.state() else {
            panic!("{:?}", self.session.state())
        };
        assert_eq!(*error, ConnectionError::Silent(time));
    }
}

/// With the heartbeat by default, and without one.
fn connections() -> [Conversation; 2] {
    [Conversation::open(), Conversation::open_with(|config| config.heartbeat = None)]
}

#[test]
fn l10_a_probe_pings_at_once_and_has_two_seconds() {
    for mut c in connections() {
        c.passes(secs(7));
        c.probe();
        assert_eq!(c.pings(), 1);
        c.passes(millis(1_999));
        assert!(c.is_connected());
        c.passes(millis(1));
        c.was_silent_for(secs(9));
        assert_eq!(c.session.epoch(), None);
    }
}

#[test]
fn l10_any_frame_counts_as_life() {
    for round in 0..4 {
        for mut c in connections() {
            c.probe();
            c.passes(secs(1));
            match round {
                0 => c.session.handle_pong(c.epoch(), c.now),
                1 => c.receives_text("{}"),
                2 => c.receives_text("junk"),
                _ => c.session.handle_binary(c.epoch(), b"", c.now),
            }
            c.passes(secs(10));
            assert!(c.is_connected());
            assert_eq!(c.pings(), 1);
        }
    }
}

#[test]
fn l10_asking_again_while_a_probe_is_under_way_changes_nothing() {
    for mut c in connections() {
        c.probe();
        for _ in 0..19 {
            c.passes(millis(100));
            c.probe();
        }
        assert_eq!(c.pings(), 1);
        c.passes(millis(100));
        c.was_silent_for(secs(2));
    }
}

#[test]
fn l10_after_an_answer_another_probe_may_be_made() {
    for mut c in connections() {
        for _ in 0..3 {
            c.probe();
            assert_eq!(c.pings(), 1);
            c.passes(millis(500));
            c.session.handle_pong(c.epoch(), c.now);
        }
        c.probe();
        c.passes(secs(2));
        c.was_silent_for(secs(2));
    }
}

#[test]
fn l10_without_a_heartbeat_nothing_is_left_of_an_answered_probe() {
    let [_, mut c] = connections();
    c.probe();
    c.session.handle_pong(c.epoch(), c.now);
    c.passes(secs(100_000));
    assert!(c.is_connected());
    assert_eq!(c.session.poll_timeout(), None);
    assert_eq!(c.pings(), 1);
}

#[test]
fn l10_after_an_answer_the_heartbeat_goes_on() {
    let mut c = Conversation::open();
    c.passes(secs(15));
    c.probe();
    c.session.handle_pong(c.epoch(), c.now);
    assert_eq!(c.pings(), 1);
    c.passes(millis(19_999));
    assert_eq!(c.pings(), 0);
    c.passes(millis(1));
    assert_eq!(c.pings(), 1);
    c.passes(secs(10));
    c.was_silent_for(secs(30));
}

#[test]
fn l10_a_probe_delays_no_ping_of_a_heartbeat_that_is_faster() {
    let mut c = Conversation::open_with(|config| {
        config.heartbeat = Some(Heartbeat { interval: secs(1), timeout: secs(9) });
    });
    c.passes(millis(900));
    c.probe();
    c.session.handle_pong(c.epoch(), c.now);
    assert_eq!(c.pings(), 1);
    c.passes(secs(1));
    assert_eq!(c.pings(), 1);
}

#[test]
fn l10_a_ping_of_the_heartbeat_has_its_time_once_more() {
    // A millisecond before the heartbeat gives up: the machine slept, and the pong had no time to come.
    for answered in [false, true] {
        let mut c = Conversation::open();
        c.passes(millis(29_999));
        assert_eq!(c.pings(), 1);
        c.probe();
        assert_eq!(c.pings(), 1);
        c.passes(millis(1_999));
        assert!(c.is_connected());
        if answered {
            c.session.handle_pong(c.epoch(), c.now);
        }
        c.passes(millis(1));
        assert_eq!(c.is_connected(), answered);
    }
}

#[test]
fn l10_a_ping_that_the_socket_has_not_taken_is_not_sent_twice() {
    let mut c = Conversation::open();
    // The heartbeat's ping is not polled yet.
    c.now += secs(20);
    c.session.handle_timeout(c.now);
    c.probe();
    assert_eq!(c.pings(), 1);
}

#[test]
fn l10_a_probe_takes_no_time_from_requests() {
    let mut c = Conversation::open();
    let (key, frame) = c.requests(Request::list("tasks").timeout(secs(30)));
    c.passes(secs(10));
    c.probe();
    c.session.handle_pong(c.epoch(), c.now);
    c.passes(secs(19));
    c.answers(&frame, &json!([]));
    assert_eq!(c.settled(), [(key, Ok(json!([])))]);
}

#[test]
fn l10_a_close_that_waits_can_be_probed() {
    let mut c = Conversation::open();
    c.requests(Request::list("tasks"));
    c.close(CloseOptions::default());
    c.probe();
    assert_eq!(c.pings(), 1);
    c.passes(secs(2));
    assert!(c.session.is_finished());
    assert_eq!(c.session.poll_timeout(), None);
}

#[test]
fn l10_without_a_connection_nothing_happens() {
    let states: [fn() -> Conversation; 5] = [
        || Conversation::idle(Config::default()),
        || Conversation::dialling(Config::default()),
        || {
            let mut waiting = Conversation::open();
            waiting.lost(dropped());
            waiting
        },
        || {
            let mut leaving = Conversation::open();
            leaving.close(CloseOptions::now());
            leaving.transmits();
            leaving
        },
        || {
            let mut gone = Conversation::open();
            gone.lost(closed(4001));
            gone.close(CloseOptions::now());
            gone
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
