//! The protocol core of a client for [Django Channels REST Framework] (DCRF): requests, subscriptions and reconnection
//! as a state machine without I/O.
//!
//! Most programs use `dcrf-tokio`, `dcrf-smol` or `dcrf-blocking`, which drive this core over real sockets. Use the core
//! itself to embed a client in your own event loop: it opens no sockets, reads no clock, starts no threads and draws no
//! randomness.
//!
//! [Django Channels REST Framework]: https://github.com/NilCoalescing/djangochannelsrestframework
//!
//! # Contents
//!
//! | you want to | see |
//! | --- | --- |
//! | embed a client | [`Session`], which is one client: it decides when to dial, queues each request while there is no connection, replays each subscription on every new connection, and settles every request exactly once |
//! | report what happened, and ask what to do | the `handle_*` and `poll_*` methods of [`Session`]; [`Transmit`], [`Event`] |
//! | make requests, subscribe | [`Request`], [`Subscribe`], [`Change`]; [`ResourceDescription`] for the objects of a stream |
//! | set options | [`Config`]; [`Dialect`] for servers that deviate from DCRF's protocol |
//! | handle errors | [`RequestError`], [`SubscriptionError`], [`ConnectionError`], [`CloseReason`] |
//! | know exactly what happens | [`rules`], rule by rule |
//! | write an adapter for a runtime | the module `client` (feature `client`): the async handles and the driver that all adapters share; the module `websocket` (feature `websocket`): the WebSocket over any byte stream |
//! | test a program without Django | the module `fake_server` (feature `fake-server`): a server in memory, tested against the real one |
//! | solve a task | [the guide](https://docs.rs/dcrf-tokio/latest/dcrf_tokio/guide/) of `dcrf-tokio` |
//!
//! The feature `tracing` emits spans and events for the crate `tracing`, which the guide [lists][logs]. A session emits them
//! during the call that causes them. Times are those that you pass as `now`.
//!
//! [logs]: https://docs.rs/dcrf-tokio/latest/dcrf_tokio/guide/observability/#logs
//!
//! # A complete run loop
//!
//! Report what happened with the `handle_*` methods, and get what to do from the `poll_*` methods. Here the socket is a
//! queue in memory, with a small server at the other end, which loses the first connection. With a real socket, the loop
//! is the same. The folder `examples` has one for mio and one for a game.
//!
//! ```
//! use std::collections::VecDeque;
//! use std::time::{Duration, Instant};
//!
//! use dcrf_proto::{
//!     Change, CloseFrame, CloseOptions, Config, ConnectionError, Epoch, Event, Frame, Request,
//!     Seed, Session, Subscribe, Transmit,
//! };
//! use serde_json::{Value, json};
//!
//! /// The server: acknowledges a subscription and sends one update. Echoes every other request.
//! fn answer(message: &str, title: &str) -> Vec<String> {
//!     let message: Value = serde_json::from_str(message).unwrap();
//!     let (stream, asked) = (&message["stream"], &message["payload"]);
//!     let reply = |action: &Value, status: u16, data: Value| {
//!         json!({"stream": stream, "payload": {"errors": [], "data": data, "action": action,
//!             "response_status": status, "request_id": asked["request_id"]}}).to_string()
//!     };
//!     if asked["action"] == "subscribe_instance" {
//!         let update = reply(&json!("update"), 200, json!({"pk": asked["pk"], "title": title}));
//!         return vec![reply(&asked["action"], 201, Value::Null), update];
//!     }
//!     vec![reply(&asked["action"], 200, asked["data"].clone())]
//! }
//!
//! let mut config = Config::default();
//! config.backoff.maximum = Duration::from_millis(10); // to reconnect at once
//! // A real program gets the seed from the operating system.
//! let mut session = Session::new(config, Seed::from([7; 32]), Instant::now());
//! session.open(Instant::now());
//! let echo = session.request(Request::new("tools", "echo").arg("data", 42), Instant::now())?;
//! let task = session.subscribe(Subscribe::instance("tasks", 7), Instant::now())?;
//!
//! let mut socket: Option<(Epoch, VecDeque<String>)> = None;
//! let mut title = "draft";
//! let mut seen = Vec::new();
//! while !session.is_finished() {
//!     // Input.
//!     let now = Instant::now();
//!     if let Some((epoch, incoming)) = &mut socket {
//!         while let Some(text) = incoming.pop_front() {
//!             session.handle_text(*epoch, &text, now);
//!         }
//!     }
//!     if session.poll_timeout().is_some_and(|deadline| deadline <= now) {
//!         session.handle_timeout(now);
//!     }
//!     // Output to the socket.
//!     if socket.as_ref().is_some_and(|(epoch, _)| session.epoch() != Some(*epoch)) {
//!         socket = None; // the session has abandoned this connection
//!     }
//!     while let Some(transmit) = session.poll_transmit() {
//!         match transmit {
//!             Transmit::Dial(epoch) => {
//!                 socket = Some((epoch, VecDeque::new()));
//!                 session.handle_connected(epoch, now); // or handle_disconnected
//!             }
//!             Transmit::Frame(_, Frame::Text(text)) => {
//!                 if let Some((_, incoming)) = &mut socket {
//!                     incoming.extend(answer(&text, title));
//!                 }
//!             }
//!             Transmit::Frame(epoch, Frame::Close(_)) => {
//!                 let closed = ConnectionError::Closed(CloseFrame::normal());
//!                 session.handle_disconnected(epoch, closed, now);
//!             }
//!             Transmit::Frame(epoch, Frame::Ping) => session.handle_pong(epoch, now),
//!             _ => {}
//!         }
//!     }
//!     // Output to the caller.
//!     while let Some(event) = session.poll_event() {
//!         match event {
//!             Event::Settled { request, result } => {
//!                 assert_eq!(request, echo);
//!                 assert_eq!(result?.decode::<u32>()?, 42);
//!             }
//!             Event::ChangeReadable(subscription) => {
//!                 assert_eq!(subscription, task);
//!                 while let Some(Ok(change)) = session.poll_change(subscription) {
//!                     match change {
//!                         Change::Update(task) => {
//!                             seen.push(task.decode::<Value>()?["title"].to_string());
//!                         }
//!                         Change::Gap(gap) => seen.push(gap.cause.to_string()),
//!                         _ => {}
//!                     }
//!                 }
//!             }
//!             _ => {}
//!         }
//!     }
//!     if seen.len() == 1 && title == "draft" {
//!         // The server restarts, and somebody changes the task meanwhile.
//!         title = "final";
//!         let (epoch, _) = socket.take().unwrap();
//!         session.handle_disconnected(epoch, ConnectionError::Dropped, now);
//!     } else if seen.len() == 3 {
//!         session.close(CloseOptions::default(), now);
//!     }
//!     // With a real socket: wait here until it is readable or until `session.poll_timeout()`.
//!     // Don't wait after an event, since it may have led to something to send.
//! }
//! let cause = "the connection ended without a close frame";
//! assert_eq!(seen, [r#""draft""#, cause, r#""final""#]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![doc(html_root_url = "https://docs.rs/dcrf-proto/latest")]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod arena;
mod buffer;
#[cfg(feature = "client")]
pub mod client;
mod collections;
mod command;
mod config;
mod contain;
mod context;
mod dialect;
mod error;
mod event;
#[cfg(feature = "fake-server")]
pub mod fake_server;
mod frame;
mod id;
mod link;
mod listeners;
mod outcome;
mod outgoing;
mod protocol;
mod requests;
mod routing;
mod session;
mod shown;
mod stats;
mod subscriptions;
mod timer;
mod trace;
mod transmit;
#[cfg(feature = "websocket")]
pub mod websocket;

#[doc = include_str!("../RULES.md")]
pub mod rules {}

pub use collections::{CollectionBatch, CollectionStatus, RowChange, StaleCause};
pub use command::{
    CloseFrame, CloseOptions, Collect, OverflowPolicy, Request, ResourceDescription, Subscribe,
};
pub use config::{Backoff, Config, Heartbeat, Limit};
pub use dialect::{ChangeKind, Dialect};
pub use error::{
    CloseReason, CollectionError, ConnectionError, RefreshError, RejectReason, Rejected,
    ReplyStreamError, RequestError, SubscriptionError, UnsubscribeError, WaitingFor,
};
pub use event::{
    Change, ClientEvent, ConnectionState, Event, Gap, ListenerEvent, Quarantined, Unhandled,
};
pub use frame::Frame;
pub use id::{
    CollectionKey, Epoch, ListenerKey, ReplyStreamKey, RequestId, RequestKey, Seed, SubscriptionKey,
};
pub use link::FailureAction;
pub use protocol::error_reply::ErrorReply;
pub use protocol::framing::Framing;
pub use protocol::json::{DecodeError, Json};
pub use protocol::page::Page;
pub use protocol::pk::{Deleted, Pk};
pub use protocol::selector::Selector;
pub use session::Session;
pub use stats::{StatKind, Stats};
pub use transmit::{Attempt, Transmit};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
