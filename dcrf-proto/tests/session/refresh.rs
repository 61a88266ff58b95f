//! Subscriptions with refresh (rule S6).

use std::sync::Arc;

use crate::conversation::{Conversation, dropped, json_of, secs, update};
use dcrf_proto::{
    Change, CloseOptions, Dialect, ErrorReply, OverflowPolicy, Pk, RefreshError, Request,
    RequestId, Selector, Subscribe, SubscriptionKey,
};
use serde_json::{Value, json};

fn task() -> Subscribe {
    Subscribe::instance("tasks", 7).refresh()
}

fn feed() -> Subscribe {
    Subscribe::new("tasks", "subscribe_all").refresh()
}

fn connected() -> Conversation {
    Conversation::connected_with(|config| config.heartbeat = None)
}

/// Subscribes and acknowledges. Also returns the refresh request that follows.
fn subscribe_and_refresh(
    c: &mut Conversation,
    subscribe: Subscribe,
) -> (SubscriptionKey, Value, Value) {
    let (key, frame) = c.subscribe_acked(subscribe);
    (key, frame, c.sent_one())
}

fn snapshot(objects: &[Value]) -> Change {
    Change::Snapshot(objects.iter().map(json_of).collect())
}

fn page(results: &[u64], offset: u64) -> Value {
    json!({"count": 5, "results": results, "limit": 2, "offset": offset})
}

#[test]
fn s6_live_instance_is_retrieved_once() {
    let mut c = connected();
    let (key, _, refresh) = subscribe_and_refresh(&mut c, task());
    assert_eq!(refresh["stream"], "tasks");
    assert_eq!(
        (&refresh["payload"]["action"], &refresh["payload"]["pk"]),
        (&json!("retrieve"), &json!(7))
    );
    let object = json!({"pk": 7, "title": "current"});
    c.reply(&refresh, &object);
    assert_eq!(c.changes(key), [snapshot(&[object])]);
    assert_eq!(c.sent(), [] as [Value; 0]);
    assert_eq!(c.session.poll_timeout(), None);
}

#[test]
fn s6_snapshot_follows_the_gap_after_each_replay() {
    let mut c = connected();
    let (key, frame, refresh) = subscribe_and_refresh(&mut c, task());
    c.reply(&refresh, &json!(1));
    c.changes(key);
    for round in 2..4 {
        c.reconnect();
        assert_eq!(c.sent_one(), frame);
        assert_eq!(c.sent(), [] as [Value; 0], "no refresh before the acknowledgement");
        c.reply(&frame, &Value::Null);
        let refresh = c.sent_one();
        c.event(&frame, "update", &json!(0));
        c.reply(&refresh, &json!(round));
        let changes = c.changes(key);
        assert!(matches!(changes[0], Change::Gap(_)));
        assert_eq!(changes[1..], [update(&json!(0)), snapshot(&[json!(round)])]);
    }
}

#[test]
fn s6_missing_object_is_delivered_as_a_delete() {
    let mut c = connected();
    let (key, _, refresh) = subscribe_and_refresh(&mut c, task().pk_field("id"));
    c.reply_error(&refresh, 404);
    let changes = c.changes(key);
    let [Change::Delete(deleted)] = &changes[..] else { panic!("{changes:?}") };
    assert_eq!((&deleted.pk, deleted.data.as_str()), (&Some(Pk::from(7)), r#"{"id":7}"#));
    assert_eq!(c.session.ended(key), None);
}

#[test]
fn s6_refresh_with_an_error_reply_is_reported_once_and_ends_nothing() {
    for (subscribe, status) in [(task(), 403), (feed(), 404), (feed(), 405)] {
        let mut c = connected();
        let (key, frame, refresh) = subscribe_and_refresh(&mut c, subscribe);
        c.reply_error(&refresh, status);
        assert_eq!(c.changes(key), [failed(status, &refresh)]);
        c.advance(secs(900));
        assert_eq!((c.sent(), c.changes(key)), (vec![], vec![]));
        // The next replay tries again.
        c.reconnect();
        c.sent_one();
        c.reply(&frame, &Value::Null);
        let refresh = c.sent_one();
        c.reply(&refresh, &json!([7]));
        assert_eq!(c.changes(key).len(), 2, "a gap and a snapshot");
    }
}

fn failed(status: u16, refresh: &Value) -> Change {
    let mut reply = ErrorReply::new(status);
    reply.action = refresh["payload"]["action"].as_str().map(str::to_owned);
    reply.errors = json_of(&json!(["A server error occurred."]));
    Change::RefreshFailed(RefreshError::ErrorReply(reply))
}

#[test]
fn s6_error_reply_to_a_page_is_reported_after_the_changes_before_it() {
    let mut c = connected();
    let (key, frame, refresh) = subscribe_and_refresh(&mut c, feed());
    c.reply(&refresh, &page(&[1, 2], 0));
    let second = c.sent_one();
    c.event(&frame, "update", &json!(0));
    c.reply_error(&second, 403);
    assert_eq!(c.changes(key), [update(&json!(0)), failed(403, &second)]);
    c.event(&frame, "update", &json!(1));
    assert_eq!(c.changes(key), [update(&json!(1))], "no page holds it back");
}

#[test]
fn s6_refresh_that_is_not_answered_is_reported_once_and_repeated() {
    let mut c = connected();
    let (key, _, _) = subscribe_and_refresh(&mut c, feed());
    c.advance(secs(30));
    assert_eq!(c.changes(key), [Change::RefreshFailed(RefreshError::TimedOut)]);
    c.advance(secs(900));
    assert_eq!(c.changes(key), []);
    let refresh = c.sent().pop().expect("it was repeated");
    c.reply(&refresh, &json!([1]));
    assert_eq!(c.changes(key), [snapshot(&[json!(1)])]);
}

#[test]
fn s6_failure_that_is_dropped_is_followed_by_another_refresh() {
    let mut c = Conversation::connected_with(|config| {
        config.changes = dcrf_proto::Limit { count: 1, bytes: 1_000 };
        config.heartbeat = None;
    });
    let (key, frame, refresh) = subscribe_and_refresh(&mut c, feed());
    c.reply_error(&refresh, 403);
    c.event(&frame, "update", &json!(1));
    assert_eq!(c.changes(key), [Change::Lagged(1), update(&json!(1))]);
    assert_eq!(c.sent_actions(), ["list"]);
}

#[test]
fn s6_failure_that_does_not_fit_overflows_with_the_close_policy() {
    for status in [403, 503] {
        let mut c = Conversation::connected_with(|config| {
            config.changes = dcrf_proto::Limit { count: 1, bytes: 1_000 };
            config.heartbeat = None;
        });
        let (key, frame, refresh) =
            subscribe_and_refresh(&mut c, feed().overflow_policy(OverflowPolicy::Close));
        c.event(&frame, "update", &json!(1));
        c.reply_error(&refresh, status);
        let end = c.changes_and_end(key).1;
        assert!(matches!(end, Some(dcrf_proto::SubscriptionError::Overflowed { .. })));
        assert_eq!(c.sent_actions(), ["unsubscribe_all"]);
        c.advance(secs(120));
        assert_eq!(c.session.poll_timeout(), None);
    }
}

#[test]
fn s6_feed_is_listed_to_its_last_page() {
    let mut c = connected();
    let (key, _, refresh) = subscribe_and_refresh(&mut c, feed());
    assert_eq!(refresh["payload"]["action"], "list");
    c.reply(&refresh, &page(&[1, 2], 0));
    let second = c.sent_one();
    assert_eq!(second["payload"]["offset"], 2);
    c.reply(&second, &page(&[3, 4], 2));
    assert_eq!(c.changes(key), []);
    let third = c.sent_one();
    assert_eq!(third["payload"]["offset"], 4);
    c.reply(&third, &page(&[5], 4));
    assert_eq!(c.changes(key), [snapshot(&[json!(1), json!(2), json!(3), json!(4), json!(5)])]);
    assert_eq!(c.sent(), [] as [Value; 0]);
}

#[test]
fn s6_changes_between_pages_follow_the_snapshot() {
    let mut c = connected();
    let (key, frame, refresh) = subscribe_and_refresh(&mut c, feed());
    c.event(&frame, "update", &json!("before"));
    c.reply(&refresh, &page(&[1, 2], 0));
    assert_eq!(c.changes(key), [update(&json!("before"))]);
    let second = c.sent_one();
    c.event(&frame, "update", &json!("between"));
    assert_eq!((c.changes(key), c.session.stats().unread_changes), (vec![], 1));
    c.reply(&second, &page(&[3, 4], 2));
    let third = c.sent_one();
    c.reply(&third, &page(&[5], 4));
    c.event(&frame, "update", &json!("after"));
    let all = snapshot(&[json!(1), json!(2), json!(3), json!(4), json!(5)]);
    let changes = [all, update(&json!("between")), update(&json!("after"))];
    assert_eq!(c.changes(key), changes);
    assert_eq!(c.session.stats().unread_changes, 0);
}

#[test]
fn s6_changes_between_pages_survive_a_failed_refresh() {
    let mut c = connected();
    let (key, frame, refresh) = subscribe_and_refresh(&mut c, feed());
    let between = |c: &mut Conversation, refresh: &Value| {
        c.reply(refresh, &page(&[1, 2], 0));
        c.event(&frame, "update", &json!(0));
        assert_eq!(c.changes(key), []);
    };
    // The server fails, then does not reply.
    between(&mut c, &refresh);
    let second = c.sent_one();
    c.reply_error(&second, 503);
    assert_eq!(c.changes(key), [update(&json!(0)), failed(503, &second)]);
    c.advance(secs(1));
    let refresh = c.sent_one();
    assert_eq!(refresh["payload"].get("offset"), None, "starts at the first page");
    between(&mut c, &refresh);
    c.advance(secs(30));
    assert_eq!(c.changes(key), [update(&json!(0))]);
    c.advance(secs(2));
    // The connection is lost.
    let refresh = c.sent().pop().expect("a refresh");
    between(&mut c, &refresh);
    c.reconnect();
    assert_eq!((c.sent_one(), c.changes(key)), (frame.clone(), vec![update(&json!(0))]));
    c.reply(&frame, &Value::Null);
    assert!(matches!(c.changes(key)[..], [Change::Gap(_)]));
    // The subscription ends.
    let refresh = c.sent().pop().expect("a refresh");
    between(&mut c, &refresh);
    c.close(CloseOptions::now());
    assert_eq!(c.changes_and_end(key).0, [update(&json!(0))]);
    assert_eq!(c.session.stats().unread_changes, 0);
}

#[test]
fn s6_overflow_between_pages_restarts_the_list() {
    let mut c = Conversation::connected_with(|config| {
        config.changes = dcrf_proto::Limit { count: 2, bytes: 1_000 };
        config.heartbeat = None;
    });
    let (key, frame, refresh) = subscribe_and_refresh(&mut c, feed());
    c.reply(&refresh, &page(&[1, 2], 0));
    let second = c.sent_one();
    for n in 0..3 {
        c.event(&frame, "update", &json!(n));
    }
    assert_eq!(c.changes(key), [Change::Lagged(1), update(&json!(1)), update(&json!(2))]);
    c.reply(&second, &page(&[3, 4], 2));
    let restarted = c.sent_one();
    assert_eq!(restarted["payload"].get("offset"), None);
    c.reply(&restarted, &json!([9]));
    assert_eq!(c.changes(key), [snapshot(&[json!(9)])]);
}

#[test]
fn s6_list_with_changing_count_is_restarted_three_times() {
    let mut c = connected();
    let (key, _, mut refresh) = subscribe_and_refresh(&mut c, feed());
    for _ in 0..3 {
        c.reply(&refresh, &page(&[1, 2], 0));
        let second = c.sent_one();
        let mut shrunk = page(&[4, 5], 2);
        shrunk["count"] = json!(4);
        c.reply(&second, &shrunk);
        refresh = c.sent_one();
        assert_eq!(refresh["payload"].get("offset"), None);
    }
    c.reply(&refresh, &page(&[1, 2], 0));
    let second = c.sent_one();
    c.reply(&second, &json!({"count": 4, "results": [4, 5], "limit": 2, "offset": 2}));
    assert_eq!(c.changes(key), [snapshot(&[json!(1), json!(2), json!(4), json!(5)])]);
}

#[test]
fn s6_list_larger_than_the_buffer_ends_the_subscription() {
    let mut c = Conversation::connected_with(|config| {
        config.changes = dcrf_proto::Limit { count: 10, bytes: 100 };
        config.heartbeat = None;
    });
    let (key, _, mut refresh) = subscribe_and_refresh(&mut c, feed());
    let long = "long".repeat(8);
    for offset in (0..).step_by(2) {
        let page = json!({"count": 1_000, "results": [long, long], "limit": 2, "offset": offset});
        c.reply(&refresh, &page);
        if c.session.ended(key).is_some() {
            break;
        }
        refresh = c.sent_one();
    }
    assert!(matches!(c.end(key), dcrf_proto::SubscriptionError::Overflowed { .. }));
    assert_eq!(c.sent_actions(), ["unsubscribe_all"]);
}

#[test]
fn s6_list_without_pages_is_one_snapshot() {
    let mut c = connected();
    let (key, _, refresh) = subscribe_and_refresh(&mut c, feed());
    c.reply(&refresh, &json!([1, 2]));
    assert_eq!(c.changes(key), [snapshot(&[json!(1), json!(2)])]);

    let other = Subscribe::new("tasks", "subscribe_red").refresh_with(Request::new("tasks", "red"));
    for (reply, objects) in
        [(json!([1, 2]), vec![json!(1), json!(2)]), (json!({"a": 1}), vec![json!({"a": 1})])]
    {
        let (key, _, refresh) =
            subscribe_and_refresh(&mut c, other.clone().arg("n", objects.len()));
        assert_eq!(refresh["payload"]["action"], "red");
        c.reply(&refresh, &reply);
        assert_eq!(c.changes(key), [snapshot(&objects)]);
    }
}

#[test]
fn s6_refresh_is_repeated_after_a_server_error_or_timeout() {
    let mut c = connected();
    let (key, _, refresh) = subscribe_and_refresh(&mut c, task());
    c.reply_error(&refresh, 503);
    assert_eq!(c.sent(), [] as [Value; 0]);
    c.advance(secs(1));
    let repeated = c.sent_one();
    assert_ne!(repeated["payload"]["request_id"], refresh["payload"]["request_id"]);
    c.advance(secs(30));
    c.reply(&repeated, &json!("late"));
    assert_eq!(c.session.stats().late, 1);
    c.advance(secs(2));
    let third = c.sent_one();
    c.reply(&third, &json!(3));
    assert_eq!(c.changes(key), [failed(503, &refresh), snapshot(&[json!(3)])]);
}

#[test]
fn s6_connection_loss_restarts_the_refresh_after_the_replay() {
    let mut c = connected();
    let (key, frame, refresh) = subscribe_and_refresh(&mut c, feed());
    c.reply(&refresh, &page(&[1, 2], 0));
    let second = c.sent_one();
    c.reconnect();
    assert_eq!(c.sent_one(), frame);
    c.reply(&second, &page(&[3, 4], 2));
    c.reply(&frame, &Value::Null);
    let restarted = c.sent_one();
    assert_eq!(restarted["payload"].get("offset"), None);
    c.reply(&restarted, &json!([9]));
    assert_eq!(c.changes(key).last(), Some(&snapshot(&[json!(9)])));
}

#[test]
fn s6_unsubscribe_cancels_the_refresh() {
    let mut c = connected();
    let (key, _, refresh) = subscribe_and_refresh(&mut c, task());
    c.unsubscribe(key);
    c.reply(&refresh, &json!(1));
    assert_eq!(c.sent_actions(), ["unsubscribe_instance"]);
    assert_eq!(c.session.stats().late, 1);
    c.advance(secs(120));
    assert_eq!(c.sent(), [] as [Value; 0]);
}

#[test]
fn s6_only_the_subscriber_with_refresh_gets_a_snapshot() {
    let mut c = connected();
    let (plain, _) = c.subscribe_acked(Subscribe::instance("tasks", 7));
    let fresh = c.subscribe(task());
    let refresh = c.sent_one();
    assert_eq!(refresh["payload"]["action"], "retrieve");
    c.reply(&refresh, &json!(1));
    assert_eq!((c.changes(plain).len(), c.changes(fresh).len()), (0, 1));
}

#[test]
fn s6_refreshes_obey_the_replay_window_and_precede_requests() {
    let mut c = Conversation::connected_with(|config| {
        config.replay_window = 2;
        config.heartbeat = None;
    });
    let keys: Vec<_> =
        (0..5).map(|pk| c.subscribe(Subscribe::instance("tasks", pk).refresh())).collect();
    for frame in c.sent() {
        c.reply(&frame, &Value::Null);
    }
    c.request(Request::new("tools", "echo"));
    assert_eq!(c.sent_actions(), ["retrieve", "retrieve", "echo"]);
    c.unsubscribe(keys[0]);
    c.unsubscribe(keys[1]);
    let actions = c.sent_actions();
    let unsubscribe = "unsubscribe_instance";
    assert_eq!(actions, [unsubscribe, unsubscribe, "retrieve", "retrieve"]);
}

#[test]
fn s6_snapshot_that_does_not_fit_overflows_with_the_close_policy() {
    let mut c = Conversation::connected_with(|config| {
        config.changes = dcrf_proto::Limit { count: 1, bytes: 1_000 };
        config.heartbeat = None;
    });
    let (key, frame, refresh) =
        subscribe_and_refresh(&mut c, task().overflow_policy(OverflowPolicy::Close));
    c.event(&frame, "update", &json!(1));
    c.reply(&refresh, &json!(2));
    assert!(matches!(
        c.changes_and_end(key).1,
        Some(dcrf_proto::SubscriptionError::Overflowed { .. })
    ));
    assert_eq!(c.sent_actions(), ["unsubscribe_instance"]);
}

#[test]
fn s6_refresh_uses_the_dialect() {
    struct ByRe;
    impl Dialect for ByRe {
        fn reply_selector(&self, stream: &str, id: &RequestId) -> Option<Selector> {
            Some(Selector::stream(stream).contains(json!({"re": id.to_value()})))
        }
    }
    let mut c = Conversation::connected_with(|config| config.dialect = Some(Arc::new(ByRe)));
    let key = c.subscribe(task());
    let reply = |c: &mut Conversation, frame: &Value, data: &Value| {
        let re = &frame["payload"]["request_id"];
        let payload = json!({"re": re, "response_status": 200, "data": data});
        c.receive(&json!({"stream": "tasks", "payload": payload}));
    };
    let frame = c.sent_one();
    reply(&mut c, &frame, &Value::Null);
    let refresh = c.sent_one();
    reply(&mut c, &refresh, &json!(5));
    assert_eq!(c.changes(key), [snapshot(&[json!(5)])]);
    reply(&mut c, &refresh, &json!(6));
    assert_eq!(c.session.stats().unhandled, 1);
}

#[test]
fn s6_close_cancels_the_refresh() {
    let mut c = connected();
    let (_, _, refresh) = subscribe_and_refresh(&mut c, task());
    c.reply_error(&refresh, 503);
    c.close(CloseOptions::now());
    c.flush();
    c.disconnect(dropped());
    assert_eq!(c.session.poll_timeout(), None);
}

#[test]
fn s6_limits_count_what_the_objects_of_a_snapshot_take() {
    // Each object is one byte of JSON, and takes many in memory.
    let mut c = connected();
    let (key, _, refresh) = subscribe_and_refresh(&mut c, feed());
    c.reply(&refresh, &json!(vec![0; 100_000]));
    assert!(matches!(c.end(key), dcrf_proto::SubscriptionError::Overflowed { .. }));
    let mut c = connected();
    let (key, _, refresh) = subscribe_and_refresh(&mut c, feed());
    c.reply(&refresh, &json!(vec![0; 1_000]));
    assert_eq!(c.session.stats().unread_changes_bytes, 49_000);
    assert_eq!(c.changes(key), [snapshot(&vec![json!(0); 1_000])]);
}

#[test]
fn s6_the_last_page_counts_too() {
    for (text, fits) in [("x".repeat(200), true), ("x".repeat(300), false)] {
        let mut c = Conversation::connected_with(|config| {
            config.changes = dcrf_proto::Limit { count: 10, bytes: 600 };
            config.heartbeat = None;
        });
        let (key, _, refresh) = subscribe_and_refresh(&mut c, feed());
        c.reply(&refresh, &json!({"count": 2, "results": [text], "limit": 1, "offset": 0}));
        let second = c.sent_one();
        c.reply(&second, &json!({"count": 2, "results": [text], "limit": 1, "offset": 1}));
        let (_, end) = c.changes_and_end(key);
        assert_eq!(end.is_none(), fits, "{end:?}");
    }
}
