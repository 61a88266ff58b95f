//! The examples' transport over an in-memory stream.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::rc::Rc;
use std::time::Instant;

use dcrf_proto::{CloseOptions, Config, ConnectionError, ConnectionState, Request, Seed, Session};
use tungstenite::WebSocket;
use tungstenite::protocol::Role;

use super::transport::{Dial, Transport, limits};

/// A byte stream that the test controls.
#[derive(Clone, Default)]
struct Stream(Rc<RefCell<State>>);

#[derive(Default)]
struct State {
    incoming: VecDeque<u8>,
    written: Vec<u8>,
    /// The number of bytes that can be written; writes fail if `None`.
    capacity: Option<usize>,
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.borrow_mut().incoming.read(buffer) {
            Ok(0) => Err(ErrorKind::WouldBlock.into()),
            read => read,
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.0.borrow_mut();
        let Some(capacity) = &mut state.capacity else { return Err(ErrorKind::BrokenPipe.into()) };
        let count = bytes.len().min(*capacity);
        *capacity -= count;
        if count == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        state.written.extend(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A dial that succeeds at once.
struct Connected(Stream);

impl Dial for Connected {
    type Stream = Stream;

    fn poll(&mut self) -> Option<Result<WebSocket<Stream>, ConnectionError>> {
        let socket = WebSocket::from_raw_socket(self.0.clone(), Role::Client, Some(limits()));
        Some(Ok(socket))
    }
}

/// A session with an open connection over a stream.
struct Connection<F> {
    session: Session,
    transport: Transport<Connected, F>,
    stream: Stream,
    now: Instant,
}

fn connect() -> Connection<impl FnMut() -> Result<Connected, ConnectionError>> {
    let now = Instant::now();
    let mut session = Session::new(Config::default(), Seed::from([7; 32]), now);
    let stream = Stream::default();
    stream.0.borrow_mut().capacity = Some(usize::MAX);
    let dialled = stream.clone();
    let mut transport = Transport::new(move || Ok(Connected(dialled.clone())));
    session.open(now);
    transport.send(&mut session, now);
    assert!(transport.receive(&mut session, now), "messages can follow the handshake at once");
    assert_eq!(*session.state(), ConnectionState::Connected);
    Connection { session, transport, stream, now }
}

impl<F: FnMut() -> Result<Connected, ConnectionError>> Connection<F> {
    fn send(&mut self) {
        self.transport.send(&mut self.session, self.now);
    }

    fn receive(&mut self, bytes: &[u8]) -> bool {
        self.stream.0.borrow_mut().incoming.extend(bytes);
        self.transport.receive(&mut self.session, self.now)
    }

    fn request(&mut self, padding: usize) {
        let request = Request::new("tools", "echo").arg("padding", "x".repeat(padding));
        self.session.request(request, self.now).unwrap();
    }

    fn error(&self) -> Option<&ConnectionError> {
        match self.session.state() {
            ConnectionState::Waiting { error, .. } => Some(error),
            _ => None,
        }
    }
}

#[test]
fn full_socket_leaves_frames_in_the_session() {
    let mut connection = connect();
    connection.stream.0.borrow_mut().capacity = Some(100);
    for _ in 0..3 {
        connection.request(20_000);
    }
    connection.send();
    connection.send();
    assert_eq!(connection.session.stats().waiting_requests, 2);
    assert_eq!(connection.stream.0.borrow().written.len(), 100);

    connection.stream.0.borrow_mut().capacity = Some(usize::MAX);
    connection.send();
    assert_eq!(connection.session.stats().waiting_requests, 0);
    assert!(connection.stream.0.borrow().written.len() > 60_000);
}

#[test]
fn socket_is_dropped_when_the_session_gives_it_up() {
    let mut connection = connect();
    let owners = Rc::strong_count(&connection.stream.0);
    // The server stays silent until the heartbeat times out.
    while connection.error().is_none() {
        connection.now = connection.session.poll_timeout().unwrap();
        connection.session.handle_timeout(connection.now);
        connection.send();
    }
    assert!(matches!(connection.error(), Some(ConnectionError::Silent(_))));
    assert_eq!(Rc::strong_count(&connection.stream.0), owners - 1);
    assert!(!connection.receive(b"\x81\x02{}"), "the socket is gone");
}

#[test]
fn close_waits_for_the_close_frame() {
    let mut connection = connect();
    connection.session.close(CloseOptions::now(), connection.now);
    connection.send();
    assert_eq!(connection.stream.0.borrow().written[..2], [0x88, 0x82], "a masked close frame");
    assert!(!connection.session.is_finished());
    connection.receive(b"\x88\x02\x03\xe8");
    assert!(connection.session.is_finished());
}

#[test]
fn close_frame_is_answered() {
    let mut connection = connect();
    connection.receive(b"\x88\x02\x03\xf4");
    assert!(
        matches!(connection.error(), Some(ConnectionError::Closed(frame)) if frame.code == 1012)
    );
    assert_eq!(connection.stream.0.borrow().written[..2], [0x88, 0x82]);
}

#[test]
fn failed_write_reports_the_close_frame_received_before() {
    let mut connection = connect();
    connection.stream.0.borrow_mut().capacity = None;
    connection.stream.0.borrow_mut().incoming.extend(b"\x88\x02\x11\x31");
    connection.request(1);
    connection.send();
    assert!(
        matches!(connection.error(), Some(ConnectionError::Closed(frame)) if frame.code == 4401)
    );
}

#[test]
fn flood_is_read_in_turns() {
    let mut connection = connect();
    assert!(connection.receive(&b"\x81\x02{}".repeat(300)));
    assert_eq!(connection.session.stats().unhandled, 256);
    assert!(!connection.receive(b""));
    assert_eq!(connection.session.stats().unhandled, 300);
}

#[test]
fn invalid_frames_end_the_connection_or_are_dropped() {
    for bytes in [
        &b"\xff\x01\x00"[..],
        b"\x81\x85mask!!!!!",
        b"\x81\x02\xc3\x28",
        b"\x80\x00",
        b"\x01\x01a\x81\x01b",
        b"\x09\x00",
        b"\x88\x01\x00",
        b"\x88\x03\x03\xe8\xff",
        b"\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff",
    ] {
        let mut connection = connect();
        connection.receive(bytes);
        assert!(connection.error().is_some(), "{bytes:02x?}");
    }
    for bytes in [&b"\x81\x00"[..], b"\x81\x02}{", b"\x82\x01\x00", b"\x8a\x00", b"\x81"] {
        let mut connection = connect();
        connection.receive(bytes);
        assert_eq!(*connection.session.state(), ConnectionState::Connected, "{bytes:02x?}");
    }
}
