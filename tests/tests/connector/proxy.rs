//! The Tokio example with an HTTP proxy: the whole program, and the part that is meant to be copied.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use dcrf_tests::authority::Authority;
use dcrf_tests::models::Task;
use dcrf_tests::server::Server;
use dcrf_tokio::Endpoint;
use tokio::io::AsyncReadExt;

use crate::connect_through::{Proxy, connect_through};
use crate::example::Example;
use crate::tunnel::{Stream, tunnel};

const EXAMPLE: &str = env!("CARGO_BIN_EXE_example-proxy");
const CREDENTIALS: &str = "user:p%40ss%3Aw%2Frd%25";
/// `user:p@ss:w/rd%` in Base64.
const AUTHORIZATION: &str = "\r\nProxy-Authorization: Basic dXNlcjpwQHNzOncvcmQl\r\n";
const BAD_CREDENTIALS: &str = "the proxy did not accept user and password (HTTP status 407)";

/// A proxy that accepts one user, and records its requests.
#[derive(Clone)]
struct FakeProxy {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    /// The client's side of each tunnel; `None` after a change of the password.
    tunnels: Arc<Mutex<Option<Vec<TcpStream>>>>,
}

impl FakeProxy {
    fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let tunnels = Arc::new(Mutex::new(Some(Vec::new())));
        let proxy = Self { address, requests: Arc::default(), tunnels };
        let server = proxy.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (proxy, stream) = (server.clone(), stream.unwrap());
                thread::spawn(move || proxy.serve(stream));
            }
        });
        proxy
    }

    fn url(&self, credentials: &str) -> String {
        format!("http://{credentials}@{}", self.address)
    }

    fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        let head = read_head(&mut stream)?;
        let (request, rest) = head.split_once("\r\n").unwrap();
        self.requests.lock().unwrap().push(request.to_owned());
        let target = request.split(' ').nth(1).unwrap().to_owned();
        let is_authorized = format!("\r\n{rest}").contains(AUTHORIZATION);
        match &mut *self.tunnels.lock().unwrap() {
            Some(tunnels) if is_authorized => tunnels.push(stream.try_clone()?),
            _ => return stream.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"),
        }
        let server = TcpStream::connect(target)?;
        stream.write_all(b"HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n")?;
        tunnel(stream, server)
    }

    fn cut(&self) {
        let mut tunnels = self.tunnels.lock().unwrap();
        tunnels.iter_mut().flat_map(|tunnels| tunnels.drain(..)).for_each(|stream| stream.close());
    }

    fn change_password(&self) {
        let tunnels = self.tunnels.lock().unwrap().take();
        tunnels.into_iter().flatten().for_each(|stream| stream.close());
    }

    fn assert_targets(&self, targets: &[&str]) {
        let expected: Vec<_> =
            targets.iter().map(|target| format!("CONNECT {target} HTTP/1.1")).collect();
        assert_eq!(*self.requests.lock().unwrap(), expected);
    }
}

fn read_head(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8(head).unwrap())
}

fn example(proxy: &FakeProxy, credentials: &str, server: &Server) -> Example {
    let url = server.url("/ws/?token=canary");
    Example::start(EXAMPLE, &[&proxy.url(credentials), &url, "tasks"])
}

#[test]
fn example_connects_and_reconnects_through_the_proxy() {
    let server = Server::shared();
    let proxy = FakeProxy::start();
    let mut example = example(&proxy, CREDENTIALS, server);
    example.expect_line("objects");
    proxy.cut();
    example.expect_line("waiting for attempt");
    example.expect_line("objects");
    example.stop();
    assert_eq!(example.wait(), (Some(0), String::new()));
    let address = server.address().to_string();
    proxy.assert_targets(&[&address, &address]);
}

#[test]
fn example_explains_wrong_credentials() {
    let server = Server::shared();
    let example = example(&FakeProxy::start(), "user:wrong", server);
    let expected =
        format!("proxy: could not connect to ws://{}/ws/: {BAD_CREDENTIALS}\n", server.address());
    assert_eq!(example.wait(), (Some(1), expected));
}

#[test]
fn example_does_not_retry_wrong_credentials() {
    let server = Server::shared();
    let proxy = FakeProxy::start();
    let example = example(&proxy, CREDENTIALS, server);
    example.expect_line("objects");
    proxy.change_password();
    assert_eq!(example.wait(), (Some(1), format!("proxy: {BAD_CREDENTIALS}\n")));
    let address = server.address().to_string();
    proxy.assert_targets(&[&address, &address]);
}

#[test]
fn example_explains_an_invalid_proxy_url() {
    let no_port = "proxy: the proxy's port is a number up to 65535\n";
    let table = [
        ("http://proxy:99999", no_port),
        ("http://user@[::1]:http", no_port),
        ("https://proxy:3128", "proxy: the proxy's URL begins with http://\n"),
    ];
    for (proxy, error) in table {
        let example = Example::start(EXAMPLE, &[proxy, "ws://localhost/ws/", "tasks"]);
        assert_eq!(example.wait(), (Some(2), error.to_owned()));
    }
}

#[tokio::test]
async fn tls_is_end_to_end() {
    let authority = Authority::new();
    let server = authority.server().start().unwrap();
    let target = format!("localhost:{}", server.address().port());
    let fake = FakeProxy::start();
    let proxy = Proxy::parse(&fake.url(CREDENTIALS)).unwrap();
    let client = dcrf_tokio::builder(&format!("wss://{target}/ws/"))
        .tls(authority.trust())
        .connector(move |endpoint| connect_through(proxy.clone(), endpoint))
        .connect()
        .await
        .unwrap();
    assert!(!client.list::<Vec<Task>>("tasks").await.unwrap().is_empty());
    fake.assert_targets(&[&target]);
}

/// Starts a proxy that sends one response, and returns the request that it read.
fn respond(response: Vec<u8>) -> (Proxy, JoinHandle<String>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let proxy = Proxy::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    let request = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let head = read_head(&mut stream).unwrap();
        stream.write_all(&response).unwrap();
        head
    });
    (proxy, request)
}

fn endpoint() -> Endpoint {
    Endpoint::parse("ws://[::1]:8000/ws/?token=canary").unwrap()
}

/// A response whose head has this length, followed by two bytes.
fn response_of(length: usize) -> Vec<u8> {
    let (start, end) = ("HTTP/1.1 200 OK\r\nX-Padding: ", "\r\n\r\n");
    format!("{start}{}{end}ab", "x".repeat(length - start.len() - end.len())).into_bytes()
}

#[tokio::test]
async fn bytes_after_the_response_belong_to_the_stream() {
    // The longest head that is accepted has 16 KiB.
    for response in [b"HTTP/1.0 200\r\n\r\nab".to_vec(), response_of(16 * 1024)] {
        let (proxy, request) = respond(response);
        let mut stream = connect_through(proxy, endpoint()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "ab");
        let expected = "CONNECT [::1]:8000 HTTP/1.1\r\nHost: [::1]:8000\r\n\r\n";
        assert_eq!(request.join().unwrap(), expected);
    }
}

#[tokio::test]
async fn invalid_or_failed_responses_are_errors() {
    let table = [
        (response_of(16 * 1024 + 1), io::ErrorKind::Other, "the proxy's answer is too long"),
        (b"SSH-2.0\r\n\r\n".to_vec(), io::ErrorKind::Other, "the proxy does not answer in HTTP"),
        (b"HTTP/1.1 407\r\n\r\n".to_vec(), io::ErrorKind::PermissionDenied, BAD_CREDENTIALS),
        (
            b"HTTP/1.1 502 Bad Gateway\r\n\r\n".to_vec(),
            io::ErrorKind::Other,
            "the proxy refused to connect, with HTTP status 502",
        ),
        (b"HTTP/1.1 200 OK\r\n".to_vec(), io::ErrorKind::UnexpectedEof, "the proxy hung up"),
    ];
    for (response, kind, text) in table {
        let (proxy, request) = respond(response);
        let error = connect_through(proxy, endpoint()).await.unwrap_err();
        assert_eq!((error.kind(), error.to_string()), (kind, text.to_owned()));
        request.join().unwrap();
    }
}
