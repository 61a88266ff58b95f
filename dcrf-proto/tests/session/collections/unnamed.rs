//! Events that do not say which row has changed.

use super::*;

/// An event in the form of DCRF's documentation, or in another one.
fn event(c: &mut Conversation, feed: &Value, payload: &Value) {
    let mut payload = payload.clone();
    payload["request_id"] = feed["payload"]["request_id"].clone();
    c.receive(&json!({"stream": "tasks", "payload": payload}));
}

#[test]
fn v4_event_that_names_no_row_is_counted_and_listed() {
    let update = |message: Value| json!({"action": "update", "message": message});
    for (key_at, payload) in [
        // The caller has forgotten to say where the key is, or has said it wrong.
        (None, update(json!({"pk": 1}))),
        (Some("/message/id"), update(json!({"pk": 1}))),
        (Some("/message/pk"), update(json!({"pk": [1]}))),
        (Some("/message/pk"), json!({"message": "saved"})),
        (Some("/message/pk"), json!({"action": "delete", "message": 1})),
        (None, json!({"action": "update", "data": {"title": "b"}})),
        (None, json!({"action": "delete", "data": {"title": "b"}})),
        (None, json!({"action": "changed", "data": {"pk": 1}})),
        (None, json!({"action": "update", "data": null, "errors": ["a"], "response_status": 500})),
    ] {
        let mut c = Conversation::connected();
        let description = match key_at {
            Some(pointer) => tasks().key_at(pointer),
            None => tasks(),
        };
        let (key, feed) = live(&mut c, description, &json!([task(1, "a")]));
        for _ in 0..3 {
            event(&mut c, &feed, &payload);
        }
        let is_error = payload.get("errors").is_some();
        assert_eq!(c.session.stats().rows_without_key, if is_error { 0 } else { 3 }, "{payload}");
        assert!(c.sent().is_empty(), "{payload}");
        c.advance(Duration::from_secs(5));
        let list = c.sent_one();
        assert_eq!(status(&c, key), CollectionStatus::Live);
        c.reply(&list, &json!([task(1, "b")]));
        assert_eq!(rows(&c, key), [task(1, "b")]);
        c.advance_alive(Duration::from_secs(3600));
        assert!(c.sent().is_empty(), "{payload}");
        // No more often than every few seconds.
        let began = c.now;
        let mut lists = 0;
        while c.now - began < Duration::from_secs(60) {
            event(&mut c, &feed, &payload);
            c.advance_alive(Duration::from_millis(100));
            for list in c.sent() {
                lists += 1;
                c.reply(&list, &json!([task(1, "b")]));
            }
        }
        assert!((10..=12).contains(&lists), "{lists}");
    }
}

#[test]
fn v4_event_that_names_no_row_before_the_list_changes_nothing() {
    let mut c = Conversation::connected();
    let key = collect(&mut c, tasks());
    let feed = c.sent_one();
    let payload = json!({"action": "update", "message": {}});
    event(&mut c, &feed, &payload);
    c.reply(&feed, &Value::Null);
    let list = c.sent_one();
    c.reply(&list, &json!([]));
    c.advance_alive(Duration::from_secs(60));
    assert!(c.sent().is_empty());
    // During a list, it may be older than the event.
    c.session.resync(key, c.now);
    let list = c.sent_one();
    event(&mut c, &feed, &payload);
    c.reply(&list, &json!([]));
    c.advance_alive(Duration::from_secs(5));
    assert_eq!(c.sent_actions(), ["list"]);
}

#[test]
fn v13_event_of_a_row_that_does_not_name_it_is_retrieved() {
    for payload in [
        json!({"action": "update", "data": {"title": "b"}}),
        json!({"action": "update", "message": "saved"}),
        json!({"action": "update", "data": null, "errors": ["a"], "response_status": 404}),
    ] {
        let mut c = Conversation::connected();
        let key = collect(&mut c, Collect::new("tasks").instances());
        let list = c.sent_one();
        c.reply(&list, &json!([task(1, "a")]));
        let instance = c.sent_one();
        c.reply(&instance, &Value::Null);
        let retrieve = c.sent_one();
        c.reply(&retrieve, &task(1, "a"));
        event(&mut c, &instance, &payload);
        let retrieve = c.sent_one();
        assert_eq!(retrieve["payload"]["pk"], 1, "{payload}");
        c.reply(&retrieve, &task(1, "b"));
        assert_eq!(rows(&c, key), [task(1, "b")]);
    }
}

#[test]
fn v4_key_at_is_a_json_pointer() {
    let mut c = Conversation::connected();
    for pointer in ["message/pk", "", "$.message.pk"] {
        let rejected = c.session.collect(tasks().key_at(pointer), c.now).unwrap_err();
        let RejectReason::InvalidArgument { argument, .. } = &rejected.reason else {
            panic!("{}", rejected.reason);
        };
        assert_eq!(argument, "key_at");
        assert_eq!(
            rejected.to_string(),
            format!("argument `key_at`: `{pointer}` is no JSON pointer such as `/message/pk`")
        );
    }
}
