//! What the errors of `SChannel` and of Secure Transport mean: each is a number.
#![cfg_attr(
    not(any(windows, target_vendor = "apple")),
    expect(dead_code, reason = "tested anywhere")
)]

use std::fmt::Debug;
use std::io;

use crate::error::ConnectionError;

/// What a failed handshake means.
pub(super) fn handshake(error: &native_tls::Error) -> ConnectionError {
    meaning(status(error), error.to_string())
}

/// The error of the library inside an error of the stream, if there is one.
pub(in crate::websocket::tls) fn lost(error: &io::Error) -> Option<ConnectionError> {
    let status = match error.get_ref() {
        Some(error) => status(error),
        None => error.raw_os_error(),
    };
    // Those of the network are positive.
    let status = status.filter(|status| *status < 0)?;
    Some(meaning(Some(status), error.to_string()))
}

/// What native-tls says on Windows when the chain ends at another root than those that were given, and
/// the system's are not to be trusted. It has no number.
const ANOTHER_ROOT: &str = "unable to find any user-specified roots";

fn meaning(status: Option<i32>, message: String) -> ConnectionError {
    let is_certificate = match status {
        Some(status) => is_about_certificate(status),
        None => message.contains(ANOTHER_ROOT),
    };
    if is_certificate {
        ConnectionError::Certificate(message)
    } else {
        ConnectionError::Tls(message)
    }
}

/// The number in an error, of which native-tls shows nothing but `Error { code: -9807, … }` on macOS and
/// `Os { code: -2146762487, … }` on Windows.
fn status(error: &(impl Debug + ?Sized)) -> Option<i32> {
    let shown = format!("{error:?}");
    let (_, rest) = shown.split_once("code: ")?;
    let end = rest.find(|letter: char| letter != '-' && !letter.is_ascii_digit());
    rest[..end.unwrap_or(rest.len())].parse().ok()
}

/// Whether a certificate was not accepted, the server's or ours.
fn is_about_certificate(status: i32) -> bool {
    match u32::from_ne_bytes(status.to_ne_bytes()) {
        // `winerror.h`: whatever CERT_E_… and TRUST_E_… say of a chain; that the name is another, the root
        // is not trusted, the certificate is unknown, expired, for another use, or revoked.
        0x800B_0000..=0x800B_FFFF
        | 0x8009_0322
        | 0x8009_0325
        | 0x8009_0327
        | 0x8009_0328
        | 0x8009_0349
        | 0x8009_2010 => true,
        // `SecureTransport.h`: errSSLXCertChainInvalid to errSSLCertNotYetValid without two that are about
        // cryptography, errSSLPeerBadCert to errSSLPeerUnknownCA, errSSLHostNameMismatch. `SecBase.h`: what the
        // evaluation of trust says.
        _ => matches!(
            status,
            -9808..=-9807 | -9815..=-9812 | -9829..=-9825 | -9831 | -9843 | -67_900..=-67_500
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_is_not_accepted_is_known_by_its_number() {
        #[derive(Debug)]
        struct Error {
            code: i32,
            message: Option<&'static str>,
        }
        let hex = |code: u32| i32::from_ne_bytes(code.to_ne_bytes());
        let not_trusted = [hex(0x800B_0109), hex(0x8009_0325), -9807, -9843, -67_843];
        let others = [hex(0x8009_0308), -9800, -9810, -9824, -9836, 10_054];
        for (codes, is_certificate) in [(&not_trusted[..], true), (&others[..], false)] {
            for &code in codes {
                let error = Error { code, message: Some("code: 1") };
                assert_eq!(status(&error), Some(code), "{:?}", error.message);
                let lost = meaning(status(&error), String::new());
                assert_eq!(
                    matches!(lost, ConnectionError::Certificate(_)),
                    is_certificate,
                    "{code}"
                );
            }
        }
    }

    #[test]
    fn a_root_that_was_not_given_is_known_by_its_words() {
        let error = io::Error::other(format!("{ANOTHER_ROOT} in the final cert chain"));
        let lost = meaning(status(&error), error.to_string());
        assert!(matches!(lost, ConnectionError::Certificate(_)), "{lost:?}");
    }

    #[test]
    fn errors_of_the_network_are_not_of_tls() {
        assert_eq!(lost(&io::Error::from_raw_os_error(104)), None);
        assert_eq!(lost(&io::ErrorKind::UnexpectedEof.into()), None);
        assert_eq!(lost(&io::Error::other("code of another kind")), None);
    }
}
