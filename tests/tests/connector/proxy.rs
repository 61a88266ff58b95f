//! An HTTP proxy in front of the server: the example as a person runs it, and the part of it that is copied.

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
const USER: &str = "user:p%40ss%3Aw%2Frd%25";
/// `user:p@ss:w/rd%` in Base64.
const AUTHORIZATION: &str = "\r\nProxy-Authorization: Basic dXNlcjpwQHNzOncvcmQl\r\n";
const REFUSAL: &str = "the proxy did not accept user and password (HTTP status 407)";

/// A proxy that knows one user, and what it was asked for.
#[derive(Clone)]
struct FakeProxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    /// As long as somebody has not changed the password.
    tunnels: Arc<Mutex<Option<Vec<TcpStream>>>>,
}

impl FakeProxy {
    fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let tunnels = Arc::new(Mutex::new(Some(Vec::new())));
        let proxy = Self { address, asked: Arc::default(), tunnels };
        let serving = proxy.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (proxy, stream) = (serving.clone(), stream.unwrap());
                thread::spawn(move || proxy.serve(stream));
            }
        });
        proxy
    }

    fn url(&self, user: &str) -> String {
        format!("http://{user}@{}", self.address)
    }

    fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        let head = read_head(&mut stream)?;
        let (request, rest) = head.split_once("\r\n").unwrap();
        self.asked.lock().unwrap().push(request.to_owned());
        let target = request.split(' ').nth(1).unwrap().to_owned();
        let is_known = format!("\r\n{rest}").contains(AUTHORIZATION);
        match &mut *self.tunnels.lock().unwrap() {
            Some(tunnels) if is_known => tunnels.push(stream.try_clone()?),
            _ => return stream.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"),
        }
        let server = TcpStream::connect(target)?;
        stream.write_all(b"HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n")?;
        tunnel(stream, server)
    }

    fn cut(&self) {
        let mut tunnels = self.tunnels.lock().unwrap();
        tunnels.iter_mut().flat_map(|tunnels| tunnels.drain(..)).for_each(|stream| stream.end());
    }

    fn change_password(&self) {
        let tunnels = self.tunnels.lock().unwrap().take();
        tunnels.into_iter().flatten().for_each(|stream| stream.end());
    }

    fn assert_asked(&self, targets: &[&str]) {
        let wanted: Vec<_> =
            targets.iter().map(|target| format!("CONNECT {target} HTTP/1.1")).collect();
        assert_eq!(*self.asked.lock().unwrap(), wanted);
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

fn example(proxy: &FakeProxy, user: &str, server: &Server) -> Example {
    let url = server.url("/ws/?token=canary");
    Example::start(EXAMPLE, &[&proxy.url(user), &url, "tasks"])
}

#[test]
fn the_example_goes_through_a_proxy_and_so_do_its_reconnects() {
    let server = Server::shared();
    let proxy = FakeProxy::start();
    let mut example = example(&proxy, USER, server);
    example.prints("objects");
    proxy.cut();
    example.prints("waiting for attempt");
    example.prints("objects");
    example.stop();
    assert_eq!(example.ends(), (Some(0), String::new()));
    let address = server.address().to_string();
    proxy.assert_asked(&[&address, &address]);
}

#[test]
fn the_example_says_in_a_sentence_what_the_proxy_refuses() {
    let server = Server::shared();
    let example = example(&FakeProxy::start(), "user:wrong", server);
    let wanted = format!("proxy: could not connect to ws://{}/ws/: {REFUSAL}\n", server.address());
    assert_eq!(example.ends(), (Some(1), wanted));
}

#[test]
fn the_example_does_not_try_again_with_a_password_that_is_refused() {
    let server = Server::shared();
    let proxy = FakeProxy::start();
    let example = example(&proxy, USER, server);
    example.prints("objects");
    proxy.change_password();
    assert_eq!(example.ends(), (Some(1), format!("proxy: {REFUSAL}\n")));
    let address = server.address().to_string();
    proxy.assert_asked(&[&address, &address]);
}

#[test]
fn the_example_refuses_a_proxy_that_is_none() {
    let no_port = "proxy: the proxy's port is a number up to 65535\n";
    let table = [
        ("http://proxy:99999", no_port),
        ("http://user@[::1]:http", no_port),
        ("https://proxy:3128", "proxy: the proxy's URL begins with http://\n"),
    ];
    for (proxy, error) in table {
        let example = Example::start(EXAMPLE, &[proxy, "ws://localhost/ws/", "tasks"]);
        assert_eq!(example.ends(), (Some(2), error.to_owned()));
    }
}

#[tokio::test]
async fn tls_is_between_the_server_and_the_client() {
    let authority = Authority::new();
    let server = authority.server().start().unwrap();
    let target = format!("localhost:{}", server.address().port());
    let fake = FakeProxy::start();
    let proxy = Proxy::parse(&fake.url(USER)).unwrap();
    let client = dcrf_tokio::builder(&format!("wss://{target}/ws/"))
        .tls(authority.trust())
        .connector(move |endpoint| connect_through(proxy.clone(), endpoint))
        .connect()
        .await
        .unwrap();
    assert!(!client.list::<Vec<Task>>("tasks").await.unwrap().is_empty());
    fake.assert_asked(&[&target]);
}

/// A proxy that answers one request, in one piece, and says what it was.
fn answering(answer: Vec<u8>) -> (Proxy, JoinHandle<String>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let proxy = Proxy::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    let serving = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let head = read_head(&mut stream).unwrap();
        stream.write_all(&answer).unwrap();
        head
    });
    (proxy, serving)
}

fn endpoint() -> Endpoint {
    Endpoint::parse("ws://[::1]:8000/ws/?token=canary").unwrap()
}

/// An answer of this length, and two bytes behind it.
fn answer_of(length: usize) -> Vec<u8> {
    let (begin, end) = ("HTTP/1.1 200 OK\r\nX-Padding: ", "\r\n\r\n");
    format!("{begin}{}{end}ab", "x".repeat(length - begin.len() - end.len())).into_bytes()
}

#[tokio::test]
async fn what_follows_the_answer_is_the_servers() {
    // 16 KiB are what it takes.
    for answer in [b"HTTP/1.0 200\r\n\r\nab".to_vec(), answer_of(16 * 1024)] {
        let (proxy, serving) = answering(answer);
        let mut stream = connect_through(proxy, endpoint()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "ab");
        // An address of IPv6 stands in brackets.
        let asked = "CONNECT [::1]:8000 HTTP/1.1\r\nHost: [::1]:8000\r\n\r\n";
        assert_eq!(serving.join().unwrap(), asked);
    }
}

#[tokio::test]
async fn an_answer_that_is_none_is_an_error() {
    let table = [
        (answer_of(16 * 1024 + 1), io::ErrorKind::Other, "the proxy's answer is too long"),
        (b"SSH-2.0\r\n\r\n".to_vec(), io::ErrorKind::Other, "the proxy does not answer in HTTP"),
        (b"HTTP/1.1 407\r\n\r\n".to_vec(), io::ErrorKind::PermissionDenied, REFUSAL),
        (
            b"HTTP/1.1 502 Bad Gateway\r\n\r\n".to_vec(),
            io::ErrorKind::Other,
            "the proxy refused to connect, with HTTP status 502",
        ),
        (b"HTTP/1.1 200 OK\r\n".to_vec(), io::ErrorKind::UnexpectedEof, "the proxy hung up"),
    ];
    for (answer, kind, text) in table {
        let (proxy, serving) = answering(answer);
        let error = connect_through(proxy, endpoint()).await.unwrap_err();
        assert_eq!((error.kind(), error.to_string()), (kind, text.to_owned()));
        serving.join().unwrap();
    }
}
