//! A conversation with the real server is recorded, and replayed by the one in memory.

use std::sync::{Arc, Mutex};

use dcrf_tests::server::Server;
use dcrf_tokio::fake_server::{FakeServer, Line};
use dcrf_tokio::{Builder, Change, Subscribe};
use serde_json::{Value, json};

/// A small session: a list, an error, a subscription with an event, and a change.
async fn play(builder: Builder) -> Vec<Value> {
    let client = builder.connect().await.unwrap();
    let tasks: Value = client.list("tasks").await.unwrap();
    let refused = client.create::<Value>("tasks", &json!({"title": ""})).await.unwrap_err();
    let mut changes = client.subscribe::<Value>(Subscribe::instance("tasks", 1)).await.unwrap();
    let data = json!({"title": "replayed"});
    let patched: Value = client.patch("tasks", 1, &data).await.unwrap();
    let Change::Update(update) = changes.next().await.unwrap().unwrap() else {
        panic!("no update")
    };
    client.close().await;
    vec![tasks, json!(refused.to_string()), patched, update]
}

#[tokio::test]
async fn conversation_with_the_real_server_is_replayed() {
    let server = Server::start().unwrap();
    let lines: Arc<Mutex<Vec<String>>> = Arc::default();
    let lines_of_client = lines.clone();
    let builder = dcrf_tokio::builder(&server.url("/ws/"))
        .record(move |line| lines_of_client.lock().unwrap().push(line.to_string()));
    let recorded = play(builder).await;
    let lines = lines.lock().unwrap().join("\n");

    let replay = FakeServer::replay(&Line::parse(&lines).unwrap());
    let replayed = play(dcrf_tokio::builder("ws://replay/ws/").fake_server(&replay)).await;
    assert_eq!(replayed, recorded);
    replay.assert_replayed();
}
