//! `unsubscribe_all` and `resubscribe` (rule S12).

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
fn s12_unsubscribe_all_ends_live_and_pending_subscriptions() {
    let mut c = Conversation::connected();
    let (first, _) = c.subscribe_acked(task(1));
    let second_subscriber = c.subscribe(task(1));
    let (memo, _) = c.subscribe_acked(Subscribe::instance("memos", 1));
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
    for key in [first, second_subscriber, memo, feed, unacknowledged, unsent] {
        assert_eq!(c.end(key), SubscriptionError::Unsubscribed);
    }
    assert_eq!((c.session.stats().subscriptions, c.unsubscribe_all()), (0, 0));
    c.reconnect();
    assert_eq!(c.sent(), NOTHING);
}

#[test]
fn s12_unsubscribe_all_sends_nothing_for_unsent_subscribes() {
    let mut c = Conversation::connected();
    let unsent = c.subscribe(task(1));
    assert_eq!(c.unsubscribe_all(), 1);
    assert_eq!(c.sent(), NOTHING);
    assert_eq!(c.end(unsent), SubscriptionError::Unsubscribed);
}

#[test]
fn s12_unsubscribe_all_discards_buffered_changes() {
    let mut c = Conversation::connected();
    let (key, frame) = c.subscribe_acked(task(1));
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
fn s12_unsubscribe_all_notifies_a_reader_with_an_empty_buffer() {
    let mut c = Conversation::connected();
    let (key, _) = c.subscribe_acked(task(1));
    c.events();
    c.unsubscribe_all();
    assert_eq!(c.events(), [Event::ChangeReadable(key)]);
}

#[test]
fn s12_unsubscribe_all_sends_nothing_without_a_connection() {
    let mut c = Conversation::connected();
    let (before, _) = c.subscribe_acked(task(1));
    c.disconnect(dropped());
    let offline = c.subscribe(task(2));
    assert_eq!(c.unsubscribe_all(), 2);
    for key in [before, offline] {
        assert_eq!(c.end(key), SubscriptionError::Unsubscribed);
    }
    c.wait_and_connect();
    assert_eq!(c.sent(), NOTHING);
}

#[test]
fn s12_unsubscribe_all_ends_replayed_deferred_and_overdue_subscriptions() {
    let mut c = Conversation::connected_with(|config| {
        config.replay_window = 2;
        config.heartbeat = None;
    });
    let keys: Vec<_> = (0..5).map(|pk| c.subscribe_acked(task(pk)).0).collect();
    c.reconnect();
    // The first is deferred, the second overdue, two more are sent, and the last waits for the window.
    let frames = c.sent();
    c.advance(secs(29));
    c.reply_error(&frames[0], 503);
    assert_eq!(c.sent().len(), 1);
    c.advance(secs(1));
    assert_eq!(c.sent().len(), 1);
    assert_eq!(c.unsubscribe_all(), 5);
    assert!(c.sent_actions().iter().all(|action| action == "unsubscribe_instance"));
    for key in keys {
        assert_eq!(c.end(key), SubscriptionError::Unsubscribed);
    }
    c.advance(secs(60));
    assert_eq!(c.sent(), NOTHING);
}

#[test]
fn s12_unsubscribe_all_skips_subscriptions_that_have_ended() {
    let mut c =
        Conversation::connected_with(|config| config.changes = Limit { count: 9, bytes: 999 });
    let (key, frame) = c.subscribe_acked(task(1));
    c.event(&frame, "update", &json!(1));
    c.reconnect();
    let frame = c.sent_one();
    c.reply_error(&frame, 404);
    assert_eq!(c.unsubscribe_all(), 0);
    let (changes, end) = c.changes_and_end(key);
    assert_eq!(changes, [update(&json!(1))]);
    assert!(matches!(end, Some(SubscriptionError::Gone(_))));
}

#[test]
fn s12_target_can_be_subscribed_again_after_unsubscribe_all() {
    let mut c = Conversation::connected();
    let (old, _) = c.subscribe_acked(task(1));
    c.unsubscribe_all();
    let new = c.subscribe(task(1));
    let frames = c.sent();
    assert_eq!(frames[0]["payload"]["action"], "unsubscribe_instance");
    c.reply(&frames[0], &Value::Null);
    c.reply(&frames[1], &Value::Null);
    c.event(&frames[1], "update", &json!(1));
    assert_eq!(c.changes(new), [update(&json!(1))]);
    // The old one has already ended.
    c.unsubscribe(old);
    assert_eq!(c.unsubscribed(), [(old, Ok(()))]);
    assert_eq!(c.sent(), NOTHING);
}

#[test]
fn s12_unsubscribe_all_ends_nothing_after_a_close() {
    let mut c = Conversation::connected();
    let (key, _) = c.subscribe_acked(task(1));
    c.close(CloseOptions::now());
    assert_eq!(c.unsubscribe_all(), 0);
    assert!(matches!(c.end(key), SubscriptionError::Closed(_)));
}

#[test]
fn s12_resubscribe_sends_each_subscribe_again_without_a_gap() {
    let mut c = Conversation::connected();
    let (one, first) = c.subscribe_acked(task(1));
    let second_subscriber = c.subscribe(task(1));
    let feed = c.subscribe(docs());
    let second = c.sent_one();
    c.events();

    c.resubscribe();

    assert_eq!(c.sent(), [first.clone(), second.clone()]);
    // They stay live on the server.
    c.event(&first, "update", &json!(1));
    c.reply(&first, &Value::Null);
    c.event(&first, "update", &json!(2));
    c.event(&second, "update", &json!(3));
    for key in [one, second_subscriber] {
        assert!(c.session.is_acknowledged(key));
        assert_eq!(c.changes(key), [update(&json!(1)), update(&json!(2))]);
    }
    assert_eq!(c.changes(feed), [update(&json!(3))]);
    assert_eq!((c.session.stats().late, c.session.stats().unhandled), (0, 0));
    c.unsubscribe(feed);
    assert_eq!(c.sent_actions(), ["unsubscribe_all"]);
}

#[test]
fn s12_resubscribe_obeys_the_replay_window_and_delivers_events() {
    let mut c = Conversation::connected_with(|config| config.replay_window = 1);
    let (first, _) = c.subscribe_acked(task(1));
    let (second, held) = c.subscribe_acked(task(2));
    c.resubscribe();
    c.request(Request::list("tasks"));

    let frame = c.sent_one();
    assert_eq!(frame["payload"]["pk"], 1);
    c.event(&held, "update", &json!(1));
    assert_eq!(c.changes(second), [update(&json!(1))]);
    c.reply(&frame, &Value::Null);
    let frames = c.sent();
    assert_eq!(frames[0], held);
    assert_eq!(frames[1]["payload"]["action"], "list");
    assert!(c.session.is_acknowledged(first) && c.session.is_acknowledged(second));
}

#[test]
fn s12_resubscribe_skips_subscribes_in_flight() {
    let mut c = Conversation::connected_with(|config| config.replay_window = 1);
    c.subscribe_acked(task(1));
    c.subscribe_acked(task(2));
    c.reconnect();
    let first = c.sent_one();
    c.resubscribe();
    c.resubscribe();
    assert_eq!(c.sent(), NOTHING);
    c.reply(&first, &Value::Null);
    let second = c.sent_one();
    assert_eq!(second["payload"]["pk"], 2);
    c.reply(&second, &Value::Null);
    assert_eq!(c.sent(), NOTHING);
}

#[test]
fn s12_resubscribe_without_a_connection_does_nothing() {
    let mut c = Conversation::idle_with(|_| ());
    let key = c.subscribe(task(1));
    c.resubscribe();
    c.session.open(c.now);
    c.wait_for_dial();
    c.resubscribe();
    c.connect();
    let frame = c.sent_one();
    c.reply(&frame, &Value::Null);
    c.disconnect(dropped());
    c.resubscribe();
    c.wait_and_connect();
    assert_eq!(c.sent_one(), frame);
    c.reply(&frame, &Value::Null);
    assert!(matches!(c.changes(key)[..], [Change::Gap(_)]));
}

#[test]
fn s12_resubscribe_sends_deferred_subscribes_at_once() {
    let mut c = Conversation::connected();
    let key = c.subscribe(task(1));
    let frame = c.sent_one();
    c.reply_error(&frame, 503);
    assert_eq!(c.sent(), NOTHING);
    c.resubscribe();
    assert_eq!(c.sent_one(), frame);
    c.reply(&frame, &Value::Null);
    assert!(c.session.is_acknowledged(key));
    c.advance(secs(5));
    assert_eq!(c.sent(), NOTHING);
}

#[test]
fn s12_error_reply_to_a_resubscribe_ends_like_a_replay() {
    type Check = fn(&SubscriptionError) -> bool;
    let cases: [(u16, Check); 3] = [
        (404, |error| matches!(error, SubscriptionError::Gone(_))),
        (403, |error| matches!(error, SubscriptionError::Revoked(_))),
        (400, |error| matches!(error, SubscriptionError::ErrorReply(_))),
    ];
    for subscribe in [task(1), docs()] {
        for (status, check) in cases {
            let mut c = Conversation::connected_with(|config| config.refresh_credentials = false);
            let key = c.subscribe(subscribe.clone());
            let frame = c.sent_one();
            if !c.session.is_acknowledged(key) {
                c.reply(&frame, &Value::Null);
            }
            let (other, _) = c.subscribe_acked(task(2));
            c.resubscribe();
            assert_eq!(c.sent().len(), 2);
            c.reply_error(&frame, status);

            let end = c.end(key);

            assert!(check(&end), "{status}: {end:?}");
            assert!(c.session.is_acknowledged(other));
            // It may still be live on the server, so an unsubscribe is sent.
            assert!(c.sent_actions()[0].starts_with("unsubscribe"));
            c.event(&frame, "update", &json!(1));
            assert_eq!((c.session.stats().late, c.session.stats().unhandled), (1, 0));
            c.reconnect();
            assert_eq!(c.sent_one()["payload"]["pk"], 2);
        }
    }
}

#[test]
fn s12_deferred_resubscribe_keeps_the_subscription_live() {
    let mut c = Conversation::connected_with(|config| config.backoff.jitter = false);
    let (key, frame) = c.subscribe_acked(task(1));
    c.resubscribe();
    c.sent();
    c.reply_error(&frame, 503);
    c.event(&frame, "update", &json!(1));
    assert_eq!(c.changes(key), [update(&json!(1))]);
    c.advance(secs(1));
    assert_eq!(c.sent_one(), frame);
    c.reply_error(&frame, 503);
    // It is still live on the server, so the unsubscribe is sent.
    c.unsubscribe(key);
    assert_eq!(c.sent_actions(), ["unsubscribe_instance"]);
    c.advance(secs(5));
    assert_eq!(c.sent(), NOTHING);
}

#[test]
fn s12_unsubscribe_cancels_an_unsent_resubscribe() {
    let mut c = Conversation::connected();
    let (key, _) = c.subscribe_acked(task(1));
    c.resubscribe();
    c.unsubscribe(key);
    assert_eq!(c.sent_actions(), ["unsubscribe_instance"]);
}

#[test]
fn s12_connection_loss_after_resubscribe_delivers_one_gap() {
    let mut c = Conversation::connected();
    let (key, _) = c.subscribe_acked(task(1));
    c.resubscribe();
    c.flush();
    c.disconnect(closed(1011));
    c.wait_and_connect();
    let frame = c.sent();
    c.reply(&frame[frame.len() - 1], &Value::Null);
    assert!(matches!(c.changes(key)[..], [Change::Gap(_)]));
}

#[test]
fn s12_resubscribe_resends_an_overdue_subscribe() {
    let mut c = Conversation::connected_with(|config| config.heartbeat = None);
    let (key, _) = c.subscribe_acked(task(1).id("task-1"));
    c.reconnect();
    let late = c.sent_one();
    c.advance(secs(1));
    c.tick();
    c.advance(secs(29));
    c.resubscribe();
    assert_eq!(c.sent_one(), late);
    c.reply(&late, &Value::Null);
    assert!(matches!(c.changes(key)[..], [Change::Gap(_)]));

    // A second reply can still arrive, so the id is not free yet (R8).
    c.unsubscribe(key);
    let unsubscribe = c.sent_one();
    c.reply(&unsubscribe, &Value::Null);
    let rejected = c.session.subscribe(task(2).id("task-1"), c.now);
    assert_eq!(rejected.unwrap_err().reason, RejectReason::IdInUse);
}

#[test]
fn s5_late_acknowledgement_counts_while_a_repeated_subscribe_is_queued() {
    for request_timeout in [None, Some(secs(30))] {
        let mut c = Conversation::connected_with(|config| {
            config.heartbeat = None;
            config.request_timeout = request_timeout;
        });
        let (key, _) = c.subscribe_acked(task(1));
        c.reconnect();
        let late = c.sent_one();
        c.advance(secs(1));
        c.tick();
        c.advance(secs(29));
        // The socket takes nothing yet.
        c.resubscribe();
        c.reply(&late, &Value::Null);
        assert!(matches!(c.changes(key)[..], [Change::Gap(_)]));
        assert_eq!(c.sent(), NOTHING, "the server has just confirmed it");
        c.event(&late, "update", &json!(1));
        assert_eq!(c.changes(key), [update(&json!(1))]);
        // It was live, so another loss is another gap.
        c.reconnect();
        let replay = c.sent_one();
        c.reply(&replay, &Value::Null);
        assert!(matches!(c.changes(key)[..], [Change::Gap(_)]));
        assert_eq!(c.session.stats().late, 0);
    }
}

#[test]
fn s5_acknowledgement_of_an_earlier_subscribe_counts_while_another_is_deferred() {
    let mut c = Conversation::connected_with(|config| config.heartbeat = None);
    let (key, _) = c.subscribe_acked(task(1));
    c.reconnect();
    let late = c.sent_one();
    c.advance(secs(1));
    c.tick();
    c.advance(secs(29));
    c.resubscribe();
    c.sent_one();
    // One is answered with an error that passes, the other is held.
    c.reply_error(&late, 503);
    c.reply(&late, &Value::Null);
    assert!(matches!(c.changes(key)[..], [Change::Gap(_)]));
    c.advance(secs(60));
    assert_eq!((c.sent(), c.session.stats().late), (vec![], 0));
    // A third answer belongs to nothing.
    c.reply(&late, &Value::Null);
    assert_eq!((c.changes(key), c.session.stats().late), (vec![], 1));
}

#[test]
fn s12_resubscribe_sends_nothing_during_a_close() {
    let mut c = Conversation::connected();
    c.subscribe_acked(task(1));
    c.send_request(Request::list("tasks"));
    c.close(CloseOptions::default());
    c.resubscribe();
    assert_eq!(c.sent(), NOTHING);
}
