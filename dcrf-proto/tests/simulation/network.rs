//! The network: a connection for each dial, with two directions that keep the order of frames, delay them, hold them in
//! a black hole, or lose them with the connection.

use std::time::Duration;

use dcrf_proto::{ConnectionError, Epoch};
use fastrand::Rng;

use crate::ConnectionIndex;
use crate::schedule::{FromClient, FromServer, Schedule, Scheduled};

pub(crate) struct Network {
    connections: Vec<Connection>,
    /// The first connection of the current client.
    first_of_this_client: ConnectionIndex,
    /// The longest delay of a frame, in milliseconds.
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
    Closed,
}

struct Pipe<T> {
    /// When the last frame arrives.
    clear: Duration,
    /// The frames held in a black hole.
    held: Option<Vec<T>>,
    /// Whether frames no longer arrive.
    is_cut: bool,
}

impl<T> Default for Pipe<T> {
    fn default() -> Self {
        Self { clear: Duration::ZERO, held: None, is_cut: false }
    }
}

impl<T> Pipe<T> {
    /// When the frame arrives. `None` if it is held or lost.
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
        Self { connections: Vec::new(), first_of_this_client: 0, delay }
    }

    /// A new client replaces the last one.
    pub(crate) fn restart(&mut self) {
        self.first_of_this_client = self.connections.len();
    }

    pub(crate) fn is_of_an_earlier_client(&self, nth: ConnectionIndex) -> bool {
        nth < self.first_of_this_client
    }

    pub(crate) fn dial(&mut self, epoch: Epoch) -> ConnectionIndex {
        let (up, down) = (Pipe::default(), Pipe::default());
        self.connections.push(Connection { epoch, socket: Socket::Dialling, up, down });
        self.connections.len() - 1
    }

    pub(crate) fn epoch(&self, nth: ConnectionIndex) -> Epoch {
        self.connections[nth].epoch
    }

    pub(crate) fn last(&self) -> Option<ConnectionIndex> {
        self.connections.len().checked_sub(1)
    }

    /// The open connection.
    pub(crate) fn open(&self) -> Option<ConnectionIndex> {
        self.last().filter(|nth| self.connections[*nth].socket == Socket::Open)
    }

    pub(crate) fn is_dialling(&self, nth: ConnectionIndex) -> bool {
        self.connections[nth].socket == Socket::Dialling
    }

    pub(crate) fn is_closed(&self, nth: ConnectionIndex) -> bool {
        self.connections[nth].socket == Socket::Closed
    }

    pub(crate) fn open_socket(&mut self, nth: ConnectionIndex) {
        self.connections[nth].socket = Socket::Open;
    }

    /// The client has dropped its socket, or the connection has ended.
    pub(crate) fn close_socket(&mut self, nth: ConnectionIndex) {
        self.connections[nth].socket = Socket::Closed;
    }

    fn delay(&self, random: &mut Rng) -> Duration {
        Duration::from_micros(random.u64(50..=self.delay.max(1) * 1_000))
    }

    pub(crate) fn up(
        &mut self,
        nth: ConnectionIndex,
        frame: FromClient,
        now: Duration,
        random: &mut Rng,
        schedule: &mut Schedule,
    ) {
        let delay = self.delay(random);
        if let Some((at, frame)) = self.connections[nth].up.take(frame, now, delay) {
            schedule.add(at, Scheduled::AtServer(nth, frame));
        }
    }

    pub(crate) fn down(
        &mut self,
        nth: ConnectionIndex,
        frame: FromServer,
        now: Duration,
        random: &mut Rng,
        schedule: &mut Schedule,
    ) {
        let delay = self.delay(random);
        if let Some((at, frame)) = self.connections[nth].down.take(frame, now, delay) {
            schedule.add(at, Scheduled::AtClient(nth, frame));
        }
    }

    /// Whether frames in flight arrive.
    pub(crate) fn arrives_up(&self, nth: ConnectionIndex) -> bool {
        !self.connections[nth].up.is_cut
    }

    pub(crate) fn arrives_down(&self, nth: ConnectionIndex, frame: &FromServer) -> bool {
        let is_cut = self.connections[nth].down.is_cut;
        !is_cut || matches!(frame, FromServer::Disconnected(_))
    }

    /// Resets the connection: frames in flight are lost.
    pub(crate) fn reset(&mut self, nth: ConnectionIndex, now: Duration, schedule: &mut Schedule) {
        let connection = &mut self.connections[nth];
        (connection.up.is_cut, connection.down.is_cut) = (true, true);
        schedule.add(now, Scheduled::AtServer(nth, FromClient::Gone));
        let lost = ConnectionError::Io {
            kind: std::io::ErrorKind::ConnectionReset,
            message: "connection reset".to_owned(),
        };
        schedule.add(now, Scheduled::AtClient(nth, FromServer::Disconnected(lost)));
    }

    /// Silently holds all frames in these directions.
    pub(crate) fn black_hole(&mut self, nth: ConnectionIndex, up: bool, down: bool) {
        let connection = &mut self.connections[nth];
        if up {
            connection.up.held.get_or_insert_default();
        }
        if down {
            connection.down.held.get_or_insert_default();
        }
    }

    /// Releases the frames of all black holes, behind those in flight.
    pub(crate) fn restore(&mut self, now: Duration, schedule: &mut Schedule) {
        for (nth, Connection { up, down, .. }) in self.connections.iter_mut().enumerate() {
            (up.clear, down.clear) = (up.clear.max(now), down.clear.max(now));
            for frame in up.held.take().into_iter().flatten() {
                schedule.add(up.clear, Scheduled::AtServer(nth, frame));
            }
            for frame in down.held.take().into_iter().flatten() {
                schedule.add(down.clear, Scheduled::AtClient(nth, frame));
            }
        }
    }
}
