//! The changes of a subscription and their order (rules S5, S8, S10, S11 and S13 to S15).

use crate::conversation::{Conversation, closed, dropped, http, json_of, update, value};
use dcrf_proto::{Change, ConnectionError, Event, Gap, Limit, Pk, Subscribe, SubscriptionKey};
use serde_json::{Value, json};

fn task() -> Subscribe {
    Subscribe::instance("tasks", 7)
}

fn feed() -> Subscribe {
    Subscribe::new("tasks", "subscribe_all")
}

fn gap(cause: ConnectionError) -> Change {
    let mut c = Conversation::connected();
    let (key, _) = c.subscribe_acked(task());
    c.disconnect(cause);
    c.wait_and_connect();
    let frame = c.sent_one();
    c.reply(&frame, &Value::Null);
    c.changes(key).remove(0)
}

/// The data of each update, and null for a gap.
fn updates(changes: &[Change]) -> Vec<Value> {
    let data = |change: &Change| match change {
        Change::Update(json) => value(json),
        Change::Gap(_) => Value::Null,
        other => panic!("{other:?}"),
    };
    changes.iter().map(data).collect()
}

/// A subscription whose buffer has the given limits.
fn with_limits(count: usize, bytes: usize) -> (Conversation, SubscriptionKey, Value) {
    let mut c = Conversation::connected_with(|config| config.changes = Limit { count, bytes });
    let (key, frame) = c.subscribe_acked(task());
    (c, key, frame)
}

#[test]
fn s5_events_are_delivered_in_the_servers_order() {
    let mut c = Conversation::connected();
    let (key, frame) = c.subscribe_acked(task());
    for n in 0..100 {
        c.event(&frame, "update", &json!(n));
    }
    assert_eq!(updates(&c.changes(key)), (0..100).map(|n| json!(n)).collect::<Vec<_>>());
}

#[test]
fn s5_gap_precedes_events_of_the_new_connection() {
    for event_first in [true, false] {
        let mut c = Conversation::connected();
        let (key, frame) = c.subscribe_acked(task());
        c.event(&frame, "update", &json!(1));
        c.disconnect(closed(1012));
        c.wait_and_connect();
        assert_eq!(updates(&c.changes(key)), [json!(1)]);
        let frame = c.sent_one();
        if event_first {
            c.event(&frame, "update", &json!(2));
        }
        c.reply(&frame, &Value::Null);
        c.event(&frame, "update", &json!(3));

        let changes = c.changes(key);

        assert_eq!(changes[0], gap(closed(1012)));
        let rest = if event_first { vec![json!(2), json!(3)] } else { vec![json!(3)] };
        assert_eq!(updates(&changes[1..]), rest);
    }
}

#[test]
fn s5_losses_before_a_replay_merge_into_one_gap() {
    let mut c = Conversation::connected();
    let (key, _) = c.subscribe_acked(task());
    c.reconnect();
    c.disconnect(closed(1011));
    c.wait_and_connect();
    c.disconnect(closed(1013));
    c.wait_and_connect();
    let frame = c.sent_one();
    c.reply(&frame, &Value::Null);
    let changes = c.changes(key);
    assert_eq!(changes, [gap(closed(1013))]);
    let Change::Gap(Gap { cause, .. }) = &changes[0] else { panic!() };
    assert_eq!(*cause, closed(1013));
}

#[test]
fn s5_gap_names_the_lost_connection_not_the_failed_attempts() {
    let mut c = Conversation::connected();
    let (key, _) = c.subscribe_acked(task());
    c.disconnect(closed(1012));
    c.wait_for_dial();
    c.disconnect(http(502));
    c.wait_and_connect();
    let frame = c.sent_one();
    c.reply(&frame, &Value::Null);
    assert_eq!(c.changes(key), [gap(closed(1012))]);
}

#[test]
fn s5_subscription_that_was_never_live_gets_no_gap() {
    let mut c = Conversation::connected();
    let key = c.subscribe(task());
    c.sent_one();
    c.reconnect();
    let frame = c.sent_one();
    c.reply(&frame, &Value::Null);
    assert_eq!(c.changes(key), []);
}

#[test]
fn s5_deferred_subscription_gets_a_gap_after_a_loss() {
    let mut c = Conversation::connected();
    let key = c.subscribe(feed().without_ack());
    let frame = c.sent_one();
    c.event(&frame, "update", &json!(1));
    c.reply_error(&frame, 503);
    c.reconnect();
    let frame = c.sent_one();
    c.event(&frame, "update", &json!(2));
    assert_eq!(updates(&c.changes(key)), [json!(1), Value::Null, json!(2)]);
}

#[test]
fn s5_subscriber_that_joins_after_the_loss_gets_no_gap() {
    let mut c = Conversation::connected();
    let (old, _) = c.subscribe_acked(task());
    c.reconnect();
    let new = c.subscribe(task());
    let frame = c.sent_one();
    c.reply(&frame, &Value::Null);
    c.event(&frame, "update", &json!(1));
    assert_eq!(updates(&c.changes(old)), [Value::Null, json!(1)]);
    assert_eq!(updates(&c.changes(new)), [json!(1)]);
}

#[test]
fn s8_early_event_is_delivered_and_is_no_acknowledgement() {
    let mut c = Conversation::connected();
    let key = c.subscribe(task());
    let frame = c.sent_one();
    c.event(&frame, "update", &json!(1));
    assert_eq!(c.events(), [Event::ChangeReadable(key)]);
    assert_eq!(c.changes(key), [update(&json!(1))]);
    assert!(!c.session.is_acknowledged(key));
    c.reply(&frame, &Value::Null);
    assert_eq!(c.events(), [Event::Subscribed(key)]);
}

#[test]
fn s10_delete_event_has_the_key_under_the_configured_name() {
    let subscribes = [
        (task(), "pk"),
        (task().pk_field("id"), "id"),
        (Subscribe::instance("gadgets", 7).pk_field("uuid"), "uuid"),
    ];
    for (subscribe, name) in subscribes {
        let mut c = Conversation::connected();
        let (key, frame) = c.subscribe_acked(subscribe);
        c.event(&frame, "delete", &json!({"pk": 7}));
        let changes = c.changes(key);
        let [Change::Delete(deleted)] = &changes[..] else { panic!("{changes:?}") };
        assert_eq!(deleted.pk, Some(Pk::Number(7)));
        assert_eq!(value(&deleted.data), json!({ name: 7 }));
    }
}

#[test]
fn s10_config_pk_field_applies_to_feeds_and_keeps_whole_objects() {
    let mut c = Conversation::connected_with(|config| config.pk_field = "id".into());
    let (key, frame) = c.subscribe_acked(feed());
    let whole = json!({"id": "a1", "pk": 9, "title": "x"});
    c.event(&frame, "delete", &whole);
    c.event(&frame, "delete", &json!({"title": "x"}));
    let changes = c.changes(key);
    let [Change::Delete(first), Change::Delete(second)] = &changes[..] else { panic!() };
    assert_eq!(first.pk, Some(Pk::Text("a1".into())));
    assert_eq!(value(&first.data), whole);
    assert_eq!(second.pk, None);
}

/// DCRF before 1.3 sends `{"pk": null}`: the instance has no key any more.
#[test]
fn s10_missing_key_of_a_deleted_instance_is_that_of_the_subscription() {
    let uuid = "94eb8c68-41d6-40f2-8e36-e3c74521320b";
    for (subscribe, name, key) in [
        (Subscribe::instance("gadgets", 4), "pk", json!(4)),
        (Subscribe::instance("gadgets", 4).pk_field("id"), "id", json!(4)),
        (Subscribe::instance("gadgets", uuid).pk_field("uuid"), "uuid", json!(uuid)),
        (Subscribe::instance("gadgets", u64::MAX), "pk", json!(u64::MAX)),
        (Subscribe::new("gadgets", "subscribe_instance").pk(4), "pk", json!(4)),
    ] {
        for data in [json!({"pk": null}), json!({}), json!({ name: null })] {
            let mut c = Conversation::connected();
            let (subscription, frame) = c.subscribe_acked(subscribe.clone());
            c.event(&frame, "delete", &data);
            let changes = c.changes(subscription);
            let [Change::Delete(deleted)] = &changes[..] else { panic!("{changes:?}") };
            assert_eq!(deleted.pk.as_ref().map(|pk| json!(pk)), Some(key.clone()), "{data}");
            assert_eq!(value(&deleted.data), json!({ name: key }), "{data}");
        }
    }
    // A feed has no key of its own, and a subscription by another field does not know it.
    for subscribe in
        [feed().arg("pk", 4), Subscribe::new("gadgets", "subscribe_instance").arg("slug", "r1")]
    {
        let mut c = Conversation::connected();
        let (subscription, frame) = c.subscribe_acked(subscribe);
        c.event(&frame, "delete", &json!({"pk": null}));
        let changes = c.changes(subscription);
        let [Change::Delete(deleted)] = &changes[..] else { panic!("{changes:?}") };
        assert_eq!((&deleted.pk, value(&deleted.data)), (&None, json!({"pk": null})));
    }
}

#[test]
fn s10_key_above_64_bits_keeps_its_value() {
    for key in ["9223372036854775808", "18446744073709551615", "36893488147419103232"] {
        let mut c = Conversation::connected();
        let (subscription, frame) = c.subscribe_acked(feed().pk_field("id"));
        let text = json!({"stream": "tasks", "payload": {"errors": [], "data": {"pk": "KEY"},
            "action": "delete", "response_status": 204,
            "request_id": frame["payload"]["request_id"]}});
        c.receive_text(&text.to_string().replace("\"KEY\"", key));
        let changes = c.changes(subscription);
        let [Change::Delete(deleted)] = &changes[..] else { panic!("{changes:?}") };
        assert_eq!(deleted.pk.as_ref().map(ToString::to_string).as_deref(), Some(key));
        assert_eq!(deleted.data.as_str(), format!("{{\"id\":{key}}}"));
    }
}

#[test]
fn s10_delete_without_data_is_delivered() {
    let mut c = Conversation::connected();
    let (key, frame) = c.subscribe_acked(task());
    c.event(&frame, "delete", &Value::Null);
    let id = &frame["payload"]["request_id"];
    c.receive(&json!({"stream": "tasks", "payload": {"action": "delete", "request_id": id}}));
    let changes = c.changes(key);
    let is_delete = |change: &Change| matches!(change, Change::Other { action, .. } if action.as_deref() == Some("delete"));
    assert!(changes.len() == 2 && changes.iter().all(is_delete), "{changes:?}");
}

#[test]
fn s10_renaming_the_key_can_be_turned_off() {
    let mut c = Conversation::connected_with(|config| {
        config.pk_field = "id".into();
        config.ensure_pk_field_in_delete_events = false;
    });
    let (key, frame) = c.subscribe_acked(task());
    for data in [json!({"pk": 7}), json!({"id": 8, "title": "x"})] {
        c.event(&frame, "delete", &data);
        let changes = c.changes(key);
        let [Change::Delete(deleted)] = &changes[..] else { panic!("{changes:?}") };
        assert_eq!(value(&deleted.data), data);
        assert!(deleted.pk.is_some());
    }
}

#[test]
fn s11_full_buffer_drops_the_oldest_and_reports_the_count() {
    let (mut c, key, frame) = with_limits(3, 1_000);
    for n in 0..10 {
        c.event(&frame, "update", &json!(n));
    }
    let changes = c.changes(key);
    assert_eq!(changes[0], Change::Lagged(7));
    assert_eq!(updates(&changes[1..]), [json!(7), json!(8), json!(9)]);
    assert_eq!(c.session.stats().lagged, 7);

    c.event(&frame, "update", &json!(10));
    assert_eq!(updates(&c.changes(key)), [json!(10)]);
}

#[test]
fn s11_buffer_is_limited_by_bytes() {
    let (mut c, key, frame) = with_limits(1_000, 100);
    for _ in 0..10 {
        c.event(&frame, "update", &json!("x".repeat(38)));
    }
    assert_eq!(c.changes(key).len(), 3);
    assert_eq!(c.session.stats().lagged, 8);
}

#[test]
fn s11_bytes_of_an_action_count() {
    let (mut c, key, frame) = with_limits(1_000, 300);
    for _ in 0..10 {
        c.reply_as(&frame, &"x".repeat(250), 400, &json!([]), &Value::Null);
    }
    assert!(matches!(c.changes(key)[..], [Change::Lagged(9), Change::ErrorReply(_)]));
}

#[test]
fn s11_overflow_keeps_the_gap() {
    let (mut c, key, _) = with_limits(2, 1_000);
    c.reconnect();
    let frame = c.sent_one();
    c.reply(&frame, &Value::Null);
    for n in 0..5 {
        c.event(&frame, "update", &json!(n));
    }
    let changes = c.changes(key);
    assert_eq!(changes[..2], [Change::Lagged(3), gap(dropped())]);
    assert_eq!(updates(&changes[2..]), [json!(3), json!(4)]);
}

#[test]
fn s13_create_events_need_include_create() {
    let mut c = Conversation::connected();
    let (plain, frame) = c.subscribe_acked(feed());
    let with_create = c.subscribe(feed().include_create());
    c.event(&frame, "create", &json!({"pk": 1}));
    assert_eq!(c.changes(plain), []);
    assert_eq!(c.changes(with_create), [Change::Create(json_of(&json!({"pk": 1})))]);
}

#[test]
fn s14_event_with_an_error_is_an_error_reply_and_ends_nothing() {
    let mut c = Conversation::connected();
    let (key, frame) = c.subscribe_acked(task());
    c.reply_as(&frame, "update", 404, &json!(["Not found"]), &Value::Null);
    c.event(&frame, "delete", &json!({"pk": 7}));
    let changes = c.changes(key);
    let [Change::ErrorReply(error_reply), Change::Delete(_)] = &changes[..] else {
        panic!("{changes:?}")
    };
    assert_eq!(error_reply.status, Some(404));
    assert!(c.session.is_acknowledged(key));
}

#[test]
fn s15_event_of_another_kind_is_delivered_whole() {
    let mut c = Conversation::connected();
    let (key, frame) = c.subscribe_acked(feed().include_create());
    let id = &frame["payload"]["request_id"];
    let payloads = [
        json!({"message": {"pk": 6}, "action": "create", "request_id": id}),
        json!({"data": {"pk": 6}, "action": "moved", "request_id": id}),
        json!({"data": {"pk": 6}, "request_id": id}),
        json!({"action": "update", "request_id": id, "data": null}),
    ];
    for payload in payloads {
        c.receive(&json!({"stream": "tasks", "payload": payload}));
        let changes = c.changes(key);
        let [Change::Other { action, payload: delivered }] = &changes[..] else {
            panic!("{changes:?}")
        };
        assert_eq!(action.as_deref(), payload["action"].as_str());
        assert_eq!(value(delivered), payload);
    }
}
