//! The client: every call returns its result.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use dcrf_proto::client;
use dcrf_proto::vocabulary::{
    Close, CloseFrame, Ended, OpenError, Request, RequestError, State, Stats, Subscribe,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::thread::{self, Thread};
use crate::{Notices, Pending, Receiver, Response, Subscribing, Subscription};

/// A client of one server: makes requests and subscribes, over one WebSocket that reconnects by itself.
///
/// Clones are handles to the same client, also for other threads. When the last clone, [`Subscription`] and
/// pending [`Response`] is dropped, it closes and its thread ends, which that drop waits for: a second at most, and
/// as long as a policy of [`Builder::on_failure`](crate::Builder::on_failure) runs that it meets.
///
/// Every method works in every state of the connection, as for the
/// [async client](client::Client): requests wait while it is offline, and a call returns at the request's
/// deadline at the latest, 30 seconds after it unless set otherwise.
///
/// ```no_run
/// # use serde::Deserialize;
/// # use serde_json::json;
/// #[derive(Deserialize)]
/// struct Person {
///     id: u64,
///     name: String,
/// }
///
/// let client = dcrf_blocking::connect("ws://localhost:8000/ws/")?;
/// let alex: Person = client.create("people", &json!({"name": "Alex"}))?;
/// let people: Vec<Person> = client.list("people")?;
/// let alex: Person = client.patch("people", alex.id, &json!({"name": "Jefe"}))?;
/// client.delete("people", alex.id)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Client {
    // Dropped before the thread, whose end waits for it.
    client: client::Client,
    thread: Arc<Thread>,
}

impl Client {
    pub(crate) fn new(client: client::Client, thread: Thread) -> Self {
        Self { client, thread: Arc::new(thread) }
    }

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
    /// See [`Response`].
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
    /// See [`Response`].
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
    /// See [`Response`]. An object that does not exist is refused with status 404.
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
    /// See [`Response`].
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
    /// See [`Response`].
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
    /// See [`Response`].
    pub fn delete(
        &self,
        stream: impl Into<Cow<'static, str>>,
        pk: impl Serialize,
    ) -> Result<(), RequestError> {
        thread::wait(self.client.delete(stream, pk))
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
    /// See [`Response`].
    pub fn call<T: DeserializeOwned>(&self, request: Request) -> Result<T, RequestError> {
        thread::wait(self.client.call(request))
    }

    /// Makes any request, and does not wait for its answer: for many at once, or to do something else
    /// meanwhile.
    ///
    /// ```no_run
    /// # use dcrf_blocking::{Request, Response};
    /// # fn f(client: dcrf_blocking::Client) -> Result<(), dcrf_blocking::RequestError> {
    /// let people: Response<serde_json::Value> = client.start(Request::list("people"));
    /// let tasks: Response<serde_json::Value> = client.start(Request::list("tasks"));
    /// println!("{} and {}", people.wait()?, tasks.wait()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn start<T: DeserializeOwned + 'static>(&self, request: Request) -> Response<T> {
        Pending::new(self.client.call(request), self.thread.clone())
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
    /// See [`Ended`]: the server refused, or did not acknowledge in time, or the client was closed. Without
    /// a connection it waits for one.
    pub fn subscribe<T: DeserializeOwned>(
        &self,
        subscribe: Subscribe,
    ) -> Result<Subscription<T>, Ended> {
        let subscription = thread::wait(self.client.subscribe(subscribe))?;
        Ok(Receiver::new(subscription, Some(self.thread.clone())))
    }

    /// Subscribes to changes, and does not wait for the server: for a program that may start offline.
    ///
    /// ```no_run
    /// # use dcrf_blocking::{Subscribe, Subscribing};
    /// # fn f(client: dcrf_blocking::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let person: Subscribing<String> = client.start_subscribe(Subscribe::instance("people", 4));
    /// let task: Subscribing<String> = client.start_subscribe(Subscribe::instance("tasks", 7));
    /// let (person, task) = (person.wait()?, task.wait()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn start_subscribe<T: DeserializeOwned + 'static>(
        &self,
        subscribe: Subscribe,
    ) -> Subscribing<T> {
        let subscribing = self.client.subscribe(subscribe);
        let thread = self.thread.clone();
        let subscribed = async move { Ok(Receiver::new(subscribing.await?, Some(thread))) };
        Pending::new(subscribed, self.thread.clone())
    }

    /// Ends all subscriptions of the client, on all its handles, and says how many. A [`Subscription`] that is
    /// still held gets [`Ended::Unsubscribed`] next, without what it had not read. The server is told when there
    /// is a connection, which this does not wait for.
    ///
    /// ```no_run
    /// # fn f(client: dcrf_blocking::Client) {
    /// println!("{} subscriptions ended", client.unsubscribe_all());
    /// # }
    /// ```
    pub fn unsubscribe_all(&self) -> usize {
        self.client.unsubscribe_all()
    }

    /// Sends all subscriptions once more on this connection: for a server that has lost them. Readers notice
    /// nothing, unless the server refuses, which ends a subscription as after a reconnect. Without a connection
    /// there is nothing to do, since the next one brings them all.
    ///
    /// ```no_run
    /// # fn f(client: dcrf_blocking::Client) {
    /// client.resubscribe();
    /// # }
    /// ```
    pub fn resubscribe(&self) {
        self.client.resubscribe();
    }

    /// What happens to the connection from now on, and the frames that belong to nobody. It does not keep
    /// the client alive, and ends when the client is closed.
    ///
    /// ```no_run
    /// # use dcrf_blocking::Notice;
    /// # fn f(client: dcrf_blocking::Client) {
    /// let events = client.events();
    /// std::thread::spawn(|| {
    ///     for event in events {
    ///         if let Notice::State(state) = event {
    ///             println!("{state}");
    ///         }
    ///     }
    /// });
    /// # }
    /// ```
    pub fn events(&self) -> Notices {
        Receiver::new(self.client.events(), None)
    }

    /// The state of the connection now.
    ///
    /// ```no_run
    /// # use dcrf_blocking::State;
    /// # fn f(client: dcrf_blocking::Client) {
    /// let online = client.state() == State::Connected;
    /// # }
    /// ```
    pub fn state(&self) -> State {
        self.client.state()
    }

    /// Counters and gauges.
    ///
    /// ```no_run
    /// # fn f(client: dcrf_blocking::Client) {
    /// println!("{} requests wait", client.stats().waiting_requests);
    /// # }
    /// ```
    pub fn stats(&self) -> Stats {
        self.client.stats()
    }

    /// The subprotocol that the server picked for the connection that there is.
    ///
    /// ```no_run
    /// # fn f(client: dcrf_blocking::Client) {
    /// if client.protocol().as_deref() == Some("v2") {
    ///     println!("the server knows the second version");
    /// }
    /// # }
    /// ```
    pub fn protocol(&self) -> Option<String> {
        self.client.protocol()
    }

    /// Begins to connect: for a client that was started closed. Has no effect when it was opened or closed before.
    ///
    /// ```no_run
    /// # fn f(client: dcrf_blocking::Client) -> Result<(), dcrf_blocking::OpenError> {
    /// client.open();
    /// client.opened()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn open(&self) {
        self.client.open();
    }

    /// Asks at once whether the server is still there, as [`client::Client::probe`]: for a program that notices a
    /// change of the network.
    ///
    /// ```no_run
    /// # fn f(client: dcrf_blocking::Client) {
    /// client.probe();
    /// # }
    /// ```
    pub fn probe(&self) {
        self.client.probe();
    }

    /// Makes a new connection in place of the one that there is, as [`client::Client::reconnect`]. It does not wait
    /// for it.
    ///
    /// ```no_run
    /// # fn f(client: dcrf_blocking::Client) -> Result<(), dcrf_blocking::OpenError> {
    /// client.reconnect();
    /// client.opened()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn reconnect(&self) {
        self.client.reconnect();
    }

    /// As [`reconnect`](Self::reconnect), and tells the server this code and reason.
    ///
    /// ```no_run
    /// # use dcrf_blocking::CloseFrame;
    /// # fn f(client: dcrf_blocking::Client) {
    /// client.reconnect_with(CloseFrame { code: 4000, reason: "another user".to_owned() });
    /// # }
    /// ```
    pub fn reconnect_with(&self, frame: CloseFrame) {
        self.client.reconnect_with(frame);
    }

    /// Waits for the first connection, or for the first attempt to fail. Returns at once when the client is
    /// connected. Does not open a client that was started closed, and waits until somebody does.
    ///
    /// ```no_run
    /// # fn f(client: dcrf_blocking::Client) {
    /// if let Err(error) = client.opened() {
    ///     println!("offline for now: {error}");
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Why the attempt failed, or why the client is closed.
    pub fn opened(&self) -> Result<(), OpenError> {
        thread::wait(self.client.opened())
    }

    /// Closes the client: waits up to 5 seconds for what is in flight, performs the closing handshake, and
    /// settles the rest with [`RequestError::Closed`]. Returns when the socket is gone; at once when there is
    /// none.
    ///
    /// ```no_run
    /// # fn f(client: dcrf_blocking::Client) {
    /// client.close();
    /// # }
    /// ```
    pub fn close(&self) {
        self.close_with(Close::default());
    }

    /// As [`close`](Self::close), with options.
    ///
    /// ```no_run
    /// # use dcrf_blocking::Close;
    /// # fn f(client: dcrf_blocking::Client) {
    /// client.close_with(Close::default().unsubscribe());
    /// # }
    /// ```
    pub fn close_with(&self, close: Close) {
        thread::wait(self.client.close_with(close));
    }

    /// Closes the client without waiting for anything; what is pending settles at once.
    ///
    /// ```no_run
    /// # fn f(client: dcrf_blocking::Client) {
    /// client.close_now();
    /// # }
    /// ```
    pub fn close_now(&self) {
        self.client.close_now();
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.client.fmt(f)
    }
}
