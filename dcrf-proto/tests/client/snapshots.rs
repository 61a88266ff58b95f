//! Snapshots of refreshing subscriptions (rule S6).

use std::pin::pin;

use crate::memory::{Setup, Task, event};
use dcrf_proto::client::Subscription;
use dcrf_proto::{Change, Config, Subscribe};
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
    setup.receive((0..5).map(|n| event(&request, &json!("update"), 200, &json!(n))));
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
