//! Closing a session (rules C1 and C2).

use crate::conversation::{Conversation, dropped, millis, secs};
use dcrf_proto::{
    CloseFrame, CloseOptions, CloseReason, Config, ConnectionState, Event, Frame, Request,
    RequestError, Subscribe, SubscriptionError, Transmit,
};
use serde_json::{Value, json};

fn closed(sent: bool) -> RequestError {
    RequestError::Closed { reason: CloseReason::ByCaller, sent }
}

fn close_frames(c: &mut Conversation) -> Vec<CloseFrame> {
    let close_frame = |transmit| match transmit {
        Transmit::Frame(_, Frame::Close(frame)) => Some(frame),
        _ => None,
    };
    c.transmits().into_iter().filter_map(close_frame).collect()
}

#[test]
fn c1_idle_connection_starts_the_closing_handshake_at_once() {
    let mut c = Conversation::connected();
    c.close(CloseOptions::default());
    assert_eq!(close_frames(&mut c), [CloseFrame::normal()]);
    assert_eq!(*c.session.state(), ConnectionState::Closed(CloseReason::ByCaller));
    assert!(!c.session.is_finished());
    c.disconnect(dropped());
    assert!(c.session.is_finished());
}

#[test]
fn c1_close_waits_for_requests_in_flight() {
    let mut c = Conversation::connected();
    let (key, frame) = c.send_request(Request::list("tasks"));
    c.close(CloseOptions::default());
    assert_eq!(*c.session.state(), ConnectionState::Connected);
    c.advance(millis(4_999));
    assert_eq!(close_frames(&mut c), []);

    c.reply(&frame, &json!([]));

    assert_eq!(c.settled(), [(key, Ok(json!([])))]);
    assert_eq!(close_frames(&mut c), [CloseFrame::normal()]);
}

#[test]
fn c1_close_sends_queued_requests() {
    let mut c = Conversation::connected();
    let key = c.request(Request::list("tasks"));
    c.close(CloseOptions::default());
    let frame = c.sent_one();
    c.reply(&frame, &json!([]));
    assert_eq!(c.settled(), [(key, Ok(json!([])))]);
    assert_eq!(close_frames(&mut c).len(), 1);
}

#[test]
fn c1_close_waits_five_seconds_and_settles_the_rest_with_closed() {
    let mut c = Conversation::connected();
    let (sent, _) = c.send_request(Request::list("tasks"));
    let waiting = c.request(Request::list("tasks"));
    let subscription = c.subscribe(Subscribe::instance("tasks", 1));
    c.close(CloseOptions::default());
    c.now += secs(5);
    c.session.handle_timeout(c.now);
    assert_eq!(c.settled(), [(sent, Err(closed(true))), (waiting, Err(closed(false)))]);
    assert_eq!(c.end(subscription), SubscriptionError::Closed(CloseReason::ByCaller));
    assert_eq!(close_frames(&mut c).len(), 1);
}

#[test]
fn c1_wait_and_close_frame_are_options() {
    let mut c = Conversation::connected();
    c.send_request(Request::list("tasks"));
    let frame = CloseFrame { code: 4000, reason: "bye".into() };
    c.close(CloseOptions::default().wait(secs(1)).frame(frame.clone()));
    c.advance(secs(1));
    assert_eq!(close_frames(&mut c), [frame]);
}

#[test]
fn c1_invalid_close_code_is_sent_as_1000() {
    for code in [0, 999, 1004, 1006, 1015, 2999, 5000, u16::MAX] {
        let mut c = Conversation::connected();
        c.close(CloseOptions::now().frame(CloseFrame { code, reason: "bye".into() }));
        assert_eq!(close_frames(&mut c), [CloseFrame { code: 1000, reason: "bye".into() }]);
    }
}

#[test]
fn c1_long_reason_is_cut_at_a_character() {
    let mut c = Conversation::connected();
    c.close(CloseOptions::now().frame(CloseFrame { code: 4000, reason: "ü".repeat(100) }));
    assert_eq!(close_frames(&mut c), [CloseFrame { code: 4000, reason: "ü".repeat(61) }]);
}

#[test]
fn c1_close_now_does_not_wait() {
    let mut c = Conversation::connected();
    let (key, _) = c.send_request(Request::list("tasks"));
    c.close(CloseOptions::now());
    assert_eq!(c.settled(), [(key, Err(closed(true)))]);
    assert_eq!(close_frames(&mut c).len(), 1);
}

#[test]
fn c1_unanswered_closing_handshake_ends_after_a_second() {
    let mut c = Conversation::connected();
    c.close(CloseOptions::now());
    assert_eq!(close_frames(&mut c).len(), 1);
    c.advance(secs(1));
    assert_eq!(c.session.epoch(), None);
    assert!(c.session.is_finished());
    assert_eq!(c.session.poll_timeout(), None);
}

#[test]
fn c1_close_without_a_connection_settles_everything_at_once() {
    let states: [fn() -> Conversation; 3] = [
        || Conversation::idle(Config::default()),
        || Conversation::connecting(Config::default()),
        || {
            let mut waiting = Conversation::connected();
            waiting.disconnect(dropped());
            waiting
        },
    ];
    for state in states {
        let mut c = state();
        let request = c.request(Request::list("tasks"));
        let subscription = c.subscribe(Subscribe::instance("tasks", 1));
        c.close(CloseOptions::default());
        assert_eq!(c.settled(), [(request, Err(closed(false)))]);
        assert_eq!(c.end(subscription), SubscriptionError::Closed(CloseReason::ByCaller));
        assert!(c.session.is_finished());
        assert_eq!(c.session.poll_timeout(), None);
    }
}

#[test]
fn c1_connection_loss_ends_the_wait() {
    let mut c = Conversation::connected();
    let (create, _) = c.send_request(Request::create("tasks", &json!({})));
    let (list, _) = c.send_request(Request::list("tasks"));
    c.close(CloseOptions::default());
    c.disconnect(dropped());
    let connection_lost = RequestError::ConnectionLost { sent: true, cause: dropped() };
    assert_eq!(c.settled(), [(create, Err(connection_lost)), (list, Err(closed(true)))]);
    assert!(c.session.is_finished());
}

#[test]
fn c1_close_sends_unsubscribes_first_on_request() {
    let mut c = Conversation::connected();
    c.subscribe_acked(Subscribe::instance("tasks", 1));
    c.subscribe_acked(Subscribe::instance("tasks", 2));
    c.close(CloseOptions::default().unsubscribe());

    let frames = c.sent();

    assert_eq!(frames.len(), 2);
    for frame in &frames {
        assert_eq!(close_frames(&mut c), []);
        assert_eq!(frame["payload"]["action"], "unsubscribe_instance");
        c.reply_with(frame, 204, &json!([]), &Value::Null);
    }
    assert_eq!(close_frames(&mut c).len(), 1);
}

#[test]
fn c1_close_sends_no_unsubscribes_by_default() {
    let mut c = Conversation::connected();
    let (key, _) = c.subscribe_acked(Subscribe::instance("tasks", 1));
    c.close(CloseOptions::default());
    assert_eq!(c.sent(), [] as [Value; 0]);
    assert_eq!(c.end(key), SubscriptionError::Closed(CloseReason::ByCaller));
}

#[test]
fn c1_second_close_can_only_shorten_the_wait() {
    let mut c = Conversation::connected();
    let (key, _) = c.send_request(Request::list("tasks").no_timeout());
    c.close(CloseOptions::default().wait(secs(3)));
    c.close(CloseOptions::default().wait(secs(300)));
    c.advance(millis(2_999));
    assert_eq!(c.settled(), []);
    c.close(CloseOptions::now());
    assert_eq!(c.settled(), [(key, Err(closed(true)))]);
    assert_eq!(close_frames(&mut c).len(), 1);
    c.close(CloseOptions::now());
    assert_eq!(close_frames(&mut c), []);
}

#[test]
fn c1_cancelling_the_last_request_ends_the_wait() {
    let mut c = Conversation::connected();
    let (key, _) = c.send_request(Request::list("tasks"));
    c.close(CloseOptions::default());
    c.session.cancel(key);
    assert_eq!(close_frames(&mut c).len(), 1);
}

#[test]
fn c1_timeout_of_the_last_request_ends_the_wait() {
    let mut c = Conversation::connected();
    let key = c.request(Request::list("tasks").timeout(secs(1)));
    c.close(CloseOptions::default());
    c.session.handle_pong(c.epoch(), c.now + secs(1));
    assert_eq!(c.sent(), [] as [Value; 0]);
    assert_eq!(c.settled(), [(key, Err(RequestError::TimedOut { sent: false }))]);
    assert_eq!(close_frames(&mut c).len(), 1);
}

#[test]
fn c1_closing_session_rejects_commands() {
    let mut c = Conversation::connected();
    c.send_request(Request::list("tasks"));
    c.close(CloseOptions::default());
    assert!(c.session.request(Request::list("tasks"), c.now).is_err());
    assert!(c.session.subscribe(Subscribe::instance("tasks", 1), c.now).is_err());
}

#[test]
fn c1_unsubscribe_after_a_close_succeeds() {
    let mut c = Conversation::connected();
    let (key, _) = c.subscribe_acked(Subscribe::instance("tasks", 1));
    c.close(CloseOptions::now());
    c.unsubscribe(key);
    assert_eq!(c.unsubscribed(), [(key, Ok(()))]);
    assert_eq!(c.session.poll_change(key), None);
}

#[test]
fn c2_session_is_finished_once_closed_and_disconnected() {
    let mut c = Conversation::connected();
    c.send_request(Request::list("tasks"));
    c.subscribe_acked(Subscribe::instance("tasks", 1));
    assert!(!c.session.is_finished());
    c.close(CloseOptions::now());
    c.flush();
    assert!(!c.session.is_finished());
    c.disconnect(dropped());
    assert!(c.session.is_finished());
    assert_eq!(c.session.poll_timeout(), None);
    assert_eq!(c.session.poll_transmit(), None);
    assert_eq!(c.session.stats().requests, 0);
}

#[test]
fn c2_stopped_driver_settles_everything() {
    let mut c = Conversation::connected();
    let (request, _) = c.send_request(Request::list("tasks"));
    let (subscription, _) = c.subscribe_acked(Subscribe::instance("tasks", 1));
    c.session.stop_driving(c.now);
    let reason = CloseReason::DriverStopped;
    let error = RequestError::Closed { reason: reason.clone(), sent: true };
    assert_eq!(c.settled(), [(request, Err(error))]);
    assert_eq!(c.end(subscription), SubscriptionError::Closed(reason.clone()));
    assert_eq!(*c.session.state(), ConnectionState::Closed(reason));
    assert!(c.session.is_finished());
    assert_eq!(c.session.poll_timeout(), None);
}

#[test]
fn c2_pending_events_and_changes_are_delivered_after_a_close() {
    let mut c = Conversation::connected();
    let (key, frame) = c.subscribe_acked(Subscribe::instance("tasks", 1));
    c.event(&frame, "update", &json!(1));
    c.close(CloseOptions::now());
    assert_eq!(c.events(), [Event::Subscribed(key), Event::ChangeReadable(key)]);
    let (changes, end) = c.changes_and_end(key);
    assert_eq!(changes.len(), 1);
    assert_eq!(end, Some(SubscriptionError::Closed(CloseReason::ByCaller)));
    assert_eq!(c.session.poll_change(key), None);
}
