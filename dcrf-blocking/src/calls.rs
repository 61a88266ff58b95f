//! What a client asks of the server: every call returns its result, or what its results come from.
#![expect(clippy::result_large_err, reason = "a command that is refused comes back whole")]

use std::borrow::Cow;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::forward::forward;
use crate::{
    Client, CloseReason, Items, Listener, Pages, Pending, Receiver, Rejected, ReplyFuture,
    ReplyStream, Request, RequestError, Selector, Subscribe, SubscribeFuture, Subscription,
    SubscriptionError, wait,
};

impl Client {
    /// All objects of a stream: an array, or a page when the stream is paginated.
    ///
    /// ```no_run
    /// # fn f(client: dcrf_blocking::Client) -> Result<(), dcrf_blocking::RequestError> {
    /// let people: Vec<serde_json::Value> = client.list("people")?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`ReplyFuture`].
    pub fn list<T: DeserializeOwned>(
        &self,
        stream: impl Into<Cow<'static, str>>,
    ) -> Result<T, RequestError> {
        self.call(Request::list(stream))
    }

    /// Creates an object from `data`, and returns it as the server made it.
    ///
    /// ```no_run
    /// # fn f(client: dcrf_blocking::Client) -> Result<(), dcrf_blocking::RequestError> {
    /// let data = serde_json::json!({"name": "Alex"});
    /// let alex: serde_json::Value = client.create("people", &data)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`ReplyFuture`].
    pub fn create<T: DeserializeOwned>(
        &self,
        stream: impl Into<Cow<'static, str>>,
        data: &(impl Serialize + ?Sized),
    ) -> Result<T, RequestError> {
        self.call(Request::create(stream, data))
    }

    /// The object with the primary key `pk`.
    ///
    /// ```no_run
    /// # fn f(client: dcrf_blocking::Client) -> Result<(), dcrf_blocking::RequestError> {
    /// let person: serde_json::Value = client.retrieve("people", 4)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`ReplyFuture`]. An object that does not exist is refused with status 404.
    pub fn retrieve<T: DeserializeOwned>(
        &self,
        stream: impl Into<Cow<'static, str>>,
        pk: impl Serialize,
    ) -> Result<T, RequestError> {
        self.call(Request::retrieve(stream, pk))
    }

    /// Writes the object with the primary key `pk` anew from `data`, and returns it.
    ///
    /// ```no_run
    /// # fn f(client: dcrf_blocking::Client) -> Result<(), dcrf_blocking::RequestError> {
    /// let data = serde_json::json!({"name": "Jo", "age": 41});
    /// let jo: serde_json::Value = client.update("people", 4, &data)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`ReplyFuture`].
    pub fn update<T: DeserializeOwned>(
        &self,
        stream: impl Into<Cow<'static, str>>,
        pk: impl Serialize,
        data: &(impl Serialize + ?Sized),
    ) -> Result<T, RequestError> {
        self.call(Request::update(stream, pk, data))
    }

    /// Changes those fields of the object that `data` holds, and returns the object.
    ///
    /// ```no_run
    /// # fn f(client: dcrf_blocking::Client) -> Result<(), dcrf_blocking::RequestError> {
    /// let data = serde_json::json!({"age": 42});
    /// let jo: serde_json::Value = client.patch("people", 4, &data)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`ReplyFuture`].
    pub fn patch<T: DeserializeOwned>(
        &self,
        stream: impl Into<Cow<'static, str>>,
        pk: impl Serialize,
        data: &(impl Serialize + ?Sized),
    ) -> Result<T, RequestError> {
        self.call(Request::patch(stream, pk, data))
    }

    /// Deletes the object with the primary key `pk`.
    ///
    /// ```no_run
    /// # fn f(client: dcrf_blocking::Client) -> Result<(), dcrf_blocking::RequestError> {
    /// client.delete("people", 4)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`ReplyFuture`].
    pub fn delete(
        &self,
        stream: impl Into<Cow<'static, str>>,
        pk: impl Serialize,
    ) -> Result<(), RequestError> {
        wait::wait(self.0.delete(stream, pk))
    }

    /// Makes any request.
    ///
    /// ```no_run
    /// # use dcrf_blocking::Request;
    /// # use std::time::Duration;
    /// # fn f(client: dcrf_blocking::Client) -> Result<(), dcrf_blocking::RequestError> {
    /// let request = Request::new("mystream", "echo").arg("key", "value");
    /// let reply: serde_json::Value = client.call(request.timeout(Duration::from_secs(5)))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`ReplyFuture`].
    pub fn call<T: DeserializeOwned>(&self, request: Request) -> Result<T, RequestError> {
        wait::wait(self.0.call(request))
    }

    /// Makes any request, and does not wait for its answer: for many at once, or to do something else
    /// meanwhile.
    ///
    /// ```no_run
    /// # use dcrf_blocking::{Request, ReplyFuture};
    /// # fn f(client: dcrf_blocking::Client) -> Result<(), dcrf_blocking::RequestError> {
    /// let people: ReplyFuture<serde_json::Value> = client.start(Request::list("people"));
    /// let tasks: ReplyFuture<serde_json::Value> = client.start(Request::list("tasks"));
    /// println!("{} and {}", people.wait()?, tasks.wait()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn start<T: DeserializeOwned + 'static>(&self, request: Request) -> ReplyFuture<T> {
        Pending::new(self.0.call(request))
    }

    /// Makes a request that is answered by any number of replies, and does not wait for the first.
    ///
    /// ```no_run
    /// # use dcrf_blocking::{ReplyError, Request};
    /// # fn f(client: dcrf_blocking::Client) -> Result<(), ReplyError> {
    /// for line in client.stream::<String>(Request::new("reports", "print")).until(|line| line == "end") {
    ///     println!("{}", line?);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn stream<T: DeserializeOwned>(&self, request: Request) -> ReplyStream<T> {
        Receiver(self.0.stream(request))
    }

    /// A paginated list, page by page, by as many requests as it has pages: for consumers with
    /// `PaginatedModelListMixin`. A `limit` and other arguments are those of the request.
    ///
    /// ```no_run
    /// # use dcrf_blocking::{ReplyError, Request};
    /// # fn f(client: dcrf_blocking::Client) -> Result<(), ReplyError> {
    /// for page in client.list_pages::<serde_json::Value>(Request::list("people").arg("limit", 100)) {
    ///     println!("{} people", page?.results.len());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn list_pages<T: DeserializeOwned>(&self, request: Request) -> Pages<T> {
        Receiver(self.0.list_pages(request))
    }

    /// All objects of a list, page by page inside. A list without pages works too.
    ///
    /// ```no_run
    /// # use dcrf_blocking::{ReplyError, Request};
    /// # fn f(client: dcrf_blocking::Client) -> Result<(), ReplyError> {
    /// for person in client.list_all::<serde_json::Value>(Request::list("people")) {
    ///     println!("{}", person?);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn list_all<T: DeserializeOwned>(&self, request: Request) -> Items<T> {
        Receiver(self.0.list_all(request))
    }

    /// A paginated list that the server streams, page by page, in answer to one request: for consumers with
    /// `StreamedPaginatedListMixin`. When it is dropped before the last page, `list_cancel` is sent, unless the
    /// request names another [cancel action](Request::cancel_action).
    ///
    /// ```no_run
    /// # use dcrf_blocking::{ReplyError, Request};
    /// # fn f(client: dcrf_blocking::Client) -> Result<(), ReplyError> {
    /// for person in client.stream_pages::<serde_json::Value>(Request::list("people")).items() {
    ///     println!("{}", person?);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn stream_pages<T: DeserializeOwned + 'static>(&self, request: Request) -> Pages<T> {
        Receiver(self.0.stream_pages(request))
    }

    forward! {
        /// Sends a message and awaits no answer. It waits for a connection like a request does, as long as the client
        /// lives unless it has a [timeout](Request::timeout); a reply is dropped. The call returns at once.
        ///
        /// ```no_run
        /// # use dcrf_blocking::{Rejected, Request};
        /// # fn f(client: dcrf_blocking::Client) -> Result<(), Rejected<Request>> {
        /// client.send(Request::new("chat", "typing").arg("room", 7))?;
        /// # Ok(())
        /// # }
        /// ```
        ///
        /// # Errors
        ///
        /// The message, with the reason why it was not accepted.
        pub fn send(&self, message: Request) -> Result<(), Rejected<Request>>;

        /// As [`send`](Self::send), on this connection or not at all.
        ///
        /// ```no_run
        /// # use dcrf_blocking::Request;
        /// # fn f(client: dcrf_blocking::Client) {
        /// if client.send_now(Request::new("chat", "typing")).is_err() {
        ///     println!("offline");
        /// }
        /// # }
        /// ```
        ///
        /// # Errors
        ///
        /// The message, with [`RejectReason::NotConnected`](crate::RejectReason::NotConnected) or another reason.
        pub fn send_now(&self, message: Request) -> Result<(), Rejected<Request>>;
    }

    /// Waits until all that was accepted before this call has been written to the network: requests, messages and
    /// subscriptions. Without a connection that is once there is one. A connection that is lost may take along what
    /// was written: only an answer says that the server has it.
    ///
    /// ```no_run
    /// # use dcrf_blocking::Request;
    /// # fn f(client: dcrf_blocking::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// client.send(Request::new("audit", "finished"))?;
    /// client.flush()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Why the client was closed before that.
    pub fn flush(&self) -> Result<(), CloseReason> {
        wait::wait(self.0.flush())
    }

    /// Listens to all frames that `selector` takes, also those that answer a request or tell a change: what the
    /// server pushes without being asked is read so.
    ///
    /// ```no_run
    /// # use dcrf_blocking::{ListenerEvent, Selector};
    /// # #[derive(serde::Deserialize)]
    /// # struct Tick { n: u64 }
    /// # fn f(client: dcrf_blocking::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let ticks = Selector::stream("tools").contains(serde_json::json!({"type": "tick"}));
    /// for heard in client.listen::<Tick>(ticks)? {
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
        Ok(Receiver(self.0.listen(selector)?))
    }

    /// Subscribes to changes, and returns when the server has acknowledged it.
    ///
    /// ```no_run
    /// # use dcrf_blocking::{Change, Subscribe};
    /// # #[derive(serde::Deserialize)]
    /// # struct Person { name: String }
    /// # fn f(client: dcrf_blocking::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// for change in client.subscribe::<Person>(Subscribe::instance("people", 4))? {
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
    /// See [`SubscriptionError`]: the server refused, or did not acknowledge in time, or the client was closed. Without
    /// a connection it waits for one.
    pub fn subscribe<T: DeserializeOwned>(
        &self,
        subscribe: Subscribe,
    ) -> Result<Subscription<T>, SubscriptionError> {
        Ok(Receiver(wait::wait(self.0.subscribe(subscribe))?))
    }

    /// Subscribes to changes, and does not wait for the server: for a program that may start offline.
    ///
    /// ```no_run
    /// # use dcrf_blocking::{Subscribe, SubscribeFuture};
    /// # fn f(client: dcrf_blocking::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let person: SubscribeFuture<String> = client.start_subscribe(Subscribe::instance("people", 4));
    /// let task: SubscribeFuture<String> = client.start_subscribe(Subscribe::instance("tasks", 7));
    /// let (person, task) = (person.wait()?, task.wait()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn start_subscribe<T: DeserializeOwned + 'static>(
        &self,
        subscribe: Subscribe,
    ) -> SubscribeFuture<T> {
        let subscribing = self.0.subscribe(subscribe);
        Pending::new(async { Ok(Receiver(subscribing.await?)) })
    }
}
