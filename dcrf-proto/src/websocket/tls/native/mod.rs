//! TLS by the operating system's library, through native-tls: its connector and the handshake.

#[cfg(not(any(windows, target_vendor = "apple")))]
mod openssl_failure;
#[cfg(any(windows, target_vendor = "apple", test))]
mod status_failure;
mod stream;

use std::future::poll_fn;
use std::task::Poll;

use futures_io::{AsyncRead, AsyncWrite};
use native_tls::{Certificate, HandshakeError, Identity, Protocol, TlsConnector};
use rustls_pki_types::PrivateKeyDer;

use super::{ClientCertificate, Settings, TlsError};
use crate::error::ConnectionError;

// native-tls hides the types of the libraries below it, so each is asked in its own way what failed.
#[cfg(not(any(windows, target_vendor = "apple")))]
use openssl_failure as failure;
#[cfg(any(windows, target_vendor = "apple"))]
use status_failure as failure;

pub(super) use failure::lost;
use stream::Blocking;
pub(in crate::websocket) use stream::NativeStream;

/// TLS 1.2, and 1.3 where the library has it.
pub(super) fn connector(settings: &Settings) -> Result<TlsConnector, TlsError> {
    let default_roots = !settings.without_default_roots || settings.platform_roots;
    if !default_roots && settings.ca_certificates.is_empty() {
        return Err(TlsError::NoRoots);
    }
    let mut builder = TlsConnector::builder();
    builder.min_protocol_version(Some(Protocol::Tlsv12));
    builder.disable_built_in_roots(!default_roots);
    for certificate in &settings.ca_certificates {
        let certificate = Certificate::from_der(certificate)
            .map_err(|error| TlsError::CaCertificate(format!("it is not X.509: {error}")))?;
        builder.add_root_certificate(certificate);
    }
    if let Some(client) = &settings.client {
        builder.identity(identity(client)?);
    }
    builder.build().map_err(|error| match &settings.client {
        // Only now the library notices that the key is of another certificate.
        Some(_) => TlsError::ClientCertificate(error.to_string()),
        None => TlsError::Library(error.to_string()),
    })
}

fn identity(client: &ClientCertificate) -> Result<Identity, TlsError> {
    const BEGIN: &[u8] = b"-----BEGIN PRIVATE KEY-----";

    let error = |message: String| Err(TlsError::ClientCertificate(message));
    let (_, PrivateKeyDer::Pkcs8(_)) = client.parse()? else {
        return error(
            "its private key: the operating system's TLS takes PKCS #8 only, which \
             `openssl pkcs8 -topk8 -nocrypt` makes of it"
                .to_owned(),
        );
    };
    // native-tls wants the key at the very beginning.
    let begin = client.key.windows(BEGIN.len()).position(|window| window == BEGIN);
    let key = client.key.get(begin.unwrap_or(0)..).unwrap_or_default();
    Identity::from_pkcs8(&client.chain, key).or_else(|cause| error(cause.to_string()))
}

pub(super) async fn handshake<S>(
    host: &str,
    stream: S,
    connector: &TlsConnector,
) -> Result<NativeStream<S>, ConnectionError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    // In a certificate, and in the name that is sent to the server, an absolute name has no dot at its end.
    let host = host.strip_suffix('.').unwrap_or(host);
    let mut begin = Some(Blocking::new(stream));
    let mut interrupted = None;
    poll_fn(move |cx| {
        let result = match (begin.take(), interrupted.take()) {
            (Some(mut stream), _) => {
                stream.enter(cx);
                connector.connect(host, stream)
            }
            (None, Some(handshake)) => {
                let mut handshake: native_tls::MidHandshakeTlsStream<Blocking<S>> = handshake;
                handshake.get_mut().enter(cx);
                handshake.handshake()
            }
            (None, None) => unreachable!("polled after it was ready"),
        };
        match result {
            Ok(stream) => Poll::Ready(Ok(NativeStream::new(stream))),
            Err(HandshakeError::Failure(error)) => Poll::Ready(Err(failure::handshake(&error))),
            Err(HandshakeError::WouldBlock(mut handshake)) => {
                handshake.get_mut().leave();
                interrupted = Some(handshake);
                Poll::Pending
            }
        }
    })
    .await
}
