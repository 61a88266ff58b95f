//! Byte streams that a program opens itself, against the real server: an HTTP proxy by the example for Tokio,
//! a Unix socket by the example for smol, and pipes whose other end is in the program. That a server listens
//! on a Unix socket is a story of its own (`stories/streams.rs`).

/// The part of the example that a program copies.
#[path = "../../../dcrf-tokio/examples/proxy/connect_through.rs"]
mod connect_through;

mod example;
mod pipes;
mod proxy;
mod tunnel;
mod unix_socket;

use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);
