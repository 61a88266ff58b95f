//! What happens to subscriptions as connections come and go: replay, loss, close.

use super::subscriber::Subscriber;
use super::upstream::Phase;
use super::{Fresh, Subscriptions};
use crate::context::Context;
use crate::error::{CloseReason, ConnectionError, SubscriptionError};
use crate::frame::Frame;
use crate::id::UpstreamKey;
use crate::trace::SubscriptionEvent;

/// What [`Subscriptions::next_frame`] has to send.
pub(crate) enum Next {
    Frame(Frame),
    /// Nothing may be sent until a reply comes or a hold is over, requests included (R1).
    Hold,
    Nothing,
}

impl Subscriptions {
    /// Queues the subscribe of each upstream subscription, unsuspected ones first (S1, S4).
    pub(crate) fn connected(&mut self, cx: &mut Context) {
        self.fresh = match self.fresh {
            Fresh::Requested => Fresh::Given,
            _ => Fresh::No,
        };
        self.quarantine.connected(cx);
        let mut keys = self.registry.in_order();
        if self.quarantine.is_active() {
            keys.sort_by_key(|key| {
                self.registry.upstreams.get(*key).map(|upstream| upstream.suspicions)
            });
        }
        let mut again = 0;
        for key in keys {
            let upstream = self.registry.upstreams.get(key);
            again += usize::from(upstream.is_some_and(|upstream| upstream.acknowledged));
            let phase = Phase::Queued { replayed: true };
            self.replay.enqueue(&mut self.registry, cx, key, phase);
        }
        cx.trace.replaying(again);
    }

    /// Sends all subscribes again on the same connection (S12).
    pub(crate) fn resubscribe(&mut self, cx: &mut Context) {
        for key in self.registry.in_order() {
            let Some(upstream) = self.registry.upstreams.get_mut(key) else { continue };
            let replayed = match upstream.phase {
                Phase::Live => {
                    upstream.confirm();
                    true
                }
                Phase::Overdue => true,
                Phase::Deferred { replayed } => replayed,
                _ => continue,
            };
            upstream.resubscribed = upstream.is_on_server();
            self.replay.enqueue(&mut self.registry, cx, key, Phase::Queued { replayed });
        }
    }

    /// The connection is over. `cause` is `None` if it never was established.
    pub(crate) fn disconnected(&mut self, cx: &mut Context, cause: Option<&ConnectionError>) {
        self.replay.clear();
        let poisoned = self.quarantine.disconnected(&mut self.registry, cx, cause);
        if let (Some(key), Some(cause)) = (poisoned, cause) {
            let error = SubscriptionError::Poisoned { cause: cause.clone() };
            self.end_subscribers(cx, key, &error);
        }
        self.refreshes.disconnected(&mut self.registry, cx);
        self.leave_unused(cx);
        if let Some(cause) = cause {
            self.last_error = Some(cause.clone());
        }
        for key in self.registry.in_order() {
            self.upstream_disconnected(cx, key);
        }
    }

    fn upstream_disconnected(&mut self, cx: &mut Context, key: UpstreamKey) {
        let Some(upstream) = self.registry.upstreams.get_mut(key) else { return };
        if upstream.phase.is_unsubscribing() {
            return self.remove_upstream(cx, key, Ok(()));
        }
        if upstream.phase == Phase::Live {
            upstream.confirm();
        }
        upstream.disconnect();
        let disconnect = |_, subscriber: &mut Subscriber| {
            subscriber.disconnected();
            true
        };
        let Some(upstream) = self.registry.retain_subscribers(key, disconnect) else { return };
        if upstream.subscribers.is_empty() {
            upstream.trace(cx, SubscriptionEvent::Poisoned);
            self.remove_upstream(cx, key, Ok(()));
        } else {
            self.replay.enter(&mut self.registry, cx, key, Phase::Offline);
        }
    }

    pub(crate) fn next_frame(&mut self, cx: &mut Context) -> Next {
        loop {
            if self.quarantine.is_holding(&self.registry, cx) {
                return Next::Hold;
            }
            let Some(key) = self.replay.next(cx.config.replay_window) else { break };
            if let Some(frame) = self.frame_of(cx, key) {
                return Next::Frame(frame);
            }
        }
        match self.refreshes.next_frame(&mut self.registry, cx) {
            Some(frame) => Next::Frame(frame),
            None if self.replay.has_replays() => Next::Hold,
            None => Next::Nothing,
        }
    }

    /// The frame that an upstream subscription has to send in its phase.
    fn frame_of(&mut self, cx: &mut Context, key: UpstreamKey) -> Option<Frame> {
        let upstream = self.registry.upstreams.get_mut(key)?;
        let without_ack = upstream.without_ack;
        match upstream.phase {
            Phase::Queued { replayed } => {
                let frame = upstream.subscribe_frame(&cx.config);
                upstream.unanswered = upstream.unanswered.saturating_add(1);
                cx.stats.subscribes_sent += 1;
                cx.stats.replays += u64::from(upstream.acknowledged);
                self.quarantine.subscribe_sent(cx, key, without_ack);
                let due = cx.due_after(upstream.ack_timeout(&cx.config));
                let phase = Phase::Sent { replayed };
                self.replay.enter_until(&mut self.registry, cx, key, phase, due);
                if without_ack {
                    self.acknowledged(cx, key);
                }
                Some(frame)
            }
            Phase::Unsubscribing => {
                let frame = upstream.unsubscribe_frame(&cx.config);
                if without_ack {
                    self.retire_upstream(cx, key, Ok(()));
                } else {
                    let (phase, due) = (Phase::Unsubscribed, cx.reply_due());
                    self.replay.enter_until(&mut self.registry, cx, key, phase, due);
                }
                frame
            }
            _ => None,
        }
    }

    /// Ends all subscriptions with this error. Returns how many.
    pub(crate) fn end_all(&mut self, cx: &mut Context, error: &SubscriptionError) -> usize {
        let mut count = 0;
        for key in self.registry.in_order() {
            let upstream = self.registry.upstreams.get(key);
            let subscribers = upstream.map_or(0, |upstream| upstream.subscribers.len());
            if subscribers > 0 {
                count += subscribers;
                self.end_subscribers(cx, key, error);
                self.leave(cx, key, None);
            }
        }
        count
    }

    /// The session is closed.
    pub(crate) fn close(&mut self, cx: &mut Context, reason: &CloseReason) {
        self.quarantine.disconnected(&mut self.registry, cx, None);
        self.refreshes.disconnected(&mut self.registry, cx);
        self.leave_unused(cx);
        self.replay.clear();
        for key in self.registry.in_order() {
            self.end_subscribers(cx, key, &SubscriptionError::Closed(reason.clone()));
            self.remove_upstream(cx, key, Ok(()));
        }
    }
}
