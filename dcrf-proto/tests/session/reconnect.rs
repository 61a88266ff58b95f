//! Planned reconnects (rule L13).

use crate::conversation::{Conversation, closed, dropped, http, millis, secs, update};
use dcrf_proto::{
    Change, CloseFrame, CloseOptions, CloseReason, Config, ConnectionError, ConnectionState,
    FailureAction, Frame, Request, RequestError, Subscribe, SubscriptionError, Transmit,
};
use serde_json::json;

impl Conversation {
    fn force_reconnect(&mut self) {
        self.session.force_reconnect(CloseFrame::normal(), self.now);
    }

    /// Takes the new transmits and returns the close frames.
    fn close_frames(&mut self) -> Vec<CloseFrame> {
        let close_frame = |transmit| match transmit {
            Transmit::Frame(_, Frame::Close(frame)) => Some(frame),
            _ => None,
        };
        self.transmits().into_iter().filter_map(close_frame).collect()
    }

    fn finish_closing_handshake(&mut self) {
        self.disconnect(closed(1000));
    }
}

const FIRST: ConnectionState = ConnectionState::Connecting { attempt: 1 };

/// No jitter, so that each wait is known.
fn no_jitter() -> Config {
    let mut config = Config::default();
    config.backoff.jitter = false;
    config
}

#[test]
fn l13_connection_is_closed_and_the_next_one_dialled() {
    let mut c = Conversation::connected();
    let old = c.epoch();
    c.states();
    let frame = CloseFrame { code: 4000, reason: "another user".into() };

    c.session.force_reconnect(frame.clone(), c.now);

    assert_eq!(c.transmits(), [Transmit::Frame(old, Frame::Close(frame))]);
    assert_eq!(c.session.epoch(), Some(old), "the socket is kept for the closing handshake");
    assert_eq!(*c.session.state(), FIRST);
    c.finish_closing_handshake();
    assert_eq!(c.dials(), 1);
    assert!(c.epoch() > old);
    c.connect();
    assert_eq!(c.states(), [FIRST, ConnectionState::Connected]);
}

#[test]
fn l13_closing_handshake_times_out_after_a_second() {
    let mut c = Conversation::connected();
    c.force_reconnect();
    assert_eq!(c.close_frames(), [CloseFrame::normal()]);
    c.advance(millis(999));
    assert_eq!(c.dials(), 0);
    c.advance(millis(1));
    assert_eq!(c.dials(), 1);
    assert_eq!(c.session.epoch(), Some(c.epoch()));
    // The dial has its full timeout.
    c.advance(millis(9_999));
    assert_eq!(*c.session.state(), FIRST);
}

#[test]
fn l13_end_of_the_closing_handshake_is_not_a_failure() {
    for error in
        [closed(1008), closed(4401), dropped(), ConnectionError::Certificate("expired".into())]
    {
        for action in [None, Some(FailureAction::Stop)] {
            let mut c = Conversation::connected();
            c.force_reconnect();
            match action {
                None => c.disconnect(error.clone()),
                Some(action) => {
                    c.session.handle_disconnected_with(c.epoch(), error.clone(), action, c.now);
                }
            }
            assert_eq!(c.dials(), 1);
            assert_eq!(c.session.attempt().number, 1);
            assert!(!c.session.attempt().refresh);
        }
    }
}

#[test]
fn l13_wait_ends_at_once() {
    let mut c = Conversation::connecting(no_jitter());
    c.disconnect(dropped());
    c.force_reconnect();
    assert_eq!(c.dials(), 1);
    assert_eq!(*c.session.state(), FIRST);
    // The backoff timer is gone.
    c.advance(secs(9));
    assert_eq!(c.dials(), 0);
}

#[test]
fn l13_dial_in_progress_is_replaced() {
    let mut c = Conversation::connecting(Config::default());
    let old = c.epoch();
    c.advance(secs(9));
    c.force_reconnect();
    assert_eq!(c.dials(), 1);
    assert!(c.epoch() > old);
    assert_eq!(c.session.epoch(), Some(c.epoch()));
    // The new dial has its full timeout, and results of the old one are ignored.
    c.advance(secs(9));
    c.session.handle_connected(old, c.now);
    c.session.handle_disconnected(old, dropped(), c.now);
    assert_eq!(*c.session.state(), FIRST);
    c.connect();
}

#[test]
fn l13_unpolled_dial_is_replaced() {
    let mut c = Conversation::idle(Config::default());
    c.session.open(c.now);
    c.force_reconnect();
    assert_eq!(c.dials(), 1);
}

#[test]
fn l13_idle_session_is_opened() {
    let mut c = Conversation::idle(Config::default());
    c.force_reconnect();
    assert_eq!(c.dials(), 1);
    assert_eq!(c.states(), [FIRST]);
}

#[test]
fn l13_second_reconnect_changes_nothing() {
    let mut c = Conversation::connected();
    c.force_reconnect();
    c.advance(millis(600));
    c.session.force_reconnect(CloseFrame { code: 4000, reason: String::new() }, c.now);
    assert_eq!(c.close_frames(), [CloseFrame::normal()]);
    c.advance(millis(400));
    assert_eq!(c.dials(), 1);
}

#[test]
fn l13_attempt_count_is_reset() {
    let mut config = no_jitter();
    config.max_attempts = Some(4);
    let mut c = Conversation::connecting(config);
    for _ in 0..3 {
        c.disconnect(dropped());
        c.wait_for_dial();
    }
    c.force_reconnect();
    assert_eq!(c.dials(), 1);
    assert_eq!(c.session.attempt().number, 1);
    c.disconnect(dropped());
    assert_eq!(c.wait_for_dial(), secs(1), "the wait after a first failure");
    assert_eq!(c.session.attempt().number, 2);
}

#[test]
fn l13_strikes_are_reset() {
    let mut c = Conversation::connecting(no_jitter());
    c.disconnect(http(403));
    c.force_reconnect();
    assert_eq!(c.dials(), 1);
    assert!(!c.session.attempt().refresh);
    c.disconnect(http(403));
    assert!(matches!(c.session.state(), ConnectionState::Waiting { attempt: 2, .. }));
}

#[test]
fn l13_requests_in_flight_are_lost_or_resent() {
    let mut c = Conversation::connected();
    let (create, frame) = c.send_request(Request::create("tasks", &json!({})));
    let (list, _) = c.send_request(Request::list("tasks"));
    let waiting = c.request(Request::new("tasks", "archive"));

    c.force_reconnect();

    let connection_lost =
        Err(RequestError::ConnectionLost { sent: true, cause: ConnectionError::Reconnect });
    assert_eq!(c.settled(), [(create, connection_lost)]);
    assert_eq!(c.sent_actions(), [""; 0], "nothing follows the close frame");
    // A reply on the old connection is ignored.
    c.reply(&frame, &json!({}));
    c.finish_closing_handshake();
    assert_eq!(c.dials(), 1);
    c.connect();
    let frames = c.sent();
    for frame in &frames {
        c.reply(frame, &json!([]));
    }
    assert_eq!(c.settled(), [(list, Ok(json!([]))), (waiting, Ok(json!([])))]);
    assert_eq!(c.session.stats().repeated, 1);
}

#[test]
fn l13_commands_during_the_closing_handshake_wait() {
    let mut c = Conversation::connected();
    c.force_reconnect();
    let request = c.request(Request::create("tasks", &json!({})));
    let subscription = c.subscribe(Subscribe::instance("tasks", 7));
    assert_eq!(c.sent_actions(), [""; 0]);
    c.finish_closing_handshake();
    assert_eq!(c.dials(), 1);
    c.connect();
    let [subscribe, create] = <[_; 2]>::try_from(c.sent()).unwrap();
    c.reply(&subscribe, &json!(null));
    c.reply(&create, &json!(1));
    assert_eq!(c.settled(), [(request, Ok(json!(1)))]);
    assert!(c.session.is_acknowledged(subscription));
    assert_eq!(c.changes(subscription), [], "no gap before it was live");
}

#[test]
fn l13_subscriptions_continue_after_a_gap() {
    let mut c = Conversation::connected();
    let (key, first) = c.subscribe_acked(Subscribe::instance("tasks", 7));
    c.force_reconnect();
    // An event on the old connection is ignored.
    c.event(&first, "update", &json!({"n": 1}));
    c.finish_closing_handshake();
    assert_eq!(c.dials(), 1);
    c.connect();
    let second = c.sent_one();
    c.reply(&second, &json!(null));
    c.event(&second, "update", &json!({"n": 2}));
    let [Change::Gap(gap), next] = &c.changes(key)[..] else { panic!("no gap") };
    assert_eq!(gap.cause, ConnectionError::Reconnect);
    assert_eq!(*next, update(&json!({"n": 2})));
}

#[test]
fn l13_reconnect_does_not_suspect_unacknowledged_subscriptions() {
    let mut c = Conversation::connected();
    let key = c.subscribe(Subscribe::instance("tasks", 7));
    for _ in 0..5 {
        assert_eq!(c.sent_actions(), ["subscribe_instance"]);
        c.force_reconnect();
        c.finish_closing_handshake();
        assert_eq!(c.dials(), 1);
        c.connect();
    }
    assert_eq!(c.changes(key), []);
}

#[test]
fn l13_close_cancels_the_reconnect() {
    for is_flushed in [false, true] {
        for close in [CloseOptions::default(), CloseOptions::now()] {
            let mut c = Conversation::connected();
            let key = c.subscribe(Subscribe::instance("tasks", 7));
            c.force_reconnect();
            if is_flushed {
                c.flush();
            }
            c.advance(millis(500));
            c.close(close);
            assert_eq!(*c.session.state(), ConnectionState::Closed(CloseReason::ByCaller));
            assert_eq!(c.end(key), SubscriptionError::Closed(CloseReason::ByCaller));
            assert_eq!(c.close_frames(), [CloseFrame::normal()]);
            assert!(!c.session.is_finished(), "the closing handshake continues");
            c.advance(millis(500));
            assert!(c.session.is_finished());
            assert_eq!(c.session.poll_timeout(), None);
            assert_eq!(c.dials(), 0);
        }
    }
}

#[test]
fn l13_stopped_driver_cancels_the_reconnect() {
    let mut c = Conversation::connected();
    c.force_reconnect();
    c.session.stop_driving(c.now);
    assert!(c.session.is_finished());
    assert_eq!(c.transmits(), []);
    assert_eq!(c.session.poll_timeout(), None);
}

#[test]
fn l11_reconnect_does_not_dial_after_a_close() {
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
            let mut reconnecting = Conversation::connected();
            reconnecting.force_reconnect();
            reconnecting
        },
    ];
    for state in states {
        for close in [CloseOptions::default(), CloseOptions::now()] {
            let mut c = state();
            let request = c.request(Request::list("tasks").no_timeout());
            c.flush();
            c.close(close);
            c.close_frames();
            c.force_reconnect();
            assert_eq!(c.close_frames(), [], "a waiting close is unaffected");
            c.advance(secs(1_000));
            c.force_reconnect();
            c.advance(secs(1_000));
            assert_eq!(c.dials(), 0);
            assert!(c.session.is_finished());
            assert_eq!(c.settled().len(), 1, "{request:?} settles");
        }
    }
}

#[test]
fn l13_invalid_close_code_is_sent_as_1000() {
    let mut c = Conversation::connected();
    c.session.force_reconnect(CloseFrame { code: 1006, reason: "bye".into() }, c.now);
    assert_eq!(c.close_frames(), [CloseFrame { code: 1000, reason: "bye".into() }]);
}

#[test]
fn l13_unsent_ping_is_discarded() {
    let mut c = Conversation::connected();
    c.session.probe(c.now);
    c.force_reconnect();
    assert_eq!(c.transmits().len(), 1, "only the close frame");
    c.advance(secs(1));
    assert_eq!(c.dials(), 1);
    c.connect();
    c.advance(secs(19));
    assert_eq!(
        *c.session.state(),
        ConnectionState::Connected,
        "the probe ended with its connection"
    );
}
