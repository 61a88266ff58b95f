//! Feeds of many objects, in the variants that projects use.

use crate::client::Subscription;
use dcrf_proto::{Change, Subscribe};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{connect_to_shared, create_task, rename, watcher_and_writer};
use crate::adapter::{Adapter, quick_config};
use crate::models::{Gadget, Memo, Task};
use crate::observe::{Mark, change, eventually};

/// A feed with a serializer carries whole objects, also for deletes.
pub async fn s13_feed_with_data_and_creates<A: Adapter>(adapter: A) {
    let (watcher, writer) = watcher_and_writer(&adapter).await;

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

/// Creates are not delivered by default.
pub async fn s13_creates_are_opt_in<A: Adapter>(adapter: A) {
    let (watcher, writer) = watcher_and_writer(&adapter).await;

    let all = Subscribe::new("tasks", "subscribe_all");
    let mut feed = watcher.subscribe::<Task>(all).await.unwrap();
    let created = create_task(&writer, "fresh").await;
    let renamed = rename(&writer, &created, "not so fresh").await;
    assert_eq!(of_task(&mut feed, created.pk).await, Change::Update(renamed));
}

/// A feed without a serializer carries the key alone.
pub async fn feed_of_keys_only<A: Adapter>(adapter: A) {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Key {
        pk: String,
    }
    let (watcher, writer) = watcher_and_writer(&adapter).await;

    let all = Subscribe::new("gadgets", "subscribe_all").include_create();
    let mut feed = watcher.subscribe::<Key>(all).await.unwrap();
    let gadget: Gadget = writer.create("gadgets", &json!({"name": "lamp"})).await.unwrap();
    let _: Gadget = writer.patch("gadgets", &gadget.id, &json!({"name": "lantern"})).await.unwrap();
    writer.delete("gadgets", &gadget.id).await.unwrap();

    let mut kinds = Vec::new();
    while kinds.len() < 3 {
        match change(&mut feed).await {
            Change::Create(key) if key.pk == gadget.id => kinds.push("create"),
            Change::Update(key) if key.pk == gadget.id => kinds.push("update"),
            Change::Delete(deleted) if deleted.pk.as_ref().is_some_and(|pk| *pk == *gadget.id) => {
                kinds.push("delete");
            }
            // Other stories change gadgets too.
            _ => {}
        }
    }
    assert_eq!(kinds, ["create", "update", "delete"]);
}

/// A feed as in DCRF's documentation: no reply to the subscribe, and events with a `message` in
/// place of data, which are delivered whole.
pub async fn s15_feed_as_in_the_documentation<A: Adapter>(adapter: A) {
    let server = &adapter.shared();
    let mark = Mark::new("/ws/");
    let watcher = adapter.connect(&mark.url(server), quick_config()).await.unwrap();
    let writer = connect_to_shared(&adapter).await;

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

/// The unsubscribe carries the feed's argument too. An object that leaves the feed is a delete, one
/// that enters a create.
pub async fn feed_with_an_argument<A: Adapter>(adapter: A) {
    let server = &adapter.shared();
    let mark = Mark::new("/ws/");
    let watcher = adapter.connect(&mark.url(server), quick_config()).await.unwrap();
    let writer = connect_to_shared(&adapter).await;
    let task = create_task(&writer, "climber").await;
    // Unique to this story.
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

/// The next change of one task; changes of other stories' tasks are skipped.
async fn of_task(feed: &mut Subscription<Task>, pk: i64) -> Change<Task> {
    loop {
        let change = change(feed).await;
        let its = match &change {
            Change::Create(task) | Change::Update(task) => Some(task.pk),
            Change::Delete(deleted) => deleted.data.decode().ok().map(|task: Task| task.pk),
            _ => None,
        };
        if its == Some(pk) {
            return change;
        }
    }
}
