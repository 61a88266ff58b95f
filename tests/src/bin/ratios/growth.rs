//! How costs grow: an event's with the number of subscriptions, the throughput with the requests in flight, memory with
//! the number of clients. Prints a point of a curve a line, as `dcrf-proto/benches/growth/draw` reads them.

use std::hint::black_box;
use std::io;
use std::process::Command;
use std::time::Duration;

use serde::Serialize;

use crate::core::{Live, drawn};
use crate::echo::Echo;
use crate::frames::{Envelope, id, update};
use crate::memory::resident;
use crate::rounds::{interleaved, nanoseconds};
use crate::sockets;

const SUBSCRIPTIONS: [usize; 7] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000];
const MOST_IN_FLIGHT: usize = 4_096;
const MOST_CLIENTS: usize = 10_000;
const TIME: Duration = Duration::from_millis(200);

#[derive(Serialize)]
struct Point {
    plot: &'static str,
    curve: &'static str,
    x: usize,
    y: f64,
}

pub(crate) fn run(echo: &Echo) -> io::Result<()> {
    for count in SUBSCRIPTIONS {
        let (ours, parser) = event(count);
        print("event", "dcrf", count, ours)?;
        print("event", "parser", count, parser)?;
    }
    let mut in_flight = 1;
    while in_flight <= MOST_IN_FLIGHT {
        let (ours, raw) = sockets::throughput(echo, in_flight);
        print("throughput", "dcrf", in_flight, ours)?;
        print("throughput", "raw", in_flight, raw)?;
        in_flight *= 2;
    }
    for (clients, bytes) in clients(echo)? {
        #[expect(clippy::cast_precision_loss, reason = "megabytes")]
        print("memory", "dcrf", clients, bytes as f64)?;
    }
    Ok(())
}

/// Nanoseconds for an event among so many subscriptions, and for the parse of its frame alone.
fn event(subscriptions: usize) -> (f64, f64) {
    let mut live = Live::new(subscriptions);
    let mut random = fastrand::Rng::with_seed(7);
    let frame = update(221, &id(1));
    let parser = || {
        nanoseconds(TIME, 1_000, || {
            black_box(Envelope::parse(black_box(&frame)));
        })
    };
    interleaved(|| drawn(&mut live, &mut random), parser)
}

/// The resident memory of a process with one client, with ten, and so on, by their number.
fn clients(echo: &Echo) -> io::Result<Vec<(usize, u64)>> {
    let own = std::env::current_exe()?;
    let output = Command::new(own).args([super::GROWING, &echo.url()]).output()?;
    if !output.status.success() {
        return Err(io::Error::other(format!("{output:?}")));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Connects idle clients, and prints what this process holds with how many.
pub(crate) fn connect(url: &str) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (mut clients, mut held) = (Vec::new(), Vec::new());
        let mut next = 1;
        while next <= MOST_CLIENTS {
            while clients.len() < next {
                clients.push(dcrf_tokio::connect(url).await.map_err(io::Error::other)?);
            }
            held.push((next, resident()?));
            next *= 10;
        }
        println!("{}", serde_json::to_string(&held)?);
        Ok(())
    })
}

/// Four digits say more than these machines know.
fn print(plot: &'static str, curve: &'static str, x: usize, y: f64) -> io::Result<()> {
    let y = format!("{y:.3e}").parse().map_err(io::Error::other)?;
    println!("{}", serde_json::to_string(&Point { plot, curve, x, y }).map_err(io::Error::other)?);
    Ok(())
}
