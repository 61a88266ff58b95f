//! A subscription, as plain data.

use std::borrow::Cow;
use std::time::Duration;

use serde::Serialize;

use super::{Arguments, Request, Timeout, well_known};
use crate::id::RequestId;
use crate::protocol::json::Json;

/// A subscription to changes. It survives reconnects and ends when it is cancelled or the server rejects it.
///
/// Subscriptions to the same stream, action and arguments share one upstream subscription. The id, the unsubscribing
/// action, the timeout and [`without_ack`](Self::without_ack) of the first one apply to all of them.
///
/// ```
/// use dcrf_proto::Subscribe;
///
/// // The changes of one object:
/// let alex = Subscribe::instance("people", 4);
/// // A feed of your own, with an argument and with create events; it ends with "unsubscribe_team":
/// let team = Subscribe::new("people", "subscribe_team").arg("team", "red").include_create();
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a `Subscribe` does nothing until it is passed to a client or session"]
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
    /// Boxed since it is rare, and a rejected command is returned by value.
    pub(crate) pk_field: Option<Box<Cow<'static, str>>>,
    pub(crate) overflow_policy: OverflowPolicy,
    refresh: Option<Refreshing>,
}

/// How a subscription is refreshed.
#[derive(Clone, Debug, PartialEq)]
enum Refreshing {
    /// The object by `retrieve`, or the objects by `list`.
    ByItself,
    By(Box<Request>),
}

/// What happens when more changes wait in a subscription for its reader than
/// [`Config::changes`](crate::Config::changes) allows (S11). In no case does a slow reader delay another
/// subscription, a request, or the connection.
///
/// ```
/// use dcrf_proto::{Subscribe, OverflowPolicy};
///
/// // A table on a screen needs each row as it is now, and not how it came to be so:
/// let rows = Subscribe::new("people", "subscribe_all").overflow_policy(OverflowPolicy::Conflate);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OverflowPolicy {
    /// Drops the oldest changes. [`Change::Lagged`](crate::Change::Lagged) counts them.
    #[default]
    DropOldest,
    /// Keeps the newest change of each primary key. Changes that a newer one of the same key has superseded are dropped
    /// first, the oldest of them before the others. If there are none, the oldest change is dropped, and
    /// [`Change::Lagged`](crate::Change::Lagged) counts it. So the last state of each object arrives, unless more objects
    /// change than the buffer holds.
    ///
    /// A reader then takes an update of an object that it does not know for its creation, and a deletion of such
    /// a one for nothing. The key is read from the data under [`Subscribe::pk_field`]; a change without a key is
    /// never superseded.
    Conflate,
    /// The subscription ends with [`SubscriptionError::Overflowed`](crate::SubscriptionError::Overflowed), behind what waits: for a
    /// reader that must not miss anything.
    Close,
}

impl Subscribe {
    /// Subscribes with the action `action` of a stream, such as `subscribe_all`.
    ///
    /// It is undone by the action of the same name with `un` before it, when the name begins with
    /// `subscribe`; else, or where the server says otherwise, name it with
    /// [`unsubscribe_action`](Self::unsubscribe_action).
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
            refresh: None,
        }
    }

    /// The updates and the deletion of the object with the primary key `pk`, by DCRF's
    /// `subscribe_instance`.
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

    /// Adds an argument of the subscribing action; the unsubscribing action gets the same ones. The same
    /// name again replaces the value.
    ///
    /// What [`Request::arg`](crate::Request::arg) says of values and names holds here too.
    ///
    /// ```
    /// # use dcrf_proto::Subscribe;
    /// let urgent = Subscribe::new("tasks", "subscribe_priority").arg("priority", 1);
    /// ```
    pub fn arg(mut self, name: &str, value: impl Serialize) -> Self {
        self.arguments.set(well_known(name), &value);
        self
    }

    /// Adds each key of a map or struct as an [argument](Self::arg).
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

    /// Adds the primary key of an object as an argument: under the name of [`pk_field`](Self::pk_field), or
    /// as `pk` with DCRF's `subscribe_instance`.
    ///
    /// ```
    /// # use dcrf_proto::Subscribe;
    /// // {"action": "subscribe_comments", "id": 4}
    /// let comments = Subscribe::new("posts", "subscribe_comments").pk_field("id").pk(4);
    /// ```
    pub fn pk(mut self, pk: impl Serialize) -> Self {
        match Json::from_value(&pk) {
            Ok(pk) => self.pk = Some(pk),
            // Refused at the call, as any argument that can't be written.
            Err(_) => self.arguments.set(Cow::Borrowed("pk"), &pk),
        }
        self
    }

    /// Names the action that undoes the subscription.
    ///
    /// ```
    /// # use dcrf_proto::Subscribe;
    /// let news = Subscribe::new("news", "follow").unsubscribe_action("unfollow");
    /// ```
    pub fn unsubscribe_action(mut self, action: &str) -> Self {
        self.unsubscribe_action = Some(well_known(action));
        self
    }

    /// Uses a request id of your own, which the server repeats in every event.
    ///
    /// ```
    /// # use dcrf_proto::Subscribe;
    /// let person = Subscribe::instance("people", 4).id("person-4");
    /// ```
    pub fn id(mut self, id: impl Into<RequestId>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Limits how long the server may take to acknowledge the subscription, in place of
    /// [`Config::request_timeout`](crate::Config::request_timeout).
    ///
    /// The time starts when the subscribe is sent. If the first acknowledgement is late, the subscription ends with
    /// [`SubscriptionError::TimedOut`](crate::SubscriptionError::TimedOut). After a reconnect, a late acknowledgement does
    /// not end it.
    ///
    /// ```
    /// # use dcrf_proto::Subscribe;
    /// use std::time::Duration;
    ///
    /// let all = Subscribe::new("people", "subscribe_all").timeout(Duration::from_secs(5));
    /// ```
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Timeout::After(timeout);
        self
    }

    /// Waits for the acknowledgement without a time limit.
    ///
    /// ```
    /// # use dcrf_proto::Subscribe;
    /// let all = Subscribe::new("people", "subscribe_all").no_timeout();
    /// ```
    pub fn no_timeout(mut self) -> Self {
        self.timeout = Timeout::Never;
        self
    }

    /// Delivers create events too (S13), also those of a feed that sends no data and so arrive as
    /// [`Change::Other`](crate::Change::Other).
    ///
    /// ```
    /// # use dcrf_proto::Subscribe;
    /// let all = Subscribe::new("people", "subscribe_all").include_create();
    /// ```
    pub fn include_create(mut self) -> Self {
        self.include_create = true;
        self
    }

    /// For an action that never replies: the subscription counts as acknowledged once its frame is
    /// handed to the socket (S3).
    ///
    /// A feed written as in DCRF's documentation is such an action: it replies nothing, and its events have
    /// the key beside the payload's other fields and no data, so they arrive as
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

    /// The name of the primary key in this stream's objects, in place of
    /// [`Config::pk_field`](crate::Config::pk_field): in delete events (S10), for the argument
    /// [`pk`](Self::pk), and for [`OverflowPolicy::Conflate`].
    ///
    /// ```
    /// # use dcrf_proto::Subscribe;
    /// let person = Subscribe::instance("people", 4).pk_field("id");
    /// ```
    pub fn pk_field(mut self, name: &str) -> Self {
        self.pk_field = Some(Box::new(well_known(name)));
        self
    }

    /// What happens when its reader is slower than the server, in place of dropping the oldest changes (S11).
    ///
    /// ```
    /// # use dcrf_proto::{Subscribe, OverflowPolicy};
    /// let all = Subscribe::new("people", "subscribe_all").overflow_policy(OverflowPolicy::Close);
    /// ```
    pub fn overflow_policy(mut self, overflow_policy: OverflowPolicy) -> Self {
        self.overflow_policy = overflow_policy;
        self
    }

    /// Asks the server for the state as it is, each time that the subscription is in force: at first, and after
    /// every reconnect (S6). It is delivered as [`Change::Snapshot`](crate::Change::Snapshot), or as
    /// [`Change::Delete`](crate::Change::Delete) when the object is not there. So whoever takes changes and
    /// snapshots as they come ends with the state of the server, whatever was missed in between.
    ///
    /// A subscription to an instance asks with `retrieve`, another one with `list`, all pages of it. What changes
    /// between the pages comes behind the snapshot. A list whose `count` changes between them is begun anew, three times
    /// at most: where objects come and go all the time, pages by offset can miss one, and only a list in one page is
    /// exact. A list of more bytes than [`Config::changes`](crate::Config::changes) ends the subscription with
    /// [`SubscriptionError::Overflowed`](crate::SubscriptionError::Overflowed).
    ///
    /// ```
    /// # use dcrf_proto::Subscribe;
    /// let person = Subscribe::instance("people", 4).refresh();
    /// let all = Subscribe::new("people", "subscribe_all").include_create().refresh();
    /// ```
    pub fn refresh(mut self) -> Self {
        self.refresh = Some(Refreshing::ByItself);
        self
    }

    /// As [`refresh`](Self::refresh), by a request of your own: one that gets an object, a list, or a page of it, which
    /// the following pages are asked for after by `offset`.
    ///
    /// ```
    /// # use dcrf_proto::{Request, Subscribe};
    /// let red = Subscribe::new("people", "subscribe_team").arg("team", "red");
    /// let red = red.refresh_with(Request::list("people").arg("team", "red").arg("limit", 100));
    /// ```
    pub fn refresh_with(mut self, request: Request) -> Self {
        self.refresh = Some(Refreshing::By(Box::new(request)));
        self
    }

    pub(crate) fn refresh_request(&self) -> Option<Request> {
        Some(match (self.refresh.as_ref()?, self.argument("pk")) {
            (Refreshing::By(request), _) => (**request).clone(),
            (Refreshing::ByItself, Some(pk)) if self.action == "subscribe_instance" => {
                Request::retrieve(&self.stream, pk)
            }
            (Refreshing::ByItself, _) => Request::list(&self.stream),
        })
    }

    /// The stream's name.
    ///
    /// ```
    /// assert_eq!(dcrf_proto::Subscribe::instance("people", 4).stream(), "people");
    /// ```
    pub fn stream(&self) -> &str {
        &self.stream
    }

    /// The subscribing action's name.
    ///
    /// ```
    /// assert_eq!(dcrf_proto::Subscribe::instance("people", 4).action(), "subscribe_instance");
    /// ```
    pub fn action(&self) -> &str {
        &self.action
    }

    /// An argument, as it was given; `pk` is also what [`pk`](Self::pk) was given.
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

    /// The arguments with their names; `pk_field` is the session's.
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
