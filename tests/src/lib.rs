//! What the tests of the workspace share: the real Django server, the stories that are told to it, and
//! the adapters that tell them.
//!
//! - [`server`] starts a DCRF server, stops it in every way a server can stop, and reads what it received.
//! - [`stories`] are the scenarios. Each is written once, over an [`adapter`], and runs on all of them from
//!   `tests/scenarios.rs`.
//! - [`authority`] makes certificates, for a server that speaks TLS.
//! - [`proxy`] is a network that fails when it is told to.
//! - [`recoveries`] are the times that clients needed to be themselves again.
//! - [`observe`] waits for what a story is about to assert.

pub mod adapter;
pub mod authority;
pub mod client;
pub mod models;
pub mod observe;
pub mod proxy;
pub mod recoveries;
pub mod server;
pub mod stories;
