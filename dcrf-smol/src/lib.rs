//! A client for [Django Channels REST Framework] (DCRF) on smol, async-std and any other executor: requests, replies and
//! subscriptions over one WebSocket that reconnects automatically.
//!
//! [Django Channels REST Framework]: https://github.com/NilCoalescing/djangochannelsrestframework
//!
//! ```no_run
//! use dcrf_smol::{Change, Subscribe};
//! use serde_json::{Value, json};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     smol::block_on(async {
//!         let client = dcrf_smol::connect("wss://example.com/ws/").await?;
//!         let alex: Value = client.create("people", &json!({"name": "Alex"})).await?;
//!
//!         // Changes, also after a reconnect. `refresh` adds the snapshots.
//!         let subscribe = Subscribe::instance("people", &alex["id"]).refresh();
//!         let mut changes = client.subscribe::<Value>(subscribe).await?;
//!         while let Some(change) = changes.next().await {
//!             match change? {
//!                 Change::Snapshot(people) => println!("current: {}", people[0]["name"]),
//!                 Change::Update(person) => println!("updated: {}", person["name"]),
//!                 Change::Delete(_) => break,
//!                 Change::Gap(gap) => println!("reconnected: {}", gap.cause),
//!                 other => println!("{other:?}"),
//!             }
//!         }
//!         client.close().await;
//!         Ok(())
//!     })
//! }
//! ```
//!
//! If the server restarts in the middle, this prints:
//!
//! ```text
//! current: "Alex"
//! updated: "Jo"
//! reconnected: the server closed the connection with code 1012
//! current: "Jefe"
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
//! | solve a task: a live list, tokens, TLS, tests, deployment, logs | [the guide](https://docs.rs/dcrf-tokio/latest/dcrf_tokio/guide/), which uses `dcrf-tokio`: all names are the same |
//! | know exactly what happens | [the rules](dcrf_proto::rules) |
//!
//! The crate `dcrf_proto` defines most types, so their examples import from there. In your program, import them from
//! `dcrf_smol`. Sockets and timers are those of async-io, which smol and async-std use too.
//!
//! # Executors
//!
//! A client works on every executor: `smol::block_on`, `smol::LocalExecutor`, async-std, that of a GUI, or a bare
//! `futures_lite::future::block_on`. One thread of this crate, `dcrf-smol`, drives all clients of a program. It starts with the
//! first client. So a program answers the server's pings even while its own executor is blocked or not running.
//!
//! A policy ([`on_failure`](Builder::on_failure)), connector or credentials provider runs on that thread, so code that blocks in
//! it stops all clients. Connectors and providers can move blocking code to `smol::unblock`.
//!
//! The thread runs until the program ends. [`Client::close`] waits until the closing handshake is done. To drive a client on
//! another executor, [`build`](Builder::build) it. If that is the executor of the callers, a request takes half the time, because
//! it does not cross threads:
//!
//! ```
//! let (client, driver) = dcrf_smol::builder("ws://localhost:8000/ws/").build()?;
//! let executor = smol::Executor::new();
//! executor.spawn(driver).detach();
//! # drop(client);
//! # Ok::<(), dcrf_smol::ConnectError>(())
//! ```
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
//!   [testing your program][testing]. Enable it in `[dev-dependencies]`.
//! - `tracing`: spans and events for `tracing`, with the targets `dcrf::connection`, `dcrf::request`,
//!   `dcrf::subscription` and `dcrf::frame`. The guide [lists them][logs].
//!
//! [logs]: https://docs.rs/dcrf-tokio/latest/dcrf_tokio/guide/observability/#logs
//! [testing]: https://docs.rs/dcrf-tokio/latest/dcrf_tokio/guide/testing/
//!
//! Without `rustls` and `native-tls`, a `wss://` URL fails with [`UrlError::TlsNotBuiltIn`].

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod executor;
mod reactor;
mod tcp;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use async_io::Timer;
use dcrf_proto::websocket::{AdaptStream, Runtime};
use futures_io::{AsyncRead, AsyncWrite};
use tcp::Tcp;

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

/// Connects to the server behind a `ws://` or `wss://` URL, with the default options.
///
/// It returns once the first connection is established. The client reconnects automatically if it is lost. It can be called on
/// any executor.
///
/// ```no_run
/// # async fn f() -> Result<(), dcrf_smol::ConnectError> {
/// let client = dcrf_smol::connect("wss://example.com/ws/").await?;
/// # drop(client);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// - [`ConnectError::Failed`]: the first attempt failed. It is not repeated.
/// - [`ConnectError::Closed`]: the client was closed during the first attempt.
/// - [`ConnectError::InvalidUrl`]: the URL can't be used.
/// - [`ConnectError::NoThread`]: the thread could not be started for the first client of the program.
/// - [`ConnectError::NoRandomness`]: the operating system returned no random bytes, which request ids need.
/// - `ConnectError::Tls`: the TLS library could not be initialized.
/// - [`ConnectError::UnusableRuntime`]: async-io could not be started for the first client of the program, for example
///   because there are no file descriptors left.
///
/// # Cancel safety
///
/// Dropping the future cancels the attempt and leaves no task behind.
pub async fn connect(url: &str) -> Result<Client, ConnectError> {
    builder(url).connect().await
}

/// Returns a builder for a client with custom options.
///
/// [`connect`](Builder::connect) waits for the first connection. [`connect_lazy`](Builder::connect_lazy) returns at once,
/// connects in the background and queues requests until then.
///
/// ```no_run
/// # fn f() -> Result<(), dcrf_smol::ConnectError> {
/// let client = dcrf_smol::builder("ws://localhost:8000/ws/").connect_lazy()?;
/// # drop(client);
/// # Ok(())
/// # }
/// ```
pub fn builder(url: &str) -> Builder {
    Builder::on(url)
}

/// Builds a [`Client`] with custom options. [`builder`] returns one.
///
/// Its [connector](Builder::connector) can return any stream with the `AsyncRead` and `AsyncWrite` of futures-io, which those
/// of smol and async-std implement:
///
/// ```no_run
/// # #[cfg(unix)]
/// # async fn f() -> Result<(), dcrf_smol::ConnectError> {
/// use smol::net::unix::UnixStream;
///
/// let client = dcrf_smol::builder("ws://localhost/ws/")
///     .connector(|_| UnixStream::connect("/run/daphne.sock"))
///     .connect()
///     .await?;
/// # drop(client);
/// # Ok(())
/// # }
/// ```
pub type Builder = dcrf_proto::websocket::Builder<Smol>;

/// async-io's sockets and timers, and this crate's executor, for the client.
#[derive(Clone, Copy, Debug)]
pub struct Smol;

impl Runtime for Smol {
    type Timer = Timer;

    /// Starts async-io, if this is the first client of the program. The client works on every executor.
    fn current() -> Result<Self, ConnectError> {
        reactor::start().map_err(ConnectError::UnusableRuntime)?;
        Ok(Self)
    }

    fn now() -> Instant {
        Instant::now()
    }

    fn sleep_until(&self, deadline: Instant) -> Timer {
        Timer::at(deadline)
    }

    /// Does nothing: async-io works on every thread.
    fn enter(&self) -> impl Sized {}

    async fn connect(
        &self,
        address: SocketAddr,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Unpin + Send + 'static> {
        Tcp::connect(address).await
    }

    /// Runs a task on this crate's thread. A panic ends only that task.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
        executor::spawn(task)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> AdaptStream<S> for Smol {
    fn adapt_stream(stream: S) -> impl AsyncRead + AsyncWrite + Unpin + Send + 'static {
        stream
    }
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
