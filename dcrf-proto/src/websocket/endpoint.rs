//! Where to connect: a validated `ws://` or `wss://` URL whose query is never shown (X1).

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use http::Uri;
use http::uri::PathAndQuery;

/// A validated `ws://` or `wss://` URL.
///
/// `Display` and `Debug` omit the query, which may hold a token.
///
/// ```
/// use dcrf_proto::websocket::Endpoint;
///
/// let endpoint: Endpoint = "ws://example.com:8000/ws/?token=secret".parse()?;
/// assert_eq!((endpoint.host(), endpoint.port()), ("example.com", 8000));
/// assert_eq!(endpoint.to_string(), "ws://example.com:8000/ws/");
/// # Ok::<(), dcrf_proto::websocket::UrlError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    host: Box<str>,
    port: u16,
    is_tls: bool,
    uri: Uri,
    #[cfg(feature = "rustls")]
    server_name: Option<futures_rustls::pki_types::ServerName<'static>>,
}

/// Why a URL is invalid.
///
/// Messages never contain the URL, which may hold a token or a password.
///
/// ```
/// use dcrf_proto::websocket::{Endpoint, UrlError};
///
/// assert_eq!(Endpoint::parse("example.com/ws/").unwrap_err(), UrlError::NoScheme);
/// assert_eq!(Endpoint::parse("https://example.com/ws/").unwrap_err(), UrlError::Http);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// The URL doesn't start with `ws://` or `wss://`.
    #[error("the URL has no scheme: it must start with ws:// or wss://")]
    NoScheme,
    /// The scheme is `http` or `https`.
    #[error("the URL's scheme is http or https: use ws:// or wss:// instead")]
    Http,
    /// The scheme is neither `ws` nor `wss`.
    #[error("the URL's scheme must be ws or wss")]
    UnknownScheme,
    /// The host is empty.
    #[error("the URL has no host")]
    NoHost,
    /// The host is neither a DNS name nor an IP address.
    #[error(
        "the URL's host is neither a DNS name nor an IP address; write an IPv6 address in brackets"
    )]
    InvalidHost,
    /// The host is an IPv6 address with a zone, such as `fe80::1%eth0`.
    #[error("the URL's host is an IPv6 address with a zone, which URLs of WebSockets can't have")]
    Zone,
    /// The host contains non-ASCII characters.
    #[error("the URL's host contains non-ASCII characters: use its punycode form (xn--)")]
    NonAsciiHost,
    /// The port is not a number from 1 to 65535.
    #[error("the URL's port must be a number from 1 to 65535")]
    InvalidPort,
    /// The URL contains a user name or a password.
    #[error("a user name or password in the URL is not supported")]
    Userinfo,
    /// The URL has a fragment (`#`). RFC 6455 doesn't allow one, and it would never reach the server.
    #[error("a WebSocket URL can't have a fragment: write # as %23 in the path or query")]
    Fragment,
    /// The URL contains a space, a control character, a non-ASCII character, or another character that must be
    /// percent-encoded.
    #[error("the URL contains a character that must be percent-encoded")]
    InvalidCharacter,
    /// The path and query have more than 65,533 bytes.
    #[error("the URL is too long")]
    TooLong,
    /// The URL is `wss://`, but the program was built without TLS.
    #[error("wss:// needs the cargo feature `rustls` or `native-tls`: neither is enabled")]
    TlsNotBuiltIn,
}

impl Endpoint {
    /// Parses and validates a URL.
    ///
    /// ```
    /// use dcrf_proto::websocket::{Endpoint, UrlError};
    ///
    /// assert_eq!(Endpoint::parse("https://example.com/ws/"), Err(UrlError::Http));
    /// ```
    ///
    /// # Errors
    ///
    /// A [`UrlError`] that says what is wrong with the URL.
    pub fn parse(url: &str) -> Result<Self, UrlError> {
        // Checked first, so that CR and LF give the same error wherever they are (X3).
        if url.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
            return Err(UrlError::InvalidCharacter);
        }
        let (scheme, rest) = url.split_once("://").ok_or(UrlError::NoScheme)?;
        let is_tls = is_tls(scheme)?;
        if rest.contains('#') {
            return Err(UrlError::Fragment);
        }
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (host, port) = host_and_port(authority)?;
        let default_port = if is_tls { 443 } else { 80 };
        let port = port.unwrap_or(default_port);

        if is_tls && !cfg!(any(feature = "rustls", feature = "native-tls")) {
            return Err(UrlError::TlsNotBuiltIn);
        }
        // Like browsers, omit the default port from `Host`.
        let mut authority = if host.contains(':') { format!("[{host}]") } else { host.to_string() };
        if port != default_port {
            authority = format!("{authority}:{port}");
        }
        let uri = Uri::builder()
            .scheme(if is_tls { "wss" } else { "ws" })
            .authority(authority)
            .path_and_query(path_and_query(target)?)
            .build()
            .map_err(|_| UrlError::InvalidHost)?;

        Ok(Self {
            #[cfg(feature = "rustls")]
            server_name: is_tls.then(|| server_name(&host)).transpose()?,
            host,
            port,
            is_tls,
            uri,
        })
    }

    /// The host name or IP address, in lower case. An IPv6 address has no brackets.
    ///
    /// ```
    /// # use dcrf_proto::websocket::Endpoint;
    /// assert_eq!(Endpoint::parse("ws://[::1]:8000/")?.host(), "::1");
    /// # Ok::<(), dcrf_proto::websocket::UrlError>(())
    /// ```
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port. The default is 80 for `ws://` and 443 for `wss://`.
    ///
    /// ```
    /// # use dcrf_proto::websocket::Endpoint;
    /// assert_eq!(Endpoint::parse("ws://example.com")?.port(), 80);
    /// # Ok::<(), dcrf_proto::websocket::UrlError>(())
    /// ```
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether the scheme is `wss`.
    pub fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// The path, without the query.
    ///
    /// ```
    /// # use dcrf_proto::websocket::Endpoint;
    /// assert_eq!(Endpoint::parse("ws://example.com/ws/?token=1")?.path(), "/ws/");
    /// # Ok::<(), dcrf_proto::websocket::UrlError>(())
    /// ```
    pub fn path(&self) -> &str {
        self.uri.path()
    }

    /// The whole URL, with the query.
    pub(super) fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The value of the header `Host`.
    pub(super) fn authority(&self) -> &str {
        self.uri.authority().map_or("", |authority| authority.as_str())
    }

    /// The origin that a browser sends for a page of the same server.
    pub(super) fn origin(&self) -> String {
        let scheme = if self.is_tls { "https" } else { "http" };
        format!("{scheme}://{}", self.authority())
    }

    /// The name that the server's certificate must be valid for; `None` for `ws://`.
    #[cfg(feature = "rustls")]
    pub(super) fn server_name(&self) -> Option<&futures_rustls::pki_types::ServerName<'static>> {
        self.server_name.as_ref()
    }
}

impl FromStr for Endpoint {
    type Err = UrlError;

    fn from_str(url: &str) -> Result<Self, UrlError> {
        Self::parse(url)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "wss" } else { "ws" };
        write!(f, "{scheme}://{}{}", self.authority(), self.path())
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({self})")
    }
}

/// The name that the server's certificate must be valid for.
#[cfg(feature = "rustls")]
fn server_name(host: &str) -> Result<futures_rustls::pki_types::ServerName<'static>, UrlError> {
    futures_rustls::pki_types::ServerName::try_from(host.to_owned())
        .map_err(|_| UrlError::InvalidHost)
}

fn is_tls(scheme: &str) -> Result<bool, UrlError> {
    match scheme.to_ascii_lowercase().as_str() {
        "ws" => Ok(false),
        "wss" => Ok(true),
        "http" | "https" => Err(UrlError::Http),
        "" => Err(UrlError::NoScheme),
        // `example.com/?next=http://…` has no scheme of its own.
        other if other.contains(['/', '?', '#', '@', ':']) => Err(UrlError::NoScheme),
        _ => Err(UrlError::UnknownScheme),
    }
}

fn host_and_port(authority: &str) -> Result<(Box<str>, Option<u16>), UrlError> {
    if authority.contains('@') {
        return Err(UrlError::Userinfo);
    }
    if !authority.is_ascii() {
        return Err(UrlError::NonAsciiHost);
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => ipv6_and_port(rest)?,
        None => name_and_port(authority)?,
    };
    let port = port.map(parse_port).transpose()?;
    Ok((host.into_boxed_str(), port))
}

fn ipv6_and_port(rest: &str) -> Result<(String, Option<&str>), UrlError> {
    let (address, port) = rest.split_once(']').ok_or(UrlError::InvalidHost)?;
    if address.contains('%') {
        return Err(UrlError::Zone);
    }
    let address: Ipv6Addr = address.parse().map_err(|_| UrlError::InvalidHost)?;
    match (port, port.strip_prefix(':')) {
        ("", _) => Ok((address.to_string(), None)),
        (_, Some(port)) => Ok((address.to_string(), Some(port))),
        (_, None) => Err(UrlError::InvalidHost),
    }
}

fn name_and_port(authority: &str) -> Result<(String, Option<&str>), UrlError> {
    let (name, port) = match authority.split_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (authority, None),
    };
    check_name(name)?;
    // An IPv6 address without brackets.
    if port.is_some_and(|port| port.contains(':')) {
        return Err(UrlError::InvalidHost);
    }
    Ok((name.to_ascii_lowercase(), port))
}

fn parse_port(port: &str) -> Result<u16, UrlError> {
    // `parse` alone would accept "+80".
    match port.parse() {
        Ok(number) if number > 0 && port.bytes().all(|byte| byte.is_ascii_digit()) => Ok(number),
        _ => Err(UrlError::InvalidPort),
    }
}

/// Accepts DNS names, underscores included since private networks use them, and IPv4 addresses.
fn check_name(name: &str) -> Result<(), UrlError> {
    let absolute = name.strip_suffix('.').unwrap_or(name);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    match name {
        "" => Err(UrlError::NoHost),
        _ if absolute.len() <= 253 && absolute.split('.').all(is_label) => Ok(()),
        _ => Err(UrlError::InvalidHost),
    }
}

fn path_and_query(target: &str) -> Result<PathAndQuery, UrlError> {
    if !target.is_ascii() {
        return Err(UrlError::InvalidCharacter);
    }
    if target.len() >= usize::from(u16::MAX) - 1 {
        return Err(UrlError::TooLong);
    }
    let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
    PathAndQuery::try_from(target).map_err(|_| UrlError::InvalidCharacter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_urls_are_parsed() {
        // URL, host, port, Host header, request target, Display.
        let table = [
            ("ws://example.com", "example.com", 80, "example.com", "/", "ws://example.com/"),
            ("WS://EXAMPLE.com:80/A", "example.com", 80, "example.com", "/A", "ws://example.com/A"),
            (
                "ws://a_b.local:8000",
                "a_b.local",
                8000,
                "a_b.local:8000",
                "/",
                "ws://a_b.local:8000/",
            ),
            ("ws://host.?x=1", "host.", 80, "host.", "/?x=1", "ws://host./"),
            ("ws://127.0.0.1:443/", "127.0.0.1", 443, "127.0.0.1:443", "/", "ws://127.0.0.1:443/"),
            ("ws://[::1]/ws/?a=1", "::1", 80, "[::1]", "/ws/?a=1", "ws://[::1]/ws/"),
            ("ws://[0:0::1]:9/", "::1", 9, "[::1]:9", "/", "ws://[::1]:9/"),
            ("ws://h/?next=http://x@y/", "h", 80, "h", "/?next=http://x@y/", "ws://h/"),
            ("ws://h/%20?q=%C3%A9", "h", 80, "h", "/%20?q=%C3%A9", "ws://h/%20"),
        ];
        for (url, host, port, header, target, display) in table {
            let endpoint = Endpoint::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"));
            assert_eq!((endpoint.host(), endpoint.port()), (host, port), "{url}");
            assert_eq!(endpoint.authority(), header, "{url}");
            assert_eq!(endpoint.uri().path_and_query().unwrap().as_str(), target, "{url}");
            assert_eq!(endpoint.to_string(), display, "{url}");
            assert!(!endpoint.is_tls(), "{url}");
        }
    }

    #[test]
    fn invalid_urls_are_rejected() {
        let long = format!("ws://h/{}", "a".repeat(65_536));
        let label = format!("ws://{}.com/", "a".repeat(64));
        let table = [
            ("", UrlError::NoScheme),
            ("example.com/ws/", UrlError::NoScheme),
            ("//example.com/ws/", UrlError::NoScheme),
            ("://example.com/", UrlError::NoScheme),
            ("localhost:8000/?next=ws://x", UrlError::NoScheme),
            ("ws:/example.com", UrlError::NoScheme),
            ("http://example.com/", UrlError::Http),
            ("HTTPS://example.com/", UrlError::Http),
            ("ftp://example.com/", UrlError::UnknownScheme),
            ("ws://", UrlError::NoHost),
            ("ws:///ws/", UrlError::NoHost),
            ("ws://:80/", UrlError::NoHost),
            ("ws://?a", UrlError::NoHost),
            ("ws://[::1/", UrlError::InvalidHost),
            ("ws://[::1]8000/", UrlError::InvalidHost),
            ("ws://[fe80::1%25eth0]/", UrlError::Zone),
            ("ws://[fe80::1%eth0]:80/", UrlError::Zone),
            ("ws://fe80::1:80/", UrlError::InvalidHost),
            ("ws://::1/", UrlError::NoHost),
            ("ws://exa*mple/", UrlError::InvalidHost),
            ("ws://a..b/", UrlError::InvalidHost),
            ("ws://host\\path/", UrlError::InvalidHost),
            (&label, UrlError::InvalidHost),
            ("ws://bücher.example/", UrlError::NonAsciiHost),
            ("ws://h:/", UrlError::InvalidPort),
            ("ws://h:0/", UrlError::InvalidPort),
            ("ws://h:65536/", UrlError::InvalidPort),
            ("ws://h:+80/", UrlError::InvalidPort),
            ("ws://h:x/", UrlError::InvalidPort),
            ("ws://user:password@h/", UrlError::Userinfo),
            ("ws://token@h/", UrlError::Userinfo),
            ("ws://h/#top", UrlError::Fragment),
            ("ws://h/?token=a#b", UrlError::Fragment),
            ("ws://h/\r\nCookie: a=b", UrlError::InvalidCharacter),
            ("ws://h\n/", UrlError::InvalidCharacter),
            ("ws://h/\0", UrlError::InvalidCharacter),
            (" ws://h/", UrlError::InvalidCharacter),
            ("ws://h/a b", UrlError::InvalidCharacter),
            ("ws://h/café", UrlError::InvalidCharacter),
            ("ws://h/<", UrlError::InvalidCharacter),
            (&long, UrlError::TooLong),
        ];
        for (url, error) in table {
            assert_eq!(Endpoint::parse(url), Err(error), "{url}");
        }
    }

    #[test]
    #[cfg(not(any(feature = "rustls", feature = "native-tls")))]
    fn x2_wss_without_tls_names_the_feature() {
        let error = Endpoint::parse("wss://example.com/").unwrap_err();
        assert_eq!(error, UrlError::TlsNotBuiltIn);
        assert!(error.to_string().contains("`rustls` or `native-tls`"));
    }

    #[test]
    #[cfg(any(feature = "rustls", feature = "native-tls"))]
    fn wss_has_port_443() {
        let endpoint = Endpoint::parse("wss://example.com:443/ws/").unwrap();
        assert_eq!((endpoint.port(), endpoint.is_tls()), (443, true));
        assert_eq!(endpoint.to_string(), "wss://example.com/ws/");
        assert_eq!(Endpoint::parse("wss://example.com:80/").unwrap().authority(), "example.com:80");
    }
}
