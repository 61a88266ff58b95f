//! Rows that are retrieved one by one: changes without data, rows in doubt, and rows to verify (V2, V3, V4).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use super::row_key::RowKey;
use crate::id::RequestKey;

/// How many rows are retrieved at the same time.
const WINDOW: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Fetches {
    queue: VecDeque<RowKey>,
    /// The same keys.
    queued: BTreeSet<RowKey>,
    in_flight: BTreeMap<RequestKey, RowKey>,
    flying: BTreeMap<RowKey, Flight>,
    /// Rows to verify when they have not changed for a while.
    due: BTreeMap<RowKey, Instant>,
    by_time: BTreeSet<(Instant, RowKey)>,
}

/// What has happened since a row was requested.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flight {
    /// The row has changed, so it is retrieved once more.
    pub(super) again: bool,
    /// A list was requested, which is newer than the reply.
    pub(super) is_before_list: bool,
}

impl Fetches {
    /// Queues a row. One that is in flight is retrieved once more.
    pub(super) fn add(&mut self, key: RowKey) {
        if let Some(flight) = self.flying.get_mut(&key) {
            flight.again = true;
        } else if self.queued.insert(key.clone()) {
            self.queue.push_back(key);
        }
    }

    /// How many rows wait to be retrieved or verified.
    pub(super) fn waiting(&self) -> usize {
        self.queue.len() + self.due.len()
    }

    /// Forgets those that wait, because a list has been requested after they have changed.
    pub(super) fn forget_waiting(&mut self) {
        let Self { in_flight, flying, .. } = std::mem::take(self);
        (self.in_flight, self.flying) = (in_flight, flying);
    }

    /// A row has changed. If it is in flight, the reply can be older than the change.
    pub(super) fn changed(&mut self, key: &RowKey) {
        if let Some(flight) = self.flying.get_mut(key) {
            flight.again = true;
        }
    }

    /// A list is requested.
    pub(super) fn list_requested(&mut self) {
        self.flying.values_mut().for_each(|flight| flight.is_before_list = true);
    }

    /// A list has arrived. The replies in flight can be older, if the server serves them by another task.
    pub(super) fn overtaken(&mut self) {
        self.flying.values_mut().for_each(|flight| flight.again = true);
    }

    /// The next row to retrieve.
    pub(super) fn next(&mut self) -> Option<RowKey> {
        if self.in_flight.len() >= WINDOW {
            return None;
        }
        let key = self.queue.pop_front()?;
        self.queued.remove(&key);
        Some(key)
    }

    pub(super) fn sent(&mut self, request: RequestKey, key: RowKey) {
        self.flying.insert(key.clone(), Flight::default());
        self.in_flight.insert(request, key);
    }

    /// A request has settled. Returns its row.
    pub(super) fn settled(&mut self, request: RequestKey) -> Option<(RowKey, Flight)> {
        let key = self.in_flight.remove(&request)?;
        let flight = self.flying.remove(&key).unwrap_or_default();
        Some((key, flight))
    }

    /// Verifies a row at `at`, unless it changes before.
    pub(super) fn verify(&mut self, key: &RowKey, at: Instant) {
        if let Some(before) = self.due.insert(key.clone(), at) {
            self.by_time.remove(&(before, key.clone()));
        }
        self.by_time.insert((at, key.clone()));
    }

    /// Queues the rows whose time has come.
    pub(super) fn queue_due(&mut self, now: Instant) {
        while let Some((at, _)) = self.by_time.first() {
            if *at > now {
                break;
            }
            let Some((_, key)) = self.by_time.pop_first() else { break };
            self.due.remove(&key);
            self.add(key);
        }
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Forgets everything, because a list follows. Returns the requests in flight.
    pub(super) fn clear(&mut self) -> Vec<RequestKey> {
        let requests = self.in_flight.keys().copied().collect();
        *self = Self::default();
        requests
    }
}
