//! Connectors against the real server: the Tokio example with an HTTP proxy, the smol example with a Unix socket,
//! and in-process pipes. `stories/streams.rs` covers Unix sockets on every adapter.

/// The part of the example that is meant to be copied.
#[path = "../../../dcrf-tokio/examples/proxy/connect_through.rs"]
mod connect_through;

mod example;
mod pipes;
mod proxy;
mod tunnel;
mod unix_socket;

use std::time::Duration;

/// The time in which an example must print or exit, on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);
