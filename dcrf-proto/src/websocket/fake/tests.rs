use std::cell::Cell;
use std::future::Ready;
use std::net::SocketAddr;
use std::time::Duration;

use async_tungstenite::tungstenite::client::IntoClientRequest;
use async_tungstenite::{WebSocketStream, client_async};
use futures_lite::future::{block_on, poll_once, ready};
use futures_lite::io::Cursor;
use futures_lite::{AsyncReadExt, AsyncWriteExt, StreamExt};
use serde_json::json;

use super::*;
use crate::fake_server::{Answer, Field, Model, View};
use crate::websocket::ConnectError;

/// A runtime with a clock that stands still, unless a test moves it.
#[derive(Clone)]
struct Still;

thread_local! {
    static PASSED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

impl Runtime for Still {
    type Timer = Ready<()>;

    fn current() -> Result<Self, ConnectError> {
        Ok(Self)
    }

    fn now() -> Instant {
        thread_local! {
            #[expect(clippy::disallowed_methods, reason = "there is no other way to get one")]
            static NOW: Instant = Instant::now();
        }
        NOW.with(|now| *now) + PASSED.get()
    }

    fn sleep_until(&self, _: Instant) -> Ready<()> {
        ready(())
    }

    fn enter(&self) -> impl Sized {}

    async fn connect(
        &self,
        _: SocketAddr,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Unpin + Send + 'static> {
        Ok(Cursor::new(Vec::new()))
    }

    fn spawn(&self, _: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
        Ok(())
    }
}

fn server() -> FakeServer {
    let server = FakeServer::new();
    let echo = |action: &mut crate::fake_server::Action<'_>| Answer::ok(action.arguments.clone());
    server.view("tools", View::new().action("echo", echo));
    server
}

fn stream(server: &FakeServer) -> FakeStream<Still> {
    FakeStream::new(server.clone(), Still)
}

fn connect(server: &FakeServer) -> WebSocketStream<FakeStream<Still>> {
    let request = "ws://example.com/ws/?a=b".into_client_request().unwrap();
    block_on(client_async(request, stream(server))).unwrap().0
}

/// What the server answers to these bytes before it hangs up.
fn answer(server: &FakeServer, request: &str) -> String {
    let (mut stream, mut answer) = (stream(server), String::new());
    block_on(async {
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.read_to_string(&mut answer).await.unwrap();
    });
    answer
}

fn next(socket: &mut WebSocketStream<FakeStream<Still>>) -> Option<Message> {
    block_on(socket.next()).map(Result::unwrap)
}

const REQUEST: &str = "GET /ws/ HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

#[test]
fn refused_request_gets_a_status_line_and_nothing_else() {
    let server = server();
    for (status, line) in [(403, "403 Access denied"), (503, "503 Service Unavailable")] {
        server.refuse(1, status);
        assert_eq!(answer(&server, REQUEST), format!("HTTP/1.1 {line}\r\n\r\n"));
    }
    server.refuse(1, 599);
    assert_eq!(answer(&server, REQUEST), "HTTP/1.1 599 \r\n\r\n");
    assert_eq!(server.connections(), 0);
}

#[test]
fn request_that_is_no_handshake_is_refused() {
    for request in ["\u{16}\u{3}\u{1}", "GET / HTTP/1.1\r\n\r\n", "POST /ws/ HTTP/1.1\r\n\r\n"] {
        assert_eq!(answer(&server(), request), "HTTP/1.1 400 Bad Request\r\n\r\n");
    }
}

#[test]
fn request_may_arrive_byte_by_byte() {
    let server = server();
    let mut stream = stream(&server);
    block_on(async {
        for byte in REQUEST.as_bytes() {
            assert_eq!(server.connections(), 0);
            stream.write_all(&[*byte]).await.unwrap();
        }
        let mut head = [0; 13];
        stream.read_exact(&mut head).await.unwrap();
        assert_eq!(&head, b"HTTP/1.1 101 ");
    });
    assert_eq!(server.connections(), 1);
    drop(stream);
    assert_eq!(server.connections(), 0);
}

#[test]
fn ping_is_answered_unless_the_server_is_silent() {
    let server = server();
    let mut socket = connect(&server);
    block_on(socket.send(Message::Ping("1".into()))).unwrap();
    assert_eq!(next(&mut socket), Some(Message::Pong("1".into())));
    server.black_hole();
    block_on(socket.send(Message::Ping("2".into()))).unwrap();
    assert!(block_on(poll_once(socket.next())).is_none());
    block_on(socket.send(Message::Close(None))).unwrap();
    assert!(block_on(poll_once(socket.next())).is_none());
}

#[test]
fn binary_message_closes_the_connection() {
    let server = server();
    let mut socket = connect(&server);
    block_on(socket.send(Message::Binary("{}".into()))).unwrap();
    let Some(Message::Close(Some(frame))) = next(&mut socket) else { panic!("no close frame") };
    assert_eq!(u16::from(frame.code), 1011);
    assert_eq!(next(&mut socket), None);
    assert_eq!(server.connections(), 0);
}

#[test]
fn close_frame_is_answered_behind_the_replies() {
    let server = server();
    let mut socket = connect(&server);
    let call = json!({"stream": "tools", "payload": {"action": "echo", "request_id": 1}});
    block_on(async {
        socket.send(Message::text(call.to_string())).await.unwrap();
        socket.send(Message::Close(None)).await.unwrap();
    });
    assert!(matches!(next(&mut socket), Some(Message::Text(_))));
    assert_eq!(next(&mut socket), Some(Message::Close(None)));
    assert_eq!(next(&mut socket), None);
    assert_eq!(server.connections(), 0);
}

#[test]
fn dropped_connection_has_no_close_frame() {
    let server = server();
    let mut socket = connect(&server);
    server.drop_connections();
    assert!(block_on(socket.next()).unwrap().is_err());
    // The network does not report that nobody reads.
    let (mut stream, mut rest) = (socket.into_inner(), Vec::new());
    block_on(async {
        stream.write_all(b"lost").await.unwrap();
        stream.read_to_end(&mut rest).await.unwrap();
    });
    assert!(rest.is_empty());
}

#[test]
fn stopped_server_refuses_the_connection() {
    let server = server();
    server.stop();
    let mut stream = stream(&server);
    let written = block_on(stream.write_all(REQUEST.as_bytes()));
    assert_eq!(written.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    let read = block_on(stream.read(&mut [0]));
    assert_eq!(read.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
}

#[test]
fn connection_that_is_dropped_leaves_the_clock_alone() {
    let server = server();
    server.model("tasks", Model::new().field(Field::text("title")).updated_at("at"));
    let idle = connect(&server);
    PASSED.set(Duration::from_secs(10));
    let mut socket = connect(&server);
    drop(idle);
    PASSED.set(Duration::from_secs(11));
    let call = json!({"stream": "tools", "payload": {"action": "echo"}});
    block_on(socket.send(Message::text(call.to_string()))).unwrap();
    server.insert("tasks", json!({"title": "Paint"}));
    assert_eq!(server.rows("tasks")[0]["at"], "2026-01-01T00:00:11.000000Z");
}
