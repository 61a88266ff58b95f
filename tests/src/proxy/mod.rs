//! A TCP proxy between a client and a server, with faults on demand.
//!
//! It knows nothing of frames; `connection.rs` has the faults of one connection. It runs on its own
//! thread, so it works with any runtime.

mod connection;

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use smol::channel::{Receiver, Sender, bounded};
use smol::{Async, LocalExecutor};

use self::connection::Connection;

/// A proxy in front of a server. Dropping it drops its connections.
///
/// ```no_run
/// use dcrf_tests::proxy::{Fault, Proxy};
/// use dcrf_tests::server::Server;
///
/// let proxy = Proxy::before(Server::shared().address())?;
/// let url = proxy.url("/ws/");
/// // … connect to the url, send …
/// proxy.inject(Fault::Reset);
/// // … the next connection is unaffected.
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    /// The thread ends when this is dropped.
    _running: Sender<Infallible>,
}

/// A fault of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Both sides are reset (RST); unread data is lost.
    Reset,
    /// Both sides are closed in order (FIN), without a WebSocket's closing handshake.
    Finish,
    /// Data in this direction is silently dropped, from now on.
    BlackHole(Way),
    /// The server's side is closed; the client's side stays open without replies.
    HalfOpen,
    /// Everything is delayed, in both directions, until the faults are [cleared](Proxy::clear).
    Delay(Duration),
    /// One byte arrives per interval, from now on.
    Trickle(Way, Duration),
    /// Both sides are closed after this many more bytes in this direction.
    Cut(Way, usize),
}

/// A direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the client to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
    /// Both.
    Both,
}

impl Proxy {
    /// Starts a proxy in front of the server at this address, which may be down.
    ///
    /// # Errors
    ///
    /// If the system has no port or thread left.
    pub fn before(server: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let listener = Async::new(listener)?;
        let (running, ended) = bounded(1);
        let shared = Arc::new(Shared { server, state: Mutex::default() });
        let serving = Arc::clone(&shared);
        thread::Builder::new()
            .name("proxy".into())
            .spawn(move || smol::block_on(serve(&listener, &serving, &ended)))?;
        Ok(Self { address, shared, _running: running })
    }

    /// The WebSocket URL of a path of the server behind this proxy.
    pub fn url(&self, path: &str) -> String {
        format!("ws://{}{path}", self.address)
    }

    /// Injects a fault into the current connections. It affects everything sent after this call.
    pub fn inject(&self, fault: Fault) {
        for connection in self.shared.connections() {
            connection.inject(fault);
        }
    }

    /// Injects a fault into each new connection until the faults are [cleared](Self::clear).
    pub fn inject_into_new(&self, fault: Fault) {
        self.shared.lock().for_new = Some(fault);
    }

    /// Ends delays and the fault of new connections. Other faults of current connections stay.
    pub fn clear(&self) {
        self.shared.lock().for_new = None;
        for connection in self.shared.connections() {
            connection.clear();
        }
    }

    /// The bytes that have arrived at the server and at the client on the latest connection.
    pub fn arrived(&self) -> (usize, usize) {
        let last = self.shared.connections().pop();
        last.map_or((0, 0), |connection| connection.arrived())
    }
}

impl Way {
    fn covers(self, one: Self) -> bool {
        self == Self::Both || self == one
    }
}

#[derive(Debug)]
struct Shared {
    server: SocketAddr,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    for_new: Option<Fault>,
    connections: Vec<Weak<Connection>>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The current connections, oldest first.
    fn connections(&self) -> Vec<Arc<Connection>> {
        let mut state = self.lock();
        state.connections.retain(|connection| connection.strong_count() > 0);
        state.connections.iter().filter_map(Weak::upgrade).collect()
    }

    /// A new connection, struck by what is to inject new ones.
    fn add(&self) -> Arc<Connection> {
        let connection = Arc::new(Connection::default());
        let mut state = self.lock();
        state.connections.push(Arc::downgrade(&connection));
        if let Some(fault) = state.for_new {
            connection.inject(fault);
        }
        connection
    }
}

async fn serve(listener: &Async<TcpListener>, shared: &Shared, ended: &Receiver<Infallible>) {
    let executor = LocalExecutor::new();
    let accepting = async {
        while let Ok((client, _)) = listener.accept().await {
            executor.spawn(carry(shared, client)).detach();
        }
    };
    let end = async {
        // The channel only closes.
        let _ = ended.recv().await;
    };
    executor.run(futures_lite::future::or(accepting, end)).await;
}

/// Carries one connection to its end. If the server is down, the client is closed at once.
async fn carry(shared: &Shared, client: Async<TcpStream>) {
    // Before the server is dialled, so that faults also affect connections that wait for it.
    let connection = shared.add();
    let Ok(server) = Async::<TcpStream>::connect(shared.server).await else { return };
    // Tests count bytes and milliseconds; neither call can fail on an open socket.
    let _ = (client.get_ref().set_nodelay(true), server.get_ref().set_nodelay(true));
    connection.carry(client, server).await;
}
