//! One subscription on the wire, which any number of the caller's subscriptions share (S2).

use std::borrow::Cow;
use std::fmt::Write;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Instant;

use rustc_hash::FxBuildHasher;
use smallvec::SmallVec;

use crate::command::{Arguments, Subscribe};
use crate::config::Config;
use crate::context::Context;
use crate::dialect::ChangeKind;
use crate::frame::Frame;
use crate::id::{RequestId, SubscriptionKey, UpstreamKey};
use crate::outgoing::{self, Purpose};
use crate::protocol::envelope::{self, Payload};
use crate::protocol::framing::Framing;
use crate::selection::Taker;
use crate::trace::Told;

/// What each event looks at comes with it; the rest stands aside, so that many subscriptions fit into a cache.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is true or false by itself")]
pub(crate) struct Upstream {
    /// What a frame's id is compared with, where it carries its place.
    pub(crate) id: RequestId,
    /// Shared by all that are on this stream.
    pub(crate) stream: Arc<str>,
    pub(crate) subscribers: SmallVec<[SubscriptionKey; 2]>,
    pub(crate) phase: Phase,
    pub(crate) without_ack: bool,
    /// Whether it was ever in force: what is sent from then on is a replay.
    pub(crate) acknowledged: bool,
    /// Whether the server may hold it on this connection while it is to be sent, or put off, once more (S12).
    pub(crate) resubscribed: bool,
    pub(crate) selected: Selected,
    /// Whether an action that it sends is called as those of events are.
    sends_like_events: bool,
    pub(crate) sent: Box<Sent>,
}

/// What is sent for a subscription, and what became of it.
#[derive(Debug)]
pub(crate) struct Sent {
    /// The order of the subscribe calls, in which subscriptions are replayed.
    pub(crate) sequence: u64,
    action: Cow<'static, str>,
    unsubscribe_action: Option<Cow<'static, str>>,
    arguments: Arguments,
    /// The fingerprint of its [`Target`].
    pub(crate) target: u64,
    /// When the phase ends by itself.
    pub(crate) deadline: Option<Instant>,
    /// How many subscribes the server has not answered on this connection: an answer to them can still come.
    pub(crate) unanswered: u32,
    /// How many connections in a row have died with its frame the unanswered one (L12).
    pub(crate) suspicions: u32,
    /// How often in a row the server asked to come back later.
    pub(crate) deferred: u32,
    /// Who waits for the unsubscribe.
    pub(crate) unsubscriber: Option<SubscriptionKey>,
}

/// What the dialect has selectors for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selected {
    pub(crate) answers: bool,
    pub(crate) changes: bool,
}

/// Where a subscription stands on the current connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// There is no connection.
    Offline,
    /// The subscribe waits to be sent.
    Queued { replayed: bool },
    /// The subscribe was sent; the acknowledgement is due by the deadline.
    Sent { replayed: bool },
    /// The acknowledgement of a replay is late. It is still wanted, and no longer holds up the others.
    Overdue,
    /// In force.
    Live,
    /// The server put it off until the deadline (S3).
    Deferred { replayed: bool },
    /// Nobody wants it any more; the unsubscribe waits to be sent.
    Leaving,
    /// The unsubscribe was sent; the answer is due by the deadline.
    Left,
}

impl Phase {
    /// Whether it takes a place in the window of unacknowledged replays (S4).
    pub(crate) fn fills_window(self) -> bool {
        matches!(self, Self::Sent { replayed: true })
    }

    /// Whether what is sent in this phase, or after it, is a replay.
    pub(crate) fn is_replayed(self) -> bool {
        matches!(
            self,
            Self::Queued { replayed: true }
                | Self::Sent { replayed: true }
                | Self::Deferred { replayed: true }
        )
    }

    /// Whether it has a frame to send, now or once there is a connection.
    pub(crate) fn is_unsent(self) -> bool {
        matches!(self, Self::Offline | Self::Queued { .. } | Self::Leaving)
    }

    pub(crate) fn is_leaving(self) -> bool {
        matches!(self, Self::Leaving | Self::Left)
    }

    /// Whether the subscribe was sent on this connection, and not put off.
    pub(crate) fn was_sent(self) -> bool {
        matches!(self, Self::Sent { .. } | Self::Overdue | Self::Live)
    }
}

impl Upstream {
    pub(crate) fn new(
        subscribe: &Subscribe,
        stream: Arc<str>,
        id: RequestId,
        target: u64,
        arguments: Arguments,
        sequence: u64,
    ) -> Self {
        let mut upstream = Self {
            id,
            stream,
            subscribers: SmallVec::new(),
            phase: Phase::Offline,
            without_ack: subscribe.without_ack,
            acknowledged: false,
            resubscribed: false,
            selected: Selected::default(),
            sends_like_events: false,
            sent: Box::new(Sent {
                sequence,
                action: subscribe.action.clone(),
                unsubscribe_action: None,
                arguments,
                target,
                deadline: None,
                unanswered: 0,
                suspicions: 0,
                deferred: 0,
                unsubscriber: None,
            }),
        };
        upstream.learn(subscribe);
        upstream
    }

    /// Has those frames handed to it that the dialect selects.
    pub(crate) fn select(&mut self, cx: &mut Context, key: UpstreamKey, subscribe: &Subscribe) {
        let Some(dialect) = cx.config.dialect.clone() else { return };
        let framing = cx.config.framing;
        if let Some(selector) = dialect.reply_selector(&self.stream, &self.id) {
            self.selected.answers = true;
            cx.selection.insert(framing, selector, Taker::Upstream(key));
        }
        for kind in ChangeKind::ALL {
            if let Some(selector) = dialect.change_selector(kind, subscribe, &self.id) {
                self.selected.changes = true;
                cx.selection.insert(framing, selector, Taker::Change(key, kind));
            }
        }
    }

    pub(crate) fn deselect(&self, cx: &mut Context, key: UpstreamKey) {
        if self.selected != Selected::default() {
            cx.selection.remove(|taker| match taker {
                Taker::Upstream(other) | Taker::Change(other, _) => other == key,
                Taker::Listener(_) | Taker::Request(_) | Taker::Refresh(_) => false,
            });
        }
    }

    /// One of those who share it knows how it is undone.
    pub(crate) fn learn(&mut self, subscribe: &Subscribe) {
        let sent = &mut *self.sent;
        if sent.unsubscribe_action.is_none() {
            sent.unsubscribe_action.clone_from(&subscribe.unsubscribe_action);
        }
        self.sends_like_events = is_of_events(&sent.action)
            || sent.unsubscribe_action.as_deref().is_some_and(is_of_events);
    }

    /// It was in force: what is sent from now on is a replay.
    pub(crate) fn confirm(&mut self) {
        self.acknowledged = true;
        self.sent.deferred = 0;
    }

    /// Whether the server may hold the subscription on this connection.
    pub(crate) fn is_on_server(&self) -> bool {
        self.phase.was_sent() || (self.resubscribed && !self.phase.is_leaving())
    }

    /// Whether an answer to a subscribe can still come.
    pub(crate) fn is_unanswered(&self) -> bool {
        self.sent.unanswered > 0 || self.without_ack
    }

    /// What was sent on the connection is over with it.
    pub(crate) fn disconnect(&mut self) {
        self.sent.unanswered = 0;
        self.resubscribed = false;
    }

    /// Tells the log what has become of it.
    pub(crate) fn trace(&self, cx: &mut Context, told: Told) {
        cx.trace.subscription(&self.stream, &self.sent.action, &self.id, told);
    }

    /// Tells the log which changes its readers miss, as the counters of gaps and of lagged changes say.
    pub(crate) fn trace_missed(&self, cx: &mut Context, (gaps, lagged): (u64, u64)) {
        if cx.stats.gaps > gaps {
            self.trace(cx, Told::Gap);
        }
        cx.trace.lagged(Some(&self.stream), cx.stats.lagged - lagged);
    }

    pub(crate) fn can_unsubscribe(&self) -> bool {
        self.sent.unsubscribe_action.is_some()
    }

    pub(crate) fn subscribe_message(&self, config: &Config) -> Frame {
        self.encode(config, Purpose::Subscribe, &self.sent.action)
    }

    pub(crate) fn unsubscribe_message(&self, config: &Config) -> Option<Frame> {
        let action = self.sent.unsubscribe_action.as_deref()?;
        Some(self.encode(config, Purpose::Unsubscribe, action))
    }

    fn encode(&self, config: &Config, purpose: Purpose, action: &str) -> Frame {
        let arguments = self.sent.arguments.iter();
        outgoing::encode(config, purpose, &self.stream, action, &self.id, arguments)
    }

    /// The size of the larger of its messages, before the hooks of a dialect, which are called when it is sent.
    pub(crate) fn size(&self, framing: Framing) -> usize {
        let Sent { action, unsubscribe_action, arguments, .. } = &*self.sent;
        let longest = unsubscribe_action.iter().chain([action]).max_by_key(|a| a.len());
        let action = longest.map_or("", |action| action);
        envelope::encode(framing, &self.stream, action, &self.id, arguments.iter()).len()
    }

    /// Whether a frame with this subscription's id answers what was sent last: events carry the same id,
    /// some also a status (R6).
    pub(crate) fn is_answered_by(&self, payload: &Payload<'_>) -> bool {
        let action = payload.action();
        if !self.sends_like_events && action.is_some_and(is_of_events) {
            return false;
        }
        let sent = match self.phase {
            Phase::Leaving | Phase::Left => self.sent.unsubscribe_action.as_deref(),
            _ => Some(&*self.sent.action),
        };
        match action {
            Some(action) => Some(action) == sent,
            None => payload.has_status(),
        }
    }
}

/// What events are called by DCRF.
fn is_of_events(action: &str) -> bool {
    matches!(action, "create" | "update" | "delete")
}

impl Sent {
    /// What the wire is to.
    pub(crate) fn target(&self, stream: &str) -> Target {
        Target::new(stream, &self.action, &self.arguments)
    }
}

/// What a subscription is to: equal targets share one subscription on the wire (S2).
#[derive(PartialEq, Eq)]
pub(crate) struct Target(String);

impl Target {
    pub(crate) fn new(stream: &str, action: &str, arguments: &Arguments) -> Self {
        let mut arguments: Vec<(&str, &str)> =
            arguments.iter().map(|(name, value)| (name, value.get())).collect();
        arguments.sort_unstable();
        let mut target = format!("{stream:?}{action:?}");
        for (name, value) in arguments {
            // To the server 7 and "7" are the same object, and unsubscribing one silences the other.
            let is_pk = name == "pk" && action == "subscribe_instance";
            let value = if is_pk { value.trim_matches('"') } else { value };
            // Writing to a string can't fail.
            let _ = write!(target, "{name:?}{value}");
        }
        Self(target)
    }

    /// A number that is the same for equal targets: a tenth of what the target takes.
    pub(crate) fn fingerprint(&self) -> u64 {
        FxBuildHasher.hash_one(&self.0)
    }
}
