//! Connecting: TLS, client certificates, proxies and Unix sockets.
//!
//! # TLS
//!
//! `ws://` and `wss://` both work. Certificates are always verified, against Mozilla's roots by default. With a private CA
//! and a client certificate (mutual TLS):
//!
#![cfg_attr(any(feature = "rustls", feature = "native-tls"), doc = "```no_run")]
#![cfg_attr(not(any(feature = "rustls", feature = "native-tls")), doc = "```ignore")]
//! use std::fs::read;
//!
//! use dcrf_tokio::{Client, Tls};
//!
//! async fn connect() -> Result<Client, Box<dyn std::error::Error>> {
//!     let tls = Tls::default()
//!         .ca_certificate(read("ca.pem")?)
//!         .client_certificate(read("device.pem")?, read("device.key")?);
//!     Ok(dcrf_tokio::builder("wss://intranet.example/ws/").tls(tls).connect().await?)
//! }
//! ```
//!
//! An invalid file is reported before connecting. A rejected certificate closes the client, unless it has worked before (see
//! [what is final](super::outages#what-is-final)).
//!
//! | you need | use |
//! | --- | --- |
//! | the operating system's root certificates, with rustls | the feature `platform-roots`, and `Tls::platform_roots` |
//! | only your own CA | `Tls::without_default_roots` |
//! | a custom configuration of rustls | `Tls::rustls`, with the types of `dcrf_tokio::rustls` (version 0.23) |
//! | the operating system's library (OpenSSL, Secure Transport, `SChannel`) | the feature `native-tls`, alone or with `Tls::use_native_tls` |
//!
//! The [crate's page](crate#features) lists all features.
//!
//! # Proxies
//!
//! To connect through a proxy, pass a [`connector`](crate::Builder::connector). It is called for each attempt, and TLS and
//! the handshake run over the stream that it returns. This one asks an HTTP proxy for a tunnel. It needs
//! Tokio's feature `io-util`:
//!
//! ```no_run
//! use std::io::{Error, Result};
//!
//! use dcrf_tokio::{Client, ConnectError, Endpoint};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//! use tokio::net::TcpStream;
//!
//! async fn through_proxy(endpoint: Endpoint) -> Result<TcpStream> {
//!     let mut stream = TcpStream::connect("proxy.example:3128").await?;
//!     stream.set_nodelay(true)?;
//!     let target = format!("{}:{}", endpoint.host(), endpoint.port());
//!     let request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n");
//!     stream.write_all(request.as_bytes()).await?;
//!     // Byte by byte, since what follows belongs to the client.
//!     let mut reply = Vec::new();
//!     while !reply.ends_with(b"\r\n\r\n") && reply.len() < 8192 {
//!         reply.push(stream.read_u8().await?);
//!     }
//!     match reply.get(9..12) {
//!         Some(b"200") => Ok(stream),
//!         _ => Err(Error::other("the proxy rejected the connection")),
//!     }
//! }
//!
//! async fn connect() -> std::result::Result<Client, ConnectError> {
//!     dcrf_tokio::builder("wss://example.com/ws/").connector(through_proxy).connect().await
//! }
//! ```
//!
//! `examples/proxy` of this crate also takes the proxy's address and password from a URL, connects to IPv6 addresses, and
//! returns a typed error if the proxy rejects the password: copy its `connect_through.rs`.
//!
//! # Unix sockets
//!
//! It takes one line with each adapter. The URL's host is sent in the headers `Host` and `Origin`:
//!
#![cfg_attr(unix, doc = "```no_run")]
#![cfg_attr(not(unix), doc = "```ignore")]
//! use dcrf_tokio::{Client, ConnectError};
//! use tokio::net::UnixStream;
//!
//! async fn connect() -> Result<Client, ConnectError> {
//!     dcrf_tokio::builder("ws://localhost/ws/")
//!         .connector(|_| UnixStream::connect("/run/daphne.sock"))
//!         .connect()
//!         .await
//! }
//! ```
//!
//! `examples/unix_socket.rs` of `dcrf-smol` is a complete program.
