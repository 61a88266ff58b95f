//! What a connection's beginning and end mean for the subscriptions, and what they have to send on it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::subscriber::Subscriber;
use super::upstream::Phase;
use super::{Outgoing, Subscriptions};
use crate::context::Context;
use crate::error::{CloseReason, ConnectionError, SubscriptionError};
use crate::frame::Frame;
use crate::id::UpstreamKey;
use crate::trace::Told;

/// How long an answer may take to count as late where there is no timeout.
const PATIENCE: Duration = Duration::from_secs(30);

impl Subscriptions {
    /// A connection is open: everything that is wanted is sent once, in the order of the calls.
    pub(crate) fn opened(&mut self, cx: &mut Context) {
        self.begin_quarantine(cx);
        let mut keys = self.in_order();
        if self.is_careful() {
            // L12: who is suspected least has its turn first, so that the innocent are in force when it is over.
            keys.sort_by_key(|key| self.pairs.get(*key).map(|upstream| upstream.sent.suspicions));
        }
        let mut again = 0;
        for key in keys {
            again += usize::from(self.pairs.get(key).is_some_and(|upstream| upstream.acknowledged));
            self.enqueue(cx, key, Phase::Queued { replayed: true });
        }
        cx.trace.replays(again);
    }

    /// Everything is sent once more on the same connection, in the window of the replays, except for what is on
    /// its way (S12). Nothing was missed, so there is no gap.
    pub(crate) fn resubscribe(&mut self, cx: &mut Context) {
        for key in self.in_order() {
            let Some(upstream) = self.pairs.get_mut(key) else { continue };
            let replayed = match upstream.phase {
                Phase::Live => {
                    upstream.confirm();
                    true
                }
                Phase::Overdue => true,
                Phase::Deferred { replayed, .. } => replayed,
                _ => continue,
            };
            upstream.resubscribed = upstream.is_on_server();
            self.enqueue(cx, key, Phase::Queued { replayed });
        }
    }

    /// The connection is lost: what is wanted waits for the next one, and what was left is gone.
    pub(crate) fn lost(&mut self, cx: &mut Context, cause: Option<&ConnectionError>) {
        self.replays.clear();
        self.outgoing.clear();
        self.end_quarantine(cx, cause);
        self.lose_refreshes(cx);
        if let Some(cause) = cause {
            self.last_loss = Some(cause.clone());
        }
        for key in self.in_order() {
            let Some(upstream) = self.pairs.get_mut(key) else { continue };
            if upstream.phase.is_leaving() {
                self.remove_upstream(cx, key, Ok(()));
                continue;
            }
            if upstream.phase == Phase::Live {
                upstream.confirm();
            }
            upstream.disconnect();
            let lose = |_, subscriber: &mut Subscriber| {
                subscriber.lose();
                true
            };
            let Some(upstream) = self.pairs.retain_subscribers(key, lose) else { continue };
            if upstream.subscribers.is_empty() {
                upstream.trace(cx, Told::GivenUp);
                self.remove_upstream(cx, key, Ok(()));
            } else {
                self.enter(cx, key, Phase::Offline);
            }
        }
    }

    /// Hands out the next frame for the socket: replays as far as the window allows, then what is new.
    pub(crate) fn next_message(&mut self, cx: &mut Context) -> Outgoing {
        loop {
            if self.is_held(cx) {
                return Outgoing::Held;
            }
            let has_room = self.unacknowledged < cx.config.replay_window.max(1);
            let replay = if has_room { pop(&mut self.replays) } else { None };
            let Some(key) = replay.or_else(|| pop(&mut self.outgoing)) else { break };
            if let Some(message) = self.message_of(cx, key) {
                return Outgoing::Frame(message);
            }
        }
        match self.next_refresh(cx) {
            Some(message) => Outgoing::Frame(message),
            None if self.replays.is_empty() => Outgoing::Nothing,
            None => Outgoing::Held,
        }
    }

    /// The frame that a wire has to send, if it still has one, is about to be sent.
    fn message_of(&mut self, cx: &mut Context, key: UpstreamKey) -> Option<Frame> {
        let due = due(cx);
        let upstream = self.pairs.get_mut(key)?;
        let without_ack = upstream.without_ack;
        match upstream.phase {
            Phase::Queued { replayed } => {
                let message = upstream.subscribe_message(&cx.config);
                upstream.sent.unanswered = upstream.sent.unanswered.saturating_add(1);
                cx.stats.subscribes_sent += 1;
                cx.stats.replays += u64::from(upstream.acknowledged);
                self.try_out(cx, key, without_ack);
                self.enter_until(cx, key, Phase::Sent { replayed }, due);
                if without_ack {
                    self.acknowledged(cx, key);
                }
                Some(message)
            }
            Phase::Leaving => {
                let message = upstream.unsubscribe_message(&cx.config);
                if without_ack {
                    // What never replies does not reply to this either.
                    self.give_up_id(cx, key, Ok(()));
                } else {
                    self.enter_until(cx, key, Phase::Left, due);
                }
                message
            }
            _ => None,
        }
    }

    /// Ends all, and queues the unsubscribes of those that the server holds. Says how many of the caller's
    /// subscriptions have ended.
    pub(crate) fn leave_all(&mut self, cx: &mut Context, ended: &SubscriptionError) -> usize {
        let mut count = 0;
        for key in self.in_order() {
            let subscribers = self.pairs.get(key).map_or(0, |upstream| upstream.subscribers.len());
            if subscribers > 0 {
                count += subscribers;
                self.end_subscribers(cx, key, ended);
                self.leave(cx, key, None);
            }
        }
        count
    }

    /// The session is closed.
    pub(crate) fn close(&mut self, cx: &mut Context, reason: &CloseReason) {
        self.end_quarantine(cx, None);
        self.lose_refreshes(cx);
        self.replays.clear();
        self.outgoing.clear();
        for key in self.in_order() {
            self.end_subscribers(cx, key, &SubscriptionError::Closed(reason.clone()));
            self.remove_upstream(cx, key, Ok(()));
        }
    }

    /// The wires in the order of the calls.
    fn in_order(&self) -> Vec<UpstreamKey> {
        let mut keys: Vec<(u64, UpstreamKey)> = self
            .pairs
            .iter::<UpstreamKey>()
            .map(|(key, upstream)| (upstream.sent.sequence, key))
            .collect();
        keys.sort_unstable();
        keys.into_iter().map(|(_, key)| key).collect()
    }
}

/// Takes the first out of a queue, which is given back when it is empty and was long.
fn pop(queue: &mut VecDeque<UpstreamKey>) -> Option<UpstreamKey> {
    let key = queue.pop_front()?;
    if queue.is_empty() && queue.capacity() > 64 {
        *queue = VecDeque::new();
    }
    Some(key)
}

/// When an answer that is asked for now is due. Without a timeout it is awaited all the same, but no
/// longer held to hold up the others.
pub(super) fn due(cx: &Context) -> Instant {
    cx.after(cx.config.request_timeout.unwrap_or(PATIENCE))
}
