//! The one table of deadlines.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::id::{RequestKey, SubscriptionKey, UpstreamKey};

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// The attempt to connect takes too long (L4).
    Dial,
    /// The wait before the next attempt is over (L2).
    Backoff,
    /// Look whether the server is still there (L9).
    Heartbeat,
    /// Stop waiting for what is in flight, or for the closing handshake (C1).
    Close,
    /// Send again, after connections that died young (L12).
    Hold,
    /// A request's deadline (R3).
    Request(RequestKey),
    /// The answer to a refresh is due, or its next try (S6).
    Refresh(SubscriptionKey),
    /// A subscription's acknowledgement, next try, or unsubscribe is due; its phase says which.
    Upstream(UpstreamKey),
}

/// Deadlines in their order; those at the same instant in the order of [`Timer`].
#[derive(Debug, Default)]
pub(crate) struct Timers(BTreeSet<(Instant, Timer)>);

impl Timers {
    pub(crate) fn set(&mut self, at: Instant, timer: Timer) {
        self.0.insert((at, timer));
    }

    pub(crate) fn clear(&mut self, at: Instant, timer: Timer) {
        self.0.remove(&(at, timer));
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.0.first().map(|(at, _)| *at)
    }

    /// Takes the next timer that is due.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<Timer> {
        let (at, _) = self.0.first()?;
        if *at > now {
            return None;
        }
        self.0.pop_first().map(|(_, timer)| timer)
    }
}
