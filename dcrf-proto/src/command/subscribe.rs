//! A subscription as plain data.

use std::borrow::Cow;
use std::time::Duration;

use serde::Serialize;

use super::{Arguments, Request, Timeout, well_known};
use crate::id::RequestId;
use crate::protocol::json::Json;

/// A subscription to changes. It survives reconnects, and ends when it is cancelled or fails with a
/// [`SubscriptionError`](crate::SubscriptionError).
///
/// Subscriptions to the same stream, action and arguments share one upstream subscription. The id, the unsubscribe
/// action and [`without_ack`](Self::without_ack) of the first one apply to all of them.
///
/// ```
/// use dcrf_proto::Subscribe;
///
/// // The changes of one object:
/// let alex = Subscribe::instance("people", 4);
/// // A custom feed with an argument and create events. It unsubscribes with "unsubscribe_team":
/// let team = Subscribe::new("people", "subscribe_team").arg("team", "red").include_create();
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a `Subscribe` does nothing until it is passed to a client or session"]
#[expect(clippy::struct_excessive_bools, reason = "they are independent of each other")]
pub struct Subscribe {
    pub(crate) stream: Cow<'static, str>,
    pub(crate) action: Cow<'static, str>,
    pub(crate) unsubscribe_action: Option<Cow<'static, str>>,
    arguments: Arguments,
    /// An argument whose name depends on the configuration.
    pk: Option<Json>,
    pub(crate) id: Option<RequestId>,
    pub(crate) timeout: Timeout,
    pub(crate) include_create: bool,
    pub(crate) without_ack: bool,
    /// Boxed because it is rare, and a rejected subscription is returned by value.
    pub(crate) pk_field: Option<Box<Cow<'static, str>>>,
    pub(crate) overflow_policy: OverflowPolicy,
    refresh: bool,
    /// The custom request of a refresh.
    refresh_with: Option<Box<Request>>,
    /// The list that a resource describes, for a refresh without a custom request.
    list: Option<Box<Request>>,
    /// Whether a collection gets the changes.
    pub(crate) is_of_collection: bool,
}

/// What happens when a subscription has more unread changes than [`Config::changes`](crate::Config::changes) allows.
///
/// A slow reader never delays other subscriptions, requests or the connection.
///
/// ```
/// use dcrf_proto::{Subscribe, OverflowPolicy};
///
/// // A table on a screen needs only the current state of each row:
/// let rows = Subscribe::new("people", "subscribe_all").overflow_policy(OverflowPolicy::Conflate);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OverflowPolicy {
    /// Drops the oldest changes. [`Change::Lagged`](crate::Change::Lagged) counts them.
    #[default]
    DropOldest,
    /// Keeps the newest change of each primary key. If the buffer is full, changes that are superseded by a newer one
    /// of the same key are dropped first, beginning with the oldest. If there are no such changes, the oldest change is
    /// dropped, and [`Change::Lagged`](crate::Change::Lagged) counts it. So the last state of each object arrives,
    /// unless more objects change than the buffer holds.
    ///
    /// The reader must be prepared for an update of an object whose creation it has not seen, and for a deletion of an
    /// object that it does not know. The key is read from the data, see [`Subscribe::pk_field`]. A change without a key
    /// is never superseded.
    Conflate,
    /// Ends the subscription with [`SubscriptionError::Overflowed`](crate::SubscriptionError::Overflowed), after the
    /// changes in the buffer. For readers that must not miss a change.
    Close,
}

impl Subscribe {
    /// Subscribes with an action of a stream, such as `subscribe_all`.
    ///
    /// If the name of the action begins with `subscribe`, the unsubscribe action is the same name with `un` before it.
    /// Set any other name with [`unsubscribe_action`](Self::unsubscribe_action). Without an unsubscribe action, a
    /// cancel sends nothing.
    ///
    /// ```
    /// # use dcrf_proto::Subscribe;
    /// let all = Subscribe::new("people", "subscribe_all"); // and "unsubscribe_all"
    /// ```
    pub fn new(stream: &str, action: &str) -> Self {
        let action = well_known(action);
        let unsubscribe_action =
            action.starts_with("subscribe").then(|| Cow::Owned(format!("un{action}")));
        Self {
            stream: Cow::Owned(stream.to_owned()),
            unsubscribe_action,
            action,
            arguments: Arguments::default(),
            id: None,
            timeout: Timeout::Default,
            include_create: false,
            without_ack: false,
            pk_field: None,
            pk: None,
            overflow_policy: OverflowPolicy::default(),
            refresh: false,
            refresh_with: None,
            list: None,
            is_of_collection: false,
        }
    }

    /// Subscribes to the object with the primary key `pk`, with DCRF's `subscribe_instance`. For a consumer with another
    /// `lookup_field`, see [`ResourceDescription::lookup_field`](crate::ResourceDescription::lookup_field).
    ///
    /// ```
    /// # use dcrf_proto::Subscribe;
    /// let person = Subscribe::instance("people", 4);
    /// assert_eq!(person.action(), "subscribe_instance");
    /// ```
    pub fn instance(stream: &str, pk: impl Serialize) -> Self {
        let subscribe = Self::new(stream, "subscribe_instance").arg("pk", pk);
        Self { unsubscribe_action: Some(Cow::Borrowed("unsubscribe_instance")), ..subscribe }
    }

    /// Adds an argument of the subscribe and unsubscribe actions. It replaces an argument of the same name. See
    /// [`Request::arg`](crate::Request::arg) for invalid names and values.
    ///
    /// ```
    /// # use dcrf_proto::Subscribe;
    /// let urgent = Subscribe::new("tasks", "subscribe_priority").arg("priority", 1);
    /// ```
    pub fn arg(mut self, name: &str, value: impl Serialize) -> Self {
        self.arguments.set(well_known(name), &value);
        self
    }

    /// Adds each key of a map or struct as an [argument](Self::arg). `()` adds none.
    ///
    /// ```
    /// # use dcrf_proto::Subscribe;
    /// use serde_json::json;
    ///
    /// let urgent = Subscribe::new("tasks", "subscribe_priority").args(&json!({"priority": 1}));
    /// assert_eq!(urgent, Subscribe::new("tasks", "subscribe_priority").arg("priority", 1));
    /// ```
    pub fn args(mut self, arguments: &(impl Serialize + ?Sized)) -> Self {
        self.arguments.set_all(arguments);
        self
    }

    /// Adds a primary key as an argument with the name [`pk_field`](Self::pk_field), or `pk` for DCRF's
    /// `subscribe_instance`.
    ///
    /// ```
    /// # use dcrf_proto::Subscribe;
    /// // {"action": "subscribe_comments", "id": 4}
    /// let comments = Subscribe::new("posts", "subscribe_comments").pk_field("id").pk(4);
    /// ```
    pub fn pk(mut self, pk: impl Serialize) -> Self {
        match Json::from_value(&pk) {
            Ok(pk) => self.pk = Some(pk),
            // Reported when subscribing, like any invalid argument.
            Err(_) => self.arguments.set(Cow::Borrowed("pk"), &pk),
        }
        self
    }

    /// Sets the unsubscribe action.
    ///
    /// ```
    /// # use dcrf_proto::Subscribe;
    /// let news = Subscribe::new("news", "follow").unsubscribe_action("unfollow");
    /// ```
    pub fn unsubscribe_action(mut self, action: &str) -> Self {
        self.unsubscribe_action = Some(well_known(action));
        self
    }

    /// Sets the request id, in place of a random one. The server repeats it in every event.
    ///
    /// ```
    /// # use dcrf_proto::Subscribe;
    /// let person = Subscribe::instance("people", 4).id("person-4");
    /// ```
    pub fn id(mut self, id: impl Into<RequestId>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Limits how long subscribing may take, in place of [`Config::request_timeout`](crate::Config::request_timeout).
    ///
    /// The time is counted from the call, and includes waiting for a connection and for a server that asks to try again
    /// later. If the server has not acknowledged the subscription by then, it ends with
    /// [`SubscriptionError::TimedOut`](crate::SubscriptionError::TimedOut). Once it was acknowledged, no outage ends it.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Timeout::After(timeout);
        self
    }

    /// Keeps trying to subscribe without a timeout, for as long as the client is offline and the server asks to try again
    /// later.
    pub fn no_timeout(mut self) -> Self {
        self.timeout = Timeout::Never;
        self
    }

    /// Also delivers create events. [`refresh`](Self::refresh) does so too.
    pub fn include_create(mut self) -> Self {
        self.include_create = true;
        self
    }

    /// For actions that never reply. The subscription counts as acknowledged once the subscribe is sent.
    ///
    /// A feed written as in DCRF's documentation never replies. Its events have no `data`, so they arrive as
    /// [`Change::Other`](crate::Change::Other).
    ///
    /// ```
    /// # use dcrf_proto::Subscribe;
    /// let all = Subscribe::new("people", "subscribe_all").without_ack().include_create();
    /// ```
    pub fn without_ack(mut self) -> Self {
        self.without_ack = true;
        self
    }

    /// Sets the serializer's name for the primary key, in place of [`Config::pk_field`](crate::Config::pk_field). It is
    /// used in delete events, for the argument [`pk`](Self::pk), and by [`OverflowPolicy::Conflate`].
    ///
    /// ```
    /// # use dcrf_proto::Subscribe;
    /// let person = Subscribe::instance("people", 4).pk_field("id");
    /// ```
    pub fn pk_field(mut self, name: &str) -> Self {
        self.pk_field = Some(Box::new(well_known(name)));
        self
    }

    /// Sets what happens when the reader is too slow. By default, the oldest changes are dropped.
    ///
    /// ```
    /// # use dcrf_proto::{Subscribe, OverflowPolicy};
    /// let all = Subscribe::new("people", "subscribe_all").overflow_policy(OverflowPolicy::Close);
    /// ```
    pub fn overflow_policy(mut self, overflow_policy: OverflowPolicy) -> Self {
        self.overflow_policy = overflow_policy;
        self
    }

    /// Requests the current state each time the subscription goes live: at first, and after every reconnect.
    ///
    /// It is delivered as [`Change::Snapshot`](crate::Change::Snapshot), or as
    /// [`Change::Delete`](crate::Change::Delete) if the object does not exist. So a reader that applies changes and
    /// snapshots in order reaches the state of the server, whatever it has missed. A reader that was too slow gets
    /// [`Change::Lagged`](crate::Change::Lagged), and then another snapshot, unless one is still unread. Create events
    /// are delivered, as with [`include_create`](Self::include_create).
    ///
    /// If the state can't be refreshed, [`Change::RefreshFailed`](crate::Change::RefreshFailed) says why. The client
    /// tries again with backoff if the server fails or does not reply, and after the next reconnect if the server replies
    /// with another error, such as 403, or 405 for a consumer without this action. To try at once, subscribe again.
    ///
    /// A subscription to an instance uses `retrieve` with its own arguments. Others use `list` and read all pages, in any
    /// of the forms of [`Page`](crate::Page). Changes that arrive between the pages follow the snapshot. If the `count`
    /// of the list changes between pages, it is read again, up to three times. While objects are created and deleted all
    /// the time, pages by offset or number can miss an object: only a list in one page is exact. A list with more bytes
    /// than [`Config::changes`](crate::Config::changes) ends the subscription with
    /// [`SubscriptionError::Overflowed`](crate::SubscriptionError::Overflowed).
    ///
    /// ```
    /// # use dcrf_proto::Subscribe;
    /// let person = Subscribe::instance("people", 4).refresh();
    /// let all = Subscribe::new("people", "subscribe_all").refresh();
    /// ```
    pub fn refresh(mut self) -> Self {
        (self.refresh, self.refresh_with) = (true, None);
        self
    }

    /// Refreshes as [`refresh`](Self::refresh) does, with a custom request. The reply to `retrieve` is one object, the
    /// reply to `list` is a list or pages, and the reply to another action is either.
    ///
    /// ```
    /// # use dcrf_proto::{Request, Subscribe};
    /// let red = Subscribe::new("people", "subscribe_team").arg("team", "red");
    /// let red = red.refresh_with(Request::list("people").arg("team", "red").arg("limit", 100));
    /// ```
    pub fn refresh_with(mut self, request: Request) -> Self {
        (self.refresh, self.refresh_with) = (true, Some(Box::new(request)));
        self
    }

    /// Sets the list that [`refresh`](Self::refresh) requests.
    pub(super) fn list(mut self, request: Request) -> Self {
        self.list = Some(Box::new(request));
        self
    }

    /// Changes the list that [`refresh`](Self::refresh) requests.
    #[cfg(feature = "client")]
    pub(crate) fn map_list(mut self, map: impl FnOnce(Request) -> Request) -> Self {
        self.list = self.list.map(|list| Box::new(map(*list)));
        self
    }

    /// The feed of a resource that describes none. It is rejected.
    pub(super) fn without_feed(stream: &str) -> Self {
        let mut subscribe = Self::new(stream, "");
        subscribe.arguments.reject("feed_action", "the resource describes no feed");
        subscribe
    }

    pub(crate) fn refresh_request(&self) -> Option<Request> {
        if !self.refresh {
            return None;
        }
        if let Some(request) = &self.refresh_with {
            return Some((**request).clone());
        }
        // The consumer finds the object by the same arguments, whatever its `lookup_field` is.
        if self.action == "subscribe_instance" {
            let arguments = self.arguments("pk").into_owned();
            return Some(Request { arguments, ..Request::new(&self.stream, "retrieve") });
        }
        let list = self.list.as_deref().cloned();
        Some(list.unwrap_or_else(|| Request::list(&self.stream)))
    }

    /// The name of the stream.
    pub fn stream(&self) -> &str {
        &self.stream
    }

    /// The subscribe action.
    pub fn action(&self) -> &str {
        &self.action
    }

    /// An argument as it was given. The name `pk` also finds the value given to [`pk`](Self::pk).
    ///
    /// ```
    /// # use dcrf_proto::Subscribe;
    /// let person = Subscribe::instance("people", 4);
    /// assert_eq!(person.argument("pk").unwrap().as_str(), "4");
    /// ```
    pub fn argument(&self, name: &str) -> Option<Json> {
        let mut arguments = self.arguments.iter();
        let given = arguments.find(|(known, _)| *known == name).map(|(_, value)| value.into());
        given.or_else(|| self.pk.clone().filter(|_| name == "pk"))
    }

    /// The arguments with their names, where `pk_field` is that of the configuration.
    pub(crate) fn arguments(&self, pk_field: &str) -> Cow<'_, Arguments> {
        let Some(pk) = &self.pk else { return Cow::Borrowed(&self.arguments) };
        let name = match (&*self.action, &self.pk_field) {
            ("subscribe_instance", _) => "pk",
            (_, Some(own)) => own,
            (_, None) => pk_field,
        };
        let mut arguments = self.arguments.clone();
        arguments.set(Cow::Owned(name.to_owned()), pk);
        Cow::Owned(arguments)
    }
}
