//! What the feature `tracing` emits. These tests have a binary to themselves: if a thread without a subscriber is the
//! first to emit an event, `tracing` may cache that the event is disabled.
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
#[allow(dead_code, unreachable_pub, reason = "each test uses a part of these builders")]
#[path = "../../src/fake_server/frames.rs"]
mod server_frames;
mod session;
