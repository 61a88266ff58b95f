//! The changes that wait for one subscription's reader: bounded, and what happens when there are too many
//! is the subscription's choice (S11).

use super::conflation::{Conflation, GaveWay};
use crate::buffer::{Buffer, Held, Measure};
use crate::command::WhenFull;
use crate::config::Limit;
use crate::event::{Change, Gap};
use crate::wire::json::Json;
use crate::wire::pk::Pk;

#[derive(Debug)]
pub(crate) enum Inbox {
    DropOldest(Queue),
    // The other policies' subscriptions are not to pay for its size.
    KeepNewest(Box<Conflation>),
    End(Queue),
}

/// There is no room, and nothing may give way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Overflow;

impl Inbox {
    pub(crate) fn new(when_full: WhenFull) -> Self {
        match when_full {
            WhenFull::DropOldest => Self::DropOldest(Queue::default()),
            WhenFull::KeepNewest => Self::KeepNewest(Box::default()),
            WhenFull::End => Self::End(Queue::default()),
        }
    }

    /// Adds a change, and says what gave way to it.
    pub(crate) fn push(
        &mut self,
        change: Change,
        pk_field: &str,
        limit: Limit,
    ) -> Result<GaveWay, Overflow> {
        match self {
            Self::DropOldest(queue) => {
                Ok(GaveWay { lagged: queue.push(change, limit), superseded: 0 })
            }
            Self::KeepNewest(conflation) => {
                let key = key(&change, pk_field);
                Ok(conflation.push(change, key, limit))
            }
            Self::End(queue) => queue.push_if_room(change, limit).map(|()| GaveWay::default()),
        }
    }

    pub(crate) fn pop(&mut self) -> Option<Change> {
        match self {
            Self::DropOldest(queue) | Self::End(queue) => queue.pop(),
            Self::KeepNewest(conflation) => conflation.pop(),
        }
    }

    pub(crate) fn held(&self) -> Held {
        match self {
            Self::DropOldest(queue) | Self::End(queue) => queue.changes.held(),
            Self::KeepNewest(conflation) => conflation.held(),
        }
    }

    /// Drops what waits.
    pub(crate) fn clear(&mut self) {
        match self {
            Self::DropOldest(queue) | Self::End(queue) => *queue = Queue::default(),
            Self::KeepNewest(conflation) => **conflation = Conflation::default(),
        }
    }
}

/// Changes in their order, and nothing else known of them.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    changes: Buffer<Change>,
    /// How many changes were dropped before the first that is left.
    lagged: u64,
    /// The last gap among those dropped: a gap is never lost (S5).
    lagged_gap: Option<Gap>,
}

impl Queue {
    /// Adds a change, and says how many older ones gave way.
    fn push(&mut self, change: Change, limit: Limit) -> u64 {
        self.changes.push(change);
        let before = self.lagged;
        while self.changes.is_over(limit) {
            self.drop_oldest();
        }
        self.lagged - before
    }

    /// Adds a change if there is room, which there always is for a gap: it takes the place of one that nothing
    /// follows.
    fn push_if_room(&mut self, change: Change, limit: Limit) -> Result<(), Overflow> {
        let has_room = self.changes.has_room_for(&change, limit);
        match (&change, self.changes.last_mut()) {
            (Change::Gap(_), Some(last @ Change::Gap(_))) => {
                *last = change;
                return Ok(());
            }
            (Change::Gap(_), _) | (_, None) => {}
            _ if has_room => {}
            _ => return Err(Overflow),
        }
        self.changes.push(change);
        Ok(())
    }

    fn drop_oldest(&mut self) {
        match self.changes.pop() {
            Some(Change::Gap(gap)) => self.lagged_gap = Some(gap),
            Some(_) => self.lagged += 1,
            None => {}
        }
    }

    fn pop(&mut self) -> Option<Change> {
        if self.lagged > 0 {
            return Some(Change::Lagged(std::mem::take(&mut self.lagged)));
        }
        if let Some(gap) = self.lagged_gap.take() {
            return Some(Change::Gap(gap));
        }
        self.changes.pop()
    }
}

/// The key of the object that a change is of. What tells no state of an object has none.
fn key(change: &Change, pk_field: &str) -> Option<Pk> {
    match change {
        Change::Create(data) | Change::Update(data) => Pk::of(data, pk_field),
        Change::Delete(deleted) => deleted.pk.clone(),
        Change::Snapshot(_)
        | Change::Gap(_)
        | Change::Lagged(_)
        | Change::Refused(_)
        | Change::Other { .. } => None,
    }
}

impl Measure for Change {
    fn bytes(&self) -> usize {
        match self {
            Self::Create(data) | Self::Update(data) => data.len(),
            Self::Delete(deleted) => deleted.data.len(),
            Self::Snapshot(objects) => objects.iter().map(Json::len).sum(),
            Self::Refused(refusal) => {
                length(refusal.action.as_deref()) + refusal.errors.len() + refusal.data.len()
            }
            Self::Other { action, payload } => length(action.as_deref()) + payload.len(),
            Self::Gap(_) | Self::Lagged(_) => 0,
        }
    }
}

fn length(action: Option<&str>) -> usize {
    action.map_or(0, str::len)
}
