//! Which certificates are accepted, the server's and the client's.

use dcrf_tokio::Tls;

use crate::authority::{Ca, Identity};
use crate::server::{Server, TLS_1_2, TLS_1_3};
use crate::{assert_certificate, assert_refused, connect, failure, libraries};

#[tokio::test]
async fn a_certificate_of_our_own_ca_is_accepted() {
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
async fn our_own_ca_may_be_in_der_and_among_others_in_pem() {
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
async fn tls_1_2_is_spoken_too() {
    let ca = Ca::new();
    for tls in libraries() {
        for versions in [TLS_1_2, TLS_1_3] {
            let server = Server::speaking(&ca.sign(&["localhost"]), versions);
            let tls = tls.clone().ca_certificate(ca.pem());
            drop(connect(&server, "localhost", tls).await.unwrap());
            assert_eq!(server.stop().await, 1);
        }
    }
}

#[tokio::test]
async fn x2_a_certificate_of_an_unknown_ca_is_refused() {
    let (ca, other) = (Ca::new(), Ca::new());
    for tls in libraries() {
        // With the roots that are there by default, with another one besides, and with that one alone.
        let besides = tls.clone().ca_certificate(other.pem());
        for tls in [tls, besides.clone(), besides.without_default_roots()] {
            let server = Server::new(&ca.sign(&["localhost"]));
            let words = ["UnknownIssuer", "unable to get local issuer certificate"];
            assert_refused(server, "localhost", tls, &words).await;
        }
    }
}

#[tokio::test]
async fn x2_the_default_refuses_an_unknown_ca() {
    let server = Server::new(&Ca::new().sign(&["localhost"]));
    let error = failure(dcrf_tokio::connect(&server.url("localhost")).await);
    assert_certificate(&error, &["UnknownIssuer", "unable to get local issuer certificate"]);
    assert_eq!(server.stop().await, 1);
}

#[tokio::test]
async fn x2_a_self_signed_certificate_is_refused() {
    let ca = Ca::new();
    for tls in libraries() {
        let server = Server::new(&Identity::self_signed(&["localhost"]));
        let tls = tls.ca_certificate(ca.pem());
        let words = ["UnknownIssuer", "self-signed certificate", "self signed certificate"];
        assert_refused(server, "localhost", tls, &words).await;
    }
}

#[tokio::test]
async fn x2_a_certificate_for_another_host_is_refused() {
    let ca = Ca::new();
    for tls in libraries() {
        for (name, host) in [("example.com", "localhost"), ("localhost", "127.0.0.1")] {
            let server = Server::new(&ca.sign(&[name]));
            let tls = tls.clone().ca_certificate(ca.pem());
            let words = ["not valid for name", "hostname mismatch", "IP address mismatch"];
            assert_refused(server, host, tls, &words).await;
        }
    }
}

#[tokio::test]
async fn x2_an_expired_certificate_is_refused() {
    let ca = Ca::new();
    for tls in libraries() {
        let expired = ca.sign_as(&["localhost"], |params| {
            params.not_before = rcgen::date_time_ymd(2001, 1, 1);
            params.not_after = rcgen::date_time_ymd(2002, 1, 1);
        });
        let tls = tls.ca_certificate(ca.pem());
        assert_refused(Server::new(&expired), "localhost", tls, &["expired"]).await;
    }
}

#[tokio::test]
async fn a_client_shows_its_certificate() {
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
async fn a_client_without_a_certificate_or_with_a_strangers_ends() {
    let (ca, clients, stranger) = (Ca::new(), Ca::new(), Ca::new());
    for tls in libraries() {
        // TLS 1.3 says so only when the handshake seems to be over.
        for versions in [TLS_1_2, TLS_1_3] {
            let without = tls.clone().ca_certificate(ca.pem());
            let with_another = with_certificate(&tls, &ca, &stranger.sign(&["device"]));
            for tls in [without, with_another] {
                let server = Server::mutual(&ca.sign(&["localhost"]), versions, clients.roots());
                assert_refused(server, "localhost", tls, &["client certificate"]).await;
            }
        }
    }
}

fn with_certificate(tls: &Tls, ca: &Ca, client: &Identity) -> Tls {
    let tls = tls.clone().ca_certificate(ca.pem());
    tls.client_certificate(client.certificate_pem(), client.key_pem())
}
