//! How costs grow: the time of an event with the number of subscriptions, the throughput with the requests in flight,
//! and the memory with the number of clients. Prints one point per line for `dcrf-proto/benches/growth/draw`.

use std::hint::black_box;
use std::io;
use std::process::Command;
use std::time::Duration;

use serde::Serialize;

use crate::core::{Live, random_events};
use crate::echo::Echo;
use crate::frames::{Envelope, id, update};
use crate::memory::resident;
use crate::rounds::{interleaved, nanoseconds};
use crate::sockets;

const SUBSCRIPTIONS: [usize; 7] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000];
const MAX_IN_FLIGHT: usize = 4_096;
const MAX_CLIENTS: usize = 10_000;
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
    while in_flight <= MAX_IN_FLIGHT {
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

/// The nanoseconds of an event with this number of subscriptions, and of only parsing its frame.
fn event(subscriptions: usize) -> (f64, f64) {
    let mut live = Live::new(subscriptions);
    let mut random = fastrand::Rng::with_seed(7);
    let frame = update(221, &id(1));
    let parser = || {
        nanoseconds(TIME, 1_000, || {
            black_box(Envelope::parse(black_box(&frame)));
        })
    };
    interleaved(|| random_events(&mut live, &mut random), parser)
}

/// The resident memory of a process with 1, 10, 100 and more clients.
fn clients(echo: &Echo) -> io::Result<Vec<(usize, u64)>> {
    let program = std::env::current_exe()?;
    let output = Command::new(program).args([super::GROWING_CLIENTS, &echo.url()]).output()?;
    if !output.status.success() {
        return Err(io::Error::other(format!("{output:?}")));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Connects idle clients, and prints the memory of this process for each count.
pub(crate) fn connect(url: &str) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (mut clients, mut points) = (Vec::new(), Vec::new());
        let mut count = 1;
        while count <= MAX_CLIENTS {
            while clients.len() < count {
                clients.push(dcrf_tokio::connect(url).await.map_err(io::Error::other)?);
            }
            points.push((count, resident()?));
            count *= 10;
        }
        println!("{}", serde_json::to_string(&points)?);
        Ok(())
    })
}

/// Prints a point, with `y` rounded to four digits.
fn print(plot: &'static str, curve: &'static str, x: usize, y: f64) -> io::Result<()> {
    let y = format!("{y:.3e}").parse().map_err(io::Error::other)?;
    println!("{}", serde_json::to_string(&Point { plot, curve, x, y }).map_err(io::Error::other)?);
    Ok(())
}
