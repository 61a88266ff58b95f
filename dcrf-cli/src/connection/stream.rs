//! Streams to the server other than plain TCP: through a proxy, or to a Unix socket.

use std::io;
use std::path::PathBuf;

use data_encoding::BASE64;
use dcrf_tokio::Endpoint;
use hyper::Uri;
use hyper::header::HeaderValue;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tower_service::Service as _;

/// A byte stream.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

pub(crate) type Stream = Box<dyn Io>;

/// How to reach the server.
#[derive(Clone, Default)]
pub(crate) enum Route {
    #[default]
    Tcp,
    Proxy(Proxy),
    Unix(PathBuf),
}

/// A proxy, and the user's credentials.
#[derive(Clone)]
pub(crate) struct Proxy {
    uri: Uri,
    is_socks: bool,
    user: Option<(String, String)>,
}

impl Proxy {
    /// Parses `http://[user[:password]@]host[:port]`, or the same with `socks5`.
    ///
    /// # Errors
    ///
    /// A sentence without the URL, which can hold a password.
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        let form = "the proxy's URL must be http://[USER:PASSWORD@]HOST[:PORT] or socks5://…";
        let (scheme, rest) = url.split_once("://").ok_or(form)?;
        let default_port = match scheme {
            "http" => 80,
            "socks5" | "socks5h" => 1080,
            _ => return Err(form.into()),
        };
        let rest = rest.trim_end_matches('/');
        let (user, address) =
            rest.rsplit_once('@').map_or((None, rest), |(user, rest)| (Some(user), rest));
        let uri: Uri = format!("http://{address}").parse().map_err(|_| form)?;
        let host = uri.host().filter(|host| !host.is_empty()).ok_or(form)?;
        let has_port = uri.authority().is_some_and(|authority| authority.as_str() != host);
        let port = if has_port { uri.port_u16().ok_or(form)? } else { default_port };
        let uri = format!("http://{host}:{port}").parse().map_err(|_| form)?;
        Ok(Self { uri, is_socks: scheme != "http", user: user.map(user_and_password) })
    }

    pub(crate) fn address(&self) -> &str {
        self.uri.authority().map_or("", |authority| authority.as_str())
    }

    async fn connect(&self, host: &str, port: u16) -> io::Result<Stream> {
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let target: Uri = format!("https://{host}:{port}").parse().map_err(io::Error::other)?;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        if self.is_socks {
            let mut socks = SocksV5::new(self.uri.clone(), tcp);
            if let Some((user, password)) = &self.user {
                socks = socks.with_auth(user.clone(), password.clone());
            }
            let opened = socks.call(target).await.map_err(|error| self.failed(&error))?;
            return Ok(Box::new(opened.into_inner()));
        }
        let mut tunnel = Tunnel::new(self.uri.clone(), tcp);
        if let Some((user, password)) = &self.user {
            let basic = format!("Basic {}", BASE64.encode(format!("{user}:{password}").as_bytes()));
            let mut basic = HeaderValue::try_from(basic).map_err(io::Error::other)?;
            basic.set_sensitive(true);
            tunnel = tunnel.with_auth(basic);
        }
        let opened = tunnel.call(target).await.map_err(|error| self.failed(&error))?;
        Ok(Box::new(opened.into_inner()))
    }

    fn failed(&self, error: &dyn std::error::Error) -> io::Error {
        let mut message = format!("the proxy {}: {error}", self.address());
        if let Some(source) = error.source() {
            message = format!("{message}: {source}");
        }
        io::Error::other(message)
    }
}

fn user_and_password(user: &str) -> (String, String) {
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    (decode(name), decode(password))
}

impl Route {
    /// Opens a stream to the endpoint. Over a proxy, the proxy resolves the host.
    pub(crate) async fn open(self, endpoint: Endpoint) -> io::Result<Stream> {
        match self {
            Self::Tcp => {
                let stream = TcpStream::connect((endpoint.host(), endpoint.port())).await?;
                stream.set_nodelay(true)?;
                Ok(Box::new(stream))
            }
            Self::Proxy(proxy) => proxy.connect(endpoint.host(), endpoint.port()).await,
            #[cfg(unix)]
            Self::Unix(path) => {
                let connected = tokio::net::UnixStream::connect(&path).await;
                let stream = connected.map_err(|error| {
                    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
                })?;
                Ok(Box::new(stream))
            }
            #[cfg(not(unix))]
            Self::Unix(_) => Err(io::Error::other("this system has no Unix sockets")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_of_a_proxy_is_parsed() {
        let proxy = Proxy::parse("http://ann:p%40ss@proxy:3128/").unwrap();
        assert_eq!((proxy.address(), proxy.is_socks), ("proxy:3128", false));
        assert_eq!(proxy.user, Some(("ann".into(), "p@ss".into())));
        let socks = Proxy::parse("socks5://[::1]").unwrap();
        assert_eq!((socks.address(), socks.is_socks), ("[::1]:1080", true));
        assert_eq!(socks.user, None);
        for wrong in ["proxy:3128", "https://u:hunter2@proxy", "http://", "http://u:hunter2@p:x"] {
            let error = Proxy::parse(wrong).err().expect(wrong);
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
