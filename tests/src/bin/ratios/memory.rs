//! The memory of thousands of idle subscriptions and clients.

use std::fs;
use std::io;
use std::process::Command;

use allocation_counter::measure;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::echo::Echo;
use crate::line::{Goal, Line};
use crate::sockets::Single;

const SUBSCRIPTIONS: usize = 10_000;
const CLIENTS: usize = 10_000;

/// The allocated bytes of each of 10,000 live subscriptions, including its handle and its share of the driver.
pub(crate) fn bytes_per_subscription(echo: &Echo) -> Line {
    let each = subscription_bytes(echo, SUBSCRIPTIONS);
    Line::amount("bytes_per_subscription", Goal::AtMost(600.0), each, "bytes")
}

/// The allocated bytes of each of `count` live subscriptions.
pub(crate) fn subscription_bytes(echo: &Echo, count: usize) -> f64 {
    let single = Single::new(echo);
    let mut subscriptions = Vec::new();
    let bytes = measure(|| subscriptions = single.subscriptions(count)).bytes_current;
    drop(subscriptions);
    #[expect(clippy::cast_precision_loss, reason = "megabytes")]
    let each = bytes as f64 / count as f64;
    each
}

/// The resident bytes of each of 10,000 idle, connected clients, in a separate process.
pub(crate) fn bytes_per_client(echo: &Echo) -> io::Result<Line> {
    let each = client_bytes(echo, CLIENTS)?;
    Ok(Line::amount("bytes_per_client", Goal::AtMost(16384.0), each, "bytes"))
}

/// The resident bytes of each of `count` idle, connected clients.
pub(crate) fn client_bytes(echo: &Echo, count: usize) -> io::Result<f64> {
    let program = std::env::current_exe()?;
    let output = Command::new(program)
        .args([super::IDLE_CLIENTS, &echo.url(), &count.to_string()])
        .output()?;
    let printed = String::from_utf8_lossy(&output.stdout);
    printed.trim().parse().map_err(|_| io::Error::other(format!("{output:?}")))
}

/// Raises the limit of open files to the maximum, for this process and those that it starts.
pub(crate) fn raise_open_files_limit() -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?)
}

/// Connects `count` idle clients, and prints the resident bytes of each.
pub(crate) fn idle(url: &str, count: u64) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let connect = async || dcrf_tokio::connect(url).await.map_err(io::Error::other);
        // The first client also allocates what all of them share.
        let _first = connect().await?;
        let before = resident()?;
        let mut clients = Vec::new();
        for _ in 0..count {
            clients.push(connect().await?);
        }
        println!("{}", (resident()? - before) / count);
        Ok(())
    })
}

/// The resident memory of this process, in bytes.
pub(crate) fn resident() -> io::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kibibytes
        .map(|count| count << 10)
        .ok_or_else(|| io::Error::other("/proc/self/status has no VmRSS"))
}
