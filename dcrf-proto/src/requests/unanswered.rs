//! Requests that get no reply: it is over the size limit (F5), or the server answers only pings (L15).

use std::time::Instant;

use super::{Entry, Phase, Requests};
use crate::context::Context;
use crate::error::RequestError;
use crate::id::RequestKey;
use crate::link::Proof;
use crate::protocol::framing::Framing;

impl Requests {
    /// The reply is over the size limit: its size and the limit.
    pub(super) fn reply_too_large(
        &mut self,
        cx: &mut Context,
        key: RequestKey,
        (size, limit): (usize, usize),
    ) {
        self.queue_cancel_message(cx, key);
        self.settle(cx, key, Err(RequestError::ReplyTooLarge { size, limit }));
    }

    /// How many requests wait for a reply.
    pub(crate) fn in_flight(&self) -> usize {
        self.entries.iter().filter(|(_, entry)| entry.is_in_flight()).count()
    }

    /// How many without any reply were sent so recently that the connection may die of them (L12).
    pub(crate) fn count_recent(&self, cx: &Context) -> usize {
        self.entries.iter().filter(|(_, entry)| is_recent(entry, cx)).count()
    }

    /// Whether it is the only one of these.
    pub(crate) fn is_only_recent(&self, cx: &Context, key: RequestKey) -> bool {
        self.count_recent(cx) == 1
            && self.entries.get(key).is_some_and(|entry| is_recent(entry, cx))
    }

    /// A reply over the size limit has ended the connection, and only one request waited for a reply.
    pub(crate) fn fail_too_large(&mut self, cx: &mut Context, large: (usize, usize)) {
        for (_, key) in self.in_order(Entry::is_in_flight) {
            self.reply_too_large(cx, key, large);
        }
    }

    /// L15: a request that is overdue may show that the server no longer answers.
    pub(super) fn note_silence(&mut self, cx: &mut Context, key: RequestKey) {
        let Some(entry) = self.entries.get(key) else { return };
        let Phase::InFlight { since, .. } = entry.phase else { return };
        if cx.overdue(&entry.stream, since) != Proof::IfOldest || self.searched == Some(cx.now) {
            return;
        }
        // One search for all requests that time out together.
        self.searched = Some(cx.now);
        let is_older = |other: &Entry| {
            other.is_in_flight()
                && other.sequence < entry.sequence
                && is_on(cx, &entry.stream, other)
        };
        if !self.entries.iter().any(|(_, other)| is_older(other)) {
            cx.silence.prove();
        }
    }

    /// Whether a request is in flight that may delay what was sent at `sent` on its stream.
    pub(crate) fn may_delay(&self, cx: &Context, stream: &str, sent: Instant) -> bool {
        let is_older = |other: &Entry| {
            matches!(other.phase, Phase::InFlight { since, .. } if since <= sent)
                && is_on(cx, stream, other)
        };
        self.entries.iter().any(|(_, other)| is_older(other))
    }
}

/// Whether a request is on this stream. A consumer without a multiplexer is one stream.
fn is_on(cx: &Context, stream: &str, request: &Entry) -> bool {
    cx.config.framing == Framing::Bare || request.stream == stream
}

fn is_recent(entry: &Entry, cx: &Context) -> bool {
    match entry.phase {
        Phase::InFlight { since, is_answered: false } => {
            cx.now.duration_since(since) < cx.config.quarantine_window
        }
        _ => false,
    }
}
