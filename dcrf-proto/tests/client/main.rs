//! The async client over sockets in memory: the test sets the clock and polls the driver by hand.
#![cfg(feature = "client")]

mod collections;
mod connection;
mod dropped_futures;
mod ends;
mod events;
mod flush;
mod link;
mod listener;
mod many_threads;
mod memory;
mod pages;
mod panics;
mod reply_stream;
mod requests_and_subscriptions;
mod resource;
#[allow(dead_code, unreachable_pub, reason = "each test uses a part of these builders")]
#[path = "../../src/fake_server/frames.rs"]
mod server_frames;
mod snapshots;
mod waiting;
mod wakers;
