//! Typed collections (rules V6 to V11).

use std::collections::BTreeMap;
use std::future::IntoFuture;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::memory::Setup;
use crate::server_frames::event;
use dcrf_proto::client::{Collection, CollectionChange, CollectionChanges, Resource};
use dcrf_proto::{
    CloseReason, Collect, CollectionError, CollectionStatus, Config, ConnectionError, Pk, Subscribe,
};
use proptest::prelude::*;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Task {
    title: String,
}

fn tasks() -> Collect {
    Collect::new("tasks").feed(Subscribe::new("tasks", "subscribe_all"))
}

fn task(pk: u64, title: &str) -> Value {
    json!({"pk": pk, "title": title})
}

/// A live collection. Its feed is the first frame.
fn live<T>(setup: &mut Setup, rows: &Value) -> Collection<T>
where
    T: DeserializeOwned + Send + Sync + 'static,
{
    let mut collecting = pin!(setup.client().collect::<T>(tasks()).into_future());
    load(setup, rows);
    Setup::poll(collecting.as_mut()).expect("it is live").unwrap()
}

/// Acknowledges the feed, and replies to the list.
fn load(setup: &mut Setup, rows: &Value) {
    setup.settle();
    setup.reply(0, 201, &Value::Null);
    setup.settle();
    setup.reply(1, 200, rows);
    setup.settle();
}

fn send(setup: &mut Setup, action: &str, data: &Value) {
    let feed = setup.network().sent[0].clone();
    setup.send_frames([event(&feed, action, data)]);
    setup.settle();
}

fn titles(collection: &Collection<Task>) -> Vec<String> {
    collection.iter().map(|task| task.title.clone()).collect()
}

/// The next batch, if there is one.
fn next<T>(changes: &mut CollectionChanges<T>) -> Option<Vec<CollectionChange<T>>>
where
    T: DeserializeOwned + Send + Sync + 'static,
{
    Setup::poll(changes.next()).map(|batch| batch.expect("it has not ended").unwrap())
}

#[test]
fn v6_collection_is_live_when_it_was_awaited() {
    let mut setup = Setup::connected();
    let board = live::<Task>(&mut setup, &json!([task(2, "b"), task(1, "a")]));
    assert_eq!(board.status(), CollectionStatus::Live);
    assert_eq!(titles(&board), ["a", "b"], "in the order of the keys");
    assert_eq!((board.len(), board.is_empty()), (2, false));
    assert_eq!(board.get(1).unwrap().title, "a");
    let key = 2_u64;
    assert_eq!(board.get(Pk::from(&key)).unwrap().title, "b");
    assert_eq!(board.get("2").unwrap().title, "b", "the server does not tell 2 from \"2\"");
    assert!(board.get(3).is_none());
    send(&mut setup, "update", &task(1, "c"));
    assert_eq!(titles(&board), ["c", "b"]);
    let (one, other) = (board.snapshot(), board.snapshot());
    assert!(Arc::ptr_eq(&one, &other));
}

/// Panics like the program's own code.
fn panics() -> ! {
    panic!("expected in the output of this test")
}

#[test]
fn v11_filter_that_panics_hides_only_its_row() {
    let mut setup = Setup::connected();
    let filter = |task: &Task| if task.title == "boom" { panics() } else { true };
    let mut collecting = pin!(setup.client().collect::<Task>(tasks()).filter(filter).into_future());
    load(&mut setup, &json!([task(1, "a"), task(2, "boom"), task(3, "c")]));
    let board = Setup::poll(collecting.as_mut()).expect("it is live").unwrap();
    assert_eq!(titles(&board), ["a", "c"]);
    let mut changes = board.changes();
    assert_eq!(next(&mut changes).unwrap().len(), 2);
    send(&mut setup, "update", &task(1, "boom"));
    send(&mut setup, "update", &task(3, "d"));
    assert_eq!(next(&mut changes).unwrap().len(), 2);
    assert_eq!(titles(&board), ["d"]);
    send(&mut setup, "update", &task(1, "a"));
    assert_eq!(titles(&board), ["a", "d"]);
}

type Order = Box<dyn Fn(&Task, &Task) -> std::cmp::Ordering + Send + Sync>;

#[test]
fn v11_order_that_contradicts_itself_or_panics_loses_no_row() {
    let calls = AtomicUsize::new(1);
    let random = move |_: &Task, _: &Task| {
        let call = calls.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (call >> 32).cmp(&(1 << 31))
    };
    let panicking = |one: &Task, other: &Task| {
        if [one, other].iter().any(|task| task.title == "7") {
            panics()
        }
        one.title.cmp(&other.title)
    };
    let orders: [Order; 2] = [Box::new(random), Box::new(panicking)];
    for order in orders {
        let mut setup = Setup::connected();
        let mut collecting =
            pin!(setup.client().collect::<Task>(tasks()).order_by(order).into_future());
        let all: Vec<Value> = (0..500).map(|pk| task(pk, &pk.to_string())).collect();
        load(&mut setup, &json!(all));
        let board = Setup::poll(collecting.as_mut()).expect("it is live").unwrap();
        let mut changes = board.changes();
        let mut state: Vec<String> = Vec::new();
        let mut expected: BTreeMap<u64, String> = (0..500).map(|pk| (pk, pk.to_string())).collect();
        for pk in 0..500 {
            if pk % 3 == 0 {
                send(&mut setup, "delete", &json!({"pk": pk}));
                expected.remove(&pk);
            } else {
                send(&mut setup, "update", &task(pk, &format!("x{pk}")));
                expected.insert(pk, format!("x{pk}"));
            }
            for change in next(&mut changes).into_iter().flatten() {
                match change {
                    CollectionChange::Inserted { row, index, .. } => {
                        state.insert(index.unwrap(), row.title.clone());
                    }
                    CollectionChange::Updated { old, row, old_index, index, .. } => {
                        assert_eq!(state.remove(old_index.unwrap()), old.title);
                        state.insert(index.unwrap(), row.title.clone());
                    }
                    CollectionChange::Removed { old, index, .. } => {
                        assert_eq!(state.remove(index.unwrap()), old.title);
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
        let mut expected: Vec<String> = expected.into_values().collect();
        expected.sort();
        for mut titles in [state, titles(&board)] {
            titles.sort();
            assert_eq!(titles, expected);
        }
    }
}

/// Its own code panics while it is decoded.
#[derive(Debug, PartialEq)]
struct Explosive(String);

impl<'de> Deserialize<'de> for Explosive {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Task { title } = Task::deserialize(deserializer)?;
        if title == "boom" {
            panics()
        }
        Ok(Self(title))
    }
}

#[test]
fn v8_row_whose_decoding_panics_harms_no_other() {
    let mut setup = Setup::connected();
    let board = live::<Explosive>(&mut setup, &json!([task(1, "a"), task(2, "boom")]));
    let titles = |board: &Collection<Explosive>| -> Vec<String> {
        board.iter().map(|row| row.0.clone()).collect()
    };
    assert_eq!(titles(&board), ["a"]);
    let mut changes = board.changes();
    let first = next(&mut changes).unwrap();
    assert!(matches!(
        &first[1],
        CollectionChange::Undecodable { key, error } if *key == 2 && error.pk == Some(Pk::from(2))
    ));
    send(&mut setup, "update", &task(2, "b"));
    send(&mut setup, "update", &task(1, "boom"));
    assert_eq!(titles(&board), ["b"]);
}

#[test]
fn v8_row_that_does_not_decode_is_reported_and_not_kept() {
    let mut setup = Setup::connected();
    let board =
        live::<Task>(&mut setup, &json!([task(1, "a"), {"pk": 2, "title": 7}, task(3, "c")]));
    let mut changes = board.changes();
    let batch = next(&mut changes).unwrap();
    assert_eq!(titles(&board), ["a", "c"]);
    let undecodable: Vec<&Pk> = batch
        .iter()
        .filter_map(|change| match change {
            CollectionChange::Undecodable { key, error } => {
                assert_eq!(error.pk.as_ref(), Some(key));
                Some(key)
            }
            _ => None,
        })
        .collect();
    assert_eq!(undecodable, [&Pk::from(2)]);
    send(&mut setup, "update", &json!({"pk": 1, "title": null}));
    let batch = next(&mut changes).unwrap();
    assert!(matches!(
        &batch[..],
        [CollectionChange::Removed { .. }, CollectionChange::Undecodable { .. }]
    ));
    assert_eq!(titles(&board), ["c"]);
    send(&mut setup, "update", &task(1, "again"));
    assert!(matches!(next(&mut changes).unwrap()[..], [CollectionChange::Inserted { .. }]));
}

#[test]
fn v8_rows_that_do_not_decode_are_told() {
    let bad = |pk: u64| json!({"pk": pk, "title": 7});
    for is_sorted in [false, true] {
        let mut setup = Setup::connected();
        let mut collecting = setup.client().collect::<Task>(tasks());
        if is_sorted {
            collecting = collecting.order_by(|one, other| one.title.cmp(&other.title));
        }
        let mut collecting = pin!(collecting.into_future());
        load(&mut setup, &json!([bad(1), bad(2)]));
        let board = Setup::poll(collecting.as_mut()).expect("it is live").unwrap();
        let keys = |board: &Collection<Task>| -> Vec<Pk> {
            board.undecodable().into_iter().map(|error| error.pk.unwrap()).collect()
        };
        assert_eq!(keys(&board), [Pk::from(1), Pk::from(2)]);
        assert!(board.undecodable()[0].expected.contains("expected a string"));
        assert_eq!((board.len(), board.status()), (0, CollectionStatus::Live));
        send(&mut setup, "update", &task(1, "a"));
        send(&mut setup, "delete", &json!({"pk": 2}));
        assert!(keys(&board).is_empty());
        assert_eq!(titles(&board), ["a"]);
        send(&mut setup, "update", &bad(1));
        assert_eq!(keys(&board), [Pk::from(1)]);
        assert!(board.is_empty());
    }
}

#[test]
fn v9_slow_reader_gets_fewer_and_newer_changes() {
    let mut setup = Setup::connected();
    let board = live::<Task>(&mut setup, &json!([task(1, "a")]));
    let mut changes = board.changes();
    assert_eq!(next(&mut changes).unwrap().len(), 1);
    for n in 0..100 {
        send(&mut setup, "update", &task(1, &n.to_string()));
        send(&mut setup, "create", &task(2, "short"));
        send(&mut setup, "delete", &json!({"pk": 2}));
        send(&mut setup, "delete", &json!({"pk": 1}));
        send(&mut setup, "create", &task(3, "new"));
    }
    // Without versions, a row that comes back after a delete is retrieved first.
    let batch = next(&mut changes).unwrap();
    assert!(batch.len() <= 3, "{batch:?}");
    assert_eq!(next(&mut changes).map(|batch| batch.len()), None);
}

#[test]
fn v10_rows_are_decoded_once_for_all_readers() {
    static DECODED: AtomicUsize = AtomicUsize::new(0);
    #[derive(Deserialize)]
    #[serde(try_from = "Task")]
    struct Counted(Task);
    impl TryFrom<Task> for Counted {
        type Error = String;
        fn try_from(task: Task) -> Result<Self, String> {
            DECODED.fetch_add(1, Ordering::Relaxed);
            Ok(Self(task))
        }
    }
    let mut setup = Setup::connected();
    let board = live::<Counted>(&mut setup, &json!([task(1, "a"), task(2, "b")]));
    let others: Vec<_> =
        (0..9).map(|_| setup.client().collect::<Counted>(tasks()).start().unwrap()).collect();
    setup.settle();
    assert_eq!(setup.network().sent.len(), 2, "one feed and one list");
    for other in others.iter().chain([&board]) {
        assert_eq!(other.len(), 2);
    }
    let mut changes: Vec<_> = others.iter().map(Collection::changes).collect();
    for changes in &mut changes {
        assert_eq!(next(changes).unwrap().len(), 2);
    }
    assert_eq!(DECODED.load(Ordering::Relaxed), 2);
    send(&mut setup, "update", &task(2, "c"));
    for changes in &mut changes {
        assert_eq!(next(changes).unwrap().len(), 1);
    }
    assert_eq!(board.get(2).unwrap().0.title, "c");
    assert_eq!(DECODED.load(Ordering::Relaxed), 3);
}

#[test]
fn v10_dropping_the_last_one_unsubscribes() {
    let mut setup = Setup::connected();
    let board = live::<Task>(&mut setup, &json!([]));
    let clone = board.clone();
    let mut changes = board.changes();
    assert_eq!(next(&mut changes).map(|batch| batch.len()), Some(0), "the state, which is empty");
    drop(board);
    drop(clone);
    setup.settle();
    assert_eq!(setup.sent_actions().len(), 2);
    drop(changes);
    setup.settle();
    assert_eq!(setup.sent_actions()[2..], ["unsubscribe_all"]);
    assert_eq!(setup.client().stats().collections, 0);
}

#[test]
fn v11_rows_that_pass_no_longer_are_removed() {
    let mut setup = Setup::connected();
    let collecting = setup.client().collect::<Task>(tasks());
    let mut collecting = pin!(collecting.filter(|task| !task.title.starts_with('x')).into_future());
    load(&mut setup, &json!([task(1, "a"), task(2, "x")]));
    let board = Setup::poll(collecting.as_mut()).unwrap().unwrap();
    let mut changes = board.changes();
    assert_eq!(next(&mut changes).unwrap().len(), 1);
    assert_eq!(titles(&board), ["a"]);
    send(&mut setup, "update", &task(1, "xa"));
    assert!(matches!(
        &next(&mut changes).unwrap()[..],
        [CollectionChange::Removed { old, .. }] if old.title == "a"
    ));
    send(&mut setup, "update", &task(2, "b"));
    assert!(matches!(
        &next(&mut changes).unwrap()[..],
        [CollectionChange::Inserted { row, .. }] if row.title == "b"
    ));
    assert!(board.get(1).is_none());
    send(&mut setup, "update", &task(1, "xb"));
    assert!(next(&mut changes).is_none(), "nothing that passes has changed");
}

#[test]
fn v14_own_writes_are_seen_before_the_call_returns() {
    let mut setup = Setup::connected();
    let tasks: Resource<Task> = setup.client().resource("tasks").feed_action("subscribe_all");
    let mut collecting = pin!(tasks.collection().into_future());
    load(&mut setup, &json!([task(1, "a"), task(2, "b")]));
    let board = Setup::poll(collecting.as_mut()).unwrap().unwrap();
    let mut changes = board.changes();
    next(&mut changes).unwrap();

    let mut creating = pin!(tasks.create(&json!({"title": "c"})));
    let mut patching = pin!(tasks.patch(1, &json!({"title": "x"})));
    let mut deleting = pin!(tasks.delete(2));
    let mut unknown = pin!(tasks.patch(7, &json!({"title": "elsewhere"})));
    setup.settle();
    setup.reply(2, 201, &task(3, "c"));
    setup.reply(3, 200, &task(1, "x"));
    setup.reply(4, 204, &Value::Null);
    setup.reply(5, 200, &task(7, "elsewhere"));
    setup.settle();
    // Before the reply was polled.
    assert_eq!(titles(&board), ["x", "c"]);
    assert_eq!(Setup::poll(creating.as_mut()).unwrap().unwrap().title, "c");
    assert_eq!(Setup::poll(patching.as_mut()).unwrap().unwrap().title, "x");
    assert_eq!(Setup::poll(deleting.as_mut()), Some(Ok(())));
    assert_eq!(Setup::poll(unknown.as_mut()).unwrap().unwrap().title, "elsewhere");
    assert!(board.get(7).is_none(), "a row of another group does not come by being changed");
    assert_eq!(next(&mut changes).unwrap().len(), 3);

    // Their events change nothing more.
    send(&mut setup, "create", &task(3, "c"));
    send(&mut setup, "update", &task(1, "x"));
    send(&mut setup, "delete", &json!({"pk": 2}));
    assert!(next(&mut changes).is_none());
    assert_eq!(setup.sent_actions().len(), 6, "nothing is in doubt");
}

#[test]
fn v14_writes_through_another_resource_are_not_seen() {
    let mut setup = Setup::connected();
    let tasks: Resource<Task> = setup.client().resource("tasks").feed_action("subscribe_all");
    let mut collecting = pin!(tasks.collection().into_future());
    load(&mut setup, &json!([]));
    let board = Setup::poll(collecting.as_mut()).unwrap().unwrap();
    // It has another list, so its rows may not belong into this one.
    let others = tasks.clone().list_arg("project", 3);
    let failing = pin!(tasks.create(&json!({"title": ""})));
    let creating = pin!(others.create(&json!({"title": "c"})));
    setup.settle();
    setup.reply(2, 400, &Value::Null);
    setup.reply(3, 201, &task(3, "c"));
    setup.settle();
    assert!(Setup::poll(failing).unwrap().is_err());
    assert!(Setup::poll(creating).unwrap().is_ok());
    assert!(board.is_empty());
}

#[test]
fn c1_changes_end_with_the_client() {
    let mut setup = Setup::connected();
    let board = live::<Task>(&mut setup, &json!([task(1, "a")]));
    let mut changes = board.changes();
    next(&mut changes).unwrap();
    setup.client().close_now();
    let error = CollectionError::Closed(CloseReason::ByCaller);
    assert_eq!(Setup::poll(changes.next()).unwrap().unwrap().unwrap_err(), error);
    assert!(Setup::poll(changes.next()).unwrap().is_none());
    assert_eq!(board.status(), CollectionStatus::Ended(error.clone()));
    assert_eq!(titles(&board), ["a"], "the rows stay");
    assert_eq!(Setup::poll(board.ready()), Some(Err(error.clone())));
    let rejected = setup.client().collect::<Task>(tasks()).start().unwrap_err();
    assert_eq!(rejected, error);
}

#[test]
fn v6_reader_waits_through_an_outage() {
    let mut setup = Setup::connected();
    let board = live::<Task>(&mut setup, &json!([task(1, "a")]));
    let mut changes = board.changes();
    next(&mut changes).unwrap();
    setup.disconnect(ConnectionError::Dropped);
    setup.settle();
    assert_eq!(titles(&board), ["a"]);
    assert!(!board.status().is_live());
    assert!(next(&mut changes).is_none(), "no row has changed");
    let mut ready = pin!(board.ready());
    assert_eq!(Setup::poll(ready.as_mut()), None);
    setup.advance(Duration::from_secs(2));
    setup.settle();
    let sent = setup.sent_actions().len();
    assert_eq!(setup.sent_actions()[2..], ["subscribe_all"]);
    setup.reply(sent - 1, 201, &Value::Null);
    setup.settle();
    setup.reply(sent, 200, &json!([task(2, "b")]));
    setup.settle();
    assert_eq!(Setup::poll(ready.as_mut()), Some(Ok(())));
    assert_eq!(next(&mut changes).unwrap().len(), 2);
    assert_eq!(titles(&board), ["b"]);
}

#[test]
fn v6_status_is_watched_through_an_outage() {
    let mut setup = Setup::connected();
    let board = live::<Task>(&mut setup, &json!([task(1, "a")]));
    let mut statuses = board.watch_status();
    assert_eq!(Setup::poll(statuses.next()), Some(Some(CollectionStatus::Live)));
    send(&mut setup, "update", &task(1, "b"));
    assert_eq!(Setup::poll(statuses.next()), None, "a row is no status");
    setup.disconnect(ConnectionError::Dropped);
    setup.settle();
    let stale = Setup::poll(statuses.next()).unwrap().unwrap();
    assert!(matches!(stale, CollectionStatus::Stale { .. }), "{stale}");
    setup.advance(Duration::from_secs(2));
    setup.settle();
    let sent = setup.sent_actions().len();
    setup.reply(sent - 1, 201, &Value::Null);
    setup.settle();
    setup.reply(sent, 200, &json!([task(1, "b")]));
    setup.settle();
    assert_eq!(Setup::poll(statuses.next()), Some(Some(CollectionStatus::Live)));
    setup.client().close_now();
    let error = CollectionError::Closed(CloseReason::ByCaller);
    assert_eq!(Setup::poll(statuses.next()), Some(Some(CollectionStatus::Ended(error))));
    assert_eq!(Setup::poll(statuses.next()), Some(None));
}

#[test]
fn v6_status_that_has_not_changed_is_not_reported_again() {
    // Less than the heartbeat's.
    let timeout = Duration::from_secs(4);
    let mut config = Config::default();
    config.request_timeout = Some(timeout);
    let mut setup = Setup::connected_with(config);
    let board = setup.client().collect::<Task>(tasks()).start().unwrap();
    let mut statuses = board.watch_status();
    let loading = Some(Some(CollectionStatus::Loading { error: None }));
    assert_eq!(Setup::poll(statuses.next()), loading);
    let mut ready = pin!(board.ready());
    setup.settle();
    setup.advance(timeout);
    setup.settle();
    assert!(matches!(Setup::poll(ready.as_mut()), Some(Err(_))));
    assert_eq!(Setup::poll(statuses.next()), None);
    load(&mut setup, &json!([]));
    assert_eq!(Setup::poll(statuses.next()), Some(Some(CollectionStatus::Live)));
}

/// A change of a row, or a look of a reader.
#[derive(Clone, Debug)]
enum Step {
    Set { pk: u64, title: u8 },
    Delete { pk: u64 },
    Read { reader: usize },
    AddReader,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..8_u64, 0..6_u8).prop_map(|(pk, title)| Step::Set { pk, title }),
        1 => (0..8_u64).prop_map(|pk| Step::Delete { pk }),
        2 => (0..4_usize).prop_map(|reader| Step::Read { reader }),
        1 => Just(Step::AddReader),
    ];
    prop::collection::vec(step, 0..40)
}

/// Applies a batch to a list, as a list on a screen does, and to a map.
fn apply(
    batch: Vec<CollectionChange<Task>>,
    list: &mut Vec<Arc<Task>>,
    map: &mut BTreeMap<Pk, Arc<Task>>,
) {
    for change in batch {
        match change {
            CollectionChange::Inserted { key, row, index } => {
                list.insert(index.unwrap(), row.clone());
                assert!(map.insert(key, row).is_none(), "it is new");
            }
            CollectionChange::Updated { key, old, row, old_index, index } => {
                assert_eq!(list.remove(old_index.unwrap()), old);
                list.insert(index.unwrap(), row.clone());
                assert_eq!(map.insert(key, row), Some(old));
            }
            CollectionChange::Removed { key, old, index } => {
                assert_eq!(list.remove(index.unwrap()), old);
                assert_eq!(map.remove(&key), Some(old));
            }
            other => panic!("{other:?}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn v11_batches_applied_to_a_list_give_the_snapshot(steps in steps(), descending: bool) {
        let mut setup = Setup::connected();
        let order = move |one: &Task, other: &Task| {
            let order = one.title.cmp(&other.title);
            if descending { order.reverse() } else { order }
        };
        let versioned = tasks().version(|row| {
            let row: Value = row.decode().ok()?;
            row["version"].as_u64()
        });
        let collecting = setup.client().collect::<Task>(versioned);
        let mut collecting =
            pin!(collecting.order_by(order).filter(|task| task.title != "5").into_future());
        load(&mut setup, &json!([]));
        let board = Setup::poll(collecting.as_mut()).unwrap().unwrap();
        let mut readers = Vec::new();
        for (version, step) in steps.into_iter().enumerate() {
            match step {
                Step::Set { pk, title } => {
                    let row = json!({"pk": pk, "title": title.to_string(), "version": version});
                    send(&mut setup, "update", &row);
                }
                Step::Delete { pk } => {
                    let row = json!({"pk": pk, "title": "", "version": version});
                    send(&mut setup, "delete", &row);
                }
                Step::AddReader => {
                    readers.push((board.changes(), Vec::new(), BTreeMap::new()));
                    setup.settle();
                }
                Step::Read { reader } => {
                    let Some((changes, list, map)) = readers.get_mut(reader) else { continue };
                    while let Some(batch) = next(changes) {
                        apply(batch, list, map);
                    }
                    prop_assert_eq!(&**list, &*board.snapshot());
                }
            }
        }
        for (mut changes, mut list, mut map) in readers {
            while let Some(batch) = next(&mut changes) {
                apply(batch, &mut list, &mut map);
            }
            prop_assert_eq!(&*list, &*board.snapshot());
            prop_assert!(list.is_sorted_by(|one, other| order(one, other).is_le()));
        }
    }
}
