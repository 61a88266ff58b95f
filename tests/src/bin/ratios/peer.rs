//! The same work through this library and through dcrf-client on Node, against the same server: what a user of the one
//! has over a user of the other. `tests/peer/bench.mjs` is the other side, one process for each line.

use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::core::{Live, dispatched};
use crate::echo::Echo;
use crate::frames::event;
use crate::line::{Goal, Line};
use crate::memory;
use crate::rounds::interleaved;
use crate::sockets::Single;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peer");
const SUBSCRIPTIONS: usize = 1_000;
const IN_FLIGHT: usize = 64;
const CLIENTS: usize = 5_000;

/// Fails, and says what to do, where the other side cannot run.
pub(crate) fn installed() -> io::Result<()> {
    let missing = |what: &str| Err(io::Error::other(format!("--peer: {what}")));
    let version = Command::new("node").arg("--version").output();
    match version {
        Ok(output) if output.status.success() => {}
        _ => return missing("node does not run; Node 20 or newer has to be in the PATH"),
    }
    let installed = |package: &str| Path::new(FOLDER).join("node_modules").join(package).is_dir();
    if !["dcrf-client", "loglevel", "ws"].into_iter().all(installed) {
        return missing("dcrf-client is not installed; run `npm install` in tests/peer");
    }
    Ok(())
}

/// Events a second from the text of a frame to the caller's object, each for one of 1,000 subscriptions that is drawn
/// at random.
pub(crate) fn dispatch(echo: &Echo) -> io::Result<Line> {
    let settings = json!({"subscriptions": SUBSCRIPTIONS, "events": 400});
    let mut peer = Peer::start(echo, "dispatch", &settings)?;
    let mut live = Live::new(SUBSCRIPTIONS);
    let frames: Vec<_> = (0..).zip(live.ids()).map(|(pk, id)| event(pk, id)).collect();
    let mut random = fastrand::Rng::with_seed(7);
    let ours = || dispatched(&mut live, &frames, &mut random);
    let measured = interleaved(ours, || peer.round());
    Ok(Line::ratio("peer_dispatch_1k", Goal::AtLeast(1000.0), measured, "events/s"))
}

/// The same through the socket, in turn for each of the subscriptions.
pub(crate) fn deliver(echo: &Echo) -> io::Result<Line> {
    // Rounds of about the same time.
    const OURS: usize = 200 * SUBSCRIPTIONS;
    let settings = json!({"subscriptions": SUBSCRIPTIONS, "events": 400});
    let mut peer = Peer::start(echo, "deliver", &settings)?;
    let single = Single::new(echo);
    let mut subscriptions = single.subscriptions(SUBSCRIPTIONS);
    let ours = || single.deliver(&mut subscriptions, OURS);
    let measured = interleaved(ours, || peer.round());
    Ok(Line::ratio("peer_deliver_1k", Goal::AtLeast(500.0), measured, "events/s"))
}

pub(crate) fn pipelined(echo: &Echo) -> io::Result<Line> {
    requests("peer_pipelined", Goal::AtLeast(25.0), echo, (3_000, 200), IN_FLIGHT)
}

pub(crate) fn sequential(echo: &Echo) -> io::Result<Line> {
    requests("peer_sequential", Goal::AtLeast(4.0), echo, (20_000, 5_000), 1)
}

/// Requests a second with their answers as objects; each side does so many windows of them in a round.
fn requests(
    name: &'static str,
    goal: Goal,
    echo: &Echo,
    (ours, theirs): (usize, usize),
    window: usize,
) -> io::Result<Line> {
    let settings = json!({"requests": theirs * window, "window": window});
    let mut peer = Peer::start(echo, "requests", &settings)?;
    let single = Single::new(echo);
    let ours = || single.requests(ours * window, window);
    let measured = interleaved(ours, || peer.round());
    Ok(Line::ratio(name, goal, measured, "requests/s"))
}

/// From the open of a new connection until 1,000 subscriptions are acknowledged on it.
pub(crate) fn replay(echo: &Echo) -> io::Result<Line> {
    let settings = json!({"subscriptions": SUBSCRIPTIONS});
    let mut peer = Peer::start(echo, "replay", &settings)?;
    let single = Single::new(echo);
    let mut subscriptions = single.subscriptions(SUBSCRIPTIONS);
    let ours = || single.replay(&mut subscriptions);
    let measured = interleaved(ours, || peer.round());
    Ok(Line::faster("peer_replay_1k", Goal::AtLeast(100.0), measured, "ms"))
}

/// What 1,000 subscriptions in force hold: with ours as the allocator says, with theirs as the collector does. More
/// would take dcrf-client a time that grows with the square of their number.
pub(crate) fn bytes_per_subscription(echo: &Echo) -> io::Result<Line> {
    let settings = json!({"subscriptions": SUBSCRIPTIONS});
    let mut peer = Peer::start(echo, "subscription", &settings)?;
    let ours = || memory::each_subscription(echo, SUBSCRIPTIONS);
    let measured = interleaved(ours, || peer.round());
    Ok(Line::ratio("peer_bytes_per_subscription", Goal::AtMost(0.125), measured, "bytes"))
}

/// What 5,000 clients hold that are connected and idle, as the system says, each time in a new process.
pub(crate) fn bytes_per_client(echo: &Echo) -> Line {
    let settings = json!({"clients": CLIENTS});
    let ours = || memory::each_client(echo, CLIENTS).expect("our clients are measured");
    let theirs = || Peer::start(echo, "client", &settings).expect("Node starts").round();
    let measured = interleaved(ours, theirs);
    Line::ratio("peer_bytes_per_client", Goal::AtMost(0.5), measured, "bytes")
}

/// dcrf-client in a process of its own, which measures when it is told to, until it is dropped.
struct Peer {
    process: Child,
    asks: ChildStdin,
    answers: BufReader<ChildStdout>,
}

#[derive(Deserialize)]
struct Measured {
    value: f64,
}

impl Peer {
    fn start(echo: &Echo, work: &str, settings: &Value) -> io::Result<Self> {
        let mut process = Command::new("node")
            .args(["--expose-gc", "bench.mjs", &echo.url(), work, &settings.to_string()])
            .current_dir(FOLDER)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let asks = process.stdin.take().expect("it is piped");
        let answers = BufReader::new(process.stdout.take().expect("it is piped"));
        Ok(Self { process, asks, answers })
    }

    /// What one round has measured. Why it could not is on standard error, where Node has written it.
    fn round(&mut self) -> f64 {
        self.asks.write_all(b"\n").expect("Node runs");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("Node writes text");
        let measured: Measured = serde_json::from_str(&line).expect("Node has measured");
        measured.value
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
