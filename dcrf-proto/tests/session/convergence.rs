//! A refreshing subscriber converges, whatever it has missed (rules S6, S11).

use crate::conversation::{Conversation, json_of, secs};
use dcrf_proto::{Change, Limit, OverflowPolicy, Subscribe, SubscriptionKey};
use serde_json::{Value, json};

fn feed() -> Subscribe {
    Subscribe::new("memos", "subscribe_all").refresh()
}

fn with_buffer_of(count: usize) -> Conversation {
    Conversation::connected_with(|config| {
        config.changes = Limit { count, bytes: 1_000_000 };
        config.heartbeat = None;
    })
}

/// Subscribes, and answers the first refresh. Returns the frame of the subscribe.
fn refreshed(c: &mut Conversation, subscribe: Subscribe) -> (SubscriptionKey, Value) {
    let (key, frame) = c.subscribe_acked(subscribe);
    let refresh = c.sent_one();
    c.reply(&refresh, &json!([]));
    (key, frame)
}

fn create(n: u64) -> Value {
    json!({"pk": n, "title": "memo"})
}

fn snapshot(objects: &[Value]) -> Change {
    Change::Snapshot(objects.iter().map(json_of).collect())
}

#[test]
fn s6_snapshot_follows_lagged_with_every_policy_that_drops() {
    for policy in [OverflowPolicy::DropOldest, OverflowPolicy::Conflate] {
        let mut c = with_buffer_of(20);
        let (key, frame) = refreshed(&mut c, feed().include_create().overflow_policy(policy));
        for n in 0..60 {
            c.event(&frame, "create", &create(n));
        }
        assert_eq!(c.sent(), [] as [Value; 0], "a reader that reads nothing needs no list");
        let changes = c.changes(key);
        // The first snapshot is among the dropped.
        assert_eq!((&changes[0], changes.len()), (&Change::Lagged(41), 21), "{policy:?}");
        let refresh = c.sent_one();
        assert_eq!(refresh["payload"]["action"], "list");
        let all: Vec<Value> = (0..60).map(create).collect();
        c.reply(&refresh, &json!(all));
        assert_eq!(c.changes(key), [snapshot(&all)]);
        assert_eq!(c.sent(), [] as [Value; 0]);
    }
}

#[test]
fn s6_snapshot_that_is_dropped_is_followed_by_a_newer_one() {
    let mut c = with_buffer_of(1);
    let (key, frame) = refreshed(&mut c, feed());
    for round in 0..3 {
        c.event(&frame, "update", &create(round));
        assert_eq!(c.changes(key)[0], Change::Lagged(1));
        let refresh = c.sent_one();
        c.reply(&refresh, &json!([round]));
    }
    assert_eq!(c.changes(key), [snapshot(&[json!(2)])]);
}

#[test]
fn s6_lagged_starts_one_refresh_at_a_time() {
    let mut c = with_buffer_of(2);
    let (key, frame) = refreshed(&mut c, feed());
    let overflow = |c: &mut Conversation| {
        for n in 0..5 {
            c.event(&frame, "update", &create(n));
        }
        assert!(matches!(c.changes(key)[0], Change::Lagged(_)));
    };
    overflow(&mut c);
    let refresh = c.sent_one();
    overflow(&mut c);
    assert_eq!(c.sent(), [] as [Value; 0], "its reply is newer than what was dropped");
    c.reply_error(&refresh, 503);
    overflow(&mut c);
    assert_eq!(c.sent(), [] as [Value; 0], "it is repeated after a wait");
    c.advance(secs(1));
    let refresh = c.sent_one();
    c.reply(&refresh, &json!([7]));
    assert_eq!(c.changes(key).last(), Some(&snapshot(&[json!(7)])));
}

#[test]
fn s6_lagged_while_offline_is_refreshed_by_the_replay_alone() {
    let mut c = with_buffer_of(2);
    let (key, frame) = refreshed(&mut c, feed());
    for n in 0..5 {
        c.event(&frame, "update", &create(n));
    }
    c.disconnect(crate::conversation::dropped());
    assert!(matches!(c.changes(key)[0], Change::Lagged(_)));
    c.wait_and_connect();
    assert_eq!(c.sent_one(), frame, "no refresh before the acknowledgement");
    c.reply(&frame, &Value::Null);
    assert_eq!(c.sent_actions(), ["list"]);
}

#[test]
fn s6_lagged_without_refresh_requests_nothing() {
    let mut c = with_buffer_of(2);
    let (key, frame) = c.subscribe_acked(Subscribe::new("memos", "subscribe_all"));
    for n in 0..5 {
        c.event(&frame, "update", &create(n));
    }
    assert!(matches!(c.changes(key)[0], Change::Lagged(_)));
    assert_eq!(c.sent(), [] as [Value; 0]);
}

#[test]
fn s6_refresh_of_a_feed_implies_create_events() {
    let mut c = with_buffer_of(20);
    let (key, frame) = refreshed(&mut c, feed());
    c.changes(key);
    c.event(&frame, "create", &create(1));
    assert_eq!(c.changes(key), [Change::Create(json_of(&create(1)))]);
    // A subscriber without refresh that shares the upstream subscription still gets none (S13).
    let plain = c.subscribe(Subscribe::new("memos", "subscribe_all"));
    c.event(&frame, "create", &create(2));
    assert_eq!((c.changes(plain).len(), c.changes(key).len()), (0, 1));
}

/// The object of an instance that does not exist any more, and its subscription.
fn missing(policy: OverflowPolicy, count: usize) -> (Conversation, SubscriptionKey, Value) {
    let mut c = with_buffer_of(count);
    let task = Subscribe::instance("tasks", 7).refresh().overflow_policy(policy);
    let (key, frame) = c.subscribe_acked(task);
    let refresh = c.sent_one();
    c.reply(&refresh, &json!({"pk": 7}));
    c.changes(key);
    c.reconnect();
    c.sent_one();
    c.reply(&frame, &Value::Null);
    let refresh = c.sent_one();
    c.reply_error(&refresh, 404);
    (c, key, frame)
}

#[test]
fn s6_object_that_comes_back_after_its_refresh_found_none_is_known() {
    for policy in [OverflowPolicy::DropOldest, OverflowPolicy::Conflate] {
        for count in 1..5 {
            let (mut c, key, frame) = missing(policy, count);
            c.event(&frame, "delete", &json!({"pk": 7}));
            c.event(&frame, "update", &json!({"pk": 7, "title": "back"}));
            // The last change is its state, whatever was dropped before.
            let mut changes = c.changes(key);
            for refresh in c.sent() {
                assert!(matches!(changes[0], Change::Lagged(_)), "{policy:?} {count}: {changes:?}");
                c.reply(&refresh, &json!({"pk": 7, "title": "back"}));
                changes.extend(c.changes(key));
            }
            let last = changes.iter().rev().find_map(|change| match change {
                Change::Update(data) => Some(data.clone()),
                Change::Snapshot(objects) => objects.first().cloned(),
                _ => None,
            });
            assert_eq!(last, Some(json_of(&json!({"pk": 7, "title": "back"}))));
            assert!(changes.iter().any(|change| matches!(change, Change::Gap(_))));
        }
    }
}

#[test]
fn s6_missing_object_that_is_dropped_is_refreshed_again() {
    let (mut c, key, frame) = missing(OverflowPolicy::DropOldest, 1);
    c.reply_as(&frame, "update", 403, &json!(["no"]), &Value::Null);
    let changes = c.changes(key);
    assert!(matches!(changes[..], [Change::Lagged(1), Change::Gap(_), Change::ErrorReply(_)]));
    let refresh = c.sent_one();
    c.reply_error(&refresh, 404);
    assert!(matches!(c.changes(key)[..], [Change::Delete(_)]));
}

#[test]
fn s6_snapshot_before_an_unread_gap_is_not_the_last() {
    for policy in [OverflowPolicy::DropOldest, OverflowPolicy::Conflate] {
        for count in 1..7 {
            for dropped in 0..7 {
                let mut c = with_buffer_of(count);
                let (key, frame) = refreshed(&mut c, feed().overflow_policy(policy));
                for n in 0..dropped {
                    c.event(&frame, "update", &create(n));
                }
                c.reconnect();
                c.sent_one();
                c.reply(&frame, &Value::Null);
                let refresh = c.sent_one();
                c.event(&frame, "update", &create(99));
                c.reply(&refresh, &json!([create(99)]));
                c.event(&frame, "create", &create(100));
                let mut changes = c.changes(key);
                for refresh in c.sent() {
                    c.reply(&refresh, &json!([create(99), create(100)]));
                    changes.extend(c.changes(key));
                }
                let is = |of: fn(&Change) -> bool| changes.iter().rposition(of);
                let snapshot = is(|change| matches!(change, Change::Snapshot(_)));
                let gap = is(|change| matches!(change, Change::Gap(_)));
                assert!(
                    snapshot > gap && gap.is_some(),
                    "{policy:?} {count} {dropped}: {changes:?}"
                );
                let lagged = is(|change| matches!(change, Change::Lagged(_)));
                assert!(snapshot > lagged, "{policy:?} {count} {dropped}: {changes:?}");
            }
        }
    }
}
