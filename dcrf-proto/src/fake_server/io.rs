//! The server's input and output, without a WebSocket.

use std::fmt;
use std::task::Waker;
use std::time::Instant;

use super::FakeServer;

/// A connection to the server, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub(super) u64);

/// What a client sends to open a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Handshake {
    /// The URL's path.
    pub path: String,
    /// The URL's query, without the question mark.
    pub query: String,
    /// The headers, with names in lower case.
    pub headers: Vec<(String, String)>,
}

impl Handshake {
    /// A handshake without headers, for the path and query of a URL.
    ///
    /// ```
    /// # use dcrf_proto::fake_server::Handshake;
    /// let handshake = Handshake::new("/ws/?token=9944b091");
    /// assert_eq!((handshake.path.as_str(), handshake.query.as_str()), ("/ws/", "token=9944b091"));
    /// ```
    pub fn new(path_and_query: &str) -> Self {
        let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        Self { path: path.to_owned(), query: query.to_owned(), headers: Vec::new() }
    }

    /// A header, by its name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(its, _)| its.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// Why a connection was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The handshake was answered with this HTTP status.
    Status(u16),
    /// Nothing listens: the server is [stopped](FakeServer::stop).
    Unreachable,
    /// Nothing answers: the server is a [black hole](FakeServer::black_hole).
    Silence,
}

/// What the server sends on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output {
    /// A text frame.
    Text(String),
    /// A close frame. It is the last output.
    Close {
        /// The close code.
        code: u16,
        /// The reason.
        reason: String,
    },
    /// The end of the connection without a close frame. It is the last output.
    Drop,
}

/// The server without a WebSocket: call these methods to move the frames yourself, with a `now` that never goes back.
impl FakeServer {
    /// Opens a connection.
    ///
    /// ```
    /// # use dcrf_proto::fake_server::{Answer, FakeServer, Handshake, Output, View};
    /// # use std::time::Instant;
    /// let server = FakeServer::new();
    /// server.view("tools", View::new().action("echo", |action| Answer::ok(action.arguments.clone())));
    /// let now = Instant::now();
    /// let connection = server.connect(Handshake::new("/ws/"), now).unwrap();
    /// server.receive(connection, r#"{"stream": "tools", "payload": {"action": "echo", "request_id": 1}}"#, now);
    /// assert!(matches!(server.poll_output(connection), Some(Output::Text(_))));
    /// ```
    ///
    /// # Errors
    ///
    /// The server refuses, is stopped, or does not answer.
    pub fn connect(&self, handshake: Handshake, now: Instant) -> Result<ConnectionId, Refusal> {
        self.with(|state| {
            state.set_time(now);
            state.connect(handshake)
        })
    }

    /// Receives a text message. The answers are the connection's next [outputs](Self::poll_output).
    pub fn receive(&self, connection: ConnectionId, text: &str, now: Instant) {
        self.with(|state| {
            state.set_time(now);
            state.receive(connection, text);
        });
    }

    /// Receives a binary message, which makes the server raise.
    pub fn receive_binary(&self, connection: ConnectionId, now: Instant) {
        self.with(|state| {
            state.set_time(now);
            state.raise(connection, || "a binary message".to_owned());
        });
    }

    /// The client has closed the connection, or it was lost: the server forgets it and what it had to do for it.
    pub fn disconnected(&self, connection: ConnectionId) {
        let forgotten = self.with(|state| state.forget(connection));
        drop(forgotten);
    }

    /// The next output of a connection. Call it after each other method, until it returns `None`.
    pub fn poll_output(&self, connection: ConnectionId) -> Option<Output> {
        self.with(|state| state.poll_output(connection))
    }

    /// Wakes `waker` once the connection may have an output, or there is an earlier timeout: another connection, thread or
    /// method of the server can cause both. It wakes once, and replaces the waker before.
    pub fn wake_for_output(&self, connection: ConnectionId, waker: &Waker) {
        let mut state = self.lock();
        let connection = state.connections.get_mut(&connection);
        let before = connection.and_then(|its| its.waker.replace(waker.clone()));
        // The drop of a waker may run code that uses the server.
        drop(state);
        drop(before);
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.with(|state| state.poll_timeout())
    }

    /// Does what is due.
    pub fn handle_timeout(&self, now: Instant) {
        self.with(|state| {
            state.set_time(now);
            state.run();
        });
    }
}

#[cfg(any(test, feature = "websocket"))]
impl FakeServer {
    /// Whether the connection answers nothing at all, not even pings.
    pub(crate) fn is_silent(&self, connection: ConnectionId) -> bool {
        self.with(|state| state.connections.get(&connection).is_some_and(|its| its.is_silent))
    }
}

impl ConnectionId {
    /// The number of the connection. The first one has 1.
    pub fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
