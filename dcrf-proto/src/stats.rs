//! Counters and gauges of a session.

/// Counters since the session began, and how much it holds now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Frames received.
    pub received: u64,
    /// Frames dropped, since they were binary, no JSON, or no object (F4).
    pub malformed: u64,
    /// Frames that belonged to no request and no subscription (F2).
    pub unhandled: u64,
    /// Answers that came after their request had timed out or was cancelled (R3, R9), and others that
    /// nobody waited for any more.
    pub late: u64,
    /// Requests queued once more after a loss, since they are safe to repeat (R4).
    pub repeated: u64,
    /// Messages of `send` and `send_now` that were dropped before they were sent (R10).
    pub unsent: u64,
    /// Subscribe frames sent, replays included.
    pub subscribes_sent: u64,
    /// Changes, and frames for listeners, dropped since their reader was too slow (S11).
    pub lagged: u64,
    /// Changes dropped, since their reader was too slow and a newer one of the same object was there
    /// ([`WhenFull::KeepNewest`](crate::WhenFull::KeepNewest)).
    pub superseded: u64,
    /// Requests alive now.
    pub requests: usize,
    /// Requests that wait for a connection now.
    pub waiting_requests: usize,
    /// The size of their messages together, in bytes.
    pub waiting_bytes: usize,
    /// Subscriptions alive now.
    pub subscriptions: usize,
    /// Listeners alive now.
    pub listeners: usize,
}
