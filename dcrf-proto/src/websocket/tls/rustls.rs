//! TLS with rustls: configuration, handshake, errors.

use std::io;
use std::sync::Arc;

use futures_io::{AsyncRead, AsyncWrite};
use futures_rustls::TlsConnector;
use futures_rustls::client::TlsStream;
use futures_rustls::rustls::{
    AlertDescription, ClientConfig, Error, InvalidMessage, RootCertStore, crypto, version,
};

use super::{Settings, TlsError};
use crate::error::ConnectionError;
use crate::websocket::Endpoint;

/// TLS 1.2 and 1.3 with ring.
pub(super) fn config(settings: &Settings) -> Result<Arc<ClientConfig>, TlsError> {
    // Without a named provider, rustls panics unless the program has exactly one.
    let config = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])
        .expect("ring has cipher suites for both versions")
        .with_root_certificates(roots(settings)?);
    let Some(client) = &settings.client else {
        return Ok(Arc::new(config.with_no_client_auth()));
    };
    let (chain, key) = client.parse()?;
    let config = config.with_client_auth_cert(chain, key);
    config.map(Arc::new).map_err(|error| TlsError::ClientCertificate(error.to_string()))
}

fn roots(settings: &Settings) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    if !settings.without_default_roots {
        roots.roots.extend_from_slice(webpki_roots::TLS_SERVER_ROOTS);
    }
    for certificate in &settings.ca_certificates {
        let added = roots.add(certificate.clone());
        added.map_err(|error| {
            TlsError::CaCertificate(format!("not a valid X.509 certificate: {error}"))
        })?;
    }
    #[cfg(feature = "platform-roots")]
    if settings.platform_roots {
        add_platform_roots(&mut roots)?;
    }
    if roots.is_empty() { Err(TlsError::NoRoots) } else { Ok(roots) }
}

/// Adds the system's roots. Unreadable ones are skipped: many systems have some.
#[cfg(feature = "platform-roots")]
fn add_platform_roots(roots: &mut RootCertStore) -> Result<(), TlsError> {
    let found = rustls_native_certs::load_native_certs();
    match found.errors.first() {
        Some(error) if found.certs.is_empty() => Err(TlsError::PlatformRoots(error.to_string())),
        _ => {
            roots.add_parsable_certificates(found.certs);
            Ok(())
        }
    }
}

pub(super) async fn handshake<S>(
    endpoint: &Endpoint,
    stream: S,
    config: Arc<ClientConfig>,
) -> Result<TlsStream<S>, ConnectionError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let name = endpoint.server_name().expect("a `wss://` endpoint has a server name").clone();
    TlsConnector::from(config)
        .connect(name, stream)
        .await
        .map_err(|error| tls_error(&error, false).unwrap_or_else(|| error.into()))
}

/// Converts the rustls error inside an I/O error, if any. `is_verified` after the handshake.
pub(super) fn tls_error(error: &io::Error, is_verified: bool) -> Option<ConnectionError> {
    let error = error.get_ref()?.downcast_ref::<Error>()?;
    Some(match error {
        Error::InvalidCertificate(_)
        | Error::InvalidCertRevocationList(_)
        | Error::NoCertificatesPresented
        | Error::UnsupportedNameType => ConnectionError::Certificate(error.to_string()),
        Error::AlertReceived(alert) if is_about_certificate(*alert) => {
            super::client_rejected(&format!("{alert:?}"), is_verified)
        }
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            ConnectionError::Tls("the server does not speak TLS on this port".to_owned())
        }
        _ => ConnectionError::Tls(error.to_string()),
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
