//! The client, and its connection.

use std::fmt;

use dcrf_proto::client;

use crate::forward::forward;
use crate::{CloseFrame, CloseOptions, ConnectionState, Events, OpenError, Receiver, Stats, wait};

/// A client of one server: makes requests and subscribes, over one WebSocket that reconnects by itself.
///
/// Clones are handles to the same client, also for other threads. When the last clone is dropped, and the last of
/// what it has handed out but [`Events`] is dropped or has ended, it closes and its thread ends, which that waits
/// for: a second at most, and as long as a policy of [`Builder::on_failure`](crate::Builder::on_failure) runs that it
/// meets.
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
pub struct Client(pub(crate) client::Client);

impl Client {
    forward! {
        /// Ends all subscriptions of the client, on all its handles, and says how many. A [`Subscription`](crate::Subscription) that is
        /// still held gets [`SubscriptionError::Unsubscribed`](crate::SubscriptionError::Unsubscribed) next, without what it had not read. The server is told when there
        /// is a connection, which this does not wait for.
        ///
        /// ```no_run
        /// # fn f(client: dcrf_blocking::Client) {
        /// println!("{} subscriptions ended", client.unsubscribe_all());
        /// # }
        /// ```
        pub fn unsubscribe_all(&self) -> usize;

        /// Sends all subscriptions once more on this connection: for a server that has lost them. Readers notice
        /// nothing, unless the server refuses, which ends a subscription as after a reconnect. Without a connection
        /// there is nothing to do, since the next one brings them all.
        ///
        /// ```no_run
        /// # fn f(client: dcrf_blocking::Client) {
        /// client.resubscribe();
        /// # }
        /// ```
        pub fn resubscribe(&self);

        /// The state of the connection now.
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
        /// println!("{} requests wait", client.stats().waiting_requests);
        /// # }
        /// ```
        pub fn stats(&self) -> Stats;

        /// The subprotocol that the server picked for the connection that there is.
        ///
        /// ```no_run
        /// # fn f(client: dcrf_blocking::Client) {
        /// if client.protocol().as_deref() == Some("v2") {
        ///     println!("the server knows the second version");
        /// }
        /// # }
        /// ```
        pub fn protocol(&self) -> Option<String>;

        /// Begins to connect: for a client that was started closed. Has no effect when it was opened or closed before.
        ///
        /// ```no_run
        /// # fn f(client: dcrf_blocking::Client) -> Result<(), dcrf_blocking::OpenError> {
        /// client.open();
        /// client.opened()?;
        /// # Ok(())
        /// # }
        /// ```
        pub fn open(&self);

        /// Asks at once whether the server is still there, as [`client::Client::probe`]: for a program that notices a
        /// change of the network.
        ///
        /// ```no_run
        /// # fn f(client: dcrf_blocking::Client) {
        /// client.probe();
        /// # }
        /// ```
        pub fn probe(&self);

        /// Makes a new connection in place of the one that there is, as [`client::Client::force_reconnect`]. It does not wait
        /// for it.
        ///
        /// ```no_run
        /// # fn f(client: dcrf_blocking::Client) -> Result<(), dcrf_blocking::OpenError> {
        /// client.force_reconnect();
        /// client.opened()?;
        /// # Ok(())
        /// # }
        /// ```
        pub fn force_reconnect(&self);

        /// As [`reconnect`](Self::reconnect), and tells the server this code and reason.
        ///
        /// ```no_run
        /// # use dcrf_blocking::CloseFrame;
        /// # fn f(client: dcrf_blocking::Client) {
        /// client.force_reconnect_with(CloseFrame { code: 4000, reason: "another user".to_owned() });
        /// # }
        /// ```
        pub fn force_reconnect_with(&self, frame: CloseFrame);

        /// Closes the client without waiting for anything; what is pending settles at once.
        ///
        /// ```no_run
        /// # fn f(client: dcrf_blocking::Client) {
        /// client.close_now();
        /// # }
        /// ```
        pub fn close_now(&self);
    }

    /// What happens to the connection from now on, and the frames that belong to nobody. It does not keep
    /// the client alive, and ends when the client is closed.
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
        wait::wait(self.0.opened())
    }

    /// Closes the client: waits up to 5 seconds for what is in flight, performs the closing handshake, and
    /// settles the rest with [`RequestError::Closed`](crate::RequestError::Closed). Returns when the socket is gone; at once when there is
    /// none.
    ///
    /// ```no_run
    /// # fn f(client: dcrf_blocking::Client) {
    /// client.close();
    /// # }
    /// ```
    pub fn close(&self) {
        self.close_with(CloseOptions::default());
    }

    /// As [`close`](Self::close), with options.
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
