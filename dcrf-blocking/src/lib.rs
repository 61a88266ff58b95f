//! A blocking client for [Django Channels REST Framework] (DCRF): requests, replies and subscriptions over one WebSocket
//! that reconnects automatically.
//!
//! [Django Channels REST Framework]: https://github.com/NilCoalescing/djangochannelsrestframework
//!
//! ```no_run
//! use dcrf_blocking::{Change, Subscribe};
//! use serde_json::{Value, json};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let client = dcrf_blocking::connect("wss://example.com/ws/")?;
//!     let alex: Value = client.create("people", &json!({"name": "Alex"}))?;
//!
//!     // An iterator over changes, also after a reconnect. `refresh` adds the snapshots.
//!     let subscribe = Subscribe::instance("people", &alex["id"]).refresh();
//!     for change in client.subscribe::<Value>(subscribe)? {
//!         match change? {
//!             Change::Snapshot(people) => println!("current: {}", people[0]["name"]),
//!             Change::Update(person) => println!("updated: {}", person["name"]),
//!             Change::Delete(_) => break,
//!             Change::Gap(gap) => println!("reconnected: {}", gap.cause),
//!             other => println!("{other:?}"),
//!         }
//!     }
//!     client.close();
//!     Ok(())
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
//! | make several at once | [`start`](Client::start), [`start_subscribe`](Client::start_subscribe) |
//! | read long lists, or many replies | [`list_all`](Client::list_all), [`stream`](Client::stream) |
//! | keep a local copy of a list that is always right | [`collection`](Resource::collection), [`Collection`] |
//! | follow changes | [`subscribe`](Client::subscribe), [`Subscribe`], [`Change`] |
//! | wait for at most some time | the methods of [`Receiver`] and [`Pending`] |
//! | receive unsolicited messages | [`listen`](Client::listen), [`events`](Client::events) |
//! | handle errors | [`RequestError`], [`SubscriptionError`], [`ConnectionError`], [`CloseReason`] |
//! | watch the connection | [`watch_state`](Client::watch_state), [`stats`](Client::stats) |
//! | solve a task: a live list, tokens, TLS, tests, deployment, logs | [the guide](https://docs.rs/dcrf-tokio/latest/dcrf_tokio/guide/), which uses `dcrf-tokio`: the names are the same, without `.await` |
//! | know exactly what happens | [the rules](dcrf_proto::rules) |
//!
//! The crate `dcrf_proto` defines most types, so their examples import from there. In your program, import them from
//! `dcrf_blocking`.
//!
//! # Threads
//!
//! Each client has a background thread, which sends and receives, answers the server's pings, reconnects and replays
//! subscriptions. The thread ends when the last handle is dropped. To share a client between threads, clone it.
//!
//! Calls block the current thread. They also work inside async runtimes, but `dcrf-tokio` and `dcrf-smol` fit better
//! there.
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

mod builder;
mod calls;
mod client;
mod collection;
mod driver;
mod forward;
mod pending;
mod receiver;
mod resource;
mod wait;

pub use builder::{Builder, Source};
pub use client::Client;
pub use collection::{Collection, CollectionBuilder, CollectionChanges, CollectionStatusWatch};
#[doc(inline)]
pub use dcrf_proto::client::{ChangeError, CollectionChange, ReplyError};
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
    BoxError, ConnectError, Credentials, CredentialsError, Endpoint, InvalidCredentials, UrlError,
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
pub use pending::{Pending, ReplyFuture, SubscribeFuture};
pub use receiver::{
    Events, Items, Listener, Pages, Receiver, ReplyStream, StateWatch, Subscription,
};
pub use resource::Resource;

/// Connects to the server behind a `ws://` or `wss://` URL, with the default options.
///
/// It returns once the first connection is established. The client reconnects automatically if it is lost.
///
/// ```no_run
/// let client = dcrf_blocking::connect("wss://example.com/ws/")?;
/// # Ok::<(), dcrf_blocking::ConnectError>(())
/// ```
///
/// # Errors
///
/// - [`ConnectError::Failed`]: the first attempt failed. It is not repeated.
/// - [`ConnectError::Closed`]: the client was closed during the first attempt.
/// - [`ConnectError::InvalidUrl`]: the URL can't be used.
/// - [`ConnectError::NoThread`]: the background thread could not be started.
/// - [`ConnectError::NoRandomness`]: the operating system returned no random bytes, which request ids need.
/// - `ConnectError::Tls`: the TLS library could not be initialized.
/// - [`ConnectError::UnusableRuntime`]: async-io could not be started for the first client of the program, for example
///   because there are no file descriptors left.
pub fn connect(url: &str) -> Result<Client, ConnectError> {
    builder(url).connect()
}

/// Returns a builder for a client with custom options.
///
/// [`connect`](Builder::connect) waits for the first connection. [`connect_lazy`](Builder::connect_lazy) returns at once,
/// connects in the background and queues requests until then.
///
/// ```no_run
/// let client = dcrf_blocking::builder("ws://localhost:8000/ws/").connect_lazy()?;
/// # Ok::<(), dcrf_blocking::ConnectError>(())
/// ```
pub fn builder(url: &str) -> Builder {
    Builder(dcrf_smol::builder(url))
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
