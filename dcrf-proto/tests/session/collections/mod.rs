//! Live collections (rules V1 to V14), with a server that the test plays.

mod attacks;
mod instances;
mod lifecycle;
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
