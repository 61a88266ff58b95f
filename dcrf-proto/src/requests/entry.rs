//! A request that is not settled yet.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use crate::command::{Arguments, Write};
use crate::frame::Frame;
use crate::id::{ReplyStreamKey, RequestId};
use crate::trace::RequestTrace;

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent of each other")]
pub(super) struct Entry {
    pub(super) id: RequestId,
    pub(super) stream: Cow<'static, str>,
    pub(super) sequence: u64,
    pub(super) phase: Phase,
    /// How long to wait for the reply, or for the next one of a stream.
    pub(super) timeout: Option<Duration>,
    pub(super) deadline: Option<Instant>,
    pub(super) repeat: Repeat,
    /// Whether a connection has died while it was unanswered (L12).
    pub(super) is_suspect: bool,
    /// Whether it fails in place of waiting for another connection.
    pub(super) fail_fast: bool,
    pub(super) is_of_collection: bool,
    /// What it writes, for collections (V14).
    pub(super) write: Option<Box<Write>>,
    pub(super) expects: Expects,
    /// The action that makes the server stop sending replies.
    pub(super) cancel_action: Option<Cow<'static, str>>,
    pub(super) is_list: bool,
    /// Whether a selector of the dialect finds its replies.
    pub(super) has_selector: bool,
    pub(super) trace: RequestTrace,
}

/// What the caller expects.
#[derive(Clone, Copy, Debug)]
pub(super) enum Expects {
    OneReply,
    /// Any number of replies (R12).
    Replies(ReplyStreamKey),
    /// No reply (R10). If `now_or_never`, the message fails with the current connection.
    Nothing {
        now_or_never: bool,
    },
}

impl Expects {
    pub(super) fn is_nothing(self) -> bool {
        matches!(self, Self::Nothing { .. })
    }
}

/// Whether a request may be sent again after the connection is lost (R4).
#[derive(Debug)]
pub(super) enum Repeat {
    Never,
    /// Encoded again from its parts, so that the hooks of the dialect run again.
    Once {
        action: Cow<'static, str>,
        arguments: Arguments,
    },
    /// It was sent on an earlier connection.
    Spent,
}

#[derive(Debug)]
pub(super) enum Phase {
    Queued(Frame),
    /// Handed to the socket of the current connection.
    InFlight {
        since: Instant,
        /// Whether a first reply has come.
        is_answered: bool,
    },
}

impl Entry {
    /// Whether the server may have seen it.
    pub(super) fn was_sent(&self) -> bool {
        self.is_in_flight() || matches!(self.repeat, Repeat::Spent)
    }

    /// Whether it can't just stay queued when the connection is lost.
    pub(super) fn is_bound_to_connection(&self) -> bool {
        self.is_in_flight()
            || self.fail_fast
            || matches!(self.expects, Expects::Nothing { now_or_never: true })
    }

    pub(super) fn is_in_flight(&self) -> bool {
        matches!(self.phase, Phase::InFlight { .. })
    }
}
