//! Subscriptions: what the caller is subscribed to, which of it is live on the server, and how it gets back there after a
//! reconnect.
//!
//! Each call to subscribe makes a [`Subscriber`]. Subscribers with the same target share an [`Upstream`] subscription (S2).

mod ack;
mod buffer;
mod conflation;
mod connection;
mod quarantine;
mod refresh;
mod refreshes;
mod registry;
mod replay;
mod streams;
mod subscriber;
mod upstream;

pub(crate) use self::connection::Next;
use self::quarantine::Quarantine;
pub(crate) use self::quarantine::Suspicion;
use self::refreshes::Refreshes;
use self::registry::Registry;
use self::replay::Replay;
use self::subscriber::Subscriber;
use self::upstream::{Phase, Target, Upstream};
use crate::command::{Arguments, Subscribe};
#[cfg(feature = "client")]
use crate::config::Config;
use crate::context::Context;
use crate::error::{ConnectionError, RejectReason, Rejected, SubscriptionError, UnsubscribeError};
use crate::event::{Change, Event};
use crate::id::{OwnMap, RequestId, SubscriptionKey, UpstreamKey};
use crate::protocol::envelope::Payload;
use crate::routing::{Destination, Route};
use crate::trace::SubscriptionEvent;

#[derive(Debug)]
pub(crate) struct Subscriptions {
    registry: Registry,
    /// Upstream subscriptions that further subscribers can join, by the fingerprint of their target.
    by_target: OwnMap<u64, UpstreamKey>,
    replay: Replay,
    refreshes: Refreshes,
    quarantine: Quarantine,
    next_sequence: u64,
    fresh: Fresh,
    /// Why the last established connection was lost, for gaps.
    last_error: Option<ConnectionError>,
}

/// The one request for fresh credentials when a replay is refused with 401 or 403 (S7).
#[derive(Debug, Default)]
enum Fresh {
    #[default]
    No,
    /// With the status of the error reply. The session has yet to reconnect.
    Wanted(u16),
    /// The next connection has them.
    Requested,
    /// The current or last connection was made with them.
    Given,
}

impl Subscriptions {
    pub(crate) fn new() -> Self {
        Self {
            registry: Registry::new(),
            by_target: OwnMap::default(),
            replay: Replay::default(),
            refreshes: Refreshes::default(),
            quarantine: Quarantine::default(),
            next_sequence: 0,
            fresh: Fresh::default(),
            last_error: None,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.registry.subscribers.len()
    }

    pub(crate) fn stream(&self, key: UpstreamKey) -> Option<&str> {
        self.registry.upstreams.get(key).map(|upstream| &*upstream.stream)
    }

    /// The stream and the action of a subscribe that was alone when a connection died, and why the last one died.
    pub(crate) fn suspicion(&self, key: SubscriptionKey) -> Option<(&str, &str, &ConnectionError)> {
        let upstream = self.registry.subscribers.get(key)?.upstream()?;
        let upstream = self.registry.upstreams.get(upstream)?;
        upstream.suspicion.as_ref().filter(|suspicion| suspicion.was_alone())?;
        Some((&upstream.stream, upstream.action(), self.last_error.as_ref()?))
    }

    pub(crate) fn refresh_stream(&self, key: SubscriptionKey) -> Option<&str> {
        refreshes::stream(&self.registry, key)
    }

    /// Whether a refresh that lists this stream is in flight.
    pub(crate) fn refreshes_list(&self, stream: &str) -> bool {
        self.registry.subscribers.iter().any(|(_, subscriber)| {
            subscriber.refresh.as_ref().is_some_and(|refresh| refresh.is_listing(stream))
        })
    }

    pub(crate) fn subscriber_mut(&mut self, key: SubscriptionKey) -> Option<&mut Subscriber> {
        self.registry.subscribers.get_mut(key)
    }

    pub(crate) fn is_acknowledged(&self, key: SubscriptionKey) -> bool {
        self.registry.subscribers.get(key).is_some_and(Subscriber::is_acknowledged)
    }

    #[cfg(feature = "client")]
    pub(crate) fn pk_field<'a>(&'a self, key: SubscriptionKey, config: &'a Config) -> &'a str {
        let subscriber = self.registry.subscribers.get(key);
        subscriber.map_or(&config.pk_field, |subscriber| subscriber.pk_field(config))
    }

    /// Why a subscription has ended, if it has.
    pub(crate) fn error(&self, key: SubscriptionKey) -> Option<&SubscriptionError> {
        self.registry.subscribers.get(key).and_then(Subscriber::error)
    }

    /// Whether a frame is to be sent, now or on the next connection.
    pub(crate) fn has_unsent(&self) -> bool {
        self.replay.has_unsent() || self.refreshes.has_queued()
    }

    /// Whether an unsubscribe is queued or unanswered.
    pub(crate) fn is_unsubscribing(&self) -> bool {
        self.replay.is_unsubscribing()
    }

    /// Adds a subscriber: to the upstream subscription with its target, or to a new one.
    pub(crate) fn subscribe(
        &mut self,
        cx: &mut Context,
        subscribe: Subscribe,
        is_connected: bool,
    ) -> Result<SubscriptionKey, Rejected<Subscribe>> {
        let upstream = match self.join_or_create(cx, &subscribe, is_connected) {
            Ok(upstream) => upstream,
            Err(reason) => return Err(Rejected { command: subscribe, reason }),
        };
        let subscriber = Subscriber::new(upstream, &subscribe);
        let key = self.registry.subscribers.insert_with(|_| subscriber);
        self.join(cx, upstream, key, &subscribe);
        Ok(key)
    }

    fn join_or_create(
        &mut self,
        cx: &mut Context,
        subscribe: &Subscribe,
        is_connected: bool,
    ) -> Result<UpstreamKey, RejectReason> {
        let arguments = subscribe.arguments(&cx.config.pk_field);
        let target = Target::new(&subscribe.stream, &subscribe.action, &arguments);
        self.check(cx, &arguments)?;
        if let Some(upstream) = self.by_target(&target) {
            self.check_id(cx, subscribe, upstream)?;
            return Ok(upstream);
        }
        let upstream = self.create(cx, subscribe, target.fingerprint(), arguments.into_owned())?;
        Ok(self.insert_upstream(cx, subscribe, upstream, is_connected))
    }

    /// The upstream subscription with this target, if subscribers can join it.
    fn by_target(&self, target: &Target) -> Option<UpstreamKey> {
        let key = *self.by_target.get(&target.fingerprint())?;
        // Different targets can have the same fingerprint.
        let is_same =
            self.registry.upstreams.get(key).is_some_and(|upstream| upstream.target() == *target);
        is_same.then_some(key)
    }

    fn join(
        &mut self,
        cx: &mut Context,
        upstream_key: UpstreamKey,
        key: SubscriptionKey,
        subscribe: &Subscribe,
    ) {
        let Some(upstream) = self.registry.upstreams.get_mut(upstream_key) else { return };
        upstream.subscribers.push(key);
        upstream.adopt_unsubscribe_action(subscribe);
        let is_live = upstream.phase.is_live();
        let Some(subscriber) = self.registry.subscribers.get_mut(key) else { return };
        if is_live {
            subscriber.acknowledge(cx, key, self.last_error.as_ref());
            self.refreshes.restart(&mut self.registry, cx, key);
        } else {
            let timeout = subscribe.timeout.or(cx.config.request_timeout);
            subscriber.start_timeout(cx, key, timeout);
        }
    }

    fn check(&self, cx: &Context, arguments: &Arguments) -> Result<(), RejectReason> {
        cx.admit()?;
        arguments.check()?;
        // Upstream subscriptions outlive their subscribers until the server has confirmed the unsubscribe.
        let count = self.registry.subscribers.len().max(self.registry.upstreams.len());
        if count < cx.config.max_subscriptions { Ok(()) } else { Err(RejectReason::QueueFull) }
    }

    /// Checks the id of a subscriber that joins: it may be that of the upstream subscription.
    fn check_id(
        &self,
        cx: &Context,
        subscribe: &Subscribe,
        key: UpstreamKey,
    ) -> Result<(), RejectReason> {
        let own = self.registry.upstreams.get(key).map(|upstream| &upstream.id);
        match &subscribe.id {
            Some(id) if Some(id) != own && !cx.routes.is_free(id) => Err(RejectReason::IdInUse),
            _ => Ok(()),
        }
    }

    fn create(
        &mut self,
        cx: &mut Context,
        subscribe: &Subscribe,
        target: u64,
        arguments: Arguments,
    ) -> Result<Upstream, RejectReason> {
        let id = match &subscribe.id {
            Some(id) if !cx.routes.is_free(id) => return Err(RejectReason::IdInUse),
            Some(id) => id.clone(),
            None => RequestId::random(&mut cx.random),
        };
        let stream = self.registry.streams.intern(&subscribe.stream);
        let upstream = Upstream::new(subscribe, stream, id, target, arguments, self.next_sequence);
        let (size, limit) = (upstream.size(cx.config.framing), cx.config.max_outgoing_message);
        if size <= limit {
            return Ok(upstream);
        }
        self.registry.streams.release(&upstream.stream);
        Err(RejectReason::TooLarge { size, limit })
    }

    fn insert_upstream(
        &mut self,
        cx: &mut Context,
        subscribe: &Subscribe,
        upstream: Upstream,
        is_connected: bool,
    ) -> UpstreamKey {
        self.next_sequence += 1;
        self.replay.added(upstream.phase);
        let (id, target) = (upstream.id.clone(), upstream.target);
        let suspicion = self.quarantine.recall(target);
        let key = self.registry.upstreams.insert_with(|_| upstream);
        if let Some(upstream) = self.registry.upstreams.get_mut(key) {
            upstream.select(cx, key, subscribe);
            upstream.suspicion.clone_from(&suspicion);
        }
        cx.routes.insert(id, Route::To(Destination::Upstream(key)));
        self.by_target.entry(target).or_insert(key);
        match suspicion {
            _ if !is_connected => {}
            Some(suspicion) => {
                self.hold_back(cx, key, &suspicion);
                self.quarantine.be_patient(cx);
            }
            None => {
                let phase = Phase::Queued { replayed: false };
                self.replay.enqueue(&mut self.registry, cx, key, phase);
            }
        }
        key
    }

    /// Removes a subscriber. With the last one, the upstream subscription goes too.
    pub(crate) fn unsubscribe(&mut self, cx: &mut Context, key: SubscriptionKey) {
        self.refreshes.stop(&mut self.registry, cx, key);
        self.leave_unused(cx);
        let Some(mut subscriber) = self.registry.subscribers.remove(key) else { return };
        subscriber.unsubscribed(cx, key);
        let unsubscriber = (!subscriber.is_of_collection()).then_some(key);
        match subscriber.upstream() {
            Some(upstream) if self.registry.detach(upstream, key) => {
                self.leave(cx, upstream, unsubscriber);
            }
            _ if unsubscriber.is_none() => {}
            _ => cx.events.push_back(Event::Unsubscribed { subscription: key, result: Ok(()) }),
        }
    }

    /// The next change of a subscription, or the error that ended it. The key is invalid after that.
    pub(crate) fn poll_change(
        &mut self,
        cx: &mut Context,
        key: SubscriptionKey,
    ) -> Option<Result<Change, SubscriptionError>> {
        let polled = self.registry.subscribers.get_mut(key)?.poll(cx);
        match &polled {
            Some(Ok(Change::Lagged(_))) => self.refreshes.lagged(&mut self.registry, key),
            Some(Err(_)) => {
                self.refreshes.stop(&mut self.registry, cx, key);
                self.registry.subscribers.remove(key);
            }
            Some(Ok(_)) | None => {}
        }
        polled
    }

    /// Handles the reply to a refresh.
    pub(crate) fn refresh_replied(
        &mut self,
        cx: &mut Context,
        key: SubscriptionKey,
        payload: &Payload<'_>,
    ) {
        if self.refreshes.replied(&mut self.registry, cx, key, payload) {
            self.quarantine.acknowledged();
        }
        self.leave_unused(cx);
    }

    pub(crate) fn refreshes_in_flight(&self) -> usize {
        self.refreshes.in_flight()
    }

    pub(crate) fn refresh_one_at_a_time(&mut self, one_at_a_time: bool) {
        self.refreshes.send_one_at_a_time(one_at_a_time);
    }

    /// A reply over the size limit has ended the connection, and only one refresh was unanswered.
    pub(crate) fn fail_refreshes_too_large(&mut self, cx: &mut Context, large: (usize, usize)) {
        self.refreshes.fail_too_large(&mut self.registry, cx, large);
        self.leave_unused(cx);
    }

    pub(crate) fn refresh_timer_fired(&mut self, cx: &mut Context, key: SubscriptionKey) {
        self.refreshes.timer_fired(&mut self.registry, cx, key);
        self.leave_unused(cx);
    }

    /// The status of a refused replay for which fresh credentials are to be requested.
    pub(crate) fn take_unauthorized(&mut self) -> Option<u16> {
        let Fresh::Wanted(status) = self.fresh else { return None };
        self.fresh = Fresh::Requested;
        Some(status)
    }

    pub(crate) fn hold_timer_fired(&mut self, cx: &mut Context) {
        self.quarantine.timer_fired(cx);
        self.registry.streams.free();
    }

    /// Leaves the upstream subscriptions that have lost their last subscriber to an overflow.
    fn leave_unused(&mut self, cx: &mut Context) {
        while let Some(key) = self.registry.next_unused() {
            self.leave(cx, key, None);
        }
    }

    /// The last subscriber has left: unsubscribes if the server may hold the subscription. `unsubscriber` gets the result.
    fn leave(&mut self, cx: &mut Context, key: UpstreamKey, unsubscriber: Option<SubscriptionKey>) {
        let Some(upstream) = self.registry.upstreams.get_mut(key) else { return };
        upstream.trace(cx, SubscriptionEvent::Unsubscribed);
        upstream.unsubscriber = unsubscriber;
        let is_live = upstream.phase.is_live();
        if let Some(suspicion) = upstream.suspicion.take().filter(|_| !is_live) {
            self.quarantine.remember(upstream.target, suspicion);
        }
        let is_on_server = upstream.is_on_server();
        if is_on_server && upstream.can_unsubscribe() {
            // A new subscriber to the same target must not join it any more.
            let target = upstream.target;
            self.release_target(target, key);
            self.replay.enqueue(&mut self.registry, cx, key, Phase::Unsubscribing);
        } else {
            let id = upstream.id.clone();
            self.remove_upstream(cx, key, Ok(()));
            if is_on_server {
                cx.routes.abandon(id);
            }
        }
    }

    fn remove_upstream(
        &mut self,
        cx: &mut Context,
        key: UpstreamKey,
        result: Result<(), UnsubscribeError>,
    ) {
        self.replay.enter(&mut self.registry, cx, key, Phase::Offline);
        let Some(mut upstream) = self.registry.upstreams.remove(key) else { return };
        if let Some(suspicion) = upstream.suspicion.take() {
            self.quarantine.remember(upstream.target, suspicion);
        }
        self.replay.removed(upstream.phase);
        cx.routes.remove(&upstream.id);
        upstream.deselect(cx, key);
        self.release_target(upstream.target, key);
        self.registry.streams.release(&upstream.stream);
        if let Some(subscription) = upstream.unsubscriber {
            cx.events.push_back(Event::Unsubscribed { subscription, result });
        }
    }

    fn release_target(&mut self, target: u64, key: UpstreamKey) {
        if self.by_target.get(&target) == Some(&key) {
            self.by_target.remove(&target);
        }
    }
}
