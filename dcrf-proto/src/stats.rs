//! Counters and gauges of a session.

/// Defines [`Stats`] from one table, so that each name is written once.
macro_rules! stats {
    (
        $(#[$attribute:meta])*
        counters { $($(#[doc = $counter_doc:literal])* $counter:ident,)* }
        gauges { $($(#[doc = $gauge_doc:literal])* $gauge:ident,)* }
    ) => {
        $(#[$attribute])*
        pub struct Stats {
            $($(#[doc = $counter_doc])* pub $counter: u64,)*
            $($(#[doc = $gauge_doc])* pub $gauge: usize,)*
        }

        impl Stats {
            /// Iterates over all values with their names and kinds, for an exporter of metrics.
            ///
            /// The names are those of the fields, in the order of their declaration.
            ///
            /// ```
            /// use dcrf_proto::{StatKind, Stats};
            ///
            /// for (name, kind, value) in Stats::default().iter() {
            ///     match kind {
            ///         StatKind::Counter => println!("dcrf_{name}_total {value}"),
            ///         StatKind::Gauge => println!("dcrf_{name} {value}"),
            ///     }
            /// }
            /// ```
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, StatKind, u64)> + use<> {
                [
                    $((stringify!($counter), StatKind::Counter, self.$counter),)*
                    $((stringify!($gauge), StatKind::Gauge, self.$gauge as u64),)*
                ]
                .into_iter()
            }
        }
    };
}

/// Whether a value of [`Stats`] is a counter or a gauge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StatKind {
    /// Counts what happened since the client was created. Never decreases.
    Counter,
    /// Measures what the client holds now.
    Gauge,
}

stats! {
    /// Counters of what has happened since the client was created, and gauges of what it holds now.
    ///
    /// Reading it is cheap at any time. [`iter`](Self::iter) yields all values by name.
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
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
    #[non_exhaustive]
    counters {
        /// Connections made.
        connections,
        /// Connections lost. Connections closed by the client itself don't count.
        disconnects,
        /// Attempts to connect that failed.
        failed_attempts,

        /// Frames received, including pongs.
        received,
        /// Bytes of the messages received.
        received_bytes,
        /// Messages handed to the socket.
        sent,
        /// Bytes of the messages handed to the socket.
        sent_bytes,
        /// Frames dropped because they were binary, invalid JSON, or not an object.
        malformed,
        /// Messages over the size limit, of which only the envelope was kept.
        too_large,
        /// Frames that matched no request and no subscription.
        unhandled,
        /// Replies that arrived after their request had timed out or had been cancelled, and other replies that no
        /// caller waits for.
        late,

        /// Requests accepted, including those of reply streams. Each one is pending or counted in one of the
        /// `requests_…` counters.
        requests_made,
        /// Requests that succeeded, and reply streams that were read to their end.
        requests_replied,
        /// Requests that failed with an error reply.
        requests_error_reply,
        /// Requests that failed because their reply was over the size limit.
        requests_reply_too_large,
        /// Requests that timed out.
        requests_timed_out,
        /// Requests that failed because the connection was lost.
        requests_connection_lost,
        /// Requests that failed because the client was closed.
        requests_closed,
        /// Requests cancelled by the caller.
        requests_cancelled,
        /// Reply streams that ended because the reader was too slow.
        requests_overflowed,
        /// Idempotent requests queued again after a connection was lost.
        repeated,
        /// Messages of `send` and `send_now` that were handed to the socket.
        messages_sent,
        /// Messages of `send` and `send_now` that were dropped before they were sent.
        unsent,
        /// Calls that were rejected: requests, messages, subscriptions, listeners.
        rejected,

        /// Subscribe frames sent, including replays.
        subscribes_sent,
        /// Subscribe frames that replayed a subscription that had been live before.
        replays,
        /// Requests sent to refresh a subscription.
        refreshes,
        /// Subscribes that the server deferred.
        deferred,
        /// Subscriptions that ended with an error.
        subscriptions_ended,
        /// Gaps delivered to subscriptions.
        gaps,
        /// Changes, and frames for listeners, dropped because the reader was too slow.
        lagged,
        /// Changes superseded by a newer change of the same object while the reader was too slow
        /// ([`OverflowPolicy::Conflate`](crate::OverflowPolicy::Conflate)).
        superseded,
        /// Lists requested for collections.
        relists,
        /// Rows retrieved for collections, one by one.
        verifications,
        /// Rows that a list corrected in a collection that was live: changes that the server did not report, or lost.
        repairs,
        /// Rows and events of collections that have no primary key where it should be. Such a row is skipped, and such an event
        /// costs a list. See [`Collect::pk_field`](crate::Collect::pk_field) and [`Collect::key_at`](crate::Collect::key_at).
        rows_without_key,
        /// Events dropped because the reader was too slow.
        lagged_events,
    }
    gauges {
        /// Pending requests.
        requests,
        /// Requests and messages that wait for a connection or for the socket.
        /// [`Config::outbox`](crate::Config::outbox) is their limit.
        waiting_requests,
        /// Total size of the waiting messages in bytes.
        waiting_bytes,
        /// Open subscriptions.
        subscriptions,
        /// Unread changes, in all subscriptions.
        unread_changes,
        /// Size of the unread changes in bytes.
        unread_changes_bytes,
        /// Unread replies, in all reply streams.
        unread_replies,
        /// Size of the unread replies in bytes.
        unread_replies_bytes,
        /// Open collections. Equal ones share their rows.
        collections,
        /// Rows in collections.
        rows,
        /// Size of these rows in bytes.
        rows_bytes,
        /// Open listeners.
        listeners,
        /// Unread frames, in all listeners.
        unread_frames,
        /// Size of the unread frames in bytes.
        unread_frames_bytes,
        /// Unread events, in all streams of events.
        unread_events,
        /// Size of the unread events in bytes.
        unread_events_bytes,
        /// Other events that wait to be polled; always 0 in an async or blocking client.
        unpolled_events,
    }
}

/// A snapshot of the counters of dropped frames.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iter_and_serialize_agree_on_names_and_values() {
        let stats = Stats { connections: 3, unread_frames: 7, ..Stats::default() };
        let serialized = serde_json::to_value(stats).unwrap();
        assert_eq!(serialized.as_object().unwrap().len(), stats.iter().count());
        for (name, _, value) in stats.iter() {
            assert_eq!(serialized[name], value, "{name}");
        }
        let kind = |name| stats.iter().find(|(known, ..)| *known == name).map(|(_, kind, _)| kind);
        assert_eq!(kind("connections"), Some(StatKind::Counter));
        assert_eq!(kind("unread_frames"), Some(StatKind::Gauge));
    }
}
