//! When a collection lists again, and when its list can't be used.

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn v8_list_without_any_key_ends_the_collection() {
    let row = |id: u64| json!({"id": id, "title": "a"});
    let mut c = Conversation::connected();
    let key = collect(&mut c, tasks());
    let feed = c.sent_one();
    c.reply(&feed, &Value::Null);
    let list = c.sent_one();
    c.reply(&list, &json!([row(1), row(2)]));
    let error = CollectionError::WithoutKeys { pk_field: "pk".to_owned() };
    assert_eq!(
        error.to_string(),
        "no row of the list has a primary key in the field `pk` (`pk_field` says where it is)"
    );
    assert_eq!(status(&c, key), CollectionStatus::Ended(error));
    assert_eq!(c.sent_actions(), ["unsubscribe_all"]);

    // One row with a key is enough, and so is an empty list.
    let with_one = json!([row(1), {"title": "no key"}]);
    live(&mut Conversation::connected(), tasks().pk_field("id"), &with_one);
    live(&mut Conversation::connected(), tasks(), &json!([]));
}

#[test]
fn v4_row_that_can_not_be_retrieved_is_listed_long_before_the_next_resync() {
    let mut c = Conversation::connected();
    let (key, feed) = live(&mut c, tasks().resync_every(HOUR), &json!([]));
    c.event(&feed, "create", &json!({"pk": 1}));
    let retrieve = c.sent_one();
    c.reply_error(&retrieve, 405);
    c.advance(Duration::from_secs(5));
    let list = c.sent_one();
    c.reply(&list, &json!([task(1, "a")]));
    assert_eq!(rows(&c, key), [task(1, "a")]);
}

#[test]
fn v13_row_that_is_not_subscribed_again_does_not_keep_the_list_back_until_the_next_resync() {
    let mut c = Conversation::connected();
    let key = collect(&mut c, Collect::new("tasks").instances().resync_every(HOUR));
    let list = c.sent_one();
    c.reply(&list, &json!([task(1, "a")]));
    let instance = c.sent_one();
    c.reply(&instance, &Value::Null);
    let retrieve = c.sent_one();
    c.reply(&retrieve, &task(1, "a"));
    c.disconnect(closed(1012));
    c.reconnect();
    assert_eq!(c.sent_actions(), ["subscribe_instance"]);
    c.advance_alive(Duration::from_secs(5));
    let list = c.sent_one();
    c.reply(&list, &json!([task(1, "b")]));
    assert_eq!(rows(&c, key), [task(1, "b")]);
}

#[test]
fn v3_row_that_has_come_to_another_feed_first_stays() {
    for exists in [true, false] {
        for versioned in [true, false] {
            let mut c = Conversation::connected();
            let of = |project: u64| Subscribe::new("tasks", FEED).arg("project", project);
            let mut both = Collect::new("tasks").feed(of(1)).feed(of(2));
            if versioned {
                both = both.version(|row: &Json| row.decode::<Value>().ok()?["version"].as_u64());
            }
            let key = collect(&mut c, both);
            let feeds = c.sent();
            for feed in &feeds {
                c.reply(feed, &Value::Null);
            }
            let list = c.sent_one();
            c.reply(&list, &json!([version(1, 5)]));
            c.event(&feeds[1], "create", &version(1, 6));
            c.event(&feeds[0], "delete", &version(1, 6));
            assert_eq!(rows(&c, key), [version(1, 6)]);
            let retrieve = c.sent_one();
            if exists {
                c.reply(&retrieve, &version(1, 6));
            } else {
                c.reply_error(&retrieve, 404);
            }
            assert_eq!(rows(&c, key).len(), usize::from(exists));
        }
    }
}

/// Plays a list of two pages.
fn two_pages(c: &mut Conversation, rows: &[Value]) {
    for _ in 0..2 {
        let request = c.sent_one();
        assert_eq!(request["payload"]["action"], "list");
        let offset = request["payload"].get("offset").map_or(0, |offset| offset.as_u64().unwrap());
        let from = usize::try_from(offset).unwrap();
        let page = &rows[from..rows.len().min(from + 2)];
        let count = rows.len();
        c.reply(&request, &json!({"count": count, "limit": 2, "offset": offset, "results": page}));
    }
}

#[test]
fn v5_rows_that_moved_before_the_last_page_are_listed_again_when_the_events_come_late() {
    let mut c = Conversation::connected();
    let key = collect(&mut c, tasks());
    let feed = c.sent_one();
    c.reply(&feed, &Value::Null);
    // Row 3 moved to the first page after that was read, and the count is as it was.
    two_pages(&mut c, &[task(1, "a"), task(2, "b"), task(4, "d")]);
    c.event(&feed, "delete", &json!({"pk": 1}));
    c.event(&feed, "create", &task(4, "d"));
    assert_eq!(rows(&c, key), [task(2, "b"), task(4, "d")]);
    c.advance(Duration::from_secs(5));
    let all = [task(2, "b"), task(3, "c"), task(4, "d")];
    two_pages(&mut c, &all);
    assert_eq!(rows(&c, key), all);

    // Rows that keep moving are listed less and less often.
    let mut listed = c.session.stats().relists;
    let mut times = Vec::new();
    for second in 0..120_u64 {
        c.event(&feed, "create", &task(100 + second, "new"));
        c.advance_alive(Duration::from_secs(1));
        if c.session.stats().relists > listed {
            listed += 1;
            times.push(second);
            two_pages(&mut c, &all);
        }
    }
    assert_eq!(times, [9, 29, 49, 69, 89, 109]);
    // A row that moves long after the list moved no page of it.
    c.advance_alive(Duration::from_secs(20));
    two_pages(&mut c, &all);
    c.advance_alive(Duration::from_secs(5));
    c.event(&feed, "delete", &task(4, "d"));
    c.advance_alive(Duration::from_secs(60));
    assert!(c.sent().is_empty());
}

#[test]
fn v9_pages_of_a_relist_do_not_count_beside_the_rows() {
    let limit = Limit { count: 3, bytes: 1 << 20 };
    let mut c = Conversation::connected_with(|config| config.collections = limit);
    let all = [task(1, "a"), task(2, "b"), task(3, "c")];
    let (key, _) = live(&mut c, tasks(), &json!(all));
    for rows in [&all, &[task(1, "d"), task(2, "e"), task(3, "f")]] {
        c.session.resync(key, c.now);
        two_pages(&mut c, rows);
        assert_eq!(status(&c, key), CollectionStatus::Live);
    }
    c.session.resync(key, c.now);
    two_pages(&mut c, &[task(1, "a"), task(2, "b"), task(3, "c"), task(4, "d")]);
    assert!(matches!(
        status(&c, key),
        CollectionStatus::Ended(CollectionError::TooLarge { count: 4, .. })
    ));
}

#[test]
fn v5_row_that_was_gone_before_the_list_moves_no_page() {
    let mut c = Conversation::connected();
    let (key, feed) = live(&mut c, tasks(), &json!([task(1, "a"), task(2, "b"), task(3, "c")]));
    c.event(&feed, "update", &json!({"pk": 1}));
    let retrieve = c.sent_one();
    c.session.resync(key, c.now);
    let list = c.sent_one();
    c.reply_error(&retrieve, 404);
    let page = |offset: u64, rows: &[Value]| json!({"count": 3, "limit": 2, "offset": offset, "results": rows});
    c.reply(&list, &page(0, &[task(2, "b"), task(3, "c")]));
    let second = c.sent_one();
    c.reply(&second, &page(2, &[task(4, "d")]));
    assert_eq!(rows(&c, key), [task(2, "b"), task(3, "c"), task(4, "d")]);
    assert!(c.sent().is_empty(), "it is not listed again");
}
