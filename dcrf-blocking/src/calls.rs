//! Requests and subscriptions. Each call waits for its result, or returns an iterator or a pending result.
#![expect(clippy::result_large_err, reason = "a rejected command is returned to the caller")]

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::forward::forward;
use crate::{
    Client, CloseReason, Items, Listener, Pages, Pending, Receiver, Rejected, ReplyFuture,
    ReplyStream, Request, RequestError, Selector, Subscribe, SubscribeFuture, Subscription,
    SubscriptionError, wait,
};

impl Client {
    /// Runs a call that queues a request, and sends the request on this thread.
    pub(crate) fn send_here<T>(&self, call: impl FnOnce() -> T) -> T {
        // A subscriber of `tracing` runs inside of the call, and may itself wait for this client.
        if cfg!(feature = "tracing") { call() } else { self.1.send(call) }
    }

    /// Lists the objects of a stream. If the stream is paginated, use [`list_all`](Self::list_all).
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
    pub fn list<T: DeserializeOwned>(&self, stream: &str) -> Result<T, RequestError> {
        self.call(Request::list(stream))
    }

    /// Creates an object from `data` and returns it. If you don't need it, use `()` as
    /// its type.
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
        stream: &str,
        data: &(impl Serialize + ?Sized),
    ) -> Result<T, RequestError> {
        self.call(Request::create(stream, data))
    }

    /// Retrieves the object with the primary key `pk`.
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
    /// See [`ReplyFuture`]. If the object does not exist, the error reply has status 404.
    pub fn retrieve<T: DeserializeOwned>(
        &self,
        stream: &str,
        pk: impl Serialize,
    ) -> Result<T, RequestError> {
        self.call(Request::retrieve(stream, pk))
    }

    /// Replaces the object with the primary key `pk` by `data`, and returns it. If you don't need it, use `()` as
    /// its type.
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
        stream: &str,
        pk: impl Serialize,
        data: &(impl Serialize + ?Sized),
    ) -> Result<T, RequestError> {
        self.call(Request::update(stream, pk, data))
    }

    /// Changes the fields of the object that `data` contains, and returns the object.
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
        stream: &str,
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
    pub fn delete(&self, stream: &str, pk: impl Serialize) -> Result<(), RequestError> {
        wait::wait(self.send_here(|| self.0.delete(stream, pk)))
    }

    /// Makes any request and waits for the reply. With `()` as its type, the reply is ignored.
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
        wait::wait(self.send_here(|| self.0.call(request)))
    }

    /// Starts any request without waiting for the reply, to make several at once or to do other work in the meantime.
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

    /// Makes a request with any number of replies, and returns an iterator over them.
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

    /// Iterates over the pages of a list, with one request per page, for consumers with `PaginatedModelListMixin`. Set
    /// `limit` and other arguments on the request.
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

    /// Iterates over all objects of a list, and requests page after page. Lists without pagination work too.
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

    /// Iterates over the pages of a list that the server streams in reply to one request, for consumers with
    /// `StreamedPaginatedListMixin`.
    ///
    /// Dropping the iterator before the last page sends `list_cancel`, unless the request has another
    /// [cancel action](Request::cancel_action).
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
        /// Queues a message without waiting for it to be sent. A reply is dropped.
        ///
        /// While offline, the message waits for a connection, without a limit unless it has a
        /// [timeout](Request::timeout).
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
        /// The message and the reason, if it is not accepted.
        pub fn send(&self, message: Request) -> Result<(), Rejected<Request>>;

        /// Like [`send`](Self::send), but fails if the client is not connected.
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
        /// The message and the reason, such as [`RejectReason::NotConnected`](crate::RejectReason::NotConnected).
        pub fn send_now(&self, message: Request) -> Result<(), Rejected<Request>>;
    }

    /// Waits until all requests, messages and subscriptions accepted before this call are written to the network.
    ///
    /// While offline, it waits for a connection. Written messages can still be lost with the connection: only a reply
    /// confirms that the server has received one.
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
    /// If the client is closed first.
    pub fn flush(&self) -> Result<(), CloseReason> {
        wait::wait(self.0.flush())
    }

    /// Listens to all frames that match `selector`, for messages that the server pushes without a request. Replies and
    /// changes match too.
    ///
    /// ```no_run
    /// # use dcrf_blocking::{ListenerEvent, Selector};
    /// # #[derive(serde::Deserialize)]
    /// # struct Tick { n: u64 }
    /// # fn f(client: dcrf_blocking::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let ticks = Selector::stream("tools").contains(serde_json::json!({"type": "tick"}));
    /// for event in client.listen::<Tick>(ticks)? {
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
    /// The selector and the reason, if it is not accepted.
    pub fn listen<T: DeserializeOwned>(
        &self,
        selector: Selector,
    ) -> Result<Listener<T>, Rejected<Selector>> {
        Ok(Receiver(self.0.listen(selector)?))
    }

    /// Subscribes to changes, and waits until the server has acknowledged it. While offline, it waits for a connection.
    ///
    /// ```no_run
    /// # use dcrf_blocking::{Change, Subscribe};
    /// # #[derive(serde::Deserialize)]
    /// # struct Person { name: String }
    /// # fn f(client: dcrf_blocking::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// for change in client.subscribe::<Person>(Subscribe::instance("people", 4))? {
    ///     match change? {
    ///         Change::Update(person) => println!("the name is now {}", person.name),
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
    /// See [`SubscriptionError`]: the server replied with an error or did not acknowledge in time, or the client was
    /// closed.
    pub fn subscribe<T: DeserializeOwned>(
        &self,
        subscribe: Subscribe,
    ) -> Result<Subscription<T>, SubscriptionError> {
        Ok(Receiver(wait::wait(self.0.subscribe(subscribe))?))
    }

    /// Subscribes to changes without waiting for the server, for a program that may start offline.
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
        let subscription = self.0.subscribe(subscribe);
        Pending::new(async { Ok(Receiver(subscription.await?)) })
    }
}
