//! The network: one connection for each dial, with a way up and a way down, on which frames keep their order, are late,
//! are held up in a black hole, or are lost with the connection.

use std::time::Duration;

use dcrf_proto::{ConnectionError, Epoch};
use fastrand::Rng;

use crate::Nth;
use crate::agenda::{Agenda, FromClient, FromServer, Happening};

pub(crate) struct Network {
    connections: Vec<Connection>,
    /// The first connection of the client that is there now.
    of_this_client: Nth,
    /// The longest way of a frame, in milliseconds.
    pub(crate) delay: u64,
}

struct Connection {
    epoch: Epoch,
    /// The client's socket.
    socket: Socket,
    up: Pipe<FromClient>,
    down: Pipe<FromServer>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Socket {
    Dialling,
    Open,
    Over,
}

struct Pipe<T> {
    /// When the last frame arrives.
    clear: Duration,
    /// What a black hole holds back.
    held: Option<Vec<T>>,
    /// Nothing arrives any more.
    is_cut: bool,
}

impl<T> Default for Pipe<T> {
    fn default() -> Self {
        Self { clear: Duration::ZERO, held: None, is_cut: false }
    }
}

impl<T> Pipe<T> {
    /// When the frame arrives, or nothing if it does not for now.
    fn take(&mut self, frame: T, now: Duration, delay: Duration) -> Option<(Duration, T)> {
        if self.is_cut {
            return None;
        }
        if let Some(held) = &mut self.held {
            held.push(frame);
            return None;
        }
        self.clear = self.clear.max(now + delay);
        Some((self.clear, frame))
    }
}

impl Network {
    pub(crate) fn new(delay: u64) -> Self {
        Self { connections: Vec::new(), of_this_client: 0, delay }
    }

    /// Another client has taken the place of the last one.
    pub(crate) fn begins_anew(&mut self) {
        self.of_this_client = self.connections.len();
    }

    pub(crate) fn is_of_a_former_client(&self, nth: Nth) -> bool {
        nth < self.of_this_client
    }

    pub(crate) fn dials(&mut self, epoch: Epoch) -> Nth {
        let (up, down) = (Pipe::default(), Pipe::default());
        self.connections.push(Connection { epoch, socket: Socket::Dialling, up, down });
        self.connections.len() - 1
    }

    pub(crate) fn epoch(&self, nth: Nth) -> Epoch {
        self.connections[nth].epoch
    }

    pub(crate) fn last(&self) -> Option<Nth> {
        self.connections.len().checked_sub(1)
    }

    /// The connection that is open on both sides, as far as the network knows.
    pub(crate) fn open(&self) -> Option<Nth> {
        self.last().filter(|nth| self.connections[*nth].socket == Socket::Open)
    }

    pub(crate) fn is_dialling(&self, nth: Nth) -> bool {
        self.connections[nth].socket == Socket::Dialling
    }

    pub(crate) fn is_over(&self, nth: Nth) -> bool {
        self.connections[nth].socket == Socket::Over
    }

    pub(crate) fn opens(&mut self, nth: Nth) {
        self.connections[nth].socket = Socket::Open;
    }

    /// The client has dropped its socket, or it has ended by itself.
    pub(crate) fn drops(&mut self, nth: Nth) {
        self.connections[nth].socket = Socket::Over;
    }

    fn delay(&self, random: &mut Rng) -> Duration {
        Duration::from_micros(random.u64(50..=self.delay.max(1) * 1_000))
    }

    pub(crate) fn up(
        &mut self,
        nth: Nth,
        frame: FromClient,
        now: Duration,
        random: &mut Rng,
        agenda: &mut Agenda,
    ) {
        let delay = self.delay(random);
        if let Some((at, frame)) = self.connections[nth].up.take(frame, now, delay) {
            agenda.plan(at, Happening::AtServer(nth, frame));
        }
    }

    pub(crate) fn down(
        &mut self,
        nth: Nth,
        frame: FromServer,
        now: Duration,
        random: &mut Rng,
        agenda: &mut Agenda,
    ) {
        let delay = self.delay(random);
        if let Some((at, frame)) = self.connections[nth].down.take(frame, now, delay) {
            agenda.plan(at, Happening::AtClient(nth, frame));
        }
    }

    /// Whether what was under way arrives.
    pub(crate) fn arrives_up(&self, nth: Nth) -> bool {
        !self.connections[nth].up.is_cut
    }

    pub(crate) fn arrives_down(&self, nth: Nth, frame: &FromServer) -> bool {
        let is_cut = self.connections[nth].down.is_cut;
        !is_cut || matches!(frame, FromServer::Disconnected(_))
    }

    /// The connection is reset: what is under way is lost, on both ways.
    pub(crate) fn resets(&mut self, nth: Nth, now: Duration, agenda: &mut Agenda) {
        let connection = &mut self.connections[nth];
        (connection.up.is_cut, connection.down.is_cut) = (true, true);
        agenda.plan(now, Happening::AtServer(nth, FromClient::Gone));
        let lost = ConnectionError::Io {
            kind: std::io::ErrorKind::ConnectionReset,
            message: "connection reset".to_owned(),
        };
        agenda.plan(now, Happening::AtClient(nth, FromServer::Disconnected(lost)));
    }

    /// From now on nothing arrives on these ways, and nobody is told.
    pub(crate) fn swallows(&mut self, nth: Nth, up: bool, down: bool) {
        let connection = &mut self.connections[nth];
        if up {
            connection.up.held.get_or_insert_default();
        }
        if down {
            connection.down.held.get_or_insert_default();
        }
    }

    /// The black holes give back what they have held.
    pub(crate) fn heals(&mut self, now: Duration, agenda: &mut Agenda) {
        for (nth, connection) in self.connections.iter_mut().enumerate() {
            for frame in connection.up.held.take().into_iter().flatten() {
                agenda.plan(now, Happening::AtServer(nth, frame));
            }
            for frame in connection.down.held.take().into_iter().flatten() {
                agenda.plan(now, Happening::AtClient(nth, frame));
            }
            connection.up.clear = connection.up.clear.max(now);
            connection.down.clear = connection.down.clear.max(now);
        }
    }
}
