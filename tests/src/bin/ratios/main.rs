//! The library's overhead over the socket and the parser. Each line is measured alternately with a reference that does
//! the same work, and printed as a JSON object.
//!
//! `cargo run --release -p dcrf-tests --bin ratios`. `--only NAME` measures one line, `--peer` adds the comparison with
//! dcrf-client on Node, and `--growth` prints the points of the curves in `dcrf-proto/benches/growth` instead.

mod allocations;
mod collections;
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

/// The arguments with which this program starts itself.
const SERVE: &str = "--serve";
const IDLE_CLIENTS: &str = "--idle-clients";
const GROWING_CLIENTS: &str = "--growing-clients";

const USAGE: &str = "usage: ratios [--peer] [--only NAME]... | --growth\n";

/// The name of a line, and the function that measures it.
type Measure = (&'static str, fn(&Echo) -> io::Result<Line>);

const LINES: [Measure; 19] = [
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
    ("collection_event_1k", |_| Ok(collections::event_1k())),
    ("collection_event_100k", |_| Ok(collections::event_100k())),
    ("collection_relist_10k", |_| Ok(collections::relist())),
    ("collection_bytes_per_row", |_| Ok(collections::bytes_per_row())),
    ("collection_reader", |_| Ok(collections::per_reader())),
];

/// The lines that need Node.
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

/// Returns whether all lines reach their goals.
fn run() -> io::Result<bool> {
    memory::raise_open_files_limit()?;
    let usage = || io::Error::other(USAGE);
    let (mut only, mut lines) = (Vec::new(), LINES.to_vec());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(usage);
        match &*argument {
            SERVE => return echo::serve().map(|()| true),
            IDLE_CLIENTS => {
                let (url, count) = (value()?, value()?.parse().map_err(|_| usage())?);
                return memory::idle(&url, count).map(|()| true);
            }
            GROWING_CLIENTS => return growth::connect(&value()?).map(|()| true),
            "--growth" => return growth::run(&Echo::start()?).map(|()| true),
            "--peer" => lines.extend(PEER_LINES),
            "--only" => only.push(value()?),
            _ => return Err(usage()),
        }
    }
    let echo = Echo::start()?;
    let mut ok = true;
    for (_, measure) in select(lines, &only)? {
        let line = measure(&echo)?;
        println!("{}", serde_json::to_string(&line).map_err(io::Error::other)?);
        ok &= line.ok;
    }
    Ok(ok)
}

/// Selects the lines with these names, or all of them, and checks that they can be measured here.
fn select(mut lines: Vec<Measure>, only: &[String]) -> io::Result<Vec<Measure>> {
    let is_known = |name: &String| lines.iter().any(|(other, _)| other == name);
    if let Some(unknown) = only.iter().find(|name| !is_known(name)) {
        let hint = if unknown.starts_with("peer_") { "; add --peer" } else { "" };
        return Err(io::Error::other(format!("unknown line {unknown}{hint}")));
    }
    lines.retain(|(name, _)| only.is_empty() || only.iter().any(|other| other == name));
    if lines.iter().any(|(name, _)| PEER_LINES.iter().any(|(other, _)| other == name)) {
        peer::check_installed()?;
    }
    Ok(lines)
}
