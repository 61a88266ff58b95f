//! The step TLS, and whether a port speaks it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;
use tokio_rustls::rustls::client::ResolvesClientCert;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
};

use super::certificate::{self, Chain};
use super::dial::{DialError, Dialer, PROBE_TIME};
use super::report::{Diagnosis, Report, Stop};
use crate::failure::Code;

/// With TLS 1.3, a server rejects a missing client certificate only after the client's side of the handshake.
const LATE_ALERT: Duration = Duration::from_millis(300);

pub(super) async fn check(dialer: &Dialer, report: &mut Report) -> Result<(), Stop> {
    let Some(config) = &dialer.target.tls else { return Ok(()) };
    let error = match dialer.tls(Arc::clone(config)).await {
        Ok(mut stream) => {
            let (_, session) = stream.get_ref();
            let version = session.protocol_version().map(|version| format!("{version:?}"));
            let version = version.unwrap_or_default().replace("TLSv1_", "TLS 1.");
            let certificate = session.peer_certificates().map(Chain::of).unwrap_or_default();
            let Ok(Err(error)) = timeout(LATE_ALERT, stream.read_u8()).await else {
                report.ok("tls", format!("{version}, {}", certificate.describe()));
                return Ok(());
            };
            late_alert(&error).map_or_else(|| DialError::NotHttp(words(&error)), DialError::Tls)
        }
        Err(error) => error,
    };
    let diagnosis = diagnose(dialer, &error).await;
    Err(report.failed("tls", diagnosis))
}

/// Without the link to a manual.
fn words(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => "the server closes the connection".into(),
        _ => error.to_string(),
    }
}

fn late_alert(error: &std::io::Error) -> Option<Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()).cloned()
}

/// Why there is no TLS connection.
pub(super) async fn diagnose(dialer: &Dialer, error: &DialError) -> Diagnosis {
    let seen = match error {
        DialError::Tls(error @ (Error::InvalidCertificate(_) | Error::AlertReceived(_))) => {
            let chain = certificates(dialer).await.unwrap_or_default();
            let host = dialer.target.endpoint.host();
            return certificate::diagnose(error, &chain, host, has_identity(dialer));
        }
        DialError::Tls(error) => error.to_string(),
        DialError::Connect(error) => error.to_string(),
        DialError::Silent(time) => format!("no answer within {time:?}"),
        DialError::NotHttp(error) => error.clone(),
        DialError::Credentials(_) | DialError::WrongAccept => String::new(),
    };
    if !matches!(error, DialError::Silent(_)) && asks_for_certificate(dialer).await {
        return certificate::closed_after_request(&seen, has_identity(dialer));
    }
    if speaks_plain_http(dialer).await {
        return Diagnosis::new(
            Code::CannotConnect,
            "the server speaks plain HTTP on this port, and the URL says wss://",
        )
        .advise("write ws:// in the URL if the server is meant to have no TLS, as in development")
        .advise("otherwise write the port of the proxy that has the certificate (usually 443), in place of the port of Daphne or Uvicorn")
        .advise("nginx: write `listen 443 ssl;`, since without `ssl` the port is plain");
    }
    Diagnosis::new(Code::CannotConnect, format!("the server does not answer with TLS: {seen}"))
        .advise("check the port: usually 443 for wss://")
        .advise("look into the log of the server that has the certificate")
}

/// Whether the configuration has a certificate of the client.
pub(super) fn has_identity(dialer: &Dialer) -> bool {
    dialer.target.tls.as_ref().is_some_and(|config| config.client_auth_cert_resolver.has_certs())
}

/// Whether something that looks like HTTP comes back without TLS.
async fn speaks_plain_http(dialer: &Dialer) -> bool {
    let probing = async {
        let mut stream = dialer.stream().await?;
        let request =
            format!("GET / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", dialer.host());
        stream.write_all(request.as_bytes()).await?;
        let mut begin = [0; 64];
        let mut length = 0;
        while length < 12 {
            match stream.read(&mut begin[length..]).await? {
                0 => break,
                read => length += read,
            }
        }
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&begin[..length]).into_owned())
    };
    // A server with TLS says in plain HTTP only that it has TLS: 400.
    matches!(timeout(PROBE_TIME, probing).await, Ok(Ok(begin)) if begin.starts_with("HTTP/1.") && !begin[8..].starts_with(" 400"))
}

/// The certificates of a server that has TLS on its port. Nothing is sent to it beyond the handshake.
pub(super) async fn certificates(dialer: &Dialer) -> Option<Chain> {
    let recorder = Arc::new(Recorder::default());
    let config = ClientConfig::builder_with_provider(Arc::clone(&recorder.provider))
        .with_safe_default_protocol_versions()
        .ok()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&recorder) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    // It always fails, since the recorder accepts no certificate.
    dialer.probe_tls(config).await;
    let seen = recorder.seen.lock().unwrap_or_else(PoisonError::into_inner);
    seen.as_deref().map(Chain::of)
}

/// Whether the server asks the client for a certificate. Some servers only close the connection if there is none.
pub(super) async fn asks_for_certificate(dialer: &Dialer) -> bool {
    let Some(config) = &dialer.target.tls else { return false };
    let mut config = ClientConfig::clone(config);
    let resolver = Arc::new(Asked {
        resolver: Arc::clone(&config.client_auth_cert_resolver),
        was_asked: AtomicBool::new(false),
    });
    config.client_auth_cert_resolver = Arc::clone(&resolver) as Arc<dyn ResolvesClientCert>;
    dialer.probe_tls(config).await;
    resolver.was_asked.load(Ordering::Relaxed)
}

/// Remembers that the server has asked for the client's certificate.
#[derive(Debug)]
struct Asked {
    resolver: Arc<dyn ResolvesClientCert>,
    was_asked: AtomicBool,
}

impl ResolvesClientCert for Asked {
    fn resolve(
        &self,
        authorities: &[&[u8]],
        schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        self.was_asked.store(true, Ordering::Relaxed);
        self.resolver.resolve(authorities, schemes)
    }

    fn has_certs(&self) -> bool {
        self.resolver.has_certs()
    }
}

/// Keeps the server's certificates and rejects them, so that no connection comes of it.
#[derive(Debug)]
struct Recorder {
    provider: Arc<CryptoProvider>,
    seen: Mutex<Option<Vec<CertificateDer<'static>>>>,
}

impl Default for Recorder {
    fn default() -> Self {
        Self { provider: Arc::new(ring::default_provider()), seen: Mutex::new(None) }
    }
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let chain = std::iter::once(end_entity).chain(intermediates);
        let chain = chain.map(|certificate| certificate.clone().into_owned()).collect();
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(chain);
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
