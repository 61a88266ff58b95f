//! Commands that concern all subscriptions: ending them, and sending them once more (rule S12).

use crate::conversation::{Conversation, closed, dropped, secs, update};
use dcrf_proto::{
    Change, CloseOptions, Event, Limit, RejectReason, Request, Subscribe, SubscriptionError,
};
use serde_json::{Value, json};

const NOTHING: [Value; 0] = [];

fn task(pk: u64) -> Subscribe {
    Subscribe::instance("tasks", pk)
}

fn docs() -> Subscribe {
    Subscribe::new("docs", "subscribe_all").without_ack()
}

#[test]
fn s12_unsubscribe_all_ends_those_in_force_and_pending_of_all_streams() {
    let mut c = Conversation::open();
    let (first, _) = c.subscribes(task(1));
    let sharing = c.subscribe(task(1));
    let (memo, _) = c.subscribes(Subscribe::instance("memos", 1));
    let feed = c.subscribe(docs());
    let unacknowledged = c.subscribe(task(2));
    c.flush();
    let unsent = c.subscribe(task(3));
    c.sent();

    assert_eq!(c.unsubscribe_all(), 6);

    let unsubscribes = c.sent();
    let actions: Vec<(&str, &str)> = unsubscribes
        .iter()
        .map(|f| (f["stream"].as_str().unwrap(), f["payload"]["action"].as_str().unwrap()))
        .collect();
    assert_eq!(
        actions,
        [
            ("tasks", "unsubscribe_instance"),
            ("memos", "unsubscribe_instance"),
            ("docs", "unsubscribe_all"),
            ("tasks", "unsubscribe_instance"),
            ("tasks", "unsubscribe_instance"),
        ]
    );
    for key in [first, sharing, memo, feed, unacknowledged, unsent] {
        assert_eq!(c.end(key), SubscriptionError::Unsubscribed);
    }
    assert_eq!((c.session.stats().subscriptions, c.unsubscribe_all()), (0, 0));
    c.reconnects();
    assert_eq!(c.sent(), NOTHING);
}

#[test]
fn s12_unsubscribe_all_sends_nothing_for_what_was_not_sent() {
    let mut c = Conversation::open();
    let unsent = c.subscribe(task(1));
    assert_eq!(c.unsubscribe_all(), 1);
    assert_eq!(c.sent(), NOTHING);
    assert_eq!(c.end(unsent), SubscriptionError::Unsubscribed);
}

#[test]
fn s12_unsubscribe_all_delivers_nothing_more_and_says_why() {
    let mut c = Conversation::open();
    let (key, frame) = c.subscribes(task(1));
    c.events();
    c.event(&frame, "update", &json!(1));
    c.unsubscribe_all();
    c.event(&frame, "update", &json!(2));
    assert_eq!(c.events(), [Event::ChangeReadable(key)]);
    assert_eq!(c.session.ended(key), Some(&SubscriptionError::Unsubscribed));
    assert!(!c.session.is_acknowledged(key));
    assert_eq!(c.end(key), SubscriptionError::Unsubscribed);
    assert_eq!(c.session.poll_change(key), None);
    assert_eq!(c.session.stats().late, 1);
}

#[test]
fn s12_unsubscribe_all_is_told_to_who_had_read_everything() {
    let mut c = Conversation::open();
    let (key, _) = c.subscribes(task(1));
    c.events();
    c.unsubscribe_all();
    assert_eq!(c.events(), [Event::ChangeReadable(key)]);
}

#[test]
fn s12_unsubscribe_all_offline_sends_nothing() {
    let mut c = Conversation::open();
    let (before, _) = c.subscribes(task(1));
    c.lost(dropped());
    let offline = c.subscribe(task(2));
    assert_eq!(c.unsubscribe_all(), 2);
    for key in [before, offline] {
        assert_eq!(c.end(key), SubscriptionError::Unsubscribed);
    }
    c.reopens();
    assert_eq!(c.sent(), NOTHING);
}

#[test]
fn s12_unsubscribe_all_ends_what_is_replayed_put_off_and_overdue() {
    let mut c = Conversation::open_with(|config| {
        config.replay_window = 2;
        config.heartbeat = None;
    });
    let keys: Vec<_> = (0..5).map(|pk| c.subscribes(task(pk)).0).collect();
    c.reconnects();
    // The first is put off, the second overdue, two more are sent, and the last is held back.
    let frames = c.sent();
    c.passes(secs(29));
    c.refuses(&frames[0], 503);
    assert_eq!(c.sent().len(), 1);
    c.passes(secs(1));
    assert_eq!(c.sent().len(), 1);
    assert_eq!(c.unsubscribe_all(), 5);
    assert!(c.sent_actions().iter().all(|action| action == "unsubscribe_instance"));
    for key in keys {
        assert_eq!(c.end(key), SubscriptionError::Unsubscribed);
    }
    c.passes(secs(60));
    assert_eq!(c.sent(), NOTHING);
}

#[test]
fn s12_unsubscribe_all_leaves_what_has_ended_as_it_is() {
    let mut c = Conversation::open_with(|config| config.changes = Limit { count: 9, bytes: 999 });
    let (key, frame) = c.subscribes(task(1));
    c.event(&frame, "update", &json!(1));
    c.reconnects();
    let frame = c.sent_one();
    c.refuses(&frame, 404);
    assert_eq!(c.unsubscribe_all(), 0);
    let (changes, end) = c.changes_and_end(key);
    assert_eq!(changes, [update(&json!(1))]);
    assert!(matches!(end, Some(SubscriptionError::Gone(_))));
}

#[test]
fn s12_after_unsubscribe_all_the_same_can_be_subscribed_to_again() {
    let mut c = Conversation::open();
    let (old, _) = c.subscribes(task(1));
    c.unsubscribe_all();
    let new = c.subscribe(task(1));
    let frames = c.sent();
    assert_eq!(frames[0]["payload"]["action"], "unsubscribe_instance");
    c.answers(&frames[0], &Value::Null);
    c.answers(&frames[1], &Value::Null);
    c.event(&frames[1], "update", &json!(1));
    assert_eq!(c.changes(new), [update(&json!(1))]);
    // Cancelling the old one, too late, changes nothing.
    c.unsubscribe(old);
    assert_eq!(c.unsubscribed(), [(old, Ok(()))]);
    assert_eq!(c.sent(), NOTHING);
}

#[test]
fn s12_unsubscribe_all_of_a_closed_session_is_none() {
    let mut c = Conversation::open();
    let (key, _) = c.subscribes(task(1));
    c.close(CloseOptions::now());
    assert_eq!(c.unsubscribe_all(), 0);
    assert!(matches!(c.end(key), SubscriptionError::Closed(_)));
}

#[test]
fn s12_resubscribe_sends_each_frame_once_more_and_tells_no_gap() {
    let mut c = Conversation::open();
    let (one, first) = c.subscribes(task(1));
    let sharing = c.subscribe(task(1));
    let feed = c.subscribe(docs());
    let second = c.sent_one();
    c.events();

    c.resubscribe();

    assert_eq!(c.sent(), [first.clone(), second.clone()]);
    // The server holds them all the while.
    c.event(&first, "update", &json!(1));
    c.answers(&first, &Value::Null);
    c.event(&first, "update", &json!(2));
    c.event(&second, "update", &json!(3));
    for key in [one, sharing] {
        assert!(c.session.is_acknowledged(key));
        assert_eq!(c.changes(key), [update(&json!(1)), update(&json!(2))]);
    }
    assert_eq!(c.changes(feed), [update(&json!(3))]);
    assert_eq!((c.session.stats().late, c.session.stats().unhandled), (0, 0));
    c.unsubscribe(feed);
    assert_eq!(c.sent_actions(), ["unsubscribe_all"]);
}

#[test]
fn s12_resubscribe_goes_through_the_window_and_events_are_delivered_meanwhile() {
    let mut c = Conversation::open_with(|config| config.replay_window = 1);
    let (first, _) = c.subscribes(task(1));
    let (second, held) = c.subscribes(task(2));
    c.resubscribe();
    c.request(Request::list("tasks"));

    let frame = c.sent_one();
    assert_eq!(frame["payload"]["pk"], 1);
    c.event(&held, "update", &json!(1));
    assert_eq!(c.changes(second), [update(&json!(1))]);
    c.answers(&frame, &Value::Null);
    let frames = c.sent();
    assert_eq!(frames[0], held);
    assert_eq!(frames[1]["payload"]["action"], "list");
    assert!(c.session.is_acknowledged(first) && c.session.is_acknowledged(second));
}

#[test]
fn s12_resubscribe_does_not_send_twice_what_is_on_its_way() {
    let mut c = Conversation::open_with(|config| config.replay_window = 1);
    c.subscribes(task(1));
    c.subscribes(task(2));
    c.reconnects();
    let first = c.sent_one();
    c.resubscribe();
    c.resubscribe();
    assert_eq!(c.sent(), NOTHING);
    c.answers(&first, &Value::Null);
    let second = c.sent_one();
    assert_eq!(second["payload"]["pk"], 2);
    c.answers(&second, &Value::Null);
    assert_eq!(c.sent(), NOTHING);
}

#[test]
fn s12_resubscribe_offline_does_nothing_and_the_replay_brings_all_once() {
    let mut c = Conversation::idle_with(|_| ());
    let key = c.subscribe(task(1));
    c.resubscribe();
    c.session.open(c.now);
    c.redials();
    c.resubscribe();
    c.opens();
    let frame = c.sent_one();
    c.answers(&frame, &Value::Null);
    c.lost(dropped());
    c.resubscribe();
    c.reopens();
    assert_eq!(c.sent_one(), frame);
    c.answers(&frame, &Value::Null);
    assert!(matches!(c.changes(key)[..], [Change::Gap(_)]));
}

#[test]
fn s12_resubscribe_sends_at_once_what_was_put_off() {
    let mut c = Conversation::open();
    let key = c.subscribe(task(1));
    let frame = c.sent_one();
    c.refuses(&frame, 503);
    assert_eq!(c.sent(), NOTHING);
    c.resubscribe();
    assert_eq!(c.sent_one(), frame);
    c.answers(&frame, &Value::Null);
    assert!(c.session.is_acknowledged(key));
    c.passes(secs(5));
    assert_eq!(c.sent(), NOTHING);
}

#[test]
fn s12_a_refused_resubscribe_ends_as_a_refused_replay_does() {
    type Check = fn(&SubscriptionError) -> bool;
    let cases: [(u16, Check); 3] = [
        (404, |ended| matches!(ended, SubscriptionError::Gone(_))),
        (403, |ended| matches!(ended, SubscriptionError::Revoked(_))),
        (400, |ended| matches!(ended, SubscriptionError::ErrorReply(_))),
    ];
    for subscribe in [task(1), docs()] {
        for (status, check) in cases {
            let mut c = Conversation::open();
            let key = c.subscribe(subscribe.clone());
            let frame = c.sent_one();
            if !c.session.is_acknowledged(key) {
                c.answers(&frame, &Value::Null);
            }
            let (other, _) = c.subscribes(task(2));
            c.resubscribe();
            assert_eq!(c.sent().len(), 2);
            c.refuses(&frame, status);

            let end = c.end(key);

            assert!(check(&end), "{status}: {end:?}");
            assert!(c.session.is_acknowledged(other));
            // The server may hold it all the same, so it is told that nobody listens any more.
            assert!(c.sent_actions()[0].starts_with("unsubscribe"));
            c.event(&frame, "update", &json!(1));
            assert_eq!((c.session.stats().late, c.session.stats().unhandled), (1, 0));
            c.reconnects();
            assert_eq!(c.sent_one()["payload"]["pk"], 2);
        }
    }
}

#[test]
fn s12_a_resubscribe_that_is_put_off_keeps_what_is_in_force() {
    let mut c = Conversation::open_with(|config| config.backoff.jitter = false);
    let (key, frame) = c.subscribes(task(1));
    c.resubscribe();
    c.sent();
    c.refuses(&frame, 503);
    c.event(&frame, "update", &json!(1));
    assert_eq!(c.changes(key), [update(&json!(1))]);
    c.passes(secs(1));
    assert_eq!(c.sent_one(), frame);
    c.refuses(&frame, 503);
    // The server still holds it, so it is told.
    c.unsubscribe(key);
    assert_eq!(c.sent_actions(), ["unsubscribe_instance"]);
    c.passes(secs(5));
    assert_eq!(c.sent(), NOTHING);
}

#[test]
fn s12_unsubscribed_before_the_resubscribe_is_sent() {
    let mut c = Conversation::open();
    let (key, _) = c.subscribes(task(1));
    c.resubscribe();
    c.unsubscribe(key);
    assert_eq!(c.sent_actions(), ["unsubscribe_instance"]);
}

#[test]
fn s12_a_loss_after_resubscribe_leaves_one_gap() {
    let mut c = Conversation::open();
    let (key, _) = c.subscribes(task(1));
    c.resubscribe();
    c.flush();
    c.lost(closed(1011));
    c.reopens();
    let frame = c.sent();
    c.answers(&frame[frame.len() - 1], &Value::Null);
    assert!(matches!(c.changes(key)[..], [Change::Gap(_)]));
}

#[test]
fn s12_resubscribe_asks_again_for_an_acknowledgement_that_is_late() {
    let mut c = Conversation::open_with(|config| config.heartbeat = None);
    let (key, _) = c.subscribes(task(1).id("task-1"));
    c.reconnects();
    let late = c.sent_one();
    c.passes(secs(30));
    c.resubscribe();
    assert_eq!(c.sent_one(), late);
    c.answers(&late, &Value::Null);
    assert!(matches!(c.changes(key)[..], [Change::Gap(_)]));

    // The second answer can still come, so the id is not free yet (R8).
    c.unsubscribe(key);
    let unsubscribe = c.sent_one();
    c.answers(&unsubscribe, &Value::Null);
    let again = c.session.subscribe(task(2).id("task-1"), c.now);
    assert_eq!(again.unwrap_err().reason, RejectReason::IdInUse);
}

#[test]
fn s12_while_it_closes_nothing_is_sent_again() {
    let mut c = Conversation::open();
    c.subscribes(task(1));
    c.requests(Request::list("tasks"));
    c.close(CloseOptions::default());
    c.resubscribe();
    assert_eq!(c.sent(), NOTHING);
}
