//! What this library costs above the socket and the parser: each line beside a reference that does the same work in the
//! same run, interleaved. Prints a JSON object a line.
//!
//! `cargo run --release -p dcrf-tests --bin ratios`, with `--only NAME` for one line, and with `--peer` for those that
//! compare with dcrf-client on Node. With `--growth` it prints the points of the curves in `dcrf-proto/benches/growth`.

mod allocations;
mod core;
mod echo;
mod frames;
mod growth;
mod line;
mod memory;
mod peer;
mod raw;
mod rounds;
mod sockets;

use std::io;
use std::process::ExitCode;

use echo::Echo;
use line::Line;

/// What this program is asked by itself.
const SERVE: &str = "--serve";
const IDLE: &str = "--idle-clients";
const GROWING: &str = "--growing-clients";

const USAGE: &str = "usage: ratios [--peer] [--only NAME]... | --growth\n";

/// The name of a line, and what measures it.
type Measure = (&'static str, fn(&Echo) -> io::Result<Line>);

const LINES: [Measure; 14] = [
    ("event_small", |_| Ok(core::event_small())),
    ("event_large", |_| Ok(core::event_large())),
    ("event_100k", |_| Ok(core::event_100k())),
    ("pipelined_tokio", |echo| Ok(sockets::pipelined_tokio(echo))),
    ("pipelined_smol", |echo| Ok(sockets::pipelined_smol(echo))),
    ("sequential_tokio", |echo| Ok(sockets::sequential_tokio(echo))),
    ("sequential_smol", |echo| Ok(sockets::sequential_smol(echo))),
    ("sequential_blocking", |echo| Ok(sockets::sequential_blocking(echo))),
    ("deliver_tokio", |echo| Ok(sockets::deliver_tokio(echo))),
    ("replay_10k", |echo| Ok(sockets::replay_10k(echo))),
    ("bytes_per_subscription", |echo| Ok(memory::bytes_per_subscription(echo))),
    ("bytes_per_client", memory::bytes_per_client),
    ("allocations_event", |_| Ok(allocations::event())),
    ("allocations_request", |echo| Ok(allocations::request(echo))),
];

/// Those that need Node.
const PEER_LINES: [Measure; 7] = [
    ("peer_dispatch_1k", peer::dispatch),
    ("peer_deliver_1k", peer::deliver),
    ("peer_pipelined", peer::pipelined),
    ("peer_sequential", peer::sequential),
    ("peer_replay_1k", peer::replay),
    ("peer_bytes_per_subscription", peer::bytes_per_subscription),
    ("peer_bytes_per_client", |echo| Ok(peer::bytes_per_client(echo))),
];

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("ratios: {error}");
            ExitCode::from(2)
        }
    }
}

/// Says whether all that was measured is good enough.
fn run() -> io::Result<bool> {
    memory::raise_the_limit_of_files()?;
    let usage = || io::Error::other(USAGE);
    let (mut only, mut lines) = (Vec::new(), LINES.to_vec());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(usage);
        match &*argument {
            SERVE => return echo::serve().map(|()| true),
            IDLE => {
                let (url, count) = (value()?, value()?.parse().map_err(|_| usage())?);
                return memory::idle(&url, count).map(|()| true);
            }
            GROWING => return growth::connect(&value()?).map(|()| true),
            "--growth" => return growth::run(&Echo::start()?).map(|()| true),
            "--peer" => lines.extend(PEER_LINES),
            "--only" => only.push(value()?),
            _ => return Err(usage()),
        }
    }
    let echo = Echo::start()?;
    let mut ok = true;
    for (_, measure) in chosen(lines, &only)? {
        let line = measure(&echo)?;
        println!("{}", serde_json::to_string(&line).map_err(io::Error::other)?);
        ok &= line.ok;
    }
    Ok(ok)
}

/// The lines with these names, or all, if they can be measured here.
fn chosen(mut lines: Vec<Measure>, only: &[String]) -> io::Result<Vec<Measure>> {
    let is = |name: &String| lines.iter().any(|(other, _)| other == name);
    if let Some(unknown) = only.iter().find(|name| !is(name)) {
        let needs =
            if unknown.starts_with("peer_") { "; those with dcrf-client need --peer" } else { "" };
        return Err(io::Error::other(format!("there is no line {unknown}{needs}")));
    }
    lines.retain(|(name, _)| only.is_empty() || only.iter().any(|other| other == name));
    if lines.iter().any(|(name, _)| PEER_LINES.iter().any(|(other, _)| other == name)) {
        peer::installed()?;
    }
    Ok(lines)
}
