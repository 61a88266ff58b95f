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

#[test]
fn v5_relist_is_a_difference() {
    let mut c = Conversation::connected();
    let (key, _) = live(&mut c, tasks(), &json!([task(1, "a"), task(2, "b"), task(3, "c")]));
    assert_eq!(batch(&mut c, key).len(), 3);
    c.disconnect(closed(1012));
    let feed = reconnect(&mut c);
    c.reply(&feed, &Value::Null);
    let list = c.sent_one();
    assert_eq!(rows(&c, key).len(), 3, "old rows stay visible");
    c.reply(&list, &json!([task(1, "a"), task(2, "x"), task(4, "d")]));
    let changes = batch(&mut c, key);
    assert_eq!(
        changes,
        [(Pk::from(3), None), (Pk::from(2), Some(task(2, "x"))), (Pk::from(4), Some(task(4, "d")))]
    );
    assert_eq!(c.session.stats().repairs, 0, "a reconnect is no repair");
}

#[test]
fn v5_list_that_fails_removes_nothing() {
    let mut c = Conversation::connected();
    let (key, _) = live(&mut c, tasks(), &json!([task(1, "a"), task(2, "b")]));
    batch(&mut c, key);
    c.session.resync(key, c.now);
    let list = c.sent_one();
    c.reply_error(&list, 500);
    assert_eq!(rows(&c, key).len(), 2);
    let stale = status(&c, key);
    assert!(matches!(
        stale,
        CollectionStatus::Stale { cause: StaleCause::List(RequestError::ErrorReply(_)), .. }
    ));
    assert!(batch(&mut c, key).is_empty());
    // It is tried again.
    c.advance(Duration::from_secs(1));
    let list = c.sent_one();
    c.reply(&list, &json!([task(2, "b")]));
    assert_eq!(status(&c, key), CollectionStatus::Live);
    assert_eq!(batch(&mut c, key), [(Pk::from(1), None)]);
}

#[test]
fn v5_pages_are_one_list() {
    let mut c = Conversation::connected();
    let key = collect(&mut c, tasks());
    let feed = c.sent_one();
    c.reply(&feed, &Value::Null);
    let first = c.sent_one();
    c.reply(
        &first,
        &json!({"count": 3, "limit": 2, "offset": 0, "results": [task(1, "a"), task(2, "b")]}),
    );
    assert!(rows(&c, key).is_empty());
    let second = c.sent_one();
    assert_eq!((&second["payload"]["limit"], &second["payload"]["offset"]), (&json!(2), &json!(2)));
    c.reply(&second, &json!({"count": 3, "limit": 2, "offset": 2, "results": [task(3, "c")]}));
    assert_eq!(rows(&c, key).len(), 3);
    assert_eq!(status(&c, key), CollectionStatus::Live);
}

#[test]
fn v5_rows_that_move_between_pages_are_listed_again() {
    let mut c = Conversation::connected();
    let key = collect(&mut c, tasks());
    let feed = c.sent_one();
    c.reply(&feed, &Value::Null);
    let page = |offset: u64, rows: &[Value]| json!({"count": 3, "limit": 2, "offset": offset, "results": rows});
    let first = c.sent_one();
    c.reply(&first, &page(0, &[task(1, "a"), task(2, "b")]));
    // Row 3 moves to the first page, which has been read.
    c.event(&feed, "delete", &json!({"pk": 1}));
    c.event(&feed, "create", &task(4, "d"));
    let second = c.sent_one();
    c.reply(&second, &page(2, &[task(4, "d")]));
    assert_eq!(status(&c, key), CollectionStatus::Loading { error: None });
    let first = c.sent_one();
    assert!(first["payload"].get("offset").is_none());
    c.reply(&first, &page(0, &[task(2, "b"), task(3, "c")]));
    let second = c.sent_one();
    c.reply(&second, &page(2, &[task(4, "d")]));
    assert_eq!(rows(&c, key), [task(2, "b"), task(3, "c"), task(4, "d")]);
}

#[test]
fn v7_answers_of_an_older_listing_are_ignored() {
    let mut c = Conversation::connected();
    let (key, _) = live(&mut c, tasks(), &json!([task(1, "a")]));
    c.session.resync(key, c.now);
    let first = c.sent_one();
    c.session.resync(key, c.now);
    let second = c.sent_one();
    c.reply(&first, &json!([]));
    assert_eq!(rows(&c, key), [task(1, "a")]);
    c.reply(&second, &json!([task(1, "a"), task(2, "b")]));
    assert_eq!(rows(&c, key).len(), 2);
}

#[test]
fn v7_page_of_an_older_connection_is_not_continued() {
    let mut c = Conversation::connected();
    let key = collect(&mut c, tasks());
    let feed = c.sent_one();
    c.reply(&feed, &Value::Null);
    let first = c.sent_one();
    c.reply(
        &first,
        &json!({"count": 3, "limit": 2, "offset": 0, "results": [task(1, "old"), task(2, "old")]}),
    );
    c.sent_one();
    c.disconnect(closed(1012));
    let feed = reconnect(&mut c);
    c.reply(&feed, &Value::Null);
    let list = c.sent_one();
    assert!(list["payload"].get("offset").is_none());
    c.reply(&list, &json!([task(3, "new")]));
    assert_eq!(rows(&c, key), [task(3, "new")]);
}

#[test]
fn v12_resync_finds_and_counts_what_was_not_reported() {
    let mut c = Conversation::connected();
    let every = Duration::from_secs(60);
    let (key, _) = live(&mut c, tasks().resync_every(every), &json!([task(1, "a")]));
    batch(&mut c, key);
    c.advance_alive(Duration::from_secs(53));
    assert!(c.sent().is_empty());
    c.advance_alive(Duration::from_secs(7));
    let list = c.sent_one();
    c.reply(&list, &json!([task(1, "b"), task(2, "bulk")]));
    assert_eq!(batch(&mut c, key).len(), 2);
    assert_eq!(c.session.stats().repairs, 2);
    assert_eq!(status(&c, key), CollectionStatus::Live);
    c.advance_alive(Duration::from_secs(60));
    c.sent_one();
}

#[test]
fn v12_resync_that_is_due_is_not_lost_by_an_event() {
    let mut c = Conversation::connected();
    let interval = Duration::from_secs(60);
    let (_, feed) = live(&mut c, tasks().resync_every(interval), &json!([task(1, "a")]));
    c.advance_alive(interval / 2);
    // The program is suspended: then frames are read before timers fire.
    c.now += interval;
    c.event(&feed, "update", &task(1, "b"));
    c.advance(Duration::ZERO);
    assert_eq!(c.sent_actions(), ["list"]);
}

#[test]
fn v12_gap_on_a_connection_is_listed_over() {
    let mut c = Conversation::connected();
    let (key, feed) = live(&mut c, tasks(), &json!([task(1, "a")]));
    let envelope = json!({"stream": "tasks", "payload": {"action": "update", "data": {},
        "request_id": feed["payload"]["request_id"]}});
    c.session.handle_too_large(c.epoch(), &envelope.to_string(), 5_000_000, 4_194_304, c.now);
    assert!(!status(&c, key).is_live());
    let list = c.sent_one();
    c.reply(&list, &json!([task(1, "large")]));
    assert_eq!(status(&c, key), CollectionStatus::Live);
    assert_eq!(rows(&c, key), [task(1, "large")]);
}
