//! `wss://`, against a server of rustls with certificates made here.
#![cfg(feature = "rustls")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use async_tungstenite::tungstenite;
use dcrf_tokio::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use dcrf_tokio::rustls::server::WebPkiClientVerifier;
use dcrf_tokio::rustls::{
    ClientConfig, RootCertStore, ServerConfig, ServerConnection, StreamOwned, crypto, version,
};
use dcrf_tokio::{Client, ConnectError, Lost};
use rcgen::{CertificateParams, Issuer, KeyPair};

#[tokio::test]
async fn a_certificate_of_our_own_ca_is_accepted() {
    let ca = Ca::new();
    for host in ["localhost", "127.0.0.1"] {
        let (port, server) = serve(ca.server(&[host], |_| {}));
        connect(host, port, ca.client()).await.unwrap();
        server.join().unwrap();
    }
}

#[tokio::test]
async fn tls_1_2_is_spoken_too() {
    let ca = Ca::new();
    let (port, server) = serve_with(ca.server(&["localhost"], |_| {}), |identity| {
        let versions = server_builder(&[&version::TLS12]).with_no_client_auth();
        versions.with_single_cert(identity.chain, identity.key).unwrap()
    });
    connect("localhost", port, ca.client()).await.unwrap();
    server.join().unwrap();
}

#[tokio::test]
async fn x2_a_certificate_of_an_unknown_ca_is_refused() {
    let ca = Ca::new();
    let (port, server) = serve(ca.server(&["localhost"], |_| {}));
    // With the roots that are there by default.
    let url = format!("wss://localhost:{port}/ws/");
    assert_certificate(dcrf_tokio::connect(&url).await, "UnknownIssuer");
    server.join().unwrap();
}

#[tokio::test]
async fn x2_a_self_signed_certificate_is_refused() {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let (port, server) = serve(Identity::new(certificate.der().clone(), &key));
    assert_certificate(connect("localhost", port, Ca::new().client()).await, "certificate");
    server.join().unwrap();
}

#[tokio::test]
async fn x2_a_certificate_for_another_host_is_refused() {
    let ca = Ca::new();
    for (name, host) in [("example.com", "localhost"), ("localhost", "127.0.0.1")] {
        let (port, server) = serve(ca.server(&[name], |_| {}));
        assert_certificate(connect(host, port, ca.client()).await, "not valid for name");
        server.join().unwrap();
    }
}

#[tokio::test]
async fn x2_an_expired_certificate_is_refused() {
    let ca = Ca::new();
    let expired = ca.server(&["localhost"], |params| {
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2002, 1, 1);
    });
    let (port, server) = serve(expired);
    assert_certificate(connect("localhost", port, ca.client()).await, "expired");
    server.join().unwrap();
}

#[tokio::test]
async fn a_server_that_misses_our_certificate_is_a_certificate_error() {
    // TLS 1.3 says so only when the handshake seems to be over.
    for version in [&version::TLS12, &version::TLS13] {
        let ca = Ca::new();
        let roots = ca.roots();
        let (port, server) = serve_with(ca.server(&["localhost"], |_| {}), move |identity| {
            let provider = Arc::new(crypto::ring::default_provider());
            let verifier =
                WebPkiClientVerifier::builder_with_provider(roots, provider).build().unwrap();
            let builder = server_builder(&[version]).with_client_cert_verifier(verifier);
            builder.with_single_cert(identity.chain, identity.key).unwrap()
        });
        assert_certificate(connect("localhost", port, ca.client()).await, "client's certificate");
        server.join().unwrap();
    }
}

#[tokio::test]
async fn a_server_without_tls_is_a_tls_error() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
    });
    match failure(connect("localhost", port, Ca::new().client()).await) {
        Lost::Tls(message) => assert!(message.contains("does not speak TLS"), "{message}"),
        other => panic!("{other:?}"),
    }
    server.join().unwrap();
}

/// A private certificate authority.
struct Ca {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

/// A server's certificate with its key.
struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    fn new(certificate: CertificateDer<'static>, key: &KeyPair) -> Self {
        Self { chain: vec![certificate], key: PrivateKeyDer::Pkcs8(key.serialize_der().into()) }
    }
}

impl Ca {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    fn server(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity::new(certificate.der().clone(), &key)
    }

    fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        Arc::new(roots)
    }

    /// The configuration of a client that trusts this authority.
    fn client(&self) -> Arc<ClientConfig> {
        let provider = Arc::new(crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots())
            .with_no_client_auth();
        Arc::new(config)
    }
}

fn serve(identity: Identity) -> (u16, JoinHandle<()>) {
    serve_with(identity, |identity| {
        let builder = server_builder(&[&version::TLS12, &version::TLS13]).with_no_client_auth();
        builder.with_single_cert(identity.chain, identity.key).unwrap()
    })
}

/// Takes one connection and tries the handshakes.
fn serve_with(
    identity: Identity,
    config: impl FnOnce(Identity) -> ServerConfig,
) -> (u16, JoinHandle<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = Arc::new(config(identity));
    let server = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let tls = ServerConnection::new(config).unwrap();
        // Fails where the client refuses: that is for the test to see at the client.
        drop(tungstenite::accept(StreamOwned::new(tls, stream)));
    });
    (port, server)
}

fn server_builder(
    versions: &[&'static dcrf_tokio::rustls::SupportedProtocolVersion],
) -> dcrf_tokio::rustls::ConfigBuilder<ServerConfig, dcrf_tokio::rustls::WantsVerifier> {
    ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
}

async fn connect(host: &str, port: u16, config: Arc<ClientConfig>) -> Result<Client, ConnectError> {
    let url = format!("wss://{host}:{port}/ws/");
    dcrf_tokio::builder(&url).tls_config(config).connect().await
}

fn failure(result: Result<Client, ConnectError>) -> Lost {
    match result {
        Err(ConnectError::Failed { error, .. }) => error,
        other => panic!("{other:?}"),
    }
}

fn assert_certificate(result: Result<Client, ConnectError>, about: &str) {
    match failure(result) {
        Lost::Certificate(message) => assert!(message.contains(about), "{message}"),
        other => panic!("{other:?}"),
    }
}
