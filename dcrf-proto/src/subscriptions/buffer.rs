//! The changes that wait for the reader of a subscription. The buffer is bounded; its [`OverflowPolicy`] decides what
//! happens when it is full (S11).

use super::conflation::{Conflation, DroppedCount};
use crate::buffer::{Buffer, Held, Measure};
use crate::command::OverflowPolicy;
use crate::config::Limit;
use crate::error::RefreshError;
use crate::event::{Change, Gap};
use crate::protocol::json::Json;
use crate::protocol::pk::Pk;

#[derive(Debug)]
pub(super) enum ChangeBuffer {
    DropOldest(Queue),
    Conflate(Box<Conflation>),
    Close(Queue),
}

/// The buffer is full, and its policy is to close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Overflow;

impl ChangeBuffer {
    pub(super) fn new(overflow_policy: OverflowPolicy) -> Self {
        match overflow_policy {
            OverflowPolicy::DropOldest => Self::DropOldest(Queue::default()),
            OverflowPolicy::Conflate => Self::Conflate(Box::default()),
            OverflowPolicy::Close => Self::Close(Queue::default()),
        }
    }

    /// Adds a change, and counts the changes dropped for it.
    pub(super) fn push(
        &mut self,
        change: Change,
        pk_field: &str,
        limit: Limit,
    ) -> Result<DroppedCount, Overflow> {
        match self {
            Self::DropOldest(queue) => {
                Ok(DroppedCount { lagged: queue.push(change, limit), superseded: 0 })
            }
            Self::Conflate(conflation) => {
                let key = key(&change, pk_field);
                Ok(conflation.push(change, key, limit))
            }
            Self::Close(queue) => {
                queue.push_if_room(change, limit).map(|()| DroppedCount::default())
            }
        }
    }

    pub(super) fn pop(&mut self) -> Option<Change> {
        match self {
            Self::DropOldest(queue) | Self::Close(queue) => queue.pop(),
            Self::Conflate(conflation) => conflation.pop(),
        }
    }

    pub(super) fn has_snapshot(&self) -> bool {
        match self {
            Self::DropOldest(queue) | Self::Close(queue) => {
                queue.changes.iter().any(Compact::is_snapshot)
            }
            Self::Conflate(conflation) => conflation.has_snapshot(),
        }
    }

    pub(super) fn held(&self) -> Held {
        match self {
            Self::DropOldest(queue) | Self::Close(queue) => queue.changes.held(),
            Self::Conflate(conflation) => conflation.held(),
        }
    }
}

/// Changes in the order of the server.
#[derive(Debug, Default)]
pub(super) struct Queue {
    changes: Buffer<Compact>,
    /// What was dropped from the front.
    dropped: Option<Box<Dropped>>,
}

#[derive(Debug, Default)]
struct Dropped {
    lagged: u64,
    /// The last gap among the dropped: a gap is never lost (S5).
    gap: Option<Gap>,
}

/// A [`Change`] in less memory: the frequent variants are unboxed.
#[derive(Debug)]
enum Compact {
    Create(Json),
    Update(Json),
    Other(Box<Change>),
}

impl From<Change> for Compact {
    fn from(change: Change) -> Self {
        match change {
            Change::Create(data) => Self::Create(data),
            Change::Update(data) => Self::Update(data),
            other => Self::Other(Box::new(other)),
        }
    }
}

impl From<Compact> for Change {
    fn from(change: Compact) -> Self {
        match change {
            Compact::Create(data) => Self::Create(data),
            Compact::Update(data) => Self::Update(data),
            Compact::Other(change) => *change,
        }
    }
}

impl Compact {
    fn is_snapshot(&self) -> bool {
        matches!(self, Self::Other(change) if matches!(**change, Change::Snapshot(_)))
    }

    fn as_gap(&self) -> Option<&Gap> {
        match self {
            Self::Other(change) => match &**change {
                Change::Gap(gap) => Some(gap),
                _ => None,
            },
            Self::Create(_) | Self::Update(_) => None,
        }
    }
}

impl Measure for Compact {
    fn bytes(&self) -> usize {
        match self {
            Self::Create(data) | Self::Update(data) => data.len(),
            Self::Other(change) => change.bytes(),
        }
    }
}

impl Queue {
    /// Adds a change. Returns how many older ones were dropped.
    fn push(&mut self, change: Change, limit: Limit) -> u64 {
        self.changes.push(change.into());
        let mut lagged = 0;
        while self.changes.is_over(limit) {
            lagged += self.drop_oldest();
        }
        lagged
    }

    /// Adds a change if there is room. For a gap there always is: it replaces a gap at the end.
    fn push_if_room(&mut self, change: Change, limit: Limit) -> Result<(), Overflow> {
        let change = Compact::from(change);
        let has_room = self.changes.has_room_for(&change, limit);
        let is_gap = change.as_gap().is_some();
        match self.changes.last_mut() {
            Some(last) if is_gap && last.as_gap().is_some() => {
                *last = change;
                return Ok(());
            }
            Some(_) if !is_gap && !has_room => return Err(Overflow),
            _ => {}
        }
        self.changes.push(change);
        Ok(())
    }

    /// Returns how many of the dropped changes count as lagged: 0 or 1.
    fn drop_oldest(&mut self) -> u64 {
        let Some(oldest) = self.changes.pop() else { return 0 };
        let dropped = self.dropped.get_or_insert_default();
        if let Some(gap) = oldest.as_gap() {
            dropped.gap = Some(gap.clone());
            return 0;
        }
        dropped.lagged += 1;
        1
    }

    fn pop(&mut self) -> Option<Change> {
        if let Some(dropped) = &mut self.dropped {
            if dropped.lagged > 0 {
                return Some(Change::Lagged(std::mem::take(&mut dropped.lagged)));
            }
            let gap = dropped.gap.take();
            self.dropped = None;
            if gap.is_some() {
                return gap.map(Change::Gap);
            }
        }
        self.changes.pop().map(Change::from)
    }
}

/// The key of the object that a change is about, if it is about one.
fn key(change: &Change, pk_field: &str) -> Option<Pk> {
    match change {
        Change::Create(data) | Change::Update(data) => Pk::of(data, pk_field),
        Change::Delete(deleted) => deleted.pk.clone(),
        Change::Snapshot(_)
        | Change::RefreshFailed(_)
        | Change::Gap(_)
        | Change::Lagged(_)
        | Change::ErrorReply(_)
        | Change::Other { .. } => None,
    }
}

impl Measure for Change {
    fn bytes(&self) -> usize {
        match self {
            Self::Create(data) | Self::Update(data) => data.len(),
            Self::Delete(deleted) => deleted.data.len(),
            Self::Snapshot(objects) => objects.iter().map(Json::held).sum(),
            Self::ErrorReply(error_reply)
            | Self::RefreshFailed(RefreshError::ErrorReply(error_reply)) => {
                length(error_reply.action.as_deref())
                    + error_reply.errors.len()
                    + error_reply.data.len()
            }
            Self::Other { action, payload } => length(action.as_deref()) + payload.len(),
            Self::RefreshFailed(_) | Self::Gap(_) | Self::Lagged(_) => 0,
        }
    }
}

fn length(action: Option<&str>) -> usize {
    action.map_or(0, str::len)
}
