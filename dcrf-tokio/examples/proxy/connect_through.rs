//! Opens a TCP connection through an HTTP proxy with `CONNECT`. Copy this file into your program. It needs Tokio and the
//! crates `data-encoding` and `percent-encoding`.

use std::io;

use data_encoding::BASE64;
use dcrf_tokio::Endpoint;
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An HTTP proxy, and the user's credentials.
#[derive(Clone)]
pub(crate) struct Proxy {
    /// Host and port.
    address: String,
    authorization: Option<String>,
}

/// Far more than the headers of a proxy's response.
const MAX_HEAD: usize = 16 * 1024;

/// Connects to the endpoint through the proxy. TLS runs between the client and the endpoint.
///
/// If the proxy rejects the user, the error is [`io::ErrorKind::PermissionDenied`].
pub(crate) async fn connect_through(proxy: Proxy, endpoint: Endpoint) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(&proxy.address).await?;
    // Otherwise a second small frame waits for the acknowledgement of the first.
    stream.set_nodelay(true)?;

    let host = endpoint.host();
    // IPv6 addresses need brackets.
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let target = format!("{host}:{}", endpoint.port());
    let authorization = proxy
        .authorization
        .map_or_else(String::new, |value| format!("Proxy-Authorization: {value}\r\n"));
    let request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{authorization}\r\n");
    stream.write_all(request.as_bytes()).await?;

    // Read byte by byte, because the bytes after the head belong to the endpoint.
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == MAX_HEAD {
            return Err(io::Error::other("the proxy's answer is too long"));
        }
        let byte = stream.read_u8().await;
        head.push(byte.map_err(|error| io::Error::new(error.kind(), "the proxy hung up"))?);
    }
    let head = String::from_utf8_lossy(&head);
    match head.strip_prefix("HTTP/1.").and_then(|rest| rest.split_whitespace().nth(1)) {
        Some(status) if status.starts_with('2') => Ok(stream),
        Some("407") => Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "the proxy did not accept user and password (HTTP status 407)",
        )),
        Some(status) => Err(io::Error::other(format!(
            "the proxy refused to connect, with HTTP status {status}"
        ))),
        None => Err(io::Error::other("the proxy does not answer in HTTP")),
    }
}

impl Proxy {
    /// Parses `http://[user[:password]@]host[:port]`.
    pub(crate) fn parse(url: &str) -> Result<Self, &'static str> {
        let authority = url.strip_prefix("http://").ok_or("the proxy's URL begins with http://")?;
        let authority = authority.trim_end_matches('/');
        let (user, address) = match authority.rsplit_once('@') {
            Some((user, address)) => (Some(user), address),
            None => (None, authority),
        };
        let address = match address.rsplit_once(':') {
            // Not a colon within an IPv6 address.
            Some((_, port)) if !port.ends_with(']') => {
                port.parse::<u16>().map_err(|_| "the proxy's port is a number up to 65535")?;
                address.to_owned()
            }
            _ => format!("{address}:80"),
        };
        Ok(Self { address, authorization: user.map(basic) })
    }
}

/// Encodes a URL's user and password for basic authentication (RFC 7617).
fn basic(user: &str) -> String {
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    let mut plain: Vec<u8> = percent_decode_str(name).collect();
    plain.push(b':');
    plain.extend(percent_decode_str(password));
    format!("Basic {}", BASE64.encode(&plain))
}
