//! TLS for `wss://`: the default configuration, the handshake, and what its errors mean.

use std::io;
use std::sync::Arc;

use futures_io::{AsyncRead, AsyncWrite};
use futures_rustls::TlsConnector;
use futures_rustls::client::TlsStream;
use futures_rustls::pki_types::ServerName;
use futures_rustls::rustls::{
    AlertDescription, ClientConfig, Error, InvalidMessage, RootCertStore, crypto, version,
};

use super::UrlError;
use crate::error::Lost;

/// TLS 1.2 and 1.3 with ring, for servers whose certificate one of Mozilla's roots has signed.
pub(super) fn default_config() -> Arc<ClientConfig> {
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    // The provider is named, since rustls panics when it has to choose and the program has none, or two.
    let config = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])
        .expect("ring has cipher suites for both versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

/// The name that a server's certificate must have.
pub(super) fn server_name(host: &str) -> Result<ServerName<'static>, UrlError> {
    ServerName::try_from(host.to_owned()).map_err(|_| UrlError::InvalidHost)
}

pub(super) async fn handshake<S>(
    name: ServerName<'static>,
    stream: S,
    config: Arc<ClientConfig>,
) -> io::Result<TlsStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    TlsConnector::from(config).connect(name, stream).await
}

/// The TLS error inside an I/O error, if there is one. It can come at any time: a server that misses our
/// certificate says so only after the handshake of TLS 1.3.
pub(super) fn lost(error: &io::Error) -> Option<Lost> {
    let error = error.get_ref()?.downcast_ref::<Error>()?;
    Some(match error {
        Error::InvalidCertificate(_)
        | Error::InvalidCertRevocationList(_)
        | Error::NoCertificatesPresented
        | Error::UnsupportedNameType => Lost::Certificate(error.to_string()),
        Error::AlertReceived(alert) if is_about_certificate(*alert) => Lost::Certificate(format!(
            "the server did not accept the client's certificate: {alert:?}"
        )),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            Lost::Tls("the server does not speak TLS on this port".to_owned())
        }
        _ => Lost::Tls(error.to_string()),
    })
}

fn is_about_certificate(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::NoCertificate
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateRequired
    )
}
