//! The scenarios: what a program does, what the server does, what the program sees.
//!
//! Each is one story, written once for all adapters. Where its name begins with a number, it shows that
//! rule over real sockets. Most share one server and work with objects of their own; those that stop
//! the server have one to themselves.
#![expect(clippy::missing_panics_doc, reason = "a story panics where the client breaks its word")]

pub mod actions;
pub mod all_at_once;
pub mod chaos;
pub mod close;
pub mod connect;
pub mod credentials;
pub mod endpoints;
pub mod feeds;
pub mod messages;
pub mod outage;
pub mod reconnect;
pub mod replies;
pub mod requests;
pub mod silence;
pub mod slow_readers;
pub mod streams;
pub mod subscriptions;
pub mod tls;

use crate::client::Client;
use serde_json::json;

use crate::adapter::{Adapter, quick};
use crate::models::Task;
use crate::server::Server;

/// A client of the shared server's multiplexed endpoint.
async fn visit<A: Adapter>(adapter: &A) -> Client {
    adapter.connect(&Server::shared().url("/ws/"), quick()).await.unwrap()
}

/// Two clients of the shared server: one that watches, and one that does something.
async fn two<A: Adapter>(adapter: &A) -> (Client, Client) {
    (visit(adapter).await, visit(adapter).await)
}

async fn create_task(client: &Client, title: &str) -> Task {
    client.create("tasks", &json!({"title": title})).await.unwrap()
}

async fn rename(client: &Client, task: &Task, title: &str) -> Task {
    client.patch("tasks", task.pk, &json!({"title": title})).await.unwrap()
}
