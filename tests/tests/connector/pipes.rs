//! In-process pipes that a thread or task connects to the server, on each runtime: with and without TLS, and
//! across a reconnect.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::thread;

use dcrf_proto::websocket::Tls;
use dcrf_tests::adapter::{Adapter, Blocking, Smol, TokioCurrentThread, quick_config};
use dcrf_tests::authority::Authority;
use dcrf_tests::client::Client;
use dcrf_tests::models::Task;
use dcrf_tests::observe::{connected, lost};
use dcrf_tests::server::Server;
use tokio::task::AbortHandle;

use crate::LIMIT;
use crate::tunnel::{Stream, tunnel};

/// Opens pipes to the server, and can cut them.
struct Pipes<Handle> {
    server: SocketAddr,
    open: Mutex<Vec<Handle>>,
}

impl<Handle> Pipes<Handle> {
    fn to(server: SocketAddr) -> Arc<Self> {
        Arc::new(Self { server, open: Mutex::default() })
    }

    fn take(&self) -> Vec<Handle> {
        std::mem::take(&mut *self.open.lock().unwrap())
    }
}

impl Pipes<UnixStream> {
    fn open(&self) -> io::Result<UnixStream> {
        let (near, far) = UnixStream::pair()?;
        let server = TcpStream::connect(self.server)?;
        self.open.lock().unwrap().push(far.try_clone()?);
        thread::spawn(move || tunnel(far, server));
        Ok(near)
    }

    fn cut(&self) {
        self.take().iter().for_each(Stream::close);
    }
}

impl Pipes<AbortHandle> {
    async fn open(&self) -> io::Result<tokio::io::DuplexStream> {
        let (near, mut far) = tokio::io::duplex(16 * 1024);
        let mut server = tokio::net::TcpStream::connect(self.server).await?;
        let copy =
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut far, &mut server).await });
        self.open.lock().unwrap().push(copy.abort_handle());
        Ok(near)
    }

    fn cut(&self) {
        self.take().iter().for_each(AbortHandle::abort);
    }
}

/// Asserts that requests succeed before the pipe is cut and after the reconnect.
async fn assert_reconnects(client: Client, cut: impl FnOnce()) {
    let mut events = client.events();
    let tasks: Vec<Task> = client.list("tasks").await.unwrap();
    assert!(!tasks.is_empty());
    cut();
    lost(&mut events).await;
    connected(&mut events).await;
    let tasks: Vec<Task> = client.list("tasks").await.unwrap();
    assert!(!tasks.is_empty());
}

fn on_tokio(server: SocketAddr, url: &str, tls: Tls) {
    let pipes = Pipes::<AbortHandle>::to(server);
    let opener = pipes.clone();
    let builder = dcrf_tokio::builder(url).config(quick_config()).tls(tls).connector(move |_| {
        let pipes = opener.clone();
        async move { pipes.open().await }
    });
    TokioCurrentThread.run(TokioCurrentThread.within(LIMIT, async move {
        let client = Client::Async(builder.connect().await.unwrap());
        assert_reconnects(client, || pipes.cut()).await;
    }));
}

fn on_smol(server: SocketAddr, url: &str, tls: Tls) {
    let pipes = Pipes::<UnixStream>::to(server);
    let opener = pipes.clone();
    let builder = dcrf_smol::builder(url).config(quick_config()).tls(tls).connector(move |_| {
        let pipes = opener.clone();
        async move { smol::Async::new(pipes.open()?) }
    });
    Smol.run(Smol.within(LIMIT, async move {
        let client = Client::Async(builder.connect().await.unwrap());
        assert_reconnects(client, || pipes.cut()).await;
    }));
}

fn blocking(server: SocketAddr, url: &str, tls: Tls) {
    let pipes = Pipes::<UnixStream>::to(server);
    let opener = pipes.clone();
    let builder = dcrf_blocking::builder(url).config(quick_config()).tls(tls);
    let client = Client::Blocking(builder.connector(move |_| opener.open()).connect().unwrap());
    Blocking.run(
        Blocking.within(LIMIT, async move { assert_reconnects(client, || pipes.cut()).await }),
    );
}

#[test]
fn plain() {
    for run in [on_tokio, on_smol, blocking] {
        run(Server::shared().address(), "ws://localhost/ws/", Tls::default());
    }
}

#[test]
fn with_tls() {
    let authority = Authority::new();
    let server = authority.server().start().unwrap();
    for run in [on_tokio, on_smol, blocking] {
        run(server.address(), "wss://localhost/ws/", authority.trust());
    }
}
