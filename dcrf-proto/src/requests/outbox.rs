//! What waits to be sent, in the order of the calls (R1).

use std::collections::VecDeque;

use crate::buffer::Held;
use crate::id::RequestKey;

/// Sorted by the numbers of the calls. All but what a caller gives up in its midst comes and goes at its ends.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    queue: VecDeque<(u64, RequestKey)>,
    bytes: usize,
}

impl Outbox {
    pub(crate) fn held(&self) -> Held {
        Held { count: self.queue.len(), bytes: self.bytes }
    }

    /// The number of the first call.
    pub(crate) fn first(&self) -> Option<u64> {
        self.queue.front().map(|(sequence, _)| *sequence)
    }

    /// Adds the request of a call, with the size of its message: a new one behind all others, one that is sent again
    /// in its old place.
    pub(crate) fn insert(&mut self, sequence: u64, key: RequestKey, bytes: usize) {
        self.bytes += bytes;
        let place = self.place(sequence).unwrap_or_else(|place| place);
        self.queue.insert(place, (sequence, key));
    }

    /// Takes the first out. The size of its message is given back by [`taken`](Self::taken).
    pub(crate) fn pop(&mut self) -> Option<RequestKey> {
        self.queue.pop_front().map(|(_, key)| key)
    }

    /// What was popped had a message of this size.
    pub(crate) fn taken(&mut self, bytes: usize) {
        self.bytes -= bytes;
    }

    /// The caller has given it up, or its time is over.
    pub(crate) fn remove(&mut self, sequence: u64, bytes: usize) {
        self.bytes -= bytes;
        if let Ok(place) = self.place(sequence) {
            self.queue.remove(place);
        }
    }

    /// Where a call stands, or would.
    fn place(&self, sequence: u64) -> Result<usize, usize> {
        match self.queue.back() {
            None => Err(0),
            Some((last, _)) if *last < sequence => Err(self.queue.len()),
            Some(_) => self.queue.binary_search_by_key(&sequence, |(sequence, _)| *sequence),
        }
    }
}
