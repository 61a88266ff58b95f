//! Errors of Secure Transport and `SChannel`.
//!
//! native-tls hides their types and codes, so a rejected certificate can't be recognized. It is a
//! [`ConnectionError::Tls`] and retried, like every other failure of TLS.

use std::io;

use crate::error::ConnectionError;

/// Converts the error of a failed handshake.
pub(super) fn handshake(error: &native_tls::Error) -> ConnectionError {
    ConnectionError::Tls(error.to_string())
}

/// Converts the TLS error inside an I/O error, if any. Codes of TLS are negative, those of the network positive.
pub(in crate::websocket::tls) fn tls_error(error: &io::Error) -> Option<ConnectionError> {
    error.raw_os_error().filter(|code| *code < 0)?;
    Some(ConnectionError::Tls(error.to_string()))
}

/// Whether the key is not that of the certificate. These libraries compare them by themselves.
pub(super) fn is_other_key(_chain: &[u8], _key: &[u8]) -> bool {
    false
}
