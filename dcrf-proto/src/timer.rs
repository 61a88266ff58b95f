//! All deadlines of a session in one table.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::id::{ReplicaKey, RequestKey, SubscriptionKey, UpstreamKey};

/// What to do at a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// Give up the dial (L4).
    Dial,
    /// Dial again (L2).
    Backoff,
    /// Check whether the server has sent anything (L9).
    Heartbeat,
    /// Stop waiting for requests in flight, or for the closing handshake (C1).
    Close,
    /// Send frames again after a pause caused by short-lived connections (L12).
    Hold,
    /// Time out a request (R3).
    Request(RequestKey),
    /// Time out a subscription that is not acknowledged yet (S3).
    Subscription(SubscriptionKey),
    /// Time out or retry a refresh (S6).
    Refresh(SubscriptionKey),
    /// Send a subscribe again, stop waiting for its acknowledgement, or time out an unsubscribe. The phase decides.
    Upstream(UpstreamKey),
    /// List a collection again, or retrieve rows of it.
    Collection(ReplicaKey),
}

/// Deadlines, sorted. Timers of the same instant fire in the order of [`Timer`].
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

    /// Removes and returns the next timer that is due.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<Timer> {
        let (at, _) = self.0.first()?;
        if *at > now {
            return None;
        }
        self.0.pop_first().map(|(_, timer)| timer)
    }
}
