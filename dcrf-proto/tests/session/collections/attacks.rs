//! Servers, networks and programs at their worst.

use std::cmp::Ordering;

use super::*;
use dcrf_proto::ConnectionError;

const HOUR: Duration = Duration::from_secs(3600);

/// A description whose key stands where DCRF's documentation puts it, in several groups.
fn event_without_data(c: &mut Conversation, feed: &Value, action: &str, pk: u64) {
    let id = &feed["payload"]["request_id"];
    let payload = json!({"message": {"pk": pk}, "action": action, "request_id": id});
    c.receive(&json!({"stream": "tasks", "payload": payload}));
}

/// Applies all batches of a reader to its last state.
fn catch_up(c: &mut Conversation, key: CollectionKey, state: &mut BTreeMap<Pk, Value>) {
    for (pk, row) in batch(c, key) {
        match row {
            Some(row) => _ = state.insert(pk, row),
            None => assert!(state.remove(&pk).is_some(), "{pk} was never there"),
        }
    }
}

#[test]
fn v9_reader_that_stops_reading_causes_no_lists_and_keeps_few_removed_rows() {
    let limit = Limit { count: 10, bytes: 1 << 20 };
    let mut c = Conversation::connected_with(|config| config.collections = limit);
    let (key, feed) = live(&mut c, tasks(), &json!([task(1, "a")]));
    let mut state = BTreeMap::new();
    catch_up(&mut c, key, &mut state);
    let mut lists = 0;
    for pk in 2..200 {
        c.event(&feed, "create", &task(pk, "b"));
        c.event(&feed, "delete", &json!({"pk": pk}));
        for list in c.sent() {
            assert_eq!(list["payload"]["action"], "list");
            lists += 1;
            c.reply(&list, &json!([task(1, "a")]));
        }
        assert!(c.sent().is_empty(), "a list follows another, after row {pk}");
    }
    assert!((10..=20).contains(&lists), "{lists}");
    c.event(&feed, "delete", &json!({"pk": 1}));
    let changes = batch(&mut c, key);
    assert_eq!(changes, [(Pk::from(1), None)], "what it never had is nothing to it");
}

#[test]
fn v9_row_that_was_deleted_before_it_came_is_removed_from_who_has_it() {
    let mut c = Conversation::connected();
    let (key, feed) = live(&mut c, versioned(), &json!([]));
    let lagging = collect(&mut c, versioned());
    let (mut state, mut other) = (BTreeMap::new(), BTreeMap::new());
    catch_up(&mut c, key, &mut state);
    catch_up(&mut c, lagging, &mut other);
    c.event(&feed, "delete", &version(1, 1));
    for n in 1..4 {
        c.event(&feed, "create", &version(1, 2 * n));
        catch_up(&mut c, key, &mut state);
        assert_eq!(state.len(), 1);
        c.event(&feed, "delete", &version(1, 2 * n));
        catch_up(&mut c, key, &mut state);
        assert!(state.is_empty());
    }
    assert!(batch(&mut c, lagging).is_empty());
}

#[test]
fn v4_list_that_is_asked_for_during_a_list_is_not_lost() {
    let mut c = Conversation::connected();
    let slugs = tasks().lookup_field("slug");
    let (key, feed) = live(&mut c, slugs, &json!([]));
    c.session.resync(key, c.now);
    let list = c.sent_one();
    // The list was read before.
    c.event(&feed, "create", &json!({"pk": 1}));
    c.reply(&list, &json!([]));
    c.advance(Duration::from_secs(5));
    let list = c.sent_one();
    let row = json!({"pk": 1, "slug": "one"});
    c.reply(&list, &json!([row]));
    assert_eq!(rows(&c, key), [row]);
    c.advance_alive(HOUR);
    assert!(c.sent().is_empty());
}

#[test]
fn v3_delete_without_data_of_one_of_several_feeds_is_in_doubt() {
    for exists in [true, false] {
        let mut c = Conversation::connected();
        let of = |project: u64| Subscribe::new("tasks", FEED).arg("project", project);
        let both = Collect::new("tasks").feed(of(1)).feed(of(2)).key_at("/message/pk");
        let key = collect(&mut c, both);
        let feeds = c.sent();
        for feed in &feeds {
            c.reply(feed, &Value::Null);
        }
        let list = c.sent_one();
        c.reply(&list, &json!([task(1, "a")]));
        // It has moved from the first to the second group.
        event_without_data(&mut c, &feeds[1], "create", 1);
        let retrieve = c.sent_one();
        c.reply(&retrieve, &task(1, "b"));
        event_without_data(&mut c, &feeds[0], "delete", 1);
        assert_eq!(rows(&c, key), [task(1, "b")]);
        let retrieve = c.sent_one();
        if exists {
            c.reply(&retrieve, &task(1, "b"));
        } else {
            c.reply_error(&retrieve, 404);
        }
        assert_eq!(rows(&c, key).len(), usize::from(exists));
    }
}

#[test]
fn v2_delete_without_data_is_verified() {
    let mut c = Conversation::connected();
    let quiet = Duration::from_secs(2);
    let description = tasks().key_at("/message/pk").verify(quiet);
    let (key, feed) = live(&mut c, description, &json!([task(1, "a")]));
    event_without_data(&mut c, &feed, "delete", 1);
    assert!(rows(&c, key).is_empty());
    c.advance(quiet);
    let retrieve = c.sent_one();
    c.reply(&retrieve, &task(1, "again"));
    assert_eq!(rows(&c, key), [task(1, "again")]);
}

/// As of a float that the program takes for one that can be compared.
#[derive(PartialEq, Eq, PartialOrd)]
struct Incomparable(u64);

#[expect(clippy::derive_ord_xor_partial_ord, reason = "it is wrong on purpose")]
impl Ord for Incomparable {
    fn cmp(&self, other: &Self) -> Ordering {
        assert!(self.0 != 13 && other.0 != 13, "expected in the output of this test");
        self.0.cmp(&other.0)
    }
}

#[test]
fn v2_version_that_panics_when_it_is_compared_costs_only_itself() {
    let mut c = Conversation::connected();
    let incomparable = tasks()
        .version(|row: &Json| Some(Incomparable(row.decode::<Value>().ok()?["version"].as_u64()?)));
    let (key, feed) = live(&mut c, incomparable, &json!([version(1, 5), version(2, 5)]));
    c.event(&feed, "update", &version(1, 13));
    c.event(&feed, "update", &version(2, 4));
    c.event(&feed, "update", &version(2, 6));
    assert_eq!(rows(&c, key), [version(1, 13), version(2, 6)]);
    c.event(&feed, "update", &version(1, 6));
    assert_eq!(rows(&c, key), [version(1, 6), version(2, 6)]);
}

#[test]
fn v3_update_behind_a_delete_without_a_version_is_verified() {
    for exists in [true, false] {
        let mut c = Conversation::connected();
        let (key, feed) = live(&mut c, versioned(), &json!([version(1, 5)]));
        // Another process has updated it before it was deleted, and sends that later.
        c.event(&feed, "delete", &json!({"pk": 1}));
        c.event(&feed, "update", &version(1, 6));
        assert!(rows(&c, key).is_empty());
        let retrieve = c.sent_one();
        if exists {
            c.reply(&retrieve, &version(1, 7));
        } else {
            c.reply_error(&retrieve, 404);
        }
        assert_eq!(rows(&c, key).len(), usize::from(exists));
    }
}

#[test]
fn v3_listed_row_with_a_delete_without_a_version_behind_it_is_verified() {
    let mut c = Conversation::connected();
    let (key, feed) = live(&mut c, versioned(), &json!([version(1, 5)]));
    c.session.resync(key, c.now);
    let list = c.sent_one();
    c.event(&feed, "delete", &json!({"pk": 1}));
    // It was updated before it was deleted, and the list was read between.
    c.reply(&list, &json!([version(1, 6)]));
    assert!(rows(&c, key).is_empty());
    let retrieve = c.sent_one();
    c.reply_error(&retrieve, 404);
    assert!(rows(&c, key).is_empty());
}

#[test]
fn v4_row_is_retrieved_with_the_arguments_of_the_list() {
    let quiet = Duration::from_secs(2);
    let list = || Request::list("tasks").arg("project", 1);
    let own = || Request::new("tasks", "retrieve").arg("team", 2);
    for (retrieve, project, team) in [
        (tasks().list(list()), json!(1), json!(null)),
        (tasks().list(list()).retrieve(own()), json!(null), json!(2)),
        (tasks().retrieve(own()).list(list()), json!(null), json!(2)),
    ] {
        let mut c = Conversation::connected();
        let (key, feed) = live(&mut c, retrieve.verify(quiet), &json!([task(1, "a")]));
        // It has left the project: it exists, but must not come back.
        c.event(&feed, "delete", &json!({"pk": 1}));
        c.advance(quiet);
        let retrieve = c.sent_one();
        let payload = &retrieve["payload"];
        assert_eq!(
            (&payload["pk"], &payload["project"], &payload["team"]),
            (&json!(1), &project, &team)
        );
        c.reply_error(&retrieve, 404);
        assert!(rows(&c, key).is_empty());
    }
}

#[test]
fn v9_rows_that_wait_to_be_retrieved_are_bounded() {
    let limit = Limit { count: 100, bytes: 1 << 20 };
    let mut c = Conversation::connected_with(|config| config.collections = limit);
    let (key, feed) = live(&mut c, tasks(), &json!([]));
    let mut retrieves = 0;
    let mut list = None;
    for pk in 0..1_000 {
        c.event(&feed, "create", &json!({"pk": pk}));
        for frame in c.sent() {
            match frame["payload"]["action"].as_str() {
                Some("list") => list = Some(frame),
                _ => retrieves += 1,
            }
        }
    }
    assert_eq!(retrieves, 16);
    let list = list.expect("a list has less to say");
    c.reply(&list, &json!([task(1, "a")]));
    assert_eq!(status(&c, key), CollectionStatus::Live);
}

#[test]
fn v5_row_with_a_lone_surrogate_is_unchanged_in_the_next_list() {
    let mut c = Conversation::connected();
    let (key, feed) = live(&mut c, tasks(), &json!([]));
    let id = &feed["payload"]["request_id"];
    let row = r#"{"pk":1,"title":"\ud800"}"#;
    let text = format!(
        r#"{{"stream":"tasks","payload":{{"action":"create","data":{row},"request_id":{id},"response_status":200,"errors":[]}}}}"#
    );
    c.session.handle_text(c.epoch(), &text, c.now);
    assert_eq!(batch(&mut c, key).len(), 1);
    c.session.resync(key, c.now);
    let list = c.sent_one();
    let id = &list["payload"]["request_id"];
    let text = format!(
        r#"{{"stream":"tasks","payload":{{"action":"list","data":[{row}],"request_id":{id},"response_status":200,"errors":[]}}}}"#
    );
    c.session.handle_text(c.epoch(), &text, c.now);
    assert!(batch(&mut c, key).is_empty());
    assert_eq!(c.session.stats().repairs, 0);
}

#[test]
fn v7_retrieve_that_is_overtaken_by_a_list_is_repeated() {
    let mut c = Conversation::connected();
    let (key, feed) = live(&mut c, tasks(), &json!([task(1, "a")]));
    c.event(&feed, "update", &json!({"pk": 1}));
    let retrieve = c.sent_one();
    c.session.resync(key, c.now);
    let list = c.sent_one();
    // The two are served by different tasks of the server.
    c.reply(&list, &json!([task(1, "newest")]));
    c.reply(&retrieve, &task(1, "newer"));
    let again = c.sent_one();
    c.reply(&again, &task(1, "newest"));
    assert_eq!(rows(&c, key), [task(1, "newest")]);
    assert!(c.sent().is_empty());
}

#[test]
fn v8_retrieve_that_returns_no_object_is_listed_instead() {
    for reply in [json!(null), json!([]), json!("gone"), json!(7)] {
        let mut c = Conversation::connected();
        let (key, feed) = live(&mut c, tasks(), &json!([task(1, "a")]));
        c.event(&feed, "update", &json!({"pk": 1}));
        let retrieve = c.sent_one();
        c.reply(&retrieve, &reply);
        assert_eq!(rows(&c, key), [task(1, "a")], "{reply}");
        c.advance(Duration::from_secs(5));
        let list = c.sent_one();
        c.reply(&list, &json!([task(1, "b")]));
        assert_eq!(rows(&c, key), [task(1, "b")]);
    }
}

#[test]
fn v6_list_with_instances_that_ends_connections_waits_for_as_long() {
    let backoff = |config: &mut Config| config.backoff.maximum = Duration::from_millis(100);
    let mut c = Conversation::connected_with(backoff);
    let key = collect(&mut c, Collect::new("tasks").instances().resync_every(HOUR));
    let list = c.sent_one();
    c.reply(&list, &json!([task(1, "a")]));
    for death in 0..6 {
        c.disconnect(closed(1011));
        c.reconnect();
        let mut instance = c.sent_one();
        let began = c.now;
        if death < 3 {
            c.reply(&instance, &Value::Null);
            assert_eq!(c.sent_actions(), ["list"]);
            continue;
        }
        // The row is not live in time.
        loop {
            c.advance_alive(Duration::from_secs(1));
            let sent = c.sent();
            if sent.iter().any(|frame| frame["payload"]["action"] == "list") {
                break;
            }
            instance = sent.into_iter().next().unwrap_or(instance);
        }
        let waited = c.now - began;
        let least = Duration::from_secs(4 << (death - 3));
        assert!(waited >= least, "only {waited:?} after {death} deaths");
    }
    assert!(!status(&c, key).is_live());
}

#[test]
fn v5_pages_that_repeat_for_ever_end_the_collection() {
    let mut c = Conversation::connected();
    let key = collect(&mut c, tasks());
    let feed = c.sent_one();
    c.reply(&feed, &Value::Null);
    for n in 0..200 {
        let Some(list) = c.sent().pop().filter(|sent| sent["payload"]["action"] == "list") else {
            break;
        };
        // Each page names the other as the next one.
        let (next, pk) = if n % 2 == 0 { ("b", 1) } else { ("a", 2) };
        c.reply(&list, &json!({"next": next, "previous": null, "results": [task(pk, "a")]}));
    }
    let status = status(&c, key);
    assert!(matches!(status, CollectionStatus::Ended(CollectionError::Decode(_))), "{status}");
}

#[test]
fn v4_row_that_is_too_large_to_be_retrieved_is_not_retrieved_for_ever() {
    let mut c = Conversation::connected();
    let (key, feed) = live(&mut c, tasks(), &json!([task(1, "a")]));
    c.event(&feed, "update", &json!({"pk": 1}));
    let retrieve = c.sent_one();
    let envelope = json!({"stream": "tasks", "payload": {"action": "retrieve", "data": {},
        "request_id": retrieve["payload"]["request_id"], "response_status": 200}});
    c.session.handle_too_large(c.epoch(), &envelope.to_string(), 5_000_000, 4_194_304, c.now);
    assert_eq!(rows(&c, key), [task(1, "a")]);
    c.advance(Duration::from_secs(5));
    // The list may have less of each row.
    let list = c.sent_one();
    assert_eq!(list["payload"]["action"], "list");
    c.reply(&list, &json!([task(1, "b")]));
    assert_eq!(rows(&c, key), [task(1, "b")]);
    c.advance_alive(HOUR);
    assert!(c.sent().is_empty());
}

#[test]
fn f5_list_whose_message_is_too_large_to_be_read_is_not_repeated() {
    let mut c = Conversation::connected();
    let (key, _) = live(&mut c, tasks(), &json!([task(1, "a")]));
    c.session.resync(key, c.now);
    assert_eq!(c.sent_actions(), ["list"]);
    let (size, limit) = (100 << 20, 64 << 20);
    c.disconnect(ConnectionError::TooLarge { size, limit });
    let error = CollectionError::List(RequestError::ReplyTooLarge { size, limit });
    assert_eq!(status(&c, key), CollectionStatus::Ended(error));
    assert_eq!(rows(&c, key), [task(1, "a")]);
    c.reconnect();
    assert!(c.sent().is_empty());
}

#[test]
fn v12_intervals_of_any_length_are_accepted() {
    for interval in [Duration::MAX, Duration::from_secs(u64::MAX / 2), Duration::ZERO] {
        let mut c = Conversation::connected();
        let description = tasks().resync_every(interval).verify(interval);
        let (key, feed) = live(&mut c, description, &json!([task(1, "a")]));
        c.event(&feed, "update", &task(1, "b"));
        c.advance_alive(Duration::from_secs(1));
        // No more than one list and one retrieve are in flight.
        assert_eq!(c.sent().len(), if interval.is_zero() { 2 } else { 0 });
        assert_eq!(rows(&c, key), [task(1, "b")]);
    }
}

#[test]
fn v5_row_that_is_listed_twice_is_as_it_was_listed_last() {
    for moved in [false, true] {
        let mut c = Conversation::connected();
        let all = [task(1, "a"), task(2, "b"), task(3, "c")];
        let (key, feed) = live(&mut c, tasks(), &json!(all));
        let mut state = BTreeMap::new();
        catch_up(&mut c, key, &mut state);
        c.session.resync(key, c.now);
        let list = c.sent_one();
        if moved {
            // The row goes and comes while it is listed, and another takes the place of one that is gone.
            c.event(&feed, "delete", &json!({"pk": 2}));
            c.event(&feed, "create", &task(4, "d"));
            c.event(&feed, "create", &task(2, "b"));
            for frame in c.sent() {
                c.reply(&frame, &task(2, "b"));
            }
        }
        let page =
            [task(1, "x"), task(1, "a"), task(2, "b"), task(3, "c"), task(3, "y"), task(1, "a")];
        c.reply(&list, &json!(page));
        let kept = if moved { vec![task(4, "d")] } else { Vec::new() };
        let expected = [vec![task(1, "a"), task(2, "b"), task(3, "y")], kept].concat();
        for frame in c.sent() {
            let pk = frame["payload"]["pk"].as_u64().unwrap();
            c.reply(&frame, &expected[usize::try_from(pk).unwrap() - 1]);
        }
        assert_eq!(rows(&c, key), expected);
        catch_up(&mut c, key, &mut state);
        assert_eq!(state.into_values().collect::<Vec<_>>(), expected);
    }
}

#[test]
fn v5_connection_that_is_lost_in_every_state_of_a_list_leaves_a_sound_copy() {
    let page = |offset: u64, rows: &[Value]| json!({"count": 4, "limit": 2, "offset": offset, "results": rows});
    for step in 0..5 {
        let mut c = Conversation::connected();
        let (key, feed) = live(&mut c, tasks(), &json!([task(1, "a"), task(2, "b"), task(3, "c")]));
        let mut state = BTreeMap::new();
        catch_up(&mut c, key, &mut state);
        c.event(&feed, "update", &json!({"pk": 1}));
        let retrieve = c.sent_one();
        c.session.resync(key, c.now);
        let mut list = c.sent_one();
        if step > 0 {
            c.reply(&list, &page(0, &[task(1, "x"), task(5, "new")]));
            list = c.sent_one();
        }
        if step > 1 {
            c.event(&feed, "delete", &json!({"pk": 2}));
        }
        if step > 2 {
            c.event(&feed, "create", &json!({"pk": 6}));
        }
        if step > 3 {
            c.session.resync(key, c.now);
        }
        c.disconnect(closed(1012));
        catch_up(&mut c, key, &mut state);
        let feed = reconnect(&mut c);
        // Late answers of the connection before are answers to nothing.
        c.reply(&retrieve, &task(1, "late"));
        c.reply(&list, &page(2, &[]));
        c.reply(&feed, &Value::Null);
        let list = c.sent_one();
        let all = [task(1, "z"), task(5, "new"), task(6, "newer")];
        c.reply(&list, &json!(all));
        assert_eq!(rows(&c, key), all);
        catch_up(&mut c, key, &mut state);
        assert_eq!(state.into_values().collect::<Vec<_>>(), all);
        assert!(c.sent().is_empty());
    }
}

#[test]
fn v9_keys_of_removed_rows_are_bounded() {
    let limit = Limit { count: 1_000, bytes: 10_000 };
    let mut c = Conversation::connected_with(|config| config.collections = limit);
    let (key, feed) = live(&mut c, tasks(), &json!([task(1, "a")]));
    let mut lists = 0;
    for n in 0..100 {
        let long = format!("{n}{}", "k".repeat(1_000));
        c.event(&feed, "delete", &json!({"pk": long}));
        for list in c.sent() {
            lists += 1;
            c.reply(&list, &json!([task(1, "a")]));
        }
    }
    assert!((5..=20).contains(&lists), "{lists}");
    assert_eq!(status(&c, key), CollectionStatus::Live);
}
