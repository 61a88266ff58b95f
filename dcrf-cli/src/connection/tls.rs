//! The TLS configuration: which certificates are trusted, and which one the client shows.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// The certificates of a context, as files in PEM.
#[derive(Clone, Debug, Default)]
pub(crate) struct Certificates {
    pub(crate) ca: Option<PathBuf>,
    pub(crate) client: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
}

impl Certificates {
    /// A configuration that trusts the operating system's roots, or Mozilla's if there are none, and the CA.
    ///
    /// # Errors
    ///
    /// A sentence about the file that can't be read or used.
    pub(crate) fn config(&self) -> Result<Arc<ClientConfig>, String> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        if let Some(path) = &self.ca {
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|error| about(path, &error))?;
            }
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots);
        let config = match (&self.client, &self.key) {
            (Some(client), Some(path)) => {
                let key =
                    PrivateKeyDer::from_pem_file(path).map_err(|error| about(path, &error))?;
                builder
                    .with_client_auth_cert(certificates(client)?, key)
                    .map_err(|error| about(client, &error))?
            }
            (None, None) => builder.with_no_client_auth(),
            _ => return Err("--client-cert and --client-key belong together".into()),
        };
        Ok(Arc::new(config))
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = fs::read(path).map_err(|error| about(path, &error))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found.map_err(|error| about(path, &error))? {
        found if found.is_empty() => {
            Err(format!("{}: there is no certificate in PEM", path.display()))
        }
        found => Ok(found),
    }
}

fn about(path: &Path, error: &impl ToString) -> String {
    format!("{}: {}", path.display(), error.to_string())
}
