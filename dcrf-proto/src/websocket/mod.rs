//! The WebSocket over any byte stream, independent of the runtime. The adapters share this module (feature
//! `websocket`).
//!
//! - [`Endpoint`] is a parsed and validated URL.
//! - [`connect`] turns a byte stream into a [`WebSocket`]: it performs TLS for `wss://`, and the handshake.
//! - [`Runtime`] is the trait that an adapter implements. [`Builder`] builds a [`Client`](crate::client::Client) on it.
//!
//! # Logs
//!
//! This module logs nothing. The crate `tungstenite`, which it uses, logs close reasons at `debug`, and whole requests
//! and frames at `trace`, to the crate `log`. Keep its target at `info` if logs must not contain secrets.

mod builder;
mod connect_error;
mod connector;
mod credentials;
mod cut;
mod endpoint;
mod failure;
#[cfg(feature = "fake-server")]
mod fake;
mod fragments;
mod frames;
mod from_tungstenite;
mod handshake;
mod happy_eyeballs;
mod head;
mod header_list;
mod lookup;
#[cfg(feature = "fake-server")]
mod recorder;
mod runtime;
mod socket;
mod stream;
#[cfg(any(feature = "rustls", feature = "native-tls"))]
mod tls;

pub use builder::{Builder, Driver};
pub use connect_error::ConnectError;
#[doc(hidden)]
pub use connect_error::first_connection;
pub use credentials::{BoxError, Credentials, CredentialsError, InvalidCredentials};
pub use endpoint::{Endpoint, UrlError};
pub use handshake::{Options, connect};
pub use runtime::{AdaptStream, Runtime};
pub use socket::{Binary, Text, WebSocket};
pub use stream::MaybeTls;
#[cfg(any(feature = "rustls", feature = "native-tls"))]
pub use tls::{Tls, TlsError};

/// The version of rustls whose `ClientConfig` [`Tls`] accepts.
#[cfg(feature = "rustls")]
pub use futures_rustls::rustls;
/// The version of native-tls whose `TlsConnector` [`Tls`] accepts.
#[cfg(feature = "native-tls")]
pub use native_tls;
