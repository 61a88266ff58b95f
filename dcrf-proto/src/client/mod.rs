//! The async client and its driver, the same on every runtime (feature `client`).
//!
//! A runtime's adapter implements [`Transport`] and [`Socket`], creates a client with [`start`], and spawns the driver
//! that comes with it. Programs use an adapter such as `dcrf-tokio`.
//!
//! Client and driver share one lock around the [`Session`]. It is held only for the session's own work: never during
//! I/O, while a waker is woken, cloned or dropped, or while user code such as `Deserialize` runs. There is no channel
//! between client and driver, so dropping a handle takes effect at once, on any thread.

mod calls;
mod collection;
mod connection;
mod driver;
mod events;
mod flush;
mod listener;
mod pages;
mod reply_future;
mod reply_stream;
mod resource;
mod shared;
mod state;
mod subscription;
mod suspension;
mod transport;
mod wake;

use std::fmt;
use std::future::Future;
use std::sync::Arc;

pub use self::collection::{
    Collection, CollectionBuilder, CollectionChange, CollectionChanges, CollectionStatusWatch,
};
pub use self::events::Events;
pub use self::listener::Listener;
pub use self::pages::{Items, Pages};
pub use self::reply_future::ReplyFuture;
pub use self::reply_stream::{ReplyError, ReplyStream};
pub use self::resource::Resource;
use self::shared::{Handle, Shared};
#[cfg(feature = "websocket")]
pub(crate) use self::state::FirstAttemptError;
pub use self::state::StateWatch;
pub use self::subscription::{ChangeError, SubscribeFuture, Subscription};
pub use self::transport::{Received, Socket, Transport};
use crate::command::CloseOptions;
use crate::config::Config;
use crate::id::Seed;
use crate::session::Session;
use crate::stats::Stats;

/// Creates a client that connects, and the driver that does its I/O.
///
/// Spawn the driver on the transport's runtime. It completes once the client is closed and its socket is gone.
///
/// ```
/// use dcrf_proto::client::{self, Client, Transport};
/// use dcrf_proto::{Config, Seed};
///
/// fn connect(transport: impl Transport, seed: Seed) -> Client {
///     let (client, driver) = client::start(Config::default(), seed, transport);
///     std::thread::spawn(|| futures_lite::future::block_on(driver));
///     client
/// }
/// ```
///
/// # Cancel safety
///
/// Dropping the driver closes the client with [`CloseReason::DriverStopped`](crate::CloseReason::DriverStopped), so
/// that every caller gets an error.
pub fn start<T: Transport>(
    config: Config,
    seed: Seed,
    transport: T,
) -> (Client, impl Future<Output = ()> + Send + use<T>) {
    let (client, driver) = start_idle(config, seed, transport);
    client.open();
    (client, driver)
}

/// Creates a client that connects only after [`Client::open`], and the driver that does its I/O. See [`start`].
pub fn start_idle<T: Transport>(
    config: Config,
    seed: Seed,
    transport: T,
) -> (Client, impl Future<Output = ()> + Send + use<T>) {
    let shared = Arc::new(Shared::new(config, seed, T::now, || transport.server()));
    let stop_on_drop = driver::StopOnDrop(shared.clone());
    // By reference: an async function would store its arguments twice.
    let driver = async move { driver::drive(stop_on_drop, &transport).await };
    (Client { handle: Arc::new(Handle::new(shared)) }, driver)
}

/// Drops `attachment` when the last handle of the client is dropped, after the client has closed. An adapter can wait
/// there for the thread of its driver.
#[doc(hidden)]
pub fn attach(client: &Client, attachment: impl Send + 'static) {
    client.handle.attach(Box::new(attachment));
}

/// A client of one server: makes requests and subscribes over one WebSocket, and reconnects automatically.
///
/// Clones share the same connection. The client closes when its last handle is dropped, or by [`close`](Self::close).
/// Clones count as handles, and so do pending calls and open streams, except [`Events`] and [`StateWatch`].
///
/// Every method works in every state of the connection:
///
/// - **Before the first connection and during an outage**, requests wait in order, up to [`Config::outbox`], and are
///   sent after the subscriptions once the client is connected.
/// - **When the connection is lost**, a request that was sent fails with
///   [`RequestError::ConnectionLost`](crate::RequestError::ConnectionLost), unless it is idempotent and is sent again.
///   Subscriptions continue after a [`Change::Gap`](crate::Change::Gap).
/// - **After it is closed**, requests fail at once with [`RequestError::Closed`](crate::RequestError::Closed).
///
/// ```no_run
/// use dcrf_proto::client::Client;
/// use serde::Deserialize;
/// use serde_json::json;
///
/// #[derive(Deserialize)]
/// struct Person {
///     id: u64,
///     name: String,
/// }
///
/// # async fn example(client: Client) -> Result<(), dcrf_proto::RequestError> {
/// let alex: Person = client.create("people", &json!({"name": "Alex"})).await?;
/// let people: Vec<Person> = client.list("people").await?;
/// let alex: Person = client.patch("people", alex.id, &json!({"name": "Jefe"})).await?;
/// client.delete("people", alex.id).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    handle: Arc<Handle>,
}

impl Client {
    /// Ends all subscriptions of the client, also those of its clones, and returns how many.
    ///
    /// Unread changes are discarded, and the next item of each [`Subscription`] is
    /// [`SubscriptionError::Unsubscribed`](crate::SubscriptionError::Unsubscribed). A [`SubscribeFuture`] fails with
    /// the same error.
    pub fn unsubscribe_all(&self) -> usize {
        self.handle.shared().command(Session::unsubscribe_all)
    }

    /// Sends all subscriptions again on the current connection, for a server that has lost them.
    ///
    /// If the server replies with an error, the subscription ends, as after a reconnect. Without a connection this does
    /// nothing: the next one replays all subscriptions.
    pub fn resubscribe(&self) {
        self.handle.shared().command(Session::resubscribe);
    }

    /// Streams the changes of the connection's state from now on, and frames that match no request, subscription or
    /// listener.
    ///
    /// The stream does not keep the client alive, and ends once the client is closed.
    ///
    /// ```no_run
    /// # use dcrf_proto::{ClientEvent, client::Client};
    /// # async fn f(client: Client) {
    /// let mut events = client.events();
    /// while let Some(event) = events.next().await {
    ///     match event {
    ///         ClientEvent::State(state) => println!("{state}"),
    ///         ClientEvent::Unhandled(unhandled) => println!("{}", unhandled.frame.as_str()),
    ///         _ => {}
    ///     }
    /// }
    /// # }
    /// ```
    pub fn events(&self) -> Events {
        Events::new(self.handle.shared())
    }

    /// Counters and gauges.
    ///
    /// ```no_run
    /// # async fn f(client: dcrf_proto::client::Client) {
    /// println!("{} requests are waiting", client.stats().waiting_requests);
    /// # }
    /// ```
    pub fn stats(&self) -> Stats {
        self.handle.shared().lock().stats()
    }

    /// Closes the client. Waits up to 5 seconds for requests in flight, then performs the closing handshake. Requests
    /// that are still pending then fail with [`RequestError::Closed`](crate::RequestError::Closed).
    ///
    /// Returns once the socket is gone.
    ///
    /// # Cancel safety
    ///
    /// The client closes even if the future is dropped.
    pub fn close(&self) -> impl Future<Output = ()> + Send + use<> {
        self.close_with(CloseOptions::default())
    }

    /// Closes the client as [`close`](Self::close) does, with options. Closing starts with the call, not when the
    /// future is polled.
    ///
    /// ```no_run
    /// # use dcrf_proto::CloseOptions;
    /// # async fn f(client: dcrf_proto::client::Client) {
    /// client.close_with(CloseOptions::default().unsubscribe()).await;
    /// # }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// The client closes even if the future is dropped.
    pub fn close_with(&self, options: CloseOptions) -> impl Future<Output = ()> + Send + use<> {
        // Dropping the last handle closes at once, so keep one while waiting.
        let handle = self.handle.clone();
        handle.shared().command(|session, now| session.close(options, now));
        async move { handle.shared().finished().await }
    }

    /// Closes the client without waiting. Pending requests and subscriptions fail at once.
    pub fn close_now(&self) {
        self.handle.shared().command(|session, now| session.close(CloseOptions::now(), now));
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("state", &self.state()).finish_non_exhaustive()
    }
}
