//! Scenarios: what a program does, what the server does, what the program sees.
//!
//! Each story is written once for all adapters. If its name begins with a rule's number, it shows
//! that rule over real sockets. Most stories share one server and use objects of their own; those
//! that stop a server start one.
#![expect(clippy::missing_panics_doc, reason = "a story panics when an assertion fails")]

pub mod actions;
pub mod all_at_once;
pub mod chaos;
pub mod close;
pub mod collections;
pub mod connect;
pub mod credentials;
pub mod endpoints;
pub mod feeds;
pub mod messages;
pub mod outage;
pub mod reconnect;
pub mod replies;
pub mod requests;
pub mod resources;
pub mod silence;
pub mod slow_readers;
pub mod streams;
pub mod subscriptions;
pub mod tls;

use crate::client::Client;
use serde_json::json;

use crate::adapter::{Adapter, quick_config};
use crate::models::Task;
use crate::story_server::Journaled;

/// A client connected to the multiplexed endpoint of the shared server.
async fn connect_to_shared<A: Adapter>(adapter: &A) -> Client {
    adapter.connect(&adapter.shared().url("/ws/"), quick_config()).await.unwrap()
}

/// Two clients of the shared server: a watcher and a writer.
async fn watcher_and_writer<A: Adapter>(adapter: &A) -> (Client, Client) {
    (connect_to_shared(adapter).await, connect_to_shared(adapter).await)
}

async fn create_task(client: &Client, title: &str) -> Task {
    client.create("tasks", &json!({"title": title})).await.unwrap()
}

async fn rename(client: &Client, task: &Task, title: &str) -> Task {
    client.patch("tasks", task.pk, &json!({"title": title})).await.unwrap()
}
