//! Tests of [`Session`](dcrf_proto::Session) with a virtual clock and without I/O.

mod bulk_commands;
mod calls;
mod changes;
mod close;
mod collections;
mod combinations;
mod convergence;
mod conversation;
mod determinism;
mod dialect;
mod failure_actions;
mod far_server;
mod finality;
mod frames;
mod fresh_credentials;
mod joining;
mod limits;
mod link;
mod listeners;
mod model;
mod poison;
mod probe;
mod quarantine;
mod random_calls;
mod reconnect;
mod refresh;
mod refresh_pages;
mod replies;
mod requests;
mod resource;
mod secrets;
mod selectors;
mod sends;
#[allow(dead_code, unreachable_pub, reason = "each test uses a part of these builders")]
#[path = "../../src/fake_server/frames.rs"]
mod server_frames;
mod silence;
mod slow_readers;
mod stats;
mod streams;
mod subscriptions;
mod surrogates;
mod too_large;
mod unsubscribe;
