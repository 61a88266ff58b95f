//! The conversation with the fake server.

use std::time::Instant;

use dcrf_proto::fake_server::{ConnectionId, FakeServer, Handshake, Output};
use dcrf_tests::mirror::mirror;

use crate::compare::{Pairs, Side};
use crate::conversation::{Endpoint, Message, Received, Step};

pub(crate) struct Fake {
    server: FakeServer,
    now: Instant,
    connections: Vec<(ConnectionId, Endpoint)>,
}

impl Fake {
    pub(crate) fn connect(endpoints: &[Endpoint]) -> Self {
        let (server, now) = (mirror(), Instant::now());
        let connect = |endpoint: &Endpoint| {
            let id = server.connect(Handshake::new(&endpoint.path), now).unwrap();
            (id, endpoint.clone())
        };
        let connections = endpoints.iter().map(connect).collect();
        Self { server, now, connections }
    }

    /// Performs a step, and returns what each connection has received.
    pub(crate) fn perform(&mut self, step: &Step, pairs: &Pairs) -> Vec<Received> {
        let (id, endpoint) = &self.connections[step.connection];
        let call = |stream: &str, payload| {
            let payload = pairs.resolve(payload, Side::Fake);
            self.server.receive(*id, &endpoint.frame(stream, &payload), self.now);
        };
        match &step.message {
            Message::Payload(payload) => call(step.stream, payload),
            Message::Text(text) => self.server.receive(*id, text, self.now),
            Message::Binary => self.server.receive_binary(*id, self.now),
        }
        step.more.iter().for_each(|(stream, payload)| call(stream, payload));
        // What the server does later, such as a slow reply.
        while let Some(due) = self.server.poll_timeout() {
            self.now = self.now.max(due);
            self.server.handle_timeout(self.now);
        }
        self.connections.iter().map(|(id, endpoint)| self.receive(*id, endpoint)).collect()
    }

    fn receive(&self, id: ConnectionId, endpoint: &Endpoint) -> Received {
        let mut received = Received::default();
        while let Some(output) = self.server.poll_output(id) {
            match output {
                Output::Text(text) => received.add(endpoint.parse(&text)),
                Output::Close { code, .. } => received.end = Some(code),
                _ => received.end = Some(1006),
            }
        }
        received
    }
}
