//! A WebSocket server in memory, for the target `client`: it limits what can be read and written, and answers when the
//! fuzzer says so.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime};

use dcrf_proto::client::Transport;
use dcrf_proto::websocket::{Endpoint, MaybeTls, Options, WebSocket, connect};
use dcrf_proto::{Attempt, ConnectionError};
use futures_io::{AsyncRead, AsyncWrite};
use serde_json::Value;
use tungstenite::handshake::derive_accept_key;

/// The size limit of a message to the client.
pub const MAX_MESSAGE: usize = 1_000;

thread_local! {
    static ORIGIN: Instant = super::origin();
    static ELAPSED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

pub fn now() -> Instant {
    ORIGIN.with(|origin| *origin) + ELAPSED.get()
}

#[derive(Clone, Default)]
pub struct Network(Arc<Mutex<State>>);

/// The current connection, and what the server has received on it.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent of each other")]
pub struct State {
    /// The number of connections. A stream with a lower number is dead.
    connections: usize,
    to_client: VecDeque<u8>,
    to_server: Vec<u8>,
    is_open: bool,
    has_handshake: bool,
    /// The server sends no more.
    pub hung_up: bool,
    pub reset: bool,
    /// The server reads nothing.
    pub deaf: bool,
    /// How many bytes the client can still read and write, and how many at once.
    pub readable: usize,
    pub writable: usize,
    pub chunk: usize,
    pub flush_blocked: bool,
    /// The status of the next handshake. 101 if there is none; without a response if it is 0.
    pub handshake: Option<u16>,
    /// The text messages of the client that have no answer.
    pub inbox: Vec<Value>,
    /// The bytes that were read and written.
    pub moved: usize,
    reader: Option<Waker>,
    writer: Option<Waker>,
    flusher: Option<Waker>,
    /// By deadline and number.
    timers: BTreeMap<(Instant, usize), Waker>,
    made_timers: usize,
}

impl State {
    /// From now on the network and the server work.
    pub fn recover(&mut self) {
        (self.readable, self.writable, self.chunk) = (usize::MAX, usize::MAX, usize::MAX);
        (self.deaf, self.flush_blocked, self.handshake) = (false, false, None);
    }

    /// Sends a frame, whose first byte holds its opcode.
    pub fn send(&mut self, first: u8, payload: &[u8]) {
        if !self.has_handshake || self.hung_up {
            return;
        }
        self.to_client.push_back(first);
        match payload.len() {
            length @ 0..=125 => self.to_client.push_back(u8::try_from(length).expect("short")),
            length => {
                self.to_client.push_back(126);
                let length = u16::try_from(length).expect("no long frames");
                self.to_client.extend(length.to_be_bytes());
            }
        }
        self.to_client.extend(payload);
    }

    pub fn send_raw(&mut self, bytes: &[u8]) {
        if self.has_handshake && !self.hung_up {
            self.to_client.extend(bytes);
        }
    }

    /// Reads what the client has written, and answers pings and handshakes. Returns whether there was anything.
    fn serve(&mut self) -> bool {
        if self.deaf || self.hung_up || !self.is_open {
            return false;
        }
        if !self.has_handshake {
            return self.shake_hands();
        }
        let mut any = false;
        while let Some((opcode, payload)) = self.take_frame() {
            any = true;
            match opcode {
                1 => self.inbox.push(serde_json::from_slice(&payload).expect("sent text is JSON")),
                8 => {
                    self.send(0x88, &payload);
                    self.hung_up = true;
                }
                9 => self.send(0x8A, &payload),
                10 => {}
                _ => panic!("the client sends a frame with opcode {opcode}"),
            }
        }
        any
    }

    fn shake_hands(&mut self) -> bool {
        let Ok(request) = std::str::from_utf8(&self.to_server) else { panic!("not a request") };
        let Some(request) = request.strip_suffix("\r\n\r\n") else { return false };
        let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "));
        let accept = derive_accept_key(key.expect("a key").as_bytes());
        self.to_server.clear();
        let response = match self.handshake.take().unwrap_or(101) {
            0 => return true,
            101 => format!(
                "HTTP/1.1 101 \r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
            ),
            status => format!("HTTP/1.1 {status} \r\nContent-Length: 0\r\n\r\n"),
        };
        self.has_handshake = response.contains("101 ");
        self.to_client.extend(response.bytes());
        true
    }

    /// A whole frame of the client, unmasked.
    fn take_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let bytes = &self.to_server;
        let (length, head) = match bytes.get(1)? & 127 {
            126 => (usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)), 8),
            127 => panic!("the target sends no large messages"),
            length => (usize::from(length), 6),
        };
        assert_eq!(bytes[1] & 128, 128, "the client masks its frames");
        let payload = bytes.get(head..head + length)?;
        let mask = &bytes[head - 4..head];
        let payload = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask);
        let frame = (bytes[0] & 15, payload.collect());
        self.to_server.drain(..head + length);
        Some(frame)
    }

    fn wakers(&mut self) -> impl Iterator<Item = Waker> + use<> {
        let now = now();
        let later = self.timers.split_off(&(now, usize::MAX));
        let due = std::mem::replace(&mut self.timers, later).into_values();
        // A stream wakes only who can go on.
        let can_read = if self.to_client.is_empty() { self.hung_up } else { self.readable > 0 };
        let reader = self.reader.take_if(|_| can_read || self.reset);
        let writer = self.writer.take_if(|_| self.writable > 0 || self.reset);
        let flusher = self.flusher.take_if(|_| !self.flush_blocked || self.reset);
        due.chain(reader).chain(writer).chain(flusher)
    }
}

impl Network {
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no panic")
    }

    /// Lets the server work, and wakes whoever can go on. Returns whether the server did something.
    pub fn serve(&self) -> bool {
        let mut state = self.state();
        let any = state.serve();
        let wakers = state.wakers();
        drop(state);
        wakers.for_each(Waker::wake);
        any
    }

    /// Opens a connection. The one before is dead.
    fn open(&self) -> Stream {
        let mut state = self.state();
        let wakers = [state.reader.take(), state.writer.take(), state.flusher.take()];
        state.connections += 1;
        (state.is_open, state.has_handshake) = (true, false);
        (state.hung_up, state.reset) = (false, false);
        state.to_client.clear();
        state.to_server.clear();
        state.inbox.clear();
        let stream = Stream { network: self.clone(), number: state.connections };
        drop(state);
        wakers.into_iter().flatten().for_each(Waker::wake);
        stream
    }

    pub fn advance(&self, duration: Duration) {
        ELAPSED.set(ELAPSED.get() + duration);
        self.serve();
    }

    /// Advances to the next timer, or by a second.
    pub fn advance_to_timer(&self) {
        let next = self.state().timers.first_key_value().map(|((deadline, _), _)| *deadline);
        let step =
            next.map_or(Duration::from_secs(1), |next| next.saturating_duration_since(now()));
        self.advance(step);
    }
}

impl Transport for Network {
    type Socket = WebSocket<MaybeTls<Stream>>;
    type Timer = Timer;

    fn now() -> Instant {
        now()
    }

    fn wall_clock() -> SystemTime {
        SystemTime::UNIX_EPOCH + ELAPSED.get()
    }

    fn sleep_until(&self, deadline: Instant) -> Timer {
        let mut state = self.state();
        state.made_timers += 1;
        Timer { key: (deadline, state.made_timers), network: self.clone() }
    }

    async fn dial(&self, _: Attempt) -> Result<Self::Socket, ConnectionError> {
        let stream = self.open();
        let endpoint = Endpoint::parse("ws://example.com/ws/").expect("a URL");
        connect(&endpoint, stream, &Options::default().max_incoming_message(MAX_MESSAGE)).await
    }
}

pub struct Timer {
    key: (Instant, usize),
    network: Network,
}

impl Future for Timer {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.key.0 <= now() {
            return Poll::Ready(());
        }
        self.network.state().timers.insert(self.key, cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.network.state().timers.remove(&self.key);
    }
}

/// The client's end of a connection.
pub struct Stream {
    network: Network,
    number: usize,
}

impl Stream {
    fn state(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.network.state();
        if state.reset || state.connections != self.number {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(state)
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let state = &mut *self.state()?;
        if state.to_client.is_empty() && state.hung_up {
            return Poll::Ready(Ok(0));
        }
        let count = buffer.len().min(state.to_client.len()).min(state.readable).min(state.chunk);
        if count == 0 {
            state.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        state.readable -= count;
        state.moved += count;
        buffer.iter_mut().zip(state.to_client.drain(..count)).for_each(|(to, byte)| *to = byte);
        Poll::Ready(Ok(count))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let state = &mut *self.state()?;
        let count = bytes.len().min(state.writable).min(state.chunk);
        if count == 0 {
            state.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        state.writable -= count;
        state.moved += count;
        state.to_server.extend(&bytes[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let state = &mut *self.state()?;
        if state.flush_blocked {
            state.flusher = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut state = self.network.state();
        if state.connections == self.number {
            state.is_open = false;
            (state.reader, state.writer, state.flusher) = (None, None, None);
        }
    }
}
