//! A client for Django Channels REST Framework (DCRF) in programs without async: requests, replies and
//! subscriptions over one WebSocket that reconnects by itself.
//!
//! ```no_run
//! use serde_json::{Value, json};
//!
//! let client = dcrf_blocking::connect("ws://localhost:8000/ws/")?;
//! let alex: Value = client.create("people", &json!({"name": "Alex"}))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`Client`] says what a client can do. Each client has one thread in the background, which answers the
//! server's pings, reconnects and replays the subscriptions while the program does other things. It ends with
//! the last handle. A request is written by the thread that makes it, where that is free to.
//!
//! It works inside of an async runtime too, but blocks the thread that calls it: there, `dcrf-tokio` and
//! `dcrf-smol` do better.
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

mod builder;
mod calls;
mod client;
mod driver;
mod forward;
mod pending;
mod receiver;
mod wait;

pub use builder::{Builder, Source};
pub use client::Client;
// The client and what it hands out have types of their own here.
#[doc(inline)]
pub use dcrf_proto::vocabulary::*;
pub use pending::{Pending, ReplyFuture, SubscribeFuture};
pub use receiver::{Events, Items, Listener, Pages, Receiver, ReplyStream, Subscription};

/// Connects to the server behind a `ws://` or `wss://` URL, with the default options.
///
/// It returns when the first connection stands. When a connection is lost later, the client makes a new
/// one by itself.
///
/// ```no_run
/// let client = dcrf_blocking::connect("wss://example.com/ws/")?;
/// # Ok::<(), dcrf_blocking::ConnectError>(())
/// ```
///
/// # Errors
///
/// [`ConnectError::Failed`] with the reason, when the first attempt fails; it is not repeated. Before anything
/// is dialled, [`ConnectError::InvalidUrl`] and [`ConnectError::NoThread`].
pub fn connect(url: &str) -> Result<Client, ConnectError> {
    builder(url).connect()
}

/// Begins a client with options of its own for the server behind a `ws://` or `wss://` URL.
///
/// [`connect_lazy`](Builder::connect_lazy) returns at once, queues requests and keeps trying;
/// [`connect`](Builder::connect) waits for the first connection.
///
/// ```no_run
/// let client = dcrf_blocking::builder("ws://localhost:8000/ws/").connect_lazy()?;
/// # Ok::<(), dcrf_blocking::ConnectError>(())
/// ```
pub fn builder(url: &str) -> Builder {
    Builder(dcrf_smol::builder(url))
}
