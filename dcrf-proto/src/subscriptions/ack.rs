//! What the server says to a subscription, and what follows when it says nothing.

use super::Subscriptions;
use super::subscriber::{Incoming, Subscriber};
use super::upstream::{Phase, Upstream};
use crate::context::Context;
use crate::error::{SubscriptionError, UnsubscribeError};
use crate::id::UpstreamKey;
use crate::protocol::envelope::Payload;
use crate::protocol::error_reply::ErrorReply;
use crate::protocol::json::Json;
use crate::trace::Told;

impl Subscriptions {
    /// A frame with a subscription's id has arrived; `whole` gives its payload. Says whether the subscription takes
    /// frames of this kind by their id: those that the dialect selects it gets otherwise.
    pub(crate) fn handle(
        &mut self,
        cx: &mut Context,
        key: UpstreamKey,
        payload: &Payload<'_>,
        whole: impl FnOnce() -> Json,
    ) -> bool {
        let Some(upstream) = self.pairs.get(key) else { return false };
        let answered = upstream.is_answered_by(payload);
        let is_selected =
            if answered { upstream.selected.answers } else { upstream.selected.changes };
        if is_selected {
            return false;
        }
        if answered {
            self.answered(cx, key, payload);
        } else {
            self.change(cx, key, payload, payload.action(), whole);
        }
        true
    }

    /// The server has answered what was sent last, or has sent that answer once more.
    pub(crate) fn answered(&mut self, cx: &mut Context, key: UpstreamKey, payload: &Payload<'_>) {
        let Some(upstream) = self.pairs.get_mut(key) else { return };
        // What does not acknowledge can still refuse: an action that the server does not know.
        let can_be_refused = upstream.is_unanswered();
        upstream.sent.suspicions = 0;
        if !upstream.phase.is_leaving() {
            upstream.sent.unanswered = upstream.sent.unanswered.saturating_sub(1);
        }
        match (upstream.phase, payload.outcome()) {
            (Phase::Left, outcome) => self.left(cx, key, outcome.err()),
            (Phase::Sent { .. } | Phase::Overdue, Ok(_)) => self.acknowledged(cx, key),
            (Phase::Sent { .. } | Phase::Overdue, Err(error_reply)) => {
                self.refused(cx, key, &error_reply);
            }
            (Phase::Live, Err(error_reply)) if can_be_refused => {
                self.refused(cx, key, &error_reply);
            }
            _ => cx.stats.late += 1,
        }
    }

    /// The server tells a change, of the kind that `action` names.
    pub(crate) fn change(
        &mut self,
        cx: &mut Context,
        key: UpstreamKey,
        payload: &Payload<'_>,
        action: Option<&str>,
        whole: impl FnOnce() -> Json,
    ) {
        if !self.pairs.get(key).is_some_and(Upstream::is_on_server) {
            cx.stats.late += 1;
            return;
        }
        let refused = payload.outcome().err();
        let json = match (&refused, payload.data) {
            (Some(_), _) => Json::null(),
            (None, Some(data)) if Incoming::is_of_an_object(action, Some(data)) => {
                Json::from_checked(data)
            }
            _ => whole(),
        };
        let event = Incoming { action, refused, data: payload.data, json };
        let before = (cx.stats.gaps, cx.stats.lagged);
        let loss = self.last_loss.as_ref();
        let deliver = |key, subscriber: &mut Subscriber| subscriber.deliver(cx, key, loss, &event);
        let Some(upstream) = self.pairs.retain_subscribers(key, deliver) else { return };
        upstream.trace_missed(cx, before);
        if upstream.subscribers.is_empty() {
            self.leave(cx, key, None);
        }
    }

    pub(super) fn acknowledged(&mut self, cx: &mut Context, key: UpstreamKey) {
        self.enter(cx, key, Phase::Live);
        let Some(upstream) = self.pairs.get_mut(key) else { return };
        upstream.trace(cx, Told::Subscribed { again: upstream.acknowledged });
        // What was only handed over the server can still refuse.
        if !upstream.without_ack {
            upstream.confirm();
        }
        let before = (cx.stats.gaps, cx.stats.lagged);
        let mut refreshing = Vec::new();
        let acknowledge = |key, subscriber: &mut Subscriber| {
            subscriber.acknowledge(cx, key, self.last_loss.as_ref());
            refreshing.extend(subscriber.refresh.is_some().then_some(key));
            true
        };
        let Some(upstream) = self.pairs.retain_subscribers(key, acknowledge) else { return };
        upstream.trace_missed(cx, before);
        for key in refreshing {
            self.refresh(cx, key);
        }
    }

    fn refused(&mut self, cx: &mut Context, key: UpstreamKey, error_reply: &ErrorReply) {
        let Some(upstream) = self.pairs.get_mut(key) else { return };
        // S3: too many requests, and failures of the server itself, pass.
        if matches!(error_reply.status, Some(429 | 500..=599)) {
            let delay = cx.config.backoff.delay(upstream.sent.deferred, &mut cx.random);
            upstream.sent.deferred = upstream.sent.deferred.saturating_add(1);
            let replayed = upstream.phase.is_replayed();
            cx.stats.deferred += 1;
            upstream.trace(cx, Told::Deferred { status: error_reply.status, wait: delay });
            let until = cx.after(delay);
            self.enter_until(cx, key, Phase::Deferred { replayed }, until);
            return;
        }
        let (was_live, resubscribed) = (upstream.acknowledged, upstream.resubscribed);
        upstream.trace(cx, Told::Refused { status: error_reply.status, again: was_live });
        for key in std::mem::take(&mut upstream.subscribers) {
            if let Some(subscriber) = self.pairs.get_mut(key) {
                subscriber.refuse(cx, key, was_live, error_reply.clone());
            }
        }
        if resubscribed {
            // The server may still hold what was in force before.
            self.leave(cx, key, None);
        } else {
            self.remove_upstream(cx, key, Ok(()));
        }
    }

    /// The server has answered the unsubscribe.
    fn left(&mut self, cx: &mut Context, key: UpstreamKey, error_reply: Option<ErrorReply>) {
        let result = match error_reply {
            // S9: of an object that is gone the server knows no subscription any more.
            Some(error_reply) if error_reply.status != Some(404) => {
                Err(UnsubscribeError::ErrorReply(error_reply))
            }
            _ => Ok(()),
        };
        self.give_up_id(cx, key, result);
    }

    /// Removes a wire; what the server still sends for it is late.
    pub(super) fn give_up_id(
        &mut self,
        cx: &mut Context,
        key: UpstreamKey,
        result: Result<(), UnsubscribeError>,
    ) {
        let Some(upstream) = self.pairs.get(key) else { return };
        let id = upstream.id.clone();
        let is_over = !upstream.is_unanswered() && result.is_ok();
        self.remove_upstream(cx, key, result);
        if is_over {
            cx.routes.release(id);
        } else {
            cx.routes.abandon(id);
        }
    }

    pub(crate) fn timer_fired(&mut self, cx: &mut Context, key: UpstreamKey) {
        let Some(upstream) = self.pairs.get(key) else { return };
        match upstream.phase {
            Phase::Deferred { replayed } => self.enqueue(cx, key, Phase::Queued { replayed }),
            Phase::Sent { .. } if cx.config.request_timeout.is_none() => {
                self.enter(cx, key, Phase::Overdue);
            }
            Phase::Sent { .. } if upstream.acknowledged => {
                upstream.trace(cx, Told::Late);
                if self.end_newcomers(cx, key) {
                    self.enter(cx, key, Phase::Overdue);
                } else {
                    self.leave(cx, key, None);
                }
            }
            Phase::Sent { .. } => {
                upstream.trace(cx, Told::Late);
                self.end_subscribers(cx, key, &SubscriptionError::TimedOut);
                self.leave(cx, key, None);
            }
            Phase::Left => self.give_up_id(cx, key, Err(UnsubscribeError::TimedOut)),
            Phase::Offline
            | Phase::Queued { .. }
            | Phase::Overdue
            | Phase::Live
            | Phase::Leaving => {}
        }
    }

    /// A replay is not acknowledged in time: those who wait for their first acknowledgement have waited
    /// long enough, the others go on. Says whether there are others.
    fn end_newcomers(&mut self, cx: &mut Context, key: UpstreamKey) -> bool {
        let end = |key, subscriber: &mut Subscriber| {
            let has_waited = !subscriber.is_acknowledged();
            if has_waited {
                subscriber.end(cx, key, SubscriptionError::TimedOut);
            }
            !has_waited
        };
        self.pairs
            .retain_subscribers(key, end)
            .is_some_and(|upstream| !upstream.subscribers.is_empty())
    }

    pub(super) fn end_subscribers(
        &mut self,
        cx: &mut Context,
        key: UpstreamKey,
        ended: &SubscriptionError,
    ) {
        let Some(upstream) = self.pairs.get_mut(key) else { return };
        for key in std::mem::take(&mut upstream.subscribers) {
            if let Some(subscriber) = self.pairs.get_mut(key) {
                subscriber.end(cx, key, ended.clone());
            }
        }
    }
}
