//! A client for Django Channels REST Framework (DCRF) on Tokio: requests, replies and subscriptions over
//! one WebSocket that reconnects by itself.
//!
//! ```no_run
//! # async fn f() -> Result<(), Box<dyn std::error::Error>> {
//! use serde_json::{Value, json};
//!
//! let client = dcrf_tokio::connect("ws://localhost:8000/ws/").await?;
//! let alex: Value = client.create("people", &json!({"name": "Alex"})).await?;
//! # Ok(())
//! # }
//! ```
//!
//! [`Client`] says what a client can do. This crate gives it Tokio's TCP, timer and tasks, on both flavors
//! of the runtime. The runtime needs its I/O and its timer enabled, as they are by `#[tokio::main]` and by
//! `enable_all`.
//!
//! # Features
//!
//! Each can be turned on beside any other.
//!
//! - `rustls` (on by default): TLS for `wss://`, with ring and Mozilla's roots.
//! - `platform-roots`: the operating system's roots for rustls, by `Tls::platform_roots`.
//! - `native-tls`: TLS by the operating system's library (OpenSSL, Secure Transport, `SChannel`). It is used
//!   when `rustls` is turned off, or by `Tls::use_native_tls`.
//! - `tracing`: spans and events for the crate `tracing`, see below.
//!
//! Without `rustls` and `native-tls`, `wss://` is [`UrlError::TlsNotBuiltIn`].
//!
//! # Logs
//!
//! With the feature `tracing` a client tells what it does. To see it, give your program a subscriber, here that of
//! `tracing-subscriber`:
//!
//! ```no_run
//! use tracing::Level;
//! use tracing_subscriber::{filter::Targets, fmt, prelude::*};
//!
//! let levels = Targets::new().with_default(Level::INFO).with_target("dcrf", Level::DEBUG);
//! tracing_subscriber::registry().with(fmt::layer()).with(levels).init();
//! ```
//!
//! | target | `WARN` | `INFO` | `DEBUG` | `TRACE` |
//! | --- | --- | --- | --- | --- |
//! | `dcrf::connection` | gave up, not authorized, closed by a failure | connected, lost and why, the first attempt that fails, closed | each attempt | |
//! | `dcrf::request` | | | how each request ended, repeats, rejected calls | |
//! | `dcrf::subscription` | error reply or quarantine ended it, the first lag on a connection | | subscribed, error replies, deferred, resubscribing, gaps | each lag |
//! | `dcrf::frame` | the first frame on a connection that is not a JSON object | | | each dropped frame, with its size |
//!
//! A request is a span (`request`, at `DEBUG`) from the call to its end, with the fields `stream`, `action`,
//! `request_id`, `outcome` (`ok`, `error reply 404`, `timed out`, `connection lost`, `closed`, `cancelled`, `overflowed`, or `sent`
//! for a message that awaits no answer), `ms`, and `sent`: whether it was handed to the socket. Its parent is the span
//! in which it was made. All else is in a span of the client (`client`, at `INFO`), which names the server. The events
//! of the connection say which `attempt` was made last, how long the connection that has ended was open
//! (`connected_ms`), and how long it is until the next attempt (`wait_ms`). A subscriber is needed: the feature `log`
//! of `tracing` alone shows nothing.
//!
//! Payloads, queries, headers and the texts of close frames are in none of it; request ids are. Subscribers are called
//! while the client's lock is free, so they may use the client. What `tungstenite` below writes to the crate `log` is
//! another matter: keep its target at `info` where secrets must not be in logs.

#![forbid(unsafe_code)]

mod compat;

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use dcrf_proto::websocket::Runtime;
use tokio::net::TcpStream;
use tokio::runtime::Handle;

pub use compat::Compat;
#[doc(inline)]
pub use dcrf_proto::client::{
    ChangeError, Client, Events, Items, Listener, Pages, ReplyError, ReplyFuture, ReplyStream,
    StateWatch, SubscribeFuture, Subscription,
};
#[doc(inline)]
pub use dcrf_proto::websocket::{
    BoxError, Builder, ConnectError, Credentials, CredentialsError, Driver, Endpoint,
    InvalidCredentials, UrlError,
};
#[cfg(any(feature = "rustls", feature = "native-tls"))]
#[doc(inline)]
pub use dcrf_proto::websocket::{Tls, TlsError};
#[doc(inline)]
pub use dcrf_proto::{
    Attempt, Backoff, Change, ChangeKind, ClientEvent, CloseFrame, CloseOptions, CloseReason,
    Config, ConnectionError, ConnectionState, DecodeError, Deleted, Dialect, ErrorReply,
    FailureAction, Frame, Framing, Gap, Heartbeat, Json, Limit, ListenerEvent, OverflowPolicy,
    Page, Pk, RejectReason, Rejected, ReplyStreamError, Request, RequestError, RequestId, Selector,
    StatKind, Stats, Subscribe, SubscriptionError, Unhandled, UnsubscribeError,
};

// The examples in the README are compiled as tests. One of them has options of TLS.
#[cfg(all(doctest, any(feature = "rustls", feature = "native-tls")))]
#[doc = include_str!("../../README.md")]
struct Readme;

/// Connects to the server behind a `ws://` or `wss://` URL, with the default options.
///
/// It returns when the first connection stands. When a connection is lost later, the client makes a new
/// one by itself.
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
/// [`ConnectError::Failed`] with the reason, when the first attempt fails; it is not repeated. Before anything
/// is dialled, [`ConnectError::InvalidUrl`], and [`ConnectError::NoRuntime`] outside of a Tokio runtime.
///
/// # Cancel safety
///
/// Dropping the future ends the attempt, and leaves no task behind.
pub async fn connect(url: &str) -> Result<Client, ConnectError> {
    builder(url).connect().await
}

/// Begins a client with options of its own for the server behind a `ws://` or `wss://` URL.
///
/// [`connect_lazy`](Builder::connect_lazy) returns at once, queues requests and keeps trying;
/// [`connect`](Builder::connect) waits for the first connection.
///
/// ```no_run
/// # fn f() -> Result<(), dcrf_tokio::ConnectError> {
/// let client = dcrf_tokio::builder("ws://localhost:8000/ws/").connect_lazy()?;
/// # drop(client);
/// # Ok(())
/// # }
/// ```
pub fn builder(url: &str) -> Builder {
    Builder::on::<Tokio>(url)
}

/// Tokio as the client sees it: TCP, a timer, tasks.
///
/// [`connect`] and [`builder`] use it by themselves.
///
/// ```
/// use dcrf_proto::websocket::Runtime;
///
/// // Outside of a runtime.
/// assert!(dcrf_tokio::Tokio::current().is_none());
/// ```
#[derive(Clone)]
pub struct Tokio {
    handle: Handle,
}

impl Runtime for Tokio {
    type Stream = Compat<TcpStream>;
    type Timer = tokio::time::Sleep;

    fn current() -> Option<Self> {
        Some(Self { handle: Handle::try_current().ok()? })
    }

    fn now() -> Instant {
        // Not the clock of std: in a test with paused time they differ.
        tokio::time::Instant::now().into_std()
    }

    fn sleep_until(&self, deadline: Instant) -> Self::Timer {
        tokio::time::sleep_until(deadline.into())
    }

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((host, port)).await?.collect())
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<Compat<TcpStream>> {
        let stream = TcpStream::connect(address).await?;
        // A second small frame would wait for the acknowledgement of the first, up to 40 ms.
        stream.set_nodelay(true)?;
        Ok(Compat::new(stream))
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
        self.handle.spawn(task);
        Ok(())
    }
}

impl fmt::Debug for Tokio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokio")
    }
}
