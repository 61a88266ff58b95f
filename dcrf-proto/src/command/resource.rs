//! How the server exposes the objects of a stream, as plain data.

use std::sync::Arc;

use serde::Serialize;

use super::{Arguments, Collect, Request, Subscribe, well_known};

/// How the server exposes the objects of one stream: described once, it makes the requests and subscriptions for them.
///
/// A client's `Resource` adds the type of the objects. Use the description itself with a [`Session`](crate::Session), and
/// wherever a plain [`Request`] or [`Subscribe`] is needed.
///
/// ```
/// use dcrf_proto::{Request, ResourceDescription, Subscribe};
///
/// let people = ResourceDescription::new("people").lookup_field("slug").feed_action("subscribe_all");
/// assert_eq!(people.retrieve("alex"), Request::new("people", "retrieve").arg("slug", "alex"));
/// assert_eq!(people.subscribe("alex"), Subscribe::new("people", "subscribe_instance").arg("slug", "alex"));
/// assert_eq!(people.feed().action(), "subscribe_all");
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct ResourceDescription {
    stream: String,
    pk_field: Option<String>,
    lookup_field: String,
    list_arguments: Arguments,
    feed: Option<Box<Subscribe>>,
}

impl ResourceDescription {
    /// Describes the objects of `stream` as DCRF's mixins expose them, looked up by `pk` and without a feed.
    pub fn new(stream: &str) -> Self {
        Self {
            stream: stream.to_owned(),
            pk_field: None,
            lookup_field: "pk".to_owned(),
            list_arguments: Arguments::default(),
            feed: None,
        }
    }

    /// Sets the serializer's name for the primary key, in place of [`Config::pk_field`](crate::Config::pk_field). See
    /// [`Subscribe::pk_field`].
    pub fn pk_field(mut self, name: &str) -> Self {
        self.pk_field = Some(name.to_owned());
        self
    }

    /// Sets the argument that names an object: the consumer's `lookup_url_kwarg`, or its `lookup_field` if it has none.
    /// Default: `pk`.
    ///
    /// It is the argument of `retrieve`, `update`, `patch`, `delete`, `subscribe_instance` and `unsubscribe_instance`. A
    /// wrong one is an exception in the consumer, which closes the connection. A subscription names its object by this key
    /// on each connection: if the server changes the key, it ends after the next reconnect with
    /// [`SubscriptionError::Gone`](crate::SubscriptionError::Gone).
    ///
    /// With a `lookup_field`, DCRF 1.3 acknowledges `subscribe_instance`, but its first update event is also such an
    /// exception: DCRF retrieves the object by `pk`. A consumer whose objects are to be subscribed to must override
    /// `handle_observed_action`:
    ///
    /// ```python
    /// class PersonConsumer(ObserverModelInstanceMixin, GenericAsyncAPIConsumer):
    ///     lookup_field = "slug"
    ///
    ///     async def handle_observed_action(self, action, group=None, **kwargs):
    ///         if action != "delete":
    ///             person = await Person.objects.filter(pk=kwargs["pk"]).afirst()
    ///             kwargs["slug"] = person and person.slug  # None is replied to with 404
    ///         await super().handle_observed_action(action, group=group, **kwargs)
    /// ```
    pub fn lookup_field(mut self, name: &str) -> Self {
        name.clone_into(&mut self.lookup_field);
        self
    }

    /// Adds an argument of the list requests, such as a filter, or the `limit` of a page. A collection retrieves single rows
    /// with it too. It is not sent with other requests, such as `create` and `patch`. See [`Request::arg`] for invalid names
    /// and values.
    ///
    /// ```
    /// # use dcrf_proto::{Request, ResourceDescription};
    /// let people = ResourceDescription::new("people").list_arg("limit", 100);
    /// assert_eq!(people.list(), Request::list("people").arg("limit", 100));
    /// ```
    pub fn list_arg(mut self, name: &str, value: impl Serialize) -> Self {
        self.list_arguments.set(well_known(name), &value);
        self
    }

    /// Sets the action that subscribes to the changes of all objects, on the same stream. For a feed with arguments or
    /// without an acknowledgement, use [`feed_with`](Self::feed_with).
    pub fn feed_action(self, action: &str) -> Self {
        let feed = Subscribe::new(&self.stream, action);
        self.feed_with(feed)
    }

    /// Sets the subscription to the changes of all objects, or of one group of them.
    ///
    /// ```
    /// # use dcrf_proto::{ResourceDescription, Subscribe};
    /// let feed = Subscribe::new("people", "subscribe_team").arg("team", "red").without_ack();
    /// let reds = ResourceDescription::new("people").list_arg("team", "red").feed_with(feed);
    /// assert_eq!(reds.feed().argument("team").unwrap().as_str(), r#""red""#);
    /// ```
    pub fn feed_with(mut self, feed: Subscribe) -> Self {
        self.feed = Some(Box::new(feed));
        self
    }

    /// The argument that names an object.
    pub(crate) fn looked_up_by(&self) -> &str {
        &self.lookup_field
    }

    /// The live collection of all objects: the [`list`](Self::list), followed by the [feed](Self::feed_action).
    pub fn collect(&self) -> Collect {
        let mut collect =
            Collect::new(&self.stream).list(self.list()).lookup_field(&self.lookup_field);
        if let Some(name) = &self.pk_field {
            collect = collect.pk_field(name);
        }
        if let Some(feed) = &self.feed {
            collect = collect.feed(self.with_pk_field((**feed).clone()));
        }
        collect.of_resource(Arc::new(self.clone()))
    }

    /// The name of the stream.
    pub fn stream(&self) -> &str {
        &self.stream
    }

    /// A `list` request with the [list arguments](Self::list_arg).
    pub fn list(&self) -> Request {
        Request { arguments: self.list_arguments.clone(), ..self.action("list") }
    }

    /// A `retrieve` request for the object with this key.
    pub fn retrieve(&self, key: impl Serialize) -> Request {
        self.action_on(key, "retrieve")
    }

    /// A `create` request for a new object from `data`.
    pub fn create(&self, data: &(impl Serialize + ?Sized)) -> Request {
        self.action("create").arg("data", data)
    }

    /// An `update` request that replaces the object with this key by `data`.
    pub fn update(&self, key: impl Serialize, data: &(impl Serialize + ?Sized)) -> Request {
        self.action_on(key, "update").arg("data", data)
    }

    /// A `patch` request that updates the fields in `data` of the object with this key.
    pub fn patch(&self, key: impl Serialize, data: &(impl Serialize + ?Sized)) -> Request {
        self.action_on(key, "patch").arg("data", data)
    }

    /// A `delete` request for the object with this key.
    pub fn delete(&self, key: impl Serialize) -> Request {
        self.action_on(key, "delete")
    }

    /// A request for any other action of the stream.
    pub fn action(&self, name: &str) -> Request {
        Request::new(&self.stream, name)
    }

    /// A request for any other action on the object with this key.
    ///
    /// ```
    /// # use dcrf_proto::{Request, ResourceDescription};
    /// let people = ResourceDescription::new("people");
    /// assert_eq!(people.action_on(4, "greet"), Request::new("people", "greet").arg("pk", 4));
    /// ```
    pub fn action_on(&self, key: impl Serialize, name: &str) -> Request {
        self.action(name).arg(&self.lookup_field, key)
    }

    /// A subscription to the object with this key, with DCRF's `subscribe_instance`.
    pub fn subscribe(&self, key: impl Serialize) -> Subscribe {
        let subscribe = Subscribe::new(&self.stream, "subscribe_instance");
        self.with_pk_field(subscribe.arg(&self.lookup_field, key))
    }

    /// A subscription to the creates, updates and deletes of all objects, with the [feed action](Self::feed_action). If
    /// it is [refreshed](Subscribe::refresh), the state is read with [`list`](Self::list).
    ///
    /// If no feed is described, the subscription is rejected with
    /// [`RejectReason::InvalidArgument`](crate::RejectReason::InvalidArgument).
    pub fn feed(&self) -> Subscribe {
        let Some(feed) = &self.feed else { return Subscribe::without_feed(&self.stream) };
        self.with_pk_field((**feed).clone().include_create().list(self.list()))
    }

    fn with_pk_field(&self, subscribe: Subscribe) -> Subscribe {
        match &self.pk_field {
            Some(name) if subscribe.pk_field.is_none() => subscribe.pk_field(name),
            _ => subscribe,
        }
    }
}
