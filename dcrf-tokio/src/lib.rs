//! A client for [Django Channels REST Framework] (DCRF) on Tokio: requests, replies and subscriptions over one WebSocket
//! that reconnects automatically.
//!
//! [Django Channels REST Framework]: https://github.com/NilCoalescing/djangochannelsrestframework
//!
//! ```no_run
//! use dcrf_tokio::{Change, Subscribe};
//! use serde::Deserialize;
//! use serde_json::json;
//!
//! #[derive(Debug, Deserialize)]
//! struct Person {
//!     id: u64,
//!     name: String,
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let client = dcrf_tokio::connect("wss://example.com/ws/").await?;
//!     let alex: Person = client.create("people", &json!({"name": "Alex"})).await?;
//!
//!     // Changes, also after a reconnect. `refresh` adds the snapshots.
//!     let subscribe = Subscribe::instance("people", alex.id).refresh();
//!     let mut changes = client.subscribe::<Person>(subscribe).await?;
//!     while let Some(change) = changes.next().await {
//!         match change? {
//!             Change::Snapshot(people) => println!("current: {people:?}"),
//!             Change::Update(person) => println!("updated: {person:?}"),
//!             Change::Delete(_) => break,
//!             Change::Gap(gap) => println!("reconnected: {}", gap.cause),
//!             other => println!("{other:?}"),
//!         }
//!     }
//!     client.close().await;
//!     Ok(())
//! }
//! ```
//!
//! If the server restarts in the middle, this prints:
//!
//! ```text
//! current: [Person { id: 4, name: "Alex" }]
//! updated: Person { id: 4, name: "Jo" }
//! reconnected: the server closed the connection with code 1012
//! current: [Person { id: 4, name: "Jefe" }]
//! ```
//!
//! # Contents
//!
//! | you want to | see |
//! | --- | --- |
//! | connect | [`connect`], or [`builder`] for options |
//! | make requests | [`Client`]: [`list`](Client::list), [`create`](Client::create), [`retrieve`](Client::retrieve), [`update`](Client::update), [`patch`](Client::patch), [`delete`](Client::delete), and [`call`](Client::call) for any other action |
//! | name a stream, its key and its feed once, and use your type | [`resource`](Client::resource), [`Resource`] |
//! | read long lists, or many replies | [`list_all`](Client::list_all), [`stream`](Client::stream) |
//! | keep a local copy of a list that is always right | [`collection`](Resource::collection), [`Collection`] |
//! | follow changes | [`subscribe`](Client::subscribe), [`Subscribe`], [`Change`] |
//! | receive unsolicited messages | [`listen`](Client::listen), [`events`](Client::events) |
//! | handle errors | [`RequestError`], [`SubscriptionError`], [`ConnectionError`], [`CloseReason`] |
//! | watch the connection | [`watch_state`](Client::watch_state), [`stats`](Client::stats) |
//! | solve a task: a live list, tokens, TLS, tests, deployment, logs | the [guide] |
//! | know exactly what happens | [the rules](dcrf_proto::rules) |
//!
//! The crate `dcrf_proto` defines most types, so their examples import from there. In your program, import them from
//! `dcrf_tokio`.
//!
//! # Runtime
//!
//! The client runs on both flavors of Tokio's runtime, with I/O and time enabled, as with `#[tokio::main]` and
//! `enable_all`. A current-thread runtime runs the client only inside of its `block_on`. While the program is elsewhere,
//! pings are not answered, and no timeout of a call fires.
//!
//! # Features
//!
//! The features can be combined freely.
//!
//! - `rustls` (enabled by default): TLS for `wss://`, with ring and Mozilla's root certificates. `Tls::rustls` accepts a
//!   custom configuration of `rustls` 0.23, which this crate re-exports.
//! - `platform-roots`: lets rustls use the operating system's root certificates, see `Tls::platform_roots`.
//! - `native-tls`: TLS with the operating system's library (OpenSSL, Secure Transport, `SChannel`). It is used if
//!   `rustls` is disabled, or with `Tls::use_native_tls`. Building on Linux needs OpenSSL's headers and pkg-config.
//! - `fake-server`: a server in memory for tests, see the module `fake_server`, `Builder::fake_server`, `Builder::record` and
//!   [testing your program](guide::testing). Enable it in `[dev-dependencies]`.
//! - `tracing`: spans and events for `tracing`, see [logs](guide::observability#logs).
//!
//! Without `rustls` and `native-tls`, a `wss://` URL fails with [`UrlError::TlsNotBuiltIn`].

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod compat;
pub mod guide;

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::panic::catch_unwind;
use std::time::{Duration, Instant};

use compat::Compat;
use dcrf_proto::websocket::{AdaptStream, Runtime};
use futures_io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Handle;

#[doc(inline)]
pub use dcrf_proto::client::{
    ChangeError, Client, Collection, CollectionBuilder, CollectionChange, CollectionChanges,
    CollectionStatusWatch, Events, Items, Listener, Pages, ReplyError, ReplyFuture, ReplyStream,
    Resource, StateWatch, SubscribeFuture, Subscription,
};
#[cfg(feature = "fake-server")]
#[doc(inline)]
pub use dcrf_proto::fake_server;
#[cfg(feature = "native-tls")]
#[doc(no_inline)]
pub use dcrf_proto::websocket::native_tls;
#[cfg(feature = "rustls")]
#[doc(no_inline)]
pub use dcrf_proto::websocket::rustls;
#[doc(inline)]
pub use dcrf_proto::websocket::{
    BoxError, ConnectError, Credentials, CredentialsError, Driver, Endpoint, InvalidCredentials,
    UrlError,
};
#[cfg(any(feature = "rustls", feature = "native-tls"))]
#[doc(inline)]
pub use dcrf_proto::websocket::{Tls, TlsError};
#[doc(inline)]
pub use dcrf_proto::{
    Attempt, Backoff, Change, ChangeKind, ClientEvent, CloseFrame, CloseOptions, CloseReason,
    Collect, CollectionError, CollectionStatus, Config, ConnectionError, ConnectionState,
    DecodeError, Deleted, Dialect, ErrorReply, FailureAction, Frame, Framing, Gap, Heartbeat, Json,
    Limit, ListenerEvent, OverflowPolicy, Page, Pk, Quarantined, RefreshError, RejectReason,
    Rejected, ReplyStreamError, Request, RequestError, RequestId, ResourceDescription, Selector,
    StaleCause, StatKind, Stats, Subscribe, SubscriptionError, Unhandled, UnsubscribeError,
    WaitingFor,
};

/// Connects to a server by its `ws://` or `wss://` URL, with the default options.
///
/// Returns once the first connection is established. If the connection is lost later, the client reconnects
/// automatically.
///
/// ```no_run
/// # async fn f() -> Result<(), dcrf_tokio::ConnectError> {
/// let client = dcrf_tokio::connect("wss://example.com/ws/").await?;
/// # drop(client);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// - [`ConnectError::Failed`]: the first attempt failed. It is not repeated.
/// - [`ConnectError::Closed`]: the runtime was shut down during the first attempt.
/// - [`ConnectError::InvalidUrl`]: the URL can't be used.
/// - [`ConnectError::NoRuntime`]: there is no Tokio runtime.
/// - [`ConnectError::NoRandomness`]: the operating system returned no random bytes, which request ids need.
/// - `ConnectError::Tls`: the TLS library could not be initialized.
/// - [`ConnectError::UnusableRuntime`]: the runtime's timers are disabled.
///
/// # Cancel safety
///
/// Dropping the future cancels the attempt and leaves no task behind.
pub async fn connect(url: &str) -> Result<Client, ConnectError> {
    builder(url).connect().await
}

/// Returns a builder for a client with custom options.
///
/// [`connect`](Builder::connect) waits for the first connection. [`connect_lazy`](Builder::connect_lazy) returns at
/// once, connects in the background and queues requests until then.
///
/// ```no_run
/// # fn f() -> Result<(), dcrf_tokio::ConnectError> {
/// let client = dcrf_tokio::builder("ws://localhost:8000/ws/").connect_lazy()?;
/// # drop(client);
/// # Ok(())
/// # }
/// ```
pub fn builder(url: &str) -> Builder {
    Builder::on(url)
}

/// Builds a [`Client`] with custom options. Start with the function [`builder`].
///
/// Its [connector](Builder::connector) can return any stream with Tokio's `AsyncRead` and `AsyncWrite`:
///
/// ```no_run
/// # #[cfg(unix)]
/// # async fn f() -> Result<(), dcrf_tokio::ConnectError> {
/// use tokio::net::UnixStream;
///
/// let client = dcrf_tokio::builder("ws://localhost/ws/")
///     .connector(|_| UnixStream::connect("/run/daphne.sock"))
///     .connect()
///     .await?;
/// # drop(client);
/// # Ok(())
/// # }
/// ```
pub type Builder = dcrf_proto::websocket::Builder<Tokio>;

/// Tokio as the client's runtime: its sockets, timers and tasks.
#[derive(Clone)]
pub struct Tokio {
    handle: Handle,
}

impl Runtime for Tokio {
    type Timer = tokio::time::Sleep;

    fn current() -> Result<Self, ConnectError> {
        let handle = Handle::try_current().map_err(|_| ConnectError::NoRuntime)?;
        // Without timers, this panics. Nothing else tells.
        let start_timer = || drop(tokio::time::sleep(Duration::ZERO));
        if catch_unwind(start_timer).is_err() {
            let message = "its timers are disabled: build it with `enable_time` or `enable_all`";
            return Err(ConnectError::UnusableRuntime(message.to_owned()));
        }
        Ok(Self { handle })
    }

    fn now() -> Instant {
        // In tests with paused time, it differs from the clock of std.
        tokio::time::Instant::now().into_std()
    }

    fn sleep_until(&self, deadline: Instant) -> Self::Timer {
        tokio::time::sleep_until(deadline.into())
    }

    fn enter(&self) -> impl Sized {
        self.handle.enter()
    }

    async fn connect(
        &self,
        address: SocketAddr,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Unpin + Send + 'static> {
        Ok(Compat(connect_tcp(address).await?))
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
        self.handle.spawn(task);
        Ok(())
    }
}

async fn connect_tcp(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    // Otherwise a second small frame waits for the acknowledgement of the first, up to 40 ms.
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl<S> AdaptStream<S> for Tokio
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    fn adapt_stream(stream: S) -> impl AsyncRead + AsyncWrite + Unpin + Send + 'static {
        Compat(stream)
    }
}

impl fmt::Debug for Tokio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokio")
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::connect_tcp;

    #[tokio::test]
    async fn connections_have_nodelay() {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let stream = connect_tcp(listener.local_addr().unwrap()).await.unwrap();
        assert!(stream.nodelay().unwrap());
    }
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
