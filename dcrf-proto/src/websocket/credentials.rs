//! Headers, cookies and subprotocols of the handshake. They are validated when they are set, and their values are
//! never shown (X1, X3).

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::header_list::HeaderList;
use super::{Endpoint, UrlError};
use crate::error::ConnectionError;
use crate::transmit::Attempt;

/// Headers, cookies and subprotocols to send in the handshake, and the URL if it contains a token.
///
/// The methods can be chained: [`connect`](super::Builder::connect) reports the first invalid value, before it
/// connects. `Debug` shows only the names of the headers.
///
/// ```
/// use dcrf_proto::websocket::Credentials;
///
/// let credentials = Credentials::new()
///     .header("authorization", "Token 9944b09199c62bcf9418")
///     .cookie("sessionid", "u1bl9vpf0ohzy2ht");
/// assert_eq!(format!("{credentials:?}"), r#"Credentials { headers: ["authorization", "cookie"], .. }"#);
/// ```
#[derive(Clone)]
pub struct Credentials {
    /// Boxed, since it is rarely set.
    url: Option<Box<Endpoint>>,
    /// All headers except the two lists.
    headers: HeaderMap,
    cookies: HeaderList,
    subprotocols: HeaderList,
    error: Option<InvalidCredentials>,
}

/// Why a header, cookie, subprotocol or URL is invalid.
///
/// Messages never contain a value.
///
/// ```
/// use dcrf_proto::websocket::InvalidCredentials;
///
/// let invalid = InvalidCredentials::ReservedHeader("upgrade".to_owned());
/// assert_eq!(invalid.to_string(), "the header `upgrade` is reserved for the handshake");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidCredentials {
    /// The name of a header is empty or contains an invalid character.
    #[error("the name of a header is empty or contains an invalid character")]
    HeaderName,
    /// The client sets this header itself, for example `Upgrade`, or the header has no place in a handshake.
    #[error("the header `{0}` is reserved for the handshake")]
    ReservedHeader(String),
    /// The value of a header contains a line break, another control character, or a non-ASCII character.
    #[error("the value of the header `{0}` contains a control or non-ASCII character")]
    HeaderValue(String),
    /// There are more than 1,000 headers.
    #[error("there are more than {MOST_HEADERS} headers")]
    TooManyHeaders,
    /// The name or value of a cookie contains a character that must be encoded, such as `;` or a space.
    #[error(
        "the cookie is invalid: encode spaces, commas, semicolons, quotes, backslashes and non-ASCII characters"
    )]
    Cookie,
    /// A subprotocol is empty or contains an invalid character.
    #[error("the subprotocol is invalid: only letters, digits and !#$%&'*+-.^_`|~ are allowed")]
    Subprotocol,
    /// The URL is invalid.
    #[error(transparent)]
    Url(#[from] UrlError),
}

/// The most headers. No server accepts so many.
const MOST_HEADERS: usize = 1_000;

/// Headers that the handshake sets, and headers that would give the request a body.
const RESERVED: [HeaderName; 9] = [
    header::HOST,
    header::CONNECTION,
    header::UPGRADE,
    header::SEC_WEBSOCKET_VERSION,
    header::SEC_WEBSOCKET_KEY,
    header::SEC_WEBSOCKET_ACCEPT,
    header::SEC_WEBSOCKET_EXTENSIONS,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
];

impl Credentials {
    /// Returns empty credentials.
    pub fn new() -> Self {
        Self {
            url: None,
            headers: HeaderMap::new(),
            cookies: HeaderList::cookies(),
            subprotocols: HeaderList::subprotocols(),
            error: None,
        }
    }

    /// Sets the URL to connect to, in place of the builder's. Use it for a token in the query.
    ///
    /// ```
    /// # use dcrf_proto::websocket::Credentials;
    /// # let token = "9944b09199c62bcf9418";
    /// let credentials = Credentials::new().url(&format!("wss://example.com/ws/?token={token}"));
    /// ```
    #[must_use]
    pub fn url(mut self, url: &str) -> Self {
        match Endpoint::parse(url) {
            Ok(endpoint) => self.url = Some(Box::new(endpoint)),
            Err(error) => self.fail(error.into()),
        }
        self
    }

    /// Sets a header, replacing one of the same name. `Cookie` and `Sec-WebSocket-Protocol` replace everything
    /// set with [`cookie`](Self::cookie) and [`subprotocol`](Self::subprotocol).
    ///
    /// ```
    /// # use dcrf_proto::websocket::Credentials;
    /// let credentials = Credentials::new().header("authorization", "Token 9944b09199c62bcf9418");
    /// ```
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        match check_header(name, value) {
            Ok((header::COOKIE, _)) => self.cookies.replace(value),
            Ok((header::SEC_WEBSOCKET_PROTOCOL, _)) => self.subprotocols.replace(value),
            // A `HeaderMap` that is full panics.
            Ok(_) if self.headers.len() >= MOST_HEADERS => {
                self.fail(InvalidCredentials::TooManyHeaders);
            }
            Ok((name, value)) => _ = self.headers.insert(name, value),
            Err(error) => self.fail(error),
        }
        self
    }

    /// Sets the `Origin` header. By default it is derived from the URL: `https://` and the host for `wss://`,
    /// `http://` and the host for `ws://`.
    ///
    /// Channels' `AllowedHostsOriginValidator` rejects a connection whose origin is missing or not in `ALLOWED_HOSTS`.
    ///
    /// ```
    /// # use dcrf_proto::websocket::Credentials;
    /// let credentials = Credentials::new().origin("https://www.example.com");
    /// ```
    #[must_use]
    pub fn origin(self, origin: &str) -> Self {
        self.header(header::ORIGIN.as_str(), origin)
    }

    /// Adds a cookie, such as the `sessionid` of a Django session, replacing one of the same name.
    ///
    /// ```
    /// # use dcrf_proto::websocket::Credentials;
    /// let credentials = Credentials::new().cookie("sessionid", "u1bl9vpf0ohzy2ht");
    /// ```
    #[must_use]
    pub fn cookie(mut self, name: &str, value: &str) -> Self {
        if is_token(name) && value.bytes().all(is_cookie_octet) {
            self.cookies.add(&format!("{name}={value}"));
        } else {
            self.fail(InvalidCredentials::Cookie);
        }
        self
    }

    /// Appends a subprotocol to those offered to the server; duplicates are ignored.
    ///
    /// The server must pick one of them, or the attempt fails. A Channels consumer picks one with
    /// `accept(subprotocol=…)`.
    ///
    /// ```
    /// # use dcrf_proto::websocket::Credentials;
    /// let credentials = Credentials::new().subprotocol("token").subprotocol("9944b09199c62bcf9418");
    /// ```
    #[must_use]
    pub fn subprotocol(mut self, name: &str) -> Self {
        if is_token(name) {
            self.subprotocols.add(name);
        } else {
            self.fail(InvalidCredentials::Subprotocol);
        }
        self
    }

    fn fail(&mut self, error: InvalidCredentials) {
        self.error.get_or_insert(error);
    }

    pub(super) fn check(&self) -> Result<(), InvalidCredentials> {
        self.error.clone().map_or(Ok(()), Err)
    }

    /// Adds `newer`, whose values replace those of the same name.
    pub(super) fn merge(mut self, newer: Self) -> Self {
        self.headers.extend(newer.headers);
        Self {
            url: newer.url.or(self.url),
            headers: self.headers,
            cookies: self.cookies.merge(newer.cookies),
            subprotocols: self.subprotocols.merge(newer.subprotocols),
            error: self.error.or(newer.error),
        }
    }

    pub(super) fn endpoint(&self) -> Option<&Endpoint> {
        self.url.as_deref()
    }

    /// The headers to send.
    pub(super) fn headers(&self) -> HeaderMap {
        let mut headers = self.headers.clone();
        let lists = [
            (header::COOKIE, self.cookies.header()),
            (header::SEC_WEBSOCKET_PROTOCOL, self.subprotocols.header()),
        ];
        for (name, list) in lists {
            // The items are validated, so no list is dropped here.
            headers.extend(list.and_then(|list| sensitive(&list)).map(|value| (name, value)));
        }
        headers
    }
}

impl Default for Credentials {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers = self.headers();
        let names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        f.debug_struct("Credentials").field("headers", &names).finish_non_exhaustive()
    }
}

fn check_header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), InvalidCredentials> {
    let name: HeaderName = name.parse().map_err(|_| InvalidCredentials::HeaderName)?;
    if RESERVED.contains(&name) {
        return Err(InvalidCredentials::ReservedHeader(name.to_string()));
    }
    match sensitive(value) {
        Some(value) => Ok((name, value)),
        None => Err(InvalidCredentials::HeaderValue(name.to_string())),
    }
}

/// A header value that `Debug` doesn't show; `None` unless it is visible ASCII.
fn sensitive(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(value).ok().filter(|value| value.to_str().is_ok())?;
    value.set_sensitive(true);
    Some(value)
}

/// A token of RFC 9110, section 5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// RFC 6265, section 4.1.1.
fn is_cookie_octet(byte: u8) -> bool {
    byte.is_ascii_graphic() && !br#"",;\"#.contains(&byte)
}

/// Any error, as a credentials provider returns it. The operator `?` converts every error type to it.
///
/// ```
/// use dcrf_proto::websocket::{BoxError, Credentials};
///
/// fn read_token() -> Result<Credentials, BoxError> {
///     let token = std::fs::read_to_string("/run/secrets/token")?;
///     Ok(Credentials::new().header("authorization", &format!("Bearer {}", token.trim())))
/// }
/// # let _ = read_token;
/// ```
pub type BoxError = Box<dyn Error + Send + Sync>;

/// An error of a credentials provider that can be [fatal](Self::fatal).
///
/// A provider can return any error. The client then retries, unless the error is a fatal `CredentialsError`.
///
/// The message appears in errors and states, so it must not contain a secret.
///
/// ```
/// use dcrf_proto::websocket::{BoxError, CredentialsError};
///
/// fn read_token() -> Result<String, BoxError> {
///     let path = std::env::var("TOKEN_FILE").map_err(CredentialsError::fatal)?;
///     Ok(std::fs::read_to_string(path)?)
/// }
/// # let _ = read_token;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CredentialsError {
    message: String,
    fatal: bool,
}

impl CredentialsError {
    /// Returns an error that makes this attempt fail. The client retries.
    pub fn new(message: impl fmt::Display) -> Self {
        Self { message: message.to_string(), fatal: false }
    }

    /// Returns an error that closes the client, since no later attempt can succeed.
    ///
    /// ```
    /// # use dcrf_proto::websocket::CredentialsError;
    /// let error = CredentialsError::fatal("the user has signed out");
    /// ```
    pub fn fatal(message: impl fmt::Display) -> Self {
        Self { message: message.to_string(), fatal: true }
    }
}

/// The failure of an attempt whose provider returned `error`.
fn provider_failed(error: &BoxError) -> ConnectionError {
    let fatal = error.downcast_ref().is_some_and(|error: &CredentialsError| error.fatal);
    ConnectionError::Credentials { message: error.to_string(), fatal }
}

/// Fatal, since an invalid value stays invalid on the next attempt.
impl From<InvalidCredentials> for ConnectionError {
    fn from(invalid: InvalidCredentials) -> Self {
        Self::Credentials { message: invalid.to_string(), fatal: true }
    }
}

type ProviderFuture = Pin<Box<dyn Future<Output = Result<Credentials, BoxError>> + Send>>;

/// Returns the credentials for each attempt (L8).
#[derive(Clone)]
pub(super) struct Provider(Arc<dyn Fn(Attempt) -> ProviderFuture + Send + Sync>);

impl Provider {
    pub(super) fn new<F>(provide: impl Fn(Attempt) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Credentials, BoxError>> + Send + 'static,
    {
        Self(Arc::new(move |attempt| Box::pin(provide(attempt))))
    }

    pub(super) async fn credentials(
        &self,
        attempt: Attempt,
    ) -> Result<Credentials, ConnectionError> {
        let credentials = (self.0)(attempt).await.map_err(|error| provider_failed(&error))?;
        credentials.check()?;
        Ok(credentials)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x3_too_many_headers_are_an_error() {
        let add = |credentials: Credentials, nth| credentials.header(&format!("x-{nth}"), "a");
        let most = (0..MOST_HEADERS).fold(Credentials::new(), add);
        assert_eq!(most.check(), Ok(()));
        let merged = most.clone().cookie("a", "b").merge((0..2_000).fold(Credentials::new(), add));
        assert_eq!(merged.check(), Err(InvalidCredentials::TooManyHeaders));
        assert_eq!(merged.headers().len(), MOST_HEADERS + 1);
        let many = (0..40_000).fold(most, add);
        assert_eq!(many.check(), Err(InvalidCredentials::TooManyHeaders));
    }
}
