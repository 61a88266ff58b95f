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
#[path = "../server_frames/mod.rs"]
mod server_frames;
mod snapshots;
mod waiting;
mod wakers;
