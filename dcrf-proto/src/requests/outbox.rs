//! The queue of requests to send, in the order of the calls (R1).

use std::collections::VecDeque;

use crate::buffer::Held;
use crate::id::RequestKey;

/// Sorted by sequence number. Requests are added at the back and removed at the front, unless they are cancelled, time
/// out, are repeated or wait for their stream.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    queue: VecDeque<(u64, RequestKey)>,
    bytes: usize,
    /// How many requests at the front are known to wait for their stream, so that nobody looks at them again.
    waiting: usize,
}

impl Outbox {
    pub(crate) fn held(&self) -> Held {
        Held { count: self.queue.len(), bytes: self.bytes }
    }

    /// The sequence number of the first request.
    pub(crate) fn first_sequence(&self) -> Option<u64> {
        self.queue.front().map(|(sequence, _)| *sequence)
    }

    /// Adds a request whose frame has `bytes` bytes. A repeated one returns to its old position.
    pub(crate) fn insert(&mut self, sequence: u64, key: RequestKey, bytes: usize) {
        self.bytes += bytes;
        let index = self.position(sequence).unwrap_or_else(|index| index);
        self.queue.insert(index, (sequence, key));
        self.waiting = self.waiting.min(index);
    }

    /// Removes the first request that `is_free` to go. The caller then passes the size of its frame to
    /// [`subtract_bytes`](Self::subtract_bytes).
    pub(crate) fn pop(&mut self, is_free: impl Fn(RequestKey) -> bool) -> Option<RequestKey> {
        while let Some((_, key)) = self.queue.get(self.waiting) {
            if is_free(*key) {
                return self.queue.remove(self.waiting).map(|(_, key)| key);
            }
            self.waiting += 1;
        }
        None
    }

    /// Those that wait for their stream may have become free.
    pub(crate) fn reconsider(&mut self) {
        self.waiting = 0;
    }

    /// Removes a request like [`pop`](Self::pop), whether it is free or not.
    pub(crate) fn take(&mut self, sequence: u64) {
        if let Ok(index) = self.position(sequence) {
            self.queue.remove(index);
            self.waiting -= usize::from(index < self.waiting);
        }
    }

    pub(crate) fn subtract_bytes(&mut self, bytes: usize) {
        self.bytes -= bytes;
    }

    /// Removes a request that was cancelled or timed out. If [`pop`](Self::pop) took it, only its bytes are removed.
    pub(crate) fn remove(&mut self, sequence: u64, bytes: usize) {
        self.bytes -= bytes;
        self.take(sequence);
    }

    /// The index of a request, or the one to insert it at.
    fn position(&self, sequence: u64) -> Result<usize, usize> {
        match self.queue.back() {
            None => Err(0),
            Some((last, _)) if *last < sequence => Err(self.queue.len()),
            Some(_) => self.queue.binary_search_by_key(&sequence, |(sequence, _)| *sequence),
        }
    }
}
