//! Any URL, header, cookie and subprotocol is either rejected or can't inject lines into the request (X3), and secrets are
//! never shown (X1).

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use dcrf_proto::websocket::{Credentials, Endpoint, Options, connect};
use futures_io::{AsyncRead, AsyncWrite};

/// Every secret value begins with this.
const MARK: &str = "not-to-be-seen";

/// The parts of the input: URL, header name and value, cookie name and value, subprotocol, origin.
pub fn handshake(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    // A separator that is invalid in every part, so that parts can contain line breaks.
    let parts: Vec<&str> = text.split('\u{1}').collect();
    let part = |nth: usize| parts.get(nth).copied().unwrap_or_default();
    let Ok(endpoint) = Endpoint::parse(part(0)) else { return };
    let shown = format!("{endpoint} {endpoint:?} {}", endpoint.path());
    assert!(!shown.contains('?') && !endpoint.host().contains('@'), "{shown}");
    // Names are not secret.
    if text.to_ascii_lowercase().contains(MARK) {
        return;
    }
    let secret = |nth: usize| format!("{MARK}{}", part(nth));
    let credentials = Credentials::new()
        .header(part(1), &secret(2))
        .cookie(part(3), &secret(4))
        .subprotocol(part(5))
        .origin(part(6));
    let shown = format!("{credentials:?}");
    assert!(!shown.contains(MARK), "{shown}");

    let mut written = Vec::new();
    let options = Options::default().credentials(credentials);
    let stream = Recorder(&mut written);
    if !endpoint.is_tls() {
        let connecting = pin!(connect(&endpoint, stream, &options));
        let _ = connecting.poll(&mut Context::from_waker(Waker::noop()));
    }
    if written.is_empty() {
        return;
    }
    let head = String::from_utf8(written).expect("a request is text");
    let head = head.strip_suffix("\r\n\r\n").expect("exactly one request");
    let mut lines = head.split("\r\n");
    let first = lines.next().expect("a request line");
    assert!(first.starts_with("GET /") && first.ends_with(" HTTP/1.1"), "{first:?}");
    assert_eq!(first.split(' ').count(), 3, "{first:?}");
    for line in lines {
        let (name, value) = line.split_once(": ").expect("a header");
        assert!(name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':'), "{name:?}");
        let is_control = |byte: u8| byte < b' ' && byte != b'\t';
        assert!(!value.bytes().any(is_control), "{value:?}");
    }
}

/// A stream that records what is written and never has anything to read.
struct Recorder<'a>(&'a mut Vec<u8>);

impl AsyncRead for Recorder<'_> {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Pending
    }
}

impl AsyncWrite for Recorder<'_> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
