//! One HTTP request to the server, usually the handshake of a WebSocket, and all that comes back.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_tungstenite::tungstenite::handshake::client::generate_key;
use async_tungstenite::tungstenite::handshake::derive_accept_key;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::upgrade::Upgraded;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, ClientConfig};

use crate::connection::stream::Stream;
use crate::connection::token::{self, TokenAs};
use crate::connection::{Target, stream::Route};

/// The most bytes of an answer's body that are read. Its beginning shows who wrote it.
const BODY_LIMIT: usize = 16 << 10;
/// How long the body of an answer may take. Some servers send no length and keep the connection open.
const BODY_TIME: Duration = Duration::from_secs(1);

/// The timeout of a probe that only distinguishes causes.
pub(super) const PROBE_TIME: Duration = Duration::from_secs(5);

/// Connects to the server.
pub(super) struct Dialer {
    pub(super) target: Target,
    /// The first address that has accepted a connection. `None` with a proxy or a Unix socket.
    address: Option<SocketAddr>,
}

/// What to ask for.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    /// The path and the query.
    pub(super) path: String,
    pub(super) origin: Option<String>,
    /// Asks for a WebSocket.
    pub(super) upgrade: bool,
    /// Offers compression.
    pub(super) deflate: bool,
}

/// What an HTTP server answers, if not with a WebSocket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) server: String,
    pub(super) location: String,
    /// The beginning.
    pub(super) body: String,
}

pub(super) enum Exchange {
    /// The server has switched to a WebSocket.
    Switched {
        headers: HeaderMap,
        stream: TokioIo<Upgraded>,
    },
    Answered(Answer),
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum DialError {
    Connect(io::Error),
    /// TLS, also with an alert after its handshake.
    Tls(rustls::Error),
    /// The connection is established, and no answer comes in this time.
    Silent(Duration),
    /// The server closes the connection before it answers, or answers something that is not HTTP.
    NotHttp(String),
    /// A header, or the token's command.
    Credentials(String),
    /// The server answers 101, but not to this handshake.
    WrongAccept,
}

impl Dialer {
    pub(super) fn new(target: Target, address: Option<SocketAddr>) -> Self {
        Self { target, address }
    }

    /// The handshake as the client makes it.
    pub(super) fn usual(&self) -> Ask {
        Ask {
            path: path_and_query(&self.target.url),
            origin: Some(self.origin()),
            upgrade: true,
            deflate: false,
        }
    }

    fn origin(&self) -> String {
        self.target.origin.clone().unwrap_or_else(|| self.own_origin())
    }

    /// The origin of the server's own pages.
    pub(super) fn own_origin(&self) -> String {
        let scheme = if self.target.endpoint.is_tls() { "https" } else { "http" };
        format!("{scheme}://{}", self.host())
    }

    /// The header `Host`.
    pub(super) fn host(&self) -> String {
        let endpoint = &self.target.endpoint;
        let host = endpoint.host();
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let default_port = if endpoint.is_tls() { 443 } else { 80 };
        if endpoint.port() == default_port { host } else { format!("{host}:{}", endpoint.port()) }
    }

    /// Whether the handshake says who the user is.
    pub(super) fn has_credentials(&self) -> bool {
        let target = &self.target;
        target.token_cmd.is_some()
            || !target.cookies.is_empty()
            || target.headers.iter().any(|(name, _)| sounds_secret(name))
            // The second is usually a token.
            || target.subprotocols.len() > 1
            || target.url.split_once('?').is_some_and(|(_, query)| sounds_secret(query))
    }

    /// A stream of bytes, without TLS.
    pub(super) async fn stream(&self) -> io::Result<Stream> {
        let opening = async {
            match (&self.target.route, self.address) {
                (Route::Tcp, Some(address)) => {
                    let stream = TcpStream::connect(address).await?;
                    stream.set_nodelay(true)?;
                    Ok(Box::new(stream) as Stream)
                }
                (route, _) => route.clone().open(self.target.endpoint.clone()).await,
            }
        };
        timeout(self.target.connect_timeout, opening)
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// A TLS connection with this configuration.
    pub(super) async fn tls(
        &self,
        config: Arc<ClientConfig>,
    ) -> Result<TlsStream<Stream>, DialError> {
        let stream = self.stream().await.map_err(DialError::Connect)?;
        let name = ServerName::try_from(self.target.endpoint.host().to_owned())
            .map_err(|error| DialError::NotHttp(error.to_string()))?;
        let connecting = TlsConnector::from(config).connect(name, stream);
        match timeout(self.target.connect_timeout, connecting).await {
            Ok(connected) => connected.map_err(|error| from_error(&error)),
            Err(_) => Err(DialError::Silent(self.target.connect_timeout)),
        }
    }

    /// A TLS handshake whose result does not matter, only what its configuration learns.
    pub(super) async fn probe_tls(&self, config: ClientConfig) {
        let _ = timeout(PROBE_TIME, self.tls(Arc::new(config))).await;
    }

    /// Asks, over TLS if the URL has it.
    pub(super) async fn ask(&self, ask: &Ask) -> Result<Exchange, DialError> {
        let stream = match &self.target.tls {
            Some(config) => Box::new(self.tls(Arc::clone(config)).await?) as Stream,
            None => self.stream().await.map_err(DialError::Connect)?,
        };
        self.ask_on(stream, ask).await
    }

    /// The answer to the handshake, if it is not a WebSocket.
    pub(super) async fn answer(&self, ask: &Ask) -> Option<Answer> {
        match self.ask(ask).await {
            Ok(Exchange::Answered(answer)) => Some(answer),
            _ => None,
        }
    }

    pub(super) async fn ask_on(&self, stream: Stream, ask: &Ask) -> Result<Exchange, DialError> {
        let request = self.request(ask).await.map_err(DialError::Credentials)?;
        let key = request.headers().get(header::SEC_WEBSOCKET_KEY).cloned();
        let exchanging = async {
            let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
            let (mut sender, connection) = handshake.map_err(|error| from_error(&error))?;
            tokio::spawn(connection.with_upgrades());
            sender.send_request(request).await.map_err(|error| from_error(&error))
        };
        let limit = self.target.connect_timeout;
        let response = timeout(limit, exchanging).await.map_err(|_| DialError::Silent(limit))??;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Ok(Exchange::Answered(Answer::read(response).await));
        }
        let headers = response.headers().clone();
        let accept = headers.get(header::SEC_WEBSOCKET_ACCEPT).map(HeaderValue::as_bytes);
        let expected = key.map(|key| derive_accept_key(key.as_bytes()));
        if accept != expected.as_deref().map(str::as_bytes) {
            return Err(DialError::WrongAccept);
        }
        let upgraded = hyper::upgrade::on(response).await.map_err(|error| from_error(&error))?;
        Ok(Exchange::Switched { headers, stream: TokioIo::new(upgraded) })
    }

    async fn request(&self, ask: &Ask) -> Result<Request<Empty<Bytes>>, String> {
        let target = &self.target;
        let token = match &target.token_cmd {
            Some(command) => {
                Some(token::run(command, false).await.map_err(|error| error.to_string())?)
            }
            None => None,
        };
        let token = token.as_deref().map(|token| (&target.token_as, token));
        let mut headers = HeaderMap::new();
        set(&mut headers, "host", &self.host())?;
        if let Some(origin) = &ask.origin {
            set(&mut headers, "origin", origin)?;
        }
        if ask.upgrade {
            self.ask_for_upgrade(&mut headers, ask, token)?;
        }
        for (name, value) in &target.headers {
            set(&mut headers, name, value)?;
        }
        let mut cookies = target.cookies.clone();
        match token {
            Some((TokenAs::Bearer, token)) => {
                set(&mut headers, "authorization", &format!("Bearer {token}"))?;
            }
            Some((TokenAs::Token, token)) => {
                set(&mut headers, "authorization", &format!("Token {token}"))?;
            }
            Some((TokenAs::Header(name), token)) => set(&mut headers, name, token)?,
            Some((TokenAs::Cookie(name), token)) => {
                cookies.retain(|(other, _)| other != name);
                cookies.push((name.clone(), token.to_owned()));
            }
            Some((TokenAs::Query(_) | TokenAs::Subprotocol, _)) | None => {}
        }
        if !cookies.is_empty() {
            let pairs: Vec<_> =
                cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            set(&mut headers, "cookie", &pairs.join("; "))?;
        }
        let mut request = Request::get(path_with_token(&ask.path, token))
            .body(Empty::new())
            .map_err(|_| "the path can't be sent".to_owned())?;
        *request.headers_mut() = headers;
        Ok(request)
    }

    fn ask_for_upgrade(
        &self,
        headers: &mut HeaderMap,
        ask: &Ask,
        token: Option<(&TokenAs, &str)>,
    ) -> Result<(), String> {
        set(headers, "connection", "Upgrade")?;
        set(headers, "upgrade", "websocket")?;
        set(headers, "sec-websocket-version", "13")?;
        set(headers, "sec-websocket-key", &generate_key())?;
        if ask.deflate {
            set(headers, "sec-websocket-extensions", "permessage-deflate; client_max_window_bits")?;
        }
        let mut offered = self.target.subprotocols.clone();
        if let Some((TokenAs::Subprotocol, token)) = token {
            offered.push(token.to_owned());
        }
        if !offered.is_empty() {
            set(headers, "sec-websocket-protocol", &offered.join(", "))?;
        }
        Ok(())
    }
}

impl Answer {
    async fn read(response: Response<Incoming>) -> Self {
        let (head, mut body) = response.into_parts();
        let mut read = Vec::new();
        let reading = async {
            while let Some(Ok(frame)) = body.frame().await {
                read.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
                if read.len() > BODY_LIMIT {
                    break;
                }
            }
        };
        // What has come until then is enough.
        let _ = timeout(BODY_TIME, reading).await;
        let text = |name: HeaderName| {
            let value = head.headers.get(name).map(HeaderValue::as_bytes).unwrap_or_default();
            String::from_utf8_lossy(value).into_owned()
        };
        Self {
            status: head.status.as_u16(),
            server: text(header::SERVER),
            location: text(header::LOCATION),
            body: String::from_utf8_lossy(&read).into_owned(),
        }
    }
}

/// Whether the name of a header, or a query, has a word for credentials.
fn sounds_secret(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    ["auth", "cookie", "token", "ticket", "jwt", "key", "session"]
        .iter()
        .any(|word| text.contains(word))
}

/// Names no value: it can be a secret.
fn set(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), String> {
    let wrong =
        |_| format!("the header {name:?} can't be sent: it has a character that HTTP forbids");
    let mut value = HeaderValue::try_from(value).map_err(wrong)?;
    value.set_sensitive(true);
    let name =
        HeaderName::try_from(name).map_err(|_| format!("{name:?} is no name of a header"))?;
    headers.insert(name, value);
    Ok(())
}

fn path_and_query(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    match rest.find(['/', '?']).map(|at| &rest[at..]) {
        Some(query) if query.starts_with('?') => format!("/{query}"),
        Some(path) => path.to_owned(),
        None => "/".to_owned(),
    }
}

fn path_with_token(path: &str, token: Option<(&TokenAs, &str)>) -> String {
    let Some((TokenAs::Query(name), token)) = token else { return path.to_owned() };
    let separator = if path.contains('?') { '&' } else { '?' };
    format!("{path}{separator}{name}={}", utf8_percent_encode(token, NON_ALPHANUMERIC))
}

/// The error of TLS is below those of hyper and of the operating system.
fn from_error(error: &(dyn Error + 'static)) -> DialError {
    let mut next = Some(error);
    while let Some(current) = next {
        let within = current.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let tls = within.and_then(|within| within.downcast_ref::<rustls::Error>());
        if let Some(tls) = tls.or_else(|| current.downcast_ref()) {
            return DialError::Tls(tls.clone());
        }
        next = match within {
            Some(within) => Some(within),
            None => current.source(),
        };
    }
    let cause = error.source().map(|source| format!(": {source}")).unwrap_or_default();
    DialError::NotHttp(format!("{error}{cause}"))
}

/// The time since then, with a unit that suits.
pub(super) fn elapsed(started: Instant) -> String {
    let millis = started.elapsed().as_secs_f64() * 1000.0;
    if millis < 10.0 { format!("{millis:.1} ms") } else { format!("{millis:.0} ms") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_of_a_url_is_sent_with_its_query() {
        let table = [
            ("ws://h/ws/?a=1", "/ws/?a=1"),
            ("ws://h", "/"),
            ("ws://h?a=1", "/?a=1"),
            ("wss://h:1/a/b", "/a/b"),
        ];
        for (url, path) in table {
            assert_eq!(path_and_query(url), path);
        }
        let as_query = TokenAs::Query("token".into());
        assert_eq!(path_with_token("/ws/?a=1", Some((&as_query, "x y"))), "/ws/?a=1&token=x%20y");
        assert_eq!(path_with_token("/ws/", Some((&TokenAs::Bearer, "x"))), "/ws/");
    }

    #[test]
    fn error_of_tls_is_found_below_others() {
        let tls = rustls::Error::AlertReceived(rustls::AlertDescription::CertificateRequired);
        let nested = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, tls.clone()));
        assert!(matches!(from_error(&nested), DialError::Tls(found) if found == tls));
        assert!(matches!(from_error(&io::Error::other("x")), DialError::NotHttp(_)));
    }

    #[test]
    fn error_about_a_header_does_not_show_its_value() {
        let error = set(&mut HeaderMap::new(), "x-token", "hunter2\n").unwrap_err();
        assert!(error.contains("x-token") && !error.contains("hunter2"));
    }
}
