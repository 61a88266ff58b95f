//! TLS that fails.

use dcrf_tests::authority::Authority;
use dcrf_tests::server::Server;

use super::{daphne, doctor, uvicorn};

fn tls_url(server: &Server, host: &str) -> String {
    format!("wss://{host}:{}/ws/", server.address().port())
}

#[test]
fn expired_certificate() {
    let authority = Authority::new();
    let server = authority.expired_server().start().unwrap();
    let diagnosed = doctor(&tls_url(&server, "localhost"), &["--ca", &authority.ca_file()]);
    diagnosed.assert_failed("tls", 3, "certificate has expired, ", "renew it");
}

#[test]
fn certificate_for_another_host() {
    let authority = Authority::new();
    let server = authority.server_named("other.example").start().unwrap();
    let diagnosed = doctor(&tls_url(&server, "localhost"), &["--ca", &authority.ca_file()]);
    let cause = "is for other.example, not for localhost";
    diagnosed.assert_failed("tls", 3, cause, "write other.example into the URL");
}

#[test]
fn unknown_authority_and_known_one() {
    let authority = Authority::new();
    let server = authority.server().start().unwrap();
    let url = tls_url(&server, "localhost");
    let cause = "issued by \"authority of a test\", which is an unknown authority";
    doctor(&url, &[]).assert_failed("tls", 3, cause, "--ca FILE");
    let healthy = doctor(&url, &["--ca", &authority.ca_file()]);
    healthy.assert_healthy();
    let finding = healthy.step("tls")["finding"].to_string();
    assert!(finding.contains("TLS 1.3, certificate for localhost"), "{finding}");
}

#[test]
fn self_signed_certificate() {
    let server = Authority::new().self_signed_server().start();
    let server = server.unwrap();
    doctor(&tls_url(&server, "localhost"), &[]).assert_failed("tls", 3, "self-signed", "--ca FILE");
}

#[test]
fn plain_server_behind_wss() {
    let cause = "the server speaks plain HTTP on this port, and the URL says wss://";
    for url in [daphne("/ws/"), uvicorn("/ws/")] {
        let url = url.replacen("ws://", "wss://", 1);
        doctor(&url, &[]).assert_failed("tls", 3, cause, "write ws://");
    }
}

#[test]
fn tls_server_behind_ws() {
    let authority = Authority::new();
    let server = authority.server().start().unwrap();
    let cause = "this port speaks TLS, and the URL says ws://";
    doctor(&server.url("/ws/"), &[]).assert_failed("handshake", 3, cause, "write wss://");
}

#[test]
fn client_certificate_is_required() {
    let authority = Authority::new();
    let server = authority.server_for_known_clients().start().unwrap();
    let url = tls_url(&server, "localhost");
    let ca = authority.ca_file();
    let missing = doctor(&url, &["--ca", &ca]);
    missing.assert_failed("tls", 4, "requires a client certificate", "--client-cert FILE");

    let folder = tempfile::tempdir().unwrap();
    let with_certificate_of = |authority: &Authority| {
        let identity = authority.issue_to_client("ann");
        let (certificate, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
        std::fs::write(&certificate, identity.certificate).unwrap();
        std::fs::write(&key, identity.key).unwrap();
        let (certificate, key) = (certificate.to_str().unwrap(), key.to_str().unwrap());
        doctor(&url, &["--ca", &ca, "--client-cert", certificate, "--client-key", key])
    };
    with_certificate_of(&authority).assert_healthy();
    let foreign = with_certificate_of(&Authority::new());
    foreign.assert_failed("tls", 4, "rejects the client's certificate", "--client-cert");
}
