//! The scheduled events, in the order of time and then of their scheduling.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use dcrf_proto::{CloseFrame, ConnectionError};

use crate::ConnectionIndex;

pub(crate) enum Scheduled {
    /// A dial ends.
    DialEnds(ConnectionIndex, Result<(), ConnectionError>),
    AtServer(ConnectionIndex, FromClient),
    /// The server restarts, and closes with this error.
    Restart(ConnectionIndex, ConnectionError),
    AtClient(ConnectionIndex, FromServer),
    /// Another program writes.
    CommitRow,
    /// The caller makes a call.
    Call,
    /// The slow readers read.
    Reads,
    /// A fault is injected.
    Fault,
    /// The network recovers.
    RestoreNetwork,
    /// The program resumes; `slept` if the machine slept meanwhile.
    Resume {
        suspension: u64,
        slept: Option<Duration>,
    },
    /// The socket accepts frames again.
    DrainSocket,
}

pub(crate) enum FromClient {
    Text(String),
    Ping,
    Close(CloseFrame),
    /// The client has dropped its socket.
    Gone,
}

#[derive(Clone, Debug)]
pub(crate) enum FromServer {
    Text(String),
    /// The envelope of a message over the size limit.
    TooLarge(String),
    Binary(Vec<u8>),
    Pong,
    Disconnected(ConnectionError),
}

#[derive(Default)]
pub(crate) struct Schedule {
    order: BinaryHeap<Reverse<(Duration, u64)>>,
    what: BTreeMap<u64, Scheduled>,
    planned: u64,
}

impl Schedule {
    pub(crate) fn add(&mut self, at: Duration, what: Scheduled) {
        self.planned += 1;
        self.order.push(Reverse((at, self.planned)));
        self.what.insert(self.planned, what);
    }

    pub(crate) fn next(&self) -> Option<Duration> {
        self.order.peek().map(|Reverse((at, _))| *at)
    }

    pub(crate) fn pop(&mut self) -> Option<(Duration, Scheduled)> {
        let Reverse((at, key)) = self.order.pop()?;
        Some((at, self.what.remove(&key).expect("it is scheduled")))
    }
}
