//! Observability: states, metrics and logs.
//!
//! # States and events
//!
//! [`Client::watch_state`](crate::Client::watch_state) is a stream of connection states, beginning with the current one.
//! [`Client::events`](crate::Client::events) also yields frames that match no request, subscription or listener. `Display` of
//! a state is short enough for a status line:
//!
//! ```no_run
//! use dcrf_tokio::Client;
//!
//! async fn print_states(client: &Client) {
//!     let mut states = client.watch_state();
//!     while let Some(state) = states.next().await {
//!         // waiting for attempt 2: the server closed the connection with code 1012
//!         println!("{state}");
//!     }
//! }
//! ```
//!
//! # Metrics
//!
//! [`Client::stats`](crate::Client::stats) returns counters and gauges for your metrics: connections made and lost, frames
//! and bytes in both directions, requests by outcome, repeated requests, replayed subscriptions, late replies, dropped and
//! invalid frames, and the size of each queue. The call is cheap. [`Stats`](crate::Stats) describes each of them, and
//! [`Stats::iter`](crate::Stats::iter) yields all of them by name, for example for Prometheus:
//!
//! ```no_run
//! use dcrf_tokio::{Client, StatKind};
//!
//! fn print_metrics(client: &Client) {
//!     for (name, kind, value) in client.stats().iter() {
//!         match kind {
//!             StatKind::Counter => println!("dcrf_{name}_total {value}"),
//!             StatKind::Gauge => println!("dcrf_{name} {value}"),
//!         }
//!     }
//! }
//! ```
//!
//! Watch `disconnects`, `requests_timed_out`, `lagged` and `gaps`.
//!
//! # Logs
//!
//! With the cargo feature `tracing`, each request is a span, a child of your current one, and everything else is an event, at
//! levels suitable for production. `dcrf=info` logs when the connection opens and closes, `dcrf=debug` how each request
//! ended:
//!
//! ```text
//!  INFO client{server="wss://example.com/ws/"}: dcrf::connection: connected attempt=1
//! DEBUG checkout:request{stream="orders" action="create" request_id=413b… outcome=ok ms=12 sent=true}: dcrf::request: ok
//!  INFO client{server="wss://example.com/ws/"}: dcrf::connection: waiting for attempt 2: the server closed the connection with code 1012 attempt=1 connected_ms=81204 wait_ms=609
//! ```
//!
//! To see them, enable the feature and install a `tracing` subscriber, for example from the crate `tracing-subscriber`:
//!
//! ```sh
//! cargo add dcrf-tokio --features tracing
//! cargo add tracing tracing-subscriber
//! ```
//!
//! ```no_run
//! use tracing::Level;
//! use tracing_subscriber::{filter::Targets, fmt, prelude::*};
//!
//! fn main() {
//!     let levels = Targets::new().with_default(Level::INFO).with_target("dcrf", Level::DEBUG);
//!     tracing_subscriber::registry().with(fmt::layer()).with(levels).init();
//! }
//! ```
//!
//! `fmt::layer()` writes to the standard output. A command-line program writes logs to the standard error, with
//! `fmt::layer().with_writer(std::io::stderr)`.
//!
//! | target | `WARN` | `INFO` | `DEBUG` | `TRACE` |
//! | --- | --- | --- | --- | --- |
//! | `dcrf::connection` | closed for good by a failure: gave up, not authorized | connected, lost and why, the first attempt that fails, closed | each attempt, and why it failed | |
//! | `dcrf::request` | | | how each request ended, repeats, rejected calls | |
//! | `dcrf::subscription` | ended by an error reply or by quarantine, suspected in quarantine, the first lag on a connection | | subscribed, error replies, deferred, resubscribing, gaps | each lag |
//! | `dcrf::frame` | the first frame on a connection that is not a JSON object | | | each dropped frame, with its size |
//!
//! A request is a span (`request`, at `DEBUG`) from the call to its end. Its parent is the caller's span. It has the fields
//! `stream`, `action`, `request_id`, `outcome` (`ok`, `error reply 404`, `timed out`, `connection lost`, `closed`,
//! `cancelled`, `overflowed`, or `sent` for a message without a reply), `ms`, and `sent`: whether the request was sent.
//!
//! All other events are in the span of the client (`client`, at `INFO`), which names the server. Events of the connection
//! have the number of the last `attempt`, how long the lost connection was open (`connected_ms`), and the wait before the
//! next attempt (`wait_ms`).
//!
//! Without a `tracing` subscriber, the client emits nothing, not even to the crate `log` with `tracing`'s feature of that
//! name. The subscriber is called without holding the client's lock, so it may use the client.
//!
//! # Secrets
//!
//! This library logs request ids, but no payload, query, header or reason of a close frame, and nothing at all without the
//! feature `tracing`. `tungstenite`, which it uses, logs to the crate `log`, to the target of its name: the reasons of close
//! frames at `debug`, and whole requests and frames at `trace`. Keep that target at `info` if secrets must not be in logs.
