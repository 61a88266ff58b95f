//! A blocking client for Django Channels REST Framework (DCRF): requests, replies and subscriptions over one WebSocket
//! that reconnects automatically.
//!
//! ```no_run
//! use serde_json::{Value, json};
//!
//! let client = dcrf_blocking::connect("ws://localhost:8000/ws/")?;
//! let alex: Value = client.create("people", &json!({"name": "Alex"}))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`Client`] has the requests and subscriptions. Each client has a background thread, which sends and receives, answers
//! the server's pings, reconnects and replays subscriptions. The thread ends when the last handle is dropped.
//!
//! Calls block the current thread. They also work inside async runtimes, but `dcrf-tokio` and `dcrf-smol` fit better
//! there.
//!
//! # Features
//!
//! The features can be combined freely.
//!
//! - `rustls` (enabled by default): TLS for `wss://`, with ring and Mozilla's root certificates.
//! - `platform-roots`: lets rustls use the operating system's root certificates, see `Tls::platform_roots`.
//! - `native-tls`: TLS with the operating system's library (OpenSSL, Secure Transport, `SChannel`). It is used if
//!   `rustls` is disabled, or with `Tls::use_native_tls`.
//! - `tracing`: spans and events for `tracing`, with the targets `dcrf::connection`, `dcrf::request`,
//!   `dcrf::subscription` and `dcrf::frame`. The documentation of `dcrf-tokio` lists them under "Logs".
//!
//! Without `rustls` and `native-tls`, a `wss://` URL fails with [`UrlError::TlsNotBuiltIn`].

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
#[doc(inline)]
pub use dcrf_proto::client::{ChangeError, ReplyError};
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
    Config, ConnectionError, ConnectionState, DecodeError, Deleted, Dialect, ErrorReply,
    FailureAction, Frame, Framing, Gap, Heartbeat, Json, Limit, ListenerEvent, OverflowPolicy,
    Page, Pk, Quarantined, RefreshError, RejectReason, Rejected, ReplyStreamError, Request,
    RequestError, RequestId, Selector, StatKind, Stats, Subscribe, SubscriptionError, Unhandled,
    UnsubscribeError,
};
pub use pending::{Pending, ReplyFuture, SubscribeFuture};
pub use receiver::{
    Events, Items, Listener, Pages, Receiver, ReplyStream, StateWatch, Subscription,
};

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
