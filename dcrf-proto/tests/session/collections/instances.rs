//! Collections without a feed.

use super::*;

#[test]
fn v13_without_a_feed_it_is_listed_again() {
    let mut c = Conversation::connected();
    let rejected = c.session.collect(Collect::new("tasks"), c.now).unwrap_err();
    let expected =
        "argument `feed`: without a feed, the collection needs `instances` or `resync_every`";
    assert_eq!(rejected.to_string(), expected);
    assert_eq!(rejected.command, Collect::new("tasks"));
    let key = collect(&mut c, without_feed("tasks"));
    let list = c.sent_one();
    c.reply(&list, &json!([task(1, "a")]));
    assert_eq!(batch(&mut c, key).len(), 1);
    c.advance_alive(Duration::from_secs(60));
    let list = c.sent_one();
    c.reply(&list, &json!([task(2, "b")]));
    assert_eq!(batch(&mut c, key).len(), 2);
    c.disconnect(closed(1012));
    c.reconnect();
    let list = c.sent_one();
    c.reply(&list, &json!([]));
    assert_eq!(batch(&mut c, key), [(Pk::from(2), None)]);
}

#[test]
fn v13_rows_are_followed_one_by_one() {
    let mut c = Conversation::connected();
    let every = Duration::from_secs(60);
    let key = collect(&mut c, Collect::new("tasks").instances().resync_every(every));
    let list = c.sent_one();
    c.reply(&list, &json!([task(1, "a"), task(2, "b")]));
    assert_eq!(status(&c, key), CollectionStatus::Live);
    let instances = c.sent();
    let asked: Vec<&Value> = instances.iter().map(|frame| &frame["payload"]["pk"]).collect();
    assert_eq!(asked, [1, 2]);
    c.reply(&instances[0], &Value::Null);
    // It may have changed since it was listed.
    let retrieve = c.sent_one();
    assert_eq!(retrieve["payload"]["action"], "retrieve");
    c.reply(&retrieve, &task(1, "c"));
    c.reply_error(&instances[1], 404);
    let retrieve = c.sent_one();
    c.reply_error(&retrieve, 404);
    assert_eq!(rows(&c, key), [task(1, "c")], "a row that is gone ends nothing else");

    c.event(&instances[0], "update", &task(1, "d"));
    assert_eq!(rows(&c, key), [task(1, "d")]);
    // A new row comes with the next list.
    c.advance_alive(every);
    let list = c.sent_one();
    c.reply(&list, &json!([task(1, "d"), task(3, "new")]));
    let instance = c.sent_one();
    assert_eq!(instance["payload"]["pk"], 3);
    c.reply(&instance, &Value::Null);
    let retrieve = c.sent_one();
    c.reply(&retrieve, &task(3, "new"));
    c.event(&instances[0], "delete", &json!({"pk": 1}));
    assert_eq!(rows(&c, key), [task(3, "new")]);

    // After a reconnect, the list comes behind the replay: no row is retrieved.
    c.disconnect(closed(1012));
    c.reconnect();
    let replayed = c.sent();
    assert_eq!(replayed.len(), 2, "the server may still have row 1");
    c.reply_error(&replayed[0], 404);
    c.reply(&replayed[1], &Value::Null);
    let list = c.sent_one();
    assert_eq!(list["payload"]["action"], "list");
    c.reply(&list, &json!([task(3, "x")]));
    assert_eq!(rows(&c, key), [task(3, "x")]);
    assert!(c.sent().is_empty());
    c.session.end_collection(key, c.now);
    assert_eq!(c.sent_actions(), ["unsubscribe_instance"]);
}

#[test]
fn v13_row_that_is_not_subscribed_again_does_not_keep_the_list_back() {
    let mut c = Conversation::connected();
    let key = collect(&mut c, Collect::new("tasks").instances());
    let list = c.sent_one();
    c.reply(&list, &json!([task(1, "a"), task(2, "b")]));
    for frame in c.sent() {
        c.reply(&frame, &Value::Null);
    }
    for frame in c.sent() {
        let pk = frame["payload"]["pk"].as_u64().unwrap();
        c.reply(&frame, &task(pk, "a"));
    }
    c.disconnect(closed(1012));
    c.reconnect();
    let replayed = c.sent();
    c.reply(&replayed[0], &Value::Null);
    assert!(c.sent().is_empty());
    c.advance_alive(Duration::from_secs(5));
    let list = c.sent_one();
    c.reply(&list, &json!([task(1, "x"), task(2, "y")]));
    assert_eq!(status(&c, key), CollectionStatus::Live);
    c.reply(&replayed[1], &Value::Null);
    assert_eq!(c.sent_actions(), ["retrieve"]);
}
