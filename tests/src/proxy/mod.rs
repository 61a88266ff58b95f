//! A network that fails when it is told to: a TCP proxy between a client and a server.
//!
//! It owns the failures and knows nothing of frames. What happens on one connection stands in
//! `connection.rs`. It runs on a thread of its own, so that it serves tests on any runtime.

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

/// A proxy in front of a server, on a port of its own. Dropping it drops its connections.
///
/// ```no_run
/// use dcrf_tests::proxy::{Fault, Proxy};
/// use dcrf_tests::server::Server;
///
/// let proxy = Proxy::before(Server::shared().address())?;
/// let url = proxy.url("/ws/");
/// // … connect to the url, send …
/// proxy.strike(Fault::Reset);
/// // … the next connection passes unharmed.
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    /// The thread ends when this is dropped.
    _running: Sender<Infallible>,
}

/// What goes wrong with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Both sides are reset (RST): what they had not read yet is gone.
    Reset,
    /// Both sides are closed in order (FIN), without a WebSocket's closing handshake.
    Finish,
    /// What is sent this way arrives nowhere, and nobody is told. It stays so.
    BlackHole(Way),
    /// The server's side is closed; the client's side stays open, and is answered no more.
    HalfOpen,
    /// Everything arrives later by this much, both ways, until it is [calm](Proxy::calm).
    Delay(Duration),
    /// One byte arrives each time this much has passed. It stays so.
    Trickle(Way, Duration),
    /// So many more bytes arrive this way, and then both sides are closed.
    Cut(Way, usize),
}

/// Which way something goes.
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
    /// When the system has no port or no thread for it.
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

    /// The WebSocket address of a path of the server behind this proxy.
    pub fn url(&self, path: &str) -> String {
        format!("ws://{}{path}", self.address)
    }

    /// Strikes the connections that there are. Of what is sent after this call nothing escapes the fault.
    pub fn strike(&self, fault: Fault) {
        for connection in self.shared.connections() {
            connection.strike(fault);
        }
    }

    /// Strikes each new connection as it is made, until it is [calm](Self::calm).
    pub fn strike_new(&self, fault: Fault) {
        self.shared.lock().for_new = Some(fault);
    }

    /// New connections are unharmed, and delays end. What else has befallen the connections that there are
    /// stays with them.
    pub fn calm(&self) {
        self.shared.lock().for_new = None;
        for connection in self.shared.connections() {
            connection.calm();
        }
    }

    /// How many bytes have arrived at the server and at the client, on the connection that was made last.
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

    /// The connections that there are, the oldest first.
    fn connections(&self) -> Vec<Arc<Connection>> {
        let mut state = self.lock();
        state.connections.retain(|connection| connection.strong_count() > 0);
        state.connections.iter().filter_map(Weak::upgrade).collect()
    }

    /// A new connection, struck by what is to strike new ones.
    fn add(&self) -> Arc<Connection> {
        let connection = Arc::new(Connection::default());
        let mut state = self.lock();
        state.connections.push(Arc::downgrade(&connection));
        if let Some(fault) = state.for_new {
            connection.strike(fault);
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
        // The channel carries nothing; it ends.
        let _ = ended.recv().await;
    };
    executor.run(futures_lite::future::or(accepting, end)).await;
}

/// Carries one connection to its end. A client whose server is not there is closed at once.
async fn carry(shared: &Shared, client: Async<TcpStream>) {
    // Before the server is asked, so that a fault strikes also what waits for a server that does not answer.
    let connection = shared.add();
    let Ok(server) = Async::<TcpStream>::connect(shared.server).await else { return };
    // The tests count bytes and milliseconds; neither call can fail on a socket that is open.
    let _ = (client.get_ref().set_nodelay(true), server.get_ref().set_nodelay(true));
    connection.carry(client, server).await;
}
