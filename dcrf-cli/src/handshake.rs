//! The two handshakes of a WebSocket whose frames are passed on unchanged: a client's, and ours with the server.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_tungstenite::WebSocketStream;
use async_tungstenite::tokio::TokioAdapter;
use async_tungstenite::tungstenite::handshake::machine::TryParse;
use async_tungstenite::tungstenite::handshake::{client, derive_accept_key, server};
use async_tungstenite::tungstenite::http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use async_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::connection::Target;
use crate::connection::stream::Stream;
use crate::connection::token::{self, TokenAs};
use crate::failure::{Code, Failure};

pub(crate) type Socket = WebSocketStream<TokioAdapter<Stream>>;

/// The most bytes of a request or response without its body.
const HEAD: usize = 64 * 1024;
/// How long a client may take for its request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Headers that belong to one of the two connections.
const OF_ONE_CONNECTION: [&str; 16] = [
    "host",
    "connection",
    "upgrade",
    "sec-websocket-key",
    "sec-websocket-version",
    "sec-websocket-extensions",
    "sec-websocket-protocol",
    "cookie",
    "origin",
    "content-length",
    "transfer-encoding",
    "proxy-authorization",
    "proxy-connection",
    "keep-alive",
    "te",
    "trailer",
];

/// A client whose handshake has not been answered.
pub(crate) struct Incoming {
    stream: TcpStream,
    rest: Vec<u8>,
    pub(crate) request: server::Request,
    response: server::Response,
}

impl Incoming {
    /// Reads the request. Another request than that of a WebSocket is answered, and gives `None`.
    pub(crate) async fn read(mut stream: TcpStream) -> io::Result<Option<Self>> {
        stream.set_nodelay(true)?;
        let read = timeout(REQUEST_TIMEOUT, head::<server::Request>(&mut stream)).await;
        let (request, rest) = read.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        if let Ok(response) = server::create_response(&request) {
            return Ok(Some(Self { stream, rest, request, response }));
        }
        let body = b"This is the address of a WebSocket.\n";
        respond(&mut stream, "400 Bad Request", body).await?;
        Ok(None)
    }

    /// The path and query of the request.
    pub(crate) fn path_and_query(&self) -> &str {
        self.request.uri().path_and_query().map_or("/", |both| both.as_str())
    }

    /// The subprotocols that the client offers.
    pub(crate) fn subprotocols(&self) -> Vec<&str> {
        let values = self.request.headers().get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
        let values = values.filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',').map(str::trim)).collect()
    }

    /// Opens the WebSocket, with a subprotocol that the client has offered.
    pub(crate) async fn accept(mut self, subprotocol: Option<&str>) -> io::Result<Socket> {
        let chosen = subprotocol.filter(|name| self.subprotocols().contains(name));
        let chosen = chosen.and_then(|name| HeaderValue::try_from(name).ok());
        if let Some(chosen) = chosen {
            self.response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, chosen);
        }
        let mut bytes = Vec::new();
        server::write_response(&mut bytes, &self.response).map_err(io::Error::other)?;
        self.stream.write_all(&bytes).await?;
        Ok(socket(Box::new(self.stream), self.rest, Role::Server).await)
    }

    /// Answers with an HTTP error.
    pub(crate) async fn reject(mut self, status: u16) -> io::Result<()> {
        let status =
            server::Response::builder().status(status).body(()).map_err(io::Error::other)?;
        respond(&mut self.stream, &status.status().to_string(), b"").await
    }
}

async fn respond(stream: &mut TcpStream, status: &str, body: &[u8]) -> io::Result<()> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body).await?;
    stream.shutdown().await
}

/// Reads a request or response, and what has come behind it.
async fn head<T: TryParse>(
    stream: &mut (impl tokio::io::AsyncRead + Unpin),
) -> io::Result<(T, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        if let Some((length, head)) = T::try_parse(&bytes).map_err(io::Error::other)? {
            return Ok((head, bytes.split_off(length)));
        }
        if bytes.len() > HEAD {
            return Err(io::Error::other("the headers are too long"));
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// A WebSocket without a limit for a message: what one side can send, the other gets.
async fn socket(stream: Stream, rest: Vec<u8>, role: Role) -> Socket {
    let config = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
    WebSocketStream::from_partially_read(TokioAdapter::new(stream), rest, role, Some(config)).await
}

/// What a client has sent, which goes to the server unless an option overrides it.
#[derive(Default)]
pub(crate) struct Passed<'a> {
    pub(crate) headers: HeaderMap,
    pub(crate) path_and_query: Option<&'a str>,
    pub(crate) subprotocols: Vec<&'a str>,
}

/// An open WebSocket to the server.
pub(crate) struct Dialed {
    pub(crate) socket: Socket,
    pub(crate) subprotocol: Option<String>,
}

/// Why there is no WebSocket to the server.
pub(crate) enum DialError {
    /// The server has answered with this HTTP status.
    Status(u16),
    Failed(Failure),
}

impl From<DialError> for Failure {
    fn from(error: DialError) -> Self {
        match error {
            DialError::Status(status @ (401 | 403)) => Failure::new(
                Code::NotAuthorized,
                format!("the server rejected the handshake with HTTP status {status}"),
            ),
            DialError::Status(status) => Failure::new(
                Code::CannotConnect,
                format!("the server answered the handshake with HTTP status {status}"),
            ),
            DialError::Failed(failure) => failure,
        }
    }
}

impl From<Failure> for DialError {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<io::Error> for DialError {
    fn from(error: io::Error) -> Self {
        let message = format!("the connection to the server failed: {error}");
        Self::Failed(Failure::new(Code::CannotConnect, message))
    }
}

/// Connects to a server.
pub(crate) struct Dialer {
    target: Target,
    uri: Uri,
    /// Whether the server has rejected the last token.
    is_rejected: AtomicBool,
}

impl Dialer {
    /// # Errors
    ///
    /// The URL has characters that no URL has.
    pub(crate) fn new(target: &Target) -> Result<Self, Failure> {
        let uri = target
            .url
            .parse()
            .map_err(|_| Failure::usage("the URL has a character that must be written as %XX"))?;
        Ok(Self { target: target.clone(), uri, is_rejected: AtomicBool::new(false) })
    }

    /// The origin that a browser would send from a page of the server.
    pub(crate) fn origin(&self) -> String {
        let scheme = if self.target.endpoint.is_tls() { "https" } else { "http" };
        format!("{scheme}://{}", self.host())
    }

    fn host(&self) -> String {
        let endpoint = &self.target.endpoint;
        let (host, port) = (endpoint.host(), endpoint.port());
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let default = if endpoint.is_tls() { 443 } else { 80 };
        if port == default { host } else { format!("{host}:{port}") }
    }

    pub(crate) async fn dial(&self, passed: Passed<'_>) -> Result<Dialed, DialError> {
        let dialed = timeout(self.target.connect_timeout, self.handshake(passed)).await;
        let dialed = dialed.unwrap_or_else(|_| {
            let message = "the server did not answer the handshake in time";
            Err(Failure::new(Code::CannotConnect, message).into())
        });
        let is_rejected = matches!(dialed, Err(DialError::Status(401 | 403)));
        self.is_rejected.store(is_rejected, Ordering::Relaxed);
        dialed
    }

    async fn handshake(&self, passed: Passed<'_>) -> Result<Dialed, DialError> {
        let key = client::generate_key();
        let request = self.request(passed, &key).await?;
        let mut stream = self.open().await?;
        stream.write_all(&request).await?;
        stream.flush().await?;
        let (response, rest) = head::<client::Response>(&mut stream).await?;
        if response.status() != 101 {
            return Err(DialError::Status(response.status().as_u16()));
        }
        let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        if text(header::SEC_WEBSOCKET_ACCEPT) != Some(&derive_accept_key(key.as_bytes())) {
            let message = "the server's handshake is not that of a WebSocket";
            return Err(Failure::new(Code::CannotConnect, message).into());
        }
        let subprotocol = text(header::SEC_WEBSOCKET_PROTOCOL).map(str::to_owned);
        Ok(Dialed { socket: socket(stream, rest, Role::Client).await, subprotocol })
    }

    async fn open(&self) -> Result<Stream, DialError> {
        let stream = self.target.route.clone().open(self.target.endpoint.clone()).await?;
        let Some(config) = &self.target.tls else { return Ok(stream) };
        let name = ServerName::try_from(self.target.endpoint.host().to_owned());
        let name = name.map_err(io::Error::other)?;
        Ok(Box::new(TlsConnector::from(config.clone()).connect(name, stream).await?))
    }

    /// The request: what the client has sent, overridden by the options, with the token.
    async fn request(&self, passed: Passed<'_>, key: &str) -> Result<Vec<u8>, Failure> {
        let Passed { mut headers, path_and_query, subprotocols } = passed;
        let mut cookies = self.cookies(&headers);
        let origin = headers.get(header::ORIGIN).cloned();
        for name in OF_ONE_CONNECTION {
            headers.remove(name);
        }
        let mut path_and_query = self.path_and_query(path_and_query);
        let mut subprotocols: Vec<_> = subprotocols.into_iter().map(str::to_owned).collect();
        if !self.target.subprotocols.is_empty() {
            subprotocols.clone_from(&self.target.subprotocols);
        }
        match &self.target.origin {
            Some(origin) => set(&mut headers, "origin", origin)?,
            None => _ = origin.map(|origin| headers.insert(header::ORIGIN, origin)),
        }
        for (name, value) in &self.target.headers {
            set(&mut headers, name, value)?;
        }
        if let Some(token) = self.token().await? {
            match &self.target.token_as {
                TokenAs::Bearer => set(&mut headers, "authorization", &format!("Bearer {token}"))?,
                TokenAs::Token => set(&mut headers, "authorization", &format!("Token {token}"))?,
                TokenAs::Header(name) => set(&mut headers, name, &token)?,
                TokenAs::Cookie(name) => put_cookie(&mut cookies, name, &token),
                TokenAs::Query(name) => path_and_query = with_query(&path_and_query, name, &token),
                TokenAs::Subprotocol => subprotocols.push(token),
            }
        }
        if !cookies.is_empty() {
            let cookies = cookies.iter().map(|(name, value)| format!("{name}={value}"));
            set(&mut headers, "cookie", &cookies.collect::<Vec<_>>().join("; "))?;
        }
        if !subprotocols.is_empty() {
            set(&mut headers, "sec-websocket-protocol", &subprotocols.join(", "))?;
        }
        let mut request = format!(
            "GET {path_and_query} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n",
            self.host()
        )
        .into_bytes();
        for (name, value) in &headers {
            request.extend(name.as_str().bytes().chain(*b": "));
            request.extend(value.as_bytes().iter().chain(b"\r\n"));
        }
        request.extend(b"\r\n");
        Ok(request)
    }

    /// The URL's, and what it leaves open from the client's.
    fn path_and_query(&self, client: Option<&str>) -> String {
        let ours = (self.uri.path(), self.uri.query());
        let theirs = client.map(|both| {
            both.split_once('?').map_or((both, None), |(path, query)| (path, Some(query)))
        });
        let (path, query) = match (ours, theirs) {
            (("/" | "", None), Some(theirs)) => theirs,
            ((path, None), Some((_, query))) => (path, query),
            (ours, _) => ours,
        };
        let path = if path.is_empty() { "/" } else { path };
        query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"))
    }

    /// The client's cookies, replaced by those of the options.
    fn cookies(&self, headers: &HeaderMap) -> Vec<(String, String)> {
        let mut cookies = Vec::new();
        let values = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        for (name, value) in
            values.flat_map(|value| value.split(';')).filter_map(|one| one.split_once('='))
        {
            put_cookie(&mut cookies, name.trim(), value.trim());
        }
        for (name, value) in &self.target.cookies {
            put_cookie(&mut cookies, name, value);
        }
        cookies
    }

    async fn token(&self) -> Result<Option<String>, Failure> {
        let Some(command) = &self.target.token_cmd else { return Ok(None) };
        let token = token::run(command, self.is_rejected.load(Ordering::Relaxed)).await;
        token.map(Some).map_err(|error| Failure::new(Code::NotAuthorized, error.to_string()))
    }
}

fn put_cookie(cookies: &mut Vec<(String, String)>, name: &str, value: &str) {
    cookies.retain(|(other, _)| other != name);
    cookies.push((name.to_owned(), value.to_owned()));
}

fn with_query(path_and_query: &str, name: &str, value: &str) -> String {
    let separator = if path_and_query.contains('?') { '&' } else { '?' };
    let value = percent_encoding::utf8_percent_encode(value, percent_encoding::NON_ALPHANUMERIC);
    format!("{path_and_query}{separator}{name}={value}")
}

/// Sets a header. An error does not show its value.
fn set(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), Failure> {
    let wrong = |what: &str| {
        Failure::usage(format!(
            "the {what} of the header {name:?} has a character that it must not have"
        ))
    };
    let field = HeaderName::try_from(name).map_err(|_| wrong("name"))?;
    let value = HeaderValue::try_from(value).map_err(|_| wrong("value"))?;
    headers.insert(field, value);
    Ok(())
}
