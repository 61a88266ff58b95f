//! TLS for `wss://`: which servers are trusted, and which certificate is the client's own. The libraries
//! that do it are below: `rustls`, and `native` for the one of the operating system.

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

/// Which servers a client trusts, and the certificate that it shows them: options for `wss://`. A `ws://` URL
/// needs none of it.
///
/// By default it is rustls (with ring, TLS 1.2 and 1.3) and trusts Mozilla's roots. In a build with the feature
/// `native-tls` and without `rustls` it is the TLS library of the operating system, with the system's roots:
/// OpenSSL on Linux, Secure Transport on macOS, `SChannel` on Windows.
///
/// A server's certificate is always verified, and so is its host. There is no option that turns this off.
///
/// The methods can be chained without looking at errors. The first thing that is wrong, such as a file
/// that has no certificate in it, is kept and is the [`ConnectError::Tls`](super::ConnectError::Tls) of `connect`
/// and `connect_lazy`, which then dial nothing.
///
/// ```
/// use dcrf_proto::websocket::{Builder, Runtime, Tls};
///
/// fn intranet<N: Runtime>(ca: &[u8], certificate: &[u8], key: &[u8]) -> Builder<N> {
///     let tls = Tls::default().ca_certificate(ca).client_certificate(certificate, key);
///     Builder::new("wss://intranet.example/ws/").tls(tls)
/// }
/// ```
#[derive(Clone)]
#[must_use = "it has no effect until it is given to `tls`"]
pub struct Tls {
    settings: Settings,
    /// Made of the settings when it is first needed, and kept: it holds the sessions that shorten the next
    /// handshake. Filled from the beginning by a configuration of the program's own, or by the first error.
    backend: OnceLock<Result<Backend, TlsError>>,
}

/// What is wrong with a [`Tls`].
///
/// No message has anything of a certificate or a key in it.
///
/// ```
/// use dcrf_proto::websocket::{ConnectError, TlsError};
///
/// fn is_configuration(error: &ConnectError) -> bool {
///     matches!(error, ConnectError::Tls(TlsError::CaCertificate(_) | TlsError::ClientCertificate(_)))
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// What was given to [`Tls::ca_certificate`] is neither PEM with certificates nor a certificate in DER.
    #[error("the CA's certificate can't be used: {0}")]
    CaCertificate(String),
    /// What was given to [`Tls::client_certificate`] is not a certificate in PEM and its key.
    #[error("the client's certificate can't be used: {0}")]
    ClientCertificate(String),
    /// The root certificates of the operating system could not be read.
    #[error("the operating system's root certificates can't be read: {0}")]
    PlatformRoots(String),
    /// There is no root certificate, so no server could ever be trusted.
    #[error("there is no root certificate, so no server could be trusted: add the one of a CA")]
    NoRoots,
    /// A configuration of the program's own is complete: what is added to it would have no effect.
    #[error("a configuration of one's own takes no options besides: put them into it")]
    OwnConfiguration,
    /// The TLS library could not be set up.
    #[error("the TLS library can't be set up: {0}")]
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

/// As it was given, and known to be well-formed: rustls wants DER, and the other library PEM.
#[derive(Clone)]
struct ClientCertificate {
    chain: Vec<u8>,
    key: Vec<u8>,
}

/// A library that is ready for handshakes.
#[derive(Clone)]
enum Backend {
    #[cfg(feature = "rustls")]
    Rustls(std::sync::Arc<futures_rustls::rustls::ClientConfig>),
    #[cfg(feature = "native-tls")]
    Native(native_tls::TlsConnector),
}

impl Tls {
    /// Trusts a certificate authority of one's own as well, by its certificate in PEM or DER. PEM may hold
    /// several. It adds to the roots that are trusted anyway, see
    /// [`without_default_roots`](Self::without_default_roots).
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
    /// [`TlsError::CaCertificate`], when connecting.
    pub fn ca_certificate(self, pem: impl AsRef<[u8]>) -> Self {
        self.with(|settings| {
            let found = pem::certificates_or_der(pem.as_ref());
            let found = found.map_err(|error| TlsError::CaCertificate(error.to_owned()))?;
            settings.ca_certificates.extend(found);
            Ok(())
        })
    }

    /// Trusts none of the roots that are there by default (Mozilla's; with the library of the operating
    /// system, the system's), so that only a CA of one's own is trusted.
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
    /// [`TlsError::NoRoots`], when connecting and there is no other root.
    pub fn without_default_roots(self) -> Self {
        self.with(|settings| {
            settings.without_default_roots = true;
            Ok(())
        })
    }

    /// Trusts the operating system's root certificates as well, where a company's CA often is. On Linux
    /// the variables `SSL_CERT_FILE` and `SSL_CERT_DIR` can name others.
    ///
    /// They are read from disk once, when connecting. It needs the feature `platform-roots`; the
    /// library of the operating system trusts them by default.
    ///
    /// ```
    /// use dcrf_proto::websocket::Tls;
    ///
    /// let besides_mozillas = Tls::default().platform_roots();
    /// let alone = Tls::default().without_default_roots().platform_roots();
    /// ```
    ///
    /// # Errors
    ///
    /// [`TlsError::PlatformRoots`], when connecting.
    #[cfg(feature = "platform-roots")]
    pub fn platform_roots(self) -> Self {
        self.with(|settings| {
            settings.platform_roots = true;
            Ok(())
        })
    }

    /// Shows a certificate of the client's own to a server that asks for one (mutual TLS): the certificate,
    /// followed by those between it and the root, and its private key without a password, all in PEM.
    ///
    /// The library of the operating system takes the key in PKCS #8 only (`BEGIN PRIVATE KEY`).
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
    /// [`TlsError::ClientCertificate`], when connecting: it is not PEM, or the key is of another certificate.
    pub fn client_certificate(
        self,
        chain_pem: impl AsRef<[u8]>,
        key_pem: impl AsRef<[u8]>,
    ) -> Self {
        self.with(|settings| {
            let (chain, key) = (chain_pem.as_ref().to_owned(), key_pem.as_ref().to_owned());
            let client = ClientCertificate { chain, key };
            client.parse()?;
            settings.client = Some(client);
            Ok(())
        })
    }

    /// Uses the TLS library of the operating system also in a build with the feature `rustls`.
    ///
    /// It needs the feature `native-tls`. The system's roots are read from disk once, when connecting.
    ///
    /// ```
    /// use dcrf_proto::websocket::Tls;
    ///
    /// let tls = Tls::default().use_native_tls();
    /// ```
    #[cfg(feature = "native-tls")]
    pub fn use_native_tls(self) -> Self {
        self.with(|settings| {
            settings.library = Library::Native;
            Ok(())
        })
    }

    /// A configuration of rustls of one's own, for all that there is no option for here. Whether and how
    /// certificates are verified is up to it.
    ///
    /// It needs the feature `rustls`. Name the crypto provider, as below: without it rustls panics when
    /// the program has none, or two. A configuration that is given twice shares its sessions.
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
    /// [`TlsError::OwnConfiguration`], when connecting and other options were added to it.
    #[cfg(feature = "rustls")]
    pub fn rustls(config: std::sync::Arc<futures_rustls::rustls::ClientConfig>) -> Self {
        Self::ready(Backend::Rustls(config))
    }

    /// A connector of native-tls of one's own, for all that there is no option for here. Whether and how
    /// certificates are verified is up to it.
    ///
    /// It needs the feature `native-tls`.
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
    /// [`TlsError::OwnConfiguration`], when connecting and other options were added to it.
    #[cfg(feature = "native-tls")]
    pub fn native_tls(connector: native_tls::TlsConnector) -> Self {
        Self::ready(Backend::Native(connector))
    }

    /// Says what is wrong before anything is dialled, and sets up the library if it is `needed`.
    pub(super) fn check(&self, needed: bool) -> Result<(), TlsError> {
        if needed {
            return self.backend().map(|_| ());
        }
        match self.backend.get() {
            Some(Err(error)) => Err(error.clone()),
            _ => Ok(()),
        }
    }

    /// Makes the stream secure when the endpoint asks for it.
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
        // Only for who connects without a `Builder`, which has checked it. Another attempt would meet the
        // same, so it is an error that ends the client.
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
            Some(Ok(_)) => Some(TlsError::OwnConfiguration),
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
            // What is set up by us is inside of a client, and never shown.
            Some(Ok(_)) => return f.write_str("Tls(a configuration of one's own)"),
            Some(Err(error)) => return f.debug_tuple("Tls").field(error).finish(),
        };
        // Not the certificates, and never the key.
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
            Library::Native => native::connector(self).map(Backend::Native),
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
            .map_err(|error| TlsError::ClientCertificate(format!("its private key: {error}")))?;
        Ok((chain, key))
    }
}

/// What an error of the stream means, which may be one of TLS.
pub(super) fn failure(error: io::Error) -> ConnectionError {
    lost(&error).unwrap_or_else(|| error.into())
}

/// The error of TLS inside an error of the stream, if there is one. It can come at any time: a server that
/// misses our certificate says so only after the handshake of TLS 1.3.
fn lost(error: &io::Error) -> Option<ConnectionError> {
    #[cfg(feature = "rustls")]
    if let Some(lost) = rustls::lost(error) {
        return Some(lost);
    }
    #[cfg(feature = "native-tls")]
    if let Some(lost) = native::lost(error) {
        return Some(lost);
    }
    None
}

#[cfg(test)]
mod tests {
    use futures_lite::future::block_on;
    use futures_lite::io::Cursor;

    use super::*;

    #[test]
    fn rustls_is_the_default_where_it_is_built_in() {
        let shown = format!("{:?}", Tls::default());
        let library = if cfg!(feature = "rustls") { "library: Rustls" } else { "library: Native" };
        assert!(shown.contains(library), "{shown}");
    }

    #[test]
    fn without_a_builder_to_tell_it_an_error_ends_the_client() {
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
    fn the_library_is_set_up_once() {
        let tls = Tls::default();
        tls.check(false).unwrap();
        assert!(tls.backend.get().is_none());
        tls.check(true).unwrap();
        let first: *const Backend = tls.backend().unwrap();
        assert!(std::ptr::eq(first, tls.backend().unwrap()));
    }
}
