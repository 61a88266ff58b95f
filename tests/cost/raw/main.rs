//! Retrieves one object from the server whose URL is the first argument, with only a WebSocket: no timeout, no reconnect,
//! and no handling of other messages.

use async_tungstenite::tokio::connect_async;
use async_tungstenite::tungstenite::Message;
use futures_lite::StreamExt;
use serde::Deserialize;

#[derive(Deserialize)]
struct Envelope {
    payload: Payload,
}

#[derive(Deserialize)]
struct Payload {
    data: Task,
}

#[derive(Deserialize)]
struct Task {
    title: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).ok_or("usage: raw URL")?;
    let (mut socket, _) = connect_async(url).await?;
    let request = r#"{"stream":"tasks","payload":{"action":"retrieve","request_id":"1","pk":1}}"#;
    socket.send(Message::Text(request.into())).await?;
    while let Some(message) = socket.next().await {
        if let Message::Text(text) = message? {
            let envelope: Envelope = serde_json::from_str(&text)?;
            println!("{}", envelope.payload.data.title);
            break;
        }
    }
    socket.close(None).await?;
    Ok(())
}
