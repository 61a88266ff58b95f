//! Turns a byte stream into a WebSocket: TLS for `wss://`, then the HTTP handshake.

use std::fmt;

use async_tungstenite::tungstenite::handshake::client::{Request, generate_key};
use async_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use async_tungstenite::{WebSocketStream, client_async_with_config};
use futures_io::{AsyncRead, AsyncWrite};
use http::header;

#[cfg(any(feature = "rustls", feature = "native-tls"))]
use super::Tls;
use super::frames::Frames;
use super::{Credentials, Endpoint, MaybeTls, WebSocket, failure};
use crate::config::Config;
use crate::error::ConnectionError;
use crate::protocol::framing::Framing;

/// The size of tungstenite's read buffer, which each connection keeps even while it is idle, and which is zeroed before
/// each read. Below 1 KiB, tungstenite allocates a new buffer for each frame. 1.5 KiB hold about six typical events,
/// and 4 KiB are only slightly faster. [`MaybeTls`] reads larger chunks from the network.
const READ_BUFFER: usize = 1536;

/// Frames are written once this many bytes are buffered, or at a flush.
const WRITE_BUFFER: usize = 16 * 1024;

/// How many bytes may be buffered for a server that does not read. This includes pongs, so that a server can't make the
/// buffer grow without limit.
const MAX_UNWRITTEN: usize = 4 * 1024 * 1024;

/// Options of [`connect`].
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
    /// How deep the objects of an envelope are.
    envelope_depth: usize,
    #[cfg(any(feature = "rustls", feature = "native-tls"))]
    pub(super) tls: Tls,
    #[cfg(feature = "fake-server")]
    pub(super) recorder: Option<super::recorder::Recorder>,
}

impl Options {
    /// Sets the headers, cookies and subprotocols of the handshake, see [`Credentials`].
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

    /// Sets the size limit of a message from the server, in bytes. The default is 4 MiB. Of a larger text message only
    /// the envelope is kept ([`Frame::TooLarge`](crate::Frame::TooLarge)). If it has no small envelope, or is fragmented,
    /// binary, or over 64 MiB, it ends the connection with [`ConnectionError::TooLarge`].
    #[must_use]
    pub fn max_incoming_message(mut self, bytes: usize) -> Self {
        self.max_incoming_message = bytes;
        self
    }

    /// Sets the trusted certificates and the client's certificate for `wss://`.
    ///
    /// If they are invalid, [`connect`] fails with [`ConnectionError::Certificate`]. A [`Builder`](super::Builder)
    /// reports that before connecting.
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

    /// Makes the write buffer large enough for messages to the server, and takes the framing.
    pub(super) fn fit(&mut self, config: &Config) {
        self.max_unwritten = MAX_UNWRITTEN.max(config.max_outgoing_message.saturating_mul(2));
        self.envelope_depth = envelope_depth(config.framing);
    }
}

fn envelope_depth(framing: Framing) -> usize {
    match framing {
        Framing::Multiplexed => 2,
        Framing::Bare => 1,
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            credentials: Credentials::new(),
            max_incoming_message: 4 * 1024 * 1024,
            max_unwritten: MAX_UNWRITTEN,
            envelope_depth: envelope_depth(Framing::Multiplexed),
            #[cfg(any(feature = "rustls", feature = "native-tls"))]
            tls: Tls::default(),
            #[cfg(feature = "fake-server")]
            recorder: None,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the TLS options, which may contain a private key.
        f.debug_struct("Options")
            .field("credentials", &self.credentials)
            .field("max_incoming_message", &self.max_incoming_message)
            .finish_non_exhaustive()
    }
}

/// Turns a byte stream that is connected to the endpoint's host and port into a WebSocket.
///
/// A TCP stream should have `TCP_NODELAY` set. Otherwise a second small frame waits for the acknowledgement of the
/// first, up to 40 ms.
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
/// - [`ConnectionError::Http`]: the server responded with a status other than 101. Redirects are not followed.
/// - [`ConnectionError::Protocol`]: the response is not that of a WebSocket server.
/// - [`ConnectionError::Dropped`]: the server closed the stream before it responded.
/// - [`ConnectionError::Certificate`] and [`ConnectionError::Tls`]: TLS failed.
/// - [`ConnectionError::Io`]: reading or writing failed.
/// - [`ConnectionError::Credentials`]: the credentials in the options are invalid.
///
/// # Cancel safety
///
/// Dropping the future drops the stream and ends the attempt. There is no timeout.
pub async fn connect<S>(
    endpoint: &Endpoint,
    stream: S,
    options: &Options,
) -> Result<WebSocket<MaybeTls<S>>, ConnectionError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let stream = secure(endpoint, stream, options).await?;
    connect_over(endpoint, stream, options).await
}

/// Performs the handshake of the WebSocket over a stream that has TLS already, if it needs TLS.
pub(super) async fn connect_over<S>(
    endpoint: &Endpoint,
    mut stream: MaybeTls<S>,
    options: &Options,
) -> Result<WebSocket<MaybeTls<S>>, ConnectionError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_write_buffer_size(options.max_unwritten)
        .max_message_size(Some(options.max_incoming_message))
        .max_frame_size(Some(options.max_incoming_message));
    let request = request(endpoint, &options.credentials)?;
    // tungstenite would keep the buffer of the handshake for the whole connection. So let it read only the head of the
    // response, and then create a new WebSocket.
    stream.start_handshake();
    let (socket, response) = client_async_with_config(request, stream, Some(config))
        .await
        .map_err(failure::handshake)?;
    let mut stream = socket.into_inner();
    stream.end_handshake(Frames::new(options.max_incoming_message, options.envelope_depth));
    let stream = WebSocketStream::from_raw_socket(stream, Role::Client, Some(config)).await;
    let protocol = response.headers().get(header::SEC_WEBSOCKET_PROTOCOL);
    let protocol = protocol.and_then(|name| name.to_str().ok()).map(str::to_owned);
    let socket = WebSocket::new(stream, options.max_incoming_message, protocol);
    #[cfg(feature = "fake-server")]
    let socket = socket.recorded(options.recorder.as_ref());
    Ok(socket)
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

/// Without TLS, [`Endpoint::parse`] rejects `wss://`.
#[cfg(not(any(feature = "rustls", feature = "native-tls")))]
#[expect(clippy::unused_async, reason = "the same signature as with TLS")]
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
        // As a browser sends it from the server's own pages. Channels' origin check rejects a handshake without one.
        .header(header::ORIGIN, endpoint.origin())
        .body(())
        .map_err(|_| {
            ConnectionError::Protocol("the request of the handshake can't be written".to_owned())
        })?;
    request.headers_mut().extend(credentials.headers());
    Ok(request)
}
