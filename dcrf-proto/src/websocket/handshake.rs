//! From a byte stream to a WebSocket: TLS when the endpoint asks for it, then the HTTP handshake.

use std::fmt;

use async_tungstenite::tungstenite::handshake::client::{Request, generate_key};
use async_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use async_tungstenite::{WebSocketStream, client_async_with_config};
use futures_io::{AsyncRead, AsyncWrite};
use http::header;

#[cfg(any(feature = "rustls", feature = "native-tls"))]
use super::Tls;
use super::head::Head;
use super::{Credentials, Endpoint, MaybeTls, WebSocket, failure};
use crate::error::ConnectionError;

/// tungstenite takes at most this much at once, and zeroes as much before; each connection holds it also while nothing
/// comes. Under 1 KiB it would make a new buffer for each frame, of that frame's size; with half as much again, some six
/// events of the usual size go through one buffer, and 4 KiB would be only a little faster. What is read from the network
/// at once is more: see [`MaybeTls`].
const READ_BUFFER: usize = 1536;

/// Frames are written when this much has been fed, or at a flush.
const WRITE_BUFFER: usize = 16 * 1024;

/// What may wait for a server that does not read. Pongs count too, so that a server can't make it grow
/// without end.
const MAX_UNWRITTEN: usize = 16 * 1024 * 1024;

/// How to connect.
///
/// ```
/// use dcrf_proto::websocket::Options;
///
/// let options = Options::default().max_incoming_message(1024 * 1024);
/// ```
#[derive(Clone)]
pub struct Options {
    pub(super) credentials: Credentials,
    max_incoming_message: usize,
    max_unwritten: usize,
    #[cfg(any(feature = "rustls", feature = "native-tls"))]
    pub(super) tls: Tls,
}

impl Options {
    /// What the client says of itself, see [`Credentials`].
    ///
    /// ```
    /// # use dcrf_proto::websocket::{Credentials, Options};
    /// let credentials = Credentials::new().header("authorization", "Token 9944b09199c62bcf9418");
    /// let options = Options::default().credentials(credentials);
    /// ```
    #[must_use]
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = credentials;
        self
    }

    /// The size of the largest message that is accepted from the server, in bytes: 4 MiB unless it is set
    /// here. A larger one ends the connection with [`ConnectionError::TooLarge`] (F5).
    ///
    /// ```
    /// # use dcrf_proto::websocket::Options;
    /// let options = Options::default().max_incoming_message(16 * 1024 * 1024);
    /// ```
    #[must_use]
    pub fn max_incoming_message(mut self, bytes: usize) -> Self {
        self.max_incoming_message = bytes;
        self
    }

    /// Which servers are trusted with `wss://`, and the certificate that is shown to them.
    ///
    /// What is wrong with it is told by the [`Builder`](super::Builder) before anything is dialled; where there is
    /// none, by [`connect`] as a [`ConnectionError::Certificate`], which ends a client.
    ///
    /// ```no_run
    /// use dcrf_proto::websocket::{Options, Tls};
    ///
    /// let tls = Tls::default().ca_certificate(std::fs::read("/etc/intranet/ca.pem")?);
    /// let options = Options::default().tls(tls);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[cfg(any(feature = "rustls", feature = "native-tls"))]
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = tls;
        self
    }

    /// Makes room for messages of this size to the server.
    pub(super) fn fit_outgoing(&mut self, bytes: usize) {
        self.max_unwritten = MAX_UNWRITTEN.max(bytes.saturating_mul(2));
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            credentials: Credentials::new(),
            max_incoming_message: 4 * 1024 * 1024,
            max_unwritten: MAX_UNWRITTEN,
            #[cfg(any(feature = "rustls", feature = "native-tls"))]
            tls: Tls::default(),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the TLS configuration, which may hold a client's key.
        f.debug_struct("Options")
            .field("credentials", &self.credentials)
            .field("max_incoming_message", &self.max_incoming_message)
            .finish_non_exhaustive()
    }
}

/// Makes a WebSocket of a byte stream that is connected to the endpoint's host and port.
///
/// The stream should have `TCP_NODELAY` set: without it, a second small frame waits for the
/// acknowledgement of the first, up to 40 ms.
///
/// ```
/// use dcrf_proto::ConnectionError;
/// use dcrf_proto::websocket::{Endpoint, MaybeTls, Options, WebSocket, connect};
/// use futures_io::{AsyncRead, AsyncWrite};
///
/// async fn dial<S>(tcp: S) -> Result<WebSocket<MaybeTls<S>>, ConnectionError>
/// where
///     S: AsyncRead + AsyncWrite + Unpin + Send,
/// {
///     let endpoint = Endpoint::parse("ws://localhost:8000/ws/").expect("a valid URL");
///     connect(&endpoint, tcp, &Options::default()).await
/// }
/// ```
///
/// # Errors
///
/// Why the attempt failed: [`ConnectionError::Http`] when the server answered with another status than 101
/// (redirects are not followed), [`ConnectionError::Certificate`] and [`ConnectionError::Tls`], [`ConnectionError::Protocol`] when the answer
/// is not that of a WebSocket server, [`ConnectionError::Dropped`] when there is none, [`ConnectionError::Io`];
/// [`ConnectionError::Credentials`] when those of the options are not valid.
///
/// # Cancel safety
///
/// Dropping the future drops the stream and ends the attempt. It has no time limit of its own.
pub async fn connect<S>(
    endpoint: &Endpoint,
    stream: S,
    options: &Options,
) -> Result<WebSocket<MaybeTls<S>>, ConnectionError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let mut stream = secure(endpoint, stream, options).await?;
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_write_buffer_size(options.max_unwritten)
        .max_message_size(Some(options.max_incoming_message))
        .max_frame_size(Some(options.max_incoming_message));
    let request = request(endpoint, &options.credentials)?;
    // The buffer that it reads the answer into would be kept as long as the connection, so it gets no more than the
    // answer, and frames are read with another.
    let (_, response) = client_async_with_config(request, Head::of(&mut stream), Some(config))
        .await
        .map_err(failure::handshake)?;
    let stream = WebSocketStream::from_raw_socket(stream, Role::Client, Some(config)).await;
    let protocol = response.headers().get(header::SEC_WEBSOCKET_PROTOCOL);
    let protocol = protocol.and_then(|name| name.to_str().ok()).map(str::to_owned);
    Ok(WebSocket::new(stream, options.max_incoming_message, protocol))
}

#[cfg(any(feature = "rustls", feature = "native-tls"))]
async fn secure<S>(
    endpoint: &Endpoint,
    stream: S,
    options: &Options,
) -> Result<MaybeTls<S>, ConnectionError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    options.tls.secure(endpoint, stream).await
}

/// An endpoint of a build without TLS is always plain (X2).
#[cfg(not(any(feature = "rustls", feature = "native-tls")))]
#[expect(clippy::unused_async, reason = "the same shape as with TLS")]
async fn secure<S>(
    _endpoint: &Endpoint,
    stream: S,
    _options: &Options,
) -> Result<MaybeTls<S>, ConnectionError> {
    Ok(MaybeTls::plain(stream))
}

fn request(endpoint: &Endpoint, credentials: &Credentials) -> Result<Request, ConnectionError> {
    credentials.check()?;
    let mut request = Request::get(endpoint.uri())
        .header(header::HOST, endpoint.authority())
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_VERSION, "13")
        .header(header::SEC_WEBSOCKET_KEY, generate_key())
        // As a browser on the server's own pages: Django's check of the origin refuses who has none.
        .header(header::ORIGIN, endpoint.origin())
        .body(())
        .map_err(|_| {
            ConnectionError::Protocol("the request of the handshake can't be written".to_owned())
        })?;
    request.headers_mut().extend(credentials.headers());
    Ok(request)
}
