//! What the errors of OpenSSL mean.

use std::error::Error as _;
use std::fmt::Display;
use std::io;

use openssl::error::ErrorStack;
use openssl::ssl;

use crate::error::ConnectionError;

/// What a failed handshake means.
pub(super) fn handshake(error: &native_tls::Error) -> ConnectionError {
    let source = error.source();
    if let Some(stack) = source.and_then(|source| source.downcast_ref()) {
        return stacked(stack, error);
    }
    match source.and_then(|source| source.downcast_ref::<io::Error>()) {
        Some(error) => io::Error::new(error.kind(), error.to_string()).into(),
        None => ConnectionError::Tls(error.to_string()),
    }
}

/// The error of OpenSSL inside an error of the stream, if there is one.
pub(in crate::websocket::tls) fn lost(error: &io::Error) -> Option<ConnectionError> {
    let error = error.get_ref()?.downcast_ref::<ssl::Error>()?;
    Some(match error.ssl_error() {
        Some(stack) => stacked(stack, error),
        None => ConnectionError::Tls(error.to_string()),
    })
}

/// Of OpenSSL's `err.h` and `sslerr.h`. `LibreSSL` has the same numbers.
mod code {
    pub(super) const LIBRARY_SSL: i32 = 20;
    pub(super) const CERTIFICATE_VERIFY_FAILED: i32 = 134;
    pub(super) const WRONG_VERSION_NUMBER: i32 = 267;
    /// An alert that the server sent has this added to its number.
    pub(super) const ALERT: i32 = 1000;
}

/// `message` has the words of `stack`, and at the end why a certificate was not accepted.
fn stacked(stack: &ErrorStack, message: impl Display) -> ConnectionError {
    let errors = stack.errors().iter();
    let mut reasons = errors
        .filter(|error| error.library_code() == code::LIBRARY_SSL)
        .map(openssl::error::Error::reason_code);
    let meaning = reasons.find_map(|reason| match reason {
        code::CERTIFICATE_VERIFY_FAILED => Some(ConnectionError::Certificate(format!(
            "the server's certificate is not accepted: {message}"
        ))),
        code::WRONG_VERSION_NUMBER => {
            Some(ConnectionError::Tls("the server does not speak TLS on this port".to_owned()))
        }
        reason if is_about_certificate(reason - code::ALERT) => Some(ConnectionError::Certificate(
            format!("the server did not accept the client's certificate: {message}"),
        )),
        _ => None,
    });
    meaning.unwrap_or_else(|| ConnectionError::Tls(message.to_string()))
}

/// Whether an alert (RFC 8446, section 6) is about the certificate that was shown, or missed.
fn is_about_certificate(alert: i32) -> bool {
    // no_certificate to certificate_unknown, unknown_ca, certificate_required.
    matches!(alert, 41..=46 | 48 | 116)
}
