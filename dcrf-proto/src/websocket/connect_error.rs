//! Why a client could not be built, or could not connect.

#[cfg(any(feature = "rustls", feature = "native-tls"))]
use super::TlsError;
use super::{Endpoint, InvalidCredentials, UrlError};
use crate::client::{Client, FirstAttemptError};
use crate::error::{CloseReason, ConnectionError};

/// Why a client could not be built, or could not connect.
///
/// Messages show no more of the URL than scheme, host and path.
///
/// ```
/// # use dcrf_proto::{ConnectionError, websocket::ConnectError};
/// /// Whether retrying later can help.
/// fn is_transient(error: &ConnectError) -> bool {
///     match error {
///         ConnectError::Failed { error, .. } => !matches!(error, ConnectionError::Certificate(_)),
///         _ => false,
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL is invalid. The client did not try to connect.
    #[error(transparent)]
    InvalidUrl(#[from] UrlError),
    /// A header, cookie or subprotocol is invalid. The client did not try to connect.
    #[error(transparent)]
    InvalidCredentials(#[from] InvalidCredentials),
    /// The TLS options are invalid, for example because a certificate can't be parsed. The client did not try to
    /// connect.
    #[cfg(any(feature = "rustls", feature = "native-tls"))]
    #[error("TLS: {0}")]
    Tls(#[from] TlsError),
    /// The builder was used outside of an async runtime.
    #[error("there is no async runtime: connect from within one")]
    NoRuntime,
    /// The async runtime can't be used: Tokio's has no timers, or the one below dcrf-smol could not start, for example for
    /// lack of file descriptors. Retrying later can help.
    #[error("the async runtime can't be used: {0}")]
    UnusableRuntime(String),
    /// The thread that drives the client could not be started.
    #[error("could not start a thread for the client: {0}")]
    NoThread(String),
    /// The random bytes for request ids and for masking frames could not be read from the operating system.
    #[error("could not read random bytes from the operating system")]
    NoRandomness,
    /// The client was closed during the first attempt, because its runtime was shut down, or because a connector, a
    /// credentials provider or a policy panicked.
    #[error(transparent)]
    Closed(CloseReason),
    /// The first attempt to connect failed.
    #[error("could not connect to {endpoint}: {error}")]
    Failed {
        /// The scheme, host and path of the builder's URL. A credentials provider can return another URL.
        endpoint: String,
        /// Why the attempt failed.
        error: ConnectionError,
    },
}

/// Waits for the first attempt of a client to connect.
///
/// # Errors
///
/// [`ConnectError::Failed`] if it fails, [`ConnectError::Closed`] if the client is closed before.
#[doc(hidden)]
pub async fn first_connection(client: &Client, endpoint: &Endpoint) -> Result<(), ConnectError> {
    client.first_attempt().await.map_err(|error| match error {
        FirstAttemptError::Failed(error) => {
            ConnectError::Failed { endpoint: endpoint.to_string(), error }
        }
        FirstAttemptError::Closed(reason) => ConnectError::Closed(reason),
    })
}
