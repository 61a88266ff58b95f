//! nginx in front of the server, set up wrongly.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use dcrf_tests::authority::Authority;
use dcrf_tests::server::Server;

use super::{doctor, uvicorn};
use crate::nginx::{Nginx, UPGRADE, free_address};

#[test]
fn nginx_without_upgrade_headers() {
    for address in [Server::shared().address(), {
        let url = uvicorn("/");
        url["ws://".len()..url.len() - 1].parse::<SocketAddr>().unwrap()
    }] {
        let cause = "nginx does not pass on the header Upgrade";
        let pass = format!("location / {{ proxy_pass http://{address};");
        let nginx = Nginx::start(&format!("{pass} }}"));
        doctor(&nginx.url("/ws/"), &[]).assert_failed("handshake", 1, cause, "proxy_set_header Up");
        // With the defaults of an `upstream` block, Django does not know the host either.
        let nginx = Nginx::start(&format!("{pass} proxy_set_header Host django; }}"));
        let diagnosed = doctor(&nginx.url("/ws/"), &[]);
        diagnosed.assert_failed("handshake", 1, cause, "proxy_set_header Upgrade");
        assert!(diagnosed.step("handshake")["advice"][1].to_string().contains("ALLOWED_HOSTS"));
        let nginx = Nginx::start(&format!("{pass} {UPGRADE} }}"));
        doctor(&nginx.url("/ws/"), &[]).assert_healthy();
    }
}

#[test]
fn nginx_with_its_upstream_down() {
    let nginx =
        Nginx::start(&format!("location / {{ proxy_pass http://{}; {UPGRADE} }}", free_address()));
    let cause = "the ASGI server behind it is down";
    doctor(&nginx.url("/ws/"), &[]).assert_failed("handshake", 3, cause, "start the ASGI server");
}

#[test]
fn nginx_whose_upstream_hangs() {
    let hanging = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let nginx = Nginx::start(&format!(
        "location / {{ proxy_pass http://{}; {UPGRADE} proxy_read_timeout 300ms; }}",
        hanging.local_addr().unwrap()
    ));
    let cause = "HTTP status 504 (server: nginx";
    doctor(&nginx.url("/ws/"), &[]).assert_failed("handshake", 3, cause, "code that blocks");
}

#[test]
fn nginx_that_answers_itself() {
    let nginx = Nginx::start(
        "location /api/ { return 204; } location /old/ { return 301 https://example.com/ws/; } \
         location /secret/ { deny all; } location /secure/ { return 301 https://$host$request_uri; }",
    );
    let of = |path: &str| doctor(&nginx.url(path), &[]);
    let handshake = "handshake";
    of("/ws/").assert_failed(handshake, 1, "it has no `location` that leads /ws/", "location /ws/");
    of("/secret/").assert_failed(handshake, 4, "nginx itself rejects the request", "`deny`");
    of("/secure/").assert_failed(handshake, 1, "the server wants TLS", "write wss://");
    of("/old/").assert_failed(handshake, 1, "follow no redirects", "new address");
}

#[test]
fn nginx_with_tls() {
    let authority = Authority::new();
    let ca = authority.ca_file();
    let files = authority.server_files("localhost");
    let pass =
        format!("location / {{ proxy_pass http://{}; {UPGRADE} }}", Server::shared().address());
    let nginx = Nginx::start_tls(&files, &pass);
    let cause = "this port speaks TLS, and the URL says ws://";
    doctor(&nginx.url("/ws/"), &[]).assert_failed("handshake", 1, cause, "write wss://");
    doctor(&nginx.tls_url("/ws/"), &["--ca", &ca]).assert_healthy();

    let verify = format!("ssl_client_certificate {ca}; ssl_verify_client on; {pass}");
    let nginx = Nginx::start_tls(&files, &verify);
    let diagnosed = doctor(&nginx.tls_url("/ws/"), &["--ca", &ca]);
    let cause = "nginx requires a client certificate";
    diagnosed.assert_failed("handshake", 4, cause, "--client-cert FILE");
}
