//! Outages: what happens when the connection is lost, and what closes a client for good.
//!
//! | | when the connection is lost | on the next connection |
//! | --- | --- | --- |
//! | a waiting request | keeps waiting, up to its deadline | is sent in order, after the subscriptions |
//! | a sent request | fails with `ConnectionLost { sent: true, .. }`: the server may have acted on it | is not sent again |
//! | `list`, `retrieve` and requests marked [`idempotent`](crate::Request::idempotent) | wait again | are sent once more |
//! | a subscription | waits | is replayed, once; [`Change::Gap`](crate::Change::Gap) comes before its first change |
//! | a subscription to an object that was deleted in the meantime | waits | ends with [`SubscriptionError::Gone`]; the others continue |
//! | a subscribe or refresh that seems to kill connections | wait at most a second | is tried apart from the others, and reported by [`ClientEvent::Quarantined`](crate::ClientEvent::Quarantined); its subscription ends with [`SubscriptionError::Poisoned`] or [`RefreshPoisoned`](crate::SubscriptionError::RefreshPoisoned) only if it is proved guilty, after a minute at least |
//! | a cancel in progress | succeeds | nothing to do: the server has dropped the subscription with the connection |
//!
//! # Requests
//!
//! A request fails at its deadline, by default 30 seconds after the call, and the error says whether it was sent. With
//! [`Request::fail_fast`](crate::Request::fail_fast) it fails at once if not connected. To send a request again after an
//! error, ask [`RequestError::may_have_happened`](crate::RequestError::may_have_happened) first.
//!
//! # Subscriptions
//!
//! DCRF has no history: changes during an outage are not delivered later. After a `Gap`, request the current state again if
//! you must not miss a change. The request reaches the server after the subscribe, so nothing is missed. Or let the client
//! do it:
//!
//! ```no_run
//! use dcrf_tokio::{Change, Client, Subscribe};
//! use serde_json::Value;
//!
//! async fn follow(client: &Client) -> Result<(), Box<dyn std::error::Error>> {
//!     let subscribe = Subscribe::instance("people", 4).refresh();
//!     let mut changes = client.subscribe::<Value>(subscribe).await?;
//!     while let Some(change) = changes.next().await {
//!         match change? {
//!             Change::Snapshot(current) => println!("now: {current:?}"),
//!             Change::Update(person) => println!("updated: {person}"),
//!             Change::Gap(gap) => println!("reconnected; a snapshot follows: {}", gap.cause),
//!             Change::RefreshFailed(error) => println!("the state could not be read: {error}"),
//!             _ => {}
//!         }
//!     }
//!     Ok(())
//! }
//! ```
//!
//! [`Subscribe::refresh`](crate::Subscribe::refresh) delivers the object as [`Change::Snapshot`](crate::Change::Snapshot) at
//! first, after each reconnect, and after [`Change::Lagged`](crate::Change::Lagged); for a feed, it delivers all objects.
//! [`Change::RefreshFailed`](crate::Change::RefreshFailed) says why the state could not be read. If an object of a snapshot
//! does not fit your type, the others arrive, and the error has its key.
//!
//! # Reconnecting
//!
//! The wait between attempts is random, below a bound that doubles from 1 s to 30 s, so the clients of a restarted server
//! don't all reconnect at once. A server that has gone silent is detected within 30 seconds, and one that answers only pings
//! when a request timeout has passed.
//!
//! The client manages the connection. Two calls let you help it. [`Client::probe`](crate::Client::probe) checks within 2
//! seconds whether the server still responds: call it when the network changes. After the machine was suspended, the client
//! does so automatically. [`Client::force_reconnect`](crate::Client::force_reconnect) makes a new connection at once, for
//! example with another user's credentials.
//!
//! # What is final
//!
//! The client retries for ever, except when retrying can't help. Then it closes with a
//! [`CloseReason`](crate::CloseReason). What has worked before is not final within minutes, so a deployment does not end
//! your clients:
//!
//! | failure | if no connection has ever worked | if one has worked |
//! | --- | --- | --- |
//! | HTTP status 401 or 403; close code 1008, 4401 or 4403 | the second in a row, with fresh credentials | lasts 5 minutes |
//! | HTTP status 404; no common subprotocol | the third in a row | lasts 5 minutes |
//! | close code 1002, 1003, 1007 or 1010 | the third in a row | lasts 5 minutes |
//! | a certificate that the client rejects; the client's certificate, rejected by the verified server | at once | lasts 5 minutes |
//! | the credentials provider returns a [fatal](crate::CredentialsError::fatal) error; [`on_failure`](crate::Builder::on_failure) returns `Stop` | at once | at once |
//! | [`max_attempts`](crate::Builder::max_attempts) are used up (off by default) | at once | at once |
//! | everything else: no network, other statuses and close codes, TLS alerts, messages over the limit | never | never |
//!
//! The five minutes are the option [`grace_period`](crate::Builder::grace_period). A connection has worked if a request or a
//! subscription was answered with success, or if it has lasted 10 seconds.
//!
//! [`connect`](crate::connect) fails at the first attempt that fails, or at the second if fresh credentials can help.
//!
//! If the server refuses to replay a subscription with 401 or 403, and there is a credentials provider, the client
//! reconnects once with fresh credentials. If these are refused too, the subscription ends with
//! [`SubscriptionError::Revoked`].
//!
//! # Decide yourself
//!
//! [`on_failure`](crate::Builder::on_failure) decides what happens after a failed attempt or a lost connection. Here the
//! client closes at the server's code for a deleted account, and gets a new token at its code for an expired one:
//!
//! ```no_run
//! use dcrf_tokio::{Client, ConnectError, ConnectionError, FailureAction};
//!
//! async fn connect() -> Result<Client, ConnectError> {
//!     dcrf_tokio::builder("wss://example.com/ws/")
//!         .on_failure(|error| match error {
//!             ConnectionError::Closed(frame) => match frame.code {
//!                 4000 => Some(FailureAction::Stop),
//!                 4001 => Some(FailureAction::RefreshCredentials),
//!                 _ => None, // the default
//!             },
//!             _ => None,
//!         })
//!         .connect()
//!         .await
//! }
//! ```
//!
//! To report that the client is closed, watch its state:
//!
//! ```no_run
//! use dcrf_tokio::{Client, CloseReason, ConnectionState};
//!
//! async fn report(client: &Client) {
//!     let mut states = client.watch_state();
//!     while let Some(state) = states.next().await {
//!         match state {
//!             ConnectionState::Closed(CloseReason::Unauthorized(_)) => println!("sign in again"),
//!             ConnectionState::Closed(reason) => println!("offline: {reason}"),
//!             ConnectionState::Waiting { error, .. } => println!("reconnecting: {error}"),
//!             _ => {}
//!         }
//!     }
//! }
//! ```
//!
//! [`SubscriptionError::Gone`]: crate::SubscriptionError::Gone
//! [`SubscriptionError::Poisoned`]: crate::SubscriptionError::Poisoned
//! [`SubscriptionError::Revoked`]: crate::SubscriptionError::Revoked
