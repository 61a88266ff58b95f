//! Bare endpoints: one consumer without the multiplexer.

use crate::client::{Client, ReplyFuture};
use dcrf_proto::client::ReplyError;
use dcrf_proto::{
    Change, ClientEvent, Framing, ListenerEvent, Page, ReplyStreamError, Request, RequestError,
    Selector, Subscribe,
};
use serde_json::{Value, json};

use super::{connect_to_shared, create_task, rename};
use crate::adapter::{Adapter, quick_config};
use crate::models::{Row, Task};
use crate::observe::{Mark, change, connected, ended, error_reply, eventually, lost, restarted};
use crate::server::Server;
use crate::story_server::Journaled;

/// A client of a bare endpoint.
async fn bare<A: Adapter>(adapter: &A, server: &impl Journaled, mark: &Mark) -> Client {
    let mut config = quick_config();
    config.framing = Framing::Bare;
    adapter.connect(&mark.url(server), config).await.unwrap()
}

/// Requests and subscriptions, also after a reconnect.
pub async fn f1_bare_endpoint<A: Adapter>(adapter: A) {
    let server = &adapter.shared();
    let mark = Mark::new("/ws/bare/tasks/");
    let client = bare(&adapter, server, &mark).await;
    let mut events = client.events();
    let other = connect_to_shared(&adapter).await;

    // The stream's name is not sent.
    let task = create_task(&client, "bare").await;
    let mut changes =
        client.subscribe::<Task>(Subscribe::instance("tasks", task.pk)).await.unwrap();
    let once = rename(&other, &task, "once").await;
    assert_eq!(change(&mut changes).await, Change::Update(once));

    // A subscribe without its argument crashes the consumer, here as behind the multiplexer.
    let crashing: ReplyFuture<Value> = client.call(Request::new("tasks", "subscribe_priority"));
    assert!(matches!(crashing.await, Err(RequestError::ConnectionLost { sent: true, .. })));
    lost(&mut events).await;
    connected(&mut events).await;
    assert!(matches!(change(&mut changes).await, Change::Gap(_)));
    let twice = rename(&other, &task, "twice").await;
    assert_eq!(change(&mut changes).await, Change::Update(twice));

    changes.cancel().await.unwrap();
    let [_, after]: [Vec<String>; 2] = mark.actions(server).try_into().unwrap();
    assert_eq!(after, ["subscribe_instance", "unsubscribe_instance"]);
}

/// Every action of a model, error replies, and how subscriptions end.
pub async fn f1_all_actions_on_a_bare_endpoint<A: Adapter>(adapter: A) {
    let server = &adapter.shared();
    let mark = Mark::new("/ws/bare/tasks/");
    let client = bare(&adapter, server, &mark).await;

    let task: Task = client.create("", &json!({"title": "bare"})).await.unwrap();
    assert!(client.list::<Vec<Task>>("").await.unwrap().contains(&task));
    assert_eq!(client.retrieve::<Task>("", task.pk).await, Ok(task.clone()));
    let whole = json!({"title": "updated", "done": true, "priority": 3});
    let updated: Task = client.update("", task.pk, &whole).await.unwrap();
    assert_eq!((&*updated.title, updated.done, updated.priority), ("updated", true, 3));
    let patched: Task = client.patch("", task.pk, &json!({"done": false})).await.unwrap();
    assert_eq!(patched, Task { done: false, ..updated });

    let mut changes = client.subscribe::<Task>(Subscribe::instance("", task.pk)).await.unwrap();
    let feed = Subscribe::new("", "subscribe_priority").arg("priority", 7_000_000 + task.pk);
    let mut feed = client.subscribe::<Task>(feed.include_create()).await.unwrap();
    let priority = json!({"priority": 7_000_000 + task.pk});
    let moved: Task = client.patch("", task.pk, &priority).await.unwrap();
    assert_eq!(change(&mut changes).await, Change::Update(moved.clone()));
    assert_eq!(change(&mut feed).await, Change::Create(moved));
    client.delete("", task.pk).await.unwrap();
    assert!(matches!(change(&mut changes).await, Change::Delete(_)));
    assert!(matches!(change(&mut feed).await, Change::Delete(_)));
    changes.cancel().await.unwrap();

    assert_eq!(error_reply(client.retrieve::<Task>("", task.pk).await).status, Some(404));
    assert_eq!(error_reply(client.create::<Task>("", &json!({})).await).status, Some(400));
    assert_eq!(
        error_reply(client.call::<Value>(Request::new("", "no_such")).await).status,
        Some(405)
    );
    client.close().await;
    let closed = ended(&mut feed).await;
    assert!(matches!(closed, dcrf_proto::SubscriptionError::Closed(_)), "{closed:?}");
    let [frames] = mark.connections(server).try_into().unwrap();
    assert!(frames.frames().all(|frame| frame.get("stream").is_none()), "a frame has a stream");
}

/// Streamed lists, one of them dropped early, and lists requested page by page.
pub async fn f1_lists_on_bare_endpoints<A: Adapter>(adapter: A) {
    let server = &adapter.shared();
    let mark = Mark::new("/ws/bare/row_stream/");
    let client = bare(&adapter, server, &mark).await;
    let request = || Request::list("row_stream");

    let mut pages = client.stream_pages::<Row>(request());
    let mut offsets = Vec::new();
    while let Some(page) = pages.next().await {
        offsets.push(page.unwrap().offset);
    }
    assert_eq!(offsets, [Some(0), Some(3), Some(6)]);
    let mut pages = client.stream_pages::<Row>(request().arg("limit", 1));
    assert_eq!(pages.next().await.unwrap().unwrap().results[0].id, 1);
    drop(pages);
    let cancelled = || mark.count(server, "list_cancel") == 1;
    eventually(&adapter, "the cancel arrives", cancelled).await;
    let mut pages = client.stream::<Page<Row>>(request().arg("limit", 8)).until(Page::is_last);
    assert_eq!(pages.next().await.unwrap().unwrap().results.len(), 8);
    assert!(pages.next().await.is_none());
    assert_eq!(mark.actions(server), [["list", "list", "list_cancel", "list"]]);

    let mark = Mark::new("/ws/bare/row_pages/");
    let client = bare(&adapter, server, &mark).await;
    let mut rows = client.list_all::<Row>(Request::list("row_pages"));
    let mut ids = Vec::new();
    while let Some(row) = rows.next().await {
        ids.push(row.unwrap().id);
    }
    assert_eq!((ids, rows.total()), ((1..=8).collect(), Some(8)));
    assert_eq!(mark.actions(server), [["list", "list", "list"]]);
}

/// Messages without a reply. Unsolicited frames reach a listener, or become events if no listener matches.
pub async fn f1_sends_and_listeners_on_a_bare_endpoint<A: Adapter>(adapter: A) {
    let server = &adapter.shared();
    let mark = Mark::new("/ws/bare/tools/");
    let client = bare(&adapter, server, &mark).await;
    let mut events = client.events();

    client.send(Request::new("tools", "echo")).unwrap();
    client.send_now(Request::new("tools", "mute")).unwrap();
    client.flush().await.unwrap();
    eventually(&adapter, "the echo is counted", || client.stats().late == 1).await;

    let ticks = Selector::any().contains(json!({"type": "tick"}));
    let mut ticks = client.listen::<Value>(ticks).unwrap();
    let push = || Request::new("tools", "push").arg("count", 2);
    assert_eq!(client.call::<Value>(push()).await, Ok(json!({"pushed": 2})));
    for n in 0..2 {
        let Some(Ok(ListenerEvent::Frame { stream, payload, .. })) = ticks.next().await else {
            panic!("no tick")
        };
        assert_eq!((stream, payload), (None, json!({"type": "tick", "n": n})));
    }
    assert_eq!(client.stats().unhandled, 0);
    drop(ticks);
    assert_eq!(client.call::<Value>(push()).await, Ok(json!({"pushed": 2})));
    let Some(ClientEvent::Unhandled(tick)) = events.next().await else { panic!("no push") };
    assert_eq!(tick.frame.decode(), Ok(json!({"type": "tick", "n": 0})));
    eventually(&adapter, "all arrived", || mark.actions(server)[0].len() == 4).await;
    assert_eq!(mark.actions(server), [["echo", "mute", "push", "push"]]);
}

/// The server is killed and restarted. Meanwhile requests and messages wait, and a stream of replies is interrupted.
/// Then each subscription is replayed once, before the requests.
pub async fn f1_bare_endpoint_survives_a_server_death<A: Adapter>(adapter: A) {
    let mut server = Server::start().unwrap();
    let mark = Mark::new("/ws/bare/tasks/");
    let client = bare(&adapter, &server, &mark).await;
    let mut events = client.events();
    let mut changes = client.subscribe::<Task>(Subscribe::instance("tasks", 1)).await.unwrap();
    let all = Subscribe::new("tasks", "subscribe_all");
    let mut feed = client.subscribe::<Task>(all).await.unwrap();
    let mut replies = client.stream::<Vec<Task>>(Request::list("tasks"));
    assert_eq!(replies.next().await.unwrap().unwrap().len(), 5);

    server.kill().unwrap();
    lost(&mut events).await;
    let Some(Err(ReplyError::Stream(interrupted))) = replies.next().await else { panic!("no end") };
    assert_eq!(interrupted, ReplyStreamError::Interrupted { received: 1 });
    client.send(Request::patch("tasks", 2, &json!({"title": "by a message"}))).unwrap();
    let queued = rename_first(&client);
    let server = restarted(&adapter, server).await;
    connected(&mut events).await;

    assert!(matches!(change(&mut changes).await, Change::Gap(_)));
    assert!(matches!(change(&mut feed).await, Change::Gap(_)));
    let renamed = queued.await.unwrap();
    assert_eq!(change(&mut changes).await, Change::Update(renamed.clone()));
    let Change::Update(by_message) = change(&mut feed).await else { panic!("no update") };
    assert_eq!((by_message.pk, &*by_message.title), (2, "by a message"));
    assert_eq!(change(&mut feed).await, Change::Update(renamed));
    let [before, after]: [Vec<String>; 2] = mark.actions(&server).try_into().unwrap();
    assert_eq!(before, ["subscribe_instance", "subscribe_all", "list"]);
    assert_eq!(after, ["subscribe_instance", "subscribe_all", "patch", "patch"]);
}

fn rename_first(client: &Client) -> ReplyFuture<Task> {
    client.patch("tasks", 1, &json!({"title": "by a request"}))
}
