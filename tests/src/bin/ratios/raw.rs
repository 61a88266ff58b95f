//! The reference: the same work with only the socket and the parser, in one loop that encodes, writes, flushes once,
//! reads, parses the envelope and decodes.

use std::future::poll_fn;
use std::net::{SocketAddr, TcpStream};
use std::pin::Pin;

use async_tungstenite::tungstenite::protocol::WebSocketConfig;
use async_tungstenite::tungstenite::{Message as Frame, Utf8Bytes, WebSocket};
use async_tungstenite::{WebSocketStream, client_async_with_config};
use futures_io::{AsyncRead, AsyncWrite};
use futures_lite::StreamExt;
use futures_sink::Sink;

use crate::frames::{Envelope, Message, MessagePayload, id};

/// The client's buffer sizes, so that buffering makes no difference.
fn config() -> WebSocketConfig {
    WebSocketConfig::default().read_buffer_size(16 << 10).write_buffer_size(16 << 10)
}

fn message(action: &str, number: u64) -> String {
    let id = id(number);
    let payload = MessagePayload { action, request_id: &id, pk: number % 1000 };
    Message { stream: "tasks", payload }.to_text()
}

pub(crate) struct Raw<S> {
    socket: WebSocketStream<S>,
    next: u64,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Raw<S> {
    pub(crate) async fn new(address: SocketAddr, stream: S) -> Self {
        let url = format!("ws://{address}/");
        let (socket, _) = client_async_with_config(url, stream, Some(config()))
            .await
            .expect("the connection succeeds");
        Self { socket, next: 0 }
    }

    /// Makes `count` requests, with `window` in flight, and decodes the replies.
    pub(crate) async fn requests(&mut self, count: usize, window: usize) -> u64 {
        let mut sum = 0;
        for _ in 0..count / window {
            for _ in 0..window {
                self.feed("retrieve").await;
            }
            self.flush().await;
            for _ in 0..window {
                sum += Envelope::parse(&self.read().await).task().sum();
            }
        }
        sum
    }

    /// Makes `count` subscriptions, with `window` unacknowledged, as in a replay.
    pub(crate) async fn subscribe(&mut self, count: usize, window: usize) {
        for _ in 0..count / window {
            for _ in 0..window {
                self.feed("subscribe_instance").await;
            }
            self.flush().await;
            for _ in 0..window {
                let text = self.read().await;
                assert_eq!(Envelope::parse(&text).payload.response_status, 201);
            }
        }
    }

    /// Receives and decodes `count` events.
    pub(crate) async fn deliver(&mut self, count: usize) -> u64 {
        self.send(flood(count)).await;
        let mut sum = 0;
        for _ in 0..count {
            sum += Envelope::parse(&self.read().await).task().sum();
        }
        // The reply to the `flood` request.
        self.read().await;
        sum
    }

    async fn feed(&mut self, action: &str) {
        let text = message(action, self.next);
        self.next += 1;
        self.write(text).await;
    }

    async fn send(&mut self, text: String) {
        self.write(text).await;
        self.flush().await;
    }

    async fn write(&mut self, text: String) {
        poll_fn(|cx| Pin::new(&mut self.socket).poll_ready(cx))
            .await
            .expect("the socket is writable");
        Pin::new(&mut self.socket)
            .start_send(Frame::Text(text.into()))
            .expect("the socket is ready");
    }

    async fn flush(&mut self) {
        poll_fn(|cx| Pin::new(&mut self.socket).poll_flush(cx))
            .await
            .expect("the socket is writable");
    }

    async fn read(&mut self) -> Utf8Bytes {
        match self.socket.next().await {
            Some(Ok(Frame::Text(text))) => text,
            other => panic!("expected a frame, got {other:?}"),
        }
    }
}

fn flood(count: usize) -> String {
    let id = id(u64::MAX >> 16);
    format!(
        r#"{{"stream":"tasks","payload":{{"action":"flood","request_id":"{id}","count":{count}}}}}"#
    )
}

/// The reference without async.
pub(crate) struct RawBlocking {
    socket: WebSocket<TcpStream>,
    next: u64,
}

impl RawBlocking {
    pub(crate) fn new(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the connection succeeds");
        stream.set_nodelay(true).expect("a socket");
        let url = format!("ws://{address}/");
        let (socket, _) = tungstenite::client::client_with_config(url, stream, Some(config()))
            .expect("the connection succeeds");
        Self { socket, next: 0 }
    }

    pub(crate) fn requests(&mut self, count: usize) -> u64 {
        let mut sum = 0;
        for _ in 0..count {
            self.next += 1;
            let text = message("retrieve", self.next);
            self.socket.send(Frame::Text(text.into())).expect("the socket is writable");
            let Ok(Frame::Text(text)) = self.socket.read() else { panic!("expected a frame") };
            sum += Envelope::parse(&text).task().sum();
        }
        sum
    }
}
