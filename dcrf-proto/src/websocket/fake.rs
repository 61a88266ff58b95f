//! The server's side of a WebSocket to a [`FakeServer`], in memory.
//!
//! The client's own reads and writes drive it: there is no task, thread or port. The bytes are those of a real WebSocket,
//! so a test covers the client's handshake and framing too.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use async_tungstenite::tungstenite::handshake::machine::TryParse;
use async_tungstenite::tungstenite::handshake::server::{Request, create_response, write_response};
use async_tungstenite::tungstenite::protocol::frame::CloseFrame;
use async_tungstenite::tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use async_tungstenite::tungstenite::{Error, Message};
use futures_io::{AsyncRead, AsyncWrite};
use http::StatusCode;

use super::Runtime;
use crate::fake_server::{ConnectionId, FakeServer, Handshake, Output, Refusal};

/// A byte stream to a [`FakeServer`].
pub(super) struct FakeStream<R: Runtime> {
    server: FakeServer,
    runtime: R,
    bytes: Bytes,
    state: State,
    /// For the server's next timeout.
    timer: Option<(Instant, Pin<Box<R::Timer>>)>,
    /// The task that waits for bytes.
    reader: Option<Waker>,
    /// The time of the last poll.
    now: Instant,
}

/// The bytes on their way, as a stream of the server.
#[derive(Default)]
struct Bytes {
    to_server: VecDeque<u8>,
    to_client: VecDeque<u8>,
}

enum State {
    /// The request has not arrived completely.
    Handshake,
    Open(Box<Connection>),
    /// Nothing follows the bytes that are on their way.
    Ended,
    /// Nobody listens.
    Unreachable,
    /// The request is never answered.
    Unanswered,
}

struct Connection {
    id: ConnectionId,
    socket: WebSocketContext,
    /// Whether the server has sent its close frame.
    is_closing: bool,
}

impl<R: Runtime> FakeStream<R> {
    pub(super) fn new(server: FakeServer, runtime: R) -> Self {
        let (bytes, state) = (Bytes::default(), State::Handshake);
        Self { server, runtime, bytes, state, timer: None, reader: None, now: R::now() }
    }

    /// Takes in what the client has written.
    fn receive(&mut self) {
        if matches!(self.state, State::Handshake) {
            self.accept();
        }
        while let State::Open(connection) = &mut self.state {
            let id = connection.id;
            if self.server.is_silent(id) {
                self.bytes.to_server.clear();
                return;
            }
            let is_closing = connection.is_closing;
            match connection.socket.read(&mut self.bytes) {
                Ok(Message::Text(text)) if !is_closing => self.server.receive(id, &text, self.now),
                Ok(Message::Binary(_)) if !is_closing => self.server.receive_binary(id, self.now),
                // The next read writes the answer to a ping or a close frame.
                Ok(_) => {}
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return,
                // The closing handshake is complete, or the client violates the protocol.
                Err(_) => return self.end(),
            }
            self.send();
        }
    }

    /// Answers the request once it is complete.
    fn accept(&mut self) {
        let request = match Request::try_parse(self.bytes.to_server.make_contiguous()) {
            Ok(None) => return,
            Ok(Some((length, request))) => {
                self.bytes.to_server.drain(..length);
                request
            }
            Err(_) => return self.refuse(400),
        };
        let Ok(response) = create_response(&request) else { return self.refuse(400) };
        match self.server.connect(handshake(&request), self.now) {
            Ok(id) => {
                // Headers that we have made ourselves can be written.
                let _ = write_response(&mut self.bytes.to_client, &response);
                let socket = WebSocketContext::new(Role::Server, Some(config()));
                let connection = Connection { id, socket, is_closing: false };
                self.state = State::Open(Box::new(connection));
                self.send();
            }
            Err(Refusal::Status(status)) => self.refuse(status),
            Err(Refusal::Unreachable) => self.state = State::Unreachable,
            Err(Refusal::Silence) => self.state = State::Unanswered,
        }
    }

    fn refuse(&mut self, status: u16) {
        let reason = match StatusCode::from_u16(status) {
            // As Daphne writes it, and without any header.
            Ok(StatusCode::FORBIDDEN) => "Access denied",
            status => status.ok().and_then(|status| status.canonical_reason()).unwrap_or_default(),
        };
        self.bytes.to_client.extend(format!("HTTP/1.1 {status} {reason}\r\n\r\n").bytes());
        self.state = State::Ended;
    }

    /// Writes what the server sends.
    fn send(&mut self) {
        let State::Open(connection) = &mut self.state else { return };
        if self.server.is_silent(connection.id) {
            return;
        }
        let (socket, bytes) = (&mut connection.socket, &mut self.bytes);
        while let Some(output) = self.server.poll_output(connection.id) {
            // Writing into memory fails only after the client's close frame. What follows it is lost, as with any server.
            let _ = match output {
                Output::Text(text) => socket.write(bytes, Message::Text(text.into())),
                Output::Close { code, reason } => {
                    connection.is_closing = true;
                    let (code, reason) = (code.into(), reason.into());
                    socket.close(bytes, Some(CloseFrame { code, reason }))
                }
                Output::Drop => return self.end(),
            };
        }
        let _ = socket.flush(bytes);
    }

    /// Does what is due at the server, and arranges for `cx` to be woken when there is more to do.
    fn run(&mut self, cx: &mut Context<'_>) {
        let State::Open(connection) = &self.state else { return };
        let id = connection.id;
        // Before looking: what happens meanwhile, on another thread, wakes the task.
        self.server.wake_for_output(id, cx.waker());
        while let Some(deadline) = self.server.poll_timeout() {
            if deadline > self.now {
                let is_set = self.timer.as_ref().is_some_and(|(its, _)| *its == deadline);
                if !is_set {
                    let timer = Box::pin(self.runtime.sleep_until(deadline));
                    self.timer = Some((deadline, timer));
                }
                let Some((_, timer)) = &mut self.timer else { break };
                if timer.as_mut().poll(cx).is_pending() {
                    break;
                }
                self.timer = None;
                // A timer may be early by a fraction of its clock's precision.
                self.now = R::now().max(deadline);
            }
            self.server.handle_timeout(self.now);
        }
        self.send();
    }

    fn end(&mut self) {
        if let State::Open(connection) = std::mem::replace(&mut self.state, State::Ended) {
            self.server.disconnected(connection.id);
        }
        self.timer = None;
    }

    /// Wakes the reader if it has something to read. The server wakes it only for outputs, and not for pongs.
    fn wake_reader(&mut self) {
        let is_over = matches!(self.state, State::Ended | State::Unreachable);
        if is_over || !self.bytes.to_client.is_empty() {
            self.reader.take().into_iter().for_each(Waker::wake);
        }
    }

    fn tick(&mut self) {
        self.now = self.now.max(R::now());
    }
}

/// Nothing inside is pinned but the timer, which has a box of its own.
impl<R: Runtime> Unpin for FakeStream<R> {}

impl<R: Runtime> AsyncRead for FakeStream<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.tick();
        self.run(cx);
        if !self.bytes.to_client.is_empty() {
            return Poll::Ready(self.bytes.to_client.read(buf));
        }
        match self.state {
            State::Ended => Poll::Ready(Ok(0)),
            State::Unreachable => Poll::Ready(Err(io::ErrorKind::ConnectionRefused.into())),
            State::Handshake | State::Open(_) | State::Unanswered => {
                self.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl<R: Runtime> AsyncWrite for FakeStream<R> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.tick();
        // Otherwise the bytes are lost, as on a network.
        if matches!(self.state, State::Handshake | State::Open(_)) {
            self.bytes.to_server.extend(buf);
            self.receive();
            self.wake_reader();
        }
        match self.state {
            State::Unreachable => Poll::Ready(Err(io::ErrorKind::ConnectionRefused.into())),
            _ => Poll::Ready(Ok(buf.len())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tick();
        self.end();
        self.wake_reader();
        Poll::Ready(Ok(()))
    }
}

impl<R: Runtime> Drop for FakeStream<R> {
    fn drop(&mut self) {
        self.end();
    }
}

impl Read for Bytes {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.to_server.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.to_server.read(buf)
    }
}

impl Write for Bytes {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.to_client.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Small buffers, since a test may have many connections. The server itself knows its limit for a message.
fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(4 * 1024)
        .write_buffer_size(0)
        .max_message_size(None)
        .max_frame_size(None)
}

fn handshake(request: &Request) -> Handshake {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = request.headers().iter();
    Handshake {
        path: request.uri().path().to_owned(),
        query: request.uri().query().unwrap_or_default().to_owned(),
        headers: headers.map(|(name, value)| (name.as_str().to_owned(), text(value))).collect(),
    }
}

#[cfg(test)]
mod tests;
