//! Live collections (rules V1 to V14), with a server that the test plays.

mod attacks;
mod lists;
mod lookups;
mod unnamed;
mod writes;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::conversation::{Conversation, closed, value};
use dcrf_proto::{
    CloseOptions, CloseReason, Collect, CollectionError, CollectionKey, CollectionStatus, Config,
    Event, Json, Limit, Pk, RejectReason, Request, RequestError, StaleCause, Subscribe,
    SubscriptionError,
};
use serde_json::{Value, json};

const FEED: &str = "subscribe_all";

fn tasks() -> Collect {
    Collect::new("tasks").feed(Subscribe::new("tasks", FEED))
}

fn versioned() -> Collect {
    tasks().version(|row: &Json| row.decode::<Value>().ok()?["version"].as_u64())
}

fn collect(c: &mut Conversation, collect: Collect) -> CollectionKey {
    c.session.collect(collect, c.now).expect("the collection is accepted")
}

fn without_feed(stream: &str) -> Collect {
    Collect::new(stream).resync_every(Duration::from_secs(60))
}

fn task(pk: u64, title: &str) -> Value {
    json!({"pk": pk, "title": title})
}

/// A row of `versioned`.
fn version(pk: u64, version: u64) -> Value {
    json!({"pk": pk, "version": version})
}

/// A collection that is live, with its feed's frame.
fn live(c: &mut Conversation, description: Collect, rows: &Value) -> (CollectionKey, Value) {
    let key = collect(c, description);
    let feed = c.sent_one();
    assert_eq!(feed["payload"]["action"], FEED);
    c.reply(&feed, &Value::Null);
    let list = c.sent_one();
    assert_eq!(list["payload"]["action"], "list");
    c.reply(&list, rows);
    assert_eq!(c.session.collection_status(key), Some(&CollectionStatus::Live));
    c.events();
    (key, feed)
}

fn rows(c: &Conversation, key: CollectionKey) -> Vec<Value> {
    c.session.collection_rows(key).map(|(_, row)| value(&row)).collect()
}

/// The changed rows of the next batches, as text of the key and the row.
fn batch(c: &mut Conversation, key: CollectionKey) -> Vec<(Pk, Option<Value>)> {
    let mut changes = Vec::new();
    while let Some(batch) = c.session.poll_collection(key) {
        let rows = batch.expect("the collection has not ended").rows;
        changes.extend(rows.into_iter().map(|change| (change.key, change.row.as_ref().map(value))));
    }
    changes
}

fn status(c: &Conversation, key: CollectionKey) -> CollectionStatus {
    c.session.collection_status(key).expect("a valid key").clone()
}

/// Reconnects, and returns the frame of the replayed feed.
fn reconnect(c: &mut Conversation) -> Value {
    c.reconnect();
    c.sent_one()
}

#[test]
fn v1_list_is_requested_once_the_feed_is_live() {
    let mut c = Conversation::connected();
    let key = collect(&mut c, tasks());
    let feed = c.sent_one();
    assert!(c.sent().is_empty(), "the list waits for the acknowledgement");
    c.reply(&feed, &Value::Null);
    let list = c.sent_one();
    assert_eq!(list["payload"]["action"], "list");
    // This change may be in the list already, or may not.
    c.event(&feed, "update", &task(1, "new"));
    c.event(&feed, "create", &task(3, "created"));
    c.event(&feed, "delete", &task(2, "deleted"));
    assert!(rows(&c, key).is_empty(), "there is no list yet");
    assert!(batch(&mut c, key).is_empty());
    c.reply(&list, &json!([task(1, "old"), task(2, "deleted"), task(4, "listed")]));
    // Only the server knows which of the two is newer.
    let retrieves = c.sent();
    let asked: Vec<&Value> = retrieves.iter().map(|frame| &frame["payload"]["pk"]).collect();
    assert_eq!(asked, [1, 2]);
    assert_eq!(rows(&c, key), [task(1, "new"), task(3, "created"), task(4, "listed")]);
    c.reply(&retrieves[0], &task(1, "newest"));
    c.reply_error(&retrieves[1], 404);
    assert_eq!(rows(&c, key), [task(1, "newest"), task(3, "created"), task(4, "listed")]);
    assert_eq!(status(&c, key), CollectionStatus::Live);
}

#[test]
fn v1_feed_without_acknowledgement_on_the_same_stream_is_proved() {
    for (stream, expected) in
        [("tasks", CollectionStatus::Live), ("feeds", CollectionStatus::Unproved)]
    {
        let mut c = Conversation::connected();
        let feed = Subscribe::new(stream, FEED).without_ack();
        let key = collect(&mut c, Collect::new("tasks").feed(feed));
        let sent = c.sent();
        let actions: Vec<&Value> = sent.iter().map(|frame| &frame["payload"]["action"]).collect();
        assert_eq!(actions, [FEED, "list"]);
        c.reply(&sent[1], &json!([task(1, "a")]));
        assert_eq!(status(&c, key), expected);
        assert!(expected.is_live());
    }
}

#[test]
fn v1_change_before_the_list_is_sent_is_in_the_list() {
    let mut c = Conversation::connected();
    let key = collect(&mut c, tasks());
    let feed = c.sent_one();
    c.reply(&feed, &Value::Null);
    // The socket is full, so the list is not sent yet.
    c.event(&feed, "delete", &task(1, "deleted"));
    c.event(&feed, "update", &task(2, "older"));
    let list = c.sent_one();
    let listed = [task(1, "created again"), task(2, "newer")];
    c.reply(&list, &json!(listed));
    assert_eq!(rows(&c, key), listed);
    assert!(c.sent().is_empty(), "nothing is in doubt");
}

#[test]
fn v1_row_that_was_retrieved_before_the_list_is_older() {
    let mut c = Conversation::connected();
    let (key, feed) = live(&mut c, tasks(), &json!([task(1, "a"), task(2, "b")]));
    c.event(&feed, "update", &json!({"pk": 1}));
    c.event(&feed, "update", &json!({"pk": 2}));
    let retrieves = c.sent();
    c.session.resync(key, c.now);
    let list = c.sent_one();
    c.reply(&retrieves[0], &task(1, "older"));
    c.reply(&retrieves[1], &task(2, "deleted since"));
    assert_eq!(rows(&c, key), [task(1, "older"), task(2, "deleted since")]);
    c.reply(&list, &json!([task(1, "newer")]));
    assert_eq!(rows(&c, key), [task(1, "newer")]);
    assert!(c.sent().is_empty(), "nothing is in doubt");
}

#[test]
fn v2_older_version_never_replaces_a_newer_one() {
    let mut c = Conversation::connected();
    let (key, feed) = live(&mut c, versioned(), &json!([version(1, 5)]));
    c.event(&feed, "update", &version(1, 4));
    assert_eq!(rows(&c, key), [version(1, 5)]);
    c.event(&feed, "update", &version(1, 6));
    assert_eq!(rows(&c, key), [version(1, 6)]);
    c.session.resync(key, c.now);
    let list = c.sent_one();
    c.reply(&list, &json!([version(1, 5)]));
    assert_eq!(rows(&c, key), [version(1, 6)]);
}

#[test]
fn v2_row_is_verified_when_it_has_not_changed_for_a_while() {
    let mut c = Conversation::connected();
    let quiet = Duration::from_secs(2);
    let (key, feed) = live(&mut c, tasks().verify(quiet), &json!([task(1, "a")]));
    c.event(&feed, "update", &task(1, "b"));
    c.advance(Duration::from_secs(1));
    c.event(&feed, "update", &task(1, "stale"));
    c.advance(Duration::from_secs(1));
    assert!(c.sent().is_empty(), "it has changed since");
    c.advance(Duration::from_secs(1));
    let retrieve = c.sent_one();
    assert_eq!(retrieve["payload"]["action"], "retrieve");
    c.reply(&retrieve, &task(1, "b"));
    assert_eq!(rows(&c, key), [task(1, "b")]);
    c.advance(Duration::from_secs(10));
    assert!(c.sent().is_empty(), "a reply is not verified");
    assert_eq!(c.session.stats().verifications, 1);
}

#[test]
fn v2_delete_is_verified_too() {
    let mut c = Conversation::connected();
    let quiet = Duration::from_secs(2);
    let (key, feed) = live(&mut c, tasks().verify(quiet), &json!([task(1, "a")]));
    // It was deleted and created again, and the events have come in the other order.
    c.event(&feed, "create", &task(1, "again"));
    c.event(&feed, "delete", &json!({"pk": 1}));
    assert!(rows(&c, key).is_empty());
    c.advance(quiet);
    let retrieve = c.sent_one();
    c.reply(&retrieve, &task(1, "again"));
    assert_eq!(rows(&c, key), [task(1, "again")]);
}

#[test]
fn v3_update_behind_a_delete_is_verified_before_it_shows() {
    for (exists, expected) in [(false, vec![]), (true, vec![task(1, "again")])] {
        let mut c = Conversation::connected();
        let (key, feed) = live(&mut c, tasks(), &json!([task(1, "a")]));
        c.event(&feed, "delete", &json!({"pk": 1}));
        assert!(rows(&c, key).is_empty());
        c.event(&feed, "update", &task(1, "late"));
        assert!(rows(&c, key).is_empty());
        let retrieve = c.sent_one();
        if exists {
            c.reply(&retrieve, &task(1, "again"));
        } else {
            c.reply_error(&retrieve, 404);
        }
        assert_eq!(rows(&c, key), expected);
    }
}

#[test]
fn v3_tombstone_of_a_version_needs_a_newer_one() {
    let mut c = Conversation::connected();
    let (key, feed) = live(&mut c, versioned(), &json!([version(1, 5)]));
    c.event(&feed, "delete", &version(1, 5));
    c.event(&feed, "update", &version(1, 5));
    assert!(rows(&c, key).is_empty());
    assert!(c.sent().is_empty());
    c.event(&feed, "create", &version(1, 6));
    assert_eq!(rows(&c, key), [version(1, 6)]);
    // It has left its group and come back, and the events come in another order.
    c.event(&feed, "delete", &version(1, 5));
    assert_eq!(rows(&c, key), [version(1, 6)]);
    let retrieve = c.sent_one();
    c.reply(&retrieve, &version(1, 6));
    assert_eq!(rows(&c, key), [version(1, 6)]);
}

/// A feed sends whole objects, and calls the key as the serializer does.
#[test]
fn v3_delete_of_a_whole_row_has_the_key_of_the_collection() {
    let row = |id: u64| json!({"id": id, "title": "a"});
    let own = Subscribe::new("tasks", FEED).pk_field("uid");
    let own = Collect::new("tasks").pk_field("id").feed(own);
    for (description, key_of_deletes) in [(tasks().pk_field("id"), "id"), (own, "uid")] {
        let mut c = Conversation::connected();
        let (key, feed) = live(&mut c, description, &json!([row(1), row(2)]));
        c.event(&feed, "delete", &json!({key_of_deletes: 1, "title": "a"}));
        assert_eq!(rows(&c, key), [row(2)]);
        assert_eq!(c.session.stats().rows_without_key, 0);
    }
}

#[test]
fn v3_row_that_moves_between_two_feeds_stays() {
    for exists in [true, false] {
        let mut c = Conversation::connected();
        let of = |project: u64| Subscribe::new("tasks", FEED).arg("project", project);
        let both = Collect::new("tasks").feed(of(1)).feed(of(2));
        let both = both.version(|row: &Json| row.decode::<Value>().ok()?["version"].as_u64());
        let key = collect(&mut c, both);
        let feeds = c.sent();
        for feed in &feeds {
            c.reply(feed, &Value::Null);
        }
        let list = c.sent_one();
        c.reply(&list, &json!([version(1, 5)]));
        // Both events have the same state of the row.
        c.event(&feeds[0], "delete", &version(1, 6));
        c.event(&feeds[1], "create", &version(1, 6));
        let retrieve = c.sent_one();
        if exists {
            c.reply(&retrieve, &version(1, 6));
            assert_eq!(rows(&c, key), [version(1, 6)]);
        } else {
            c.reply_error(&retrieve, 404);
            assert!(rows(&c, key).is_empty());
        }
        // An older event says nothing about where it is now.
        c.event(&feeds[0], "delete", &version(1, 7));
        c.event(&feeds[0], "update", &version(1, 5));
        assert!(rows(&c, key).is_empty());
        assert!(c.sent().is_empty());
    }
}

#[test]
fn v4_changes_without_data_are_fetched() {
    let mut c = Conversation::connected();
    let (key, feed) = live(&mut c, tasks(), &json!([task(1, "a"), task(2, "b")]));
    c.event(&feed, "update", &json!({"pk": 1}));
    let first = c.sent_one();
    // It changes while it is read.
    c.event(&feed, "update", &json!({"pk": 1}));
    c.event(&feed, "update", &json!({"pk": 1}));
    assert!(c.sent().is_empty());
    c.reply(&first, &task(1, "b"));
    let second = c.sent_one();
    c.reply(&second, &task(1, "c"));
    assert_eq!(rows(&c, key), [task(1, "c"), task(2, "b")]);
    c.event(&feed, "create", &json!({"pk": 3}));
    let gone = c.sent_one();
    c.reply_error(&gone, 404);
    assert_eq!(rows(&c, key), [task(1, "c"), task(2, "b")]);
    assert!(c.sent().is_empty());
}

#[test]
fn v4_events_in_the_form_of_the_documentation_are_fetched() {
    let mut c = Conversation::connected();
    let feed = Subscribe::new("tasks", FEED).without_ack();
    let key = collect(&mut c, Collect::new("tasks").feed(feed).key_at("/message/pk"));
    let sent = c.sent();
    c.reply(&sent[1], &json!([task(1, "a"), task(2, "b")]));
    let event = |c: &mut Conversation, action: &str, message: &Value| {
        let id = &sent[0]["payload"]["request_id"];
        let payload = json!({"message": message, "action": action, "request_id": id});
        c.receive(&json!({"stream": "tasks", "payload": payload}));
    };
    event(&mut c, "update", &json!({"pk": 1}));
    let retrieve = c.sent_one();
    c.reply(&retrieve, &task(1, "c"));
    event(&mut c, "delete", &json!({"pk": 2}));
    for nothing in [json!({"id": 1}), json!(null), json!({"pk": [1]})] {
        event(&mut c, "update", &nothing);
    }
    assert!(c.sent().is_empty());
    assert_eq!(rows(&c, key), [task(1, "c")]);
}

#[test]
fn v4_sixteen_rows_are_fetched_at_once() {
    let mut c = Conversation::connected();
    let (key, feed) = live(&mut c, tasks(), &json!([]));
    for pk in 0..40 {
        c.event(&feed, "create", &json!({"pk": pk}));
    }
    let mut fetched = 0;
    loop {
        let frames = c.sent();
        if frames.is_empty() {
            break;
        }
        assert!(frames.len() <= 16, "{}", frames.len());
        for frame in frames {
            fetched += 1;
            c.reply(&frame, &task(frame["payload"]["pk"].as_u64().unwrap(), "a"));
        }
    }
    assert_eq!((fetched, rows(&c, key).len()), (40, 40));
}

#[test]
fn v4_row_that_can_not_be_retrieved_is_listed() {
    let mut c = Conversation::connected();
    let (key, feed) = live(&mut c, tasks(), &json!([]));
    for pk in [1, 2] {
        c.event(&feed, "create", &json!({"pk": pk}));
    }
    for frame in c.sent() {
        c.reply_error(&frame, 405);
    }
    assert!(c.sent().is_empty());
    c.advance(Duration::from_secs(5));
    let list = c.sent_one();
    c.reply(&list, &json!([task(1, "a"), task(2, "b")]));
    assert_eq!(rows(&c, key).len(), 2);
    assert!(c.sent().is_empty());
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
fn v6_status_follows_the_connection() {
    let mut c = Conversation::connected();
    let (key, _) = live(&mut c, tasks(), &json!([task(1, "a")]));
    batch(&mut c, key);
    let since = c.now;
    c.disconnect(closed(1012));
    let cause = StaleCause::Connection(closed(1012));
    assert_eq!(status(&c, key), CollectionStatus::Stale { since, cause });
    assert_eq!(rows(&c, key), [task(1, "a")]);
    let readable = Event::CollectionReadable(key);
    assert!(c.events().contains(&readable), "the status has changed");
    let feed = reconnect(&mut c);
    assert!(!status(&c, key).is_live());
    c.reply(&feed, &Value::Null);
    assert!(!status(&c, key).is_live());
    let list = c.sent_one();
    c.reply(&list, &json!([task(1, "a")]));
    assert_eq!(status(&c, key), CollectionStatus::Live);
    assert!(c.events().contains(&readable));
    assert!(batch(&mut c, key).is_empty(), "no row has changed");
}

#[test]
fn v6_status_says_why_a_collection_does_not_load() {
    let mut c = Conversation::connected();
    let key = collect(&mut c, tasks());
    let feed = c.sent_one();
    c.reply(&feed, &Value::Null);
    let list = c.sent_one();
    c.reply_error(&list, 503);
    assert!(matches!(
        status(&c, key),
        CollectionStatus::Loading { error: Some(StaleCause::List(RequestError::ErrorReply(_))) }
    ));
}

#[test]
fn v6_collection_ends_if_its_list_or_feed_can_not_work() {
    let mut c = Conversation::connected();
    let key = collect(&mut c, tasks());
    let feed = c.sent_one();
    c.reply(&feed, &Value::Null);
    let list = c.sent_one();
    c.reply_error(&list, 405);
    let error = c.session.poll_collection(key).and_then(Result::err);
    let ended = status(&c, key);
    assert!(matches!(ended, CollectionStatus::Ended(CollectionError::List(_))), "{ended:?}");
    // The batch with the new status comes first.
    assert!(error.is_none());
    assert!(matches!(c.session.poll_collection(key), Some(Err(CollectionError::List(_)))));
    assert_eq!(c.session.poll_collection(key).map(drop), None);
    assert_eq!(c.sent_actions(), ["unsubscribe_all"]);

    let key =
        collect(&mut c, Collect::new("tasks").feed(Subscribe::new("tasks", "subscribe_other")));
    let feed = c.sent_one();
    c.reply_error(&feed, 405);
    assert!(matches!(
        status(&c, key),
        CollectionStatus::Ended(CollectionError::Subscription(SubscriptionError::ErrorReply(_)))
    ));
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
fn v8_row_without_a_key_harms_no_other() {
    let mut c = Conversation::connected();
    let (key, feed) =
        live(&mut c, tasks(), &json!([task(1, "a"), {"title": "no key"}, 7, task(2, "b")]));
    c.event(&feed, "update", &json!({"title": "no key"}));
    c.event(&feed, "delete", &json!({"title": "no key"}));
    assert_eq!(rows(&c, key).len(), 2);
    assert_eq!(c.session.stats().rows_without_key, 4);
}

#[test]
fn v9_only_the_collection_that_is_too_large_ends() {
    let mut c = Conversation::connected_with(|config| {
        config.collections = Limit { count: 3, bytes: 1 << 20 };
    });
    let (key, feed) = live(&mut c, tasks(), &json!([task(1, "a"), task(2, "b"), task(3, "c")]));
    batch(&mut c, key);
    c.event(&feed, "create", &task(4, "d"));
    let limit = Limit { count: 3, bytes: 1 << 20 };
    let CollectionStatus::Ended(CollectionError::TooLarge { count: 4, limit: is, .. }) =
        status(&c, key)
    else {
        panic!("{:?}", status(&c, key));
    };
    assert_eq!(is, limit);
    assert_eq!(c.sent_actions(), ["unsubscribe_all"]);
    let other = collect(&mut c, without_feed("memos"));
    let list = c.sent_one();
    c.reply(&list, &json!([]));
    assert_eq!(status(&c, other), CollectionStatus::Live);
}

#[test]
fn v9_slow_reader_gets_each_row_once() {
    let mut c = Conversation::connected();
    let (key, feed) = live(&mut c, tasks(), &json!([]));
    batch(&mut c, key);
    for n in 0..10_000_u64 {
        c.event(&feed, "update", &task(n % 10, &n.to_string()));
    }
    c.event(&feed, "delete", &json!({"pk": 3}));
    let changes = batch(&mut c, key);
    assert_eq!(changes.len(), 9, "an insert and a delete are nothing");
    let now: BTreeMap<Pk, Option<Value>> = changes.into_iter().collect();
    assert!(!now.contains_key(&Pk::from(3)));
    assert_eq!(now[&Pk::from(9)], Some(task(9, "9999")));
    assert_eq!(c.session.stats().lagged, 0);
}

#[test]
fn v10_equal_collections_share_one_list_and_one_subscription() {
    let mut c = Conversation::connected();
    let (first, feed) = live(&mut c, versioned(), &json!([version(1, 1)]));
    let readers: Vec<CollectionKey> = (0..39).map(|_| collect(&mut c, versioned())).collect();
    assert!(c.sent().is_empty());
    c.event(&feed, "create", &version(2, 1));
    for reader in &readers {
        assert_eq!(batch(&mut c, *reader).len(), 2, "the state first");
    }
    c.event(&feed, "delete", &json!({"pk": 1}));
    for reader in &readers {
        assert_eq!(batch(&mut c, *reader), [(Pk::from(1), None)]);
        c.session.end_collection(*reader, c.now);
    }
    assert!(c.sent().is_empty());
    assert_eq!(c.session.stats().rows, 1);
    c.session.end_collection(first, c.now);
    assert_eq!(c.sent_actions(), ["unsubscribe_all"]);
    assert_eq!((c.session.stats().rows, c.session.stats().collections), (0, 0));
}

#[test]
fn v10_other_descriptions_do_not_share() {
    let mut c = Conversation::connected();
    collect(&mut c, without_feed("tasks"));
    collect(&mut c, without_feed("tasks").list(Request::list("tasks").arg("project", 3)));
    collect(&mut c, without_feed("tasks").pk_field("id"));
    assert_eq!(c.sent_actions(), ["list", "list", "list"]);
}

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

#[test]
fn v4_row_is_retrieved_by_its_lookup_field() {
    let mut c = Conversation::connected();
    let slugs = tasks().lookup_field("slug").verify(Duration::from_secs(1));
    let row = |title: &str| json!({"pk": 1, "slug": "one", "title": title});
    let (key, feed) = live(&mut c, slugs, &json!([row("a")]));
    c.event(&feed, "update", &row("b"));
    c.advance(Duration::from_secs(1));
    let retrieve = c.sent_one();
    assert_eq!(retrieve["payload"]["slug"], "one");
    assert!(retrieve["payload"].get("pk").is_none());
    c.reply(&retrieve, &row("c"));
    assert_eq!(rows(&c, key), [row("c")]);
    // The slug of a row that is not known can't be asked for.
    c.event(&feed, "create", &json!({"pk": 2}));
    assert!(c.sent().is_empty());
    c.advance(Duration::from_secs(5));
    assert_eq!(c.sent_actions(), ["list"]);
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

#[test]
fn v6_list_that_ends_connections_waits_for_longer_each_time() {
    // Shorter than the wait of the list.
    let backoff = |config: &mut Config| config.backoff.maximum = Duration::from_millis(100);
    let mut c = Conversation::connected_with(backoff);
    let key = collect(&mut c, tasks());
    let mut lists = 0;
    for _ in 0..3 {
        let feed = c.sent_one();
        c.reply(&feed, &Value::Null);
        lists += c.sent_actions().len();
        c.disconnect(closed(1011));
        c.reconnect();
    }
    let feed = c.sent_one();
    c.reply(&feed, &Value::Null);
    assert_eq!(lists, 3);
    assert!(c.sent().is_empty(), "others need the connection");
    c.advance_alive(Duration::from_secs(6));
    let list = c.sent_one();
    c.reply(&list, &json!([]));
    assert_eq!(status(&c, key), CollectionStatus::Live);
}

#[test]
fn v6_list_does_not_wait_after_planned_restarts() {
    let mut c = Conversation::connected();
    let key = collect(&mut c, tasks());
    for _ in 0..6 {
        let feed = c.sent_one();
        c.reply(&feed, &Value::Null);
        assert_eq!(c.sent_actions(), ["list"]);
        c.disconnect(closed(1012));
        c.wait_and_connect();
    }
    let feed = c.sent_one();
    c.reply(&feed, &Value::Null);
    let list = c.sent_one();
    c.reply(&list, &json!([]));
    assert_eq!(status(&c, key), CollectionStatus::Live);
}

#[test]
fn v6_list_waits_two_minutes_at_most() {
    let mut c = Conversation::connected();
    let (key, _) = live(&mut c, tasks(), &json!([]));
    c.disconnect(closed(1012));
    c.wait_and_connect();
    for deaths in 0..12 {
        let feed = c.sent_one();
        c.reply(&feed, &Value::Null);
        let began = c.now;
        let list = loop {
            if let Some(list) = c.sent().pop() {
                break list;
            }
            c.advance_alive(Duration::from_secs(1));
            assert!(c.now - began <= Duration::from_secs(121), "after {deaths} deaths");
        };
        if deaths == 11 {
            c.reply(&list, &json!([]));
            assert_eq!(status(&c, key), CollectionStatus::Live);
            return;
        }
        c.disconnect(closed(1011));
        c.wait_and_connect();
    }
}

/// As of Daphne, if the list is larger than 1 MiB. The others on the connection are served.
#[test]
fn l12_list_that_is_proved_to_end_connections_ends_its_collection() {
    for (is_acknowledged, is_alone) in [(true, true), (false, true), (true, false)] {
        let mut c = Conversation::connected_with(|config| {
            config.quarantine_window = Duration::from_secs(5);
        });
        let feed = Subscribe::new("tasks", FEED);
        let feed = if is_acknowledged { feed } else { feed.without_ack() };
        let key = collect(&mut c, Collect::new("tasks").feed(feed));
        let began = c.now;
        while !matches!(status(&c, key), CollectionStatus::Ended(_))
            && c.now - began < Duration::from_secs(1200)
        {
            let mut has_listed = false;
            for frame in c.sent() {
                match frame["payload"]["action"].as_str().unwrap() {
                    "list" => has_listed = true,
                    _ if is_acknowledged => c.reply(&frame, &Value::Null),
                    _ => {}
                }
            }
            if has_listed || c.sent_actions().contains(&"list".to_owned()) {
                if !is_alone {
                    c.request(Request::new("other", "action"));
                    c.sent();
                }
                c.disconnect(closed(1011));
                c.wait_and_connect();
            } else {
                c.advance_alive(Duration::from_secs(1));
            }
        }
        let waited = c.now - began;
        let lost = RequestError::ConnectionLost { sent: true, cause: closed(1011) };
        if is_acknowledged && is_alone {
            let error = CollectionError::List(lost);
            assert_eq!(status(&c, key), CollectionStatus::Ended(error));
            let time = Duration::from_secs(60)..Duration::from_secs(200);
            assert!(time.contains(&waited), "{waited:?}");
        } else {
            let error = Some(StaleCause::List(lost));
            assert_eq!(status(&c, key), CollectionStatus::Loading { error }, "it is not proved");
        }
    }
}

#[test]
fn c1_collections_end_with_the_session() {
    let mut c = Conversation::connected();
    let (key, _) = live(&mut c, tasks(), &json!([task(1, "a")]));
    let loading = collect(&mut c, without_feed("memos"));
    batch(&mut c, key);
    c.session.close(CloseOptions::now(), c.now);
    let closed = CollectionStatus::Ended(CollectionError::Closed(CloseReason::ByCaller));
    assert_eq!((status(&c, key), status(&c, loading)), (closed.clone(), closed));
    assert_eq!(rows(&c, key), [task(1, "a")], "the rows stay readable");
    let rejected = c.session.collect(tasks(), c.now).unwrap_err();
    assert_eq!(rejected.reason, RejectReason::Closed(CloseReason::ByCaller));
    assert!(c.unsubscribed().is_empty(), "the caller has no such subscription");
}
