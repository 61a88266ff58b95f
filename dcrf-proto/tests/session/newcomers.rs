//! Those who join a subscription that is on its way, and what the window of replays holds up: the newcomer
//! has the patience of its own call (rules S1, S3 and S4).

use crate::conversation::{Conversation, dropped, secs};
use dcrf_proto::{Subscribe, SubscriptionError};

fn task() -> Subscribe {
    Subscribe::instance("tasks", 7)
}

#[test]
fn s1_a_wire_whose_last_newcomer_timed_out_is_wanted_by_nobody() {
    let mut c = Conversation::open_with(|config| config.heartbeat = None);
    let (old, _) = c.subscribes(task());
    c.lost(dropped());
    let newcomer = c.subscribe(task());
    c.unsubscribe(old);
    c.reopens();
    assert_eq!(c.sent_actions(), ["subscribe_instance"]);
    c.passes(secs(30));
    assert_eq!(c.end(newcomer), SubscriptionError::TimedOut);
    assert_eq!(c.session.stats().subscriptions, 0);
    let told = c.sent_actions();
    c.reconnects();
    let replayed = c.sent_actions();
    assert_eq!((told, replayed), (vec!["unsubscribe_instance".to_owned()], Vec::<String>::new()));
}

#[test]
fn s4_what_is_new_does_not_wait_behind_held_replays() {
    let mut c = Conversation::open_with(|config| config.replay_window = 1);
    c.subscribes(Subscribe::instance("tasks", 1));
    c.subscribes(Subscribe::instance("tasks", 2));
    c.reconnects();
    assert_eq!(c.sent_one()["payload"]["pk"], 1);
    c.subscribe(Subscribe::instance("tasks", 3));
    assert_eq!(c.sent_one()["payload"]["pk"], 3);
}

#[test]
fn s4_deferred_replays_stay_within_the_window() {
    let mut c = Conversation::open_with(|config| {
        config.replay_window = 1;
        config.heartbeat = None;
    });
    for pk in 0..10 {
        c.subscribes(Subscribe::instance("tasks", pk));
    }
    c.reconnects();
    for _ in 0..10 {
        let frame = c.sent_one();
        c.refuses(&frame, 429);
    }
    c.passes(secs(2));
    assert_eq!(c.sent().len(), 1);
}

#[test]
fn s3_error_reply_to_a_replay_ends_a_joining_subscriber() {
    let mut c = Conversation::open();
    c.subscribes(task());
    c.lost(dropped());
    let newcomer = c.subscribe(task());
    c.reopens();
    let frame = c.sent_one();
    c.refuses(&frame, 404);
    assert!(matches!(c.end(newcomer), SubscriptionError::ErrorReply(_)));
}
