//! A server that stays connected and sends nothing.

use std::time::Duration;

use dcrf_proto::{Change, CloseOptions, ConnectionError, Heartbeat, Subscribe};

use super::{create_task, rename};
use crate::adapter::{Adapter, quick_config};
use crate::models::Task;
use crate::observe::{Mark, change, connected, eventually, lost};
use crate::server::Server;

/// Pongs keep an idle connection. A frozen server (SIGSTOP) is a connection error, and the client
/// reconnects once it continues.
pub async fn l9_heartbeat_detects_a_frozen_server<A: Adapter>(adapter: A) {
    let server = Server::start().unwrap();
    let mark = Mark::new("/ws/");
    let mut config = quick_config();
    let heartbeat =
        Heartbeat { interval: Duration::from_millis(100), timeout: Duration::from_millis(900) };
    config.heartbeat = Some(heartbeat);
    let client = adapter.connect(&mark.url(&server), config).await.unwrap();
    let mut events = client.events();
    let task = create_task(&client, "quiet").await;
    let mut changes =
        client.subscribe::<Task>(Subscribe::instance("tasks", task.pk)).await.unwrap();

    let baseline = client.stats().received;
    let pongs = || client.stats().received >= baseline + 3;
    eventually(&adapter, "pongs arrive on an idle connection", pongs).await;
    assert_eq!(mark.connections(&server).len(), 1);

    server.pause().unwrap();
    let ConnectionError::Silent(silence) = lost(&mut events).await else {
        panic!("expected Silent")
    };
    assert!(silence >= heartbeat.interval + heartbeat.timeout);

    server.resume().unwrap();
    connected(&mut events).await;
    let Change::Gap(gap) = change(&mut changes).await else { panic!("no gap") };
    assert_eq!(gap.cause, ConnectionError::Silent(silence));
    let other = adapter.connect(&server.url("/ws/"), quick_config()).await.unwrap();
    let renamed = rename(&other, &task, "loud").await;
    assert_eq!(change(&mut changes).await, Change::Update(renamed));
    let [_, after]: [Vec<String>; 2] = mark.actions(&server).try_into().unwrap();
    assert_eq!(after, ["tasks/subscribe_instance"]);

    // C1: close does not wait for a frozen server to finish the handshake.
    server.pause().unwrap();
    let closing = client.close_with(CloseOptions::now());
    adapter.within(Duration::from_secs(3), closing).await;
    server.resume().unwrap();
}

/// `probe()` keeps the connection to a live server and drops the one to a frozen server within 2
/// seconds, without a heartbeat.
pub async fn l10_probe_detects_a_frozen_server<A: Adapter>(adapter: A) {
    let server = Server::start().unwrap();
    let mut config = quick_config();
    config.heartbeat = None;
    let client = adapter.connect(&server.url("/ws/"), config).await.unwrap();
    let mut events = client.events();
    for pongs in 1..=3 {
        client.probe();
        eventually(&adapter, "a pong arrives", || client.stats().received == pongs).await;
    }

    server.pause().unwrap();
    client.probe();
    let error = adapter.within(Duration::from_secs(5), lost(&mut events)).await;
    let ConnectionError::Silent(silence) = error else { panic!("expected Silent, got {error:?}") };
    assert!(silence >= Duration::from_secs(2));
    server.resume().unwrap();
    connected(&mut events).await;
}
