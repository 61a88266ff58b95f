//! The core in an event loop of [mio](https://docs.rs/mio): one thread, no async, nothing that blocks.
//!
//! It follows one object of a server until that is deleted, through as many connections as it takes:
//!
//! ```sh
//! cargo run -p dcrf-proto --features tungstenite --example mio -- ws://localhost:8000/ws/ tasks 1
//! ```
//!
//! The server in `tests/server` has such objects, and so has one of your own: name its stream and a key.
//!
//! To embed the core in a program of yours, copy `embedding/transport.rs`, and the loop and the dial below.

#![allow(clippy::disallowed_methods, reason = "it is the core that reads no clock")]

mod embedding;

use std::error::Error;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, ToSocketAddrs};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use dcrf_proto::{Config, ConnectionError, Seed, Session};
use embedding::{Arguments, Dial, Follow, Transport, limits};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Registry, Token};
use tungstenite::WebSocket;
use tungstenite::client::IntoClientRequest;
use tungstenite::handshake::client::ClientHandshake;
use tungstenite::handshake::{HandshakeError, MidHandshake};
use tungstenite::http::Uri;

const SOCKET: Token = Token(0);

/// Follows the object. Says whether it was deleted.
fn run(arguments: Arguments) -> Result<bool, Box<dyn Error>> {
    let Arguments { url, address, stream, pk } = arguments;
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(16);

    // The system's name lookup blocks, so it is made here, once. A program that is to follow a name to
    // another address makes it on a thread, as the game loop does.
    let addresses: Vec<SocketAddr> = address.to_socket_addrs()?.collect();
    let mut addresses = addresses.into_iter().cycle();
    let registry = poll.registry().try_clone()?;
    let mut transport = Transport::new(|| Connecting::begin(&registry, addresses.next(), &url));

    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    let mut session = Session::new(Config::default(), Seed::from(seed), Instant::now());
    let mut follow = Follow::begin(&mut session, stream, pk, Instant::now())?;

    loop {
        // With one socket, trying all is as cheap as looking at what has become ready.
        let now = Instant::now();
        let more = transport.receive(&mut session, now);
        session.handle_timeout(now);
        transport.send(&mut session, now);
        let told = follow.tell(&mut session, now, |line| println!("{line}"));

        if session.is_finished() && !told {
            return Ok(follow.is_deleted);
        }
        // What was told may have led to something to send.
        let wait = if more || told {
            Some(Duration::ZERO)
        } else {
            session.poll_timeout().map(|at| at.saturating_duration_since(Instant::now()))
        };
        match poll.poll(&mut events, wait) {
            // A signal.
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => result?,
        }
    }
}

/// A TCP connection in the making, and the handshake that begins when it is made. Taken when it is over.
struct Connecting(Option<MidHandshake<ClientHandshake<TcpStream>>>);

impl Connecting {
    fn begin(
        registry: &Registry,
        address: Option<SocketAddr>,
        url: &Uri,
    ) -> Result<Self, ConnectionError> {
        let address = address.ok_or_else(|| io::Error::from(ErrorKind::AddrNotAvailable))?;
        let mut stream = TcpStream::connect(address)?;
        // Without it a second small message waits for the acknowledgement of the first.
        stream.set_nodelay(true)?;
        registry.register(&mut stream, SOCKET, Interest::READABLE | Interest::WRITABLE)?;
        let request = url.into_client_request().map_err(ConnectionError::from)?;
        ClientHandshake::start(stream, request, Some(limits()))
            .map(|handshake| Self(Some(handshake)))
            .map_err(ConnectionError::from)
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
        // A socket without a peer, and without an error, is still connecting.
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
            Err(HandshakeError::Failure(error)) => Some(Err(error.into())),
        }
    }
}

fn main() -> ExitCode {
    let arguments = match Arguments::read(std::env::args().skip(1)) {
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
