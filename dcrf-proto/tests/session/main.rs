//! The core as a state machine: each test is a conversation with a [`Session`](dcrf_proto::Session) under a clock that
//! the test sets.

mod bulk_commands;
mod calls;
mod changes;
mod close;
mod conversation;
mod determinism;
mod dialect;
mod failure_actions;
mod frames;
mod joining;
mod ledger;
mod limits;
mod link;
mod listeners;
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
mod slow_readers;
mod stats;
mod streams;
mod subscriptions;
mod unsubscribe;
