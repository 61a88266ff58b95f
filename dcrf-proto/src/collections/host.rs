//! The session, as one replica uses it.

use std::time::Instant;

use super::Parts;
use crate::command::{Request, Subscribe};
use crate::context::Context;
use crate::error::{ConnectionError, RejectReason, RequestError, SubscriptionError};
use crate::event::Change;
use crate::id::{OwnMap, ReplicaKey, RequestKey, SubscriptionKey};
use crate::requests::Requests;
use crate::subscriptions::Subscriptions;
use crate::timer::Timer;

/// Which replica a subscription or a request belongs to.
#[derive(Debug, Default)]
pub(super) struct Owners {
    pub(super) feeds: OwnMap<SubscriptionKey, ReplicaKey>,
    pub(super) requests: OwnMap<RequestKey, ReplicaKey>,
}

/// Makes the requests and subscriptions of one replica.
pub(super) struct Host<'a> {
    pub(super) cx: &'a mut Context,
    pub(super) is_connected: bool,
    requests: &'a mut Requests,
    subscriptions: &'a mut Subscriptions,
    owners: &'a mut Owners,
    replica: ReplicaKey,
}

impl<'a> Host<'a> {
    pub(super) fn new(
        parts: &'a mut Parts<'_>,
        owners: &'a mut Owners,
        replica: ReplicaKey,
    ) -> Self {
        let Parts { cx, requests, subscriptions, is_connected } = parts;
        Self { cx, is_connected: *is_connected, requests, subscriptions, owners, replica }
    }

    /// Makes a request. It fails with its connection: the next one begins with a list.
    pub(super) fn request(&mut self, request: Request) -> Result<RequestKey, RequestError> {
        let key = self.requests.request(self.cx, request.of_collection())?;
        self.owners.requests.insert(key, self.replica);
        Ok(key)
    }

    /// Whether a request was not handed to the socket yet.
    pub(super) fn is_queued(&self, request: RequestKey) -> bool {
        self.requests.is_queued(request)
    }

    /// Whether a connection that dies now can have died of this request alone, and has served others (L12).
    pub(super) fn is_suspect(&self, request: RequestKey) -> bool {
        self.requests.is_only_recent(self.cx, request) && self.subscriptions.are_answered(self.cx)
    }

    pub(super) fn cancel(&mut self, request: RequestKey) {
        self.owners.requests.remove(&request);
        self.requests.cancel(self.cx, request);
    }

    pub(super) fn subscribe(
        &mut self,
        subscribe: Subscribe,
    ) -> Result<SubscriptionKey, RejectReason> {
        let subscribed = self.subscriptions.subscribe(self.cx, subscribe, self.is_connected);
        let feed = subscribed.map_err(|rejected| rejected.reason)?;
        self.owners.feeds.insert(feed, self.replica);
        Ok(feed)
    }

    pub(super) fn unsubscribe(&mut self, feed: SubscriptionKey) {
        self.forget(feed);
        self.subscriptions.unsubscribe(self.cx, feed);
    }

    /// A subscription has ended by itself.
    pub(super) fn forget(&mut self, feed: SubscriptionKey) {
        self.owners.feeds.remove(&feed);
    }

    pub(super) fn poll_change(
        &mut self,
        feed: SubscriptionKey,
    ) -> Option<Result<Change, SubscriptionError>> {
        self.subscriptions.poll_change(self.cx, feed)
    }

    /// The stream and the action of a subscribe after which connections end, and why the last one did.
    pub(super) fn suspicion(
        &self,
        feed: SubscriptionKey,
    ) -> Option<(&str, &str, &ConnectionError)> {
        self.subscriptions.suspicion(feed)
    }

    /// Sets the replica's timer to `next`. `timer` is when it fires now.
    pub(super) fn set_timer(&mut self, timer: &mut Option<Instant>, next: Option<Instant>) {
        if next == *timer {
            return;
        }
        if let Some(before) = std::mem::replace(timer, next) {
            self.cx.timers.clear(before, Timer::Collection(self.replica));
        }
        if let Some(next) = next {
            self.cx.timers.set(next, Timer::Collection(self.replica));
        }
    }
}
