//! What a client asks of the server: requests, streams of replies, messages, subscriptions, and what it listens to.

use std::future::Future;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Client, Items, Listener, Pages, ReplyFuture, ReplyStream, SubscribeFuture, flush};
use crate::command::{Request, Subscribe};
use crate::error::{CloseReason, Rejected};
use crate::protocol::json::Json;
use crate::protocol::selector::Selector;

impl Client {
    /// All objects of a stream: an array, or a page when the stream is paginated.
    ///
    /// ```no_run
    /// # use dcrf_proto::{RequestError, client::Client};
    /// # async fn example(client: Client) -> Result<(), RequestError> {
    /// let people: Vec<serde_json::Value> = client.list("people").await?;
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
    pub fn list<T: DeserializeOwned>(&self, stream: &str) -> ReplyFuture<T> {
        self.call(Request::list(stream))
    }

    /// Creates an object from `data`, and returns it as the server made it.
    ///
    /// ```no_run
    /// # use dcrf_proto::{RequestError, client::Client};
    /// # async fn example(client: Client) -> Result<(), RequestError> {
    /// let data = serde_json::json!({"name": "Alex"});
    /// let alex: serde_json::Value = client.create("people", &data).await?;
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
    pub fn create<T: DeserializeOwned>(
        &self,
        stream: &str,
        data: &(impl Serialize + ?Sized),
    ) -> ReplyFuture<T> {
        self.call(Request::create(stream, data))
    }

    /// The object with the primary key `pk`.
    ///
    /// ```no_run
    /// # use dcrf_proto::{RequestError, client::Client};
    /// # async fn example(client: Client) -> Result<(), RequestError> {
    /// let person: serde_json::Value = client.retrieve("people", 4).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`ReplyFuture`]. An object that does not exist is refused with status 404.
    ///
    /// # Cancel safety
    ///
    /// See [`ReplyFuture`].
    pub fn retrieve<T: DeserializeOwned>(
        &self,
        stream: &str,
        pk: impl Serialize,
    ) -> ReplyFuture<T> {
        self.call(Request::retrieve(stream, pk))
    }

    /// Writes the object with the primary key `pk` anew from `data`, and returns it.
    ///
    /// ```no_run
    /// # use dcrf_proto::{RequestError, client::Client};
    /// # async fn example(client: Client) -> Result<(), RequestError> {
    /// let data = serde_json::json!({"name": "Jo", "age": 41});
    /// let jo: serde_json::Value = client.update("people", 4, &data).await?;
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
    pub fn update<T: DeserializeOwned>(
        &self,
        stream: &str,
        pk: impl Serialize,
        data: &(impl Serialize + ?Sized),
    ) -> ReplyFuture<T> {
        self.call(Request::update(stream, pk, data))
    }

    /// Changes those fields of the object that `data` holds, and returns the object.
    ///
    /// ```no_run
    /// # use dcrf_proto::{RequestError, client::Client};
    /// # async fn example(client: Client) -> Result<(), RequestError> {
    /// let data = serde_json::json!({"age": 42});
    /// let jo: serde_json::Value = client.patch("people", 4, &data).await?;
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
    pub fn patch<T: DeserializeOwned>(
        &self,
        stream: &str,
        pk: impl Serialize,
        data: &(impl Serialize + ?Sized),
    ) -> ReplyFuture<T> {
        self.call(Request::patch(stream, pk, data))
    }

    /// Deletes the object with the primary key `pk`.
    ///
    /// ```no_run
    /// # use dcrf_proto::{RequestError, client::Client};
    /// # async fn example(client: Client) -> Result<(), RequestError> {
    /// client.delete("people", 4).await?;
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
    pub fn delete(&self, stream: &str, pk: impl Serialize) -> ReplyFuture<()> {
        ReplyFuture::new(&self.handle, Request::delete(stream, pk), |_| Ok(()))
    }

    /// Makes any request. It is queued now, not when the response is first polled.
    ///
    /// ```no_run
    /// # use dcrf_proto::{Request, RequestError, client::Client};
    /// # use std::time::Duration;
    /// # async fn example(client: Client) -> Result<(), RequestError> {
    /// let request = Request::new("mystream", "echo").arg("key", "value");
    /// let reply: serde_json::Value = client.call(request.timeout(Duration::from_secs(5))).await?;
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
    pub fn call<T: DeserializeOwned>(&self, request: Request) -> ReplyFuture<T> {
        ReplyFuture::new(&self.handle, request, |json: Json| json.decode())
    }

    /// Makes a request that is answered by any number of replies (R12). It is queued now, not when the stream is
    /// first polled.
    ///
    /// ```no_run
    /// # use dcrf_proto::{Request, client::{Client, ReplyError}};
    /// # async fn example(client: Client) -> Result<(), ReplyError> {
    /// let mut lines = client.stream::<String>(Request::new("reports", "print")).until(|line| line == "end");
    /// while let Some(line) = lines.next().await {
    ///     println!("{}", line?);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`ReplyStream`].
    pub fn stream<T: DeserializeOwned>(&self, request: Request) -> ReplyStream<T> {
        ReplyStream::new(&self.handle, request)
    }

    /// A paginated list, page by page, by as many requests as it has pages: for consumers with
    /// `PaginatedModelListMixin`. A `limit` and other arguments are those of the request.
    ///
    /// ```no_run
    /// # use dcrf_proto::{Request, client::{Client, ReplyError}};
    /// # async fn example(client: Client) -> Result<(), ReplyError> {
    /// let mut pages = client.list_pages::<serde_json::Value>(Request::list("people").arg("limit", 100));
    /// while let Some(page) = pages.next().await {
    ///     println!("{} of {:?}", page?.results.len(), pages.total());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// An error of the stream is its last item.
    pub fn list_pages<T: DeserializeOwned>(&self, request: Request) -> Pages<T> {
        Pages::requested(self, request)
    }

    /// All objects of a list, page by page inside: [`list_pages`](Self::list_pages) with
    /// [`items`](Pages::items). A list without pages works too.
    ///
    /// ```no_run
    /// # use dcrf_proto::{Request, client::{Client, ReplyError}};
    /// # async fn example(client: Client) -> Result<(), ReplyError> {
    /// let mut people = client.list_all::<serde_json::Value>(Request::list("people"));
    /// while let Some(person) = people.next().await {
    ///     println!("{}", person?);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// An error of the stream is its last item.
    pub fn list_all<T: DeserializeOwned>(&self, request: Request) -> Items<T> {
        self.list_pages(request).items()
    }

    /// A paginated list that the server streams, page by page, in answer to one request: for consumers with
    /// `StreamedPaginatedListMixin`. When it is dropped before the last page, `list_cancel` is sent, unless the
    /// request names another [cancel action](Request::cancel_action); a server that has none refuses that, which
    /// does no harm.
    ///
    /// ```no_run
    /// # use dcrf_proto::{Request, client::{Client, ReplyError}};
    /// # async fn example(client: Client) -> Result<(), ReplyError> {
    /// let mut pages = client.stream_pages::<serde_json::Value>(Request::list("people").arg("limit", 100));
    /// while let Some(page) = pages.next().await {
    ///     println!("{} of {:?}", page?.results.len(), pages.total());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// An error of the stream is its last item.
    pub fn stream_pages<T: DeserializeOwned + 'static>(&self, request: Request) -> Pages<T> {
        Pages::streamed(self, request)
    }

    /// Sends a message and awaits no answer (R10). It waits for a connection like a request does, as long as the
    /// client lives unless it has a [timeout](Request::timeout); a reply is dropped.
    ///
    /// ```no_run
    /// # use dcrf_proto::{Rejected, Request, client::Client};
    /// # fn example(client: Client) -> Result<(), Rejected<Request>> {
    /// client.send(Request::new("chat", "typing").arg("room", 7))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The message, with the reason why it was not accepted.
    pub fn send(&self, message: Request) -> Result<(), Rejected<Request>> {
        self.handle.shared().command(|session, now| session.send(message, now))
    }

    /// As [`send`](Self::send), on this connection or not at all.
    ///
    /// ```no_run
    /// # use dcrf_proto::{Request, client::Client};
    /// # fn example(client: Client) {
    /// if client.send_now(Request::new("chat", "typing")).is_err() {
    ///     println!("offline");
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The message, with [`RejectReason::NotConnected`](crate::RejectReason::NotConnected) or another reason.
    pub fn send_now(&self, message: Request) -> Result<(), Rejected<Request>> {
        self.handle.shared().command(|session, now| session.send_now(message, now))
    }

    /// Waits until all that was accepted before this call has been written to the network: requests, messages and
    /// subscriptions (C3). Without a connection that is once there is one. A connection that is lost may take along
    /// what was written: only an answer says that the server has it.
    ///
    /// ```no_run
    /// # use dcrf_proto::{Request, client::Client};
    /// # async fn example(client: Client) -> Result<(), Box<dyn std::error::Error>> {
    /// client.send(Request::new("audit", "finished"))?;
    /// client.flush().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Why the client was closed before that.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub fn flush(&self) -> impl Future<Output = Result<(), CloseReason>> + Send + use<> {
        flush::flush(&self.handle)
    }

    /// Listens to all frames that `selector` takes, also those that answer a request or tell a change (F2): what the
    /// server pushes without being asked is read so.
    ///
    /// ```no_run
    /// # use dcrf_proto::{ListenerEvent, Selector, client::Client};
    /// # #[derive(serde::Deserialize)]
    /// # struct Tick { n: u64 }
    /// # async fn example(client: Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let ticks = Selector::stream("tools").contains(serde_json::json!({"type": "tick"}));
    /// let mut ticks = client.listen::<Tick>(ticks)?;
    /// while let Some(heard) = ticks.next().await {
    ///     if let ListenerEvent::Frame { payload: tick, .. } = heard? {
    ///         println!("{}", tick.n);
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The selector, with the reason why it was not accepted.
    pub fn listen<T: DeserializeOwned>(
        &self,
        selector: Selector,
    ) -> Result<Listener<T>, Rejected<Selector>> {
        Listener::new(&self.handle, selector)
    }

    /// Subscribes to changes. The subscription is registered now; the future resolves when the server has
    /// acknowledged it.
    ///
    /// ```no_run
    /// # use dcrf_proto::{Change, SubscriptionError, Subscribe, client::Client};
    /// # #[derive(serde::Deserialize)]
    /// # struct Person { name: String }
    /// # async fn example(client: Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut changes = client.subscribe::<Person>(Subscribe::instance("people", 4)).await?;
    /// while let Some(change) = changes.next().await {
    ///     match change? {
    ///         Change::Update(person) => println!("now called {}", person.name),
    ///         Change::Delete(_) => println!("gone"),
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
    /// See [`SubscribeFuture`].
    ///
    /// # Cancel safety
    ///
    /// See [`SubscribeFuture`].
    pub fn subscribe<T: DeserializeOwned>(&self, subscribe: Subscribe) -> SubscribeFuture<T> {
        SubscribeFuture::new(&self.handle, subscribe)
    }
}
