//! Signing in: headers, cookies, subprotocols, and tokens that expire.
//!
//! # Fixed credentials
//!
//! Set a header, a cookie or a subprotocol on the builder, as your server's middleware expects it:
//!
//! ```no_run
//! use dcrf_tokio::{Client, ConnectError};
//!
//! async fn with_header(url: &str) -> Result<Client, ConnectError> {
//!     dcrf_tokio::builder(url).header("authorization", "Token 9944b091").connect().await
//! }
//!
//! async fn with_session_cookie(url: &str) -> Result<Client, ConnectError> {
//!     dcrf_tokio::builder(url).cookie("sessionid", "u1bl9vpf0ohzy2ht").connect().await
//! }
//!
//! async fn with_subprotocol(url: &str) -> Result<Client, ConnectError> {
//!     dcrf_tokio::builder(url).subprotocol("token").subprotocol("9944b091").connect().await
//! }
//! ```
//!
//! The server must select one of the offered subprotocols, with `accept(subprotocol=…)`, or the attempt fails.
//!
//! # Tokens that expire
//!
//! Pass a function that returns the credentials. It is called for each attempt to connect, so the token is fresh even after
//! an hour offline:
//!
//! ```no_run
//! use dcrf_tokio::{Client, ConnectError, Credentials, CredentialsError};
//!
//! async fn connect() -> Result<Client, ConnectError> {
//!     dcrf_tokio::builder("wss://example.com/ws/")
//!         .credentials(|attempt| async move {
//!             // `refresh`: the server rejected the last token, so don't return it from a cache.
//!             let Some(token) = fetch_token(attempt.refresh).await? else {
//!                 // Closes the client. After any other error, it tries again later.
//!                 return Err(CredentialsError::fatal("the user has signed out").into());
//!             };
//!             Ok(Credentials::new().header("authorization", &format!("Bearer {token}")))
//!         })
//!         .connect()
//!         .await
//! }
//!
//! /// A real program asks its server, and returns `None` once the user has signed out.
//! async fn fetch_token(_fresh: bool) -> std::io::Result<Option<String>> {
//!     Ok(Some("9944b091".to_owned()))
//! }
//! ```
//!
//! A function that uses values of your program clones them for each attempt:
//!
//! ```no_run
//! # use std::path::PathBuf;
//! # use dcrf_tokio::{Client, ConnectError, Credentials};
//! async fn connect(path: PathBuf) -> Result<Client, ConnectError> {
//!     dcrf_tokio::builder("wss://example.com/ws/")
//!         .credentials(move |_| {
//!             let path = path.clone();
//!             async move {
//!                 let token = tokio::task::spawn_blocking(|| std::fs::read_to_string(path)).await??;
//!                 Ok(Credentials::new().header("authorization", &format!("Token {}", token.trim())))
//!             }
//!         })
//!         .connect()
//!         .await
//! }
//! ```
//!
//! The function has 10 seconds. It runs in the task that drives the client, so it must not block. Its header or cookie
//! replaces one of the same name that was set on the builder.
//!
//! If the token belongs in the query, return the whole URL:
//!
//! ```no_run
//! use dcrf_tokio::Credentials;
//!
//! fn with_token(token: &str) -> Credentials {
//!     Credentials::new().url(&format!("wss://example.com/ws/?token={token}"))
//! }
//! ```
//!
//! # When the server rejects a token
//!
//! | the server | the client |
//! | --- | --- |
//! | answers the handshake with 401 or 403, or closes with 1008, 4401 or 4403 | calls the function again, with `refresh` set; what happens if that token is rejected too: [what is final](super::outages#what-is-final) |
//! | closes with a code of your own | reconnects; make it the same as a 401 with [`FailureAction::RefreshCredentials`](crate::FailureAction::RefreshCredentials) in [`on_failure`](crate::Builder::on_failure) |
//! | refuses to replay a subscription with 401 or 403 | reconnects once with fresh credentials; if it refuses again, the subscription ends with [`SubscriptionError::Revoked`](crate::SubscriptionError::Revoked) |
//! | answers a request with 401 or 403 | returns the error reply |
//!
//! [`connect`](crate::Builder::connect) makes a second attempt with fresh credentials before it fails.
//!
//! If a subscribe has the token in its payload, add it with a [`Dialect`](crate::Dialect): its
//! [`subscribe_payload`](crate::Dialect::subscribe_payload) is called each time the subscribe is sent.
//!
//! # Another user
//!
//! Make your function return the other user's credentials, and call
//! [`Client::force_reconnect`](crate::Client::force_reconnect). Subscriptions continue as the new user, after a
//! [`Change::Gap`](crate::Change::Gap).
//!
//! # `Origin`
//!
//! Channels' `AllowedHostsOriginValidator` rejects connections whose `Origin` is missing or not in `ALLOWED_HOSTS`. The
//! client sends the URL's host, unless you set [`origin`](crate::Builder::origin).
//!
//! # Secrets
//!
//! No error, log or `Debug` output of this library shows a header, a query or a payload. Headers, cookies and subprotocols
//! are checked when they are given: no line break reaches the server. [Observability](super::observability#secrets) says
//! what the WebSocket library logs.
