//! No connection, below TLS.

use std::net::{Ipv4Addr, TcpListener};

use super::{Diagnosed, daphne, doctor};
use crate::command::Dcrf;
use crate::nginx::free_address;

#[test]
fn url_is_corrected() {
    let http = doctor("http://localhost:8000/ws/", &[]);
    http.assert_failed("url", 2, "http", "write ws://");
    doctor("localhost:8000/ws/", &[]).assert_failed("url", 2, "scheme", "begin the URL with ws://");
}

#[test]
fn unknown_host() {
    let diagnosed = doctor("ws://dcrf-doctor.invalid/ws/", &[]);
    diagnosed.assert_cause("dns", "dcrf-doctor.invalid can't be resolved", "");
    diagnosed.printed.assert_code(3);
}

#[test]
fn refused_port() {
    let url = format!("ws://{}/ws/", free_address());
    let cause = "connection refused: nothing listens on this port";
    doctor(&url, &[]).assert_failed("tcp", 3, cause, "start the server");
}

#[test]
fn port_that_never_answers() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let silent = |scheme: &str| {
        let url = format!("{scheme}://{address}/ws/");
        let dcrf = Dcrf::at("ws://unused.invalid/");
        Diagnosed::of(dcrf.run(&["doctor", &url, "--connect-timeout", "300ms"]))
    };
    let cause = "it accepts connections, and then hangs";
    silent("ws").assert_failed("handshake", 5, cause, "check the port");
    silent("wss").assert_failed("tls", 3, "does not answer with TLS", "check the port");
}

#[test]
fn proxy_that_is_down() {
    let proxy = format!("http://{}", free_address());
    let diagnosed = doctor(&daphne("/ws/"), &["--proxy", &proxy]);
    diagnosed.assert_failed("proxy", 3, "the proxy can't be reached", "of --proxy");
    let socket = doctor(&daphne("/ws/"), &["--unix-socket", "/nonexistent/daphne.sock"]);
    socket.assert_failed("socket", 3, "/nonexistent/daphne.sock", "daphne -u");
}
