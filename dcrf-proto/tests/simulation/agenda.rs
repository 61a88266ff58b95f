//! What is going to happen, in the order of time and, at one moment, in the order in which it was planned.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use dcrf_proto::{CloseFrame, ConnectionError};
use serde_json::Value;

use crate::Nth;

pub(crate) enum Happening {
    /// A dial ends.
    Dialled(Nth, Result<(), ConnectionError>),
    AtServer(Nth, FromClient),
    /// The server has worked on a frame for as long as that takes.
    Acts(Nth, Value),
    /// The next event of the channel layer reaches a connection's consumer of this stream.
    Tells(Nth, String),
    /// The next of a stream of replies.
    Prints(Nth, Value, u64),
    /// A consumer has raised, and the server closes.
    Crashes(Nth),
    AtClient(Nth, FromServer),
    /// Somebody else writes.
    Commits,
    /// The caller does something.
    Calls,
    /// The slow readers read.
    Reads,
    /// Something goes wrong.
    Trouble,
    /// The network recovers.
    Heals,
    /// The program goes on after it stood still, and whether the machine had slept.
    Wakes {
        nap: u64,
        slept: Option<Duration>,
    },
    /// The socket takes frames again.
    Drains,
}

pub(crate) enum FromClient {
    Frame(Value),
    Ping,
    Close(CloseFrame),
    /// The client has dropped its socket.
    Gone,
}

#[derive(Clone, Debug)]
pub(crate) enum FromServer {
    Text(String),
    Binary(Vec<u8>),
    Pong,
    Disconnected(ConnectionError),
}

#[derive(Default)]
pub(crate) struct Agenda {
    order: BinaryHeap<Reverse<(Duration, u64)>>,
    what: BTreeMap<u64, Happening>,
    planned: u64,
}

impl Agenda {
    pub(crate) fn plan(&mut self, at: Duration, what: Happening) {
        self.planned += 1;
        self.order.push(Reverse((at, self.planned)));
        self.what.insert(self.planned, what);
    }

    pub(crate) fn next(&self) -> Option<Duration> {
        self.order.peek().map(|Reverse((at, _))| *at)
    }

    pub(crate) fn pop(&mut self) -> Option<(Duration, Happening)> {
        let Reverse((at, key)) = self.order.pop()?;
        Some((at, self.what.remove(&key).expect("what is planned")))
    }

    /// What the server is at work on ends now, in its order.
    pub(crate) fn hasten(&mut self, now: Duration) {
        let planned = std::mem::take(&mut self.order).into_sorted_vec();
        for Reverse((at, key)) in planned.into_iter().rev() {
            if let Happening::Acts(..) | Happening::Prints(..) | Happening::Tells(..) =
                self.what[&key]
            {
                let what = self.what.remove(&key).expect("what is planned");
                self.plan(now, what);
            } else {
                self.order.push(Reverse((at, key)));
            }
        }
    }
}
