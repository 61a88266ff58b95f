//! A small, fast server on the loopback, to measure what `dcrf bench` itself needs for many clients.
//!
//! It has one stream, `tasks`, with one row: `subscribe_all`, `list`, `create`, `patch` with an event for each subscriber,
//! and `delete`. It ends after the given time.
//!
//! ```sh
//! cargo run --release -p dcrf-cli --example bench_server -- 127.0.0.1:9350 120
//! ```

use std::error::Error;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_tungstenite::tokio::accept_async;
use async_tungstenite::tungstenite::{Message, Utf8Bytes};
use futures_lite::StreamExt as _;
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// A subscriber's request id, and its connection.
type Subscribers = Arc<Mutex<Vec<(Value, UnboundedSender<Utf8Bytes>)>>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(seconds)) = (arguments.next(), arguments.next()) else {
        return Err("usage: bench_server ADDRESS SECONDS".into());
    };
    let address: SocketAddr = address.parse()?;
    if !address.ip().is_loopback() {
        return Err("this server is only for the loopback".into());
    }
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let listener = socket.listen(4096)?;
    println!("listening on {}", listener.local_addr()?);
    let subscribers = Subscribers::default();
    let serving = async {
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(serve(stream, subscribers.clone()));
        }
    };
    match tokio::time::timeout(Duration::from_secs(seconds.parse()?), serving).await {
        Ok(result) => result,
        Err(_) => Ok(()),
    }
}

async fn serve(stream: TcpStream, subscribers: Subscribers) {
    let _ = stream.set_nodelay(true);
    let Ok(mut socket) = accept_async(stream).await else { return };
    let (events, mut outbox) = unbounded_channel();
    loop {
        let message = tokio::select! {
            Some(event) = outbox.recv() => Message::Text(event),
            received = socket.next() => match received {
                Some(Ok(Message::Text(text))) => match reply(&text, &subscribers, &events) {
                    Some(reply) => Message::Text(reply.into()),
                    None => break,
                },
                Some(Ok(_)) => continue,
                _ => break,
            }
        };
        if socket.send(message).await.is_err() {
            break;
        }
    }
    let mut subscribers = subscribers.lock().unwrap_or_else(PoisonError::into_inner);
    subscribers.retain(|(_, other)| !other.same_channel(&events));
}

/// Performs an action. `None` if the frame is not a request.
fn reply(
    text: &str,
    subscribers: &Subscribers,
    events: &UnboundedSender<Utf8Bytes>,
) -> Option<String> {
    let frame: Value = serde_json::from_str(text).ok()?;
    let payload = frame.get("payload")?;
    let (action, id) = (payload["action"].as_str()?, &payload["request_id"]);
    let mut subscribers = subscribers.lock().unwrap_or_else(PoisonError::into_inner);
    let (data, status) = match action {
        "subscribe_all" => {
            subscribers.push((id.clone(), events.clone()));
            (Value::Null, 201)
        }
        "unsubscribe_all" => {
            subscribers.retain(|(known, _)| known != id);
            (Value::Null, 204)
        }
        "list" => (json!([]), 200),
        "create" | "patch" => {
            let mut row = payload["data"].clone();
            row["id"] = json!(1);
            let kind = if action == "create" { "create" } else { "update" };
            for (id, subscriber) in subscribers.iter() {
                let _ = subscriber.send(frame_of(kind, &row, 200, id).into());
            }
            (row, 200)
        }
        "delete" => (Value::Null, 204),
        _ => (Value::Null, 405),
    };
    Some(frame_of(action, &data, status, id))
}

fn frame_of(action: &str, data: &Value, status: u16, id: &Value) -> String {
    let payload = json!({
        "errors": [], "data": data, "action": action, "response_status": status, "request_id": id,
    });
    json!({"stream": "tasks", "payload": payload}).to_string()
}
