//! The async handles and the driver, the same on every runtime (feature `client`).
//!
//! An adapter such as `dcrf-tokio` implements [`Transport`] and [`Socket`], makes a [`Client`] with
//! [`Client::new`], and spawns the driver that comes with it. Programs use the adapter.
//!
//! The handles and the driver share one lock around the [`Session`]. It is held for
//! the session's own work and never across I/O, a waker's wake, clone or drop, or code of the user:
//! decoding happens after it is released. There is no channel between them, so dropping a handle takes effect at once, on any
//! thread.

mod calls;
mod connection;
mod driver;
mod events;
mod flush;
mod listener;
mod pages;
mod reply_future;
mod reply_stream;
mod shared;
mod subscription;
mod suspension;
mod transport;
mod wake;

use std::fmt;
use std::future::Future;
use std::sync::Arc;

pub use self::events::Events;
pub use self::listener::Listener;
pub use self::pages::{Items, Pages};
pub use self::reply_future::ReplyFuture;
pub use self::reply_stream::{ReplyError, ReplyStream};
use self::shared::{Handle, Shared};
pub use self::subscription::{ChangeError, SubscribeFuture, Subscription};
pub use self::transport::{Received, Socket, Transport};
use crate::command::CloseOptions;
use crate::config::Config;
use crate::error::{CloseReason, ConnectionError};
use crate::event::{ClientEvent, ConnectionState};
use crate::id::Seed;
use crate::session::Session;
use crate::stats::Stats;

/// A client of one server: makes requests and subscribes, over one WebSocket that reconnects by itself.
///
/// Clones are handles to the same client. It closes when the last clone, [`Subscription`] and pending
/// [`ReplyFuture`] is dropped, or by [`close`](Self::close).
///
/// Every method works in every state of the connection:
///
/// - **before the first connection and during an outage**, requests wait in order, up to
///   [`Config::outbox`], and go out behind the subscriptions once there is a connection;
/// - **when the connection is lost**, a request that was sent fails with
///   [`RequestError::ConnectionLost`](crate::RequestError::ConnectionLost), unless it is safe to repeat
///   and is sent again; subscriptions go on, with a [`Change::Gap`](crate::Change::Gap) between;
/// - **after it is closed**, requests fail at once with
///   [`RequestError::Closed`](crate::RequestError::Closed).
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

/// Why a client did not connect.
///
/// ```no_run
/// # use dcrf_proto::client::{Client, OpenError};
/// # async fn example(client: Client) {
/// match client.opened().await {
///     Ok(()) => println!("online"),
///     Err(OpenError::Attempt(lost)) => println!("offline for now: {lost}"),
///     Err(error) => println!("{error}"),
/// }
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The attempt failed. The client goes on trying, unless another attempt would be of no use: then it
    /// is closed.
    #[error(transparent)]
    Attempt(ConnectionError),
    /// The client is closed.
    #[error(transparent)]
    Closed(CloseReason),
}

impl Client {
    /// Makes a client that begins to connect, and the driver that does its I/O. The driver is to be
    /// spawned on the runtime; it ends when the client is closed and its socket is gone.
    ///
    /// ```
    /// use dcrf_proto::client::{Client, Transport};
    /// use dcrf_proto::{Config, Seed};
    ///
    /// fn online<R: Transport>(runtime: R, seed: Seed) -> Client {
    ///     let (client, driver) = Client::new(Config::default(), seed, runtime);
    ///     std::thread::spawn(|| futures_lite::future::block_on(driver));
    ///     client
    /// }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// Dropping the driver before its end closes the client with [`CloseReason::DriverStopped`], so that nobody waits
    /// for ever.
    pub fn new<R: Transport>(
        config: Config,
        seed: Seed,
        runtime: R,
    ) -> (Self, impl Future<Output = ()> + Send + use<R>) {
        let (client, driver) = Self::idle(config, seed, runtime);
        client.open();
        (client, driver)
    }

    /// As [`new`](Self::new), but the client begins to connect when it is told to, by [`open`](Self::open).
    ///
    /// ```
    /// use dcrf_proto::client::{Client, Transport};
    /// use dcrf_proto::{Config, Seed};
    ///
    /// fn offline<R: Transport>(runtime: R, seed: Seed) -> Client {
    ///     let (client, driver) = Client::idle(Config::default(), seed, runtime);
    ///     std::thread::spawn(|| futures_lite::future::block_on(driver));
    ///     client
    /// }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// As for [`new`](Self::new).
    pub fn idle<R: Transport>(
        config: Config,
        seed: Seed,
        runtime: R,
    ) -> (Self, impl Future<Output = ()> + Send + use<R>) {
        let shared = Arc::new(Shared::new(config, seed, R::now, || runtime.server()));
        let guard = driver::Guard(shared.clone());
        // By reference: an async function would keep what it is given twice.
        let driver = async move { driver::drive(guard, &runtime).await };
        (Self { handle: Arc::new(Handle::new(shared)) }, driver)
    }

    /// Keeps `attachment` as long as any handle of the client is left, [`Events`] aside. Then the client closes, and
    /// `attachment` is dropped: for an adapter that waits there for the end of the thread of its driver.
    ///
    /// ```
    /// # use std::thread::{self, JoinHandle};
    /// # use dcrf_proto::client::{Client, Transport};
    /// # use dcrf_proto::{Config, Seed};
    /// struct Joined(Option<JoinHandle<()>>);
    ///
    /// impl Drop for Joined {
    ///     fn drop(&mut self) {
    ///         self.0.take().map(JoinHandle::join);
    ///     }
    /// }
    ///
    /// fn offline<R: Transport>(runtime: R, seed: Seed) -> Client {
    ///     let (client, driver) = Client::idle(Config::default(), seed, runtime);
    ///     let thread = thread::spawn(|| futures_lite::future::block_on(driver));
    ///     client.attach(Joined(Some(thread)));
    ///     client
    /// }
    /// ```
    pub fn attach(&self, attachment: impl Send + 'static) {
        self.handle.attach(Box::new(attachment));
    }

    /// Ends all subscriptions of the client, on all its handles, and says how many (S12). A [`Subscription`] that
    /// is still held gets [`SubscriptionError::Unsubscribed`](crate::SubscriptionError::Unsubscribed) next, without what it had not
    /// read; a [`SubscribeFuture`] fails with it. The server is told when there is a connection.
    ///
    /// ```no_run
    /// # use dcrf_proto::client::Client;
    /// # async fn example(client: Client) {
    /// println!("{} subscriptions ended", client.unsubscribe_all());
    /// # }
    /// ```
    pub fn unsubscribe_all(&self) -> usize {
        self.handle.shared().command(Session::unsubscribe_all)
    }

    /// Sends all subscriptions once more on this connection: for a server that has lost them (S12). Readers
    /// notice nothing, unless the server refuses, which ends a subscription as after a reconnect. Without a
    /// connection there is nothing to do, since the next one brings them all.
    ///
    /// ```no_run
    /// # use dcrf_proto::client::Client;
    /// # async fn example(client: Client) {
    /// client.resubscribe();
    /// # }
    /// ```
    pub fn resubscribe(&self) {
        self.handle.shared().command(Session::resubscribe);
    }

    /// What happens to the connection from now on, and the frames that belong to nobody, as a stream. It
    /// does not keep the client alive, and ends when the client is closed.
    ///
    /// ```no_run
    /// # use dcrf_proto::{ClientEvent, client::Client};
    /// # async fn example(client: Client) {
    /// let mut events = client.events();
    /// while let Some(event) = events.next().await {
    ///     if let ClientEvent::State(state) = event {
    ///         println!("{state:?}");
    ///     }
    /// }
    /// # }
    /// ```
    pub fn events(&self) -> Events {
        Events::new(self.handle.shared())
    }

    /// The state of the connection now.
    ///
    /// ```no_run
    /// # use dcrf_proto::{CloseOptions, ConnectionState, client::Client};
    /// # async fn example(client: Client) {
    /// let online = client.state() == ConnectionState::Connected;
    /// # }
    /// ```
    pub fn state(&self) -> ConnectionState {
        self.handle.shared().lock().session.state().clone()
    }

    /// Counters and gauges.
    ///
    /// ```no_run
    /// # use dcrf_proto::{CloseOptions, ConnectionState, client::Client};
    /// # async fn example(client: Client) {
    /// println!("{} requests wait", client.stats().waiting_requests);
    /// # }
    /// ```
    pub fn stats(&self) -> Stats {
        self.handle.shared().lock().stats()
    }

    /// Waits for the first connection, or for the first attempt to fail (L14). Returns at once when the
    /// client is connected. Does not open a client that was started closed, and waits until somebody does.
    ///
    /// ```no_run
    /// # use dcrf_proto::{CloseOptions, ConnectionState, client::Client};
    /// # async fn example(client: Client) {
    /// if let Err(error) = client.opened().await {
    ///     println!("offline for now: {error}");
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Why the attempt failed, or why the client is closed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub async fn opened(&self) -> Result<(), OpenError> {
        // Listen before looking, so that no change falls between.
        let mut events = self.events();
        let mut state = Some(self.state());
        loop {
            match state.take() {
                Some(ConnectionState::Connected) => return Ok(()),
                Some(ConnectionState::Waiting { error, .. }) => {
                    return Err(OpenError::Attempt(error));
                }
                Some(ConnectionState::Closed(reason)) => return Err(OpenError::of(reason)),
                Some(ConnectionState::Idle | ConnectionState::Connecting { .. }) | None => {}
            }
            match events.next().await {
                Some(ClientEvent::State(next)) => state = Some(next),
                // The one that is waited for may be among them.
                Some(ClientEvent::Lagged(_)) => state = Some(self.state()),
                Some(_) => {}
                None => return Err(OpenError::Closed(CloseReason::DriverStopped)),
            }
        }
    }

    /// Closes the client: waits up to 5 seconds for what is in flight, performs the closing handshake,
    /// and settles the rest with [`RequestError::Closed`](crate::RequestError::Closed). Returns when the
    /// socket is gone; at once when there is none.
    ///
    /// ```no_run
    /// # use dcrf_proto::{CloseOptions, ConnectionState, client::Client};
    /// # async fn example(client: Client) {
    /// client.close().await;
    /// # }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// The client closes also when the future is dropped.
    pub fn close(&self) -> impl Future<Output = ()> + Send + use<> {
        self.close_with(CloseOptions::default())
    }

    /// As [`close`](Self::close), with options. It begins to close now, not when the future is polled.
    ///
    /// ```no_run
    /// # use dcrf_proto::{CloseOptions, ConnectionState, client::Client};
    /// # async fn example(client: Client) {
    /// client.close_with(CloseOptions::default().unsubscribe()).await;
    /// # }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// The client closes also when the future is dropped.
    pub fn close_with(&self, close: CloseOptions) -> impl Future<Output = ()> + Send + use<> {
        // The last handle closes at once when it is dropped, so this one stays as long as the wait.
        let handle = self.handle.clone();
        handle.shared().command(|session, now| session.close(close, now));
        async move { handle.shared().finished().await }
    }

    /// Closes the client without waiting for anything; what is pending settles at once.
    ///
    /// ```no_run
    /// # use dcrf_proto::{CloseOptions, ConnectionState, client::Client};
    /// # async fn example(client: Client) {
    /// client.close_now();
    /// # }
    /// ```
    pub fn close_now(&self) {
        self.handle.shared().command(|session, now| session.close(CloseOptions::now(), now));
    }
}

impl OpenError {
    /// What closed the client: its first attempt, or its caller.
    fn of(reason: CloseReason) -> Self {
        match reason {
            CloseReason::GaveUp { last_error: lost, .. }
            | CloseReason::Unauthorized(lost)
            | CloseReason::Fatal(lost) => Self::Attempt(lost),
            reason => Self::Closed(reason),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("state", &self.state()).finish_non_exhaustive()
    }
}
