//! Runs the core in an event loop of [mio](https://docs.rs/mio): one thread, no async, no blocking calls.
//!
//! It follows one object of a server until that is deleted, and reconnects as often as needed:
//!
//! ```sh
//! cargo run -p dcrf-proto --example mio -- ws://localhost:8000/ws/ tasks 1
//! ```
//!
//! The server in `tests/server` has such objects. For your server, pass the name of a stream and a primary key.
//!
//! To embed the core in your program, copy `embedding/transport.rs`, and `run` and `Connecting` from this file.

#![allow(clippy::disallowed_methods, reason = "only the core must not read the clock")]

mod embedding;

use std::error::Error;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, ToSocketAddrs};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use dcrf_proto::{Config, ConnectionError, Seed, Session};
use embedding::{Arguments, Dial, Follow, Transport, connection_error, limits};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Registry, Token};
use tungstenite::WebSocket;
use tungstenite::client::IntoClientRequest;
use tungstenite::handshake::client::ClientHandshake;
use tungstenite::handshake::{HandshakeError, MidHandshake};
use tungstenite::http::Uri;

const SOCKET: Token = Token(0);

/// Follows the object. Returns whether it was deleted.
fn run(arguments: Arguments) -> Result<bool, Box<dyn Error>> {
    let Arguments { url, address, stream, pk } = arguments;
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(16);

    // Name lookup blocks, so this example does it once, at the start. To look up the name for each connection, use a
    // thread, as the game loop does.
    let addresses: Vec<SocketAddr> = address.to_socket_addrs()?.collect();
    let mut addresses = addresses.into_iter().cycle();
    let registry = poll.registry().try_clone()?;
    let mut transport = Transport::new(|| Connecting::start(&registry, addresses.next(), &url));

    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    let mut session = Session::new(Config::default(), Seed::from(seed), Instant::now());
    let mut follow = Follow::start(&mut session, stream, pk, Instant::now())?;

    loop {
        // With a single socket there is no need to look at mio's events.
        let now = Instant::now();
        let more_to_read = transport.receive(&mut session, now);
        session.handle_timeout(now);
        transport.send(&mut session, now);
        let more_to_send = follow.handle_events(&mut session, now, |line| println!("{line}"));

        if session.is_finished() && !more_to_send {
            return Ok(follow.is_deleted);
        }
        let timeout = if more_to_read || more_to_send {
            Some(Duration::ZERO)
        } else {
            session.poll_timeout().map(|at| at.saturating_duration_since(Instant::now()))
        };
        match poll.poll(&mut events, timeout) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => result?,
        }
    }
}

/// A TCP connection that is being established, then the WebSocket handshake over it. `None` when that is done.
struct Connecting(Option<MidHandshake<ClientHandshake<TcpStream>>>);

impl Connecting {
    fn start(
        registry: &Registry,
        address: Option<SocketAddr>,
        url: &Uri,
    ) -> Result<Self, ConnectionError> {
        let address = address.ok_or_else(|| io::Error::from(ErrorKind::AddrNotAvailable))?;
        let mut stream = TcpStream::connect(address)?;
        // Send small messages at once, without waiting for the acknowledgement of earlier ones.
        stream.set_nodelay(true)?;
        registry.register(&mut stream, SOCKET, Interest::READABLE | Interest::WRITABLE)?;
        let request = url.into_client_request().map_err(connection_error)?;
        ClientHandshake::start(stream, request, Some(limits()))
            .map(|handshake| Self(Some(handshake)))
            .map_err(connection_error)
    }
}

impl Dial for Connecting {
    type Stream = TcpStream;

    fn poll(&mut self) -> Option<Result<WebSocket<TcpStream>, ConnectionError>> {
        let handshake = self.0.take()?;
        let stream = handshake.get_ref().get_ref();
        if let Ok(Some(error)) | Err(error) = stream.take_error() {
            return Some(Err(error.into()));
        }
        // A socket with neither a peer nor an error is still connecting.
        if stream.peer_addr().is_err() {
            self.0 = Some(handshake);
            return None;
        }
        match handshake.handshake() {
            Ok((socket, _response)) => Some(Ok(socket)),
            Err(HandshakeError::Interrupted(handshake)) => {
                self.0 = Some(handshake);
                None
            }
            Err(HandshakeError::Failure(error)) => Some(Err(connection_error(error))),
        }
    }
}

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(usage) => {
            eprintln!("mio: {usage}");
            return ExitCode::from(2);
        }
    };
    match run(arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("mio: {error}");
            ExitCode::FAILURE
        }
    }
}
