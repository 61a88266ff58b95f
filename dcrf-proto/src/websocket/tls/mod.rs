//! TLS for `wss://`: trusted roots and the client certificate, for rustls and for the operating system's library
//! (`native`).

mod pem;

#[cfg(feature = "native-tls")]
mod native;
#[cfg(feature = "rustls")]
mod rustls;

use std::fmt;
use std::io;
use std::sync::OnceLock;

use futures_io::{AsyncRead, AsyncWrite};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::{Endpoint, MaybeTls};
use crate::error::ConnectionError;

#[cfg(feature = "native-tls")]
pub(super) use native::NativeStream;

/// TLS options for `wss://`: which certificate authorities to trust, and a client certificate.
///
/// The default is rustls (with ring, TLS 1.2 and 1.3), which trusts Mozilla's roots. With the feature `native-tls`
/// and without `rustls` it is the operating system's library with the system's roots: OpenSSL on Linux, Secure
/// Transport on macOS, `SChannel` on Windows.
///
/// The server's certificate and host name are always verified. No option turns this off. The host must be among the
/// certificate's alternative names: its common name does not count. Whether a certificate was
/// revoked is not checked.
///
/// The methods can be chained: `connect` and `connect_lazy` report the first invalid option, such as a file
/// without a certificate, as [`ConnectError::Tls`](super::ConnectError::Tls) before they connect.
///
/// ```
/// # use dcrf_proto::websocket::{Builder, Tls};
/// # fn f<R>(builder: Builder<R>, ca: &[u8], certificate: &[u8], key: &[u8]) {
/// let tls = Tls::default().ca_certificate(ca).client_certificate(certificate, key);
/// let builder = builder.tls(tls);
/// # }
/// ```
#[derive(Clone)]
#[must_use = "TLS options have no effect until they are passed to `tls`"]
pub struct Tls {
    settings: Settings,
    /// Built from the settings on first use and kept, since it holds the sessions that shorten later handshakes.
    /// A custom configuration or an invalid option sets it at once.
    backend: OnceLock<Result<Backend, TlsError>>,
}

/// Why [`Tls`] options are invalid.
///
/// Messages never contain any part of a certificate or key.
///
/// ```
/// use dcrf_proto::websocket::{ConnectError, TlsError};
///
/// fn is_certificate_error(error: &ConnectError) -> bool {
///     matches!(error, ConnectError::Tls(TlsError::CaCertificate(_) | TlsError::ClientCertificate(_)))
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The argument of [`Tls::ca_certificate`] is neither PEM with a certificate nor a certificate in DER.
    #[error("invalid CA certificate: {0}")]
    CaCertificate(String),
    /// The arguments of [`Tls::client_certificate`] are not a certificate in PEM and its private key.
    #[error("invalid client certificate: {0}")]
    ClientCertificate(String),
    /// The root certificates of the operating system could not be read.
    #[error("could not read the operating system's root certificates: {0}")]
    PlatformRoots(String),
    /// There are no root certificates, so no server can be trusted.
    #[error("no root certificates: add a CA certificate")]
    NoRoots,
    /// Options were added to a custom configuration, which would ignore them.
    #[error("a custom TLS configuration can't be combined with other TLS options")]
    CustomConfiguration,
    /// The TLS library could not be initialized.
    #[error("could not initialize the TLS library: {0}")]
    Library(String),
}

#[derive(Clone)]
struct Settings {
    library: Library,
    without_default_roots: bool,
    platform_roots: bool,
    ca_certificates: Vec<CertificateDer<'static>>,
    client: Option<ClientCertificate>,
}

#[derive(Clone, Copy, Debug)]
enum Library {
    #[cfg(feature = "rustls")]
    Rustls,
    #[cfg(feature = "native-tls")]
    Native,
}

/// Well-formed PEM, kept as given: rustls needs DER, native-tls PEM.
#[derive(Clone)]
struct ClientCertificate {
    chain: Vec<u8>,
    key: Vec<u8>,
}

/// A configured library, ready for handshakes.
#[derive(Clone)]
enum Backend {
    #[cfg(feature = "rustls")]
    Rustls(std::sync::Arc<futures_rustls::rustls::ClientConfig>),
    #[cfg(feature = "native-tls")]
    Native(native::Connector),
}

impl Tls {
    /// Trusts a private certificate authority, given its certificate in PEM or DER. PEM may contain several.
    ///
    /// The default roots stay trusted, unless you call [`without_default_roots`](Self::without_default_roots).
    ///
    /// ```no_run
    /// use dcrf_proto::websocket::Tls;
    ///
    /// let tls = Tls::default().ca_certificate(std::fs::read("/etc/intranet/ca.pem")?);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When connecting: [`TlsError::CaCertificate`].
    pub fn ca_certificate(self, pem: impl AsRef<[u8]>) -> Self {
        self.with(|settings| {
            let found = pem::certificates_or_der(pem.as_ref());
            let found = found.map_err(|error| TlsError::CaCertificate(error.to_owned()))?;
            settings.ca_certificates.extend(found);
            Ok(())
        })
    }

    /// Doesn't trust the default roots (Mozilla's, or with native-tls the system's), only those that you add.
    ///
    /// ```
    /// use dcrf_proto::websocket::Tls;
    ///
    /// fn intranet_only(ca: &[u8]) -> Tls {
    ///     Tls::default().without_default_roots().ca_certificate(ca)
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// When connecting: [`TlsError::NoRoots`] if you add no root.
    pub fn without_default_roots(self) -> Self {
        self.with(|settings| {
            settings.without_default_roots = true;
            Ok(())
        })
    }

    /// Also trusts the operating system's root certificates, which often include a company's CA. On Linux the
    /// environment variables `SSL_CERT_FILE` and `SSL_CERT_DIR` override where they are.
    ///
    /// They are read from disk once, when connecting. This needs the feature `platform-roots`; native-tls trusts
    /// them by default.
    ///
    /// ```
    /// use dcrf_proto::websocket::Tls;
    ///
    /// let with_mozilla = Tls::default().platform_roots();
    /// let platform_only = Tls::default().without_default_roots().platform_roots();
    /// ```
    ///
    /// # Errors
    ///
    /// When connecting: [`TlsError::PlatformRoots`].
    #[cfg(feature = "platform-roots")]
    pub fn platform_roots(self) -> Self {
        self.with(|settings| {
            settings.platform_roots = true;
            Ok(())
        })
    }

    /// Presents a certificate to a server that requests one (mutual TLS).
    ///
    /// `chain_pem` is the certificate followed by its intermediates, `key_pem` its private key without a password.
    /// native-tls needs the key in PKCS #8 (`BEGIN PRIVATE KEY`).
    ///
    /// ```no_run
    /// use dcrf_proto::websocket::Tls;
    /// use std::fs::read;
    ///
    /// let tls = Tls::default().client_certificate(read("device.pem")?, read("device.key")?);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When connecting: [`TlsError::ClientCertificate`] if an argument is not PEM or the key doesn't match the
    /// certificate.
    pub fn client_certificate(
        self,
        chain_pem: impl AsRef<[u8]>,
        key_pem: impl AsRef<[u8]>,
    ) -> Self {
        self.with(|settings| {
            let chain = pem::normalized(chain_pem.as_ref()).into_owned();
            let key = pem::normalized(key_pem.as_ref()).into_owned();
            let client = ClientCertificate { chain, key };
            client.parse()?;
            settings.client = Some(client);
            Ok(())
        })
    }

    /// Uses the operating system's TLS library even if the feature `rustls` is enabled.
    ///
    /// This needs the feature `native-tls`. The system's roots are read from disk once, when connecting.
    #[cfg(feature = "native-tls")]
    pub fn use_native_tls(self) -> Self {
        self.with(|settings| {
            settings.library = Library::Native;
            Ok(())
        })
    }

    /// Uses a custom rustls configuration, for everything that has no option here. It decides how certificates are
    /// verified.
    ///
    /// This needs the feature `rustls`. Take the types from the crate `rustls` in version 0.23, or from the module
    /// `rustls` that each adapter re-exports, for example `dcrf_tokio::rustls`. Name the crypto provider, as below:
    /// otherwise rustls panics unless the program has exactly one. Clients with the same configuration share its TLS
    /// sessions.
    ///
    /// ```
    /// use dcrf_proto::websocket::{Tls, rustls};
    /// use std::sync::Arc;
    ///
    /// let roots = rustls::RootCertStore::empty(); // and `roots.add(…)` for each CA
    /// let provider = Arc::new(rustls::crypto::ring::default_provider());
    /// let config = rustls::ClientConfig::builder_with_provider(provider)
    ///     .with_protocol_versions(&[&rustls::version::TLS13])?
    ///     .with_root_certificates(roots)
    ///     .with_no_client_auth();
    /// let tls = Tls::rustls(Arc::new(config));
    /// # Ok::<(), rustls::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When connecting: [`TlsError::CustomConfiguration`] if you set other options, too.
    #[cfg(feature = "rustls")]
    pub fn rustls(config: std::sync::Arc<futures_rustls::rustls::ClientConfig>) -> Self {
        Self::ready(Backend::Rustls(config))
    }

    /// Uses a custom native-tls connector, for everything that has no option here. It decides how certificates are
    /// verified. Without the option
    /// [`danger_accept_invalid_hostnames`](native_tls::TlsConnectorBuilder::danger_accept_invalid_hostnames), some
    /// libraries such as OpenSSL still accept a certificate that has the host only as its common name; a client
    /// without a custom connector rejects it.
    ///
    /// This needs the feature `native-tls`. Take the types from the crate `native-tls` in version 0.2, or from the
    /// module `native_tls` that each adapter re-exports, for example `dcrf_tokio::native_tls`.
    ///
    /// ```
    /// use dcrf_proto::websocket::{Tls, native_tls};
    ///
    /// let connector = native_tls::TlsConnector::builder()
    ///     .min_protocol_version(Some(native_tls::Protocol::Tlsv12))
    ///     .build()?;
    /// let tls = Tls::native_tls(connector);
    /// # Ok::<(), native_tls::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When connecting: [`TlsError::CustomConfiguration`] if you set other options, too.
    #[cfg(feature = "native-tls")]
    pub fn native_tls(connector: native_tls::TlsConnector) -> Self {
        Self::ready(Backend::Native(native::Connector::custom(connector)))
    }

    /// Reports invalid options before the first attempt, and configures the library if it is `needed`.
    pub(super) fn check(&self, needed: bool) -> Result<(), TlsError> {
        if needed {
            return self.backend().map(|_| ());
        }
        match self.backend.get() {
            Some(Err(error)) => Err(error.clone()),
            _ => Ok(()),
        }
    }

    /// Does the TLS handshake if the endpoint is `wss://`.
    pub(super) async fn secure<S>(
        &self,
        endpoint: &Endpoint,
        stream: S,
    ) -> Result<MaybeTls<S>, ConnectionError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        if !endpoint.is_tls() {
            return Ok(MaybeTls::plain(stream));
        }
        // `Builder` has checked this already. Otherwise the error is fatal, since retrying can't help.
        let backend =
            self.backend().map_err(|error| ConnectionError::Certificate(error.to_string()))?;
        match backend {
            #[cfg(feature = "rustls")]
            Backend::Rustls(config) => {
                rustls::handshake(endpoint, stream, config.clone()).await.map(MaybeTls::rustls)
            }
            #[cfg(feature = "native-tls")]
            Backend::Native(connector) => {
                native::handshake(endpoint.host(), stream, connector).await.map(MaybeTls::native)
            }
        }
    }

    fn backend(&self) -> Result<&Backend, TlsError> {
        self.backend.get_or_init(|| self.settings.build()).as_ref().map_err(Clone::clone)
    }

    fn ready(backend: Backend) -> Self {
        Self { settings: Settings::default(), backend: OnceLock::from(Ok(backend)) }
    }

    /// Applies an option, unless there is an error already.
    fn with(mut self, option: impl FnOnce(&mut Settings) -> Result<(), TlsError>) -> Self {
        let error = match self.backend.take() {
            None => option(&mut self.settings).err(),
            Some(Ok(_)) => Some(TlsError::CustomConfiguration),
            Some(Err(first)) => Some(first),
        };
        if let Some(error) = error {
            self.backend = OnceLock::from(Err(error));
        }
        self
    }
}

impl Default for Tls {
    fn default() -> Self {
        Self { settings: Settings::default(), backend: OnceLock::new() }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = match self.backend.get() {
            None => &self.settings,
            // Only a custom configuration: a client's `Tls` is never shown.
            Some(Ok(_)) => return f.write_str("Tls(custom configuration)"),
            Some(Err(error)) => return f.debug_tuple("Tls").field(error).finish(),
        };
        // Without the certificates and the key.
        f.debug_struct("Tls")
            .field("library", &settings.library)
            .field("default_roots", &!settings.without_default_roots)
            .field("platform_roots", &settings.platform_roots)
            .field("ca_certificates", &settings.ca_certificates.len())
            .field("client_certificate", &settings.client.is_some())
            .finish_non_exhaustive()
    }
}

impl Settings {
    fn build(&self) -> Result<Backend, TlsError> {
        match self.library {
            #[cfg(feature = "rustls")]
            Library::Rustls => rustls::config(self).map(Backend::Rustls),
            #[cfg(feature = "native-tls")]
            Library::Native => native::Connector::new(self).map(Backend::Native),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            #[cfg(feature = "rustls")]
            library: Library::Rustls,
            #[cfg(not(feature = "rustls"))]
            library: Library::Native,
            without_default_roots: false,
            platform_roots: false,
            ca_certificates: Vec::new(),
            client: None,
        }
    }
}

impl ClientCertificate {
    fn parse(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
        let chain = pem::certificates(&self.chain)
            .map_err(|error| TlsError::ClientCertificate(error.to_owned()))?;
        let key = pem::private_key(&self.key)
            .map_err(|error| TlsError::ClientCertificate(format!("private key: {error}")))?;
        Ok((chain, key))
    }
}

/// Converts an error of the stream, which may wrap a TLS error.
pub(super) fn connection_error(error: io::Error) -> ConnectionError {
    tls_error(&error).unwrap_or_else(|| error.into())
}

/// Converts the TLS error inside an I/O error, if any. It can occur at any time: in TLS 1.3 a server rejects the
/// client's certificate only after the handshake.
fn tls_error(error: &io::Error) -> Option<ConnectionError> {
    #[cfg(feature = "rustls")]
    if let Some(error) = rustls::tls_error(error, true) {
        return Some(error);
    }
    #[cfg(feature = "native-tls")]
    if let Some(error) = native::tls_error(error) {
        return Some(error);
    }
    None
}

/// An alert says that the client's certificate is missing or was rejected. Until the server is verified, anybody on the
/// way can send it, so it is never final (L7).
fn client_rejected(alert: &str, is_verified: bool) -> ConnectionError {
    if is_verified {
        ConnectionError::Certificate(format!("the server rejected the client certificate: {alert}"))
    } else {
        ConnectionError::Tls(format!(
            "the server rejected the client certificate, but could not be verified: {alert}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use futures_lite::future::block_on;
    use futures_lite::io::Cursor;

    use super::*;

    #[test]
    fn rustls_is_the_default_if_enabled() {
        let shown = format!("{:?}", Tls::default());
        let library = if cfg!(feature = "rustls") { "library: Rustls" } else { "library: Native" };
        assert!(shown.contains(library), "{shown}");
    }

    #[test]
    fn invalid_options_are_fatal_without_a_builder() {
        let endpoint = Endpoint::parse("wss://localhost/").unwrap();
        let tls = Tls::default().ca_certificate("");
        let secured = block_on(tls.secure(&endpoint, Cursor::new(Vec::new())));
        let error = secured.map(|_| ()).unwrap_err();
        assert!(
            matches!(&error, ConnectionError::Certificate(text) if text.contains("CA")),
            "{error:?}"
        );
    }

    #[test]
    fn the_library_is_configured_once() {
        let tls = Tls::default();
        tls.check(false).unwrap();
        assert!(tls.backend.get().is_none());
        tls.check(true).unwrap();
        let first: *const Backend = tls.backend().unwrap();
        assert!(std::ptr::eq(first, tls.backend().unwrap()));
    }
}
