//! The examples that embed the core in an event loop: as processes, and their transport in memory.

#[path = "../../../dcrf-proto/examples/embedding/transport.rs"]
mod transport;

mod processes;
mod transport_tests;
