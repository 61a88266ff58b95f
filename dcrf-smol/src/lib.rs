//! A client for Django Channels REST Framework (DCRF) on smol, async-std and any other executor: requests,
//! replies and subscriptions over one WebSocket that reconnects by itself.
//!
//! ```no_run
//! # fn f() -> Result<(), Box<dyn std::error::Error>> {
//! use serde_json::{Value, json};
//!
//! smol::block_on(async {
//!     let client = dcrf_smol::connect("ws://localhost:8000/ws/").await?;
//!     let alex: Value = client.create("people", &json!({"name": "Alex"})).await?;
//!     client.close().await;
//!     Ok(())
//! })
//! # }
//! ```
//!
//! [`Client`] says what a client can do. This crate gives it the TCP and the timer of async-io, on which smol
//! and async-std are built too, and a thread to run on.
//!
//! # Executors
//!
//! A client asks nothing of the executor that it is used on: `smol::block_on`, `smol::LocalExecutor`,
//! async-std, that of a GUI or a bare `futures_lite::future::block_on`. All clients of a program are driven by
//! one thread of this crate's own, `dcrf-smol`, which starts with the first of them. So also a program whose
//! own executor is blocked, or not running at all, answers the server's pings; with smol's global executor
//! it would not.
//!
//! Since they share it, a function of the program that blocks it stops all of them: a policy (`on_failure`), or a
//! connector or a provider of credentials between two of its `await`s. These two can leave to `smol::unblock` what
//! blocks.
//!
//! That thread lasts as long as the program. What is to be told to the server before the program ends,
//! [`Client::close`] waits for. To drive a client on an executor of your own, [`build`](Builder::build) it; on the thread
//! that asks, a request alone takes half of the time, since it does not go to another thread and back:
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
//! Each can be turned on beside any other.
//!
//! - `rustls` (on by default): TLS for `wss://`, with ring and Mozilla's roots.
//! - `platform-roots`: the operating system's roots for rustls, by `Tls::platform_roots`.
//! - `native-tls`: TLS by the operating system's library (OpenSSL, Secure Transport, `SChannel`). It is used
//!   when `rustls` is turned off, or by `Tls::use_native_tls`.
//! - `tracing`: spans and events for the crate `tracing`, with the targets `dcrf::connection`, `dcrf::request`,
//!   `dcrf::subscription` and `dcrf::frame`. The documentation of `dcrf-tokio` lists them under "Logs".
//!
//! Without `rustls` and `native-tls`, `wss://` is [`UrlError::TlsNotBuiltIn`].

#![forbid(unsafe_code)]

mod executor;
mod tcp;
mod timer;

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Instant;

use async_io::Async;
use dcrf_proto::websocket::Runtime;

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
pub use tcp::Tcp;
pub use timer::Timer;

/// Connects to the server behind a `ws://` or `wss://` URL, with the default options.
///
/// It returns when the first connection stands. When a connection is lost later, the client makes a new
/// one by itself. It can be called on any executor.
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
/// [`ConnectError::Failed`] with the reason, when the first attempt fails; it is not repeated. Before anything
/// is dialled, [`ConnectError::InvalidUrl`]. Never [`ConnectError::NoRuntime`], since none is needed, and
/// [`ConnectError::NoThread`] when the operating system has none for the first client of the program.
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
/// # fn f() -> Result<(), dcrf_smol::ConnectError> {
/// let client = dcrf_smol::builder("ws://localhost:8000/ws/").connect_lazy()?;
/// # drop(client);
/// # Ok(())
/// # }
/// ```
pub fn builder(url: &str) -> Builder {
    Builder::on::<Smol>(url)
}

/// async-io and this crate's executor as the client sees them: TCP, a timer, tasks.
///
/// [`connect`] and [`builder`] use it by themselves.
///
/// ```
/// use dcrf_proto::websocket::Runtime;
///
/// // It needs no runtime around it.
/// assert!(dcrf_smol::Smol::current().is_some());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Smol;

impl Runtime for Smol {
    type Stream = Tcp;
    type Timer = Timer;

    /// Always there: it needs no runtime.
    fn current() -> Option<Self> {
        Some(Self)
    }

    fn now() -> Instant {
        Instant::now()
    }

    fn sleep_until(&self, deadline: Instant) -> Timer {
        Timer::at(deadline)
    }

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        let host = host.to_owned();
        // The operating system can look up names only by blocking a thread.
        blocking::unblock(move || Ok((&*host, port).to_socket_addrs()?.collect())).await
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<Tcp> {
        let stream = Async::<TcpStream>::connect(address).await?;
        // A second small frame would wait for the acknowledgement of the first, up to 40 ms.
        stream.get_ref().set_nodelay(true)?;
        Ok(Tcp::new(stream))
    }

    /// Runs a task on this crate's thread. A task that panics ends alone.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
        executor::spawn(task)
    }
}
