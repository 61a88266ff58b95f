//! Maps errors of tungstenite, TLS and I/O to [`ConnectionError`], and to the close code to send.

use async_tungstenite::tungstenite::error::{CapacityError, Error, ProtocolError};
use async_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::from_tungstenite::{NOT_HTTP, connection_error};
use crate::error::ConnectionError;

/// Maps an error of the handshake.
pub(super) fn handshake(error: Error) -> ConnectionError {
    match error {
        Error::Utf8(_) => ConnectionError::Protocol(NOT_HTTP.to_owned()),
        // The limit is not needed: it applies to messages, and there are none yet.
        error => frame(error, usize::MAX),
    }
}

/// Maps an error after the handshake. `limit` is the size limit of a message.
pub(super) fn frame(error: Error, limit: usize) -> ConnectionError {
    match error {
        Error::Io(error) => io(error),
        Error::Capacity(CapacityError::MessageTooLong { size, .. }) => {
            ConnectionError::TooLarge { size, limit }
        }
        error => connection_error(error),
    }
}

/// Maps an error of the byte stream.
#[cfg(any(feature = "rustls", feature = "native-tls"))]
fn io(error: std::io::Error) -> ConnectionError {
    super::tls::connection_error(error)
}

#[cfg(not(any(feature = "rustls", feature = "native-tls")))]
fn io(error: std::io::Error) -> ConnectionError {
    error.into()
}

/// The close code to send for an error (RFC 6455, section 7.4.1). `None` if the server did not cause it.
pub(super) fn close_code(error: &Error) -> Option<CloseCode> {
    match error {
        Error::Capacity(_) => Some(CloseCode::Size),
        Error::Utf8(_) => Some(CloseCode::Invalid),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => None,
        Error::Protocol(_) => Some(CloseCode::Protocol),
        _ => None,
    }
}
