//! WebSocket over any byte stream: what the adapters of the runtimes share, so that each of them only
//! opens TCP connections, waits and spawns. It knows no runtime.
//!
//! - [`Endpoint`] is a URL, checked before anything is dialled.
//! - [`connect`] makes a [`WebSocket`] of a byte stream: TLS for `wss://`, the handshake, the framing.
//! - [`Runtime`] is what an adapter brings; [`Builder`] makes a [`Client`](crate::client::Client) with it.
//!
//! # Logs
//!
//! Nothing here logs. The crate `tungstenite` below does, to the `log` facade: close reasons at `debug`, whole
//! requests and frames at `trace`. A program that turns its target `tungstenite` on sees secrets there.

mod builder;
mod connect_error;
mod connector;
mod credentials;
mod endpoint;
mod failure;
mod from_tungstenite;
mod handshake;
mod happy_eyeballs;
mod head;
mod header_list;
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
pub use runtime::Runtime;
pub use socket::{Binary, Text, WebSocket};
pub use stream::MaybeTls;
#[cfg(any(feature = "rustls", feature = "native-tls"))]
pub use tls::{Tls, TlsError};

/// The version of rustls whose `ClientConfig` is taken here.
#[cfg(feature = "rustls")]
pub use futures_rustls::rustls;
/// The version of native-tls whose `TlsConnector` is taken here.
#[cfg(feature = "native-tls")]
pub use native_tls;
