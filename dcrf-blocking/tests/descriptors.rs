//! A process that is out of file descriptors for a moment.
#![cfg(unix)]

#[path = "../../dcrf-smol/tests/child/mod.rs"]
mod child;

use std::net::TcpStream;
use std::time::Duration;

use child::{all_descriptors, in_child};
use dcrf_blocking::{ConnectError, ReplyFuture, Request};
use serde_json::{Value, json};
use tungstenite::Message;

/// Replies to each request with 7, except to `mute`.
fn serve(stream: TcpStream) {
    let Ok(mut socket) = tungstenite::accept(stream) else { return };
    while let Ok(message) = socket.read() {
        let Message::Text(text) = message else { continue };
        let frame: Value = serde_json::from_str(&text).unwrap();
        let (id, action) = (&frame["payload"]["request_id"], &frame["payload"]["action"]);
        if action != "mute" {
            let payload = json!({"errors": [], "data": 7, "action": action, "response_status": 200, "request_id": id});
            let reply = json!({"stream": frame["stream"], "payload": payload});
            let _ = socket.send(Message::text(reply.to_string()));
        }
    }
}

#[test]
fn l14_without_descriptors_connect_fails_and_later_clients_work() {
    in_child("l14_without_descriptors_connect_fails_and_later_clients_work", serve, |url| {
        let held = all_descriptors();
        let error = dcrf_blocking::builder(url).start_idle().connect_lazy().unwrap_err();
        assert!(matches!(&error, ConnectError::UnusableRuntime(_)), "{error:?}");
        drop(held);
        let client = dcrf_blocking::builder(url).start_idle().connect_lazy().unwrap();
        client.open();
        let timeout = Duration::from_secs(2);
        assert_eq!(client.call::<u8>(Request::new("tools", "seven").timeout(timeout)), Ok(7));
        let mute: ReplyFuture<Value> = client.start(Request::new("tools", "mute"));
        drop(mute.wait_timeout(Duration::from_millis(100)).unwrap_err());
        client.close();
    });
}
