//! Requests, reply streams, messages, listeners and subscriptions.

use std::future::Future;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Client, Items, Listener, Pages, ReplyFuture, ReplyStream, SubscribeFuture, flush};
use crate::command::{Request, Subscribe};
use crate::error::{CloseReason, Rejected};
use crate::protocol::json::Json;
use crate::protocol::selector::Selector;

impl Client {
    /// Lists the objects of a stream. If the server paginates the list, the reply is one [`Page`](crate::Page): see
    /// also [`list_all`](Self::list_all).
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

    /// Creates an object from `data`, and returns it. If you don't need it, use `()` as
    /// its type.
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

    /// Retrieves the object with the primary key `pk`.
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
    /// See [`ReplyFuture`]. If there is no such object, the error reply has status 404.
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

    /// Replaces the object with the primary key `pk` by `data`, and returns it. If you don't need it, use `()` as
    /// its type.
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

    /// Updates the fields in `data` of the object with the primary key `pk`, and returns the object. If you don't need it, use `()` as
    /// its type.
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

    /// Makes any request. It is queued by the call, not when the future is polled. To ignore the reply, use `()` as its
    /// type.
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

    /// Makes a request with any number of replies. It is queued by the call, not when the stream is polled.
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

    /// Reads a paginated list page by page, with one request per page, from a consumer with `PaginatedModelListMixin`, or
    /// with another of DRF's forms of pagination, see [`Page`](crate::Page). The `limit` and other arguments come from
    /// `request`.
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
    /// An error is the last item of the stream.
    pub fn list_pages<T: DeserializeOwned>(&self, request: Request) -> Pages<T> {
        Pages::requested(self, request)
    }

    /// Reads all objects of a list, paginated or not.
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
    /// An error is the last item of the stream.
    pub fn list_all<T: DeserializeOwned>(&self, request: Request) -> Items<T> {
        self.list_pages(request).items()
    }

    /// Reads a paginated list that the server streams as replies to one request, from a consumer with
    /// `StreamedPaginatedListMixin`.
    ///
    /// Dropping it before the last page sends `list_cancel`, or the request's [cancel action](Request::cancel_action).
    /// If the server has no such action, its error reply is ignored. While another list of the same stream is in flight,
    /// `list_cancel` is not sent: there are servers that would cancel that list too.
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
    /// An error is the last item of the stream.
    pub fn stream_pages<T: DeserializeOwned + 'static>(&self, request: Request) -> Pages<T> {
        Pages::streamed(self, request)
    }

    /// Sends a message without waiting for a reply. While offline, the message is queued like a request, by default
    /// without a timeout. If the server replies, the reply is ignored.
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
    /// The client rejected the message, and hands it back with the reason.
    pub fn send(&self, message: Request) -> Result<(), Rejected<Request>> {
        self.handle.shared().command(|session, now| session.send(message, now))
    }

    /// Sends a message on the current connection, or not at all.
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
    /// As for [`send`](Self::send), and [`RejectReason::NotConnected`](crate::RejectReason::NotConnected) while
    /// offline.
    pub fn send_now(&self, message: Request) -> Result<(), Rejected<Request>> {
        self.handle.shared().command(|session, now| session.send_now(message, now))
    }

    /// Waits until all requests, messages and subscriptions made before this call are written to the network.
    ///
    /// While offline it waits for a connection. Written frames can still be lost with the connection: only a reply
    /// shows that the server has received a request.
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
    /// The client is closed, or closes while this waits.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub fn flush(&self) -> impl Future<Output = Result<(), CloseReason>> + Send + use<> {
        flush::flush(&self.handle)
    }

    /// Listens for frames that match `selector`, such as unsolicited messages. The listener also gets matching replies
    /// and events.
    ///
    /// ```no_run
    /// # use dcrf_proto::{ListenerEvent, Selector, client::Client};
    /// # #[derive(serde::Deserialize)]
    /// # struct Tick { n: u64 }
    /// # async fn example(client: Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let ticks = Selector::stream("tools").contains(serde_json::json!({"type": "tick"}));
    /// let mut ticks = client.listen::<Tick>(ticks)?;
    /// while let Some(event) = ticks.next().await {
    ///     if let ListenerEvent::Frame { payload: tick, .. } = event? {
    ///         println!("{}", tick.n);
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The client rejected the selector, and hands it back with the reason.
    pub fn listen<T: DeserializeOwned>(
        &self,
        selector: Selector,
    ) -> Result<Listener<T>, Rejected<Selector>> {
        Listener::new(&self.handle, selector)
    }

    /// Subscribes to changes. The subscribe is queued by the call, not when the future is polled. The future completes
    /// when the server has acknowledged the subscription.
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
    ///         Change::Delete(_) => println!("deleted"),
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
