//! The reference: the same work without a layer above the socket and the parser. One loop that encodes, writes, flushes
//! once, reads, parses the envelope and decodes.

use std::future::poll_fn;
use std::net::{SocketAddr, TcpStream};
use std::pin::Pin;

use async_tungstenite::tungstenite::protocol::WebSocketConfig;
use async_tungstenite::tungstenite::{Message as Frame, Utf8Bytes, WebSocket};
use async_tungstenite::{WebSocketStream, client_async_with_config};
use futures_io::{AsyncRead, AsyncWrite};
use futures_lite::StreamExt;
use futures_sink::Sink;

use crate::frames::{Asked, Envelope, Message, id};

/// As the client has it, so that the difference is not that of the buffers.
fn config() -> WebSocketConfig {
    WebSocketConfig::default().read_buffer_size(16 << 10).write_buffer_size(16 << 10)
}

fn message(action: &str, number: u64) -> String {
    let id = id(number);
    let payload = Asked { action, request_id: &id, pk: number % 1000 };
    Message { stream: "tasks", payload }.to_text()
}

pub(crate) struct Raw<S> {
    socket: WebSocketStream<S>,
    next: u64,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Raw<S> {
    pub(crate) async fn new(address: SocketAddr, stream: S) -> Self {
        let url = format!("ws://{address}/");
        let (socket, _) =
            client_async_with_config(url, stream, Some(config())).await.expect("it connects");
        Self { socket, next: 0 }
    }

    /// So many requests with their answers as objects, of which `window` are in flight at once.
    pub(crate) async fn ask(&mut self, count: usize, window: usize) -> u64 {
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

    /// So many subscriptions, as a client that returns makes them.
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

    /// So many events, as objects.
    pub(crate) async fn deliver(&mut self, count: usize) -> u64 {
        self.send(flood(count)).await;
        let mut sum = 0;
        for _ in 0..count {
            sum += Envelope::parse(&self.read().await).task().sum();
        }
        // The answer to what has set it off.
        self.read().await;
        sum
    }

    async fn feed(&mut self, action: &str) {
        let text = message(action, self.next);
        self.next += 1;
        self.put(text).await;
    }

    async fn send(&mut self, text: String) {
        self.put(text).await;
        self.flush().await;
    }

    async fn put(&mut self, text: String) {
        poll_fn(|cx| Pin::new(&mut self.socket).poll_ready(cx)).await.expect("it can be written");
        Pin::new(&mut self.socket).start_send(Frame::Text(text.into())).expect("it takes a frame");
    }

    async fn flush(&mut self) {
        poll_fn(|cx| Pin::new(&mut self.socket).poll_flush(cx)).await.expect("it can be written");
    }

    async fn read(&mut self) -> Utf8Bytes {
        match self.socket.next().await {
            Some(Ok(Frame::Text(text))) => text,
            other => panic!("{other:?} is not a frame of the server"),
        }
    }
}

fn flood(count: usize) -> String {
    let id = id(u64::MAX >> 16);
    format!(
        r#"{{"stream":"tasks","payload":{{"action":"flood","request_id":"{id}","count":{count}}}}}"#
    )
}

/// The same without async.
pub(crate) struct RawBlocking {
    socket: WebSocket<TcpStream>,
    next: u64,
}

impl RawBlocking {
    pub(crate) fn new(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("it connects");
        stream.set_nodelay(true).expect("a socket");
        let url = format!("ws://{address}/");
        let (socket, _) = tungstenite::client::client_with_config(url, stream, Some(config()))
            .expect("it connects");
        Self { socket, next: 0 }
    }

    pub(crate) fn ask(&mut self, count: usize) -> u64 {
        let mut sum = 0;
        for _ in 0..count {
            self.next += 1;
            let text = message("retrieve", self.next);
            self.socket.send(Frame::Text(text.into())).expect("it can be written");
            let Ok(Frame::Text(text)) = self.socket.read() else {
                panic!("not a frame of the server")
            };
            sum += Envelope::parse(&text).task().sum();
        }
        sum
    }
}
