//! Limits: queues, buffers, sizes of messages, and what DCRF can't do.
//!
//! # Memory
//!
//! All memory is bounded by default. Each limit is an option, see [`Config`](crate::Config).
//!
//! | what | default | beyond it |
//! | --- | --- | --- |
//! | requests that wait for a connection or for the socket | 1,024, and 8 MiB | further requests are handed back with [`QueueFull`](crate::RejectReason::QueueFull), even while connected |
//! | unread changes of a subscription | 1,024, and 4 MiB | the oldest are dropped, and [`Change::Lagged`](crate::Change::Lagged) counts them; with [`Subscribe::overflow_policy`](crate::Subscribe::overflow_policy) the newest change of each object is kept instead, or the subscription ends |
//! | a message to the server | less than 1 MiB, because Daphne drops the connection over that | the call is rejected with [`TooLarge`](crate::RejectReason::TooLarge) |
//! | a text message from the server | 4 MiB | it is skipped, and costs only the request, refresh or event that it is about |
//!
//! # What DCRF can't do
//!
//! - DCRF has no history: changes during an outage are not delivered later. [`Change::Gap`](crate::Change::Gap) marks where
//!   changes may be missing, and [`refresh`](crate::Subscribe::refresh) requests the current state for you.
//! - A feed shows one group of objects. An object that leaves it is a [`Change::Delete`](crate::Change::Delete), and one that
//!   enters it a [`Change::Create`](crate::Change::Create), which is delivered with
//!   [`include_create`](crate::Subscribe::include_create) or `refresh`.
//! - Events without a request id belong to no subscription: read them with [`listen`](crate::Client::listen).
//! - A consumer made with `view_as_consumer` is shared by all connections of its process. A reply can reach another
//!   connection than its request; then the request times out, and that connection reports the reply as
//!   [`Unhandled`](crate::ClientEvent::Unhandled).
//!
//! # What this client can't do
//!
//! Browsers (wasm) are not supported.
