//! Tests of [`Session`](dcrf_proto::Session) with a virtual clock and without I/O.

mod bulk_commands;
mod calls;
mod changes;
mod close;
mod conversation;
mod determinism;
mod dialect;
mod failure_actions;
mod finality;
mod frames;
mod fresh_credentials;
mod joining;
mod limits;
mod link;
mod listeners;
mod model;
mod probe;
mod quarantine;
mod random_calls;
mod reconnect;
mod refresh;
mod replies;
mod requests;
mod secrets;
mod selectors;
mod sends;
#[path = "../server_frames/mod.rs"]
mod server_frames;
mod silence;
mod slow_readers;
mod stats;
mod streams;
mod subscriptions;
mod too_large;
mod unsubscribe;
