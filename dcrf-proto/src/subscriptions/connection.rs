//! What happens to subscriptions as connections come and go: replay, loss, close.

use std::time::Instant;

use super::quarantine::{Suspect, Suspicion, Turn};
use super::refresh::Refresh;
use super::subscriber::Subscriber;
use super::upstream::Phase;
use super::{Fresh, Subscriptions, replay};
use crate::context::Context;
use crate::error::{CloseReason, ConnectionError, SubscriptionError};
use crate::frame::Frame;
use crate::id::{RequestKey, SubscriptionKey, UpstreamKey};
use crate::protocol::framing::Framing;
use crate::trace::SubscriptionEvent;

/// What [`Subscriptions::next_frame`] has to send.
pub(crate) enum Next {
    Frame(Frame),
    /// A suspect request, whose trial it is (L12).
    Request(RequestKey),
    /// Nothing may be sent for now, requests included.
    Hold,
    Nothing,
}

impl Subscriptions {
    /// Queues the subscribe of each upstream subscription (S1, S4). Suspects wait for their trial, and so do these requests.
    pub(crate) fn connected(
        &mut self,
        cx: &mut Context,
        suspects: impl IntoIterator<Item = RequestKey>,
    ) {
        self.fresh = match self.fresh {
            Fresh::Requested => Fresh::Given,
            _ => Fresh::No,
        };
        self.quarantine.connected(cx.now);
        self.replay.connected(&cx.config);
        let mut again = 0;
        for key in self.registry.in_order() {
            let Some(upstream) = self.registry.upstreams.get(key) else { continue };
            again += usize::from(upstream.acknowledged);
            if let Some(suspicion) = upstream.suspicion.clone() {
                self.hold_back(cx, key, &suspicion);
            } else {
                let phase = Phase::Queued { replayed: true };
                self.replay.enqueue(&mut self.registry, cx, key, phase);
            }
        }
        for key in suspects {
            self.quarantine.add_request(cx, key);
        }
        self.quarantine.is_ready(cx);
        self.registry.streams.free();
        cx.trace.replaying(again);
    }

    /// Lets a suspect wait for its trial.
    pub(super) fn hold_back(&mut self, cx: &mut Context, key: UpstreamKey, suspicion: &Suspicion) {
        self.quarantine.add(cx, Suspect::Upstream(key), suspicion);
        self.replay.enter(&mut self.registry, cx, key, Phase::Quarantined);
    }

    pub(crate) fn frame_sent(&mut self, cx: &Context) {
        self.quarantine.frame_sent(cx.now);
    }

    /// Whether requests may be sent on a stream, whose replays go first (R1).
    pub(crate) fn is_free(&self, framing: Framing, stream: &str) -> bool {
        let is_patient = self.quarantine.is_patient();
        let streams = &self.registry.streams;
        match framing {
            Framing::Bare => !streams.any_has_unsent(is_patient),
            Framing::Multiplexed => !streams.has_unsent(stream, is_patient),
        }
    }

    /// Whether suspect requests wait for their trial.
    pub(crate) fn is_patient(&self) -> bool {
        self.quarantine.is_patient()
    }

    /// Whether requests have become free to go since the last call.
    pub(crate) fn take_freed(&mut self) -> bool {
        self.registry.streams.take_freed()
    }

    /// Sends all subscribes again on the same connection (S12).
    pub(crate) fn resubscribe(&mut self, cx: &mut Context) {
        for key in self.registry.in_order() {
            let Some(upstream) = self.registry.upstreams.get_mut(key) else { continue };
            let replayed = match upstream.phase {
                Phase::Live | Phase::Watched => {
                    upstream.confirm();
                    true
                }
                Phase::Overdue => true,
                Phase::Deferred { replayed } => replayed,
                _ => continue,
            };
            upstream.resubscribed = upstream.is_on_server();
            let watched = upstream.deadline.filter(|_| upstream.phase == Phase::Watched);
            self.replay.enqueue(&mut self.registry, cx, key, Phase::Queued { replayed });
            if let Some(until) = watched {
                replay::set_deadline(&mut self.registry, cx, key, until);
            }
        }
    }

    /// Whether a connection that ends now dies of something that was sent on it (L12).
    pub(crate) fn is_death(&self, cx: &Context, cause: &ConnectionError) -> bool {
        self.quarantine.is_death(cx, cause)
    }

    /// Notes which feeds without acknowledgement the connection has outlived, although their timers have yet to fire: the
    /// program may have been suspended.
    pub(crate) fn note_outlived(&mut self, cx: &mut Context) {
        let is_over =
            |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= cx.now);
        let outlived = self.registry.upstreams.iter().filter(|(_, upstream)| {
            matches!(upstream.phase, Phase::Watched | Phase::Queued { .. })
                && is_over(upstream.deadline)
        });
        let keys: Vec<UpstreamKey> = outlived.map(|(key, _)| key).collect();
        for key in keys {
            self.timer_fired(cx, key);
        }
    }

    /// Suspects what is unanswered, besides this many requests, and ends the subscription that is proved guilty. Returns
    /// whether the server is well, so that the next connection may follow soon.
    pub(crate) fn blame(
        &mut self,
        cx: &mut Context,
        cause: &ConnectionError,
        requests: usize,
    ) -> bool {
        let guilty = self.quarantine.blame(&mut self.registry, cx, cause, requests);
        match guilty {
            Some(Suspect::Upstream(key)) => {
                let error = SubscriptionError::Poisoned { cause: cause.clone() };
                self.end_subscribers(cx, key, &error);
            }
            Some(Suspect::Refresh(key)) => self.end_refreshing(cx, key, cause),
            Some(Suspect::Request(_)) | None => {}
        }
        guilty.is_some() || self.quarantine.dies_of_a_trial()
    }

    /// Whether subscribes were acknowledged on this connection, and none is unanswered.
    pub(crate) fn are_answered(&self, cx: &Context) -> bool {
        self.quarantine.are_answered(&self.registry, cx)
    }

    /// Ends one subscriber, whose refresh kills connections.
    fn end_refreshing(&mut self, cx: &mut Context, key: SubscriptionKey, cause: &ConnectionError) {
        let Some(subscriber) = self.registry.subscribers.get_mut(key) else { return };
        let Some(upstream_key) = subscriber.upstream() else { return };
        subscriber.end(cx, key, SubscriptionError::RefreshPoisoned { cause: cause.clone() });
        if let Some(upstream) = self.registry.upstreams.get(upstream_key) {
            upstream.trace(cx, SubscriptionEvent::RefreshPoisoned);
        }
        self.registry.detach_later(upstream_key, key);
    }

    /// The connection is over. `cause` is `None` if it never was established.
    pub(crate) fn disconnected(&mut self, cx: &mut Context, cause: Option<&ConnectionError>) {
        self.replay.clear();
        self.quarantine.disconnected(cx);
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
        if upstream.phase.is_live() {
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

    /// What to send next. `requests`: whether requests are unanswered.
    pub(crate) fn next_frame(&mut self, cx: &mut Context, requests: bool) -> Next {
        loop {
            let is_quiet =
                !requests && !self.replay.has_unanswered() && !self.refreshes.has_in_flight();
            match self.quarantine.turn(cx, is_quiet) {
                Turn::Everyone => break,
                Turn::Nobody => return Next::Hold,
                Turn::Suspect(Suspect::Request(key)) => return Next::Request(key),
                Turn::Suspect(Suspect::Upstream(key)) => {
                    if let Some(frame) = self.suspect_frame_of(cx, key) {
                        return Next::Frame(frame);
                    }
                }
                Turn::Suspect(Suspect::Refresh(key)) => {
                    if let Some(frame) = self.refreshes.send(&mut self.registry, cx, key) {
                        return Next::Frame(frame);
                    }
                }
            }
        }
        while let Some(key) = self.replay.next() {
            if let Some(frame) = self.frame_of(cx, key) {
                return Next::Frame(frame);
            }
        }
        while let Some(key) = self.refreshes.next(self.replay.window()) {
            let subscriber = self.registry.subscribers.get(key);
            let refresh = subscriber.and_then(|subscriber| subscriber.refresh.as_deref());
            if let Some((suspicion, is_first)) = refresh.and_then(Refresh::suspicion) {
                self.quarantine.add_refresh(cx, key, suspicion, is_first);
            } else if let Some(frame) = self.refreshes.send(&mut self.registry, cx, key) {
                return Next::Frame(frame);
            }
        }
        Next::Nothing
    }

    /// Nobody has anything to send: begins the trial of suspects, if one is due. Returns whether it did.
    pub(crate) fn begin_trial(&mut self, cx: &mut Context) -> bool {
        // Replays may be queued behind the window.
        let is_replaying = self.registry.streams.any_has_unsent(false);
        !is_replaying && self.quarantine.begin_trial(cx, self.replay.window())
    }

    fn suspect_frame_of(&mut self, cx: &mut Context, key: UpstreamKey) -> Option<Frame> {
        if self.registry.upstreams.get(key)?.phase != Phase::Quarantined {
            return None;
        }
        self.replay.enter(&mut self.registry, cx, key, Phase::Queued { replayed: true });
        self.frame_of(cx, key)
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
                let due = cx.now + upstream.patience(cx);
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
        self.quarantine.disconnected(cx);
        self.refreshes.disconnected(&mut self.registry, cx);
        self.leave_unused(cx);
        self.replay.clear();
        for key in self.registry.in_order() {
            self.end_subscribers(cx, key, &SubscriptionError::Closed(reason.clone()));
            self.remove_upstream(cx, key, Ok(()));
        }
    }
}
