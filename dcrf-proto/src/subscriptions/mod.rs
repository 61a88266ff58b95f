//! Subscriptions: what the caller wants, as the one truth (S1), shared on the wire where it is the same
//! (S2), sent anew on each connection, and handed to its readers in the server's order.

mod ack;
mod pairs;
mod quarantine;
mod refresh;
mod replay;
mod streams;
mod subscriber;
mod upstream;

use std::collections::VecDeque;
use std::time::Instant;

use self::pairs::Pairs;
use self::quarantine::Quarantine;
use self::streams::Streams;
use self::subscriber::Subscriber;
use self::upstream::{Phase, Target, Upstream};
use crate::command::{Arguments, Subscribe};
use crate::context::{Context, Route, Routes};
use crate::error::{ConnectionError, RejectReason, Rejected, SubscriptionError, UnsubscribeError};
use crate::event::{Change, Event};
use crate::frame::Frame;
use crate::id::{OwnMap, RequestId, SubscriptionKey, UpstreamKey};
use crate::timer::Timer;
use crate::trace::Told;

#[derive(Debug)]
pub(crate) struct Subscriptions {
    pairs: Pairs,
    streams: Streams,
    /// The wires that a new member of the same target joins, by the target's fingerprint. Looked up, never iterated.
    by_target: OwnMap<u64, UpstreamKey>,
    /// Wires that are to be replayed, in order (S4).
    replays: VecDeque<UpstreamKey>,
    /// Wires that have another frame to send, in order. In both queues those that have none any more are
    /// skipped.
    outgoing: VecDeque<UpstreamKey>,
    /// Replayed wires whose acknowledgement is awaited (S4).
    unacknowledged: usize,
    /// Wires that nobody wants any more, until the server has answered.
    leaving: usize,
    /// Wires that have a frame to send, now or once there is a connection.
    unsent: usize,
    quarantine: Quarantine,
    /// Those who wait for their refresh to be sent, in order, and how many have theirs under way (S6).
    refreshes: VecDeque<SubscriptionKey>,
    refreshing: usize,
    next_sequence: u64,
    /// Why the last connection was lost.
    last_loss: Option<ConnectionError>,
}

/// What the subscriptions have for the socket.
pub(crate) enum Outgoing {
    Frame(Frame),
    /// Something, but not before an acknowledgement has come.
    Held,
    Nothing,
}

impl Subscriptions {
    pub(crate) fn new() -> Self {
        Self {
            pairs: Pairs::default(),
            streams: Streams::default(),
            by_target: OwnMap::default(),
            replays: VecDeque::new(),
            outgoing: VecDeque::new(),
            unacknowledged: 0,
            leaving: 0,
            unsent: 0,
            quarantine: Quarantine::default(),
            refreshes: VecDeque::new(),
            refreshing: 0,
            next_sequence: 0,
            last_loss: None,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.pairs.subscribers()
    }

    pub(crate) fn stream(&self, key: UpstreamKey) -> Option<&str> {
        self.pairs.get(key).map(|upstream| &*upstream.stream)
    }

    /// The wire with this id, if it carries its place: found without a map, whose entries would be one more memory
    /// that each event touches.
    pub(crate) fn upstream_of(&self, id: &RequestId) -> Option<UpstreamKey> {
        let (key, upstream) = self.pairs.upstream_at(id.place()?)?;
        (upstream.id == *id).then_some(key)
    }

    /// Whether a request may use an id (R8).
    pub(crate) fn is_unknown(&self, routes: &Routes, id: &RequestId) -> bool {
        self.upstream_of(id).is_none() && routes.is_unknown(id)
    }

    /// Whether a subscription may use an id (R8).
    fn is_free(&self, routes: &Routes, id: &RequestId) -> bool {
        self.upstream_of(id).is_none() && routes.is_free(id)
    }

    pub(crate) fn subscriber_mut(&mut self, key: SubscriptionKey) -> Option<&mut Subscriber> {
        self.pairs.get_mut(key)
    }

    pub(crate) fn is_acknowledged(&self, key: SubscriptionKey) -> bool {
        self.pairs.get(key).is_some_and(Subscriber::is_acknowledged)
    }

    pub(crate) fn ended(&self, key: SubscriptionKey) -> Option<&SubscriptionError> {
        self.pairs.get(key).and_then(Subscriber::ended)
    }

    /// Registers what the caller wants.
    pub(crate) fn subscribe(
        &mut self,
        cx: &mut Context,
        subscribe: Subscribe,
        open: bool,
    ) -> Result<SubscriptionKey, Rejected<Subscribe>> {
        let arguments = subscribe.arguments(&cx.config.pk_field);
        let target = Target::new(&subscribe.stream, &subscribe.action, &arguments);
        let upstream = match self.check(cx, &arguments) {
            Err(reason) => Err(reason),
            Ok(()) => match self.by_target(&target) {
                Some(upstream) => self.accept_join(cx, &subscribe, upstream).map(|()| upstream),
                None => self
                    .accept(cx, &subscribe, target.fingerprint(), arguments.into_owned())
                    .map(|upstream| self.insert_upstream(cx, &subscribe, upstream, open)),
            },
        };
        let upstream_key = match upstream {
            Ok(key) => key,
            Err(reason) => return Err(Rejected { command: subscribe, reason }),
        };
        let key =
            self.pairs.insert_subscriber(upstream_key, Subscriber::new(upstream_key, &subscribe));
        self.join(cx, upstream_key, key, &subscribe);
        Ok(key)
    }

    /// The wire to the same target, of those that still take members.
    fn by_target(&self, target: &Target) -> Option<UpstreamKey> {
        let key = *self.by_target.get(&target.fingerprint())?;
        // Others may have this fingerprint too, if hardly ever.
        let is_same = self
            .pairs
            .get(key)
            .is_some_and(|upstream| upstream.sent.target(&upstream.stream) == *target);
        is_same.then_some(key)
    }

    fn join(
        &mut self,
        cx: &mut Context,
        upstream_key: UpstreamKey,
        key: SubscriptionKey,
        subscribe: &Subscribe,
    ) {
        let Some(upstream) = self.pairs.get_mut(upstream_key) else { return };
        upstream.subscribers.push(key);
        upstream.learn(subscribe);
        match (upstream.phase, self.pairs.get_mut(key)) {
            (Phase::Live, Some(subscriber)) => {
                subscriber.acknowledge(cx, key, self.last_loss.as_ref());
                self.refresh(cx, key);
            }
            // The newcomer waits no longer than anyone for an answer that is late already.
            (Phase::Overdue, _) => {
                let due = replay::due(cx);
                self.enter_until(cx, upstream_key, Phase::Sent { replayed: false }, due);
            }
            _ => {}
        }
    }

    fn check(&self, cx: &Context, arguments: &Arguments) -> Result<(), RejectReason> {
        cx.admit()?;
        arguments.check()?;
        let count = self.pairs.subscribers().max(self.pairs.upstreams());
        if count < cx.config.max_subscriptions { Ok(()) } else { Err(RejectReason::QueueFull) }
    }

    fn accept_join(
        &self,
        cx: &Context,
        subscribe: &Subscribe,
        key: UpstreamKey,
    ) -> Result<(), RejectReason> {
        let own = self.pairs.get(key).map(|upstream| &upstream.id);
        match &subscribe.id {
            Some(id) if Some(id) != own && !self.is_free(&cx.routes, id) => {
                Err(RejectReason::IdInUse)
            }
            _ => Ok(()),
        }
    }

    fn accept(
        &mut self,
        cx: &mut Context,
        subscribe: &Subscribe,
        target: u64,
        arguments: Arguments,
    ) -> Result<Upstream, RejectReason> {
        let place = self.pairs.next_index();
        let id = cx.choose_id(
            subscribe.id.as_ref(),
            |routes, id| self.is_free(routes, id),
            |random| RequestId::random_at(place, random),
        )?;
        let stream = self.streams.name(&subscribe.stream);
        let upstream = Upstream::new(subscribe, stream, id, target, arguments, self.next_sequence);
        let (size, limit) = (upstream.size(cx.config.framing), cx.config.max_outgoing_message);
        if size <= limit {
            return Ok(upstream);
        }
        self.streams.release(&upstream.stream);
        Err(RejectReason::TooLarge { size, limit })
    }

    fn insert_upstream(
        &mut self,
        cx: &mut Context,
        subscribe: &Subscribe,
        upstream: Upstream,
        open: bool,
    ) -> UpstreamKey {
        self.next_sequence += 1;
        let target = upstream.sent.target;
        self.unsent += usize::from(upstream.phase.is_unsent());
        let key = self.pairs.insert_upstream(upstream);
        if let Some(upstream) = self.pairs.get_mut(key) {
            upstream.select(cx, key, subscribe);
        }
        if let Some(id) = &subscribe.id {
            cx.routes.insert(id.clone(), Route::Upstream(key));
        }
        self.by_target.entry(target).or_insert(key);
        if open {
            self.enqueue(cx, key, Phase::Queued { replayed: false });
        }
        key
    }

    /// Ends one of the caller's subscriptions: nothing more is delivered (S9).
    pub(crate) fn unsubscribe(&mut self, cx: &mut Context, key: SubscriptionKey) {
        self.stop_refresh(cx, key);
        let Some(mut subscriber) = self.pairs.remove(key) else { return };
        subscriber.forget(cx);
        let left =
            subscriber.upstream().and_then(|upstream| self.without_subscriber(upstream, key));
        match left {
            Some(upstream) => self.leave(cx, upstream, Some(key)),
            None => cx.events.push_back(Event::Unsubscribed { subscription: key, result: Ok(()) }),
        }
    }

    /// Takes a member off its wire, and returns the wire when that was the last one.
    fn without_subscriber(
        &mut self,
        upstream_key: UpstreamKey,
        subscriber: SubscriptionKey,
    ) -> Option<UpstreamKey> {
        let upstream = self.pairs.get_mut(upstream_key)?;
        if let Some(place) = upstream.subscribers.iter().position(|other| *other == subscriber) {
            upstream.subscribers.swap_remove(place);
        }
        upstream.subscribers.is_empty().then_some(upstream_key)
    }

    /// The next change of one of the caller's subscriptions, whose key is free once its end is told.
    pub(crate) fn poll_change(
        &mut self,
        cx: &mut Context,
        key: SubscriptionKey,
    ) -> Option<Result<Change, SubscriptionError>> {
        let polled = self.pairs.get_mut(key)?.poll(cx);
        if let Some(Err(_)) = &polled {
            self.stop_refresh(cx, key);
            self.pairs.remove(key);
        }
        polled
    }

    /// Nobody wants this wire any more.
    fn leave(&mut self, cx: &mut Context, key: UpstreamKey, unsubscriber: Option<SubscriptionKey>) {
        let Some(upstream) = self.pairs.get_mut(key) else { return };
        upstream.trace(cx, Told::Left);
        upstream.sent.unsubscriber = unsubscriber;
        let on_server = upstream.is_on_server();
        if on_server && upstream.can_unsubscribe() {
            let target = upstream.sent.target;
            self.give_up_target(target, key);
            self.enqueue(cx, key, Phase::Leaving);
        } else {
            let id = upstream.id.clone();
            self.remove_upstream(cx, key, Ok(()));
            if on_server {
                // The server will go on for as long as this connection lasts.
                cx.routes.abandon(id);
            }
        }
    }

    /// Takes a wire out of every table, and tells who waited for its end.
    fn remove_upstream(
        &mut self,
        cx: &mut Context,
        key: UpstreamKey,
        result: Result<(), UnsubscribeError>,
    ) {
        self.enter(cx, key, Phase::Offline);
        let Some(upstream) = self.pairs.remove(key) else { return };
        self.unsent -= usize::from(upstream.phase.is_unsent());
        cx.routes.remove(&upstream.id);
        upstream.deselect(cx, key);
        self.give_up_target(upstream.sent.target, key);
        self.streams.release(&upstream.stream);
        if let Some(subscription) = upstream.sent.unsubscriber {
            cx.events.push_back(Event::Unsubscribed { subscription, result });
        }
    }

    /// Nobody joins this wire any more. One that was left has given its target up before, maybe to a successor.
    fn give_up_target(&mut self, target: u64, key: UpstreamKey) {
        if self.by_target.get(&target) == Some(&key) {
            self.by_target.remove(&target);
        }
    }

    /// The one place where a wire changes its phase.
    fn enter(&mut self, cx: &mut Context, key: UpstreamKey, phase: Phase) {
        let Some(upstream) = self.pairs.get_mut(key) else { return };
        if let Some(at) = upstream.sent.deadline.take() {
            cx.timers.clear(at, Timer::Upstream(key));
        }
        self.unacknowledged -= usize::from(upstream.phase.fills_window());
        self.unacknowledged += usize::from(phase.fills_window());
        self.unsent -= usize::from(upstream.phase.is_unsent());
        self.unsent += usize::from(phase.is_unsent());
        self.leaving -= usize::from(upstream.phase.is_leaving());
        self.leaving += usize::from(phase.is_leaving());
        upstream.phase = phase;
    }

    fn enter_until(&mut self, cx: &mut Context, key: UpstreamKey, phase: Phase, deadline: Instant) {
        self.enter(cx, key, phase);
        if let Some(upstream) = self.pairs.get_mut(key) {
            upstream.sent.deadline = Some(deadline);
            cx.timers.set(deadline, Timer::Upstream(key));
        }
    }

    fn enqueue(&mut self, cx: &mut Context, key: UpstreamKey, phase: Phase) {
        self.enter(cx, key, phase);
        let pairs = &self.pairs;
        let queue = if phase.is_replayed() { &mut self.replays } else { &mut self.outgoing };
        // Keys whose wire has nothing to send any more are dropped before they outnumber the wires.
        if queue.len() > 2 * pairs.upstreams() + 16 {
            queue.retain(|key| {
                let phase = pairs.get(*key).map(|upstream| upstream.phase);
                matches!(phase, Some(Phase::Queued { .. } | Phase::Leaving))
            });
        }
        queue.push_back(key);
    }

    /// Whether a frame waits for the socket, or for a connection.
    pub(crate) fn has_unsent(&self) -> bool {
        self.unsent > 0 || !self.refreshes.is_empty()
    }

    /// Whether a frame waits to be sent, or the answer to an unsubscribe is awaited.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving > 0
    }
}
