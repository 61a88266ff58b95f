//! Connections that die right after what was sent on them, and the subscription that is to blame (rule L12).

use crate::conversation::{Conversation, closed, dropped, millis, secs};
use dcrf_proto::{ConnectionError, Request, Subscribe, SubscriptionError, SubscriptionKey};
use serde_json::{Value, json};

fn task(pk: u64) -> Subscribe {
    Subscribe::instance("tasks", pk)
}

fn open() -> Conversation {
    Conversation::open_with(|config| {
        config.quarantine_window = secs(5);
        config.heartbeat = None;
    })
}

fn pk(frame: &Value) -> u64 {
    frame["payload"]["pk"].as_u64().expect("a subscribe")
}

fn subscribe_all(c: &mut Conversation, pks: impl IntoIterator<Item = u64>) -> Vec<SubscriptionKey> {
    pks.into_iter().map(|pk| c.subscribes(task(pk)).0).collect()
}

/// The server acknowledges what it is sent until it comes to `poison`, of which it dies. Says which subscribes it
/// was sent.
fn dies_of(c: &mut Conversation, poison: u64) -> Vec<u64> {
    let mut sent = Vec::new();
    for _ in 0..100 {
        let frames = c.sent();
        if frames.is_empty() {
            c.passes(millis(250));
        }
        for frame in frames {
            sent.push(pk(&frame));
            if pk(&frame) == poison {
                c.lost(closed(1011));
                return sent;
            }
            c.replies(&frame, 201, &json!([]), &Value::Null);
        }
    }
    panic!("it was not sent: {sent:?}")
}

#[test]
fn l12_after_a_death_the_next_connection_waits_and_then_asks_one_by_one() {
    let mut c = open();
    subscribe_all(&mut c, 1..4);
    c.lost(dropped());
    c.reopens();
    assert_eq!(c.sent(), [] as [Value; 0]);
    c.passes(millis(249));
    assert_eq!(c.sent(), [] as [Value; 0]);
    c.passes(millis(1));
    for expected in 1..4 {
        let frame = c.sent_one();
        assert_eq!(pk(&frame), expected);
        c.passes(secs(3));
        assert_eq!(c.sent(), [] as [Value; 0], "it waits for the answer");
        c.answers(&frame, &Value::Null);
    }
}

#[test]
fn l12_the_wait_doubles_up_to_two_seconds() {
    let mut c = open();
    // Many, so that none is suspected three times.
    subscribe_all(&mut c, 0..20);
    for wait in [250, 500, 1_000, 2_000, 2_000] {
        c.lost(dropped());
        c.reopens();
        c.passes(millis(wait - 1));
        assert_eq!(c.sent(), [] as [Value; 0], "{wait}");
        c.passes(millis(1));
        assert_eq!(c.sent().len(), 1, "{wait}");
    }
}

#[test]
fn l12_requests_wait_until_all_is_answered() {
    let mut c = open();
    subscribe_all(&mut c, 1..3);
    c.lost(dropped());
    c.request(Request::list("tasks"));
    c.reopens();
    c.passes(secs(1));
    for _ in 1..3 {
        let frame = c.sent_one();
        assert_eq!(frame["payload"]["action"], "subscribe_instance");
        c.answers(&frame, &Value::Null);
    }
    assert_eq!(c.sent_actions(), ["list"]);
}

#[test]
fn l12_the_poisoned_subscription_is_found_and_the_others_live_on() {
    let mut c = open();
    let keys = subscribe_all(&mut c, 0..10);
    c.lost(dropped());
    let mut deaths = 0;
    while c.session.ended(keys[3]).is_none() {
        c.reopens();
        let sent = dies_of(&mut c, 3);
        if deaths > 0 {
            assert_eq!(sent.len(), 10, "who is suspected comes last");
        }
        deaths += 1;
    }
    assert_eq!(deaths, 3);
    assert_eq!(c.end(keys[3]), SubscriptionError::Poisoned { cause: closed(1011) });
    c.reopens();
    let mut acknowledged = 0;
    while acknowledged < 9 {
        c.passes(secs(2));
        for frame in c.sent() {
            c.answers(&frame, &Value::Null);
            acknowledged += 1;
        }
    }
    for (pk, key) in keys.iter().enumerate().filter(|(pk, _)| *pk != 3) {
        assert!(c.session.is_acknowledged(*key), "{pk}");
    }
}

#[test]
fn l12_a_new_subscription_of_which_every_connection_dies_ends_after_three() {
    let mut c = open();
    let (well, _) = c.subscribes(task(1));
    c.passes(secs(60));
    let fatal = c.subscribe(task(2));
    for death in 0..3 {
        assert_eq!(c.session.ended(fatal), None, "{death}");
        dies_of(&mut c, 2);
        c.reopens();
    }
    assert_eq!(c.end(fatal), SubscriptionError::Poisoned { cause: closed(1011) });
    c.passes(secs(2));
    let frame = c.sent_one();
    assert_eq!(pk(&frame), 1);
    c.answers(&frame, &Value::Null);
    assert!(c.session.is_acknowledged(well));
}

#[test]
fn l12_all_who_share_a_poisoned_frame_end() {
    let mut c = open();
    let keys = [c.subscribe(task(2)), c.subscribe(task(2))];
    for _ in 0..3 {
        dies_of(&mut c, 2);
        c.reopens();
    }
    for key in keys {
        assert_eq!(c.end(key), SubscriptionError::Poisoned { cause: closed(1011) });
    }
    assert_eq!(c.sent(), [] as [Value; 0]);
}

#[test]
fn l12_an_answer_clears_of_suspicion() {
    let mut c = open();
    let key = c.subscribe(task(2));
    for _ in 0..5 {
        for _ in 0..2 {
            dies_of(&mut c, 2);
            c.reopens();
        }
        c.passes(secs(2));
        let frame = c.sent_one();
        c.answers(&frame, &Value::Null);
        c.passes(secs(6));
        c.reconnects();
    }
    assert_eq!(c.session.ended(key), None);
}

#[test]
fn l12_an_answer_clears_of_suspicion_also_while_the_socket_takes_nothing() {
    let mut c = open();
    let key = c.subscribes(task(2)).0;
    c.lost(dropped());
    c.reopens();
    c.passes(secs(2));
    let frame = c.sent_one();
    c.answers(&frame, &Value::Null);
    c.lost(dropped());
    for deaths in 1..3 {
        c.reopens();
        dies_of(&mut c, 2);
        assert_eq!(c.session.ended(key), None, "{deaths}");
    }
}

#[test]
fn l12_a_connection_that_has_lasted_ends_the_care() {
    let mut c = open();
    subscribe_all(&mut c, 1..4);
    c.lost(dropped());
    c.reopens();
    c.passes(secs(1));
    while let [frame] = &c.sent()[..] {
        c.answers(frame, &Value::Null);
    }
    c.passes(secs(6));
    // On the same connection, and on the next.
    c.subscribe(task(8));
    c.subscribe(task(9));
    assert_eq!(c.sent().len(), 2);
    c.passes(secs(6));
    c.reconnects();
    assert_eq!(c.sent().len(), 5);
}

#[test]
fn l12_a_silent_server_and_a_planned_reconnect_are_no_death() {
    let mut c = open();
    subscribe_all(&mut c, 1..4);
    c.lost(ConnectionError::Silent(secs(30)));
    c.reopens();
    assert_eq!(c.sent().len(), 3);
    c.session.force_reconnect(dcrf_proto::CloseFrame::normal(), c.now);
    c.flush();
    c.lost(dropped());
    c.reopens();
    assert_eq!(c.sent().len(), 3);
}

#[test]
fn l12_without_subscriptions_nothing_is_held_up() {
    let mut c = open();
    for _ in 0..3 {
        c.lost(dropped());
        c.reopens();
        c.request(Request::new("tools", "echo"));
        assert_eq!(c.sent().len(), 1);
    }
}

#[test]
fn l12_a_feed_without_acknowledgement_is_watched_for_a_second() {
    let mut c = open();
    let feed = Subscribe::new("tasks", "subscribe_feed").without_ack();
    let fatal = c.subscribe(feed);
    assert_eq!(c.sent().len(), 1);
    let (well, _) = c.subscribes(task(1));
    c.lost(closed(1011));
    for _ in 0..3 {
        assert_eq!(c.session.ended(fatal), None);
        c.reopens();
        // The task is answered if its turn comes first.
        let mut feed_was_sent = false;
        for _ in 0..100 {
            for frame in c.sent() {
                feed_was_sent |= frame["payload"]["action"] == "subscribe_feed";
                if frame["payload"]["action"] == "subscribe_instance" {
                    c.answers(&frame, &Value::Null);
                }
            }
            if feed_was_sent {
                break;
            }
            c.passes(millis(50));
        }
        assert!(feed_was_sent);
        c.passes(millis(900));
        c.lost(closed(1011));
    }
    assert_eq!(c.session.ended(fatal), Some(&SubscriptionError::Poisoned { cause: closed(1011) }));
    assert_eq!(c.session.ended(well), None);
}

#[test]
fn l12_an_unanswered_frame_does_not_hold_up_the_others_for_ever() {
    let mut c = open();
    subscribe_all(&mut c, 1..3);
    c.lost(dropped());
    c.reopens();
    c.passes(secs(1));
    assert_eq!(pk(&c.sent_one()), 1);
    c.passes(secs(30));
    assert_eq!(pk(&c.sent_one()), 2);
}

#[test]
fn l12_a_close_leaves_no_timer() {
    let mut c = open();
    subscribe_all(&mut c, 1..3);
    c.lost(dropped());
    c.reopens();
    c.close(dcrf_proto::CloseOptions::now());
    c.flush();
    c.lost(dropped());
    assert_eq!(c.session.poll_timeout(), None);
}
