//! A client for Django Channels REST Framework (DCRF) on Tokio: requests, replies and subscriptions over one WebSocket
//! that reconnects automatically.
//!
//! ```no_run
//! # async fn f() -> Result<(), Box<dyn std::error::Error>> {
//! use dcrf_tokio::{Change, Subscribe};
//! use serde_json::{Value, json};
//!
//! let client = dcrf_tokio::connect("ws://localhost:8000/ws/").await?;
//!
//! let alex: Value = client.create("people", &json!({"name": "Alex"})).await?;
//!
//! let mut changes = client.subscribe::<Value>(Subscribe::instance("people", &alex["id"])).await?;
//! while let Some(change) = changes.next().await {
//!     if let Change::Update(person) = change? {
//!         println!("{person}");
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Start with [`connect`], or with [`builder`] for options. [`Client`] has the requests and subscriptions. The crate
//! `dcrf_proto` defines most types, so their examples import from there. In your program, import them from
//! `dcrf_tokio`.
//!
//! The client runs on both flavors of Tokio's runtime, with I/O and time enabled, as with `#[tokio::main]` and
//! `enable_all`. A current-thread runtime runs the client only inside of its `block_on`. While the program is elsewhere,
//! pings are not answered, and no timeout of a call fires.
//!
//! # Features
//!
//! The features can be combined freely.
//!
//! - `rustls` (enabled by default): TLS for `wss://`, with ring and Mozilla's root certificates.
//! - `platform-roots`: lets rustls use the operating system's root certificates, see `Tls::platform_roots`.
//! - `native-tls`: TLS with the operating system's library (OpenSSL, Secure Transport, `SChannel`). It is used if
//!   `rustls` is disabled, or with `Tls::use_native_tls`.
//! - `tracing`: spans and events for `tracing`, see below.
//!
//! Without `rustls` and `native-tls`, a `wss://` URL fails with [`UrlError::TlsNotBuiltIn`].
//!
//! # Logs
//!
//! With the feature `tracing`, a client emits spans and events. To see them, install a `tracing` subscriber, for
//! example from the crate `tracing-subscriber`:
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
//! | `dcrf::subscription` | ended by an error reply or by quarantine, suspected in quarantine, the first lag on a connection | | subscribed, error replies, deferred, resubscribing, gaps | each lag |
//! | `dcrf::frame` | the first frame on a connection that is not a JSON object | | | each dropped frame, with its size |
//!
//! A request is a span (`request`, at `DEBUG`) from the call to its end. Its parent is the caller's span. It has the
//! fields `stream`, `action`, `request_id`, `outcome` (`ok`, `error reply 404`, `timed out`, `connection lost`,
//! `closed`, `cancelled`, `overflowed`, or `sent` for a message without a reply), `ms`, and `sent`: whether the request
//! was sent. All other events are in the span of the client (`client`, at `INFO`), which names the server. Events of
//! the connection have the number of the last `attempt`, how long the lost connection was open (`connected_ms`), and
//! the wait before the next attempt (`wait_ms`). Without a `tracing` subscriber, the client emits nothing, not even to
//! the crate `log` with `tracing`'s feature of that name.
//!
//! Logs contain request ids, but no payloads, queries, headers or reasons of close frames. The `tracing` subscriber is
//! called without holding the client's lock, so it may use the client. `tungstenite` writes requests and frames to the
//! crate `log`: keep its target at `info` if logs must not contain secrets.

#![forbid(unsafe_code)]

mod compat;

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
    ChangeError, Client, Events, Items, Listener, Pages, ReplyError, ReplyFuture, ReplyStream,
    StateWatch, SubscribeFuture, Subscription,
};
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
    Config, ConnectionError, ConnectionState, DecodeError, Deleted, Dialect, ErrorReply,
    FailureAction, Frame, Framing, Gap, Heartbeat, Json, Limit, ListenerEvent, OverflowPolicy,
    Page, Pk, Quarantined, RefreshError, RejectReason, Rejected, ReplyStreamError, Request,
    RequestError, RequestId, Selector, StatKind, Stats, Subscribe, SubscriptionError, Unhandled,
    UnsubscribeError,
};

// Compiles the examples of the README as tests. One of them needs TLS.
#[cfg(all(doctest, any(feature = "rustls", feature = "native-tls")))]
#[doc = include_str!("../../README.md")]
struct Readme;

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
///
/// ```
/// use dcrf_proto::websocket::Runtime;
///
/// // There is no runtime here.
/// assert!(dcrf_tokio::Tokio::current().is_err());
/// ```
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
