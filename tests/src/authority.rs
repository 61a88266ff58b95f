//! A certificate authority for tests, and servers with its certificates.
#![expect(clippy::missing_panics_doc, reason = "only tests use it")]

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use dcrf_proto::websocket::Tls;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};

use crate::server::{Builder, Kind, Server};

/// A certificate authority and the folder of its files.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    folder: PathBuf,
}

/// A certificate and its key in PEM.
#[derive(Debug)]
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

impl Authority {
    /// Creates an authority with a new key.
    #[expect(clippy::new_without_default, reason = "each is different")]
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("dcrf-tls-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        fs::create_dir(&folder).unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // OpenSSL takes a certificate with its issuer's name for self-signed.
        params.distinguished_name.push(DnType::CommonName, "authority of a test");
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem, folder }
    }

    /// A server with a certificate for `localhost`.
    pub fn server(&self) -> Builder {
        self.server_named("localhost")
    }

    /// A server with a certificate for this name.
    pub fn server_named(&self, name: &str) -> Builder {
        self.server_with(&self.issue(name, ExtendedKeyUsagePurpose::ServerAuth))
    }

    /// A server whose certificate for `localhost` has expired.
    pub fn expired_server(&self) -> Builder {
        let mut params = params("localhost", ExtendedKeyUsagePurpose::ServerAuth);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2020, 2, 1);
        self.server_with(&self.sign(&params))
    }

    /// A server whose certificate for `localhost` is self-signed.
    pub fn self_signed_server(&self) -> Builder {
        let key = KeyPair::generate().unwrap();
        let params = params("localhost", ExtendedKeyUsagePurpose::ServerAuth);
        let certificate = params.self_signed(&key).unwrap().pem();
        self.server_with(&Identity { certificate, key: key.serialize_pem() })
    }

    /// The paths of a certificate for this name and of its key, for another server.
    pub fn server_files(&self, name: &str) -> (String, String) {
        self.files(&self.issue(name, ExtendedKeyUsagePurpose::ServerAuth))
    }

    fn server_with(&self, identity: &Identity) -> Builder {
        let (certificate, key) = self.files(identity);
        Server::builder()
            .kind(Kind::Uvicorn)
            .env("DCRF_TEST_CERTIFICATE", certificate)
            .env("DCRF_TEST_KEY", key)
    }

    fn files(&self, identity: &Identity) -> (String, String) {
        let certificate = self.file("server.pem", &identity.certificate);
        (certificate, self.file("server.key", &identity.key))
    }

    /// The same server, requiring a client certificate of this authority.
    pub fn server_for_known_clients(&self) -> Builder {
        self.server().env("DCRF_TEST_CLIENT_CA", self.ca_file())
    }

    /// Issues a client certificate.
    pub fn issue_to_client(&self, name: &str) -> Identity {
        self.issue(name, ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// The authority's own certificate.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The path of the authority's certificate.
    pub fn ca_file(&self) -> String {
        self.file("ca.pem", &self.pem)
    }

    /// TLS options that trust this authority.
    pub fn trust(&self) -> Tls {
        Tls::default().ca_certificate(&self.pem)
    }

    fn issue(&self, name: &str, purpose: ExtendedKeyUsagePurpose) -> Identity {
        self.sign(&params(name, purpose))
    }

    fn sign(&self, params: &CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        Identity { certificate, key: key.serialize_pem() }
    }

    fn file(&self, name: &str, content: &str) -> String {
        let path = self.folder.join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

fn params(name: &str, purpose: ExtendedKeyUsagePurpose) -> CertificateParams {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.extended_key_usages = vec![purpose];
    params
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}
