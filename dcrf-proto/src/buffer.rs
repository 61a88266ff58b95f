//! A queue of unread items that keeps count of their bytes, so that it can be bounded.

use std::collections::VecDeque;
use std::ops::Add;

use crate::config::Limit;

/// What has a size, as [`Limit::bytes`] counts.
pub(crate) trait Measure {
    fn bytes(&self) -> usize;
}

/// How much is held: by one buffer, or by all of a kind together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) count: usize,
    pub(crate) bytes: usize,
}

impl Add for Held {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { count: self.count + other.count, bytes: self.bytes + other.bytes }
    }
}

impl Held {
    /// One of those that are counted together holds `after` now, and held `before`.
    pub(crate) fn change(&mut self, before: Held, after: Held) {
        self.count = self.count + after.count - before.count;
        self.bytes = self.bytes + after.bytes - before.bytes;
    }
}

/// The one item that waits for a prompt reader needs no memory of its own.
#[derive(Debug)]
pub(crate) struct Buffer<T> {
    first: Option<T>,
    /// Those behind the first; there may be some without a first.
    others: VecDeque<T>,
    bytes: usize,
}

impl<T> Default for Buffer<T> {
    fn default() -> Self {
        Self { first: None, others: VecDeque::new(), bytes: 0 }
    }
}

impl<T: Measure> Buffer<T> {
    pub(crate) fn held(&self) -> Held {
        Held { count: self.len(), bytes: self.bytes }
    }

    fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.others.len()
    }

    pub(crate) fn push(&mut self, item: T) {
        self.bytes += item.bytes();
        if self.len() == 0 {
            self.first = Some(item);
        } else {
            self.others.push_back(item);
        }
    }

    pub(crate) fn last_mut(&mut self) -> Option<&mut T> {
        self.others.back_mut().or(self.first.as_mut())
    }

    /// Whether `item` can be added without more than `limit` allows.
    pub(crate) fn has_room_for(&self, item: &T, limit: Limit) -> bool {
        self.len() < limit.count && self.bytes + item.bytes() <= limit.bytes
    }

    /// Whether there is more than `limit` allows. One item is allowed in any case, whatever its size.
    pub(crate) fn is_over(&self, limit: Limit) -> bool {
        self.len() > limit.count.max(1) || (self.bytes > limit.bytes && self.len() > 1)
    }

    pub(crate) fn pop(&mut self) -> Option<T> {
        let item = match self.first.take() {
            Some(first) => first,
            None => self.others.pop_front()?,
        };
        self.bytes -= item.bytes();
        // A buffer that a burst has grown is given back once it is empty.
        if self.others.is_empty() && self.others.capacity() > 64 {
            self.others = VecDeque::new();
        }
        Some(item)
    }
}
