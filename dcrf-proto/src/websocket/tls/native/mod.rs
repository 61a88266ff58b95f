//! TLS with the operating system's library through native-tls: connector and handshake.

#[cfg(any(windows, target_vendor = "apple"))]
mod opaque_failure;
#[cfg(not(any(windows, target_vendor = "apple")))]
mod openssl_failure;
mod stream;

use std::future::poll_fn;
use std::io::{Read, Write};
use std::task::Poll;

use futures_io::{AsyncRead, AsyncWrite};
use native_tls::{Certificate, HandshakeError, Identity, Protocol, TlsConnector, TlsStream};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use webpki::EndEntityCert;

use super::{ClientCertificate, Settings, TlsError};
use crate::error::ConnectionError;

#[cfg(any(windows, target_vendor = "apple"))]
use opaque_failure as failure;
#[cfg(not(any(windows, target_vendor = "apple")))]
use openssl_failure as failure;

pub(super) use failure::tls_error;
use stream::Blocking;
pub(in crate::websocket) use stream::NativeStream;

/// A connector of native-tls.
#[derive(Clone)]
pub(super) struct Connector {
    tls: TlsConnector,
    /// A custom connector decides how certificates are verified.
    is_custom: bool,
}

impl Connector {
    /// Configures TLS 1.2, and 1.3 if the library supports it.
    pub(super) fn new(settings: &Settings) -> Result<Self, TlsError> {
        connector(settings).map(|tls| Self { tls, is_custom: false })
    }

    pub(super) fn custom(tls: TlsConnector) -> Self {
        Self { tls, is_custom: true }
    }
}

fn connector(settings: &Settings) -> Result<TlsConnector, TlsError> {
    let default_roots = !settings.without_default_roots || settings.platform_roots;
    if !default_roots && settings.ca_certificates.is_empty() {
        return Err(TlsError::NoRoots);
    }
    let mut builder = TlsConnector::builder();
    builder.min_protocol_version(Some(Protocol::Tlsv12));
    builder.disable_built_in_roots(!default_roots);
    for certificate in &settings.ca_certificates {
        let certificate = Certificate::from_der(certificate).map_err(|error| {
            TlsError::CaCertificate(format!("not a valid X.509 certificate: {error}"))
        })?;
        builder.add_root_certificate(certificate);
    }
    if let Some(client) = &settings.client {
        builder.identity(identity(client)?);
    }
    builder.build().map_err(|error| match &settings.client {
        // The library checks only here that the key matches the certificate.
        Some(_) => TlsError::ClientCertificate(error.to_string()),
        None => TlsError::Library(error.to_string()),
    })
}

fn identity(client: &ClientCertificate) -> Result<Identity, TlsError> {
    const BEGIN: &[u8] = b"-----BEGIN PRIVATE KEY-----";

    let error = |message: String| Err(TlsError::ClientCertificate(message));
    let (_, PrivateKeyDer::Pkcs8(_)) = client.parse()? else {
        return error(
            "private key: the operating system's TLS library needs PKCS #8; convert the key with \
             `openssl pkcs8 -topk8 -nocrypt`"
                .to_owned(),
        );
    };
    // native-tls needs the key at the start of the PEM.
    let begin = client.key.windows(BEGIN.len()).position(|window| window == BEGIN);
    let key = client.key.get(begin.unwrap_or(0)..).unwrap_or_default();
    if failure::is_other_key(&client.chain, key) {
        return error("the private key does not belong to the certificate".to_owned());
    }
    Identity::from_pkcs8(&client.chain, key).or_else(|cause| error(cause.to_string()))
}

pub(super) async fn handshake<S>(
    host: &str,
    stream: S,
    connector: &Connector,
) -> Result<NativeStream<S>, ConnectionError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    // Certificates and SNI omit the trailing dot of an absolute name.
    let host = host.strip_suffix('.').unwrap_or(host);
    let mut start = Some(Blocking::new(stream));
    let mut interrupted = None;
    poll_fn(move |cx| {
        let result = match (start.take(), interrupted.take()) {
            (Some(mut stream), _) => {
                stream.set_waker(cx);
                connector.tls.connect(host, stream)
            }
            (None, Some(handshake)) => {
                let mut handshake: native_tls::MidHandshakeTlsStream<Blocking<S>> = handshake;
                handshake.get_mut().set_waker(cx);
                handshake.handshake()
            }
            (None, None) => unreachable!("polled after completion"),
        };
        match result {
            Ok(stream) if connector.is_custom => Poll::Ready(Ok(NativeStream::new(stream))),
            Ok(stream) => {
                Poll::Ready(check_name(host, &stream).map(|()| NativeStream::new(stream)))
            }
            Err(HandshakeError::Failure(error)) => Poll::Ready(Err(failure::handshake(&error))),
            Err(HandshakeError::WouldBlock(mut handshake)) => {
                handshake.get_mut().clear_waker();
                interrupted = Some(handshake);
                Poll::Pending
            }
        }
    })
    .await
}

/// Checks that the certificate's alternative names include the host. Without names, OpenSSL and `SChannel` accept the
/// common name (which RFC 9525 forbids), and native-tls has no option against it. No request has been sent yet.
fn check_name<S: Read + Write>(host: &str, stream: &TlsStream<S>) -> Result<(), ConnectionError> {
    let error = |cause: String| {
        ConnectionError::Certificate(format!("the server certificate was rejected: {cause}"))
    };
    let certificate = stream.peer_certificate().map_err(|cause| error(cause.to_string()))?;
    let certificate = certificate.ok_or_else(|| error("there is none".to_owned()))?;
    let certificate = certificate.to_der().map_err(|cause| error(cause.to_string()))?;
    let name = ServerName::try_from(host).map_err(|cause| error(cause.to_string()))?;
    EndEntityCert::try_from(&CertificateDer::from(certificate))
        .and_then(|certificate| certificate.verify_is_valid_for_subject_name(&name))
        .map_err(|cause| match cause {
            webpki::Error::CertNotValidForName(_) => error(format!(
                "not valid for name \"{host}\": it is not among the alternative names"
            )),
            cause => error(cause.to_string()),
        })
}
