//! What the feature `tracing` emits. These tests have a binary to themselves: `tracing` may cache that nobody wants an
//! event if a thread without a subscriber is the first to emit it.
#![cfg(feature = "tracing")]

#[cfg(feature = "client")]
mod client;
mod collector;
#[path = "../session/conversation/mod.rs"]
mod conversation;
#[cfg(feature = "client")]
#[allow(dead_code, reason = "the tests of the client use the rest")]
#[path = "../client/memory/mod.rs"]
mod memory;
mod session;
