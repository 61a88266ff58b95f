//! What is wrong with a certificate: from the error of TLS to a cause.

use std::time::Duration;

use tokio_rustls::rustls::pki_types::{CertificateDer, UnixTime};
use tokio_rustls::rustls::{AlertDescription, CertificateError, Error};

use super::report::Diagnosis;
use crate::failure::Code;

/// What the server's certificates say of themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Chain {
    pub(super) length: usize,
    pub(super) is_self_signed: bool,
    pub(super) names: Vec<String>,
    /// The common name of the issuer.
    pub(super) issuer: Option<String>,
}

impl Chain {
    pub(super) fn of(certificates: &[CertificateDer<'_>]) -> Self {
        let mut chain = Self { length: certificates.len(), ..Self::default() };
        let Some(first) = certificates.first() else { return chain };
        let Ok(certificate) = webpki::EndEntityCert::try_from(first) else { return chain };
        chain.is_self_signed = certificate.issuer() == certificate.subject();
        chain.names = certificate.valid_dns_names().map(str::to_owned).collect();
        chain.issuer = common_name(certificate.issuer());
        chain
    }

    pub(super) fn describe(&self) -> String {
        let names = if self.names.is_empty() { "no names" } else { &self.names.join(", ") };
        match &self.issuer {
            Some(issuer) => format!("certificate for {names}, issued by {issuer:?}"),
            None => format!("certificate for {names}"),
        }
    }
}

/// The common name (OID 2.5.4.3) in the DER of a distinguished name.
fn common_name(name: &[u8]) -> Option<String> {
    const OID: [u8; 5] = [0x06, 0x03, 0x55, 0x04, 0x03];
    let at = name.windows(OID.len()).position(|window| window == OID)? + OID.len();
    let length = usize::from(*name.get(at + 1)?);
    let text = name.get(at + 2..)?.get(..length)?;
    Some(String::from_utf8_lossy(text).into_owned())
}

fn ago(earlier: UnixTime, later: UnixTime) -> String {
    let seconds = later.as_secs().saturating_sub(earlier.as_secs());
    let rounded = if seconds > 86_400 { seconds / 86_400 * 86_400 } else { seconds };
    humantime::format_duration(Duration::from_secs(rounded)).to_string()
}

/// The cause of a TLS error about certificates. `has_identity`: the client has a certificate.
pub(super) fn diagnose(error: &Error, chain: &Chain, host: &str, has_identity: bool) -> Diagnosis {
    match error {
        Error::InvalidCertificate(error) => of_server(error, chain, host),
        Error::AlertReceived(alert) => by_server(*alert, has_identity),
        other => Diagnosis::new(Code::CannotConnect, other.to_string()),
    }
}

fn of_server(error: &CertificateError, chain: &Chain, host: &str) -> Diagnosis {
    let new = |finding: String| Diagnosis::new(Code::CannotConnect, finding);
    match error {
        CertificateError::ExpiredContext { time, not_after } => {
            expired(&format!(", {} ago", ago(*not_after, *time)))
        }
        CertificateError::Expired => expired(""),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            new("the server's certificate is not valid yet".into())
                .advise("check the clock of this machine: it is probably slow")
                .advise("otherwise renew the certificate")
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            let names = match chain.names.as_slice() {
                [] => "other names".into(),
                names => names.join(", "),
            };
            let first = chain.names.first().filter(|name| !name.starts_with('*'));
            let instead = first.map_or_else(
                || "write a host into the URL that the certificate has".into(),
                |name| format!("write {name} into the URL in place of {host}"),
            );
            new(format!("the server's certificate is for {names}, not for {host}: the name is wrong"))
                .advise(instead)
                .advise(format!("or get a certificate that names {host} (`certbot -d {host}`), and check `server_name` and `ssl_certificate` of nginx: another site's certificate can be the default"))
        }
        _ if chain.is_self_signed => new(format!(
            "the server's certificate is self-signed, so nobody vouches for it ({error})"
        ))
        .advise("pass it with --ca FILE, or `dcrf context add … --ca FILE`, if it is your server's")
        .advise(
            "for the public, get a certificate that clients trust, such as one of Let's Encrypt",
        ),
        CertificateError::UnknownIssuer => unknown_issuer(chain),
        other => new(format!("the server's certificate can't be used: {other}")).advise(
            "get a new certificate, and look at this one by `openssl s_client -connect HOST:PORT`",
        ),
    }
}

fn expired(ago: &str) -> Diagnosis {
    let finding = format!("the server's certificate has expired{ago}");
    Diagnosis::new(Code::CannotConnect, finding)
        .advise("renew it (`certbot renew`), and reload the server that has it (`nginx -s reload`): it reads the file only at its start")
        .advise("check the clock of this machine")
}

fn unknown_issuer(chain: &Chain) -> Diagnosis {
    let issuer = chain.issuer.as_deref().unwrap_or("an authority without a name");
    let finding =
        format!("the server's certificate is issued by {issuer:?}, which is an unknown authority");
    let private = "pass the authority's certificate with --ca FILE, if it is a private one";
    let incomplete = "let the server send the intermediate certificates too: `ssl_certificate fullchain.pem` in nginx, in place of cert.pem";
    let diagnosis = Diagnosis::new(Code::CannotConnect, finding).advise(private);
    if chain.length > 1 { diagnosis } else { diagnosis.advise(incomplete) }
}

/// The server has rejected the handshake.
fn by_server(alert: AlertDescription, has_identity: bool) -> Diagnosis {
    let about_identity = match alert {
        AlertDescription::CertificateRequired => true,
        AlertDescription::HandshakeFailure => !has_identity,
        AlertDescription::UnknownCA
        | AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::CertificateExpired
        | AlertDescription::AccessDenied => has_identity,
        _ => false,
    };
    if about_identity {
        return of_client(&format!("{alert:?}"), has_identity);
    }
    if alert == AlertDescription::UnrecognisedName {
        return Diagnosis::new(
            Code::CannotConnect,
            "the server has no site of this name (UnrecognisedName)",
        )
        .advise("check the host in the URL, and `server_name` of nginx");
    }
    Diagnosis::new(Code::CannotConnect, format!("the server ends the TLS handshake ({alert:?})"))
        .advise("let the server support TLS 1.2 or 1.3: `ssl_protocols TLSv1.2 TLSv1.3;` in nginx")
        .advise("look into the server's log")
}

/// The server has asked for a certificate, and closed the connection without an alert.
pub(super) fn closed_after_request(seen: &str, has_identity: bool) -> Diagnosis {
    of_client(&format!("it asks for one, and then: {seen}"), has_identity)
}

/// What is wrong with the client's certificate.
fn of_client(seen: &str, has_identity: bool) -> Diagnosis {
    let new = |finding: String| Diagnosis::new(Code::NotAuthorized, finding);
    if has_identity {
        return new(format!("the server rejects the client's certificate ({seen})"))
            .advise("pass a certificate with --client-cert that the server's authority has issued (`ssl_client_certificate` in nginx)")
            .advise("check that it has not expired, and that it is for clients (extended key usage clientAuth)");
    }
    new(format!("the server requires a client certificate ({seen})"))
        .advise("pass one with --client-cert FILE and --client-key FILE")
        .advise("or don't require one: `ssl_verify_client` in nginx, `ssl_cert_reqs` in Uvicorn")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(error: CertificateError, chain: &Chain) -> String {
        diagnose(&Error::InvalidCertificate(error), chain, "example.com", false).finding
    }

    #[test]
    fn wrong_certificates_are_told_apart() {
        let chain = Chain {
            length: 1,
            is_self_signed: false,
            names: vec!["other.example".into()],
            issuer: Some("Test CA".into()),
        };
        let day = |days: u64| UnixTime::since_unix_epoch(Duration::from_secs(days * 86_400));
        let expired = CertificateError::ExpiredContext { time: day(12), not_after: day(2) };
        assert!(finding(expired, &chain).ends_with("has expired, 10days ago"));
        assert!(
            finding(CertificateError::NotValidForName, &chain)
                .contains("is for other.example, not for example.com")
        );
        let unknown = finding(CertificateError::UnknownIssuer, &chain);
        assert!(unknown.contains("\"Test CA\", which is an unknown authority"), "{unknown}");
        let chain = Chain { is_self_signed: true, ..chain };
        assert!(finding(CertificateError::UnknownIssuer, &chain).contains("self-signed"));
        assert!(finding(CertificateError::NotValidYet, &chain).contains("not valid yet"));
    }

    #[test]
    fn missing_and_rejected_certificates_of_the_client_are_told_apart() {
        let alert = |alert, has_identity| {
            diagnose(&Error::AlertReceived(alert), &Chain::default(), "h", has_identity)
        };
        let missing = alert(AlertDescription::CertificateRequired, false);
        assert!(missing.finding.contains("requires a client certificate"));
        assert_eq!(missing.code, Code::NotAuthorized);
        let rejected = alert(AlertDescription::UnknownCA, true);
        assert!(rejected.finding.contains("rejects the client's certificate"));
        let version = alert(AlertDescription::ProtocolVersion, false);
        assert!(version.advice[0].contains("TLS 1.2 or 1.3"));
    }

    #[test]
    fn common_name_is_read() {
        let name = b"\x31\x0d\x30\x0b\x06\x03\x55\x04\x03\x0c\x04Test";
        assert_eq!(common_name(name).as_deref(), Some("Test"));
        assert_eq!(common_name(&name[..12]), None);
    }
}
