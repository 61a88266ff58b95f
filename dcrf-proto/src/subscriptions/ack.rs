//! The server's replies to subscribes and unsubscribes, and its events.

use std::time::Duration;

use super::Subscriptions;
use super::subscriber::{ServerEvent, Subscriber};
use super::upstream::{Phase, Upstream};
use crate::context::Context;
use crate::error::{SubscriptionError, UnsubscribeError};
use crate::id::UpstreamKey;
use crate::protocol::envelope::Payload;
use crate::protocol::error_reply::ErrorReply;
use crate::protocol::json::Json;
use crate::trace::SubscriptionEvent;

/// How long a subscribe that is never acknowledged can kill the connection: the server takes up to a second to close.
const WATCH: Duration = Duration::from_secs(1);

impl Subscriptions {
    /// Handles a frame with the id of an upstream subscription. `whole_payload` copies its payload. Returns false if the
    /// dialect has a selector for frames of this kind, which then finds them.
    pub(crate) fn handle(
        &mut self,
        cx: &mut Context,
        key: UpstreamKey,
        payload: &Payload<'_>,
        whole_payload: impl FnOnce() -> Json,
    ) -> bool {
        let Some(upstream) = self.registry.upstreams.get(key) else { return false };
        let is_reply = upstream.is_reply(payload);
        let selected = upstream.selected;
        if (is_reply && selected.replies) || (!is_reply && selected.changes) {
            return false;
        }
        if is_reply {
            self.replied(cx, key, payload);
        } else {
            self.changed(cx, key, payload, payload.action(), whole_payload);
        }
        true
    }

    /// Handles the reply to the last subscribe or unsubscribe, or a repetition of it.
    pub(crate) fn replied(&mut self, cx: &mut Context, key: UpstreamKey, payload: &Payload<'_>) {
        let Some(upstream) = self.registry.upstreams.get_mut(key) else { return };
        // Also without acknowledgement, the server can reply that it does not know the action.
        let can_be_rejected = upstream.is_unanswered();
        upstream.suspicion = None;
        if !upstream.phase.is_unsubscribing() {
            upstream.unanswered = upstream.unanswered.saturating_sub(1);
        }
        match (upstream.phase, payload.outcome()) {
            (Phase::Unsubscribed, outcome) => self.unsubscribed(cx, key, outcome.err()),
            (Phase::Sent { .. } | Phase::Overdue, Ok(_)) => self.acknowledged(cx, key),
            (Phase::Sent { .. } | Phase::Overdue, Err(reply)) => self.rejected(cx, key, &reply),
            (Phase::Live | Phase::Watched, Err(reply)) if can_be_rejected => {
                self.rejected(cx, key, &reply);
            }
            _ => cx.stats.late += 1,
        }
    }

    /// Delivers an event with this action to all subscribers.
    pub(crate) fn changed(
        &mut self,
        cx: &mut Context,
        key: UpstreamKey,
        payload: &Payload<'_>,
        action: Option<&str>,
        whole_payload: impl FnOnce() -> Json,
    ) {
        if !self.registry.upstreams.get(key).is_some_and(Upstream::is_on_server) {
            cx.stats.late += 1;
            return;
        }
        let error = payload.outcome().err();
        let json = match (&error, payload.data) {
            (Some(_), _) => Json::null(),
            (None, Some(data)) if ServerEvent::is_about_object(action, Some(data)) => {
                Json::from_checked(data)
            }
            _ => whole_payload(),
        };
        let event = ServerEvent { action, error, data: payload.data, json };
        let before = (cx.stats.gaps, cx.stats.lagged);
        let last_error = self.last_error.as_ref();
        let deliver =
            |key, subscriber: &mut Subscriber| subscriber.deliver(cx, key, last_error, &event);
        let Some(upstream) = self.registry.retain_subscribers(key, deliver) else { return };
        upstream.trace_lost_changes(cx, before);
        if upstream.subscribers.is_empty() {
            self.leave(cx, key, None);
        }
    }

    pub(super) fn acknowledged(&mut self, cx: &mut Context, key: UpstreamKey) {
        let Some(upstream) = self.registry.upstreams.get_mut(key) else { return };
        upstream.trace(cx, SubscriptionEvent::Subscribed { again: upstream.acknowledged });
        // Without acknowledgement, the subscribe was only sent: the server can still reply with an error, or die of it.
        if upstream.without_ack {
            let until = cx.after(WATCH);
            self.replay.enter_until(&mut self.registry, cx, key, Phase::Watched, until);
        } else {
            upstream.confirm();
            if upstream.phase.fills_window() {
                self.replay.acknowledged(&cx.config);
            }
            self.quarantine.acknowledged();
            self.replay.enter(&mut self.registry, cx, key, Phase::Live);
        }
        let before = (cx.stats.gaps, cx.stats.lagged);
        let mut refreshing = Vec::new();
        let acknowledge = |key, subscriber: &mut Subscriber| {
            subscriber.acknowledge(cx, key, self.last_error.as_ref());
            refreshing.extend(subscriber.refresh.is_some().then_some(key));
            true
        };
        let Some(upstream) = self.registry.retain_subscribers(key, acknowledge) else { return };
        upstream.trace_lost_changes(cx, before);
        for key in refreshing {
            self.refreshes.restart(&mut self.registry, cx, key);
        }
        self.leave_unused(cx);
    }

    fn rejected(&mut self, cx: &mut Context, key: UpstreamKey, reply: &ErrorReply) {
        let Some(upstream) = self.registry.upstreams.get_mut(key) else { return };
        let status = reply.status;
        // S3: too many requests and failures of the server pass.
        if matches!(status, Some(429 | 500..=599)) {
            let wait = cx.config.backoff.delay(upstream.deferrals, &mut cx.random);
            upstream.deferrals = upstream.deferrals.saturating_add(1);
            let replayed = upstream.phase.is_replayed();
            cx.stats.deferred += 1;
            upstream.trace(cx, SubscriptionEvent::Deferred { status, wait });
            let until = cx.after(wait);
            let phase = Phase::Deferred { replayed };
            self.replay.enter_until(&mut self.registry, cx, key, phase, until);
            return;
        }
        let (was_live, resubscribed) = (upstream.acknowledged, upstream.resubscribed);
        upstream.trace(cx, SubscriptionEvent::ErrorReply { status, again: was_live });
        for key in std::mem::take(&mut upstream.subscribers) {
            if let Some(subscriber) = self.registry.subscribers.get_mut(key) {
                subscriber.reject(cx, key, was_live, reply.clone());
            }
        }
        if resubscribed {
            // The server may still hold the earlier subscription.
            self.leave(cx, key, None);
        } else {
            self.remove_upstream(cx, key, Ok(()));
        }
    }

    /// Handles the reply to the unsubscribe.
    fn unsubscribed(&mut self, cx: &mut Context, key: UpstreamKey, reply: Option<ErrorReply>) {
        let result = match reply {
            // S9: 404 means that the object was deleted, and its subscriptions with it.
            Some(reply) if reply.status != Some(404) => Err(UnsubscribeError::ErrorReply(reply)),
            _ => Ok(()),
        };
        self.retire_upstream(cx, key, result);
    }

    /// Removes an upstream subscription. Frames that still come with its id are late.
    pub(super) fn retire_upstream(
        &mut self,
        cx: &mut Context,
        key: UpstreamKey,
        result: Result<(), UnsubscribeError>,
    ) {
        let Some(upstream) = self.registry.upstreams.get(key) else { return };
        let id = upstream.id.clone();
        let is_confirmed = !upstream.is_unanswered() && result.is_ok();
        self.remove_upstream(cx, key, result);
        if is_confirmed {
            cx.routes.release(id);
        } else {
            cx.routes.abandon(id);
        }
    }

    pub(crate) fn timer_fired(&mut self, cx: &mut Context, key: UpstreamKey) {
        let Some(upstream) = self.registry.upstreams.get_mut(key) else { return };
        match upstream.phase {
            Phase::Watched => {
                upstream.suspicion = None;
                self.replay.enter(&mut self.registry, cx, key, Phase::Live);
            }
            Phase::Deferred { replayed } => {
                let phase = Phase::Queued { replayed };
                self.replay.enqueue(&mut self.registry, cx, key, phase);
            }
            Phase::Sent { .. } if upstream.ack_timeout(&cx.config).is_none() => {
                self.replay.enter(&mut self.registry, cx, key, Phase::Overdue);
            }
            Phase::Sent { .. } if upstream.acknowledged => {
                upstream.trace(cx, SubscriptionEvent::Overdue);
                if self.end_pending_subscribers(cx, key) {
                    self.replay.enter(&mut self.registry, cx, key, Phase::Overdue);
                } else {
                    self.leave(cx, key, None);
                }
            }
            Phase::Sent { .. } => {
                upstream.trace(cx, SubscriptionEvent::Overdue);
                self.end_subscribers(cx, key, &SubscriptionError::TimedOut);
                self.leave(cx, key, None);
            }
            Phase::Unsubscribed => self.retire_upstream(cx, key, Err(UnsubscribeError::TimedOut)),
            Phase::Offline
            | Phase::Queued { .. }
            | Phase::Quarantined
            | Phase::Overdue
            | Phase::Live
            | Phase::Unsubscribing => {}
        }
    }

    /// The acknowledgement of a replay is overdue. Ends the subscribers that wait for their first acknowledgement. Returns
    /// whether others are left.
    fn end_pending_subscribers(&mut self, cx: &mut Context, key: UpstreamKey) -> bool {
        let end = |key, subscriber: &mut Subscriber| {
            let is_pending = !subscriber.is_acknowledged();
            if is_pending {
                subscriber.end(cx, key, SubscriptionError::TimedOut);
            }
            !is_pending
        };
        let upstream = self.registry.retain_subscribers(key, end);
        upstream.is_some_and(|upstream| !upstream.subscribers.is_empty())
    }

    pub(super) fn end_subscribers(
        &mut self,
        cx: &mut Context,
        key: UpstreamKey,
        error: &SubscriptionError,
    ) {
        let Some(upstream) = self.registry.upstreams.get_mut(key) else { return };
        for key in std::mem::take(&mut upstream.subscribers) {
            if let Some(subscriber) = self.registry.subscribers.get_mut(key) {
                subscriber.end(cx, key, error.clone());
            }
        }
    }
}
