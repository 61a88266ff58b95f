//! Subscriptions to objects that a second client changes.

use std::time::Duration;

use crate::client::ReplyFuture;
use dcrf_proto::{Change, Request, Subscribe, SubscriptionError};
use futures_lite::future::poll_once;
use serde_json::{Value, json};

use super::{connect_to_shared, create_task, rename, watcher_and_writer};
use crate::adapter::{Adapter, quick_config};
use crate::models::{Gadget, Memo, Task};
use crate::observe::{Mark, change, connected, ended, eventually, lost};
use crate::story_server::Journaled;

/// Updates and the delete of an object with the primary key `pk`.
pub async fn changes_of_an_object<A: Adapter>(adapter: A) {
    let (watcher, writer) = watcher_and_writer(&adapter).await;
    let task = create_task(&writer, "watched").await;

    let mut changes =
        watcher.subscribe::<Task>(Subscribe::instance("tasks", task.pk)).await.unwrap();
    let renamed = rename(&writer, &task, "renamed").await;
    assert_eq!(change(&mut changes).await, Change::Update(renamed));
    let whole = json!({"title": "new", "done": true, "priority": 3});
    let updated: Task = writer.update("tasks", task.pk, &whole).await.unwrap();
    assert_eq!(change(&mut changes).await, Change::Update(updated));
    writer.delete("tasks", task.pk).await.unwrap();
    let Change::Delete(deleted) = change(&mut changes).await else { panic!("no delete") };
    assert_eq!(deleted.pk.unwrap(), task.pk);
    assert_eq!(deleted.data.decode(), Ok(json!({"pk": task.pk})));
}

/// DCRF's delete events always say `pk`; they are delivered under the configured name of the key. A
/// cascaded delete is delivered too.
pub async fn s10_delete_carries_the_configured_key<A: Adapter>(adapter: A) {
    let (watcher, writer) = watcher_and_writer(&adapter).await;
    let task = create_task(&writer, "holder").await;
    let memo: Memo =
        writer.create("memos", &json!({"text": "milk", "task": task.pk})).await.unwrap();

    let instance = Subscribe::instance("memos", memo.id).pk_field("id");
    let mut changes = watcher.subscribe::<Memo>(instance).await.unwrap();
    let eggs: Memo = writer.patch("memos", memo.id, &json!({"text": "eggs"})).await.unwrap();
    assert_eq!(change(&mut changes).await, Change::Update(eggs));
    writer.delete("tasks", task.pk).await.unwrap();
    let Change::Delete(deleted) = change(&mut changes).await else { panic!("no delete") };
    assert_eq!(deleted.pk.unwrap(), memo.id);
    assert_eq!(deleted.data.decode(), Ok(json!({"id": memo.id})));
}

/// `pk_field` can be set for the whole client. This key is a UUID.
pub async fn s10_uuid_key_is_text<A: Adapter>(adapter: A) {
    let writer = connect_to_shared(&adapter).await;
    let mut config = quick_config();
    config.pk_field = "id".into();
    let watcher = adapter.connect(&adapter.shared().url("/ws/"), config).await.unwrap();
    let gadget: Gadget = writer.create("gadgets", &json!({"name": "lamp"})).await.unwrap();

    let instance = Subscribe::instance("gadgets", &gadget.id);
    let mut changes = watcher.subscribe::<Gadget>(instance).await.unwrap();
    let lantern: Gadget =
        writer.patch("gadgets", &gadget.id, &json!({"name": "lantern"})).await.unwrap();
    assert_eq!(change(&mut changes).await, Change::Update(lantern));
    writer.delete("gadgets", &gadget.id).await.unwrap();
    let Change::Delete(deleted) = change(&mut changes).await else { panic!("no delete") };
    assert_eq!(deleted.pk.unwrap(), &*gadget.id);
    assert_eq!(deleted.data.decode(), Ok(json!({"id": gadget.id})));
}

/// Two subscribers to one object share one upstream subscription. Otherwise the server would
/// silence the second when the first unsubscribes.
pub async fn s2_cancelling_one_of_two_subscribers_keeps_the_other<A: Adapter>(adapter: A) {
    let server = &adapter.shared();
    let mark = Mark::new("/ws/");
    let watcher = adapter.connect(&mark.url(server), quick_config()).await.unwrap();
    let writer = connect_to_shared(&adapter).await;
    let task = create_task(&writer, "shared").await;

    let mut first = watcher.subscribe::<Task>(Subscribe::instance("tasks", task.pk)).await.unwrap();
    let mut second =
        watcher.subscribe::<Task>(Subscribe::instance("tasks", task.pk)).await.unwrap();
    let both = rename(&writer, &task, "for both").await;
    assert_eq!(change(&mut first).await, Change::Update(both.clone()));
    assert_eq!(change(&mut second).await, Change::Update(both));

    first.cancel().await.unwrap();
    let one = rename(&writer, &task, "for one").await;
    assert_eq!(change(&mut second).await, Change::Update(one));
    assert_eq!(mark.actions(server), [["tasks/subscribe_instance"]]);

    second.cancel().await.unwrap();
    assert_eq!(mark.actions(server), [["tasks/subscribe_instance", "tasks/unsubscribe_instance"]]);
}

/// Dropping a subscription unsubscribes; subscribing to the same object later is a new
/// subscription.
pub async fn s9_subscribing_again_after_a_drop<A: Adapter>(adapter: A) {
    let server = &adapter.shared();
    let mark = Mark::new("/ws/");
    let watcher = adapter.connect(&mark.url(server), quick_config()).await.unwrap();
    let writer = connect_to_shared(&adapter).await;
    let task = create_task(&writer, "once more").await;

    let instance = || Subscribe::instance("tasks", task.pk);
    drop(watcher.subscribe::<Task>(instance()).await.unwrap());
    let mut changes = watcher.subscribe::<Task>(instance()).await.unwrap();
    let renamed = rename(&writer, &task, "again").await;
    assert_eq!(change(&mut changes).await, Change::Update(renamed));
    let subscribe = "tasks/subscribe_instance";
    assert_eq!(mark.actions(server), [[subscribe, "tasks/unsubscribe_instance", subscribe]]);
}

/// The server replies 404 to this unsubscribe, which counts as success.
pub async fn s9_unsubscribing_from_a_deleted_object_succeeds<A: Adapter>(adapter: A) {
    let (watcher, writer) = watcher_and_writer(&adapter).await;
    let task = create_task(&writer, "doomed").await;

    let mut changes =
        watcher.subscribe::<Task>(Subscribe::instance("tasks", task.pk)).await.unwrap();
    writer.delete("tasks", task.pk).await.unwrap();
    assert!(matches!(change(&mut changes).await, Change::Delete(_)));
    changes.cancel().await.unwrap();
    assert_eq!(watcher.stats().subscriptions, 0);
}

/// An event that comes before the acknowledgement is delivered, and is no acknowledgement.
pub async fn s8_event_before_the_acknowledgement_is_delivered<A: Adapter>(adapter: A) {
    let client = connect_to_shared(&adapter).await;
    let task = create_task(&client, "early").await;
    let before = client.stats().received;

    // The subscribing action answers late, and does not keep the patch behind it waiting.
    let late = Subscribe::new("tasks", "subscribe_late_reply").arg("delay", 1.0);
    let mut subscribing = client.subscribe::<Task>(late);
    let patching: ReplyFuture<Task> = client.patch("tasks", task.pk, &json!({"title": "earlier"}));
    let patched = patching.await.unwrap();
    let two_frames = || client.stats().received >= before + 2;
    eventually(&adapter, "the answer and the event arrive", two_frames).await;
    assert!(poll_once(&mut subscribing).await.is_none(), "the event was an acknowledgement");

    let mut changes = subscribing.await.unwrap();
    loop {
        // Skip other stories' tasks.
        if let Change::Update(update) = change(&mut changes).await
            && update.pk == task.pk
        {
            break assert_eq!(update, patched);
        }
    }
}

/// An update overtaken by a delete arrives as the server's error reply, never as an update without
/// data, and the delete follows.
pub async fn s14_stale_update_is_an_error_reply<A: Adapter>(adapter: A) {
    let (watcher, writer) = watcher_and_writer(&adapter).await;
    // The server reads the object when it delivers the event. The queued lists usually, but not
    // always, delay that until after the delete.
    loop {
        let task = create_task(&writer, "stale").await;
        let mut changes =
            watcher.subscribe::<Task>(Subscribe::instance("tasks", task.pk)).await.unwrap();

        let lists: Vec<ReplyFuture<Vec<Task>>> = (0..20).map(|_| watcher.list("tasks")).collect();
        let patching: ReplyFuture<Task> = writer.patch("tasks", task.pk, &json!({"done": true}));
        let deleting = writer.delete("tasks", task.pk);
        assert!(patching.await.unwrap().done);
        deleting.await.unwrap();

        let first = change(&mut changes).await;
        let Change::Delete(deleted) = change(&mut changes).await else { panic!("no delete") };
        assert_eq!(deleted.pk.unwrap(), task.pk);
        for list in lists {
            list.await.unwrap();
        }
        match first {
            Change::Update(update) => assert_eq!(update, Task { done: true, ..task }),
            Change::ErrorReply(reply) => {
                assert_eq!((reply.status, reply.action.as_deref()), (Some(404), Some("update")));
                break;
            }
            other => panic!("expected an error reply, got {other:?}"),
        }
    }
}

/// An error reply ends a subscription: it is not replayed, and the other one is.
pub async fn s3_failed_subscribe_is_not_replayed<A: Adapter>(adapter: A) {
    let server = &adapter.shared();
    let mark = Mark::new("/ws/");
    let client = adapter.connect(&mark.url(server), quick_config()).await.unwrap();
    let mut events = client.events();
    let task = create_task(&client, "kept").await;
    let mut kept = client.subscribe::<Task>(Subscribe::instance("tasks", task.pk)).await.unwrap();

    for (subscribe, status) in [
        (Subscribe::instance("tasks", 0), 404),
        (Subscribe::instance("private", task.pk), 403),
        (Subscribe::new("tasks", "subscribe_nothing"), 405),
    ] {
        let Err(SubscriptionError::ErrorReply(reply)) = client.subscribe::<Task>(subscribe).await
        else {
            panic!("expected status {status}")
        };
        assert_eq!(reply.status, Some(status));
    }

    let _kick: ReplyFuture<Value> = client.call(Request::new("tools", "kick").arg("code", 4000));
    lost(&mut events).await;
    connected(&mut events).await;
    assert!(matches!(change(&mut kept).await, Change::Gap(_)));
    let [_, after]: [Vec<String>; 2] = mark.actions(server).try_into().unwrap();
    assert_eq!(after, ["tasks/subscribe_instance"]);
}

/// An object is deleted while the connection is lost: its subscription ends and says so, and the others
/// live on.
pub async fn s7_object_deleted_during_an_outage_ends_its_subscription<A: Adapter>(adapter: A) {
    let mut config = quick_config();
    // Time enough for the deletion.
    config.backoff.minimum = Duration::from_millis(800);
    config.backoff.maximum = Duration::from_millis(800);
    config.backoff.jitter = false;
    let watcher = adapter.connect(&adapter.shared().url("/ws/"), config).await.unwrap();
    let mut events = watcher.events();
    let writer = connect_to_shared(&adapter).await;
    let (doomed, kept) = (create_task(&writer, "doomed").await, create_task(&writer, "kept").await);
    let subscribe = |task: &Task| watcher.subscribe::<Task>(Subscribe::instance("tasks", task.pk));
    let mut of_doomed = subscribe(&doomed).await.unwrap();
    let mut of_kept = subscribe(&kept).await.unwrap();

    let _kick: ReplyFuture<Value> = watcher.call(Request::new("tools", "kick").arg("code", 4000));
    lost(&mut events).await;
    writer.delete("tasks", doomed.pk).await.unwrap();

    let SubscriptionError::Gone(reply) = ended(&mut of_doomed).await else {
        panic!("expected Gone")
    };
    assert_eq!(reply.status, Some(404));
    assert!(matches!(change(&mut of_kept).await, Change::Gap(_)));
    let renamed = rename(&writer, &kept, "still here").await;
    assert_eq!(change(&mut of_kept).await, Change::Update(renamed));
}

/// Custom subscription ids, as text and as a number.
pub async fn r8_custom_subscription_ids<A: Adapter>(adapter: A) {
    let server = &adapter.shared();
    let mark = Mark::new("/ws/");
    let watcher = adapter.connect(&mark.url(server), quick_config()).await.unwrap();
    let writer = connect_to_shared(&adapter).await;
    let (one, two) = (create_task(&writer, "one").await, create_task(&writer, "two").await);

    let mut by_text = watcher
        .subscribe::<Task>(Subscribe::instance("tasks", one.pk).id("my subscription"))
        .await
        .unwrap();
    let mut by_number =
        watcher.subscribe::<Task>(Subscribe::instance("tasks", two.pk).id(7)).await.unwrap();
    let (one, two) = (rename(&writer, &one, "1").await, rename(&writer, &two, "2").await);
    assert_eq!(change(&mut by_text).await, Change::Update(one));
    assert_eq!(change(&mut by_number).await, Change::Update(two));

    let [journal] = mark.connections(server).try_into().unwrap();
    let ids: Vec<Value> = journal.payloads("tasks").map(|mut p| p["request_id"].take()).collect();
    assert_eq!(ids, [json!("my subscription"), json!(7)]);
}
