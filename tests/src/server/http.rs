//! Minimal HTTP for logins and tickets: one request on one connection.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// The timeout of each part of a request.
const LIMIT: Duration = Duration::from_secs(10);

/// A response of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status, such as 200.
    pub status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

/// Posts to a path of the server at `address`, with a header and a form.
///
/// ```no_run
/// use dcrf_tests::server::{Server, post};
///
/// let form = "username=alice&password=wonderland";
/// let response = post(Server::shared().address(), "/login/", None, form)?;
/// let session = response.cookie("sessionid");
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
///
/// If there is no server, or its response is not HTTP.
pub fn post(
    address: SocketAddr,
    path: &str,
    header: Option<(&str, &str)>,
    form: &str,
) -> io::Result<Response> {
    let mut stream = TcpStream::connect_timeout(&address, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    let header = header.map(|(name, value)| format!("{name}: {value}\r\n")).unwrap_or_default();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{header}\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    );
    stream.write_all(request.as_bytes())?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    Response::parse(&response)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the response is not HTTP"))
}

impl Response {
    /// The value of a cookie that the response sets.
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<&str> {
        let set = self.headers.iter().filter(|(header, _)| header == "set-cookie");
        set.filter_map(|(_, cookie)| cookie.split(';').next()?.split_once('='))
            .find_map(|(cookie, value)| (cookie == name).then_some(value))
    }

    /// The body, or null if it is not JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// Parses a response whose body ends with the connection. Django sets a length, so it is not
    /// chunked.
    fn parse(text: &str) -> Option<Self> {
        let (head, body) = text.split_once("\r\n\r\n")?;
        let (status, headers) = head.split_once("\r\n")?;
        let status = status.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
        let headers = headers.split("\r\n").map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        });
        Some(Self { status, headers: headers.collect::<Option<_>>()?, body: body.to_owned() })
    }
}
