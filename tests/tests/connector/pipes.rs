//! Pipes whose other end is in the program and leads to the server, on each runtime: plain and with TLS, and
//! with a reconnect.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::thread;

use dcrf_proto::websocket::Tls;
use dcrf_tests::adapter::{Adapter, Blocking, Smol, TokioCurrentThread, quick};
use dcrf_tests::authority::Authority;
use dcrf_tests::client::Client;
use dcrf_tests::models::Task;
use dcrf_tests::observe::{connected, lost};
use dcrf_tests::server::Server;
use tokio::task::AbortHandle;

use crate::SOON;
use crate::tunnel::{Stream, tunnel};

/// The ends of pipes that lead to the server.
struct Pipes<End> {
    server: SocketAddr,
    far: Mutex<Vec<End>>,
}

impl<End> Pipes<End> {
    fn to(server: SocketAddr) -> Arc<Self> {
        Arc::new(Self { server, far: Mutex::default() })
    }

    fn take(&self) -> Vec<End> {
        std::mem::take(&mut *self.far.lock().unwrap())
    }
}

impl Pipes<UnixStream> {
    fn open(&self) -> io::Result<UnixStream> {
        let (near, far) = UnixStream::pair()?;
        let server = TcpStream::connect(self.server)?;
        self.far.lock().unwrap().push(far.try_clone()?);
        thread::spawn(move || tunnel(far, server));
        Ok(near)
    }

    fn cut(&self) {
        self.take().iter().for_each(Stream::end);
    }
}

impl Pipes<AbortHandle> {
    async fn open(&self) -> io::Result<tokio::io::DuplexStream> {
        let (near, mut far) = tokio::io::duplex(16 * 1024);
        let mut server = tokio::net::TcpStream::connect(self.server).await?;
        let copying =
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut far, &mut server).await });
        self.far.lock().unwrap().push(copying.abort_handle());
        Ok(near)
    }

    fn cut(&self) {
        self.take().iter().for_each(AbortHandle::abort);
    }
}

/// Requests before and after the pipe is cut.
async fn survives(client: Client, cut: impl FnOnce()) {
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
    let opening = pipes.clone();
    let builder = dcrf_tokio::builder(url).config(quick()).tls(tls).connector(move |_| {
        let pipes = opening.clone();
        async move { pipes.open().await }
    });
    TokioCurrentThread.run(TokioCurrentThread.within(SOON, async move {
        let client = Client::Async(builder.connect().await.unwrap());
        survives(client, || pipes.cut()).await;
    }));
}

fn on_smol(server: SocketAddr, url: &str, tls: Tls) {
    let pipes = Pipes::<UnixStream>::to(server);
    let opening = pipes.clone();
    let builder = dcrf_smol::builder(url).config(quick()).tls(tls).connector(move |_| {
        let pipes = opening.clone();
        async move { smol::Async::new(pipes.open()?) }
    });
    Smol.run(Smol.within(SOON, async move {
        let client = Client::Async(builder.connect().await.unwrap());
        survives(client, || pipes.cut()).await;
    }));
}

fn without_async(server: SocketAddr, url: &str, tls: Tls) {
    let pipes = Pipes::<UnixStream>::to(server);
    let opening = pipes.clone();
    let builder = dcrf_blocking::builder(url).config(quick()).tls(tls);
    let client = Client::Blocking(builder.connector(move |_| opening.open()).connect().unwrap());
    Blocking.run(Blocking.within(SOON, async move { survives(client, || pipes.cut()).await }));
}

#[test]
fn plain() {
    for run in [on_tokio, on_smol, without_async] {
        run(Server::shared().address(), "ws://localhost/ws/", Tls::default());
    }
}

#[test]
fn with_tls() {
    let authority = Authority::new();
    let server = authority.server().start().unwrap();
    for run in [on_tokio, on_smol, without_async] {
        run(server.address(), "wss://localhost/ws/", authority.trust());
    }
}
