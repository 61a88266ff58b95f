//! A process that is out of file descriptors for a moment. Each test has a process of its own, because async-io starts
//! its reactor once.
#![cfg(unix)]

mod child;

use std::net::TcpStream;
use std::time::Duration;

use async_tungstenite::tungstenite::{self, Message};
use child::{all_descriptors, in_child};
use dcrf_smol::{Client, ConnectError, ConnectionState, Request};
use futures_lite::future::block_on;
use serde_json::{Value, json};

/// Replies to each request with 7.
fn serve(stream: TcpStream) {
    let Ok(mut socket) = tungstenite::accept(stream) else { return };
    while let Ok(message) = socket.read() {
        let Message::Text(text) = message else { continue };
        let frame: Value = serde_json::from_str(&text).unwrap();
        let (id, action) = (&frame["payload"]["request_id"], &frame["payload"]["action"]);
        let payload = json!({"errors": [], "data": 7, "action": action, "response_status": 200, "request_id": id});
        let reply = json!({"stream": frame["stream"], "payload": payload});
        let _ = socket.send(Message::text(reply.to_string()));
    }
}

async fn call(client: &Client) {
    let request = Request::new("tools", "seven").timeout(Duration::from_secs(5));
    assert_eq!(client.call::<u8>(request).await, Ok(7));
}

#[test]
fn l14_without_descriptors_connect_fails_and_later_clients_work() {
    in_child("l14_without_descriptors_connect_fails_and_later_clients_work", serve, |url| {
        let held = all_descriptors();
        let error = block_on(dcrf_smol::connect(url)).unwrap_err();
        assert!(matches!(&error, ConnectError::UnusableRuntime(_)), "{error:?}");
        let error = dcrf_smol::builder(url).build().unwrap_err();
        assert!(matches!(&error, ConnectError::UnusableRuntime(_)), "{error:?}");
        drop(held);
        for _ in 0..2 {
            block_on(async {
                let client = dcrf_smol::connect(url).await.unwrap();
                call(&client).await;
                client.close().await;
            });
        }
    });
}

#[test]
fn l1_without_descriptors_a_client_keeps_trying() {
    in_child("l1_without_descriptors_a_client_keeps_trying", serve, |url| {
        block_on(async {
            let client = dcrf_smol::connect(url).await.unwrap();
            let mut states = client.watch_state();
            let held = all_descriptors();
            let error = dcrf_smol::connect(url).await.unwrap_err();
            assert!(matches!(&error, ConnectError::Failed { .. }), "{error:?}");
            client.force_reconnect();
            // It takes the descriptor of the old connection, or fails and waits.
            while !matches!(states.next().await, Some(ConnectionState::Connecting { .. })) {}
            drop(held);
            call(&client).await;
            client.close().await;
        });
    });
}
