//! Certificates and keys as they stand in files. No message repeats what was read: it may be a key.

use rustls_pki_types::pem::{Error, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// All certificates, of which there is one at least.
pub(super) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, &'static str> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err("there is no `-----BEGIN CERTIFICATE-----` in it"),
        Err(error) => Err(malformed(&error)),
    }
}

/// As [`certificates`], or the one certificate that is given as DER.
pub(super) fn certificates_or_der(
    bytes: &[u8],
) -> Result<Vec<CertificateDer<'static>>, &'static str> {
    match bytes {
        // A sequence of over 127 bytes, which can't be the beginning of a text.
        [0x30, 0x80..=0xff, ..] => Ok(vec![CertificateDer::from(bytes.to_owned())]),
        _ => certificates(bytes),
    }
}

pub(super) fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, &'static str> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        Error::NoItemsFound => {
            "there is no `-----BEGIN PRIVATE KEY-----` in it, and one with a password is not read"
        }
        error => malformed(&error),
    })
}

fn malformed(error: &Error) -> &'static str {
    match error {
        Error::MissingSectionEnd { .. } | Error::IllegalSectionStart { .. } => {
            "a `-----BEGIN` has no `-----END` on a line of its own: the PEM is cut off, or has lost its \
             line breaks"
        }
        Error::Base64Decode(_) => "its PEM has characters that are not base64",
        _ => "it is not PEM",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said_without_what_was_read() {
        let begin = "-----BEGIN CERTIFICATE-----";
        let end = "-----END CERTIFICATE-----";
        let table = [
            (String::new(), "there is no"),
            ("canary".to_owned(), "there is no"),
            (format!("{begin}\nY2FuYXJ5\n"), "cut off"),
            (format!("{begin}Y2FuYXJ5{end}"), "line breaks"),
            (format!("{begin}\\nY2FuYXJ5\\n{end}\\n"), "line breaks"),
            (format!("{begin}\ncan*ary\n{end}\n"), "not base64"),
        ];
        for (pem, about) in table {
            let error = certificates(pem.as_bytes()).unwrap_err();
            assert!(error.contains(about), "{pem:?}: {error}");
            let pem = pem.replace("CERTIFICATE", "PRIVATE KEY");
            let error = private_key(pem.as_bytes()).unwrap_err();
            assert!(error.contains(about), "{pem:?}: {error}");
        }
    }

    #[test]
    fn pem_may_hold_several_and_other_things_besides() {
        let pem = "A text\n-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\r\n\
                   -----BEGIN PRIVATE KEY-----\nAQ==\n-----END PRIVATE KEY-----\n\
                   -----BEGIN CERTIFICATE-----\nAg==\n-----END CERTIFICATE-----";
        let found = certificates_or_der(pem.as_bytes()).unwrap();
        assert_eq!(found, [vec![0].into(), vec![2].into()]);
        assert_eq!(private_key(pem.as_bytes()).unwrap().secret_der(), [1]);
    }

    #[test]
    fn der_is_told_from_text_by_its_first_two_bytes() {
        assert_eq!(certificates_or_der(&[0x30, 0x82, 1, 2]).unwrap().len(), 1);
        assert!(certificates_or_der(b"0").is_err());
        assert!(certificates_or_der(b"00-----").is_err());
    }
}
