//! Subscribers that join during a replay, and the replay window (rules S1, S3 and S4).

use crate::conversation::{Conversation, dropped, secs};
use dcrf_proto::{Subscribe, SubscriptionError};

fn task() -> Subscribe {
    Subscribe::instance("tasks", 7)
}

#[test]
fn s1_upstream_is_unsubscribed_when_its_last_subscriber_times_out() {
    let mut c = Conversation::connected_with(|config| config.heartbeat = None);
    let (old, _) = c.subscribe_acked(task());
    c.disconnect(dropped());
    let joining = c.subscribe(task());
    c.unsubscribe(old);
    c.wait_and_connect();
    assert_eq!(c.sent_actions(), ["subscribe_instance"]);
    c.advance(secs(1));
    c.tick();
    c.advance(secs(29));
    assert_eq!(c.end(joining), SubscriptionError::TimedOut);
    assert_eq!(c.session.stats().subscriptions, 0);
    assert_eq!(c.sent_actions(), ["unsubscribe_instance"]);
    c.reconnect();
    assert_eq!(c.sent_actions(), [""; 0]);
}

#[test]
fn s4_new_subscription_does_not_wait_for_replays() {
    let mut c = Conversation::connected_with(|config| config.replay_window = 1);
    c.subscribe_acked(Subscribe::instance("tasks", 1));
    c.subscribe_acked(Subscribe::instance("tasks", 2));
    c.reconnect();
    assert_eq!(c.sent_one()["payload"]["pk"], 1);
    c.subscribe(Subscribe::instance("tasks", 3));
    assert_eq!(c.sent_one()["payload"]["pk"], 3);
}

#[test]
fn s4_deferred_replays_stay_within_the_window() {
    let mut c = Conversation::connected_with(|config| {
        config.replay_window = 1;
        config.heartbeat = None;
    });
    for pk in 0..10 {
        c.subscribe_acked(Subscribe::instance("tasks", pk));
    }
    c.reconnect();
    for _ in 0..10 {
        let frame = c.sent_one();
        c.reply_error(&frame, 429);
    }
    c.advance(secs(2));
    assert_eq!(c.sent().len(), 1);
}

#[test]
fn s3_error_reply_to_a_replay_ends_a_joining_subscriber() {
    let mut c = Conversation::connected();
    c.subscribe_acked(task());
    c.disconnect(dropped());
    let joining = c.subscribe(task());
    c.wait_and_connect();
    let frame = c.sent_one();
    c.reply_error(&frame, 404);
    assert!(matches!(c.end(joining), SubscriptionError::ErrorReply(_)));
}
