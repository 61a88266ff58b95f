//! The changes that wait for the readers of subscriptions: bounded, and what happens when there are too many is the
//! subscription's choice (S11).
//!
//! An inbox is made for a change and dropped by who finds it empty. So the many subscriptions for which nothing waits
//! take no memory for it, and the few whose readers are prompt use the same inboxes over and over.

mod conflation;

use std::num::NonZeroU32;

use slab::Slab;

use self::conflation::{Conflation, GaveWay};
use crate::buffer::{Buffer, Held, Measure};
use crate::command::WhenFull;
use crate::config::Limit;
use crate::event::{Change, Gap};
use crate::wire::json::Json;
use crate::wire::pk::Pk;

/// The inboxes of all subscriptions.
#[derive(Debug, Default)]
pub(crate) struct Inboxes {
    inboxes: Slab<Inbox>,
    held: Held,
}

/// Where the inbox of a subscription stands, if it has one: one behind its place in the slab.
#[derive(Debug, Default)]
pub(crate) struct Place(Option<NonZeroU32>);

#[derive(Debug)]
enum Inbox {
    DropOldest(Queue),
    KeepNewest(Conflation),
    End(Queue),
}

/// There is no room, and nothing may give way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Overflow;

impl Inboxes {
    /// Adds a change, and says what gave way to it.
    pub(crate) fn push(
        &mut self,
        place: &mut Place,
        when_full: WhenFull,
        change: Change,
        pk_field: &str,
        limit: Limit,
    ) -> Result<GaveWay, Overflow> {
        let inboxes = &mut self.inboxes;
        let index = place.index().unwrap_or_else(|| {
            let index = inboxes.insert(Inbox::new(when_full));
            place.0 = u32::try_from(index + 1).ok().and_then(NonZeroU32::new);
            index
        });
        let inbox = &mut inboxes[index];
        let before = inbox.held();
        let gave_way = inbox.push(change, pk_field, limit);
        self.held.change(before, inbox.held());
        gave_way
    }

    pub(crate) fn pop(&mut self, place: &mut Place) -> Option<Change> {
        let inbox = self.inboxes.get_mut(place.index()?)?;
        let before = inbox.held();
        let Some(change) = inbox.pop() else {
            self.clear(place);
            return None;
        };
        self.held.change(before, inbox.held());
        Some(change)
    }

    /// Drops what waits for one subscription.
    pub(crate) fn clear(&mut self, place: &mut Place) {
        let index = place.index();
        if let Some(inbox) = index.and_then(|index| self.inboxes.try_remove(index)) {
            self.held.change(inbox.held(), Held::default());
        }
        *place = Place::default();
        // What a burst has grown is given back once all is read.
        if self.inboxes.is_empty() && self.inboxes.capacity() > 64 {
            self.inboxes = Slab::new();
        }
    }

    /// What waits for all of them.
    pub(crate) fn held(&self) -> Held {
        self.held
    }
}

impl Place {
    fn index(&self) -> Option<usize> {
        Some(self.0?.get() as usize - 1)
    }
}

impl Inbox {
    fn new(when_full: WhenFull) -> Self {
        match when_full {
            WhenFull::DropOldest => Self::DropOldest(Queue::default()),
            WhenFull::KeepNewest => Self::KeepNewest(Conflation::default()),
            WhenFull::End => Self::End(Queue::default()),
        }
    }

    fn push(&mut self, change: Change, pk_field: &str, limit: Limit) -> Result<GaveWay, Overflow> {
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

    fn pop(&mut self) -> Option<Change> {
        match self {
            Self::DropOldest(queue) | Self::End(queue) => queue.pop(),
            Self::KeepNewest(conflation) => conflation.pop(),
        }
    }

    fn held(&self) -> Held {
        match self {
            Self::DropOldest(queue) | Self::End(queue) => queue.changes.held(),
            Self::KeepNewest(conflation) => conflation.held(),
        }
    }
}

/// Changes in their order, and nothing else known of them.
#[derive(Debug, Default)]
struct Queue {
    changes: Buffer<Kept>,
    /// What was dropped before the first that is left.
    dropped: Option<Box<Dropped>>,
}

#[derive(Debug, Default)]
struct Dropped {
    lagged: u64,
    /// The last gap: a gap is never lost (S5).
    gap: Option<Gap>,
}

/// A change as it waits: what comes most is kept small.
#[derive(Debug)]
enum Kept {
    Create(Json),
    Update(Json),
    Other(Box<Change>),
}

impl From<Change> for Kept {
    fn from(change: Change) -> Self {
        match change {
            Change::Create(data) => Self::Create(data),
            Change::Update(data) => Self::Update(data),
            other => Self::Other(Box::new(other)),
        }
    }
}

impl From<Kept> for Change {
    fn from(kept: Kept) -> Self {
        match kept {
            Kept::Create(data) => Self::Create(data),
            Kept::Update(data) => Self::Update(data),
            Kept::Other(change) => *change,
        }
    }
}

impl Kept {
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

impl Measure for Kept {
    fn bytes(&self) -> usize {
        match self {
            Self::Create(data) | Self::Update(data) => data.len(),
            Self::Other(change) => change.bytes(),
        }
    }
}

impl Queue {
    /// Adds a change, and says how many older ones gave way.
    fn push(&mut self, change: Change, limit: Limit) -> u64 {
        self.changes.push(change.into());
        let mut lagged = 0;
        while self.changes.is_over(limit) {
            lagged += self.drop_oldest();
        }
        lagged
    }

    /// Adds a change if there is room, which there always is for a gap: it takes the place of one that nothing
    /// follows.
    fn push_if_room(&mut self, change: Change, limit: Limit) -> Result<(), Overflow> {
        let kept = Kept::from(change);
        let has_room = self.changes.has_room_for(&kept, limit);
        let is_gap = kept.as_gap().is_some();
        match self.changes.last_mut() {
            Some(last) if is_gap && last.as_gap().is_some() => {
                *last = kept;
                return Ok(());
            }
            Some(_) if !is_gap && !has_room => return Err(Overflow),
            _ => {}
        }
        self.changes.push(kept);
        Ok(())
    }

    /// Says how many changes that the reader is told of gave way.
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
