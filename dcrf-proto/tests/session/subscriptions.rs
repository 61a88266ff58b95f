//! Subscribing, sharing and replay (rules S1 to S4 and S7).

use crate::conversation::{Conversation, dropped, millis, secs, update};
use dcrf_proto::{
    Change, CloseOptions, CloseReason, Config, Event, RejectReason, Request, Subscribe,
    SubscriptionError,
};
use serde_json::{Value, json};

const NOTHING: [Value; 0] = [];

fn task() -> Subscribe {
    Subscribe::instance("tasks", 7)
}

fn feed() -> Subscribe {
    Subscribe::new("tasks", "subscribe_all")
}

#[test]
fn s1_subscribe_is_sent_once_on_each_connection() {
    let mut c = Conversation::idle_with(|_| ());
    let before = c.subscribe(Subscribe::instance("tasks", 1));
    c.session.open(c.now);
    c.wait_for_dial();
    c.connect();
    let during = c.subscribe(Subscribe::instance("tasks", 2));
    assert_eq!(c.sent().len(), 2);
    c.disconnect(dropped());
    let offline = c.subscribe(Subscribe::instance("tasks", 3));

    for _ in 0..3 {
        c.wait_and_connect();
        let frames = c.sent();
        let pks: Vec<Value> = frames.iter().map(|frame| frame["payload"]["pk"].clone()).collect();
        assert_eq!(pks, [1, 2, 3]);
        for frame in &frames {
            c.reply(frame, &Value::Null);
        }
        assert_eq!(c.sent(), NOTHING);
        c.disconnect(dropped());
    }
    for key in [before, during, offline] {
        assert!(c.session.is_acknowledged(key));
    }
}

#[test]
fn s1_replay_sends_the_same_frame() {
    let mut c = Conversation::connected();
    let (_, first) = c.subscribe_acked(feed().arg("team", "red"));
    c.reconnect();
    assert_eq!(c.sent_one(), first);
    assert_eq!(first["payload"]["action"], "subscribe_all");
    assert_eq!(first["payload"]["team"], "red");
}

#[test]
fn s1_subscription_unsubscribed_offline_is_not_replayed() {
    let mut c = Conversation::connected();
    let (key, _) = c.subscribe_acked(task());
    c.disconnect(dropped());
    c.unsubscribe(key);
    c.wait_and_connect();
    assert_eq!(c.sent(), NOTHING);
}

#[test]
fn s2_equal_targets_share_one_upstream_subscription() {
    let mut c = Conversation::connected();
    let (first, frame) = c.subscribe_acked(task());
    let second = c.subscribe(task());
    let third = c.subscribe(Subscribe::instance("tasks", "7"));
    assert_eq!(c.sent(), NOTHING);

    c.event(&frame, "update", &json!({"pk": 7}));

    for key in [first, second, third] {
        assert!(c.session.is_acknowledged(key));
        assert_eq!(c.changes(key), [update(&json!({"pk": 7}))]);
    }
}

#[test]
fn s2_last_subscriber_unsubscribes_upstream() {
    let mut c = Conversation::connected();
    let (first, frame) = c.subscribe_acked(task());
    let second = c.subscribe(task());

    c.unsubscribe(first);
    assert_eq!(c.sent(), NOTHING);
    assert_eq!(c.unsubscribed(), [(first, Ok(()))]);
    c.event(&frame, "update", &json!({"pk": 7}));
    assert_eq!(c.changes(second).len(), 1);

    c.unsubscribe(second);
    assert_eq!(c.sent_actions(), ["unsubscribe_instance"]);
}

#[test]
fn s2_different_streams_actions_or_arguments_do_not_share() {
    let mut c = Conversation::connected();
    let all = [
        task(),
        Subscribe::instance("tasks", 8),
        Subscribe::instance("memos", 7),
        feed(),
        feed().arg("team", "red"),
        feed().arg("team", 7),
        feed().arg("team", "7"),
    ];
    for subscribe in all.clone() {
        c.subscribe(subscribe);
    }
    assert_eq!(c.sent().len(), all.len());
}

#[test]
fn s2_order_of_arguments_does_not_matter() {
    let mut c = Conversation::connected();
    c.subscribe(feed().arg("a", 1).arg("b", 2));
    c.subscribe(feed().arg("b", 2).arg("a", 1));
    assert_eq!(c.sent().len(), 1);
}

#[test]
fn s2_subscriber_after_the_last_unsubscribe_gets_a_new_upstream() {
    let mut c = Conversation::connected();
    let (first, before) = c.subscribe_acked(task());
    c.unsubscribe(first);
    let second = c.subscribe(task());

    let frames = c.sent();

    assert_eq!(frames[0]["payload"]["action"], "unsubscribe_instance");
    assert_eq!(frames[1]["payload"]["action"], "subscribe_instance");
    assert_ne!(frames[1]["payload"]["request_id"], before["payload"]["request_id"]);
    c.reply(&frames[0], &Value::Null);
    c.reply(&frames[1], &Value::Null);
    c.event(&frames[1], "update", &json!(1));
    assert_eq!(c.changes(second), [update(&json!(1))]);
}

#[test]
fn pk_is_sent_under_its_field_name() {
    let by_key = || Subscribe::new("posts", "subscribe_comments").pk(7);
    for (subscribe, name) in [
        (by_key(), "uuid"),
        (by_key().pk_field("id"), "id"),
        (Subscribe::new("posts", "subscribe_instance").pk(7).pk_field("id"), "pk"),
        (Subscribe::instance("posts", 7).pk_field("id"), "pk"),
    ] {
        let mut c = Conversation::connected_with(|config| config.pk_field = "uuid".into());
        let (key, frame) = c.subscribe_acked(subscribe);
        c.unsubscribe(key);
        for frame in [frame, c.sent_one()] {
            let payload = frame["payload"].as_object().unwrap();
            assert_eq!((payload.len(), &payload[name]), (3, &json!(7)));
        }
    }
}

#[test]
fn s2_pk_equals_an_argument_of_the_same_name() {
    let mut c = Conversation::connected();
    c.subscribe(feed().pk(7));
    c.subscribe(feed().arg("pk", 7));
    c.subscribe(Subscribe::new("tasks", "subscribe_instance").pk(7));
    c.subscribe(task());
    assert_eq!(c.sent_actions(), ["subscribe_all", "subscribe_instance"]);
}

#[test]
fn invalid_pk_is_rejected_and_returned() {
    let mut c = Conversation::connected_with(|config| config.pk_field = "action".into());
    let map = std::collections::BTreeMap::from([((1, 2), 3)]);
    for subscribe in [feed().pk(7), task().pk(map)] {
        let rejected = c.session.subscribe(subscribe.clone(), c.now).unwrap_err();
        assert!(matches!(rejected.reason, RejectReason::InvalidArgument { .. }));
        assert_eq!(rejected.command, subscribe);
    }
}

#[test]
fn s3_reply_acknowledges_the_subscription() {
    let mut c = Conversation::connected();
    let key = c.subscribe(task());
    let frame = c.sent_one();
    assert_eq!(c.events(), []);
    c.reply_with(&frame, 201, &json!([]), &Value::Null);
    assert_eq!(c.events(), [Event::Subscribed(key)]);
    assert!(c.session.is_acknowledged(key));
}

#[test]
fn s3_error_reply_ends_the_subscription_without_replay() {
    for status in [400, 401, 403, 404, 405] {
        let mut c = Conversation::connected();
        let key = c.subscribe(task());
        let frame = c.sent_one();
        c.reply_error(&frame, status);
        let SubscriptionError::ErrorReply(error_reply) = c.end(key) else { panic!() };
        assert_eq!(error_reply.status, Some(status));
        c.reconnect();
        assert_eq!(c.sent(), NOTHING);
    }
}

#[test]
fn s3_statuses_429_and_5xx_are_deferred() {
    for status in [429, 500, 503] {
        let mut c = Conversation::connected_with(|config| config.backoff.jitter = false);
        let key = c.subscribe(task());
        for wait in [1_000, 2_000, 4_000] {
            let frame = c.sent_one();
            c.reply_error(&frame, status);
            c.advance(millis(wait - 1));
            assert_eq!(c.sent(), NOTHING);
            c.advance(millis(1));
        }
        let frame = c.sent_one();
        c.reply(&frame, &Value::Null);
        assert!(c.session.is_acknowledged(key));
    }
}

#[test]
fn s3_without_ack_completes_when_the_frame_is_sent() {
    let mut c = Conversation::connecting(Config::default());
    let key = c.subscribe(feed().without_ack());
    assert!(!c.session.is_acknowledged(key));
    c.connect();
    c.flush();
    assert!(c.session.is_acknowledged(key));
    assert_eq!(c.events(), [Event::Subscribed(key)]);
}

#[test]
fn s3_error_reply_ends_a_subscription_without_ack() {
    for status in [403, 404, 405] {
        let mut c = Conversation::connected();
        let key = c.subscribe(feed().without_ack());
        let frame = c.sent_one();
        c.reply_error(&frame, status);
        assert!(matches!(c.end(key), SubscriptionError::ErrorReply(_)));
    }
}

#[test]
fn s3_unacknowledged_subscribe_times_out_and_unsubscribes() {
    let mut c = Conversation::connected_with(|config| config.heartbeat = None);
    let key = c.subscribe(task());
    let frame = c.sent_one();
    c.advance(secs(30));
    assert_eq!(c.end(key), SubscriptionError::TimedOut);
    assert_eq!(c.sent_actions(), ["unsubscribe_instance"]);
    c.reply(&frame, &Value::Null);
    assert_eq!(c.session.stats().late, 1);
}

#[test]
fn s3_deferred_subscription_survives_connection_losses() {
    let mut c = Conversation::connected_with(|config| config.heartbeat = None);
    let key = c.subscribe(task());
    for _ in 0..4 {
        let frame = c.sent_one();
        c.reply_error(&frame, 503);
        while c.sent().is_empty() {
            c.advance(secs(1));
        }
        c.reconnect();
    }
    assert_eq!(c.session.ended(key), None);
}

#[test]
fn s4_unacknowledged_new_subscriptions_do_not_delay_requests() {
    let mut c = Conversation::connected_with(|config| config.replay_window = 2);
    for pk in 0..10 {
        c.subscribe(Subscribe::instance("tasks", pk));
    }
    c.request(Request::list("tasks"));
    assert_eq!(c.sent().len(), 11);
}

#[test]
fn s4_replay_window_limits_unacknowledged_subscribes() {
    let mut config = Config::default();
    (config.replay_window, config.max_replay_window) = (2, 2);
    let mut c = Conversation::connecting(config);
    let keys = (1..=5).map(|pk| c.subscribe(Subscribe::instance("tasks", pk))).collect::<Vec<_>>();
    c.request(Request::list("tasks"));
    c.connect();

    let mut sent = c.sent();
    assert_eq!(sent.len(), 2);
    for expected in [1, 1, 2] {
        let frame = sent.remove(0);
        c.reply(&frame, &Value::Null);
        let more = c.sent();
        assert_eq!(more.len(), expected);
        sent.extend(more);
    }
    assert_eq!(sent.last().unwrap()["payload"]["action"], "list");
    assert_eq!(keys.iter().filter(|key| c.session.is_acknowledged(**key)).count(), 3);
}

#[test]
fn s4_default_replay_window_is_64() {
    let mut c = Conversation::connecting(Config::default());
    for pk in 0..100 {
        c.subscribe(Subscribe::instance("tasks", pk));
    }
    c.connect();
    assert_eq!(c.sent().len(), 64);
}

#[test]
fn s4_overdue_replay_does_not_delay_the_others() {
    let mut c = Conversation::connected_with(|config| {
        config.replay_window = 1;
        config.heartbeat = None;
    });
    let (first, _) = c.subscribe_acked(Subscribe::instance("tasks", 1));
    let (second, _) = c.subscribe_acked(Subscribe::instance("tasks", 2));
    c.reconnect();
    let late = c.sent_one();
    c.advance(secs(1));
    c.tick();
    c.advance(secs(29));
    let next = c.sent_one();
    c.reply(&next, &Value::Null);
    c.reply(&late, &Value::Null);
    for key in [first, second] {
        assert!(matches!(c.changes(key)[..], [Change::Gap(_)]));
    }
}

#[test]
fn s4_replay_without_timeout_does_not_delay_the_others() {
    let mut c = Conversation::connected_with(|config| {
        config.replay_window = 1;
        config.heartbeat = None;
        config.request_timeout = None;
    });
    c.disconnect(dropped());
    let silent = c.subscribe(Subscribe::instance("tasks", 1));
    let second = c.subscribe(Subscribe::instance("tasks", 2));
    c.wait_and_connect();
    let unanswered = c.sent_one();
    c.advance(secs(30));
    let next = c.sent_one();
    c.reply(&next, &Value::Null);
    assert!(c.session.is_acknowledged(second));
    c.advance_alive(secs(1000));
    assert_eq!(c.session.ended(silent), None);
    c.reply(&unanswered, &Value::Null);
    assert!(c.session.is_acknowledged(silent));
}

#[test]
fn s3_subscribe_timeout_replaces_the_request_timeout() {
    for request_timeout in [None, Some(secs(30))] {
        let mut c = Conversation::connected_with(|config| {
            config.heartbeat = None;
            config.request_timeout = request_timeout;
        });
        let key = c.subscribe(task().timeout(secs(5)));
        c.sent_one();
        c.advance(millis(4_999));
        assert_eq!(c.session.ended(key), None);
        c.advance(millis(1));
        assert_eq!(c.end(key), SubscriptionError::TimedOut);
        assert_eq!(c.sent_actions(), ["unsubscribe_instance"]);
    }
}

#[test]
fn s3_subscription_without_timeout_waits_for_its_acknowledgement() {
    let mut c = Conversation::connected_with(|config| config.heartbeat = None);
    let key = c.subscribe(task().no_timeout());
    let frame = c.sent_one();
    c.advance_alive(secs(3_600));
    assert_eq!(c.session.ended(key), None);
    c.reply(&frame, &Value::Null);
    assert!(c.session.is_acknowledged(key));
}

#[test]
fn s3_subscribe_fails_at_its_deadline_while_offline() {
    let mut c = Conversation::idle(Config::default());
    let by_default = c.subscribe(feed());
    let key = c.subscribe(task().timeout(secs(1)));
    let without_ack = c.subscribe(Subscribe::new("tasks", "follow").without_ack().timeout(secs(2)));
    let patient = c.subscribe(Subscribe::instance("tasks", 8).no_timeout());
    c.advance(millis(999));
    assert_eq!(c.session.ended(key), None);
    c.advance(millis(1));
    assert_eq!(c.end(key), SubscriptionError::TimedOut);
    c.advance(secs(1));
    assert_eq!(c.end(without_ack), SubscriptionError::TimedOut);
    c.advance(secs(27) + millis(999));
    assert_eq!(c.session.ended(by_default), None);
    c.advance(millis(1));
    assert_eq!(c.end(by_default), SubscriptionError::TimedOut);
    c.advance(secs(3_600));
    assert_eq!(c.session.ended(patient), None);
    assert_eq!(c.session.stats().subscriptions, 1);
    c.session.open(c.now);
    assert_eq!(c.dials(), 1);
    c.connect();
    assert_eq!(c.sent_one()["payload"]["pk"], 8);
}

#[test]
fn s3_subscribe_fails_at_its_deadline_while_the_server_defers_it() {
    for status in [429, 500, 503] {
        let mut c = Conversation::connected_with(|config| config.heartbeat = None);
        let key = c.subscribe(task());
        let patient = c.subscribe(feed().no_timeout());
        for _ in 0..29 {
            for frame in c.sent() {
                c.reply_error(&frame, status);
            }
            c.advance(secs(1));
        }
        assert_eq!(c.session.ended(key), None);
        c.advance(secs(1));
        assert_eq!(c.end(key), SubscriptionError::TimedOut);
        c.sent();
        c.advance_alive(secs(600));
        let frame = c.sent().pop().expect("the other one is tried again");
        assert_eq!(frame["payload"]["action"], "subscribe_all");
        c.reply(&frame, &Value::Null);
        assert!(c.session.is_acknowledged(patient));
    }
}

#[test]
fn s3_the_deadline_counts_from_the_call_over_all_connections() {
    let mut c = Conversation::connected_with(|config| config.heartbeat = None);
    let key = c.subscribe(task());
    c.sent();
    for _ in 0..2 {
        c.advance(secs(9));
        c.disconnect(dropped());
        c.advance(secs(4));
        c.connect();
        assert_eq!(c.sent_actions(), ["subscribe_instance"]);
    }
    c.advance(millis(3_999));
    assert_eq!(c.session.ended(key), None);
    c.advance(millis(1));
    assert_eq!(c.end(key), SubscriptionError::TimedOut);
    assert_eq!(c.sent_actions(), ["unsubscribe_instance"]);
}

#[test]
fn s3_an_acknowledged_subscription_has_no_deadline() {
    let mut c = Conversation::connected_with(|config| config.heartbeat = None);
    let (key, _) = c.subscribe_acked(task());
    c.advance(secs(60));
    c.disconnect(dropped());
    c.wait_for_dial();
    c.advance(secs(60));
    assert_eq!(c.session.ended(key), None);
    c.unsubscribe(key);
    assert_eq!(c.session.stats().subscriptions, 0);
}

#[test]
fn s3_each_subscriber_has_its_own_deadline() {
    let mut c = Conversation::connected_with(|config| config.heartbeat = None);
    let patient = c.subscribe(task().no_timeout());
    let first = c.subscribe(task().timeout(secs(2)));
    let second = c.subscribe(task().timeout(secs(4)));
    let frame = c.sent_one();
    c.advance(secs(2));
    assert_eq!(c.end(first), SubscriptionError::TimedOut);
    c.advance(secs(1));
    let dropped = c.subscribe(task().timeout(secs(5)));
    c.unsubscribe(dropped);
    c.advance(secs(1));
    assert_eq!(c.end(second), SubscriptionError::TimedOut);
    c.advance_alive(secs(600));
    assert_eq!(c.sent_actions(), [""; 0]);
    c.reply(&frame, &Value::Null);
    assert!(c.session.is_acknowledged(patient));
    assert_eq!(c.session.poll_timeout(), None, "no timer is left");
}

#[test]
fn s3_subscriber_joining_an_overdue_replay_times_out() {
    let mut c = Conversation::connected_with(|config| config.heartbeat = None);
    let (old, _) = c.subscribe_acked(task());
    c.reconnect();
    let late = c.sent_one();
    c.advance(secs(1));
    c.tick();
    c.advance(secs(39));
    let joining = c.subscribe(task());
    c.advance(secs(1));
    c.tick();
    c.advance(secs(28));
    assert_eq!(c.session.ended(joining), None);
    c.advance(secs(1));
    assert_eq!(c.session.ended(joining), Some(&SubscriptionError::TimedOut));
    assert_eq!(c.session.ended(old), None);
    c.reply(&late, &Value::Null);
    assert!(matches!(c.changes(old)[..], [Change::Gap(_)]));
}

#[test]
fn s7_error_reply_to_a_replay_ends_only_that_subscription() {
    type Check = fn(&SubscriptionError) -> bool;
    let cases: [(u16, Check); 5] = [
        (404, |error| matches!(error, SubscriptionError::Gone(_))),
        (401, |error| matches!(error, SubscriptionError::Revoked(_))),
        (403, |error| matches!(error, SubscriptionError::Revoked(_))),
        (400, |error| matches!(error, SubscriptionError::ErrorReply(_))),
        (405, |error| matches!(error, SubscriptionError::ErrorReply(_))),
    ];
    for (status, check) in cases {
        let mut c = Conversation::connected_with(|config| config.refresh_credentials = false);
        let (key, _) = c.subscribe_acked(task());
        let (other, _) = c.subscribe_acked(feed());
        c.reconnect();
        let frames = c.sent();
        c.reply_error(&frames[0], status);
        c.reply(&frames[1], &Value::Null);

        let end = c.end(key);

        assert!(check(&end), "{status}: {end:?}");
        assert_eq!(c.changes(other).len(), 1);
        c.reconnect();
        assert_eq!(c.sent_actions(), ["subscribe_all"]);
    }
}

#[test]
fn closed_session_rejects_and_returns_subscriptions() {
    let mut c = Conversation::connected();
    c.close(CloseOptions::now());
    let rejected = c.session.subscribe(task(), c.now).unwrap_err();
    assert_eq!(rejected.reason, RejectReason::Closed(CloseReason::ByCaller));
    assert_eq!(rejected.command, task());
}
