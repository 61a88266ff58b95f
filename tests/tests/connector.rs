//! Byte streams that a program opens itself, against the real server: an HTTP proxy, Unix sockets, and sockets
//! that two ends in one program share.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use dcrf_tests::models::Task;
use dcrf_tests::server::Server;
use dcrf_tokio::Compat;

const SOON: Duration = Duration::from_secs(15);

/// Passes bytes on in both directions until one side ends.
fn tunnel<A: Stream, B: Stream>(a: A, b: B) {
    let (from_a, to_b) = (a.second(), b.second());
    let back = thread::spawn(move || pass(b, a));
    pass(from_a, to_b);
    back.join().unwrap();
}

fn pass<A: Stream, B: Stream>(mut from: A, mut to: B) {
    let _ = io::copy(&mut from, &mut to);
    to.end();
}

/// A socket that two threads use.
trait Stream: Read + Write + Send + 'static {
    fn second(&self) -> Self;
    fn end(&self);
}

impl Stream for TcpStream {
    fn second(&self) -> Self {
        self.try_clone().unwrap()
    }

    fn end(&self) {
        let _ = self.shutdown(Shutdown::Both);
    }
}

impl Stream for UnixStream {
    fn second(&self) -> Self {
        self.try_clone().unwrap()
    }

    fn end(&self) {
        let _ = self.shutdown(Shutdown::Both);
    }
}

/// A proxy that knows one user, and what it was asked for.
#[derive(Clone)]
struct Proxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    tunnels: Arc<Mutex<Vec<TcpStream>>>,
}

impl Proxy {
    fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let proxy = Self { address, asked: Arc::default(), tunnels: Arc::default() };
        let serving = proxy.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (proxy, stream) = (serving.clone(), stream.unwrap());
                thread::spawn(move || proxy.serve(stream));
            }
        });
        proxy
    }

    fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let target = head.split(' ').nth(1).unwrap().to_owned();
        self.asked.lock().unwrap().push(head.lines().next().unwrap().to_owned());
        // "user:secret"
        if !head.contains("\r\nProxy-Authorization: Basic dXNlcjpzZWNyZXQ=\r\n") {
            return stream.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
        }
        let server = TcpStream::connect(target)?;
        stream.write_all(b"HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n")?;
        self.tunnels.lock().unwrap().push(stream.try_clone()?);
        tunnel(stream, server);
        Ok(())
    }

    fn cut(&self) {
        for stream in self.tunnels.lock().unwrap().drain(..) {
            stream.end();
        }
    }
}

/// The example as a process, and the lines it writes.
struct Example {
    process: Child,
    /// It runs until this is dropped.
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Example {
    fn start(proxy: &str, server: &Server) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_example-proxy"))
            .args([proxy, &server.url("/ws/?token=canary"), "tasks"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || output.lines().try_for_each(|line| sender.send(line.unwrap())));
        Self { input: process.stdin.take(), process, lines }
    }

    fn sees(&self, wanted: &str) {
        loop {
            let line = self.lines.recv_timeout(SOON).unwrap_or_else(|_| panic!("no {wanted:?}"));
            if line.contains(wanted) {
                return;
            }
        }
    }

    /// Its status and what it wrote to standard error, once its input ends.
    fn ends(mut self) -> (Option<i32>, String) {
        drop(self.input.take());
        self.ends_by_itself()
    }

    fn ends_by_itself(mut self) -> (Option<i32>, String) {
        let mut errors = String::new();
        self.process.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        (self.process.wait().unwrap().code(), errors)
    }
}

#[test]
fn the_example_goes_through_a_proxy_and_so_do_its_reconnects() {
    let server = Server::shared();
    let proxy = Proxy::start();
    let example = Example::start(&format!("http://user:secret@{}", proxy.address), server);
    example.sees("objects");
    proxy.cut();
    example.sees("waiting for attempt");
    example.sees("objects");
    assert_eq!(example.ends(), (Some(0), String::new()));
    let connect = format!("CONNECT {} HTTP/1.1", server.address());
    assert_eq!(*proxy.asked.lock().unwrap(), [connect.clone(), connect]);
}

#[test]
fn the_example_says_in_a_sentence_what_the_proxy_refuses() {
    let server = Server::shared();
    let proxy = Proxy::start();
    let example = Example::start(&format!("http://user:wrong@{}", proxy.address), server);
    let (status, errors) = example.ends_by_itself();
    assert_eq!(status, Some(1));
    let wanted = format!(
        "proxy: could not connect to ws://{}/ws/: the proxy refused to connect, with HTTP status 407\n",
        server.address()
    );
    assert_eq!(errors, wanted);
}

/// A Unix socket in front of the server, as a process manager's would be.
struct UnixDoor {
    path: PathBuf,
}

impl UnixDoor {
    fn open(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("dcrf-{name}-{}.sock", std::process::id()));
        let listener = UnixListener::bind(&path).unwrap();
        // Started here, and not within the time of a dial.
        let address = Server::shared().address();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let server = TcpStream::connect(address).unwrap();
                thread::spawn(move || tunnel(stream.unwrap(), server));
            }
        });
        Self { path }
    }
}

impl Drop for UnixDoor {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

#[tokio::test]
async fn a_unix_socket_on_tokio() {
    let door = UnixDoor::open("tokio");
    let path = door.path.clone();
    let client = dcrf_tokio::builder("ws://localhost/ws/")
        .connector(move |_| {
            let path = path.clone();
            async { Ok(Compat::new(tokio::net::UnixStream::connect(path).await?)) }
        })
        .connect()
        .await
        .unwrap();
    assert!(!client.list::<Vec<Task>>("tasks").await.unwrap().is_empty());
}

#[test]
fn a_unix_socket_on_smol() {
    let door = UnixDoor::open("smol");
    let path = door.path.clone();
    smol::block_on(async {
        let client = dcrf_smol::builder("ws://localhost/ws/")
            .connector(move |_| {
                let path = path.clone();
                async { smol::Async::<UnixStream>::connect(path).await }
            })
            .connect()
            .await
            .unwrap();
        assert!(!client.list::<Vec<Task>>("tasks").await.unwrap().is_empty());
    });
}

#[test]
fn a_unix_socket_without_async() {
    let door = UnixDoor::open("blocking");
    let path = door.path.clone();
    let client = dcrf_blocking::builder("ws://localhost/ws/")
        .connector(move |_| UnixStream::connect(&path))
        .connect()
        .unwrap();
    assert!(!client.list::<Vec<Task>>("tasks").unwrap().is_empty());
}

/// One end of a pipe whose other end leads to the server.
fn pipe(server: SocketAddr) -> io::Result<UnixStream> {
    let (near, far) = UnixStream::pair()?;
    let server = TcpStream::connect(server)?;
    thread::spawn(move || tunnel(far, server));
    Ok(near)
}

#[tokio::test]
async fn a_pipe_in_memory_on_tokio() {
    let address = Server::shared().address();
    let client = dcrf_tokio::builder("ws://localhost/ws/")
        .connector(move |_| async move {
            let (near, mut far) = tokio::io::duplex(16 * 1024);
            let mut server = tokio::net::TcpStream::connect(address).await?;
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut far, &mut server).await });
            Ok(Compat::new(near))
        })
        .connect()
        .await
        .unwrap();
    assert!(!client.list::<Vec<Task>>("tasks").await.unwrap().is_empty());
}

#[test]
fn a_pipe_in_memory_on_smol() {
    let address = Server::shared().address();
    smol::block_on(async {
        let client = dcrf_smol::builder("ws://localhost/ws/")
            .connector(move |_| async move { smol::Async::new(pipe(address)?) })
            .connect()
            .await
            .unwrap();
        assert!(!client.list::<Vec<Task>>("tasks").await.unwrap().is_empty());
    });
}
