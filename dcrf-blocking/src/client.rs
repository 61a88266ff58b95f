//! The client and its connection.

use std::fmt;
use std::sync::Arc;

use dcrf_proto::client;

use crate::driver::Driver;
use crate::forward::forward;
use crate::{
    CloseFrame, CloseOptions, CloseReason, ConnectionState, Events, Receiver, StateWatch, Stats,
    wait,
};

/// A client of one server: makes requests and subscribes over one WebSocket, and reconnects automatically.
///
/// Clones share the same connection and can be used from several threads. The client closes when its last handle is
/// dropped: clones, pending results and receivers count as handles, but [`Events`] don't. That drop waits until the
/// background thread has ended. This takes a second at most, plus the time of an
/// [`on_failure`](crate::Builder::on_failure) policy that is running.
///
/// Every method works in every state of the connection. While offline, requests wait for a connection until their
/// deadline, by default 30 seconds after the call.
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
pub struct Client(pub(crate) client::Client, pub(crate) Arc<Driver>);

impl Client {
    forward! {
        /// Ends all subscriptions of the client, on all its handles, and returns how many there were.
        ///
        /// The next item of each [`Subscription`](crate::Subscription) is
        /// [`SubscriptionError::Unsubscribed`](crate::SubscriptionError::Unsubscribed); unread changes are dropped. The
        /// call does not wait for the server.
        pub fn unsubscribe_all(&self) -> usize;

        /// Subscribes again to everything on the current connection, for a server that has lost the subscriptions.
        ///
        /// A subscription ends if the server replies with an error. While offline this does nothing, since every new
        /// connection replays the subscriptions.
        pub fn resubscribe(&self);

        /// The current state of the connection.
        ///
        /// ```no_run
        /// # use dcrf_blocking::ConnectionState;
        /// # fn f(client: dcrf_blocking::Client) {
        /// let online = client.state() == ConnectionState::Connected;
        /// # }
        /// ```
        pub fn state(&self) -> ConnectionState;

        /// Counters and gauges.
        ///
        /// ```no_run
        /// # fn f(client: dcrf_blocking::Client) {
        /// println!("{} requests are waiting", client.stats().waiting_requests);
        /// # }
        /// ```
        pub fn stats(&self) -> Stats;

        /// The subprotocol that the server chose for the current connection.
        ///
        /// ```no_run
        /// # fn f(client: dcrf_blocking::Client) {
        /// if client.protocol().as_deref() == Some("v2") {
        ///     println!("the server supports version 2");
        /// }
        /// # }
        /// ```
        pub fn protocol(&self) -> Option<String>;

        /// Starts to connect, for a client that was [started idle](crate::Builder::start_idle). Does nothing if the
        /// client was already opened or closed.
        ///
        /// ```no_run
        /// # fn f(client: dcrf_blocking::Client) -> Result<(), dcrf_blocking::CloseReason> {
        /// client.open();
        /// client.connected()?;
        /// # Ok(())
        /// # }
        /// ```
        pub fn open(&self);

        /// Checks now whether the server still responds, for example after the network has changed. If nothing arrives
        /// within 2 seconds, the client reconnects. While offline this does nothing.
        pub fn probe(&self);

        /// Replaces the connection with a new one. Does not wait for it.
        ///
        /// ```no_run
        /// # fn f(client: dcrf_blocking::Client) -> Result<(), dcrf_blocking::CloseReason> {
        /// client.force_reconnect();
        /// client.connected()?;
        /// # Ok(())
        /// # }
        /// ```
        pub fn force_reconnect(&self);

        /// Like [`force_reconnect`](Self::force_reconnect), with a close code and a reason for the server.
        ///
        /// ```no_run
        /// # use dcrf_blocking::CloseFrame;
        /// # fn f(client: dcrf_blocking::Client) {
        /// client.force_reconnect_with(CloseFrame { code: 4000, reason: "another user".to_owned() });
        /// # }
        /// ```
        pub fn force_reconnect_with(&self, frame: CloseFrame);

        /// Closes the client without waiting. Pending requests and subscriptions fail at once.
        pub fn close_now(&self);
    }

    /// Iterates over the connection's state changes and unhandled frames from now on. It does not keep the client alive,
    /// and ends when the client is closed.
    ///
    /// ```no_run
    /// # use dcrf_blocking::ClientEvent;
    /// # fn f(client: dcrf_blocking::Client) {
    /// let events = client.events();
    /// std::thread::spawn(|| {
    ///     for event in events {
    ///         if let ClientEvent::State(state) = event {
    ///             println!("{state}");
    ///         }
    ///     }
    /// });
    /// # }
    /// ```
    pub fn events(&self) -> Events {
        Receiver(self.0.events())
    }

    /// Watches the state of the connection: an iterator that begins with the current state and yields each later one.
    ///
    /// A reader that falls behind sees only the newest state.
    ///
    /// ```no_run
    /// # fn f(client: dcrf_blocking::Client) {
    /// for state in client.watch_state() {
    ///     println!("{state}");
    /// }
    /// # }
    /// ```
    pub fn watch_state(&self) -> StateWatch {
        Receiver(self.0.watch_state())
    }

    /// Waits until the client is connected, through failed attempts and retries. Returns at once if it is connected.
    ///
    /// If the client was [started idle](crate::Builder::start_idle), it also waits for [`open`](Self::open).
    ///
    /// ```no_run
    /// # fn f(client: dcrf_blocking::Client) {
    /// match client.connected() {
    ///     Ok(()) => println!("online"),
    ///     Err(reason) => println!("closed: {reason}"),
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The client is closed, or closes while this waits.
    pub fn connected(&self) -> Result<(), CloseReason> {
        wait::wait(self.0.connected())
    }

    /// Closes the client gracefully, and returns when its socket is closed.
    ///
    /// It waits up to 5 seconds for requests in flight, then performs the closing handshake. The other requests fail with
    /// [`RequestError::Closed`](crate::RequestError::Closed), and subscriptions end with
    /// [`SubscriptionError::Closed`](crate::SubscriptionError::Closed), also those that block other threads. So a
    /// program can close a clone in its Ctrl-C handler.
    pub fn close(&self) {
        self.close_with(CloseOptions::default());
    }

    /// Like [`close`](Self::close), with options.
    ///
    /// ```no_run
    /// # use dcrf_blocking::CloseOptions;
    /// # fn f(client: dcrf_blocking::Client) {
    /// client.close_with(CloseOptions::default().unsubscribe());
    /// # }
    /// ```
    pub fn close_with(&self, close: CloseOptions) {
        wait::wait(self.0.close_with(close));
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
