//! Rows that move between the pages of a list while it is read (V5).
//!
//! Pages by position are no snapshot: an insert and a delete between two pages hide a row, and leave the number of rows as
//! it was. Their events can come after the last page. So what they move for a while after the list makes it doubtful.

use std::time::{Duration, Instant};

use super::SOON;
use crate::collections::store::Store;

/// How long to wait at most before the next list, if rows keep moving.
const LONGEST: Duration = Duration::from_secs(20);

#[derive(Debug, Default)]
pub(super) struct Shifts {
    watch: Option<Watch>,
    /// How many lists in a row are doubtful.
    doubtful: u32,
}

/// A list that is doubtful if rows move before `until`.
#[derive(Debug)]
struct Watch {
    until: Instant,
    /// [`Store::moves`] when the list ended.
    moves: u64,
}

impl Shifts {
    /// A list by position has ended.
    pub(super) fn listed(&mut self, store: &Store, now: Instant) {
        if self.watch.is_some() {
            // Nothing has moved after the list before.
            self.doubtful = 0;
        }
        self.watch = Some(Watch { until: now + SOON, moves: store.moves() });
    }

    /// Rows have moved during a list: how long to wait before the next one.
    pub(super) fn note(&mut self) -> Duration {
        self.watch = None;
        let wait = SOON.saturating_mul(1 << self.doubtful.min(2)).min(LONGEST);
        self.doubtful += 1;
        wait
    }

    /// Looks whether rows have moved after the last list. If so, returns how long to wait before the next one.
    pub(super) fn observe(&mut self, store: &Store, now: Instant) -> Option<Duration> {
        let watch = self.watch.as_ref()?;
        if store.moves() == watch.moves || now >= watch.until {
            return None;
        }
        Some(self.note())
    }
}
