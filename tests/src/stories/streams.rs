//! Byte streams opened by the program in place of TCP.

use dcrf_proto::{Change, Subscribe};

use super::{create_task, rename};
use crate::adapter::{Adapter, Setup, quick_config};
use crate::models::Task;
use crate::observe::{change, connected, lost, restarted};
use crate::server::Server;

/// A server on a Unix socket: requests and subscriptions, also across a restart.
pub async fn unix_socket<A: Adapter>(adapter: A) {
    let mut server = Server::builder().unix_socket().start().unwrap();
    // No such host: the URL is not dialled.
    let setup =
        Setup::new("ws://nowhere.invalid/ws/", quick_config()).unix_socket(&server.unix_socket());
    let client = adapter.connect_with(setup).await.unwrap();
    let mut events = client.events();
    let task = create_task(&client, "before").await;
    let mut changes =
        client.subscribe::<Task>(Subscribe::instance("tasks", task.pk)).await.unwrap();

    server.kill().unwrap();
    lost(&mut events).await;
    let server = restarted(&adapter, server).await;
    connected(&mut events).await;
    assert!(matches!(change(&mut changes).await, Change::Gap(_)));
    let renamed = rename(&client, &task, "after").await;
    assert_eq!(change(&mut changes).await, Change::Update(renamed));
    client.close().await;
    drop(server);
}
