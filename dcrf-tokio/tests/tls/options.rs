//! Invalid TLS options are reported before connecting.

use dcrf_tokio::{ConnectError, Tls, TlsError};

use crate::authority::{Ca, Identity};
use crate::libraries;
use crate::server::Server;

const WITHOUT_END: &str = "-----BEGIN CERTIFICATE-----\nY2FuYXJ5\n";
/// Well-formed, and not a certificate.
const EMPTY: &str = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";

/// Returns the error of both `connect` and `connect_lazy`.
async fn error(tls: &Tls) -> TlsError {
    let server = Server::plain(|_| {});
    let url = server.url("localhost");
    let lazy = dcrf_tokio::builder(&url).tls(tls.clone()).connect_lazy().unwrap_err();
    let error = dcrf_tokio::builder(&url).tls(tls.clone()).connect().await.unwrap_err();
    assert_eq!(error, lazy);
    assert_eq!(server.stop().await, 0);
    match error {
        ConnectError::Tls(error) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn invalid_ca_certificate_is_an_error() {
    for tls in libraries() {
        for (wrong, about) in [
            (&b""[..], "BEGIN CERTIFICATE"),
            (b"/etc/intranet/ca.pem", "BEGIN CERTIFICATE"),
            (WITHOUT_END.as_bytes(), "truncated"),
            (EMPTY.as_bytes(), "not a valid X.509"),
            (&[0x30, 0x82, 1, 2, 3], "not a valid X.509"),
        ] {
            let error = error(&tls.clone().ca_certificate(wrong)).await;
            assert!(matches!(error, TlsError::CaCertificate(_)), "{error:?}");
            assert!(error.to_string().contains(about), "{error}");
        }
    }
}

#[tokio::test]
async fn invalid_client_certificate_is_an_error() {
    let Identities { one, other } = Identities::new();
    let (chain, key) = (one.certificate_pem(), one.key_pem());
    let without_breaks = key.replace('\n', "");
    let of_other_type = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap().serialize_pem();
    for tls in libraries() {
        for (chain, key, about) in [
            ("", &*key, "BEGIN CERTIFICATE"),
            (&*key, &*key, "BEGIN CERTIFICATE"),
            (WITHOUT_END, &*key, "truncated"),
            (EMPTY, &*key, ""),
            (&*chain, "", "BEGIN PRIVATE KEY"),
            (&*chain, &*chain, "BEGIN PRIVATE KEY"),
            (&*chain, &*without_breaks, "line breaks"),
            // The key of another certificate.
            (&*chain, &*other.key_pem(), ""),
            (&*chain, &*of_other_type, ""),
        ] {
            let error = error(&tls.clone().client_certificate(chain, key)).await;
            assert!(matches!(error, TlsError::ClientCertificate(_)), "{error:?}");
            assert!(error.to_string().contains(about), "{error}");
        }
    }
}

#[tokio::test]
async fn certificate_and_key_can_be_in_one_file() {
    let ca = Ca::new();
    let client = ca.sign(&["device"]);
    let both = format!("A note\n{}{}", client.certificate_pem(), client.key_pem());
    for tls in libraries() {
        let server = Server::mutual(&ca.sign(&["localhost"]), crate::server::TLS_1_3, ca.roots());
        let tls = tls.ca_certificate(ca.pem()).client_certificate(&both, &both);
        drop(crate::connect(&server, "localhost", tls).await.unwrap());
        assert_eq!(server.stop().await, 1);
    }
}

#[cfg(feature = "native-tls")]
#[tokio::test]
async fn native_tls_accepts_only_pkcs_8_keys() {
    let chain = Ca::new().sign(&["device"]).certificate_pem();
    let key = "-----BEGIN EC PRIVATE KEY-----\nY2FuYXJ5\n-----END EC PRIVATE KEY-----\n";
    let error = error(&Tls::default().use_native_tls().client_certificate(chain, key)).await;
    assert!(error.to_string().contains("PKCS #8"), "{error}");
}

#[tokio::test]
async fn missing_roots_are_an_error() {
    for tls in libraries() {
        assert_eq!(error(&tls.without_default_roots()).await, TlsError::NoRoots);
    }
}

#[tokio::test]
async fn first_error_is_kept() {
    let ca = Ca::new();
    for tls in libraries() {
        let tls = tls.ca_certificate("").client_certificate("", "").ca_certificate(ca.pem());
        assert!(matches!(error(&tls).await, TlsError::CaCertificate(_)));
    }
}

#[tokio::test]
async fn invalid_options_are_an_error_without_tls_too() {
    let builder = dcrf_tokio::builder("ws://localhost:1/").tls(Tls::default().ca_certificate(""));
    let error = builder.connect_lazy().unwrap_err();
    assert!(matches!(error, ConnectError::Tls(TlsError::CaCertificate(_))), "{error:?}");
    assert!(error.to_string().starts_with("TLS: invalid CA certificate: "), "{error}");
}

#[tokio::test]
async fn x1_certificates_and_keys_are_never_shown() {
    let Identities { one, other } = Identities::new();
    let (chain, key) = (one.certificate_pem(), one.key_pem());
    let secret = key.lines().nth(1).unwrap();
    for tls in libraries() {
        let tls = tls.client_certificate(&chain, &key);
        let builder = dcrf_tokio::builder("wss://localhost/").tls(tls.clone());
        let without_breaks = key.replace('\n', "");
        let broken = key.replace("-----END", "----END");
        let mut shown = vec![format!("{tls:?} {builder:?}")];
        for wrong in [&*without_breaks, &*broken] {
            let tls = tls.clone().client_certificate(&chain, wrong);
            let error = error(&tls).await;
            shown.push(format!("{tls:?} {error:?} {error}"));
        }
        let mismatch = error(&tls.client_certificate(other.certificate_pem(), &key)).await;
        shown.push(format!("{mismatch:?} {mismatch}"));
        let shown = shown.concat();
        assert!(!shown.contains(secret), "{shown}");
        assert!(!shown.contains(chain.lines().nth(1).unwrap()), "{shown}");
    }
}

/// Two identities of the same authority.
struct Identities {
    one: Identity,
    other: Identity,
}

impl Identities {
    fn new() -> Self {
        let ca = Ca::new();
        Self { one: ca.sign(&["one"]), other: ca.sign(&["other"]) }
    }
}

#[cfg(feature = "rustls")]
mod custom_rustls {
    use std::sync::Arc;

    use dcrf_proto::websocket::rustls::{ClientConfig, crypto};

    use super::*;
    use crate::{assert_rejected, connect};

    fn config(ca: &Ca) -> Arc<ClientConfig> {
        let provider = Arc::new(crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(ca.roots())
            .with_no_client_auth();
        Arc::new(config)
    }

    #[tokio::test]
    async fn custom_configuration_is_used() {
        let ca = Ca::new();
        let server = Server::new(&ca.sign(&["localhost"]));
        drop(connect(&server, "localhost", Tls::rustls(config(&ca))).await.unwrap());
        assert_eq!(server.stop().await, 1);

        let server = Server::new(&ca.sign(&["localhost"]));
        let tls = Tls::rustls(config(&Ca::new()));
        assert_rejected(server, "localhost", tls, &["UnknownIssuer"]).await;
    }

    #[tokio::test]
    async fn custom_configuration_accepts_no_other_options() {
        let ca = Ca::new();
        let tls = Tls::rustls(config(&ca));
        assert_eq!(format!("{tls:?}"), "Tls(custom configuration)");
        let tls = tls.ca_certificate(ca.pem());
        assert_eq!(error(&tls).await, TlsError::CustomConfiguration);
    }
}

#[cfg(feature = "native-tls")]
mod custom_native_tls {
    use dcrf_proto::websocket::native_tls::{Certificate, TlsConnector};

    use super::*;
    use crate::connect;

    #[tokio::test]
    async fn custom_connector_is_used() {
        let ca = Ca::new();
        let certificate = Certificate::from_der(&ca.der()).unwrap();
        let connector = TlsConnector::builder().add_root_certificate(certificate).build().unwrap();
        let server = Server::new(&ca.sign(&["localhost"]));
        let tls = Tls::native_tls(connector.clone());
        drop(connect(&server, "localhost", tls).await.unwrap());
        assert_eq!(server.stop().await, 1);

        let tls = Tls::native_tls(connector).without_default_roots();
        assert_eq!(error(&tls).await, TlsError::CustomConfiguration);
    }

    #[tokio::test]
    async fn custom_connector_decides_about_the_host() {
        let ca = Ca::new();
        let certificate = Certificate::from_der(&ca.der()).unwrap();
        let mut builder = TlsConnector::builder();
        builder.add_root_certificate(certificate).danger_accept_invalid_hostnames(true);
        let server = Server::new(&ca.sign(&["example.com"]));
        let tls = Tls::native_tls(builder.build().unwrap());
        drop(connect(&server, "localhost", tls).await.unwrap());
        assert_eq!(server.stop().await, 1);
    }
}
