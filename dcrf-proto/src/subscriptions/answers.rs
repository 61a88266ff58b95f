//! What the server says to a subscription, and what follows when it says nothing.

use super::Subscriptions;
use super::member::{Incoming, Member};
use super::wire::{Phase, Wire};
use crate::context::Context;
use crate::error::{Ended, UnsubscribeError};
use crate::id::WireKey;
use crate::trace::Told;
use crate::wire::envelope::Payload;
use crate::wire::json::Json;
use crate::wire::refusal::Refusal;

impl Subscriptions {
    /// A frame with a subscription's id has arrived; `whole` gives its payload. Says whether the subscription takes
    /// frames of this kind by their id: those that the dialect selects it gets otherwise.
    pub(crate) fn handle(
        &mut self,
        cx: &mut Context,
        key: WireKey,
        payload: &Payload<'_>,
        whole: impl FnOnce() -> Json,
    ) -> bool {
        let Some(wire) = self.pairs.get(key) else { return false };
        let answered = wire.is_answered_by(payload);
        let is_selected = if answered { wire.selected.answers } else { wire.selected.changes };
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
    pub(crate) fn answered(&mut self, cx: &mut Context, key: WireKey, payload: &Payload<'_>) {
        let Some(wire) = self.pairs.get_mut(key) else { return };
        // What does not acknowledge can still refuse: an action that the server does not know.
        let can_be_refused = wire.is_unanswered();
        wire.sent.suspicions = 0;
        if !wire.phase.is_leaving() {
            wire.sent.unanswered = wire.sent.unanswered.saturating_sub(1);
        }
        match (wire.phase, payload.outcome()) {
            (Phase::Left, outcome) => self.left(cx, key, outcome.err()),
            (Phase::Sent { .. } | Phase::Overdue, Ok(_)) => self.acknowledged(cx, key),
            (Phase::Sent { .. } | Phase::Overdue, Err(refusal)) => self.refused(cx, key, &refusal),
            (Phase::Live, Err(refusal)) if can_be_refused => self.refused(cx, key, &refusal),
            _ => cx.stats.late += 1,
        }
    }

    /// The server tells a change, of the kind that `action` names.
    pub(crate) fn change(
        &mut self,
        cx: &mut Context,
        key: WireKey,
        payload: &Payload<'_>,
        action: Option<&str>,
        whole: impl FnOnce() -> Json,
    ) {
        if !self.pairs.get(key).is_some_and(Wire::is_on_server) {
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
        let deliver = |key, member: &mut Member| member.deliver(cx, key, loss, &event);
        let Some(wire) = self.pairs.retain_members(key, deliver) else { return };
        wire.trace_missed(cx, before);
        if wire.members.is_empty() {
            self.leave(cx, key, None);
        }
    }

    pub(super) fn acknowledged(&mut self, cx: &mut Context, key: WireKey) {
        self.enter(cx, key, Phase::Live);
        let Some(wire) = self.pairs.get_mut(key) else { return };
        wire.trace(cx, Told::Subscribed { again: wire.acknowledged });
        // What was only handed over the server can still refuse.
        if !wire.without_ack {
            wire.confirm();
        }
        let before = (cx.stats.gaps, cx.stats.lagged);
        let mut refreshing = Vec::new();
        let acknowledge = |key, member: &mut Member| {
            member.acknowledge(cx, key, self.last_loss.as_ref());
            refreshing.extend(member.refresh.is_some().then_some(key));
            true
        };
        let Some(wire) = self.pairs.retain_members(key, acknowledge) else { return };
        wire.trace_missed(cx, before);
        for key in refreshing {
            self.refresh(cx, key);
        }
    }

    fn refused(&mut self, cx: &mut Context, key: WireKey, refusal: &Refusal) {
        let Some(wire) = self.pairs.get_mut(key) else { return };
        // S3: too many requests, and failures of the server itself, pass.
        if matches!(refusal.status, Some(429 | 500..=599)) {
            let delay = cx.config.backoff.delay(wire.sent.put_off, &mut cx.random);
            wire.sent.put_off = wire.sent.put_off.saturating_add(1);
            let replayed = wire.phase.is_replayed();
            cx.stats.put_off += 1;
            wire.trace(cx, Told::PutOff { status: refusal.status, wait: delay });
            let until = cx.after(delay);
            self.enter_until(cx, key, Phase::PutOff { replayed }, until);
            return;
        }
        let (was_in_force, resubscribed) = (wire.acknowledged, wire.resubscribed);
        wire.trace(cx, Told::Refused { status: refusal.status, again: was_in_force });
        for key in std::mem::take(&mut wire.members) {
            if let Some(member) = self.pairs.get_mut(key) {
                member.refuse(cx, key, was_in_force, refusal.clone());
            }
        }
        if resubscribed {
            // The server may still hold what was in force before.
            self.leave(cx, key, None);
        } else {
            self.remove_wire(cx, key, Ok(()));
        }
    }

    /// The server has answered the unsubscribe.
    fn left(&mut self, cx: &mut Context, key: WireKey, refusal: Option<Refusal>) {
        let result = match refusal {
            // S9: of an object that is gone the server knows no subscription any more.
            Some(refusal) if refusal.status != Some(404) => Err(UnsubscribeError::Refused(refusal)),
            _ => Ok(()),
        };
        self.give_up_id(cx, key, result);
    }

    /// Removes a wire; what the server still sends for it is late.
    pub(super) fn give_up_id(
        &mut self,
        cx: &mut Context,
        key: WireKey,
        result: Result<(), UnsubscribeError>,
    ) {
        let Some(wire) = self.pairs.get(key) else { return };
        let id = wire.id.clone();
        let is_over = !wire.is_unanswered() && result.is_ok();
        self.remove_wire(cx, key, result);
        if is_over {
            cx.routes.release(id);
        } else {
            cx.routes.abandon(id);
        }
    }

    pub(crate) fn timer_fired(&mut self, cx: &mut Context, key: WireKey) {
        let Some(wire) = self.pairs.get(key) else { return };
        match wire.phase {
            Phase::PutOff { replayed } => self.enqueue(cx, key, Phase::Queued { replayed }),
            Phase::Sent { .. } if cx.config.request_timeout.is_none() => {
                self.enter(cx, key, Phase::Overdue);
            }
            Phase::Sent { .. } if wire.acknowledged => {
                wire.trace(cx, Told::Late);
                if self.end_newcomers(cx, key) {
                    self.enter(cx, key, Phase::Overdue);
                } else {
                    self.leave(cx, key, None);
                }
            }
            Phase::Sent { .. } => {
                wire.trace(cx, Told::Late);
                self.end_members(cx, key, &Ended::TimedOut);
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
    fn end_newcomers(&mut self, cx: &mut Context, key: WireKey) -> bool {
        let end = |key, member: &mut Member| {
            let has_waited = !member.is_acknowledged();
            if has_waited {
                member.end(cx, key, Ended::TimedOut);
            }
            !has_waited
        };
        self.pairs.retain_members(key, end).is_some_and(|wire| !wire.members.is_empty())
    }

    pub(super) fn end_members(&mut self, cx: &mut Context, key: WireKey, ended: &Ended) {
        let Some(wire) = self.pairs.get_mut(key) else { return };
        for key in std::mem::take(&mut wire.members) {
            if let Some(member) = self.pairs.get_mut(key) {
                member.end(cx, key, ended.clone());
            }
        }
    }
}
