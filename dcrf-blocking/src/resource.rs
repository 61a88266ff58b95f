//! Typed requests and subscriptions for the objects of one stream.

use std::fmt;

use dcrf_proto::client;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{
    Client, CollectionBuilder, Items, Receiver, Request, RequestError, ResourceDescription,
    Subscribe, Subscription, SubscriptionError, wait,
};

/// The objects of one stream, decoded as `T`: typed requests and subscriptions, without repeating how the server exposes
/// them. Create it with [`Client::resource`].
///
/// It is cheap to clone, and can be kept in a struct and shared between threads. It counts as a handle of its [`Client`]:
/// the client stays open while there is a resource.
///
/// ```no_run
/// use dcrf_blocking::Resource;
/// use serde::Deserialize;
/// use serde_json::json;
///
/// #[derive(Deserialize)]
/// struct Person {
///     pk: u64,
///     name: String,
/// }
///
/// struct App {
///     people: Resource<Person>,
/// }
///
/// # fn f(client: dcrf_blocking::Client) -> Result<(), dcrf_blocking::RequestError> {
/// let app = App { people: client.resource("people").feed_action("subscribe_all") };
/// let alex = app.people.create(&json!({"name": "Alex"}))?;
/// let jefe = app.people.patch(alex.pk, &json!({"name": "Jefe"}))?;
/// println!("{} people, and {} is now {}", app.people.list()?.len(), alex.name, jefe.name);
/// # Ok(())
/// # }
/// ```
#[must_use = "a `Resource` does nothing by itself"]
pub struct Resource<T> {
    resource: client::Resource<T>,
    client: Client,
}

impl Client {
    /// The objects of `stream`, decoded as `T`. By default they are looked up by `pk` and have no feed: change that with
    /// the setters of [`Resource`].
    ///
    /// ```no_run
    /// # use dcrf_blocking::{Client, Resource};
    /// # fn f(client: &Client) {
    /// let people: Resource<serde_json::Value> = client.resource("people").lookup_field("slug");
    /// # }
    /// ```
    pub fn resource<T>(&self, stream: &str) -> Resource<T> {
        self.resource_with(ResourceDescription::new(stream))
    }

    /// The objects that `description` describes, decoded as `T`.
    ///
    /// ```no_run
    /// # use dcrf_blocking::{Client, Resource, ResourceDescription};
    /// fn people() -> ResourceDescription {
    ///     ResourceDescription::new("people").lookup_field("slug").feed_action("subscribe_all")
    /// }
    /// # fn f(client: &Client) {
    /// let people: Resource<serde_json::Value> = client.resource_with(people());
    /// # }
    /// ```
    pub fn resource_with<T>(&self, description: ResourceDescription) -> Resource<T> {
        Resource { resource: self.0.resource_with(description), client: self.clone() }
    }
}

/// How the server exposes the objects.
impl<T> Resource<T> {
    /// Sets the serializer's name for the primary key. See [`ResourceDescription::pk_field`].
    pub fn pk_field(self, name: &str) -> Self {
        Self { resource: self.resource.pk_field(name), ..self }
    }

    /// Sets the argument that names an object: the consumer's `lookup_url_kwarg`, or its `lookup_field` if it has none.
    /// Default: `pk`. See [`ResourceDescription::lookup_field`] for what the consumer needs.
    pub fn lookup_field(self, name: &str) -> Self {
        Self { resource: self.resource.lookup_field(name), ..self }
    }

    /// Adds an argument of [`list`](Self::list) and [`all`](Self::all), such as a filter, or the `limit` of a page. A
    /// [`collection`](Self::collection) retrieves single rows with it too. It is not sent with other requests, such as
    /// [`create`](Self::create), [`patch`](Self::patch) and [`delete`](Self::delete).
    pub fn list_arg(self, name: &str, value: impl Serialize) -> Self {
        Self { resource: self.resource.list_arg(name, value), ..self }
    }

    /// Sets the action that subscribes to the changes of all objects. For a feed with arguments or without an
    /// acknowledgement, use [`feed_with`](Self::feed_with).
    pub fn feed_action(self, action: &str) -> Self {
        Self { resource: self.resource.feed_action(action), ..self }
    }

    /// Sets the subscription to the changes of all objects, or of one group of them.
    ///
    /// ```no_run
    /// # use dcrf_blocking::{Client, Resource, Subscribe};
    /// # fn f(client: &Client) {
    /// let feed = Subscribe::new("people", "subscribe_team").arg("team", "red");
    /// let reds: Resource<serde_json::Value> = client.resource("people").list_arg("team", "red").feed_with(feed);
    /// # }
    /// ```
    pub fn feed_with(self, feed: Subscribe) -> Self {
        Self { resource: self.resource.feed_with(feed), ..self }
    }

    /// How the server exposes the objects. It makes plain requests and subscriptions, which [`with`](Self::with) and
    /// [`with_subscribe`](Self::with_subscribe) don't change.
    ///
    /// ```no_run
    /// # use dcrf_blocking::{Client, ReplyFuture, RequestError, Resource};
    /// # fn f(client: &Client, people: &Resource<String>) -> Result<(), RequestError> {
    /// // Two requests at once:
    /// let people = people.description();
    /// let jo: ReplyFuture<String> = client.start(people.retrieve(4));
    /// let alex: ReplyFuture<String> = client.start(people.retrieve(5));
    /// println!("{} and {}", jo.wait()?, alex.wait()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn description(&self) -> &ResourceDescription {
        self.resource.description()
    }

    /// Returns a resource whose requests all pass through `map`, after the maps of earlier calls: to add arguments or
    /// timeouts, once for all requests or for a single one.
    ///
    /// It also applies to the list with which the [`feed`](Self::feed) is refreshed. `map` runs on the caller's thread.
    ///
    /// ```no_run
    /// # use dcrf_blocking::{Client, Request, RequestError, Resource};
    /// # use std::time::Duration;
    /// # fn f(client: Client) -> Result<(), RequestError> {
    /// let people: Resource<serde_json::Value> = client.resource("people");
    /// let people = people.with(|request| request.timeout(Duration::from_secs(5)));
    /// // Once, and only if there is a connection:
    /// people.with(Request::fail_fast).delete(4)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn with(&self, map: impl Fn(Request) -> Request + Send + Sync + 'static) -> Self {
        Self { resource: self.resource.with(map), client: self.client.clone() }
    }

    /// Returns a resource whose subscriptions all pass through `map`, after the maps of earlier calls.
    ///
    /// ```no_run
    /// # use dcrf_blocking::{Resource, Subscribe, SubscriptionError};
    /// # fn f(people: Resource<String>) -> Result<(), SubscriptionError> {
    /// let changes = people.with_subscribe(Subscribe::refresh).feed()?;
    /// # drop(changes);
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_subscribe(
        &self,
        map: impl Fn(Subscribe) -> Subscribe + Send + Sync + 'static,
    ) -> Self {
        Self { resource: self.resource.with_subscribe(map), client: self.client.clone() }
    }

    /// Makes a request on this thread, and waits for the reply.
    fn wait<R>(
        &self,
        call: impl FnOnce(&client::Resource<T>) -> client::ReplyFuture<R>,
    ) -> Result<R, RequestError> {
        wait::wait(self.client.send_here(|| call(&self.resource)))
    }
}

impl<T: DeserializeOwned> Resource<T> {
    /// Lists the objects, with one request and one reply.
    ///
    /// If the server paginates the list, this fails, also if there is only one page: use [`all`](Self::all).
    ///
    /// ```no_run
    /// # fn f(people: dcrf_blocking::Resource<String>) -> Result<(), dcrf_blocking::RequestError> {
    /// let people: Vec<String> = people.list()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`ReplyFuture`](crate::ReplyFuture). The reply is a page, and so a [`RequestError::Decode`].
    pub fn list(&self) -> Result<Vec<T>, RequestError> {
        self.wait(client::Resource::list)
    }

    /// Iterates over all objects, paginated or not, with one request per page.
    ///
    /// ```no_run
    /// # use dcrf_blocking::{ReplyError, Resource};
    /// # fn f(people: Resource<String>) -> Result<(), ReplyError> {
    /// let people: Vec<String> = people.all().collect::<Result<_, _>>()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn all(&self) -> Items<T> {
        Receiver(self.resource.all())
    }

    /// Retrieves the object with this key: the value of the [lookup field](Self::lookup_field).
    ///
    /// ```no_run
    /// # use dcrf_blocking::{RequestError, Resource};
    /// # fn f(people: Resource<String>) -> Result<(), RequestError> {
    /// match people.retrieve(4) {
    ///     Ok(person) => println!("{person}"),
    ///     Err(RequestError::ErrorReply(reply)) if reply.is_not_found() => println!("there is no such person"),
    ///     Err(error) => return Err(error),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`ReplyFuture`](crate::ReplyFuture). If there is no such object, the error reply
    /// [is not found](crate::ErrorReply::is_not_found).
    pub fn retrieve(&self, key: impl Serialize) -> Result<T, RequestError> {
        self.wait(|resource| resource.retrieve(key))
    }

    /// Creates an object from `data`, and returns it.
    ///
    /// ```no_run
    /// # fn f(people: dcrf_blocking::Resource<String>) -> Result<(), dcrf_blocking::RequestError> {
    /// let alex = people.create(&serde_json::json!({"name": "Alex"}))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`ReplyFuture`](crate::ReplyFuture).
    pub fn create(&self, data: &(impl Serialize + ?Sized)) -> Result<T, RequestError> {
        self.wait(|resource| resource.create(data))
    }

    /// Replaces the object with this key by `data`, and returns it.
    ///
    /// ```no_run
    /// # fn f(people: dcrf_blocking::Resource<String>) -> Result<(), dcrf_blocking::RequestError> {
    /// let jo = people.update(4, &serde_json::json!({"name": "Jo", "age": 41}))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`ReplyFuture`](crate::ReplyFuture).
    pub fn update(
        &self,
        key: impl Serialize,
        data: &(impl Serialize + ?Sized),
    ) -> Result<T, RequestError> {
        self.wait(|resource| resource.update(key, data))
    }

    /// Updates the fields in `data` of the object with this key, and returns the object.
    ///
    /// ```no_run
    /// # fn f(people: dcrf_blocking::Resource<String>) -> Result<(), dcrf_blocking::RequestError> {
    /// let jo = people.patch(4, &serde_json::json!({"age": 42}))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`ReplyFuture`](crate::ReplyFuture).
    pub fn patch(
        &self,
        key: impl Serialize,
        data: &(impl Serialize + ?Sized),
    ) -> Result<T, RequestError> {
        self.wait(|resource| resource.patch(key, data))
    }

    /// Subscribes to the changes of the object with this key, and waits until the server has acknowledged it.
    ///
    /// ```no_run
    /// # use dcrf_blocking::{Change, Resource};
    /// # fn f(people: Resource<String>) -> Result<(), Box<dyn std::error::Error>> {
    /// for change in people.subscribe(4)? {
    ///     if let Change::Update(alex) = change? {
    ///         println!("now {alex}");
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`SubscribeFuture`](crate::SubscribeFuture).
    pub fn subscribe(&self, key: impl Serialize) -> Result<Subscription<T>, SubscriptionError> {
        Ok(Receiver(wait::wait(self.resource.subscribe(key))?))
    }

    /// Subscribes to the creates, updates and deletes of all objects, with the [feed action](Self::feed_action), and
    /// waits until the server has acknowledged it.
    ///
    /// ```no_run
    /// # use dcrf_blocking::{Change, Client, Resource};
    /// # fn f(client: Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let people: Resource<String> = client.resource("people").feed_action("subscribe_all");
    /// for change in people.feed()? {
    ///     match change? {
    ///         Change::Create(person) | Change::Update(person) => println!("{person}"),
    ///         Change::Delete(deleted) => println!("without {:?}", deleted.pk),
    ///         Change::Gap(gap) => println!("changes may be missing: {}", gap.cause),
    ///         _ => {}
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`SubscribeFuture`](crate::SubscribeFuture). If no feed is described, it is
    /// [`RejectReason::InvalidArgument`](crate::RejectReason::InvalidArgument).
    pub fn feed(&self) -> Result<Subscription<T>, SubscriptionError> {
        Ok(Receiver(wait::wait(self.resource.feed())?))
    }
}

impl<T> Resource<T> {
    /// Deletes the object with this key.
    ///
    /// ```no_run
    /// # fn f(people: dcrf_blocking::Resource<String>) -> Result<(), dcrf_blocking::RequestError> {
    /// people.delete(4)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`ReplyFuture`](crate::ReplyFuture).
    pub fn delete(&self, key: impl Serialize) -> Result<(), RequestError> {
        self.wait(|resource| resource.delete(key))
    }

    /// Makes any other action of the stream, with each key of a map or struct as an argument. For none, pass `&()`. The
    /// reply has its own type.
    ///
    /// ```no_run
    /// # use serde_json::json;
    /// # fn f(people: dcrf_blocking::Resource<String>) -> Result<(), dcrf_blocking::RequestError> {
    /// let adults: u32 = people.action("count", &json!({"min_age": 18}))?;
    /// people.action::<()>("archive_all", &())?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`ReplyFuture`](crate::ReplyFuture).
    pub fn action<R: DeserializeOwned>(
        &self,
        name: &str,
        arguments: &(impl Serialize + ?Sized),
    ) -> Result<R, RequestError> {
        self.wait(|resource| resource.action(name, arguments))
    }

    /// Makes any other action on the object with this key, with each key of a map or struct as a further argument. For
    /// none, pass `&()`. The reply has its own type.
    ///
    /// ```no_run
    /// # use serde_json::json;
    /// # fn f(people: dcrf_blocking::Resource<String>) -> Result<(), dcrf_blocking::RequestError> {
    /// people.action_on::<()>(4, "greet", &json!({"text": "Hello"}))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`ReplyFuture`](crate::ReplyFuture).
    pub fn action_on<R: DeserializeOwned>(
        &self,
        key: impl Serialize,
        name: &str,
        arguments: &(impl Serialize + ?Sized),
    ) -> Result<R, RequestError> {
        self.wait(|resource| resource.action_on(key, name, arguments))
    }
}

impl<T: DeserializeOwned + Send + Sync + 'static> Resource<T> {
    /// A live collection of the objects: a local copy of the list that follows the feed.
    ///
    /// What is created, changed or deleted through this resource is in the collection before the call returns. The requests
    /// and subscriptions of the collection pass through the maps of [`with`](Self::with) and
    /// [`with_subscribe`](Self::with_subscribe); collections with different maps share nothing.
    ///
    /// ```no_run
    /// # use dcrf_blocking::{CollectionError, Resource};
    /// # fn f(names: Resource<String>) -> Result<(), CollectionError> {
    /// let names = names.collection().order_by(String::cmp).wait()?;
    /// for name in names.snapshot().iter() {
    ///     println!("{name}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn collection(&self) -> CollectionBuilder<T> {
        CollectionBuilder(self.resource.collection())
    }
}

impl<T> Clone for Resource<T> {
    fn clone(&self) -> Self {
        Self { resource: self.resource.clone(), client: self.client.clone() }
    }
}

impl<T> fmt::Debug for Resource<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.resource.fmt(f)
    }
}
