//! Certificate authorities and the certificates they sign.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_rustls::pki_types::{CertificateDer, PrivateKeyDer};
use futures_rustls::rustls::RootCertStore;
use rcgen::{Certificate, CertificateParams, DnType, Issuer, KeyPair};

/// A private certificate authority.
pub(crate) struct Ca {
    issuer: Issuer<'static, KeyPair>,
    certificate: Certificate,
}

/// A certificate of a server or a client, with its key.
pub(crate) struct Identity {
    certificate: Certificate,
    key: KeyPair,
}

impl Ca {
    pub(crate) fn new() -> Self {
        // With equal names, one authority would be mistaken for the other, and its signatures for invalid.
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("Authority {}", COUNT.fetch_add(1, Ordering::Relaxed));

        let key = KeyPair::generate().unwrap();
        let mut params = named(&name, &[]);
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    pub(crate) fn pem(&self) -> String {
        self.certificate.pem()
    }

    pub(crate) fn der(&self) -> Vec<u8> {
        self.certificate.der().to_vec()
    }

    /// A store that trusts only this authority.
    pub(crate) fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).unwrap();
        Arc::new(roots)
    }

    pub(crate) fn sign(&self, names: &[&str]) -> Identity {
        self.sign_as(names, |_| {})
    }

    pub(crate) fn sign_as(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = named("identity", names);
        change(&mut params);
        Identity { certificate: params.signed_by(&key, &self.issuer).unwrap(), key }
    }
}

impl Identity {
    pub(crate) fn self_signed(names: &[&str]) -> Self {
        let key = KeyPair::generate().unwrap();
        Self { certificate: named("self-signed", names).self_signed(&key).unwrap(), key }
    }

    pub(crate) fn certificate_pem(&self) -> String {
        self.certificate.pem()
    }

    /// In PKCS #8.
    pub(crate) fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    pub(crate) fn chain(&self) -> Vec<CertificateDer<'static>> {
        vec![self.certificate.der().clone()]
    }

    pub(crate) fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(self.key.serialize_der().into())
    }
}

fn named(common_name: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params
}
