//! The examples with live collections against the real server, through its outages.

mod board;
mod browser;
mod gateway;
mod process;
mod small;

use std::time::Duration;

use dcrf_tests::server::Server;

/// The time in which an example must show something, on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// Kills the server, and changes its rows through another worker. The first one sends no events of that.
fn outage(server: &mut Server, change: impl FnOnce(&dcrf_blocking::Client)) {
    let other = server.start_another().unwrap();
    server.kill().unwrap();
    let client = dcrf_blocking::connect(&other.url("/ws/")).unwrap();
    change(&client);
    client.close();
}
