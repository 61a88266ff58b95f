//! The streams for live collections, on the wire: replies, events, pages, and the order that the
//! controls promise. `tests/server/README.md` describes them.

mod controls;
mod forms;
mod pages;
mod readme;
mod recording;
mod socket;

use dcrf_tests::server::Server;

use crate::recording::Recording;
use crate::socket::Socket;

/// A server of its own, a connection that watches and one that writes.
fn start(test: &str) -> (Server, Socket, Socket) {
    let server = Server::start().unwrap_or_else(|error| panic!("{error}"));
    let (watcher, writer) = connect(&server, test);
    (server, watcher, writer)
}

/// The same on the shared server, for a test that has its model to itself.
fn connect_to_shared(test: &str) -> (Socket, Socket) {
    connect(Server::shared(), test)
}

fn connect(server: &Server, test: &str) -> (Socket, Socket) {
    let recording = Recording::new(test);
    let watcher = Socket::connect(server, recording.clone());
    (watcher, Socket::connect(server, recording.connection('B')))
}
