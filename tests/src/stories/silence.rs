//! A server that is there and says nothing.

use std::time::Duration;

use dcrf_proto::{Change, CloseOptions, ConnectionError, Heartbeat, Subscribe};

use super::{create_task, rename};
use crate::adapter::{Adapter, quick};
use crate::models::Task;
use crate::observe::{Mark, change, connected, eventually, lost};
use crate::server::Server;

/// A quiet server is asked with a ping, and its pong keeps the connection. When it stands still (SIGSTOP)
/// the connection is lost, and when it goes on the client comes back.
pub async fn l9_a_server_that_stands_still<A: Adapter>(adapter: A) {
    let server = Server::start().unwrap();
    let mark = Mark::new("/ws/");
    let mut config = quick();
    let heartbeat =
        Heartbeat { interval: Duration::from_millis(100), timeout: Duration::from_millis(900) };
    config.heartbeat = Some(heartbeat);
    let client = adapter.connect(&mark.url(&server), config).await.unwrap();
    let mut events = client.events();
    let task = create_task(&client, "quiet").await;
    let mut changes =
        client.subscribe::<Task>(Subscribe::instance("tasks", task.pk)).await.unwrap();

    let after_that = client.stats().received;
    let pongs = || client.stats().received >= after_that + 3;
    eventually(&adapter, "pongs arrive, while nobody asks for anything", pongs).await;
    assert_eq!(mark.connections(&server).len(), 1);

    server.pause().unwrap();
    let ConnectionError::Silent(silence) = lost(&mut events).await else {
        panic!("it was not silent")
    };
    assert!(silence >= heartbeat.interval + heartbeat.timeout);

    server.resume().unwrap();
    connected(&mut events).await;
    let Change::Gap(gap) = change(&mut changes).await else { panic!("no gap") };
    assert_eq!(gap.cause, ConnectionError::Silent(silence));
    let other = adapter.connect(&server.url("/ws/"), quick()).await.unwrap();
    let renamed = rename(&other, &task, "loud").await;
    assert_eq!(change(&mut changes).await, Change::Update(renamed));
    let [_, after]: [Vec<String>; 2] = mark.actions(&server).try_into().unwrap();
    assert_eq!(after, ["tasks/subscribe_instance"]);

    // C1: a server that does not finish the closing handshake does not keep anybody.
    server.pause().unwrap();
    let closing = client.close_with(CloseOptions::now());
    adapter.within(Duration::from_secs(3), closing).await;
    server.resume().unwrap();
}

/// A program that knows that the network has changed has it looked at: the connection to a server that is there is
/// kept, and the one to a server that stands still is lost within 2 seconds. There is no heartbeat to do that.
pub async fn l10_a_probe<A: Adapter>(adapter: A) {
    let server = Server::start().unwrap();
    let mut config = quick();
    config.heartbeat = None;
    let client = adapter.connect(&server.url("/ws/"), config).await.unwrap();
    let mut events = client.events();
    for pongs in 1..=3 {
        client.probe();
        eventually(&adapter, "a pong arrives", || client.stats().received == pongs).await;
    }

    server.pause().unwrap();
    client.probe();
    let silent = adapter.within(Duration::from_secs(5), lost(&mut events)).await;
    let ConnectionError::Silent(silence) = silent else {
        panic!("it was not silent, but {silent:?}")
    };
    assert!(silence >= Duration::from_secs(2));
    server.resume().unwrap();
    connected(&mut events).await;
}
