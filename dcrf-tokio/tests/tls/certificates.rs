//! Which certificates of servers and clients are accepted.

use dcrf_tokio::{ConnectionError, Tls};

use crate::authority::{Ca, Identity};
use crate::server::{Server, TLS_1_2, TLS_1_3};
use crate::{IS_OPAQUE, assert_certificate, assert_rejected, connect, failure, libraries};

#[tokio::test]
async fn certificate_of_a_given_ca_is_accepted() {
    let ca = Ca::new();
    for tls in libraries() {
        for host in ["localhost", "127.0.0.1"] {
            let server = Server::new(&ca.sign(&[host]));
            drop(connect(&server, host, tls.clone().ca_certificate(ca.pem())).await.unwrap());
            assert_eq!(server.stop().await, 1);
        }
    }
}

#[tokio::test]
async fn ca_can_be_der_or_one_of_several_in_pem() {
    let (ca, other) = (Ca::new(), Ca::new());
    for tls in libraries() {
        let several = format!("A note\n{}{}", other.pem(), ca.pem());
        for tls in [
            tls.clone().ca_certificate(ca.der()),
            tls.clone().ca_certificate(several),
            tls.clone().ca_certificate(other.pem()).ca_certificate(ca.pem()),
            tls.clone().ca_certificate(ca.pem()).without_default_roots(),
        ] {
            let server = Server::new(&ca.sign(&["localhost"]));
            drop(connect(&server, "localhost", tls).await.unwrap());
            assert_eq!(server.stop().await, 1);
        }
    }
}

#[tokio::test]
async fn tls_1_2_and_1_3_are_supported() {
    let ca = Ca::new();
    for tls in libraries() {
        for versions in [TLS_1_2, TLS_1_3] {
            let server = Server::with_versions(&ca.sign(&["localhost"]), versions);
            let tls = tls.clone().ca_certificate(ca.pem());
            drop(connect(&server, "localhost", tls).await.unwrap());
            assert_eq!(server.stop().await, 1);
        }
    }
}

#[tokio::test]
async fn x2_certificate_of_an_unknown_ca_is_rejected() {
    let (ca, other) = (Ca::new(), Ca::new());
    for tls in libraries() {
        // The default roots, the default roots and another one, and only that other one.
        let with_other = tls.clone().ca_certificate(other.pem());
        for tls in [tls, with_other.clone(), with_other.without_default_roots()] {
            let server = Server::new(&ca.sign(&["localhost"]));
            let words = ["UnknownIssuer", "unable to get local issuer certificate"];
            assert_rejected(server, "localhost", tls, &words).await;
        }
    }
}

#[tokio::test]
async fn x2_unknown_ca_is_rejected_by_default() {
    let server = Server::new(&Ca::new().sign(&["localhost"]));
    let error = failure(dcrf_tokio::connect(&server.url("localhost")).await);
    assert_certificate(&error, &["UnknownIssuer", "unable to get local issuer certificate"]);
    assert_eq!(server.stop().await, 1);
}

#[tokio::test]
async fn x2_self_signed_certificate_is_rejected() {
    let ca = Ca::new();
    for tls in libraries() {
        let server = Server::new(&Identity::self_signed(&["localhost"]));
        let tls = tls.ca_certificate(ca.pem());
        let words = ["UnknownIssuer", "self-signed certificate", "self signed certificate"];
        assert_rejected(server, "localhost", tls, &words).await;
    }
}

#[tokio::test]
async fn x2_certificate_for_another_host_is_rejected() {
    let ca = Ca::new();
    for tls in libraries() {
        for (name, host) in [("example.com", "localhost"), ("localhost", "127.0.0.1")] {
            let server = Server::new(&ca.sign(&[name]));
            let tls = tls.clone().ca_certificate(ca.pem());
            let words = ["not valid for name", "hostname mismatch", "IP address mismatch"];
            assert_rejected(server, host, tls, &words).await;
        }
    }
}

#[tokio::test]
async fn x2_certificate_with_the_host_only_as_common_name_is_rejected() {
    let ca = Ca::new();
    // Without alternative names, and with some of another type.
    for (names, host) in [(&[][..], "localhost"), (&["127.0.0.1"], "localhost")] {
        let identity = ca.sign_as(names, |params| {
            params.distinguished_name = rcgen::DistinguishedName::new();
            params.distinguished_name.push(rcgen::DnType::CommonName, host);
        });
        for tls in libraries() {
            let tls = tls.ca_certificate(ca.pem());
            assert_rejected(Server::new(&identity), host, tls, &["not valid for name"]).await;
        }
    }
}

#[tokio::test]
async fn x2_expired_certificate_is_rejected() {
    let ca = Ca::new();
    for tls in libraries() {
        let expired = ca.sign_as(&["localhost"], |params| {
            params.not_before = rcgen::date_time_ymd(2001, 1, 1);
            params.not_after = rcgen::date_time_ymd(2002, 1, 1);
        });
        let tls = tls.ca_certificate(ca.pem());
        assert_rejected(Server::new(&expired), "localhost", tls, &["expired"]).await;
    }
}

#[tokio::test]
async fn client_certificate_is_accepted() {
    let (ca, clients) = (Ca::new(), Ca::new());
    for tls in libraries() {
        for versions in [TLS_1_2, TLS_1_3] {
            let server = Server::mutual(&ca.sign(&["localhost"]), versions, clients.roots());
            let tls = with_certificate(&tls, &ca, &clients.sign(&["device"]));
            drop(connect(&server, "localhost", tls).await.unwrap());
            assert_eq!(server.stop().await, 1);
        }
    }
}

#[tokio::test]
async fn missing_or_unknown_client_certificate_is_rejected() {
    let (ca, clients, stranger) = (Ca::new(), Ca::new(), Ca::new());
    for tls in libraries() {
        // With TLS 1.3, the client learns of it only after its side of the handshake.
        for versions in [TLS_1_2, TLS_1_3] {
            let without = tls.clone().ca_certificate(ca.pem());
            let unknown = with_certificate(&tls, &ca, &stranger.sign(&["device"]));
            for tls in [without, unknown] {
                let server = Server::mutual(&ca.sign(&["localhost"]), versions, clients.roots());
                if versions == TLS_1_3 {
                    assert_rejected(server, "localhost", tls, &["client certificate"]).await;
                    continue;
                }
                // L7: with TLS 1.2, the alert comes before the server is verified.
                match failure(connect(&server, "localhost", tls).await) {
                    ConnectionError::Tls(text) => {
                        assert!(IS_OPAQUE || text.contains("client certificate"), "{text}");
                    }
                    other => panic!("{other:?}"),
                }
                assert_eq!(server.stop().await, 1);
            }
        }
    }
}

fn with_certificate(tls: &Tls, ca: &Ca, client: &Identity) -> Tls {
    let tls = tls.clone().ca_certificate(ca.pem());
    tls.client_certificate(client.certificate_pem(), client.key_pem())
}
