//! The server's replies to subscribes and unsubscribes, and its events.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::subscriber::{ServerEvent, Subscriber};
use super::upstream::Phase;
use super::{Fresh, Subscriptions};
use crate::context::Context;
use crate::error::{ConnectionError, SubscriptionError, UnsubscribeError};
use crate::id::{SubscriptionKey, UpstreamKey};
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
        let was_unanswered = upstream.unanswered > 0;
        upstream.suspicion = None;
        if !upstream.phase.is_unsubscribing() {
            upstream.unanswered = upstream.unanswered.saturating_sub(1);
        }
        let outcome = payload.outcome();
        cx.has_worked |= outcome.is_ok();
        match (upstream.phase, outcome) {
            (Phase::Unsubscribed, outcome) => self.unsubscribed(cx, key, outcome.err()),
            (Phase::Sent { .. } | Phase::Overdue, Ok(_)) => self.acknowledged(cx, key),
            // Another subscribe waits (S12, S3), but the server holds the one before.
            (Phase::Queued { .. } | Phase::Deferred { .. }, Ok(_)) if was_unanswered => {
                self.acknowledged(cx, key);
            }
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
        let upstream = self.registry.upstreams.get(key).filter(|upstream| upstream.is_on_server());
        let Some(upstream) = upstream else {
            cx.stats.late += 1;
            return;
        };
        if let Some((size, limit)) = cx.too_large {
            return self.missed(cx, key, action, &ConnectionError::TooLarge { size, limit });
        }
        let instance = if action == Some("delete") { upstream.instance() } else { None };
        let instance = instance.map(ToOwned::to_owned);
        let error = payload.outcome().err();
        let json = match (&error, payload.data) {
            (Some(_), _) => Json::null(),
            (None, Some(data)) if ServerEvent::is_about_object(action, Some(data)) => {
                Json::from_checked(data)
            }
            _ => whole_payload(),
        };
        let event = ServerEvent { action, error, data: payload.data, instance, json };
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

    /// An event was not kept, since it is over the size limit. Reports a gap, and refreshes.
    fn missed(
        &mut self,
        cx: &mut Context,
        key: UpstreamKey,
        action: Option<&str>,
        cause: &ConnectionError,
    ) {
        let Some(upstream) = self.registry.upstreams.get(key) else { return };
        // Otherwise the acknowledgement refreshes.
        let is_live = upstream.phase.is_live();
        let wants = |key: &SubscriptionKey| {
            self.registry.subscribers.get(*key).is_some_and(|subscriber| subscriber.wants(action))
        };
        let refreshing: Vec<SubscriptionKey> =
            upstream.subscribers.iter().copied().filter(wants).collect();
        // First deliver the changes that wait for the last page.
        for key in &refreshing {
            self.refreshes.stop(&mut self.registry, cx, *key);
        }
        let before = (cx.stats.gaps, cx.stats.lagged);
        let last_error = self.last_error.as_ref();
        let miss = |key, subscriber: &mut Subscriber| {
            !subscriber.wants(action) || subscriber.miss(cx, key, last_error, cause)
        };
        let Some(upstream) = self.registry.retain_subscribers(key, miss) else { return };
        upstream.trace_lost_changes(cx, before);
        if upstream.subscribers.is_empty() {
            return self.leave(cx, key, None);
        }
        if is_live {
            for key in refreshing {
                self.refreshes.restart(&mut self.registry, cx, key);
            }
        }
        self.leave_unused(cx);
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
        if matches!(status, Some(401 | 403)) && upstream.acknowledged {
            if let (Fresh::No, true, Some(status)) =
                (&self.fresh, cx.config.refresh_credentials, status)
            {
                self.fresh = Fresh::Wanted(status);
            }
            if matches!(self.fresh, Fresh::Wanted(_)) {
                return;
            }
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

    /// Returns the stream of an overdue acknowledgement and since when it waits, if that proves the server silent unless
    /// an older request is in flight there (L15).
    pub(crate) fn timer_fired(
        &mut self,
        cx: &mut Context,
        key: UpstreamKey,
    ) -> Option<(Arc<str>, Instant)> {
        let upstream = self.registry.upstreams.get_mut(key)?;
        let waits = upstream.note_silence(cx).map(|since| (upstream.stream.clone(), since));
        match upstream.phase {
            Phase::Watched => {
                upstream.suspicion = None;
                self.replay.enter(&mut self.registry, cx, key, Phase::Live);
            }
            Phase::Deferred { replayed } => {
                let phase = Phase::Queued { replayed };
                self.replay.enqueue(&mut self.registry, cx, key, phase);
            }
            Phase::Sent { .. } | Phase::Overdue => {
                if upstream.phase != Phase::Overdue {
                    upstream.trace(cx, SubscriptionEvent::Overdue);
                }
                let again = cx.now + upstream.patience(cx);
                self.replay.enter_until(&mut self.registry, cx, key, Phase::Overdue, again);
            }
            Phase::Unsubscribed => self.retire_upstream(cx, key, Err(UnsubscribeError::TimedOut)),
            // The connection has outlived the subscribe before this one (S12).
            Phase::Queued { .. } => (upstream.deadline, upstream.suspicion) = (None, None),
            Phase::Offline | Phase::Quarantined | Phase::Live | Phase::Unsubscribing => {}
        }
        waits
    }

    /// A subscriber was not acknowledged in time, counted from the call (S3).
    pub(crate) fn time_out(&mut self, cx: &mut Context, key: SubscriptionKey) {
        let Some(subscriber) = self.registry.subscribers.get_mut(key) else { return };
        let upstream = subscriber.upstream();
        let suspicion = upstream
            .and_then(|upstream| self.registry.upstreams.get(upstream)?.suspicion.as_ref())
            .filter(|suspicion| suspicion.was_alone());
        let error = match (suspicion, &self.last_error) {
            (Some(_), Some(cause)) => SubscriptionError::Suspected { cause: cause.clone() },
            _ => SubscriptionError::TimedOut,
        };
        subscriber.end(cx, key, error);
        let Some(upstream) = upstream else { return };
        if let Some(upstream) = self.registry.upstreams.get(upstream) {
            upstream.trace(cx, SubscriptionEvent::Overdue);
            // Unless it was sent long after the call.
            if upstream.has_timed_out(cx) {
                upstream.note_silence(cx);
            }
        }
        if self.registry.detach(upstream, key) {
            self.leave(cx, upstream, None);
        }
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
