//! Feeds of many objects, in the ways that projects write them.

use crate::client::Subscription;
use dcrf_proto::{Change, Subscribe};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{create_task, rename, two, visit};
use crate::adapter::{Adapter, quick};
use crate::models::{Gadget, Memo, Task};
use crate::observe::{Mark, change, eventually};
use crate::server::Server;

/// A feed with a serializer tells whole objects, also deleted ones.
pub async fn s13_with_data_and_creates<A: Adapter>(adapter: A) {
    let (watcher, writer) = two(&adapter).await;

    let all = Subscribe::new("tasks", "subscribe_all").include_create();
    let mut feed = watcher.subscribe::<Task>(all).await.unwrap();
    let created = create_task(&writer, "fresh").await;
    assert_eq!(of_task(&mut feed, created.pk).await, Change::Create(created.clone()));
    let renamed = rename(&writer, &created, "not so fresh").await;
    assert_eq!(of_task(&mut feed, created.pk).await, Change::Update(renamed.clone()));
    writer.delete("tasks", created.pk).await.unwrap();
    let Change::Delete(deleted) = of_task(&mut feed, created.pk).await else { panic!("no delete") };
    assert_eq!(deleted.data.decode(), Ok(renamed));
    feed.cancel().await.unwrap();
}

/// Without being asked for, creates are not told.
pub async fn s13_creates_only_when_asked_for<A: Adapter>(adapter: A) {
    let (watcher, writer) = two(&adapter).await;

    let all = Subscribe::new("tasks", "subscribe_all");
    let mut feed = watcher.subscribe::<Task>(all).await.unwrap();
    let created = create_task(&writer, "fresh").await;
    let renamed = rename(&writer, &created, "not so fresh").await;
    assert_eq!(of_task(&mut feed, created.pk).await, Change::Update(renamed));
}

/// A feed without a serializer tells the key alone.
pub async fn with_keys_alone<A: Adapter>(adapter: A) {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Key {
        pk: String,
    }
    let (watcher, writer) = two(&adapter).await;

    let all = Subscribe::new("gadgets", "subscribe_all").include_create();
    let mut feed = watcher.subscribe::<Key>(all).await.unwrap();
    let gadget: Gadget = writer.create("gadgets", &json!({"name": "lamp"})).await.unwrap();
    let _: Gadget = writer.patch("gadgets", &gadget.id, &json!({"name": "lantern"})).await.unwrap();
    writer.delete("gadgets", &gadget.id).await.unwrap();

    let mut told = Vec::new();
    while told.len() < 3 {
        match change(&mut feed).await {
            Change::Create(key) if key.pk == gadget.id => told.push("create"),
            Change::Update(key) if key.pk == gadget.id => told.push("update"),
            Change::Delete(gone) if gone.pk.as_ref().is_some_and(|pk| *pk == &*gadget.id) => {
                told.push("delete");
            }
            // Other stories have gadgets too.
            _ => {}
        }
    }
    assert_eq!(told, ["create", "update", "delete"]);
}

/// A feed as in DCRF's documentation: the subscribe is not answered, and an event has a `message` in the
/// place of data. It is told whole.
pub async fn s15_as_in_the_documentation<A: Adapter>(adapter: A) {
    let server = Server::shared();
    let mark = Mark::new("/ws/");
    let watcher = adapter.connect(&mark.url(server), quick()).await.unwrap();
    let writer = visit(&adapter).await;

    let docs = Subscribe::new("docs_feed", "subscribe_all").without_ack().include_create();
    let mut feed = watcher.subscribe::<Value>(docs).await.unwrap();
    let subscribed = || mark.count(server, "docs_feed/subscribe_all") == 1;
    eventually(&adapter, "the subscribe arrives", subscribed).await;
    let memo: Memo = writer.create("memos", &json!({"text": "hello"})).await.unwrap();
    loop {
        let Change::Other { action, payload } = change(&mut feed).await else {
            panic!("expected an event of another kind")
        };
        let payload: Value = payload.decode().unwrap();
        if payload["message"] == json!({"pk": memo.id}) {
            assert_eq!(action.as_deref(), Some("create"));
            break;
        }
    }
    drop(feed);
    let unsubscribed = || mark.count(server, "docs_feed/unsubscribe_all") == 1;
    eventually(&adapter, "the unsubscribe arrives", unsubscribed).await;
}

/// A feed with an argument, which also the unsubscribe has. An object that leaves it is told as deleted,
/// one that enters as created.
pub async fn with_an_argument<A: Adapter>(adapter: A) {
    let server = Server::shared();
    let mark = Mark::new("/ws/");
    let watcher = adapter.connect(&mark.url(server), quick()).await.unwrap();
    let writer = visit(&adapter).await;
    let task = create_task(&writer, "climber").await;
    // No other story has these priorities.
    let (low, high) = (1_000_000 + 2 * task.pk, 1_000_001 + 2 * task.pk);

    let of = |priority: i64| {
        let feed = Subscribe::new("tasks", "subscribe_priority").arg("priority", priority);
        watcher.subscribe::<Task>(feed.include_create())
    };
    let (mut lows, mut highs) = (of(low).await.unwrap(), of(high).await.unwrap());
    let set =
        |priority: i64| writer.patch::<Task>("tasks", task.pk, &json!({"priority": priority}));
    let entered = set(low).await.unwrap();
    assert_eq!(change(&mut lows).await, Change::Create(entered));
    let moved = set(high).await.unwrap();
    assert!(matches!(change(&mut lows).await, Change::Delete(_)));
    assert_eq!(change(&mut highs).await, Change::Create(moved));

    lows.cancel().await.unwrap();
    let renamed = rename(&writer, &task, "on top").await;
    assert_eq!(change(&mut highs).await, Change::Update(renamed));
    let [journal] = mark.connections(server).try_into().unwrap();
    let unsubscribe = journal.payloads("tasks").last().unwrap();
    assert_eq!(unsubscribe["action"], "unsubscribe_priority");
    assert_eq!(unsubscribe["priority"], low);
}

/// The next change of one task in a feed of all, where other stories' tasks come too.
async fn of_task(feed: &mut Subscription<Task>, pk: i64) -> Change<Task> {
    loop {
        let change = change(feed).await;
        let its = match &change {
            Change::Create(task) | Change::Update(task) => Some(task.pk),
            Change::Delete(gone) => gone.data.decode().ok().map(|task: Task| task.pk),
            _ => None,
        };
        if its == Some(pk) {
            return change;
        }
    }
}
