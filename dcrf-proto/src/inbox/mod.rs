//! The changes that wait for the readers of subscriptions: bounded, and what happens when there are too many is the
//! subscription's choice (S11).
//!
//! An inbox is made for a change and dropped by who finds it empty. So the many subscriptions for which nothing waits
//! take no memory for it, and the few whose readers are prompt use the same inboxes over and over.

mod conflation;

use std::num::NonZeroU32;

use self::conflation::{Conflation, GaveWay};
use crate::buffer::{Buffer, Held, Measure};
use crate::command::OverflowPolicy;
use crate::config::Limit;
use crate::event::{Change, Gap};
use crate::protocol::json::Json;
use crate::protocol::pk::Pk;

/// The inboxes of all subscriptions.
#[derive(Debug, Default)]
pub(crate) struct Inboxes {
    all: Vec<Inbox>,
    /// Those that are empty and nobody's. The last is taken first, which is still in the cache.
    free: Vec<u32>,
    held: Held,
}

/// Where the inbox of a subscription stands, if it has one, from 1.
#[derive(Debug, Default)]
pub(crate) struct Place(Option<NonZeroU32>);

#[derive(Debug)]
enum Inbox {
    DropOldest(Queue),
    Conflate(Conflation),
    Close(Queue),
}

/// There is no room, and nothing may give way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Overflow;

impl Inboxes {
    /// Adds a change, and says what gave way to it.
    pub(crate) fn push(
        &mut self,
        place: &mut Place,
        overflow_policy: OverflowPolicy,
        change: Change,
        pk_field: &str,
        limit: Limit,
    ) -> Result<GaveWay, Overflow> {
        let inbox = match place.index() {
            Some(index) => &mut self.all[index],
            None => self.make(place, overflow_policy),
        };
        let before = inbox.held();
        let gave_way = inbox.push(change, pk_field, limit);
        let after = inbox.held();
        self.held.change(before, after);
        gave_way
    }

    fn make(&mut self, place: &mut Place, overflow_policy: OverflowPolicy) -> &mut Inbox {
        let index = self.free.pop().map_or(self.all.len(), |index| index as usize);
        // There are no more of them than subscriptions.
        place.0 = u32::try_from(index + 1).ok().and_then(NonZeroU32::new);
        if index == self.all.len() {
            self.all.push(Inbox::new(overflow_policy));
        } else if !self.all[index].is_of(overflow_policy) {
            self.all[index] = Inbox::new(overflow_policy);
        }
        &mut self.all[index]
    }

    pub(crate) fn pop(&mut self, place: &mut Place) -> Option<Change> {
        let inbox = &mut self.all[place.index()?];
        let before = inbox.held();
        let popped = inbox.pop();
        if popped.is_some() {
            self.held.change(before, inbox.held());
        } else {
            self.release(place);
        }
        popped
    }

    /// Drops what waits for one subscription.
    pub(crate) fn clear(&mut self, place: &mut Place) {
        let Some(index) = place.index() else { return };
        self.held.change(self.all[index].held(), Held::default());
        self.all[index] = Inbox::new(OverflowPolicy::default());
        self.release(place);
    }

    /// This inbox is empty, and may be another subscription's.
    fn release(&mut self, place: &mut Place) {
        self.free.extend(std::mem::take(place).0.map(|place| place.get() - 1));
        // What a burst has grown is given back once all is read.
        if self.free.len() == self.all.len() && self.all.len() > 64 {
            (self.all, self.free) = Default::default();
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
    fn new(overflow_policy: OverflowPolicy) -> Self {
        match overflow_policy {
            OverflowPolicy::DropOldest => Self::DropOldest(Queue::default()),
            OverflowPolicy::Conflate => Self::Conflate(Conflation::default()),
            OverflowPolicy::Close => Self::Close(Queue::default()),
        }
    }

    fn is_of(&self, overflow_policy: OverflowPolicy) -> bool {
        matches!(
            (self, overflow_policy),
            (Self::DropOldest(_), OverflowPolicy::DropOldest)
                | (Self::Conflate(_), OverflowPolicy::Conflate)
                | (Self::Close(_), OverflowPolicy::Close)
        )
    }

    fn push(&mut self, change: Change, pk_field: &str, limit: Limit) -> Result<GaveWay, Overflow> {
        match self {
            Self::DropOldest(queue) => {
                Ok(GaveWay { lagged: queue.push(change, limit), superseded: 0 })
            }
            Self::Conflate(conflation) => {
                let key = key(&change, pk_field);
                Ok(conflation.push(change, key, limit))
            }
            Self::Close(queue) => queue.push_if_room(change, limit).map(|()| GaveWay::default()),
        }
    }

    fn pop(&mut self) -> Option<Change> {
        match self {
            Self::DropOldest(queue) | Self::Close(queue) => queue.pop(),
            Self::Conflate(conflation) => conflation.pop(),
        }
    }

    fn held(&self) -> Held {
        match self {
            Self::DropOldest(queue) | Self::Close(queue) => queue.changes.held(),
            Self::Conflate(conflation) => conflation.held(),
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
        | Change::ErrorReply(_)
        | Change::Other { .. } => None,
    }
}

impl Measure for Change {
    fn bytes(&self) -> usize {
        match self {
            Self::Create(data) | Self::Update(data) => data.len(),
            Self::Delete(deleted) => deleted.data.len(),
            Self::Snapshot(objects) => objects.iter().map(Json::len).sum(),
            Self::ErrorReply(error_reply) => {
                length(error_reply.action.as_deref())
                    + error_reply.errors.len()
                    + error_reply.data.len()
            }
            Self::Other { action, payload } => length(action.as_deref()) + payload.len(),
            Self::Gap(_) | Self::Lagged(_) => 0,
        }
    }
}

fn length(action: Option<&str>) -> usize {
    action.map_or(0, str::len)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Limit = Limit { count: 2, bytes: 1_000 };

    fn update(number: u32) -> Change {
        Change::Update(Json::from_checked(&format!(r#"{{"pk":{number}}}"#)))
    }

    fn push(
        inboxes: &mut Inboxes,
        place: &mut Place,
        overflow_policy: OverflowPolicy,
        number: u32,
    ) -> bool {
        inboxes.push(place, overflow_policy, update(number), "pk", LIMIT).is_ok()
    }

    #[test]
    fn s11_an_inbox_that_is_read_is_used_again_by_a_subscription_of_another_kind() {
        let mut inboxes = Inboxes::default();
        let (mut first, mut second) = (Place::default(), Place::default());
        for number in 0..3 {
            assert!(push(&mut inboxes, &mut first, OverflowPolicy::DropOldest, number));
        }
        assert_eq!(inboxes.pop(&mut first), Some(Change::Lagged(1)));
        for number in 1..3 {
            assert_eq!(inboxes.pop(&mut first), Some(update(number)));
        }
        assert_eq!(inboxes.pop(&mut first), None);
        assert_eq!((inboxes.held(), first.index()), (Held::default(), None));
        // Where nothing may give way there is no room for a third, also in what was the other's.
        let pushed = (0..3).map(|nth| push(&mut inboxes, &mut second, OverflowPolicy::Close, nth));
        assert_eq!(pushed.collect::<Vec<_>>(), [true, true, false]);
        assert_eq!(inboxes.all.len(), 1);
    }

    #[test]
    fn s9_what_is_dropped_is_told_to_nobody_who_comes_after() {
        let mut inboxes = Inboxes::default();
        let mut place = Place::default();
        for number in 0..3 {
            push(&mut inboxes, &mut place, OverflowPolicy::DropOldest, number);
        }
        inboxes.clear(&mut place);
        assert_eq!((inboxes.held(), inboxes.pop(&mut place)), (Held::default(), None));
        push(&mut inboxes, &mut place, OverflowPolicy::DropOldest, 7);
        assert_eq!(inboxes.pop(&mut place), Some(update(7)));
        assert_eq!(inboxes.pop(&mut place), None);
    }

    #[test]
    fn what_a_burst_has_grown_is_given_back_once_all_is_read() {
        let mut inboxes = Inboxes::default();
        let mut places: Vec<_> = (0..100).map(|_| Place::default()).collect();
        for place in &mut places {
            push(&mut inboxes, place, OverflowPolicy::Conflate, 1);
        }
        for place in &mut places {
            assert_eq!(inboxes.pop(place), Some(update(1)));
            assert_eq!(inboxes.pop(place), None);
        }
        assert_eq!((inboxes.all.capacity(), inboxes.free.capacity()), (0, 0));
    }
}
