//! Typed resources.

use dcrf_proto::{Change, Pk, RejectReason, RequestError, Subscribe, SubscriptionError};
use serde_json::{Value, json};

use super::{connect_to_shared, watcher_and_writer};
use crate::adapter::{Adapter, quick_config};
use crate::models::{Memo, Row, Task};
use crate::observe::{Mark, change, error_reply};
use crate::resource::Resource;

/// Each action, and two that are no mixin's. The client lives as long as its resources.
pub async fn typed_actions<A: Adapter>(adapter: A) {
    let server = &adapter.shared();
    let mark = Mark::new("/ws/");
    let client = adapter.connect(&mark.url(server), quick_config()).await.unwrap();
    let tasks: Resource<Task> = client.resource("tasks");
    let tools: Resource<Value> = client.resource("tools");
    drop(client);

    let created = tasks.create(json!({"title": "paint"})).await.unwrap();
    let key = json!(created.pk);
    assert!(tasks.list().await.unwrap().contains(&created));
    assert_eq!(tasks.retrieve(key.clone()).await, Ok(created.clone()));
    let whole = json!({"title": "paint it black", "done": true, "priority": 2});
    let updated = tasks.update(key.clone(), whole).await.unwrap();
    let patched = tasks.patch(key.clone(), json!({"priority": 9})).await;
    assert_eq!(patched, Ok(Task { priority: 9, ..updated }));
    tasks.with(|request| request.id("the-delete")).delete(key.clone()).await.unwrap();
    assert!(error_reply(tasks.retrieve(key).await).is_not_found());

    let echoed: Value = tools.action("echo", json!({"n": 1})).await.unwrap();
    assert_eq!(echoed, json!({"n": 1}));
    let echoed: Value = tools.action_on(json!(7), "echo", json!({"n": 1})).await.unwrap();
    assert_eq!(echoed, json!({"pk": 7, "n": 1}));

    let [journal] = mark.connections(server).try_into().unwrap();
    let delete = journal.payloads("tasks").find(|payload| payload["action"] == "delete").unwrap();
    assert_eq!(delete["request_id"], "the-delete");
}

/// An object and the feed of all, for a serializer that calls the key `id`.
pub async fn typed_subscriptions<A: Adapter>(adapter: A) {
    let (watcher, writer) = watcher_and_writer(&adapter).await;
    let written: Resource<Memo> = writer.resource("memos");
    let memos: Resource<Memo> = watcher.resource("memos").pk_field("id");
    let SubscriptionError::Rejected(rejected) = memos.feed().await.unwrap_err() else {
        panic!("there is no feed yet")
    };
    assert!(matches!(rejected.reason, RejectReason::InvalidArgument { .. }));

    let memos = memos.feed_action("subscribe_all");
    let mut feed = memos.with_subscribe(Subscribe::refresh).feed().await.unwrap();
    let snapshot = loop {
        match change(&mut feed).await {
            Change::Snapshot(snapshot) => break snapshot,
            // Other stories change memos too.
            Change::Create(_) | Change::Update(_) | Change::Delete(_) => {}
            other => panic!("{other:?}"),
        }
    };
    assert!(snapshot.len() >= 3, "{snapshot:?}");
    let milk = written.create(json!({"text": "milk"})).await.unwrap();
    while change(&mut feed).await != Change::Create(milk.clone()) {}

    let mut one = memos.subscribe(json!(milk.id)).await.unwrap();
    let eggs = written.patch(json!(milk.id), json!({"text": "eggs"})).await.unwrap();
    assert_eq!(change(&mut one).await, Change::Update(eggs));
    written.delete(json!(milk.id)).await.unwrap();
    let Change::Delete(deleted) = change(&mut one).await else { panic!("no delete") };
    assert_eq!(deleted.pk, Some(Pk::from(milk.id)));
    assert_eq!(deleted.data.decode(), Ok(json!({"id": milk.id})));
    one.cancel().await.unwrap();
    feed.cancel().await.unwrap();
}

/// A feed with an argument, which shows the objects of one group.
pub async fn feed_of_a_group<A: Adapter>(adapter: A) {
    let client = connect_to_shared(&adapter).await;
    let tasks: Resource<Task> = client.resource("tasks");
    let task = tasks.create(json!({"title": "climber"})).await.unwrap();
    // Unique to this story.
    let priority = 3_000_000 + task.pk;
    let group = Subscribe::new("tasks", "subscribe_priority").arg("priority", priority);
    let group = tasks.clone().feed_with(group);

    let mut changes = group.feed().await.unwrap();
    let set = |priority: i64| tasks.patch(json!(task.pk), json!({"priority": priority}));
    let entered = set(priority).await.unwrap();
    assert_eq!(change(&mut changes).await, Change::Create(entered));
    set(0).await.unwrap();
    let Change::Delete(left) = change(&mut changes).await else { panic!("no delete") };
    assert_eq!(left.pk, Some(Pk::from(task.pk)));
    changes.cancel().await.unwrap();
}

/// A list in pages is never taken for the whole list.
pub async fn r12_all_reads_the_pages_that_list_rejects<A: Adapter>(adapter: A) {
    let client = connect_to_shared(&adapter).await;
    for limit in [5, 100] {
        let rows: Resource<Row> = client.resource("row_pages").list_arg("limit", limit);
        let Err(RequestError::Decode(error)) = rows.list().await else { panic!("no page") };
        assert_eq!(error.expected, "this is a page: use `all`");
        let (mut all, mut ids) = (rows.all(), Vec::new());
        while let Some(row) = all.next().await {
            ids.push(row.unwrap().id);
            assert_eq!(all.total(), Some(8));
        }
        assert_eq!(ids, (1..=8).collect::<Vec<_>>());
    }
}
