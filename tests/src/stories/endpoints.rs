//! Other endpoints than the anonymous, multiplexed one.

use crate::client::Response;
use dcrf_proto::{Change, Framing, Request, RequestError, Subscribe};
use serde_json::Value;

use super::{create_task, rename, visit};
use crate::adapter::{Adapter, quick};
use crate::models::Task;
use crate::observe::{Mark, change, connected, lost};
use crate::server::Server;

/// A consumer without the multiplexer: the same requests and subscriptions, also over a reconnect.
pub async fn f1_a_bare_endpoint<A: Adapter>(adapter: A) {
    let server = Server::shared();
    let mark = Mark::new("/ws/bare/tasks/");
    let mut config = quick();
    config.framing = Framing::Bare;
    let client = adapter.connect(&mark.url(server), config).await.unwrap();
    let mut events = client.events();
    let other = visit(&adapter).await;

    // The stream's name goes nowhere here.
    let task = create_task(&client, "bare").await;
    let mut changes =
        client.subscribe::<Task>(Subscribe::instance("tasks", task.pk)).await.unwrap();
    let once = rename(&other, &task, "once").await;
    assert_eq!(change(&mut changes).await, Change::Update(once));

    // What ends a multiplexed connection ends this one too: a subscribe that lacks its argument.
    let crashing: Response<Value> = client.call(Request::new("tasks", "subscribe_priority"));
    assert_eq!(crashing.await, Err(RequestError::ConnectionLost { sent: true }));
    lost(&mut events).await;
    connected(&mut events).await;
    assert!(matches!(change(&mut changes).await, Change::Gap(_)));
    let twice = rename(&other, &task, "twice").await;
    assert_eq!(change(&mut changes).await, Change::Update(twice));

    changes.cancel().await.unwrap();
    let [_, after]: [Vec<String>; 2] = mark.actions(server).try_into().unwrap();
    assert_eq!(after, ["subscribe_instance", "unsubscribe_instance"]);
}
