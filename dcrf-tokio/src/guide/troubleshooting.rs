//! Troubleshooting: common errors and their causes.
//!
//! `dcrf doctor wss://example.com/ws/ people`, of the crate `dcrf-cli`, connects step by step, finds the cause of most of
//! these, and says what to change where. It only reads.
//!
//! | you see | likely cause |
//! | --- | --- |
//! | `HTTP status 500` when connecting | the path has no route (also if only the last `/` is missing), or the consumer fails in `connect` |
//! | `HTTP status 403` when connecting | the consumer does not accept the connection, or `AllowedHostsOriginValidator` rejects the `Origin` (the URL's host, unless you set [`origin`](crate::Builder::origin)) because it is not in `ALLOWED_HOSTS` |
//! | `HTTP status 404` when connecting | a proxy does not pass on the WebSocket, see [nginx](super::deployment#nginx) |
//! | `Connection refused` when connecting | the server is down: to wait for it, see [start offline](super::recipes#start-offline) |
//! | `connecting took longer than …` | no server answers at this address, or a `wss://` URL leads to a server without TLS |
//! | `the connection was lost, after the request was sent` for each request to a stream ([`ConnectionLost`](crate::RequestError::ConnectionLost)); `not acknowledged in time, and a connection was lost` for a subscription ([`Suspected`](crate::SubscriptionError::Suspected), [`Poisoned`](crate::SubscriptionError::Poisoned)) | the multiplexer does not have that stream, an argument is missing, or the consumer raises another exception: each closes the connection, on Daphne with code 1011 |
//! | [`TimedOut { sent: true }`](crate::RequestError::TimedOut) for each request, and [`ClientEvent::Unhandled`](crate::ClientEvent::Unhandled) with status 405 | the consumer has no multiplexer: set [`Framing::Bare`](crate::Framing::Bare) |
//! | the connection is lost after each frame, with [`Framing::Bare`](crate::Framing::Bare) | the server has a multiplexer: keep the default framing |
//! | status 405 | the consumer has no action of that name |
//! | `errors: Json(40 bytes)` | `Debug` shows no payload: [`ErrorReply::messages`](crate::ErrorReply::messages) has the server's words, see [handle errors](super::recipes#handle-errors) |
//! | [`SubscriptionError::TimedOut`](crate::SubscriptionError::TimedOut) at the start of a program | there was no connection for 30 seconds, see [start offline](super::recipes#start-offline) |
//! | [`SubscriptionError::TimedOut`](crate::SubscriptionError::TimedOut), although events arrive | the subscribe action never replies: use [`without_ack`](crate::Subscribe::without_ack) |
//! | close code 1011 only at a large `list`, or at a feed with [`refresh`](crate::Subscribe::refresh) | Daphne can't send a message over 1 MiB: paginate the list |
//! | [`ReplyTooLarge`](crate::RequestError::ReplyTooLarge) or [`RefreshTooLarge`](crate::SubscriptionError::RefreshTooLarge) | the message is over the client's limit of 4 MiB: paginate the list, or raise [`max_incoming_message`](crate::Builder::max_incoming_message) |
//! | [`QueueFull`](crate::RejectReason::QueueFull) | more requests wait to be sent than [`outbox`](crate::Builder::outbox) allows: wait for some replies first |
//! | [`Change::Lagged`](crate::Change::Lagged) | your loop reads changes more slowly than they arrive, see [`OverflowPolicy`](crate::OverflowPolicy) |
//! | a collection that is `loading` for ever | the [status](crate::CollectionStatus::Loading) says why there is no connection, or why the list fails |
//! | [`TimedOut`](crate::CollectionError::TimedOut), `because connections end after …` | a subscribe: see `ConnectionLost` above. A list: Daphne can't send a message over 1 MiB, so paginate it |
//! | [`TimedOut`](crate::CollectionError::TimedOut), `because its feed is not acknowledged` | the subscribe action never replies: use [`without_ack`](crate::Subscribe::without_ack), and [`key_at`](crate::CollectionBuilder::key_at) if its events have no `data` |
//! | [`TimedOut`](crate::CollectionError::TimedOut), `because there is no reply to its list` | the list takes longer than [`request_timeout`](crate::Builder::request_timeout), has too many pages, or fails: the [status](crate::Collection::status) has the error |
//! | [`WithoutKeys`](crate::CollectionError::WithoutKeys) | the serializer calls the primary key otherwise, such as `id`: use [`pk_field`](crate::Resource::pk_field) |
//! | a collection that is live, and empty | the rows do not decode: see [live data](super::live_data#rows-that-dont-decode). Or the server filters the list |
//! | a collection that is live, and never changes | the feed sends nothing, or to another group. If [`Stats::rows_without_key`](crate::Stats::rows_without_key) grows, its events name no row where the client looks: use [`key_at`](crate::CollectionBuilder::key_at) |
//! | a timeout of each call on a current-thread runtime | the runtime runs the client only inside of its `block_on` |
//!
//! To see what happens on the connection, [log it](super::observability#logs), or print
//! [`Client::events`](crate::Client::events):
//!
//! ```no_run
//! use dcrf_tokio::{Client, ClientEvent};
//!
//! async fn print_events(client: &Client) {
//!     let mut events = client.events();
//!     while let Some(event) = events.next().await {
//!         match event {
//!             ClientEvent::State(state) => println!("{state}"),
//!             ClientEvent::Unhandled(unhandled) => println!("{}", unhandled.frame.as_str()),
//!             other => println!("{other:?}"),
//!         }
//!     }
//! }
//! ```
//!
//! The demo in the repository tries your server and only reads:
//! `cargo run -p dcrf-tests --bin demo -- --url wss://example.com/ws/ --stream people`. `tests/server` in the repository is a
//! complete DCRF project to compare yours with.
