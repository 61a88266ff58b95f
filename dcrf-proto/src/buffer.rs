//! A queue of unread items, bounded by their number and size.

use std::collections::VecDeque;
use std::ops::Add;

use crate::config::Limit;

/// An item's size, as [`Limit::bytes`] counts it.
pub(crate) trait Measure {
    fn bytes(&self) -> usize;
}

/// The content of one buffer, or the total of several.
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
    /// Updates a total after one buffer has changed from `before` to `after`.
    pub(crate) fn change(&mut self, before: Held, after: Held) {
        self.count = self.count + after.count - before.count;
        self.bytes = self.bytes + after.bytes - before.bytes;
    }
}

/// A queue whose first item is stored inline, so that a prompt reader costs no allocation.
#[derive(Debug)]
pub(crate) struct Buffer<T> {
    first: Option<T>,
    /// The items after `first`, which may be empty while there are others.
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

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.first.iter().chain(&self.others)
    }

    pub(crate) fn last_mut(&mut self) -> Option<&mut T> {
        self.others.back_mut().or(self.first.as_mut())
    }

    /// Whether `item` fits within `limit`.
    pub(crate) fn has_room_for(&self, item: &T, limit: Limit) -> bool {
        self.len() < limit.count && self.bytes + item.bytes() <= limit.bytes
    }

    /// Whether the buffer exceeds `limit`. A single item is always allowed, whatever its size.
    pub(crate) fn is_over(&self, limit: Limit) -> bool {
        self.len() > limit.count.max(1) || (self.bytes > limit.bytes && self.len() > 1)
    }

    pub(crate) fn pop(&mut self) -> Option<T> {
        let item = match self.first.take() {
            Some(first) => first,
            None => self.others.pop_front()?,
        };
        self.bytes -= item.bytes();
        // Free the memory of a burst.
        if self.others.is_empty() && self.others.capacity() > 64 {
            self.others = VecDeque::new();
        }
        Some(item)
    }
}
