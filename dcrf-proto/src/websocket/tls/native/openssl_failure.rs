//! Errors of OpenSSL.

use std::error::Error as _;
use std::fmt::Display;
use std::io;

use openssl::error::ErrorStack;
use openssl::pkey::PKey;
use openssl::ssl;
use openssl::x509::X509;

use super::super::client_rejected;
use crate::error::ConnectionError;

/// Converts the error of a failed handshake.
pub(super) fn handshake(error: &native_tls::Error) -> ConnectionError {
    let source = error.source();
    if let Some(stack) = source.and_then(|source| source.downcast_ref()) {
        return from_stack(stack, error, false);
    }
    match source.and_then(|source| source.downcast_ref::<io::Error>()) {
        Some(error) => io::Error::new(error.kind(), error.to_string()).into(),
        None => ConnectionError::Tls(error.to_string()),
    }
}

/// Converts the OpenSSL error inside an I/O error, if any.
pub(in crate::websocket::tls) fn tls_error(error: &io::Error) -> Option<ConnectionError> {
    let error = error.get_ref()?.downcast_ref::<ssl::Error>()?;
    Some(match error.ssl_error() {
        Some(stack) => from_stack(stack, error, true),
        None => ConnectionError::Tls(error.to_string()),
    })
}

/// Whether the key is not that of the certificate. OpenSSL does not compare keys of different types.
pub(super) fn is_other_key(chain: &[u8], key: &[u8]) -> bool {
    let of_certificate = X509::from_pem(chain).and_then(|certificate| certificate.public_key());
    match (of_certificate, PKey::private_key_from_pem(key)) {
        (Ok(of_certificate), Ok(key)) => !of_certificate.public_eq(&key),
        _ => false,
    }
}

/// From OpenSSL's `err.h` and `sslerr.h`. `LibreSSL` uses the same numbers.
mod code {
    pub(super) const LIBRARY_SSL: i32 = 20;
    pub(super) const CERTIFICATE_VERIFY_FAILED: i32 = 134;
    pub(super) const WRONG_VERSION_NUMBER: i32 = 267;
    /// Added to the number of an alert from the server.
    pub(super) const ALERT: i32 = 1000;
}

/// `message` is the text of `stack`, followed by why a certificate was rejected. `is_verified` after the handshake.
fn from_stack(stack: &ErrorStack, message: impl Display, is_verified: bool) -> ConnectionError {
    let errors = stack.errors().iter();
    let mut reasons = errors
        .filter(|error| error.library_code() == code::LIBRARY_SSL)
        .map(openssl::error::Error::reason_code);
    let error = reasons.find_map(|reason| match reason {
        code::CERTIFICATE_VERIFY_FAILED => Some(ConnectionError::Certificate(format!(
            "the server certificate was rejected: {message}"
        ))),
        code::WRONG_VERSION_NUMBER => {
            Some(ConnectionError::Tls("the server does not speak TLS on this port".to_owned()))
        }
        reason if is_about_certificate(reason - code::ALERT) => {
            Some(client_rejected(&message.to_string(), is_verified))
        }
        _ => None,
    });
    error.unwrap_or_else(|| ConnectionError::Tls(message.to_string()))
}

/// Whether an alert (RFC 8446, section 6) means that the client certificate is missing or was rejected.
fn is_about_certificate(alert: i32) -> bool {
    // no_certificate to certificate_unknown, unknown_ca, certificate_required.
    matches!(alert, 41..=46 | 48 | 116)
}
