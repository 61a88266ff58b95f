//! Calls that affect all subscriptions of a client: `unsubscribe_all` and `resubscribe`.

use std::time::Duration;

use dcrf_proto::{Change, Request, Subscribe, SubscriptionError};
use serde_json::{Value, json};

use super::{connect_to_shared, create_task, rename};
use crate::adapter::{Adapter, quick_config};
use crate::client::{Client, Events, Subscription};
use crate::models::{Memo, Task};
use crate::observe::{Mark, change, connected, ended, eventually, lost};

/// All subscriptions end, on every stream: shared ones, one that is never acknowledged, and one
/// that is not acknowledged yet. Each is unsubscribed on the server, and none is replayed.
pub async fn s12_unsubscribe_all<A: Adapter>(adapter: A) {
    let server = &adapter.shared();
    let mark = Mark::new("/ws/");
    let client = adapter.connect(&mark.url(server), quick_config()).await.unwrap();
    let mut events = client.events();
    let writer = connect_to_shared(&adapter).await;
    let task = create_task(&writer, "left").await;

    let instance = || client.subscribe::<Task>(Subscribe::instance("tasks", task.pk));
    let (mut first, mut second) = (instance().await.unwrap(), instance().await.unwrap());
    let memos = Subscribe::new("memos", "subscribe_all");
    let mut memos = client.subscribe::<Memo>(memos).await.unwrap();
    let docs = Subscribe::new("docs_feed", "subscribe_all").without_ack();
    let mut docs = client.subscribe::<Value>(docs).await.unwrap();
    let late = Subscribe::new("tasks", "subscribe_late_reply").arg("delay", 30.0);
    let pending = client.subscribe::<Task>(late);
    let sent = || mark.count(server, "tasks/subscribe_late_reply") == 1;
    eventually(&adapter, "the subscribe arrives", sent).await;
    // This change stays unread in `second`.
    let renamed = rename(&writer, &task, "unread").await;
    assert_eq!(change(&mut first).await, Change::Update(renamed));

    assert_eq!(client.unsubscribe_all(), 5);

    assert_eq!(ended(&mut first).await, SubscriptionError::Unsubscribed);
    assert_eq!(ended(&mut second).await, SubscriptionError::Unsubscribed);
    assert_eq!(ended(&mut memos).await, SubscriptionError::Unsubscribed);
    assert_eq!(ended(&mut docs).await, SubscriptionError::Unsubscribed);
    assert_eq!(pending.await.unwrap_err(), SubscriptionError::Unsubscribed);
    second.cancel().await.unwrap();
    for action in [
        "tasks/unsubscribe_instance",
        "memos/unsubscribe_all",
        "docs_feed/unsubscribe_all",
        "tasks/unsubscribe_late_reply",
    ] {
        let unsubscribed = || mark.count(server, action) == 1;
        eventually(&adapter, action, unsubscribed).await;
    }
    assert_eq!((client.stats().subscriptions, client.unsubscribe_all()), (0, 0));

    // Subscribing again works, and only that one is replayed.
    let mut again = instance().await.unwrap();
    let renamed = rename(&writer, &task, "heard").await;
    assert_eq!(change(&mut again).await, Change::Update(renamed));
    kick(&client, &mut events).await;
    connected(&mut events).await;
    assert!(matches!(change(&mut again).await, Change::Gap(_)));
    let [_, after]: [Vec<String>; 2] = mark.actions(server).try_into().unwrap();
    assert_eq!(after, ["tasks/subscribe_instance"]);
}

/// Offline nothing is sent, and nothing is replayed on the next connection.
pub async fn s12_unsubscribe_all_offline<A: Adapter>(adapter: A) {
    let server = &adapter.shared();
    let mark = Mark::new("/ws/");
    let mut config = quick_config();
    // Long enough to act while offline.
    config.backoff.minimum = Duration::from_millis(800);
    config.backoff.maximum = Duration::from_millis(800);
    config.backoff.jitter = false;
    let client = adapter.connect(&mark.url(server), config).await.unwrap();
    let mut events = client.events();
    let task = create_task(&client, "left").await;
    let instance = Subscribe::instance("tasks", task.pk);
    let mut before: Subscription<Task> = client.subscribe(instance).await.unwrap();

    kick(&client, &mut events).await;
    let offline = client.subscribe::<Task>(Subscribe::new("tasks", "subscribe_all"));
    assert_eq!(client.unsubscribe_all(), 2);
    assert_eq!(ended(&mut before).await, SubscriptionError::Unsubscribed);
    assert_eq!(offline.await.unwrap_err(), SubscriptionError::Unsubscribed);

    connected(&mut events).await;
    let echoed: Value = client.call(Request::new("tools", "echo")).await.unwrap();
    assert_eq!(echoed, json!({}));
    let [_, after]: [Vec<String>; 2] = mark.actions(server).try_into().unwrap();
    assert_eq!(after, ["tools/echo"]);
}

/// Each subscription is sent again under its id: changes still arrive once, without a gap. If the
/// server replies with an error, the subscription ends.
pub async fn s12_resubscribe<A: Adapter>(adapter: A) {
    let server = &adapter.shared();
    let mark = Mark::new("/ws/");
    let client = adapter.connect(&mark.url(server), quick_config()).await.unwrap();
    let writer = connect_to_shared(&adapter).await;
    let (kept, doomed) = (create_task(&writer, "kept").await, create_task(&writer, "doomed").await);
    let instance = |task: &Task| client.subscribe::<Task>(Subscribe::instance("tasks", task.pk));
    let (mut of_kept, mut of_doomed) =
        (instance(&kept).await.unwrap(), instance(&doomed).await.unwrap());
    let docs = Subscribe::new("docs_feed", "subscribe_all").without_ack().include_create();
    let mut docs = client.subscribe::<Value>(docs).await.unwrap();

    let mut created = Vec::new();
    for sent in 2..=3 {
        client.resubscribe();
        let arrived = || {
            mark.count(server, "tasks/subscribe_instance") == 2 * sent
                && mark.count(server, "docs_feed/subscribe_all") == sent
        };
        eventually(&adapter, "all are sent again", arrived).await;
        for title in ["one", "two"] {
            let renamed = rename(&writer, &kept, title).await;
            assert_eq!(change(&mut of_kept).await, Change::Update(renamed));
            let memo: Memo = writer.create("memos", &json!({"text": title})).await.unwrap();
            created.extend(memos_until(&mut docs, memo.id).await);
        }
    }

    let all = created.len();
    created.sort_unstable();
    created.dedup();
    assert_eq!(created.len(), all, "a memo arrived twice");

    writer.delete("tasks", doomed.pk).await.unwrap();
    assert!(matches!(change(&mut of_doomed).await, Change::Delete(_)));
    client.resubscribe();
    assert!(matches!(ended(&mut of_doomed).await, SubscriptionError::Gone(_)));
    let renamed = rename(&writer, &kept, "still here").await;
    assert_eq!(change(&mut of_kept).await, Change::Update(renamed));

    let [journal] = mark.connections(server).try_into().unwrap();
    let mut ids: Vec<Value> = journal
        .payloads("tasks")
        .filter(|payload| payload["pk"] == kept.pk)
        .map(|mut payload| payload["request_id"].take())
        .collect();
    assert_eq!(ids.len(), 4);
    ids.dedup();
    assert_eq!(ids.len(), 1, "the ids differ");
}

/// The memos created up to this key, including those of other stories.
async fn memos_until(docs: &mut Subscription<Value>, pk: i64) -> Vec<i64> {
    let mut created = Vec::new();
    while created.last() != Some(&pk) {
        let Change::Other { payload, .. } = change(docs).await else { panic!("another kind") };
        let payload: Value = payload.decode().unwrap();
        created.extend(payload["message"]["pk"].as_i64());
    }
    created
}

async fn kick(client: &Client, events: &mut Events) {
    let _kicked = client.call::<Value>(Request::new("tools", "kick").arg("code", 4000));
    lost(events).await;
}
