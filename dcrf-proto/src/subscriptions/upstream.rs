//! One subscription on the server, which any number of subscribers share (S2).

use std::borrow::Cow;
use std::fmt::Write;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustc_hash::FxBuildHasher;
use serde_json::value::RawValue;
use smallvec::SmallVec;

use super::quarantine::Suspicion;
use crate::command::{Arguments, Subscribe, Timeout};
use crate::config::Config;
use crate::context::Context;
use crate::dialect::ChangeKind;
use crate::frame::Frame;
use crate::id::{RequestId, SubscriptionKey, UpstreamKey};
use crate::link::Proof;
use crate::outgoing::{self, Purpose};
use crate::protocol::envelope::{self, Payload};
use crate::protocol::framing::Framing;
use crate::routing::Destination;
use crate::trace::SubscriptionEvent;

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent of each other")]
pub(crate) struct Upstream {
    pub(crate) id: RequestId,
    /// Interned by [`Streams`](super::streams::Streams).
    pub(crate) stream: Arc<str>,
    action: Cow<'static, str>,
    unsubscribe_action: Option<Cow<'static, str>>,
    arguments: Arguments,
    /// The fingerprint of its [`Target`].
    pub(crate) target: u64,
    /// The order of the subscribe calls, which is the order of a replay.
    pub(crate) sequence: u64,
    pub(crate) subscribers: SmallVec<[SubscriptionKey; 2]>,
    pub(crate) phase: Phase,
    /// The time limit of an acknowledgement.
    timeout: Timeout,
    /// When the phase times out.
    pub(crate) deadline: Option<Instant>,
    pub(crate) without_ack: bool,
    /// Whether it was ever live: from then on, a subscribe is a replay.
    pub(crate) acknowledged: bool,
    /// Whether the server may hold it on this connection although a subscribe is queued or deferred (S12).
    pub(crate) resubscribed: bool,
    pub(crate) selected: Selected,
    /// Whether its actions have names that events have too.
    acts_like_events: bool,
    /// How many subscribes the server has not answered on this connection.
    pub(crate) unanswered: u32,
    /// Set if a connection has died while its subscribe was without a reply (L12).
    pub(super) suspicion: Option<Box<Suspicion>>,
    /// How often in a row the server deferred it (S3).
    pub(crate) deferrals: u32,
    /// The subscriber that waits for the reply to the unsubscribe.
    pub(crate) unsubscriber: Option<SubscriptionKey>,
}

/// What the dialect has selectors for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selected {
    pub(crate) replies: bool,
    pub(crate) changes: bool,
}

/// The state of a subscription on the current connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// There is no connection.
    Offline,
    /// The subscribe is queued.
    Queued {
        replayed: bool,
    },
    /// The subscribe was sent. The acknowledgement is due at the deadline.
    Sent {
        replayed: bool,
    },
    /// The subscribe is held back until its trial (L12).
    Quarantined,
    /// A subscribe without acknowledgement was sent: it is live, but until the deadline the server may die of it.
    Watched,
    /// The acknowledgement is late. It can still come, but no longer fills the window.
    Overdue,
    Live,
    /// The server answered 429 or 5xx: subscribe again at the deadline (S3).
    Deferred {
        replayed: bool,
    },
    /// The last subscriber has left, and the unsubscribe is queued.
    Unsubscribing,
    /// The unsubscribe was sent. The reply is due at the deadline.
    Unsubscribed,
}

impl Phase {
    /// Whether it takes a slot in the window of unacknowledged replays (S4).
    pub(crate) fn fills_window(self) -> bool {
        matches!(self, Self::Sent { replayed: true })
    }

    /// Whether a subscribe was sent and can still kill the connection (L12).
    pub(crate) fn is_unanswered(self) -> bool {
        matches!(self, Self::Sent { .. } | Self::Watched)
    }

    pub(crate) fn is_live(self) -> bool {
        matches!(self, Self::Live | Self::Watched)
    }

    /// Whether the subscribe of this phase, or the next one, is a replay.
    pub(crate) fn is_replayed(self) -> bool {
        matches!(
            self,
            Self::Queued { replayed: true }
                | Self::Sent { replayed: true }
                | Self::Deferred { replayed: true }
        )
    }

    /// Whether a frame is to be sent, now or on the next connection. A suspect was sent before.
    pub(crate) fn is_unsent(self) -> bool {
        matches!(self, Self::Offline | Self::Queued { .. } | Self::Unsubscribing)
    }

    pub(crate) fn is_unsubscribing(self) -> bool {
        matches!(self, Self::Unsubscribing | Self::Unsubscribed)
    }

    /// Whether the subscribe was sent on this connection and not deferred.
    pub(crate) fn was_sent(self) -> bool {
        self.is_unanswered() || matches!(self, Self::Overdue | Self::Live)
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
            action: subscribe.action.clone(),
            unsubscribe_action: None,
            arguments,
            target,
            sequence,
            subscribers: SmallVec::new(),
            phase: Phase::Offline,
            timeout: subscribe.timeout,
            deadline: None,
            without_ack: subscribe.without_ack,
            acknowledged: false,
            resubscribed: false,
            selected: Selected::default(),
            acts_like_events: false,
            unanswered: 0,
            suspicion: None,
            deferrals: 0,
            unsubscriber: None,
        };
        upstream.adopt_unsubscribe_action(subscribe);
        upstream
    }

    /// Registers the dialect's selectors for its replies and changes.
    pub(crate) fn select(&mut self, cx: &mut Context, key: UpstreamKey, subscribe: &Subscribe) {
        let Some(dialect) = cx.config.dialect.clone() else { return };
        let framing = cx.config.framing;
        if let Some(selector) = dialect.reply_selector(&self.stream, &self.id) {
            self.selected.replies = true;
            cx.selectors.insert(framing, selector, Destination::Upstream(key));
        }
        for kind in ChangeKind::ALL {
            if let Some(selector) = dialect.change_selector(kind, subscribe, &self.id) {
                self.selected.changes = true;
                cx.selectors.insert(framing, selector, Destination::Change(key, kind));
            }
        }
    }

    pub(crate) fn deselect(&self, cx: &mut Context, key: UpstreamKey) {
        if self.selected != Selected::default() {
            cx.selectors.remove(Destination::Upstream(key));
            for kind in ChangeKind::ALL {
                cx.selectors.remove(Destination::Change(key, kind));
            }
        }
    }

    /// Takes the unsubscribe action of the first subscriber that has one.
    pub(crate) fn adopt_unsubscribe_action(&mut self, subscribe: &Subscribe) {
        if self.unsubscribe_action.is_none() {
            self.unsubscribe_action.clone_from(&subscribe.unsubscribe_action);
        }
        self.acts_like_events = is_event_action(&self.action)
            || self.unsubscribe_action.as_deref().is_some_and(is_event_action);
    }

    /// It is or was live: from now on, a subscribe is a replay.
    pub(crate) fn confirm(&mut self) {
        self.acknowledged = true;
        self.deferrals = 0;
    }

    /// How long the server may take to acknowledge a subscribe before it counts as overdue.
    pub(crate) fn patience(&self, cx: &Context) -> Duration {
        cx.patience(self.timeout.or(cx.config.request_timeout))
    }

    /// When the subscribe was sent whose acknowledgement is not overdue.
    pub(crate) fn sent_at(&self, cx: &Context) -> Option<Instant> {
        let deadline = self.deadline.filter(|_| matches!(self.phase, Phase::Sent { .. }))?;
        Some(deadline.checked_sub(self.patience(cx)).unwrap_or(deadline))
    }

    /// Whether the timeout of the subscribe has passed since it was sent.
    pub(crate) fn has_timed_out(&self, cx: &Context) -> bool {
        let timeout = self.timeout.or(cx.config.request_timeout);
        let waited = self.sent_at(cx).map(|sent| cx.now.saturating_duration_since(sent));
        waited.zip(timeout).is_some_and(|(waited, timeout)| waited >= timeout)
    }

    /// Whether the server may hold the subscription on this connection.
    pub(crate) fn is_on_server(&self) -> bool {
        self.phase.was_sent() || (self.resubscribed && !self.phase.is_unsubscribing())
    }

    /// Whether a reply to a subscribe can still come.
    pub(crate) fn is_unanswered(&self) -> bool {
        self.unanswered > 0 || self.without_ack
    }

    /// The connection is over, and so are the replies to what was sent on it.
    pub(crate) fn disconnect(&mut self) {
        self.unanswered = 0;
        self.resubscribed = false;
    }

    /// L15: if the acknowledgement is overdue, the server may no longer answer. The first replay on a connection has
    /// nothing slow before it on its stream. Returns since when it waits if no request in flight on its stream that is
    /// older may be there, for this to be a proof.
    pub(crate) fn note_silence(&self, cx: &mut Context) -> Option<Instant> {
        let is_replay = match self.phase {
            Phase::Sent { replayed } => replayed,
            Phase::Overdue => false,
            _ => return None,
        };
        let deadline = self.deadline?;
        let sent = deadline.checked_sub(self.patience(cx)).unwrap_or(deadline);
        let proof = cx.overdue(&self.stream, sent);
        let is_first = is_replay && self.acknowledged && !self.resubscribed && self.deferrals == 0;
        if is_first && cx.silence.is_silent_since(sent) {
            cx.silence.prove();
        }
        (proof == Proof::IfOldest).then_some(sent)
    }

    pub(crate) fn trace(&self, cx: &mut Context, event: SubscriptionEvent) {
        cx.trace.subscription_event(&self.stream, &self.action, &self.id, event);
    }

    /// Emits the gaps and dropped changes that were counted since the counters had these values.
    pub(crate) fn trace_lost_changes(&self, cx: &mut Context, (gaps, lagged): (u64, u64)) {
        if cx.stats.gaps > gaps {
            self.trace(cx, SubscriptionEvent::Gap);
        }
        cx.trace.lagged(Some(&self.stream), cx.stats.lagged - lagged);
    }

    pub(crate) fn target(&self) -> Target {
        Target::new(&self.stream, &self.action, &self.arguments)
    }

    pub(crate) fn action(&self) -> &str {
        &self.action
    }

    pub(crate) fn can_unsubscribe(&self) -> bool {
        self.unsubscribe_action.is_some()
    }

    pub(crate) fn subscribe_frame(&self, config: &Config) -> Frame {
        self.encode(config, Purpose::Subscribe, &self.action)
    }

    pub(crate) fn unsubscribe_frame(&self, config: &Config) -> Option<Frame> {
        let action = self.unsubscribe_action.as_deref()?;
        Some(self.encode(config, Purpose::Unsubscribe, action))
    }

    fn encode(&self, config: &Config, purpose: Purpose, action: &str) -> Frame {
        let arguments = self.arguments.iter();
        outgoing::encode(config, purpose, &self.stream, action, &self.id, arguments)
    }

    /// The primary key of the instance, if it is a subscription to one.
    pub(crate) fn instance(&self) -> Option<&RawValue> {
        let mut arguments = self.arguments.iter().filter(|_| self.action == "subscribe_instance");
        arguments.find(|(name, _)| *name == "pk").map(|(_, pk)| pk)
    }

    /// The size of its larger frame, without the hooks of a dialect: those run when it is sent.
    pub(crate) fn size(&self, framing: Framing) -> usize {
        let Self { action, unsubscribe_action, arguments, .. } = self;
        let longest = unsubscribe_action.iter().chain([action]).max_by_key(|a| a.len());
        let action = longest.map_or("", |action| action);
        envelope::encode(framing, &self.stream, action, &self.id, arguments.iter()).len()
    }

    /// Whether a frame with its id is the reply to what was sent last, and not an event: events carry the same id, and some
    /// of them a status (R6).
    pub(crate) fn is_reply(&self, payload: &Payload<'_>) -> bool {
        let action = payload.action();
        if !self.acts_like_events && action.is_some_and(is_event_action) {
            return false;
        }
        let sent = match self.phase {
            Phase::Unsubscribing | Phase::Unsubscribed => self.unsubscribe_action.as_deref(),
            _ => Some(&*self.action),
        };
        match action {
            Some(action) => Some(action) == sent,
            None => payload.has_status(),
        }
    }
}

/// Whether DCRF gives events this action.
fn is_event_action(action: &str) -> bool {
    matches!(action, "create" | "update" | "delete")
}

/// The stream, action and arguments of a subscription. Equal targets share one upstream subscription (S2).
#[derive(PartialEq, Eq)]
pub(crate) struct Target(String);

impl Target {
    pub(crate) fn new(stream: &str, action: &str, arguments: &Arguments) -> Self {
        let mut arguments: Vec<(&str, &str)> =
            arguments.iter().map(|(name, value)| (name, value.get())).collect();
        arguments.sort_unstable();
        let mut target = format!("{stream:?}{action:?}");
        for (name, value) in arguments {
            // To the server, 7 and "7" are the same object, and unsubscribing one silences the other.
            let is_pk = name == "pk" && action == "subscribe_instance";
            let value = if is_pk { value.trim_matches('"') } else { value };
            // Writing to a string can't fail.
            let _ = write!(target, "{name:?}{value}");
        }
        Self(target)
    }

    /// The same number for equal targets, in a tenth of the memory.
    pub(crate) fn fingerprint(&self) -> u64 {
        FxBuildHasher.hash_one(&self.0)
    }
}
