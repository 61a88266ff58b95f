//! What a client says of itself at the handshake: headers, cookies, subprotocols. Checked when it is given,
//! and never shown (X1, X3).

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::header_list::HeaderList;
use super::{Endpoint, UrlError};
use crate::error::ConnectionError;
use crate::transmit::Attempt;

/// What a client says of itself at the handshake: headers, cookies, subprotocols, and the URL where that holds
/// a token.
///
/// A piece that is not valid is kept as an error, which [`connect`](super::Builder::connect) reports before
/// anything is dialled. `Debug` shows names only.
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
    /// Boxed, since it is seldom another than the client's.
    url: Option<Box<Endpoint>>,
    /// All but those of the two lists.
    headers: HeaderMap,
    cookies: HeaderList,
    subprotocols: HeaderList,
    error: Option<InvalidCredentials>,
}

/// A header, cookie, subprotocol or URL that can't be sent.
///
/// No message repeats a value.
///
/// ```
/// use dcrf_proto::websocket::InvalidCredentials;
///
/// let invalid = InvalidCredentials::ReservedHeader("upgrade".to_owned());
/// assert_eq!(invalid.to_string(), "the header `upgrade` belongs to the handshake itself");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidCredentials {
    /// The name of a header has characters that no name has.
    #[error("the name of a header is not valid")]
    HeaderName,
    /// The header is one of the handshake itself, such as `Upgrade`.
    #[error("the header `{0}` belongs to the handshake itself")]
    ReservedHeader(String),
    /// The value of a header has a line break, another control character, or a letter outside of ASCII.
    #[error("the value of the header `{0}` is not visible ASCII")]
    HeaderValue(String),
    /// The name or the value of a cookie has a character that ends it, such as `;` or a space.
    #[error("the cookie is not valid: a space, a comma, a semicolon or a quote must be encoded")]
    Cookie,
    /// A subprotocol is empty or has a character that no subprotocol has.
    #[error("the subprotocol is not valid: it has letters, digits and !#$%&'*+-.^_`|~ only")]
    Subprotocol,
    /// The URL is not one of a WebSocket.
    #[error(transparent)]
    Url(#[from] UrlError),
}

/// Headers that the handshake writes itself, and those that would make it another request.
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
    /// Nothing yet.
    ///
    /// ```
    /// let nobody = dcrf_proto::websocket::Credentials::new();
    /// # drop(nobody);
    /// ```
    pub fn new() -> Self {
        Self {
            url: None,
            headers: HeaderMap::new(),
            cookies: HeaderList::cookies(),
            subprotocols: HeaderList::subprotocols(),
            error: None,
        }
    }

    /// Connects to this URL in place of the builder's, for a token that stands in the query.
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

    /// A header; the same name again replaces it. `Cookie` and `Sec-WebSocket-Protocol` replace all that
    /// [`cookie`](Self::cookie) and [`subprotocol`](Self::subprotocol) have given.
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
            Ok((name, value)) => _ = self.headers.insert(name, value),
            Err(error) => self.fail(error),
        }
        self
    }

    /// The `Origin`, in place of the one that is derived from the URL: `https://` and the URL's host for `wss://`,
    /// `http://` for `ws://`. The `AllowedHostsOriginValidator` of Channels refuses a connection without one, or
    /// with a host that is not among `ALLOWED_HOSTS`.
    ///
    /// ```
    /// # use dcrf_proto::websocket::Credentials;
    /// let credentials = Credentials::new().origin("https://www.example.com");
    /// ```
    #[must_use]
    pub fn origin(self, origin: &str) -> Self {
        self.header(header::ORIGIN.as_str(), origin)
    }

    /// A cookie beside those that are there, such as the `sessionid` of a Django session; the same name again
    /// replaces it.
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

    /// Offers a subprotocol behind those that are there, each once. The server must pick one of them: Channels picks none
    /// unless the consumer says `accept(subprotocol=…)`, and then the attempt fails.
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

    /// These, and `newer` over them: what it has replaces what is called the same here.
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

    /// The headers as they are sent.
    pub(super) fn headers(&self) -> HeaderMap {
        let mut headers = self.headers.clone();
        let lists = [
            (header::COOKIE, self.cookies.header()),
            (header::SEC_WEBSOCKET_PROTOCOL, self.subprotocols.header()),
        ];
        for (name, list) in lists {
            // Made of what has been checked.
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

/// A value of visible ASCII, which is what HTTP libraries read, and which `Debug` does not show.
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

/// Why there are no credentials for an attempt. Any error becomes one by `?`: the attempt has then failed, and
/// is repeated as others are.
///
/// Its message is shown in errors and states, so it must hold no secret.
///
/// ```
/// use dcrf_proto::websocket::CredentialsError;
///
/// fn read_token() -> Result<String, CredentialsError> {
///     let path = std::env::var("TOKEN_FILE").map_err(CredentialsError::fatal)?;
///     Ok(std::fs::read_to_string(path)?)
/// }
/// # let _ = read_token;
/// ```
pub struct CredentialsError {
    message: String,
    fatal: bool,
}

impl CredentialsError {
    /// This attempt has no credentials; the next one may have.
    ///
    /// ```
    /// # use dcrf_proto::websocket::CredentialsError;
    /// let error = CredentialsError::new("the token service is down");
    /// ```
    pub fn new(message: impl fmt::Display) -> Self {
        Self { message: message.to_string(), fatal: false }
    }

    /// There will be none: the client is closed.
    ///
    /// ```
    /// # use dcrf_proto::websocket::CredentialsError;
    /// let error = CredentialsError::fatal("the user has signed out");
    /// ```
    pub fn fatal(message: impl fmt::Display) -> Self {
        Self { message: message.to_string(), fatal: true }
    }
}

impl<E: std::error::Error> From<E> for CredentialsError {
    fn from(error: E) -> Self {
        Self::new(error)
    }
}

impl fmt::Debug for CredentialsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CredentialsError").field("fatal", &self.fatal).finish_non_exhaustive()
    }
}

impl From<CredentialsError> for ConnectionError {
    fn from(error: CredentialsError) -> Self {
        Self::Credentials { message: error.message, fatal: error.fatal }
    }
}

/// A value that is not valid would not be on the next attempt either.
impl From<InvalidCredentials> for ConnectionError {
    fn from(invalid: InvalidCredentials) -> Self {
        Self::Credentials { message: invalid.to_string(), fatal: true }
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<Credentials, CredentialsError>> + Send>>;

/// Who is asked for credentials at each attempt (L8).
#[derive(Clone)]
pub(super) struct Provider(Arc<dyn Fn(Attempt) -> Answer + Send + Sync>);

impl Provider {
    pub(super) fn new<F>(provide: impl Fn(Attempt) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Credentials, CredentialsError>> + Send + 'static,
    {
        Self(Arc::new(move |attempt| Box::pin(provide(attempt))))
    }

    pub(super) async fn ask(&self, attempt: Attempt) -> Result<Credentials, ConnectionError> {
        let credentials = (self.0)(attempt).await?;
        credentials.check()?;
        Ok(credentials)
    }
}
