//! Quarantine after connections that die soon after a subscribe (rule L12).

use crate::conversation::{Conversation, closed, dropped, millis, secs};
use dcrf_proto::{ConnectionError, Request, Subscribe, SubscriptionError, SubscriptionKey};
use serde_json::{Value, json};

fn task(pk: u64) -> Subscribe {
    Subscribe::instance("tasks", pk)
}

fn connected() -> Conversation {
    Conversation::connected_with(|config| {
        config.quarantine_window = secs(5);
        config.heartbeat = None;
    })
}

fn pk(frame: &Value) -> u64 {
    frame["payload"]["pk"].as_u64().expect("a subscribe")
}

fn subscribe_all(c: &mut Conversation, pks: impl IntoIterator<Item = u64>) -> Vec<SubscriptionKey> {
    pks.into_iter().map(|pk| c.subscribe_acked(task(pk)).0).collect()
}

/// Acknowledges subscribes until `poison` is sent, and then drops the connection. Returns the keys of all subscribes
/// that were sent.
fn drop_at(c: &mut Conversation, poison: u64) -> Vec<u64> {
    let mut sent = Vec::new();
    for _ in 0..100 {
        let frames = c.sent();
        if frames.is_empty() {
            c.advance(millis(250));
        }
        for frame in frames {
            sent.push(pk(&frame));
            if pk(&frame) == poison {
                c.disconnect(closed(1011));
                return sent;
            }
            c.reply_with(&frame, 201, &json!([]), &Value::Null);
        }
    }
    panic!("{poison} was not sent: {sent:?}")
}

#[test]
fn l12_quarantined_connection_waits_then_subscribes_one_at_a_time() {
    let mut c = connected();
    subscribe_all(&mut c, 1..4);
    c.disconnect(dropped());
    c.wait_and_connect();
    assert_eq!(c.sent(), [] as [Value; 0]);
    c.advance(millis(249));
    assert_eq!(c.sent(), [] as [Value; 0]);
    c.advance(millis(1));
    for expected in 1..4 {
        let frame = c.sent_one();
        assert_eq!(pk(&frame), expected);
        c.advance(secs(3));
        assert_eq!(c.sent(), [] as [Value; 0], "no subscribe before the reply");
        c.reply(&frame, &Value::Null);
    }
}

#[test]
fn l12_wait_doubles_up_to_two_seconds() {
    let mut c = connected();
    // Enough subscriptions that none becomes the suspect three times.
    subscribe_all(&mut c, 0..20);
    for wait in [250, 500, 1_000, 2_000, 2_000] {
        c.disconnect(dropped());
        c.wait_and_connect();
        c.advance(millis(wait - 1));
        assert_eq!(c.sent(), [] as [Value; 0], "{wait}");
        c.advance(millis(1));
        assert_eq!(c.sent().len(), 1, "{wait}");
    }
}

#[test]
fn l12_requests_wait_for_all_replies_to_subscribes() {
    let mut c = connected();
    subscribe_all(&mut c, 1..3);
    c.disconnect(dropped());
    c.request(Request::list("tasks"));
    c.wait_and_connect();
    c.advance(secs(1));
    for _ in 1..3 {
        let frame = c.sent_one();
        assert_eq!(frame["payload"]["action"], "subscribe_instance");
        c.reply(&frame, &Value::Null);
    }
    assert_eq!(c.sent_actions(), ["list"]);
}

#[test]
fn l12_poisoned_subscription_ends_and_the_others_continue() {
    let mut c = connected();
    let keys = subscribe_all(&mut c, 0..10);
    c.disconnect(dropped());
    let mut deaths = 0;
    while c.session.ended(keys[3]).is_none() {
        c.wait_and_connect();
        let sent = drop_at(&mut c, 3);
        if deaths > 0 {
            assert_eq!(sent.len(), 10, "the suspect is sent last");
        }
        deaths += 1;
    }
    assert_eq!(deaths, 3);
    assert_eq!(c.end(keys[3]), SubscriptionError::Poisoned { cause: closed(1011) });
    c.wait_and_connect();
    let mut acknowledged = 0;
    while acknowledged < 9 {
        c.advance(secs(2));
        for frame in c.sent() {
            c.reply(&frame, &Value::Null);
            acknowledged += 1;
        }
    }
    for (pk, key) in keys.iter().enumerate().filter(|(pk, _)| *pk != 3) {
        assert!(c.session.is_acknowledged(*key), "{pk}");
    }
}

#[test]
fn l12_new_subscription_ends_after_three_deaths() {
    let mut c = connected();
    let (healthy, _) = c.subscribe_acked(task(1));
    c.advance(secs(60));
    let poisoned = c.subscribe(task(2));
    for death in 0..3 {
        assert_eq!(c.session.ended(poisoned), None, "{death}");
        drop_at(&mut c, 2);
        c.wait_and_connect();
    }
    assert_eq!(c.end(poisoned), SubscriptionError::Poisoned { cause: closed(1011) });
    c.advance(secs(2));
    let frame = c.sent_one();
    assert_eq!(pk(&frame), 1);
    c.reply(&frame, &Value::Null);
    assert!(c.session.is_acknowledged(healthy));
}

#[test]
fn l12_all_subscribers_of_a_poisoned_upstream_end() {
    let mut c = connected();
    let keys = [c.subscribe(task(2)), c.subscribe(task(2))];
    for _ in 0..3 {
        drop_at(&mut c, 2);
        c.wait_and_connect();
    }
    for key in keys {
        assert_eq!(c.end(key), SubscriptionError::Poisoned { cause: closed(1011) });
    }
    assert_eq!(c.sent(), [] as [Value; 0]);
}

#[test]
fn l12_reply_clears_a_suspect() {
    let mut c = connected();
    let key = c.subscribe(task(2));
    for _ in 0..5 {
        for _ in 0..2 {
            drop_at(&mut c, 2);
            c.wait_and_connect();
        }
        c.advance(secs(2));
        let frame = c.sent_one();
        c.reply(&frame, &Value::Null);
        c.advance(secs(6));
        c.reconnect();
    }
    assert_eq!(c.session.ended(key), None);
}

#[test]
fn l12_reply_clears_a_suspect_while_the_socket_is_blocked() {
    let mut c = connected();
    let key = c.subscribe_acked(task(2)).0;
    c.disconnect(dropped());
    c.wait_and_connect();
    c.advance(secs(2));
    let frame = c.sent_one();
    c.reply(&frame, &Value::Null);
    c.disconnect(dropped());
    for deaths in 1..3 {
        c.wait_and_connect();
        drop_at(&mut c, 2);
        assert_eq!(c.session.ended(key), None, "{deaths}");
    }
}

#[test]
fn l12_long_connection_ends_the_quarantine() {
    let mut c = connected();
    subscribe_all(&mut c, 1..4);
    c.disconnect(dropped());
    c.wait_and_connect();
    c.advance(secs(1));
    while let [frame] = &c.sent()[..] {
        c.reply(frame, &Value::Null);
    }
    c.advance(secs(6));
    // The quarantine is over on this connection and on the next.
    c.subscribe(task(8));
    c.subscribe(task(9));
    assert_eq!(c.sent().len(), 2);
    c.advance(secs(6));
    c.reconnect();
    assert_eq!(c.sent().len(), 5);
}

#[test]
fn l12_silence_and_planned_reconnect_start_no_quarantine() {
    let mut c = connected();
    subscribe_all(&mut c, 1..4);
    c.disconnect(ConnectionError::Silent(secs(30)));
    c.wait_and_connect();
    assert_eq!(c.sent().len(), 3);
    c.session.force_reconnect(dcrf_proto::CloseFrame::normal(), c.now);
    c.flush();
    c.disconnect(dropped());
    c.wait_and_connect();
    assert_eq!(c.sent().len(), 3);
}

#[test]
fn l12_no_quarantine_without_subscriptions() {
    let mut c = connected();
    for _ in 0..3 {
        c.disconnect(dropped());
        c.wait_and_connect();
        c.request(Request::new("tools", "echo"));
        assert_eq!(c.sent().len(), 1);
    }
}

#[test]
fn l12_feed_without_ack_is_watched_for_a_second() {
    let mut c = connected();
    let feed = Subscribe::new("tasks", "subscribe_feed").without_ack();
    let poisoned = c.subscribe(feed);
    assert_eq!(c.sent().len(), 1);
    let (healthy, _) = c.subscribe_acked(task(1));
    c.disconnect(closed(1011));
    for _ in 0..3 {
        assert_eq!(c.session.ended(poisoned), None);
        c.wait_and_connect();
        // Acknowledge the task if it is sent before the feed.
        let mut feed_was_sent = false;
        for _ in 0..100 {
            for frame in c.sent() {
                feed_was_sent |= frame["payload"]["action"] == "subscribe_feed";
                if frame["payload"]["action"] == "subscribe_instance" {
                    c.reply(&frame, &Value::Null);
                }
            }
            if feed_was_sent {
                break;
            }
            c.advance(millis(50));
        }
        assert!(feed_was_sent);
        c.advance(millis(900));
        c.disconnect(closed(1011));
    }
    assert_eq!(
        c.session.ended(poisoned),
        Some(&SubscriptionError::Poisoned { cause: closed(1011) })
    );
    assert_eq!(c.session.ended(healthy), None);
}

#[test]
fn l12_unanswered_subscribe_delays_the_others_for_a_limited_time() {
    let mut c = connected();
    subscribe_all(&mut c, 1..3);
    c.disconnect(dropped());
    c.wait_and_connect();
    c.advance(secs(1));
    assert_eq!(pk(&c.sent_one()), 1);
    c.advance(secs(1));
    c.tick();
    c.advance(secs(29));
    assert_eq!(pk(&c.sent_one()), 2);
}

#[test]
fn l12_close_leaves_no_timer() {
    let mut c = connected();
    subscribe_all(&mut c, 1..3);
    c.disconnect(dropped());
    c.wait_and_connect();
    c.close(dcrf_proto::CloseOptions::now());
    c.flush();
    c.disconnect(dropped());
    assert_eq!(c.session.poll_timeout(), None);
}
