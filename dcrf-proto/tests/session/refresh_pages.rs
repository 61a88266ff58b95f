//! Which replies are lists and pages to a refresh, and how pages are followed (rule S6).

use crate::conversation::{Conversation, json_of, update};
use dcrf_proto::{Change, RefreshError, Request, Subscribe, SubscriptionKey};
use serde_json::{Value, json};

/// A feed whose first refresh was sent: its key, its subscribe and the refresh.
fn refreshing(c: &mut Conversation, subscribe: Subscribe) -> (SubscriptionKey, Value, Value) {
    let (key, frame) = c.subscribe_acked(subscribe);
    (key, frame, c.sent_one())
}

fn feed() -> Subscribe {
    Subscribe::new("polls", "subscribe_all").refresh()
}

fn snapshot(objects: &[Value]) -> Change {
    Change::Snapshot(objects.iter().map(json_of).collect())
}

/// The reason of the only change, a refresh that was not understood.
fn misunderstood(c: &mut Conversation, key: SubscriptionKey) -> String {
    let changes = c.changes(key);
    let [Change::RefreshFailed(RefreshError::Decode(error))] = &changes[..] else {
        panic!("{changes:?}")
    };
    error.expected.clone()
}

/// The arguments of a request besides its action.
fn arguments(frame: &Value) -> Value {
    let mut payload = frame["payload"].clone();
    for name in ["action", "request_id"] {
        payload.as_object_mut().expect("a payload").remove(name);
    }
    payload
}

#[test]
fn s6_pages_of_each_form_are_followed() {
    let number = |next: Value, results: Value| json!({"count": 3, "next": next, "previous": null, "results": results});
    let cursor =
        |next: Value, results: Value| json!({"next": next, "previous": null, "results": results});
    let url = "http://testserver/polls/?page=2";
    for (first, asked, last) in [
        (number(json!(2), json!([1, 2])), json!({"page": 2}), number(Value::Null, json!([3]))),
        (
            number(json!(url), json!([1, 2])),
            json!({"query": {"page": "2"}}),
            number(Value::Null, json!([3])),
        ),
        (
            cursor(json!("cD0y"), json!([1, 2])),
            json!({"cursor": "cD0y"}),
            cursor(Value::Null, json!([3])),
        ),
        (
            cursor(json!("/polls/?cursor=cD0%3D"), json!([1, 2])),
            json!({"query": {"cursor": "cD0="}}),
            cursor(Value::Null, json!([3])),
        ),
        (
            json!({"count": 3, "results": [1, 2], "limit": 2}),
            json!({"limit": 2, "offset": 2}),
            json!({"count": 3, "results": [3], "limit": 2, "offset": 2}),
        ),
    ] {
        let mut c = Conversation::connected();
        let (key, frame, refresh) = refreshing(&mut c, feed());
        c.reply(&refresh, &first);
        let second = c.sent_one();
        assert_eq!((&second["payload"]["action"], arguments(&second)), (&json!("list"), asked));
        c.event(&frame, "update", &json!("between"));
        c.reply(&second, &last);
        let all = snapshot(&[json!(1), json!(2), json!(3)]);
        assert_eq!(c.changes(key), [all, update(&json!("between"))], "{first}");
        assert_eq!(c.sent(), [] as [Value; 0]);
    }
}

#[test]
fn s6_page_keeps_the_arguments_of_a_refresh() {
    let mut c = Conversation::connected();
    let by = Request::list("polls").arg("limit", 100).arg("query", json!({"open": true}));
    let (_, _, refresh) = refreshing(&mut c, feed().refresh_with(by));
    c.reply(&refresh, &json!({"count": 3, "next": "?page=2", "results": [1]}));
    let second = c.sent_one();
    assert_eq!(arguments(&second), json!({"limit": 100, "query": {"open": true, "page": "2"}}));
}

#[test]
fn s6_feed_whose_list_is_no_list_says_so() {
    for reply in [
        json!({"pk": 1, "title": "an object"}),
        json!({"count": 8, "results": [1, 2]}),
        json!({"count": 8, "results": {"1": 2}, "limit": 2, "offset": 0}),
        json!({"items": [1, 2], "total": 2}),
        json!(null),
        json!(7),
        json!("a"),
    ] {
        let mut c = Conversation::connected_with(|config| config.heartbeat = None);
        let (key, frame, refresh) = refreshing(&mut c, feed());
        c.reply(&refresh, &reply);
        assert!(!misunderstood(&mut c, key).is_empty(), "{reply}");
        c.event(&frame, "update", &json!(1));
        assert_eq!(c.changes(key), [update(&json!(1))]);
        assert_eq!((c.sent(), c.session.poll_timeout()), (vec![], None), "it is not repeated");
    }
}

#[test]
fn s6_retrieved_object_that_looks_like_a_page_is_one_object() {
    for object in [
        json!({"pk": 1, "title": "poll", "count": 30, "results": [1, 2, 3], "limit": 10}),
        json!({"pk": 1, "next": 2, "previous": null, "count": 3, "results": [1]}),
        json!([1, 2]),
    ] {
        for subscribe in [
            Subscribe::instance("polls", 1).refresh(),
            Subscribe::new("polls", "subscribe_poll").refresh_with(Request::retrieve("polls", 1)),
        ] {
            let mut c = Conversation::connected();
            let (key, _, refresh) = refreshing(&mut c, subscribe);
            c.reply(&refresh, &object);
            assert_eq!(c.changes(key), [snapshot(std::slice::from_ref(&object))]);
            assert_eq!(c.sent(), [] as [Value; 0]);
        }
    }
}

#[test]
fn s6_server_that_ignores_the_arguments_of_a_page_is_an_error() {
    for (page, expected) in [
        (
            json!({"count": 5, "results": [1, 2], "limit": 2, "offset": 0}),
            "a page at offset 2, the server sent one at 0",
        ),
        (
            json!({"count": 5, "next": 2, "results": [1, 2]}),
            "another page, the server sent the one before again",
        ),
        (
            json!({"next": "cD0y", "results": [1, 2]}),
            "another page, the server sent the one before again",
        ),
        (
            json!({"count": 5, "next": "?page=2", "results": [1]}),
            "another page, the server sent the one before again",
        ),
    ] {
        let mut c = Conversation::connected();
        let (key, frame, refresh) = refreshing(&mut c, feed());
        c.reply(&refresh, &page);
        let second = c.sent_one();
        c.event(&frame, "update", &json!(1));
        c.reply(&second, &page);
        assert_eq!(c.changes(key)[0], update(&json!(1)));
        let (key, _, refresh) = refreshing(&mut c, feed().arg("again", 1));
        c.reply(&refresh, &page);
        let second = c.sent_one();
        c.reply(&second, &page);
        assert_eq!(misunderstood(&mut c, key), expected);
        assert_eq!(c.sent(), [] as [Value; 0]);
    }
}

#[test]
fn s6_page_at_another_offset_is_an_error() {
    let mut c = Conversation::connected();
    let (key, _, refresh) = refreshing(&mut c, feed());
    c.reply(&refresh, &json!({"count": 9, "results": [1, 2], "limit": 2, "offset": 0}));
    let second = c.sent_one();
    c.reply(&second, &json!({"count": 9, "results": [5, 6], "limit": 2, "offset": 4}));
    assert_eq!(misunderstood(&mut c, key), "a page at offset 2, the server sent one at 4");
}

#[test]
fn s6_empty_page_ends_the_list() {
    let mut c = Conversation::connected();
    let (key, _, refresh) = refreshing(&mut c, feed());
    c.reply(&refresh, &json!({"next": 2, "results": [1]}));
    let second = c.sent_one();
    c.reply(&second, &json!({"next": 3, "results": []}));
    assert_eq!(c.changes(key), [snapshot(&[json!(1)])]);
}

#[test]
fn s6_instance_is_retrieved_with_the_arguments_of_its_subscription() {
    let mut c = Conversation::connected();
    let row = Subscribe::new("rows", "subscribe_instance").arg("slug", "r1").arg("team", 2);
    let (key, frame, refresh) = refreshing(&mut c, row.refresh());
    assert_eq!(refresh["payload"]["action"], "retrieve");
    assert_eq!(arguments(&refresh), json!({"slug": "r1", "team": 2}));
    c.reply(&refresh, &json!({"slug": "r1"}));
    assert_eq!(c.changes(key), [snapshot(&[json!({"slug": "r1"})])]);
    c.reconnect();
    c.sent_one();
    c.reply(&frame, &Value::Null);
    let refresh = c.sent_one();
    c.reply_error(&refresh, 404);
    let changes = c.changes(key);
    let [Change::Gap(_), Change::Delete(deleted)] = &changes[..] else { panic!("{changes:?}") };
    // Its primary key is unknown.
    assert_eq!((&deleted.pk, deleted.data.as_str()), (&None, r#"{"slug":"r1","team":2}"#));
}

#[test]
fn s6_instance_by_pk_keeps_its_other_arguments() {
    let mut c = Conversation::connected();
    for subscribe in [
        Subscribe::instance("rows", 4).arg("team", 2),
        Subscribe::new("rows", "subscribe_instance").arg("team", 3).pk_field("id").pk(4),
    ] {
        let (_, frame, refresh) = refreshing(&mut c, subscribe.refresh());
        assert_eq!(arguments(&refresh), arguments(&frame));
        assert_eq!(refresh["payload"]["pk"], 4);
    }
}
