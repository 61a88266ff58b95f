//! A queue of what waits to be read, with the size of its texts: for whoever bounds it.

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

#[derive(Debug)]
pub(crate) struct Buffer<T> {
    items: VecDeque<T>,
    bytes: usize,
}

impl<T> Default for Buffer<T> {
    fn default() -> Self {
        Self { items: VecDeque::new(), bytes: 0 }
    }
}

impl<T: Measure> Buffer<T> {
    pub(crate) fn held(&self) -> Held {
        Held { count: self.items.len(), bytes: self.bytes }
    }

    pub(crate) fn push(&mut self, item: T) {
        self.bytes += item.bytes();
        self.items.push_back(item);
    }

    pub(crate) fn last_mut(&mut self) -> Option<&mut T> {
        self.items.back_mut()
    }

    /// Whether `item` can be added without more than `limit` allows.
    pub(crate) fn has_room_for(&self, item: &T, limit: Limit) -> bool {
        self.items.len() < limit.count && self.bytes + item.bytes() <= limit.bytes
    }

    /// Whether there is more than `limit` allows. One item is allowed in any case, whatever its size.
    pub(crate) fn is_over(&self, limit: Limit) -> bool {
        self.items.len() > limit.count.max(1) || (self.bytes > limit.bytes && self.items.len() > 1)
    }

    pub(crate) fn pop(&mut self) -> Option<T> {
        let item = self.items.pop_front()?;
        self.bytes -= item.bytes();
        // A buffer that a burst has grown is given back once it is empty.
        if self.items.is_empty() && self.items.capacity() > 64 {
            self.items = VecDeque::new();
        }
        Some(item)
    }
}
