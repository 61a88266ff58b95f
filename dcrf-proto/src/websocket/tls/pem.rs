//! Parses certificates and keys. Messages never contain the input, which may be a key.

use std::borrow::Cow;

use rustls_pki_types::pem::{Error, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// Removes a byte order mark, and turns the line breaks of old Macs into those that parsers know.
pub(super) fn normalized(pem: &[u8]) -> Cow<'_, [u8]> {
    let pem = pem.strip_prefix(b"\xef\xbb\xbf").unwrap_or(pem);
    if !pem.contains(&b'\r') || pem.contains(&b'\n') {
        return Cow::Borrowed(pem);
    }
    pem.iter().map(|byte| if *byte == b'\r' { b'\n' } else { *byte }).collect()
}

/// Parses at least one certificate.
pub(super) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, &'static str> {
    let pem = &*normalized(pem);
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err("found no `-----BEGIN CERTIFICATE-----`"),
        Err(error) => Err(malformed(&error)),
    }
}

/// Parses at least one certificate in PEM, or exactly one in DER.
pub(super) fn certificates_or_der(
    bytes: &[u8],
) -> Result<Vec<CertificateDer<'static>>, &'static str> {
    match bytes {
        // An ASN.1 sequence of over 127 bytes; no text starts like this.
        [0x30, 0x80..=0xff, ..] => Ok(vec![CertificateDer::from(bytes.to_owned())]),
        _ => certificates(bytes),
    }
}

/// What an encrypted key contains, in PKCS #8 or in the older formats.
const ENCRYPTED: [&[u8]; 2] = [b"-----BEGIN ENCRYPTED PRIVATE KEY-----", b"Proc-Type: 4,ENCRYPTED"];

pub(super) fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, &'static str> {
    let pem = &*normalized(pem);
    if ENCRYPTED.iter().any(|mark| pem.windows(mark.len()).any(|part| part == *mark)) {
        return Err(
            "the key has a password, which is not supported: remove it with `openssl pkey`",
        );
    }
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        Error::NoItemsFound => "found no `-----BEGIN PRIVATE KEY-----`",
        error => malformed(&error),
    })
}

fn malformed(error: &Error) -> &'static str {
    match error {
        Error::MissingSectionEnd { .. } | Error::IllegalSectionStart { .. } => {
            "a `-----BEGIN` line has no matching `-----END` line: the PEM is truncated or lost its line breaks"
        }
        Error::Base64Decode(_) => "the PEM contains characters that are not base64",
        _ => "not valid PEM",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_do_not_contain_the_input() {
        let begin = "-----BEGIN CERTIFICATE-----";
        let end = "-----END CERTIFICATE-----";
        let table = [
            (String::new(), "found no"),
            ("canary".to_owned(), "found no"),
            (format!("{begin}\nY2FuYXJ5\n"), "truncated"),
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
    fn pem_may_hold_several_items_and_other_text() {
        let pem = "A text\n-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\r\n\
                   -----BEGIN PRIVATE KEY-----\nAQ==\n-----END PRIVATE KEY-----\n\
                   -----BEGIN CERTIFICATE-----\nAg==\n-----END CERTIFICATE-----";
        let found = certificates_or_der(pem.as_bytes()).unwrap();
        assert_eq!(found, [vec![0].into(), vec![2].into()]);
        assert_eq!(private_key(pem.as_bytes()).unwrap().secret_der(), [1]);
    }

    #[test]
    fn byte_order_marks_and_old_line_breaks_are_accepted() {
        let pem = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
        for pem in [format!("\u{feff}{pem}"), pem.replace('\n', "\r"), pem.replace('\n', "\r\n")] {
            assert_eq!(certificates_or_der(pem.as_bytes()), Ok(vec![vec![0].into()]), "{pem:?}");
            let key = pem.replace("CERTIFICATE", "PRIVATE KEY");
            assert_eq!(private_key(key.as_bytes()).unwrap().secret_der(), [0]);
        }
    }

    #[test]
    fn keys_with_a_password_are_recognized() {
        let sec1 = "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAA==\n\
                    -----END EC PRIVATE KEY-----\n";
        let pkcs8 =
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAA==\n-----END ENCRYPTED PRIVATE KEY-----\n";
        for pem in [sec1, pkcs8] {
            let error = private_key(pem.as_bytes()).unwrap_err();
            assert!(error.contains("password"), "{error}");
        }
    }

    #[test]
    fn der_is_recognized_by_its_first_two_bytes() {
        assert_eq!(certificates_or_der(&[0x30, 0x82, 1, 2]).unwrap().len(), 1);
        assert!(certificates_or_der(b"0").is_err());
        assert!(certificates_or_der(b"00-----").is_err());
    }
}
