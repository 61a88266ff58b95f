//! Unsubscribing, and when its request id is free again (rules S9 and R8).

use crate::conversation::{Conversation, dropped, secs, update};
use dcrf_proto::{Event, RejectReason, Request, Subscribe, UnsubscribeError};
use serde_json::{Value, json};

const NOTHING: [Value; 0] = [];

fn task() -> Subscribe {
    Subscribe::instance("tasks", 7)
}

fn id_of(frame: &Value) -> &str {
    frame["payload"]["request_id"].as_str().expect("a text id")
}

#[test]
fn s9_nothing_is_delivered_after_an_unsubscribe() {
    let mut c = Conversation::connected();
    let (key, frame) = c.subscribe_acked(task());
    c.event(&frame, "update", &json!(1));
    c.unsubscribe(key);
    c.event(&frame, "update", &json!(2));

    assert_eq!(c.session.poll_change(key), None);
    let unsubscribe = c.sent_one();
    assert_eq!(unsubscribe["payload"]["action"], "unsubscribe_instance");
    assert_eq!(unsubscribe["payload"]["request_id"], frame["payload"]["request_id"]);
    assert_eq!(unsubscribe["payload"]["pk"], 7);
    c.event(&frame, "update", &json!(3));
    assert_eq!(c.events(), []);
    c.reply_with(&unsubscribe, 204, &json!([]), &Value::Null);
    assert_eq!(c.events(), [Event::Unsubscribed { subscription: key, result: Ok(()) }]);
    c.event(&frame, "update", &json!(4));
    assert_eq!(c.events(), []);
    assert_eq!(c.unhandled(), NOTHING);
    assert_eq!(c.session.stats().late, 3);
}

#[test]
fn s9_unsubscribe_without_a_connection_succeeds() {
    let mut c = Conversation::connected();
    let (key, _) = c.subscribe_acked(task());
    c.disconnect(dropped());
    c.unsubscribe(key);
    assert_eq!(c.unsubscribed(), [(key, Ok(()))]);
    c.wait_and_connect();
    assert_eq!(c.sent(), NOTHING);
}

#[test]
fn s9_connection_loss_during_unsubscribe_is_success() {
    for is_flushed in [true, false] {
        let mut c = Conversation::connected();
        let (key, _) = c.subscribe_acked(task());
        c.unsubscribe(key);
        if is_flushed {
            c.flush();
        }
        c.disconnect(dropped());
        assert_eq!(c.unsubscribed(), [(key, Ok(()))]);
    }
}

#[test]
fn s9_not_found_in_reply_to_unsubscribe_is_success() {
    let mut c = Conversation::connected();
    let (key, _) = c.subscribe_acked(task());
    c.unsubscribe(key);
    let frame = c.sent_one();
    c.reply_error(&frame, 404);
    assert_eq!(c.unsubscribed(), [(key, Ok(()))]);
}

#[test]
fn s9_other_error_replies_and_timeouts_are_reported() {
    let mut c = Conversation::connected();
    let (key, _) = c.subscribe_acked(task());
    c.unsubscribe(key);
    let frame = c.sent_one();
    c.reply_error(&frame, 405);
    let results = c.unsubscribed();
    assert!(matches!(&results[..], [(k, Err(UnsubscribeError::ErrorReply(_)))] if *k == key));

    let mut c = Conversation::connected_with(|config| config.heartbeat = None);
    let (key, _) = c.subscribe_acked(task());
    c.unsubscribe(key);
    c.advance(secs(30));
    assert_eq!(c.unsubscribed(), [(key, Err(UnsubscribeError::TimedOut))]);
}

#[test]
fn s9_unsubscribe_before_the_subscribe_is_sent_sends_nothing() {
    let mut c = Conversation::connected();
    let key = c.subscribe(task());
    c.unsubscribe(key);
    assert_eq!(c.sent(), NOTHING);
    assert_eq!(c.unsubscribed(), [(key, Ok(()))]);
}

#[test]
fn s9_unsubscribe_without_an_unsubscribe_action_sends_nothing() {
    let mut c = Conversation::connected();
    let (key, frame) = c.subscribe_acked(Subscribe::new("tasks", "follow"));
    c.unsubscribe(key);
    assert_eq!(c.sent(), NOTHING);
    assert_eq!(c.unsubscribed(), [(key, Ok(()))]);
    c.event(&frame, "update", &json!(1));
    assert_eq!(c.session.stats().late, 1);

    let (key, _) = c.subscribe_acked(Subscribe::new("tasks", "follow").unsubscribe_action("leave"));
    c.unsubscribe(key);
    assert_eq!(c.sent_actions(), ["leave"]);
}

#[test]
fn r8_custom_id_is_free_after_a_confirmed_unsubscribe() {
    for (status, is_free) in [(204, true), (404, true), (403, false)] {
        let mut c = Conversation::connected();
        let (key, _) = c.subscribe_acked(task().id("task-7"));
        c.unsubscribe(key);
        let frame = c.sent_one();
        c.reply_with(&frame, status, &json!([]), &Value::Null);
        let result = c.session.subscribe(task().id("task-7"), c.now);
        assert_eq!(result.is_ok(), is_free, "after {status}");
    }
}

#[test]
fn s9_event_after_a_confirmed_unsubscribe_is_late() {
    let mut c = Conversation::connected();
    let (key, frame) = c.subscribe_acked(task());
    c.unsubscribe(key);
    let unsubscribe = c.sent_one();
    c.reply(&unsubscribe, &Value::Null);
    c.event(&frame, "update", &json!(1));
    assert_eq!((c.session.stats().late, c.session.stats().unhandled), (1, 0));
}

#[test]
fn r8_reused_id_is_kept_when_old_ids_are_forgotten() {
    let mut c = Conversation::connected();
    let (key, _) = c.subscribe_acked(task().id("task-7"));
    c.unsubscribe(key);
    let unsubscribe = c.sent_one();
    c.reply(&unsubscribe, &Value::Null);
    let (key, frame) = c.subscribe_acked(task().id("task-7"));
    for _ in 0..2000 {
        let (request, _) = c.send_request(Request::list("tasks"));
        c.session.cancel(request);
    }
    c.event(&frame, "update", &json!(1));
    assert_eq!(c.changes(key), [update(&json!(1))]);
}

#[test]
fn r8_generated_id_is_in_use_until_a_confirmed_unsubscribe() {
    let mut c = Conversation::idle_with(|_| ());
    let key = c.subscribe(task());
    c.session.open(c.now);
    c.wait_for_dial();
    c.connect();
    let frame = c.sent_one();
    let id = id_of(&frame);

    assert_in_use(&mut c, id);
    c.reply(&frame, &Value::Null);
    assert_in_use(&mut c, id);
    c.disconnect(dropped());
    assert_in_use(&mut c, id);
    c.wait_and_connect();
    let frame = c.sent_one();
    c.reply(&frame, &Value::Null);
    c.unsubscribe(key);
    let unsubscribe = c.sent_one();
    assert_in_use(&mut c, id);

    // Now another subscription may use it, but no request.
    c.reply(&unsubscribe, &Value::Null);
    let (key, frame) = c.subscribe_acked(task().id(id));
    assert_in_use(&mut c, id);
    c.event(&frame, "update", &json!(1));
    assert_eq!(c.changes(key), [update(&json!(1))]);
}

fn assert_in_use(c: &mut Conversation, id: &str) {
    let request = c.session.request(Request::retrieve("tasks", 8).id(id), c.now);
    assert_eq!(request.unwrap_err().reason, RejectReason::IdInUse);
    let rows = c.session.stream(Request::list("rows").id(id), c.now);
    assert_eq!(rows.unwrap_err().reason, RejectReason::IdInUse);
    let sent = c.session.send(Request::list("rows").id(id), c.now);
    assert_eq!(sent.unwrap_err().reason, RejectReason::IdInUse);
    let subscription = c.session.subscribe(Subscribe::instance("tasks", 8).id(id), c.now);
    assert_eq!(subscription.unwrap_err().reason, RejectReason::IdInUse);
}

#[test]
fn r8_joining_subscriber_may_only_use_the_id_of_its_upstream() {
    let mut c = Conversation::connected();
    let (_, other) = c.subscribe_acked(Subscribe::instance("tasks", 8));
    let (_, frame) = c.subscribe_acked(task());
    c.subscribe(task().id(id_of(&frame)));
    let rejected = c.session.subscribe(task().id(id_of(&other)), c.now);
    assert_eq!(rejected.unwrap_err().reason, RejectReason::IdInUse);
    assert_eq!(c.sent(), NOTHING);
}

#[test]
fn r8_reused_id_belongs_to_its_new_subscription() {
    let mut c = Conversation::connected();
    let (first, first_frame) = c.subscribe_acked(task());
    c.unsubscribe(first);
    let unsubscribe = c.sent_one();
    c.reply(&unsubscribe, &Value::Null);
    // The next subscription takes the same slot, which generated ids encode.
    let (second, frame) = c.subscribe_acked(Subscribe::instance("tasks", 8));
    c.event(&first_frame, "update", &json!(1));
    assert_eq!((c.session.stats().late, c.changes(second)), (1, vec![]));

    let (third, third_frame) =
        c.subscribe_acked(Subscribe::instance("tasks", 9).id(id_of(&first_frame)));
    c.event(&third_frame, "update", &json!(2));
    c.event(&frame, "update", &json!(3));
    assert_eq!(c.changes(third), [update(&json!(2))]);
    assert_eq!(c.changes(second), [update(&json!(3))]);

    c.unsubscribe(second);
    let unsubscribe = c.sent_one();
    c.reply(&unsubscribe, &Value::Null);
    c.event(&third_frame, "update", &json!(4));
    c.event(&frame, "update", &json!(5));
    assert_eq!((c.session.stats().late, c.changes(third)), (2, vec![update(&json!(4))]));
}

#[test]
fn s9_unsubscribe_without_ack_does_not_wait_for_a_reply() {
    let mut c = Conversation::connected_with(|config| config.heartbeat = None);
    let key = c.subscribe(Subscribe::new("docs", "subscribe_all").without_ack());
    c.flush();
    c.events();
    c.unsubscribe(key);
    assert_eq!(c.sent_actions().last().unwrap(), "unsubscribe_all");
    c.advance(secs(31));
    assert_eq!(c.unsubscribed(), [(key, Ok(()))]);
}

#[test]
fn r8_id_stays_in_use_until_the_subscribe_is_acknowledged() {
    let mut c = Conversation::connected();
    let key = c.subscribe(task().id("x"));
    let first = c.sent_one();
    c.unsubscribe(key);
    let unsubscribe = c.sent_one();
    c.reply_with(&unsubscribe, 204, &json!([]), &Value::Null);
    let next = c.session.subscribe(Subscribe::instance("tasks", 8).id("x"), c.now);
    assert_eq!(next.unwrap_err().reason, RejectReason::IdInUse);
    c.reply(&first, &Value::Null);
    assert_eq!((c.session.stats().late, c.session.stats().unhandled), (1, 0));
}

#[test]
fn r8_request_cannot_reuse_the_id_of_a_subscription() {
    let mut c = Conversation::connected();
    let (key, frame) = c.subscribe_acked(task().id("x"));
    c.unsubscribe(key);
    let unsubscribe = c.sent_one();
    c.reply_with(&unsubscribe, 204, &json!([]), &Value::Null);
    let request = c.session.request(Request::retrieve("tasks", 8).id("x"), c.now);
    assert_eq!(request.unwrap_err().reason, RejectReason::IdInUse);
    c.event(&frame, "update", &json!({"pk": 7}));
    assert_eq!(c.session.stats().late, 1);
}

#[test]
fn r8_late_event_is_recognised_after_a_rejected_command() {
    let mut c = Conversation::connected_with(|config| config.max_outgoing_message = 300);
    let (key, frame) = c.subscribe_acked(task().id("x"));
    c.unsubscribe(key);
    let unsubscribe = c.sent_one();
    c.reply(&unsubscribe, &Value::Null);
    let long = task().arg("text", "x".repeat(1000)).id("x");
    c.session.subscribe(long, c.now).unwrap_err();
    c.event(&frame, "update", &json!(1));
    assert_eq!((c.session.stats().late, c.session.stats().unhandled), (1, 0));
}
