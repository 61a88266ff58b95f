//! Runs the core in the loop of a game: each of 60 frames a second polls the network once and never waits for it. A
//! separate thread looks up names and connects.
//!
//! It follows one object of a server until that is deleted, and reconnects as often as needed:
//!
//! ```sh
//! cargo run -p dcrf-proto --example game_loop -- ws://localhost:8000/ws/ tasks 1
//! ```
//!
//! The server in `tests/server` has such objects. For your server, pass the name of a stream and a primary key.
//!
//! To embed the core in your game, copy `embedding/transport.rs`, and `run`, `start_dial` and `connect` from this file.

#![allow(clippy::disallowed_methods, reason = "only the core must not read the clock")]

mod embedding;

use std::error::Error;
use std::io::{self, ErrorKind};
use std::net::{TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use dcrf_proto::{
    Collect, CollectionKey, Config, ConnectionError, Json, Rejected, Seed, Session, Subscribe,
};
use embedding::{Arguments, Dial, Follow, Transport, connection_error, limits};
use tungstenite::handshake::HandshakeError;
use tungstenite::http::Uri;
use tungstenite::{WebSocket, client::client_with_config};

const FRAMES_PER_SECOND: u32 = 60;

/// Plays until the session is closed. Returns whether the object was deleted.
fn run(arguments: Arguments) -> Result<bool, Box<dyn Error>> {
    let Arguments { url, address, stream, pk } = arguments;
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    let mut session = Session::new(Config::default(), Seed::from(seed), Instant::now());
    let timeout = session.config().dial_timeout;
    let mut transport = Transport::new(|| start_dial(address.clone(), url.clone(), timeout));
    let mut screen = Screen::new(&mut session, &stream)?;
    let mut follow = Follow::start(&mut session, stream, pk, Instant::now())?;

    let mut pace = Pace::new();
    for frame in 1_u64.. {
        let now = pace.start_frame();
        transport.receive(&mut session, now);
        session.handle_timeout(now);
        let print = |line: std::fmt::Arguments<'_>| println!("frame {frame}: {line}");
        let has_events = follow.handle_events(&mut session, now, print);
        // A game would update its world here. Its requests are sent with this frame.
        transport.send(&mut session, now);
        if session.is_finished() && !has_events {
            break;
        }
        screen.draw(frame, &follow, &session, now.elapsed());
        pace.end_frame();
    }
    Ok(follow.is_deleted)
}

type Connection = Result<WebSocket<TcpStream>, ConnectionError>;

/// Connects on a new thread. If the session gives up the attempt, the thread still ends soon: each of its steps has a
/// timeout.
fn start_dial(
    address: (String, u16),
    url: Uri,
    timeout: Duration,
) -> Result<Receiver<Connection>, ConnectionError> {
    let (sender, receiver) = mpsc::channel();
    thread::Builder::new().name("dial".into()).spawn(move || {
        // This fails if the attempt was given up.
        let _ = sender.send(connect(&address, url, timeout));
    })?;
    Ok(receiver)
}

impl Dial for Receiver<Connection> {
    type Stream = TcpStream;

    fn poll(&mut self) -> Option<Connection> {
        match self.try_recv() {
            Ok(connection) => Some(connection),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Err(ConnectionError::Dropped)),
        }
    }
}

/// Blocks until the WebSocket is open. The result does not block.
fn connect(address: &(String, u16), url: Uri, timeout: Duration) -> Connection {
    let mut last_error = io::Error::from(ErrorKind::AddrNotAvailable);
    let stream = address.to_socket_addrs()?.find_map(|address| {
        TcpStream::connect_timeout(&address, timeout).map_err(|error| last_error = error).ok()
    });
    let stream = stream.ok_or(last_error)?;
    // Send small messages at once, without waiting for the acknowledgement of earlier ones.
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    match client_with_config(url, stream, Some(limits())) {
        Ok((socket, _response)) => {
            socket.get_ref().set_nonblocking(true)?;
            Ok(socket)
        }
        Err(HandshakeError::Interrupted(_)) => Err(ConnectionError::DialTimedOut(timeout)),
        Err(HandshakeError::Failure(error)) => Err(connection_error(error)),
    }
}

/// In place of a screen, it prints a line per second: the object, and how many objects the stream has.
struct Screen {
    all: CollectionKey,
    frames: u32,
    slowest: Duration,
}

impl Screen {
    /// A live collection of all objects. It can be read in each frame.
    fn new(session: &mut Session, stream: &str) -> Result<Self, Rejected<Collect>> {
        let collect = Collect::new(stream).feed(Subscribe::new(stream, "subscribe_all"));
        let all = session.collect(collect, Instant::now())?;
        Ok(Self { all, frames: 0, slowest: Duration::ZERO })
    }

    fn draw(&mut self, frame: u64, follow: &Follow, session: &Session, elapsed: Duration) {
        self.frames += 1;
        self.slowest = self.slowest.max(elapsed);
        if self.frames == FRAMES_PER_SECOND {
            let object = follow.object.as_ref().map_or("nothing", Json::as_str);
            let count = session.collection_rows(self.all).count();
            let status = session.collection_status(self.all).map(ToString::to_string);
            let status = status.unwrap_or_default();
            println!(
                "frame {frame}: shows {object}; {count} objects, {status}; the slowest frame took {:.1?}",
                self.slowest
            );
            (self.frames, self.slowest) = (0, Duration::ZERO);
        }
    }
}

/// In place of the display's refresh, it sleeps until the next frame.
struct Pace {
    next: Instant,
}

impl Pace {
    fn new() -> Self {
        Self { next: Instant::now() }
    }

    fn start_frame(&mut self) -> Instant {
        let now = Instant::now();
        self.next = now.max(self.next) + Duration::from_secs(1) / FRAMES_PER_SECOND;
        now
    }

    fn end_frame(&self) {
        thread::sleep(self.next.saturating_duration_since(Instant::now()));
    }
}

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(usage) => {
            eprintln!("game_loop: {usage}");
            return ExitCode::from(2);
        }
    };
    match run(arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("game_loop: {error}");
            ExitCode::FAILURE
        }
    }
}
