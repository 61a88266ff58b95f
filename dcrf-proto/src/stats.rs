//! Counters and gauges of a session.

/// What has happened since the session began, and how much it holds now.
///
/// It is plain numbers, cheap to take at any time: [`Session::stats`](crate::Session::stats) walks through nothing.
///
/// ```
/// # use dcrf_proto::{Config, Request, Seed, Session};
/// # use std::time::Instant;
/// # let (mut session, now) = (Session::new(Config::default(), Seed::from([7; 32]), Instant::now()), Instant::now());
/// let before = session.stats();
/// session.request(Request::list("people"), now)?;
/// let after = session.stats();
/// assert_eq!(after.requests_made - before.requests_made, 1);
/// assert!(after.waiting_bytes > 0);
/// # Ok::<(), dcrf_proto::Rejected<Request>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Connections made.
    pub connections: u64,
    /// Connections lost; not those that the session itself closed.
    pub disconnects: u64,
    /// Attempts to connect that failed.
    pub failed_attempts: u64,

    /// Frames received, pongs among them.
    pub received: u64,
    /// The bytes of the messages received.
    pub received_bytes: u64,
    /// Messages handed to the socket.
    pub sent: u64,
    /// The bytes of the messages handed to the socket.
    pub sent_bytes: u64,
    /// Frames dropped, since they were binary, no JSON, or no object (F4).
    pub malformed: u64,
    /// Frames that belonged to no request and no subscription (F2).
    pub unhandled: u64,
    /// Answers that came after their request had timed out or was cancelled (R3, R9), and others that
    /// nobody waited for any more.
    pub late: u64,

    /// Requests accepted, those for streams of replies among them. Each of them is alive or counted below (R5).
    pub requests_made: u64,
    /// Requests that ended with an answer, and streams of replies whose last one came.
    pub requests_replied: u64,
    /// Requests that the server refused.
    pub requests_error_reply: u64,
    /// Requests whose deadline passed (R3).
    pub requests_timed_out: u64,
    /// Requests that failed with their connection (R4).
    pub requests_connection_lost: u64,
    /// Requests that ended with the session.
    pub requests_closed: u64,
    /// Requests that their caller gave up (R9).
    pub requests_cancelled: u64,
    /// Streams of replies that ended since their reader was too slow (R12).
    pub requests_overflowed: u64,
    /// Requests queued once more after a loss, since they are safe to repeat (R4).
    pub repeated: u64,
    /// Messages of `send` and `send_now` that were handed to the socket (R10).
    pub messages_sent: u64,
    /// Messages of `send` and `send_now` that were dropped before they were sent (R10).
    pub unsent: u64,
    /// Commands that were not accepted and were handed back: requests, messages, subscriptions, listeners.
    pub rejected: u64,

    /// Subscribe frames sent, replays included.
    pub subscribes_sent: u64,
    /// Those of them that sent a subscription anew that had been in force (S4).
    pub replays: u64,
    /// Requests that refresh a subscription, sent (S6).
    pub refreshes: u64,
    /// Subscribes that the server put off to later (S3).
    pub deferred: u64,
    /// Subscriptions that ended otherwise than by their caller: refused, timed out, or lost.
    pub subscriptions_ended: u64,
    /// Gaps told to subscriptions (S5).
    pub gaps: u64,
    /// Changes, and frames for listeners, dropped since their reader was too slow (S11).
    pub lagged: u64,
    /// Changes dropped, since their reader was too slow and a newer one of the same object was there
    /// ([`OverflowPolicy::Conflate`](crate::OverflowPolicy::Conflate)).
    pub superseded: u64,
    /// Events dropped since nobody took them in time.
    pub lagged_events: u64,

    /// Requests alive now.
    pub requests: usize,
    /// Requests and messages that wait for a connection, or for the socket, now:
    /// [`Config::outbox`](crate::Config::outbox) bounds them.
    pub waiting_requests: usize,
    /// The size of their messages together, in bytes.
    pub waiting_bytes: usize,
    /// Subscriptions alive now.
    pub subscriptions: usize,
    /// Changes that wait for their readers now, in all subscriptions together.
    pub unread_changes: usize,
    /// Their size in bytes.
    pub unread_changes_bytes: usize,
    /// `ReplyStream` that wait for their readers now, in all streams of replies together.
    pub unread_replies: usize,
    /// Their size in bytes.
    pub unread_replies_bytes: usize,
    /// Listeners alive now.
    pub listeners: usize,
    /// Frames that wait for their readers now, in all listeners together.
    pub unread_frames: usize,
    /// Their size in bytes.
    pub unread_frames_bytes: usize,
    /// Events that wait to be taken now; with the async client, in all its streams of events together.
    pub unread_events: usize,
    /// Their size in bytes.
    pub unread_events_bytes: usize,
    /// Other events that wait to be polled now; the async client leaves none.
    pub unpolled_events: usize,
}

/// The counters of frames that nobody got, at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dropped {
    pub(crate) malformed: u64,
    pub(crate) unhandled: u64,
    pub(crate) late: u64,
}

impl Stats {
    pub(crate) fn dropped(&self) -> Dropped {
        Dropped { malformed: self.malformed, unhandled: self.unhandled, late: self.late }
    }
}
