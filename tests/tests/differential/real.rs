//! The conversation with the real server.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::Duration;

use dcrf_tests::server::Server;
use serde_json::{Value, json};
use tungstenite::{Error, WebSocket};

use crate::compare::{Pairs, Side};
use crate::conversation::{Endpoint, Message, Received, Step};

/// A frame that takes longer is missing, and the test fails.
const LIMIT: Duration = Duration::from_secs(20);

/// An action that no stream has. Its reply, an error, says that the stream has handled what came before.
const BARRIER: &str = "barrier";

/// How many replies of another stream a stream gets as time to close.
const HANG_UP_BARRIERS: usize = 5;

/// The connections of a conversation.
pub(crate) struct Real {
    connections: Vec<Connection>,
}

/// A connection to Daphne.
pub(crate) struct Connection {
    socket: WebSocket<TcpStream>,
    endpoint: Endpoint,
    received: Received,
    /// The streams that have been sent a subscribe. The others get no events.
    subscribed: BTreeSet<&'static str>,
    is_over: bool,
    sent_barriers: u64,
    seen_barriers: u64,
}

impl Real {
    pub(crate) fn connect(server: &Server, endpoints: &[Endpoint]) -> Self {
        let connect = |endpoint: &Endpoint| Connection::open(server, endpoint.clone());
        Self { connections: endpoints.iter().map(connect).collect() }
    }

    /// Performs a step, and returns what each connection has received when the server is at rest.
    ///
    /// A stream's consumer handles frames in order, so the reply to a frame behind the call comes when the call is
    /// done. By then its events are in the queues of all consumers that get them: the observer's `on_commit` hook waits
    /// for `group_send`, and the in-memory channel layer fills the queues before that returns.
    ///
    /// Then the events have to leave these queues. The loop of a consumer (`channels.utils.await_many_dispatch`) takes
    /// turns: it handles at most one frame and then one event, if there is one, before the next frame. So at the reply
    /// to frame n + 1, n events that were in the queue before are handled, and their frames precede the reply.
    pub(crate) fn perform(&mut self, step: &Step, pairs: &Pairs) -> Vec<Received> {
        let connection = &mut self.connections[step.connection];
        connection.send(step, pairs);
        if step.hangs_up() && connection.endpoint.bare.is_none() {
            // A frame to the stream would end the connection. Another stream takes longer than that one to close.
            for _ in 0..HANG_UP_BARRIERS {
                connection.send_barriers("cards", 1);
                connection.wait(None);
            }
        } else {
            connection.send_barriers(step.stream, 1);
            for (stream, _) in &step.more {
                connection.send_barriers(stream, 1);
            }
        }
        connection.wait(step.detached);
        if step.events > 0 {
            for connection in &mut self.connections {
                for stream in connection.subscribed.clone() {
                    connection.send_barriers(stream, step.events + 1);
                }
            }
            self.connections.iter_mut().for_each(|connection| connection.wait(None));
        }
        let connections = self.connections.iter_mut();
        connections.map(|connection| std::mem::take(&mut connection.received)).collect()
    }

    /// Closes all connections.
    pub(crate) fn close(mut self) {
        for connection in &mut self.connections {
            // Nobody waits for the answer. An error says that the connection is over already.
            let _ = connection.socket.close(None);
            let _ = connection.socket.flush();
        }
    }
}

impl Connection {
    fn open(server: &Server, endpoint: Endpoint) -> Self {
        let stream = TcpStream::connect(server.address()).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.set_nodelay(true).unwrap();
        let (socket, _) = tungstenite::client(server.url(&endpoint.path), stream).unwrap();
        Self {
            socket,
            endpoint,
            received: Received::default(),
            subscribed: BTreeSet::new(),
            is_over: false,
            sent_barriers: 0,
            seen_barriers: 0,
        }
    }

    /// A connection to the stream `controls`.
    pub(crate) fn to_controls(server: &Server) -> Self {
        let path = "/ws/bare/controls/".to_owned();
        Self::open(server, Endpoint { path, bare: Some("controls") })
    }

    /// Brings back the rows that the models had at first.
    pub(crate) fn reset(&mut self, models: &BTreeSet<&str>) {
        let call = json!({"action": "reset", "models": models});
        self.write(tungstenite::Message::text(call.to_string()));
        let payload = loop {
            self.read();
            if let Some(payloads) = self.received.streams.remove("controls") {
                break payloads;
            }
        };
        assert_eq!(payload[0]["response_status"], 200, "the reset failed: {payload:?}");
    }

    fn send(&mut self, step: &Step, pairs: &Pairs) {
        match &step.message {
            Message::Payload(payload) => self.call(step.stream, payload, pairs),
            Message::Text(text) => self.write(tungstenite::Message::text(text)),
            Message::Binary => self.write(tungstenite::Message::binary(vec![1, 2, 3])),
        }
        for (stream, payload) in &step.more {
            self.call(stream, payload, pairs);
        }
    }

    fn call(&mut self, stream: &'static str, payload: &Value, pairs: &Pairs) {
        let action = payload["action"].as_str().unwrap_or_default();
        if action.starts_with("subscribe") {
            self.subscribed.insert(stream);
        }
        let payload = pairs.resolve(payload, Side::Real);
        self.write(tungstenite::Message::text(self.endpoint.frame(stream, &payload)));
    }

    fn send_barriers(&mut self, stream: &str, count: usize) {
        for _ in 0..count {
            let barrier = json!({"action": BARRIER, "request_id": BARRIER});
            self.sent_barriers += 1;
            self.write(tungstenite::Message::text(self.endpoint.frame(stream, &barrier)));
        }
    }

    fn write(&mut self, message: tungstenite::Message) {
        if !self.is_over {
            // An error shows when reading, too.
            let _ = self.socket.write(message);
        }
    }

    /// Reads until all barriers have been answered, and an action on a stream has replied.
    fn wait(&mut self, detached: Option<(&str, &str)>) {
        let _ = self.socket.flush();
        while !self.is_over && (self.seen_barriers < self.sent_barriers || !self.has(detached)) {
            self.read();
        }
    }

    fn has(&self, reply: Option<(&str, &str)>) -> bool {
        let Some((stream, action)) = reply else { return true };
        let payloads = self.received.streams.get(stream);
        payloads.is_some_and(|payloads| payloads.iter().any(|payload| payload["action"] == action))
    }

    fn read(&mut self) {
        let _ = self.socket.flush();
        let code = match self.socket.read() {
            Ok(tungstenite::Message::Text(text)) => return self.receive(&text),
            Ok(tungstenite::Message::Close(frame)) => frame.map_or(1005, |its| its.code.into()),
            Ok(_) => return,
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => {
                panic!("the real server did not answer in time, after {}", self.received)
            }
            Err(_) => 1006,
        };
        self.is_over = true;
        self.received.end = Some(code);
    }

    fn receive(&mut self, text: &str) {
        let (stream, payload): (String, Value) = self.endpoint.parse(text);
        if payload["request_id"] == BARRIER {
            self.seen_barriers += 1;
        } else {
            self.received.add((stream, payload));
        }
    }
}
