//! Subscriptions: what the caller wants, as the one truth (S1), shared on the wire where it is the same
//! (S2), sent anew on each connection, and handed to its readers in the server's order.

mod inbox;
mod member;
mod wire;

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use self::member::{Incoming, Member};
use self::wire::{Phase, Wire};
use crate::arena::Arena;
use crate::command::Subscribe;
use crate::context::{Context, Route};
use crate::error::{CloseReason, Ended, Lost, Rejected, Rejection, UnsubscribeError};
use crate::event::{Change, Event};
use crate::id::{SubscriptionKey, WireKey};
use crate::timer::Timer;
use crate::wire::envelope::Payload;
use crate::wire::json::Json;
use crate::wire::refusal::Refusal;

#[derive(Debug)]
pub(crate) struct Subscriptions {
    members: Arena<SubscriptionKey, Member>,
    wires: Arena<WireKey, Wire>,
    /// The wires that a new member of the same target joins. Looked up, never iterated.
    by_target: HashMap<Arc<str>, WireKey, BuildHasherDefault<DefaultHasher>>,
    /// Wires that have a frame to send, in order; those that have none any more are skipped.
    outgoing: VecDeque<WireKey>,
    /// Wires whose acknowledgement is awaited, as far as they count for the window (S4).
    unacknowledged: usize,
    /// Wires that nobody wants any more, until the server has answered.
    leaving: usize,
    next_sequence: u64,
    /// Why the last connection was lost.
    last_loss: Option<Lost>,
}

/// What the subscriptions have for the socket.
pub(crate) enum Outgoing {
    Text(String),
    /// Something, but not before an acknowledgement has come.
    Held,
    Nothing,
}

impl Subscriptions {
    pub(crate) fn new() -> Self {
        Self {
            members: Arena::new(),
            wires: Arena::new(),
            by_target: HashMap::default(),
            outgoing: VecDeque::new(),
            unacknowledged: 0,
            leaving: 0,
            next_sequence: 0,
            last_loss: None,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    pub(crate) fn stream(&self, key: WireKey) -> Option<&str> {
        self.wires.get(key).map(|wire| &*wire.stream)
    }

    pub(crate) fn member_mut(&mut self, key: SubscriptionKey) -> Option<&mut Member> {
        self.members.get_mut(key)
    }

    pub(crate) fn is_acknowledged(&self, key: SubscriptionKey) -> bool {
        self.members.get(key).is_some_and(Member::is_acknowledged)
    }

    pub(crate) fn ended(&self, key: SubscriptionKey) -> Option<&Ended> {
        self.members.get(key).and_then(Member::ended)
    }

    /// Registers what the caller wants.
    pub(crate) fn subscribe(
        &mut self,
        cx: &mut Context,
        subscribe: Subscribe,
        open: bool,
    ) -> Result<SubscriptionKey, Rejected<Subscribe>> {
        let target = wire::target(&subscribe);
        let wire = match self.by_target.get(&target) {
            Some(&wire) => self.accept_join(cx, &subscribe, wire).map(|()| wire),
            None => {
                self.accept(cx, &subscribe, target).map(|wire| self.insert_wire(cx, wire, open))
            }
        };
        let wire_key = match wire {
            Ok(key) => key,
            Err(reason) => return Err(Rejected { command: subscribe, reason }),
        };
        let key = self.members.insert_with(|_| Member::new(wire_key, &subscribe));
        if let Some(wire) = self.wires.get_mut(wire_key) {
            wire.members.push(key);
            if let (Phase::Live, Some(member)) = (wire.phase, self.members.get_mut(key)) {
                member.acknowledge(cx, key, self.last_loss.as_ref());
            }
        }
        Ok(key)
    }

    fn check(&self, cx: &Context, subscribe: &Subscribe) -> Result<(), Rejection> {
        cx.admit()?;
        subscribe.arguments.check()?;
        let count = self.members.len().max(self.wires.len());
        if count < cx.config.max_subscriptions { Ok(()) } else { Err(Rejection::QueueFull) }
    }

    fn accept_join(
        &self,
        cx: &Context,
        subscribe: &Subscribe,
        key: WireKey,
    ) -> Result<(), Rejection> {
        self.check(cx, subscribe)?;
        let own = self.wires.get(key).map(|wire| &wire.id);
        match &subscribe.id {
            Some(id) if Some(id) != own && cx.routes.get(id).is_some() => Err(Rejection::IdInUse),
            _ => Ok(()),
        }
    }

    fn accept(
        &self,
        cx: &mut Context,
        subscribe: &Subscribe,
        target: Arc<str>,
    ) -> Result<Wire, Rejection> {
        self.check(cx, subscribe)?;
        let id = cx.claim_id(subscribe.id.as_ref())?;
        let wire = Wire::new(subscribe, id, target, self.next_sequence);
        let framing = cx.config.framing;
        let farewell = wire.unsubscribe_text(framing).map_or(0, |text| text.len());
        let size = wire.subscribe_text(framing).len().max(farewell);
        let limit = cx.config.max_message;
        if size <= limit { Ok(wire) } else { Err(Rejection::TooLarge { size, limit }) }
    }

    fn insert_wire(&mut self, cx: &mut Context, wire: Wire, open: bool) -> WireKey {
        self.next_sequence += 1;
        let (id, target) = (wire.id.clone(), wire.target.clone());
        let key = self.wires.insert_with(|_| wire);
        cx.routes.insert(id, Route::Wire(key));
        self.by_target.insert(target, key);
        if open {
            self.enqueue(cx, key, Phase::Queued);
        }
        key
    }

    /// Ends one of the caller's subscriptions: nothing more is delivered (S9).
    pub(crate) fn unsubscribe(&mut self, cx: &mut Context, key: SubscriptionKey) {
        let Some(member) = self.members.remove(key) else { return };
        let left = member.wire().and_then(|wire| self.without_member(wire, key));
        match left {
            Some(wire) => self.leave(cx, wire, Some(key)),
            None => cx.events.push_back(Event::Unsubscribed { subscription: key, result: Ok(()) }),
        }
    }

    /// Takes a member off its wire, and returns the wire when that was the last one.
    fn without_member(&mut self, wire_key: WireKey, member: SubscriptionKey) -> Option<WireKey> {
        let wire = self.wires.get_mut(wire_key)?;
        wire.members.retain(|other| *other != member);
        wire.members.is_empty().then_some(wire_key)
    }

    /// The next change of one of the caller's subscriptions, whose key is free once its end is told.
    pub(crate) fn poll_change(&mut self, key: SubscriptionKey) -> Option<Result<Change, Ended>> {
        let polled = self.members.get_mut(key)?.poll();
        if let Some(Err(_)) = &polled {
            self.members.remove(key);
        }
        polled
    }

    /// Nobody wants this wire any more.
    fn leave(&mut self, cx: &mut Context, key: WireKey, unsubscriber: Option<SubscriptionKey>) {
        let Some(wire) = self.wires.get_mut(key) else { return };
        wire.unsubscriber = unsubscriber;
        let on_server = wire.phase.is_on_server();
        if on_server && wire.can_unsubscribe() {
            self.by_target.remove(&wire.target);
            self.enqueue(cx, key, Phase::Leaving);
        } else {
            let id = wire.id.clone();
            self.remove_wire(cx, key, Ok(()));
            if on_server {
                // The server will go on for as long as this connection lasts.
                cx.routes.abandon(id);
            }
        }
    }

    /// Takes a wire out of every table, and tells who waited for its end.
    fn remove_wire(
        &mut self,
        cx: &mut Context,
        key: WireKey,
        result: Result<(), UnsubscribeError>,
    ) {
        self.enter(cx, key, Phase::Offline);
        let Some(wire) = self.wires.remove(key) else { return };
        cx.routes.remove(&wire.id);
        // A wire that is left has given its target up, maybe to a successor.
        if self.by_target.get(&wire.target) == Some(&key) {
            self.by_target.remove(&wire.target);
        }
        if let Some(subscription) = wire.unsubscriber {
            cx.events.push_back(Event::Unsubscribed { subscription, result });
        }
    }

    /// The one place where a wire changes its phase.
    fn enter(&mut self, cx: &mut Context, key: WireKey, phase: Phase) {
        let Some(wire) = self.wires.get_mut(key) else { return };
        if let Some(at) = wire.phase.deadline() {
            cx.timers.clear(at, Timer::Wire(key));
        }
        self.unacknowledged -= usize::from(wire.phase.is_unacknowledged());
        self.unacknowledged += usize::from(phase.is_unacknowledged());
        self.leaving -= usize::from(wire.phase.is_leaving());
        self.leaving += usize::from(phase.is_leaving());
        wire.phase = phase;
        if let Some(at) = phase.deadline() {
            cx.timers.set(at, Timer::Wire(key));
        }
    }

    fn enqueue(&mut self, cx: &mut Context, key: WireKey, phase: Phase) {
        self.enter(cx, key, phase);
        // Keys whose wire has nothing to send any more are dropped before they outnumber the wires.
        if self.outgoing.len() > 2 * self.wires.len() + 16 {
            let wires = &self.wires;
            self.outgoing.retain(|key| {
                let phase = wires.get(*key).map(|wire| wire.phase);
                matches!(phase, Some(Phase::Queued | Phase::Leaving))
            });
        }
        self.outgoing.push_back(key);
    }

    /// A connection is open: everything that is wanted is sent once, in the order of the calls.
    pub(crate) fn opened(&mut self, cx: &mut Context) {
        for key in self.in_order() {
            self.enqueue(cx, key, Phase::Queued);
        }
    }

    /// The connection is lost: what is wanted waits for the next one, and what was left is gone.
    pub(crate) fn lost(&mut self, cx: &mut Context, why: &Lost) {
        self.outgoing.clear();
        self.last_loss = Some(why.clone());
        for key in self.in_order() {
            let Some(wire) = self.wires.get_mut(key) else { continue };
            if wire.phase.is_leaving() {
                self.remove_wire(cx, key, Ok(()));
                continue;
            }
            if wire.phase == Phase::Live {
                wire.confirm();
            }
            for member in &wire.members {
                if let Some(member) = self.members.get_mut(*member) {
                    member.lose();
                }
            }
            self.enter(cx, key, Phase::Offline);
        }
    }

    /// Hands out the next frame for the socket.
    pub(crate) fn next_text(&mut self, cx: &mut Context) -> Outgoing {
        while let Some(&key) = self.outgoing.front() {
            let framing = cx.config.framing;
            let due = cx.config.request_timeout.map(|timeout| cx.after(timeout));
            let text = match self.wires.get(key) {
                Some(wire) if wire.phase == Phase::Queued => {
                    if self.unacknowledged >= cx.config.replay_window.max(1) {
                        return Outgoing::Held;
                    }
                    let text = wire.subscribe_text(framing);
                    let without_ack = wire.without_ack;
                    self.enter(cx, key, Phase::Sent { due });
                    cx.stats.subscribes_sent += 1;
                    if without_ack {
                        self.acknowledged(cx, key);
                    }
                    Some(text)
                }
                Some(wire) if wire.phase == Phase::Leaving => {
                    let text = wire.unsubscribe_text(framing);
                    self.enter(cx, key, Phase::Left { due });
                    text
                }
                _ => None,
            };
            self.outgoing.pop_front();
            if let Some(text) = text {
                return Outgoing::Text(text);
            }
        }
        Outgoing::Nothing
    }

    /// A frame with a subscription's id has arrived. `whole` gives its payload.
    pub(crate) fn handle(
        &mut self,
        cx: &mut Context,
        key: WireKey,
        payload: &Payload<'_>,
        whole: impl FnOnce() -> Json,
    ) {
        let Some(wire) = self.wires.get(key) else { return };
        let answered = wire.is_answered_by(payload);
        match (wire.phase, payload.outcome()) {
            (Phase::Left { .. }, outcome) if answered => self.left(cx, key, outcome.err()),
            (Phase::Sent { .. } | Phase::Overdue, Ok(_)) if answered => self.acknowledged(cx, key),
            (Phase::Sent { .. } | Phase::Overdue, Err(refusal)) if answered => {
                self.refused(cx, key, refusal);
            }
            // What does not acknowledge can still refuse: an action that the server does not know.
            (Phase::Live, Err(refusal)) if answered && wire.without_ack => {
                self.refused(cx, key, refusal);
            }
            (Phase::Sent { .. } | Phase::Overdue | Phase::Live, outcome) if !answered => {
                self.deliver(cx, key, payload, outcome.err(), whole);
            }
            _ => cx.stats.late += 1,
        }
    }

    fn deliver(
        &mut self,
        cx: &mut Context,
        key: WireKey,
        payload: &Payload<'_>,
        refused: Option<Refusal>,
        whole: impl FnOnce() -> Json,
    ) {
        let Some(wire) = self.wires.get(key) else { return };
        let action = payload.action();
        let json = match (&refused, payload.data) {
            (Some(_), _) => Json::null(),
            (None, Some(data)) if Incoming::is_of_an_object(action, Some(data)) => Json::from(data),
            _ => whole(),
        };
        let event = Incoming { action, refused, data: payload.data, json };
        for &key in &wire.members {
            if let Some(member) = self.members.get_mut(key) {
                member.deliver(cx, key, self.last_loss.as_ref(), &event);
            }
        }
    }

    fn acknowledged(&mut self, cx: &mut Context, key: WireKey) {
        self.enter(cx, key, Phase::Live);
        let Some(wire) = self.wires.get_mut(key) else { return };
        // What was only handed over the server can still refuse.
        if !wire.without_ack {
            wire.confirm();
        }
        for &key in &wire.members {
            if let Some(member) = self.members.get_mut(key) {
                member.acknowledge(cx, key, self.last_loss.as_ref());
            }
        }
    }

    fn refused(&mut self, cx: &mut Context, key: WireKey, refusal: Refusal) {
        let Some(wire) = self.wires.get_mut(key) else { return };
        // S3: too many requests, and failures of the server itself, pass.
        if matches!(refusal.status, Some(429 | 500..=599)) {
            let delay = cx.config.backoff.delay(wire.put_off, &mut cx.random);
            wire.put_off = wire.put_off.saturating_add(1);
            let until = cx.after(delay);
            self.enter(cx, key, Phase::PutOff { until });
            return;
        }
        let ended = match refusal.status {
            Some(404) if wire.acknowledged => Ended::Gone(refusal),
            Some(401 | 403) if wire.acknowledged => Ended::Revoked(refusal),
            _ => Ended::Refused(refusal),
        };
        self.end_members(cx, key, &ended);
        self.remove_wire(cx, key, Ok(()));
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
    fn give_up_id(&mut self, cx: &mut Context, key: WireKey, result: Result<(), UnsubscribeError>) {
        let Some(id) = self.wires.get(key).map(|wire| wire.id.clone()) else { return };
        self.remove_wire(cx, key, result);
        cx.routes.abandon(id);
    }

    pub(crate) fn timer_fired(&mut self, cx: &mut Context, key: WireKey) {
        let Some(wire) = self.wires.get(key) else { return };
        match wire.phase {
            Phase::PutOff { .. } => self.enqueue(cx, key, Phase::Queued),
            Phase::Sent { .. } if wire.acknowledged => self.enter(cx, key, Phase::Overdue),
            Phase::Sent { .. } => {
                self.end_members(cx, key, &Ended::TimedOut);
                self.leave(cx, key, None);
            }
            Phase::Left { .. } => self.give_up_id(cx, key, Err(UnsubscribeError::TimedOut)),
            Phase::Offline | Phase::Queued | Phase::Overdue | Phase::Live | Phase::Leaving => {}
        }
    }

    fn end_members(&mut self, cx: &mut Context, key: WireKey, ended: &Ended) {
        let Some(wire) = self.wires.get_mut(key) else { return };
        for key in std::mem::take(&mut wire.members) {
            if let Some(member) = self.members.get_mut(key) {
                member.end(cx, key, ended.clone());
            }
        }
    }

    /// Ends all, and queues the unsubscribes of those that the server holds.
    pub(crate) fn leave_all(&mut self, cx: &mut Context, reason: &CloseReason) {
        for key in self.in_order() {
            let wanted = self.wires.get(key).is_some_and(|wire| !wire.members.is_empty());
            if wanted {
                self.end_members(cx, key, &Ended::Closed(reason.clone()));
                self.leave(cx, key, None);
            }
        }
    }

    /// The session is closed.
    pub(crate) fn close(&mut self, cx: &mut Context, reason: &CloseReason) {
        self.outgoing.clear();
        for key in self.in_order() {
            self.end_members(cx, key, &Ended::Closed(reason.clone()));
            self.remove_wire(cx, key, Ok(()));
        }
    }

    /// The wires in the order of the calls.
    fn in_order(&self) -> Vec<WireKey> {
        let mut keys: Vec<(u64, WireKey)> =
            self.wires.iter().map(|(key, wire)| (wire.sequence, key)).collect();
        keys.sort_unstable();
        keys.into_iter().map(|(_, key)| key).collect()
    }

    /// Whether a frame waits to be sent, or the answer to an unsubscribe is awaited.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving > 0
    }
}
