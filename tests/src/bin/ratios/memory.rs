//! What those hold that wait: subscriptions and clients, by the thousand.

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

/// What 10,000 subscriptions in force hold, as the allocator says, with the handles and the driver.
pub(crate) fn bytes_per_subscription(echo: &Echo) -> Line {
    let each = each_subscription(echo, SUBSCRIPTIONS);
    Line::amount("bytes_per_subscription", Goal::AtMost(600.0), each, "bytes")
}

/// What each of so many subscriptions holds.
pub(crate) fn each_subscription(echo: &Echo, count: usize) -> f64 {
    let single = Single::new(echo);
    let mut subscriptions = Vec::new();
    let taken = measure(|| subscriptions = single.subscriptions(count)).bytes_current;
    drop(subscriptions);
    #[expect(clippy::cast_precision_loss, reason = "megabytes")]
    let each = taken as f64 / count as f64;
    each
}

/// What 10,000 clients hold that are connected and idle, as the system says. They have a process of their own.
pub(crate) fn bytes_per_client(echo: &Echo) -> io::Result<Line> {
    let each = each_client(echo, CLIENTS)?;
    Ok(Line::amount("bytes_per_client", Goal::AtMost(16384.0), each, "bytes"))
}

/// What each of so many clients holds.
pub(crate) fn each_client(echo: &Echo, count: usize) -> io::Result<f64> {
    let own = std::env::current_exe()?;
    let output = Command::new(own).args([super::IDLE, &echo.url(), &count.to_string()]).output()?;
    let printed = String::from_utf8_lossy(&output.stdout);
    printed.trim().parse().map_err(|_| io::Error::other(format!("{output:?}")))
}

/// As many open files as the system allows, for this program and those that it starts.
pub(crate) fn raise_the_limit_of_files() -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?)
}

/// Connects so many idle clients, and prints what each of them holds.
pub(crate) fn idle(url: &str, count: u64) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let connect = async || dcrf_tokio::connect(url).await.map_err(io::Error::other);
        // What is made once.
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
    kibibytes.map(|count| count << 10).ok_or_else(|| io::Error::other("the system does not tell"))
}
