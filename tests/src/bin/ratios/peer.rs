//! The comparison with dcrf-client on Node: the same work against the same server. `tests/peer/bench.mjs` is the other
//! side, with one process per line.

use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::core::{self, Live};
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

/// Checks that Node and dcrf-client are installed. The error says what to do.
pub(crate) fn check_installed() -> io::Result<()> {
    let missing = |what: &str| Err(io::Error::other(format!("--peer: {what}")));
    let version = Command::new("node").arg("--version").output();
    match version {
        Ok(output) if output.status.success() => {}
        _ => return missing("could not run node; Node 20 or newer must be in PATH"),
    }
    let installed = |package: &str| Path::new(FOLDER).join("node_modules").join(package).is_dir();
    if !["dcrf-client", "loglevel", "ws"].into_iter().all(installed) {
        return missing("dcrf-client is not installed; run `npm install` in tests/peer");
    }
    Ok(())
}

/// Events per second from a frame's text to the decoded object, each for a random one of 1,000 subscriptions.
pub(crate) fn dispatch(echo: &Echo) -> io::Result<Line> {
    let settings = json!({"subscriptions": SUBSCRIPTIONS, "events": 400});
    let mut peer = Peer::start(echo, "dispatch", &settings)?;
    let mut live = Live::new(SUBSCRIPTIONS);
    let frames: Vec<_> = (0..).zip(live.ids()).map(|(pk, id)| event(pk, id)).collect();
    let mut random = fastrand::Rng::with_seed(7);
    let ours = || core::dispatch(&mut live, &frames, &mut random);
    let measured = interleaved(ours, || peer.round());
    Ok(Line::ratio("peer_dispatch_1k", Goal::AtLeast(1000.0), measured, "events/s"))
}

/// Events per second from the socket to the decoded object, for each subscription in turn.
pub(crate) fn deliver(echo: &Echo) -> io::Result<Line> {
    // Our rounds take about as long as theirs.
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

/// Requests per second with decoded replies. In a round each side does its number of windows.
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

/// The time from the open of a new connection until 1,000 subscriptions are acknowledged on it.
pub(crate) fn replay(echo: &Echo) -> io::Result<Line> {
    let settings = json!({"subscriptions": SUBSCRIPTIONS});
    let mut peer = Peer::start(echo, "replay", &settings)?;
    let single = Single::new(echo);
    let mut subscriptions = single.subscriptions(SUBSCRIPTIONS);
    let ours = || single.replay(&mut subscriptions);
    let measured = interleaved(ours, || peer.round());
    Ok(Line::speedup("peer_replay_1k", Goal::AtLeast(100.0), measured, "ms"))
}

/// The bytes of each of 1,000 live subscriptions: allocated for ours, used heap for theirs. There are no more, since
/// dcrf-client's time grows with the square of the number.
pub(crate) fn bytes_per_subscription(echo: &Echo) -> io::Result<Line> {
    let settings = json!({"subscriptions": SUBSCRIPTIONS});
    let mut peer = Peer::start(echo, "subscription", &settings)?;
    let ours = || memory::subscription_bytes(echo, SUBSCRIPTIONS);
    let measured = interleaved(ours, || peer.round());
    Ok(Line::ratio("peer_bytes_per_subscription", Goal::AtMost(0.125), measured, "bytes"))
}

/// The resident bytes of each of 5,000 idle, connected clients, with a new process for each round.
pub(crate) fn bytes_per_client(echo: &Echo) -> Line {
    let settings = json!({"clients": CLIENTS});
    let ours = || memory::client_bytes(echo, CLIENTS).expect("our clients are measured");
    let theirs = || Peer::start(echo, "client", &settings).expect("Node starts").round();
    let measured = interleaved(ours, theirs);
    Line::ratio("peer_bytes_per_client", Goal::AtMost(0.5), measured, "bytes")
}

/// dcrf-client in a Node process, which measures rounds on request. Dropping it kills the process.
struct Peer {
    process: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

#[derive(Deserialize)]
struct Measurement {
    value: f64,
}

impl Peer {
    fn start(echo: &Echo, workload: &str, settings: &Value) -> io::Result<Self> {
        let mut process = Command::new("node")
            .args(["--expose-gc", "bench.mjs", &echo.url(), workload, &settings.to_string()])
            .current_dir(FOLDER)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdin = process.stdin.take().expect("stdin is piped");
        let stdout = BufReader::new(process.stdout.take().expect("stdout is piped"));
        Ok(Self { process, stdin, stdout })
    }

    /// Runs a round. If it fails, Node has written the reason to standard error.
    fn round(&mut self) -> f64 {
        self.stdin.write_all(b"\n").expect("Node is running");
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("Node writes text");
        let measured: Measurement = serde_json::from_str(&line).expect("Node prints a measurement");
        measured.value
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
