//! What a failure means for the connection, where more is known than tungstenite says.

use async_tungstenite::tungstenite::error::{CapacityError, Error, ProtocolError};
use async_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::from_tungstenite::{NOT_HTTP, connection_error};
use crate::error::ConnectionError;

/// What a failure of the handshake means.
pub(super) fn handshake(error: Error) -> ConnectionError {
    match error {
        Error::Utf8(_) => ConnectionError::Protocol(NOT_HTTP.to_owned()),
        // Only frames are limited by size, and none has come.
        error => frame(error, usize::MAX),
    }
}

/// What a failure after the handshake means; `limit` is what a message may have in bytes.
pub(super) fn frame(error: Error, limit: usize) -> ConnectionError {
    match error {
        Error::Io(error) => io(error),
        Error::Capacity(CapacityError::MessageTooLong { .. }) => {
            ConnectionError::TooLarge { limit }
        }
        error => connection_error(error),
    }
}

/// What a failure of the byte stream means.
#[cfg(any(feature = "rustls", feature = "native-tls"))]
fn io(error: std::io::Error) -> ConnectionError {
    super::tls::connection_error(error)
}

#[cfg(not(any(feature = "rustls", feature = "native-tls")))]
fn io(error: std::io::Error) -> ConnectionError {
    error.into()
}

/// The close code that tells the server about a failure (RFC 6455, section 7.4.1); `None` when it is
/// not the server's.
pub(super) fn close_code(error: &Error) -> Option<CloseCode> {
    match error {
        Error::Capacity(_) => Some(CloseCode::Size),
        Error::Utf8(_) => Some(CloseCode::Invalid),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => None,
        Error::Protocol(_) => Some(CloseCode::Protocol),
        _ => None,
    }
}
