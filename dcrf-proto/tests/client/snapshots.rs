//! Snapshots of refreshing subscriptions (rule S6).

use std::pin::pin;

use crate::memory::{Setup, Task};
use crate::server_frames::{self, event};
use dcrf_proto::client::{ChangeError, Subscription};
use dcrf_proto::{Change, Config, DecodeError, Pk, Subscribe};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// A live subscription whose refresh is unanswered: it has the index 1 among the sent frames.
fn refreshing<T: DeserializeOwned>(setup: &mut Setup) -> Subscription<T> {
    let feed = Subscribe::new("memos", "subscribe_all").refresh();
    let mut subscribing = pin!(setup.client().subscribe::<T>(feed));
    setup.settle();
    setup.reply(0, 201, &Value::Null);
    Setup::poll(subscribing.as_mut()).unwrap().unwrap()
}

#[test]
fn s6_reading_lagged_wakes_the_driver_to_refresh() {
    let mut config = Config::default();
    config.changes.count = 2;
    let mut setup = Setup::connected_with(config);
    let mut changes = refreshing::<u32>(&mut setup);
    setup.reply(1, 200, &json!([]));
    let request = setup.network().sent[0].clone();
    setup.send_frames((0..5).map(|n| event(&request, "update", &json!(n))));
    setup.settle();
    let driver = Task::new();
    setup.poll_driver_with(&driver.waker());
    driver.is_woken();
    assert_eq!(Setup::poll(changes.next()), Some(Some(Ok(Change::Lagged(4)))));
    assert!(driver.is_woken());
    setup.settle();
    assert_eq!(setup.sent_actions(), ["subscribe_all", "list", "list"]);
    // The snapshot needs room too. It is newer than the change dropped for it: no refresh follows.
    setup.reply(2, 200, &json!([1, 2, 3]));
    assert_eq!(Setup::poll(changes.next()), Some(Some(Ok(Change::Lagged(1)))));
    assert_eq!(Setup::poll(changes.next()), Some(Some(Ok(Change::Update(4)))));
    assert_eq!(Setup::poll(changes.next()), Some(Some(Ok(Change::Snapshot(vec![1, 2, 3])))));
    setup.settle();
    assert_eq!(setup.network().sent.len(), 3);
}

#[derive(Debug, PartialEq, serde::Deserialize)]
struct Memo {
    title: String,
}

fn memo(title: &str) -> Memo {
    Memo { title: title.to_owned() }
}

/// The next item, which is the error of an object.
fn decode_error<T: DeserializeOwned + std::fmt::Debug>(
    changes: &mut Subscription<T>,
) -> DecodeError {
    match Setup::poll(changes.next()) {
        Some(Some(Err(ChangeError::Decode(error)))) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn s6_object_that_does_not_decode_costs_itself_alone() {
    let mut setup = Setup::connected();
    let mut changes = refreshing::<Memo>(&mut setup);
    let objects =
        json!([{"pk": 1, "title": "a"}, {"pk": 2, "title": 7}, {"pk": 3, "title": "b"}, 4]);
    setup.reply(1, 200, &objects);
    let snapshot = Change::Snapshot(vec![memo("a"), memo("b")]);
    assert_eq!(Setup::poll(changes.next()), Some(Some(Ok(snapshot))));
    let error = decode_error(&mut changes);
    assert_eq!(error.pk, Some(Pk::from(2)));
    assert_eq!(error.expected, "expected a string, in object 2 of the snapshot");
    let error = decode_error(&mut changes);
    assert_eq!(error.pk, None);
    assert!(error.expected.ends_with("in object 4 of the snapshot"), "{}", error.expected);
    assert_eq!(Setup::poll(changes.next()), None);
    // The changes go on, and an event names its object too.
    setup.send_update(0, &json!({"pk": "a-uuid", "title": null}));
    let error = decode_error(&mut changes);
    assert_eq!(
        (error.pk.as_ref(), &*error.expected),
        (Some(&Pk::from("a-uuid")), "expected a string")
    );
    assert!(!format!("{error:?} {error}").contains("uuid"), "X1");
    setup.send_update(0, &json!({"pk": 2, "title": "c"}));
    assert_eq!(Setup::poll(changes.next()), Some(Some(Ok(Change::Update(memo("c"))))));
}

#[test]
fn s6_key_of_an_undecodable_object_has_the_name_of_the_subscription() {
    let mut setup = Setup::connected();
    let person = Subscribe::instance("people", 4).pk_field("id").refresh();
    let mut subscribing = pin!(setup.client().subscribe::<Memo>(person));
    setup.settle();
    setup.reply(0, 201, &Value::Null);
    let mut changes = Setup::poll(subscribing.as_mut()).unwrap().unwrap();
    setup.reply(1, 200, &json!({"id": 4, "pk": 5}));
    assert_eq!(Setup::poll(changes.next()), Some(Some(Ok(Change::Snapshot(vec![])))));
    assert_eq!(decode_error(&mut changes).pk, Some(Pk::from(4)));
}

#[test]
fn f3_lone_surrogates_cost_neither_a_list_nor_a_snapshot() {
    let mut setup = Setup::connected();
    let mut changes = refreshing::<Memo>(&mut setup);
    let mut list = pin!(setup.client().list::<Vec<Value>>("memos"));
    setup.settle();
    let sent: Vec<Value> = setup.network().sent[1..].to_vec();
    for request in sent {
        let text = server_frames::reply(&request, 200, &json!([{"pk": "P", "title": "T", "K": 1}]));
        let text = text.to_string().replace("\"P\"", r#""\ud83d""#);
        let text = text.replace("\"T\"", r#""cut \uDE00""#).replace("\"K\"", r#""\ud83d""#);
        setup.send_text(text);
    }
    setup.settle();
    let cut = memo("cut \u{fffd}");
    assert_eq!(Setup::poll(changes.next()), Some(Some(Ok(Change::Snapshot(vec![cut])))));
    let expected = json!({"pk": "\u{fffd}", "title": "cut \u{fffd}", "\u{fffd}": 1});
    assert_eq!(Setup::poll(list.as_mut()), Some(Ok(vec![expected])));
}
