//! Shared by the workspace's tests: the Django server, the stories, and the adapters that run them.
//!
//! - [`server`] starts a DCRF server, stops it in various ways, and reads what it received.
//! - [`stories`] are the scenarios. Each is written once, over an [`adapter`], and runs on all of
//!   them from `tests/scenarios.rs`.
//! - [`authority`] issues certificates for a server that speaks TLS.
//! - [`mirror()`](mirror::mirror) is the same server as a fake server in memory.
//! - [`proxy`] is a network with faults on demand.
//! - [`recoveries`] collects recovery times.
//! - [`story_server`] is what a story connects to: the real server, or its [`mirror`] in memory.
//! - [`terminal`] runs a program in a pseudo-terminal.
//! - [`observe`] waits for what a story asserts.

pub mod adapter;
pub mod authority;
pub mod client;
pub mod collection;
pub mod mirror;
pub mod models;
pub mod observe;
pub mod proxy;
pub mod recoveries;
pub mod resource;
pub mod server;
pub mod stories;
pub mod story_server;
pub mod terminal;

// Compiles the examples of the README as tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
