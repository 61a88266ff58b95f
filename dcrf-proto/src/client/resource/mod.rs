//! Typed requests and subscriptions for the objects of one stream.

mod description;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Client, CollectionBuilder, Items, ReplyFuture, SubscribeFuture};
use crate::command::{Request, ResourceDescription, Subscribe};
use crate::protocol::json::{DecodeError, Json};

/// The objects of one stream, decoded as `T`: typed requests and subscriptions, without repeating how the server exposes
/// them. Create it with [`Client::resource`].
///
/// It is cheap to clone and can be kept in a struct. It counts as a handle of its [`Client`]: the client stays open while
/// there is a resource.
///
/// ```no_run
/// use dcrf_proto::client::{Client, Resource};
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
/// # async fn example(client: Client) -> Result<(), dcrf_proto::RequestError> {
/// let app = App { people: client.resource("people").feed_action("subscribe_all") };
/// let alex = app.people.create(&json!({"name": "Alex"})).await?;
/// let jefe = app.people.patch(alex.pk, &json!({"name": "Jefe"})).await?;
/// println!("{} people, and {} is now {}", app.people.list().await?.len(), alex.name, jefe.name);
/// # Ok(())
/// # }
/// ```
#[must_use = "a `Resource` does nothing by itself"]
pub struct Resource<T> {
    client: Client,
    shared: Arc<Shared>,
    objects: PhantomData<fn() -> T>,
}

#[derive(Clone)]
struct Shared {
    description: Arc<ResourceDescription>,
    requests: Option<Map<Request>>,
    subscribes: Option<Map<Subscribe>>,
}

/// Changes every command before it is made.
type Map<C> = Arc<dyn Fn(C) -> C + Send + Sync>;

impl Client {
    /// The objects of `stream`, decoded as `T`. By default they are looked up by `pk` and have no feed: change that with
    /// the setters of [`Resource`].
    ///
    /// ```no_run
    /// # use dcrf_proto::client::{Client, Resource};
    /// # fn example(client: &Client) {
    /// let people: Resource<serde_json::Value> = client.resource("people").lookup_field("slug");
    /// # }
    /// ```
    pub fn resource<T>(&self, stream: &str) -> Resource<T> {
        self.resource_with(ResourceDescription::new(stream))
    }

    /// The objects that `description` describes, decoded as `T`.
    ///
    /// ```no_run
    /// # use dcrf_proto::{ResourceDescription, client::{Client, Resource}};
    /// fn people() -> ResourceDescription {
    ///     ResourceDescription::new("people").lookup_field("slug").feed_action("subscribe_all")
    /// }
    /// # fn example(client: &Client) {
    /// let people: Resource<serde_json::Value> = client.resource_with(people());
    /// # }
    /// ```
    pub fn resource_with<T>(&self, description: ResourceDescription) -> Resource<T> {
        let description = Arc::new(description);
        let shared = Arc::new(Shared { description, requests: None, subscribes: None });
        Resource { client: self.clone(), shared, objects: PhantomData }
    }
}

impl<T: DeserializeOwned> Resource<T> {
    /// Lists the objects, with one request and one reply.
    ///
    /// If the server paginates the list, this fails, also if there is only one page: use [`all`](Self::all).
    ///
    /// ```no_run
    /// # async fn example(people: dcrf_proto::client::Resource<String>) -> Result<(), dcrf_proto::RequestError> {
    /// let people: Vec<String> = people.list().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`ReplyFuture`]. The reply is a page, and so a [`RequestError::Decode`](crate::RequestError::Decode).
    ///
    /// # Cancel safety
    ///
    /// See [`ReplyFuture`].
    pub fn list(&self) -> ReplyFuture<Vec<T>> {
        let request = self.request(self.description().list());
        ReplyFuture::new(&self.client.handle, request, |json| decode_list(&json))
    }

    /// Reads all objects, paginated or not, with one request per page. See [`Pages`](super::Pages).
    ///
    /// ```no_run
    /// # use dcrf_proto::client::{ReplyError, Resource};
    /// # async fn example(people: Resource<String>) -> Result<(), ReplyError> {
    /// let mut people = people.all();
    /// while let Some(person) = people.next().await {
    ///     println!("{} of {:?}", person?, people.total());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// An error is the last item of the stream.
    pub fn all(&self) -> Items<T> {
        self.client.list_all(self.request(self.description().list()))
    }

    /// Retrieves the object with this key: the value of the [lookup field](Self::lookup_field).
    ///
    /// ```no_run
    /// # use dcrf_proto::{RequestError, client::Resource};
    /// # async fn example(people: Resource<String>) -> Result<(), RequestError> {
    /// match people.retrieve(4).await {
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
    /// See [`ReplyFuture`]. If there is no such object, the error reply [is not found](crate::ErrorReply::is_not_found).
    ///
    /// # Cancel safety
    ///
    /// See [`ReplyFuture`].
    pub fn retrieve(&self, key: impl Serialize) -> ReplyFuture<T> {
        self.client.call(self.request(self.description().retrieve(key)))
    }

    /// Creates an object from `data`, and returns it.
    ///
    /// ```no_run
    /// # async fn example(people: dcrf_proto::client::Resource<String>) -> Result<(), dcrf_proto::RequestError> {
    /// let alex = people.create(&serde_json::json!({"name": "Alex"})).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`ReplyFuture`].
    ///
    /// # Cancel safety
    ///
    /// See [`ReplyFuture`].
    pub fn create(&self, data: &(impl Serialize + ?Sized)) -> ReplyFuture<T> {
        self.client.call(self.request(self.description().create(data)))
    }

    /// Replaces the object with this key by `data`, and returns it.
    ///
    /// ```no_run
    /// # async fn example(people: dcrf_proto::client::Resource<String>) -> Result<(), dcrf_proto::RequestError> {
    /// let jo = people.update(4, &serde_json::json!({"name": "Jo", "age": 41})).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`ReplyFuture`].
    ///
    /// # Cancel safety
    ///
    /// See [`ReplyFuture`].
    pub fn update(&self, key: impl Serialize, data: &(impl Serialize + ?Sized)) -> ReplyFuture<T> {
        self.client.call(self.request(self.description().update(key, data)))
    }

    /// Updates the fields in `data` of the object with this key, and returns the object.
    ///
    /// ```no_run
    /// # async fn example(people: dcrf_proto::client::Resource<String>) -> Result<(), dcrf_proto::RequestError> {
    /// let jo = people.patch(4, &serde_json::json!({"age": 42})).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`ReplyFuture`].
    ///
    /// # Cancel safety
    ///
    /// See [`ReplyFuture`].
    pub fn patch(&self, key: impl Serialize, data: &(impl Serialize + ?Sized)) -> ReplyFuture<T> {
        self.client.call(self.request(self.description().patch(key, data)))
    }

    /// Subscribes to the changes of the object with this key. The subscribe is queued by the call.
    ///
    /// ```no_run
    /// # use dcrf_proto::{Change, client::Resource};
    /// # async fn example(people: Resource<String>) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut alex = people.subscribe(4).await?;
    /// while let Some(change) = alex.next().await {
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
    /// See [`SubscribeFuture`].
    ///
    /// # Cancel safety
    ///
    /// See [`SubscribeFuture`].
    pub fn subscribe(&self, key: impl Serialize) -> SubscribeFuture<T> {
        self.subscribe_to(self.description().subscribe(key))
    }

    /// Subscribes to the creates, updates and deletes of all objects, with the [feed action](Self::feed_action). The
    /// subscribe is queued by the call.
    ///
    /// ```no_run
    /// # use dcrf_proto::{Change, client::{Client, Resource}};
    /// # async fn example(client: Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let people: Resource<String> = client.resource("people").feed_action("subscribe_all");
    /// let mut changes = people.feed().await?;
    /// while let Some(change) = changes.next().await {
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
    /// See [`SubscribeFuture`]. If no feed is described, it is
    /// [`RejectReason::InvalidArgument`](crate::RejectReason::InvalidArgument).
    ///
    /// # Cancel safety
    ///
    /// See [`SubscribeFuture`].
    pub fn feed(&self) -> SubscribeFuture<T> {
        let feed = self.description().feed();
        self.subscribe_to(feed.map_list(|list| self.request(list)))
    }

    fn subscribe_to(&self, subscribe: Subscribe) -> SubscribeFuture<T> {
        self.client.subscribe(mapped(self.shared.subscribes.as_ref(), subscribe))
    }
}

impl<T> Resource<T> {
    /// Deletes the object with this key.
    ///
    /// ```no_run
    /// # async fn example(people: dcrf_proto::client::Resource<String>) -> Result<(), dcrf_proto::RequestError> {
    /// people.delete(4).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`ReplyFuture`].
    ///
    /// # Cancel safety
    ///
    /// See [`ReplyFuture`].
    pub fn delete(&self, key: impl Serialize) -> ReplyFuture<()> {
        let request = self.request(self.description().delete(key));
        ReplyFuture::new(&self.client.handle, request, |_| Ok(()))
    }

    /// Makes any other action of the stream, with each key of a map or struct as an argument. For none, pass `&()`. The
    /// reply has its own type.
    ///
    /// ```no_run
    /// # use serde_json::json;
    /// # async fn example(people: dcrf_proto::client::Resource<String>) -> Result<(), dcrf_proto::RequestError> {
    /// let adults: u32 = people.action("count", &json!({"min_age": 18})).await?;
    /// people.action::<()>("archive_all", &()).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`ReplyFuture`].
    ///
    /// # Cancel safety
    ///
    /// See [`ReplyFuture`].
    pub fn action<R: DeserializeOwned>(
        &self,
        name: &str,
        arguments: &(impl Serialize + ?Sized),
    ) -> ReplyFuture<R> {
        self.client.call(self.request(self.description().action(name).args(arguments)))
    }

    /// Makes any other action on the object with this key, with each key of a map or struct as a further argument. For
    /// none, pass `&()`. The reply has its own type.
    ///
    /// ```no_run
    /// # use serde_json::json;
    /// # async fn example(people: dcrf_proto::client::Resource<String>) -> Result<(), dcrf_proto::RequestError> {
    /// people.action_on::<()>(4, "greet", &json!({"text": "Hello"})).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`ReplyFuture`].
    ///
    /// # Cancel safety
    ///
    /// See [`ReplyFuture`].
    pub fn action_on<R: DeserializeOwned>(
        &self,
        key: impl Serialize,
        name: &str,
        arguments: &(impl Serialize + ?Sized),
    ) -> ReplyFuture<R> {
        self.client.call(self.request(self.description().action_on(key, name).args(arguments)))
    }
}

impl<T: DeserializeOwned + Send + Sync + 'static> Resource<T> {
    /// A live collection of the objects: a local copy of the list that follows the feed. Await it.
    ///
    /// What is created, changed or deleted through this resource is in the collection before the call returns. If the list has
    /// [arguments](Self::list_arg), other than those of pages, what can belong to another group is retrieved first.
    ///
    /// The requests and subscriptions of the collection pass through the maps of [`with`](Self::with) and
    /// [`with_subscribe`](Self::with_subscribe); collections with different maps share nothing.
    ///
    /// ```no_run
    /// use dcrf_proto::client::{Client, Resource};
    /// use serde::Deserialize;
    ///
    /// #[derive(Deserialize)]
    /// struct Task {
    ///     pk: u64,
    ///     title: String,
    ///     updated_at: String,
    /// }
    ///
    /// # async fn example(client: Client) -> Result<(), dcrf_proto::CollectionError> {
    /// let tasks: Resource<Task> = client.resource("tasks").feed_action("subscribe_all");
    /// let board = tasks
    ///     .collection()
    ///     .version(|task| task.updated_at.clone())
    ///     .order_by(|one, other| one.title.cmp(&other.title))
    ///     .await?;
    /// for task in board.snapshot().iter() {
    ///     println!("{} {}", task.pk, task.title);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn collection(&self) -> CollectionBuilder<T> {
        let (requests, subscribes) = (&self.shared.requests, &self.shared.subscribes);
        let collect = self.description().collect().map(
            |request| mapped(requests.as_ref(), request),
            |subscribe| mapped(subscribes.as_ref(), subscribe),
        );
        self.client.collect(collect)
    }
}

/// The map that applies `map` after the one before.
fn after<C: 'static>(
    before: Option<&Map<C>>,
    map: impl Fn(C) -> C + Send + Sync + 'static,
) -> Map<C> {
    match before.cloned() {
        Some(before) => Arc::new(move |command| map(before(command))),
        None => Arc::new(map),
    }
}

fn mapped<C>(map: Option<&Map<C>>, command: C) -> C {
    match map {
        Some(map) => map(command),
        None => command,
    }
}

fn decode_list<T: DeserializeOwned>(json: &Json) -> Result<Vec<T>, DecodeError> {
    json.decode().map_err(|error| {
        if json.is_page() {
            return DecodeError::new("this is a page: use `all`");
        }
        error
    })
}

impl<T> Clone for Resource<T> {
    fn clone(&self) -> Self {
        Self { client: self.client.clone(), shared: self.shared.clone(), objects: PhantomData }
    }
}

impl<T> fmt::Debug for Resource<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Resource").field(&self.description().stream()).finish()
    }
}
