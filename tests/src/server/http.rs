//! Just enough HTTP for a test to sign in: one request, one connection.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// How long any part of a request may take.
const LIMIT: Duration = Duration::from_secs(10);

/// What the server answered over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
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
/// let answer = post(Server::shared().address(), "/login/", None, form)?;
/// let session = answer.cookie("sessionid");
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
///
/// When there is no server, or its answer is not HTTP.
pub fn post(
    address: SocketAddr,
    path: &str,
    header: Option<(&str, &str)>,
    form: &str,
) -> io::Result<Answer> {
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
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Answer::parse(&answer).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no HTTP"))
}

impl Answer {
    /// The value of a cookie that the answer sets.
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<&str> {
        let set = self.headers.iter().filter(|(header, _)| header == "set-cookie");
        set.filter_map(|(_, cookie)| cookie.split(';').next()?.split_once('='))
            .find_map(|(its_name, value)| (its_name == name).then_some(value))
    }

    /// The body, and null where it is no JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// An answer whose body ends with the connection; Django gives it a length, so it is not in chunks.
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
