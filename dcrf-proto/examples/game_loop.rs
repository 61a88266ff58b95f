//! The core in the loop of a game: 60 frames a second, one look at the network in each, and none that
//! waits for it. Names are looked up and connections made on a thread of their own.
//!
//! It follows one object of a server until that is deleted, through as many connections as it takes:
//!
//! ```sh
//! cargo run -p dcrf-proto --features tungstenite --example game_loop -- ws://localhost:8000/ws/ tasks 1
//! ```
//!
//! The server in `tests/server` has such objects, and so has one of your own: name its stream and a key.
//!
//! To embed the core in a game of yours, copy `embedding/transport.rs`, and the loop and the dial below.

#![allow(clippy::disallowed_methods, reason = "it is the core that reads no clock")]

mod embedding;

use std::error::Error;
use std::io::{self, ErrorKind};
use std::net::{TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use dcrf_proto::{Config, ConnectionError, Json, Seed, Session};
use embedding::{Arguments, Dial, Follow, Transport, limits};
use tungstenite::handshake::HandshakeError;
use tungstenite::http::Uri;
use tungstenite::{WebSocket, client::client_with_config};

const FRAMES_PER_SECOND: u32 = 60;

/// Plays until the object is deleted. Says whether it was.
fn run(arguments: Arguments) -> Result<bool, Box<dyn Error>> {
    let Arguments { url, address, stream, pk } = arguments;
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    let mut session = Session::new(Config::default(), Seed::from(seed), Instant::now());
    let limit = session.config().dial_timeout;
    let mut transport = Transport::new(|| begin(address.clone(), url.clone(), limit));
    let mut follow = Follow::begin(&mut session, stream, pk, Instant::now())?;

    let mut screen = Screen::default();
    let mut pace = Pace::new();
    for frame in 1_u64.. {
        let now = pace.frame_begins();
        transport.receive(&mut session, now);
        session.handle_timeout(now);
        let told = follow.tell(&mut session, now, |line| println!("frame {frame}: {line}"));
        // The game would play its frame here. What it asks of the session leaves with this frame.
        transport.send(&mut session, now);
        if session.is_finished() && !told {
            break;
        }
        screen.show(frame, &follow, now.elapsed());
        pace.frame_ends();
    }
    Ok(follow.is_deleted)
}

/// What the thread that dials hands over, once.
type Dialled = Result<WebSocket<TcpStream>, ConnectionError>;

/// Begins to connect. A thread whose dial is given up ends by itself, as each of its steps has a limit.
fn begin(
    address: (String, u16),
    url: Uri,
    limit: Duration,
) -> Result<Receiver<Dialled>, ConnectionError> {
    let (sender, receiver) = mpsc::channel();
    thread::Builder::new().name("dial".into()).spawn(move || {
        // Nobody takes it where the session has given up.
        let _ = sender.send(connect(&address, url, limit));
    })?;
    Ok(receiver)
}

impl Dial for Receiver<Dialled> {
    type Stream = TcpStream;

    fn poll(&mut self) -> Option<Dialled> {
        match self.try_recv() {
            Ok(dialled) => Some(dialled),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Err(ConnectionError::Dropped)),
        }
    }
}

/// Blocks until there is a WebSocket that does not.
fn connect(address: &(String, u16), url: Uri, limit: Duration) -> Dialled {
    let mut failed = io::Error::from(ErrorKind::AddrNotAvailable);
    let stream = address.to_socket_addrs()?.find_map(|address| {
        TcpStream::connect_timeout(&address, limit).map_err(|error| failed = error).ok()
    });
    let stream = stream.ok_or(failed)?;
    // Without it a second small message waits for the acknowledgement of the first.
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    match client_with_config(url, stream, Some(limits())) {
        Ok((socket, _response)) => {
            socket.get_ref().set_nonblocking(true)?;
            Ok(socket)
        }
        Err(HandshakeError::Interrupted(_)) => Err(ConnectionError::DialTimedOut(limit)),
        Err(HandshakeError::Failure(error)) => Err(error.into()),
    }
}

/// Stands for the screen: a line per second.
#[derive(Default)]
struct Screen {
    frames: u32,
    slowest: Duration,
}

impl Screen {
    fn show(&mut self, frame: u64, follow: &Follow, took: Duration) {
        self.frames += 1;
        self.slowest = self.slowest.max(took);
        if self.frames == FRAMES_PER_SECOND {
            let object = follow.object.as_ref().map_or("nothing", Json::as_str);
            println!("frame {frame}: shows {object}; the slowest frame took {:.1?}", self.slowest);
            *self = Self::default();
        }
    }
}

/// Stands for the display's refresh.
struct Pace {
    next: Instant,
}

impl Pace {
    fn new() -> Self {
        Self { next: Instant::now() }
    }

    fn frame_begins(&mut self) -> Instant {
        let now = Instant::now();
        self.next = now.max(self.next) + Duration::from_secs(1) / FRAMES_PER_SECOND;
        now
    }

    fn frame_ends(&self) {
        thread::sleep(self.next.saturating_duration_since(Instant::now()));
    }
}

fn main() -> ExitCode {
    let arguments = match Arguments::read(std::env::args().skip(1)) {
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
