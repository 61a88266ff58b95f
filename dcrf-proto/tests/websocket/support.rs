//! Clients and servers for the tests of the WebSocket.

use std::future::{Future, poll_fn};
use std::io::{Read, Write};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::thread::{self, JoinHandle};

use async_tungstenite::tungstenite::handshake::derive_accept_key;
use async_tungstenite::tungstenite::{self as ws, Message};
use dcrf_proto::client::Socket;
use dcrf_proto::websocket::{self, Binary, Endpoint, MaybeTls, Options, Text, WebSocket};
use dcrf_proto::{CloseFrame, ConnectionError, Frame};
use futures_lite::future::block_on;

use crate::pipe::{self, Far, Near};

pub(crate) type Client = WebSocket<MaybeTls<Near>>;
pub(crate) type Server = ws::WebSocket<Far>;

pub(crate) const URL: &str = "ws://example.com:8000/ws/?token=canary";

/// A client after the handshake. Its server runs on a thread.
pub(crate) fn connected<T: Send + 'static>(
    serve: impl FnOnce(Server) -> T + Send + 'static,
) -> (Client, JoinHandle<T>) {
    connected_with(&Options::default(), serve)
}

pub(crate) fn connected_with<T: Send + 'static>(
    options: &Options,
    serve: impl FnOnce(Server) -> T + Send + 'static,
) -> (Client, JoinHandle<T>) {
    let (near, far) = pipe::new();
    let server = thread::spawn(move || serve(ws::accept(far).unwrap()));
    let endpoint = Endpoint::parse(URL).unwrap();
    (block_on(websocket::connect(&endpoint, near, options)).unwrap(), server)
}

/// A client whose server does nothing after the handshake, and the pipe between them.
pub(crate) fn idle() -> (Client, pipe::Control) {
    idle_with(&Options::default())
}

pub(crate) fn idle_with(options: &Options) -> (Client, pipe::Control) {
    let (near, far) = pipe::new();
    let control = near.control();
    let server = thread::spawn(move || ws::accept(far).unwrap());
    let endpoint = Endpoint::parse(URL).unwrap();
    let client = block_on(websocket::connect(&endpoint, near, options)).unwrap();
    control.keep(server.join().unwrap().into_inner());
    (client, control)
}

/// Returns the client's error for this handshake response, and its request.
pub(crate) fn handshake_error(response: &str) -> (ConnectionError, String) {
    let response = response.to_owned();
    handshake_error_with(&Options::default(), move |_| response)
}

/// Like [`handshake_error`], for a response that may contain the key for `Sec-WebSocket-Accept`.
pub(crate) fn handshake_error_with(
    options: &Options,
    respond: impl FnOnce(&str) -> String + Send + 'static,
) -> (ConnectionError, String) {
    let (near, mut far) = pipe::new();
    let server = thread::spawn(move || {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            far.read_exact(&mut byte).unwrap();
            request.push(byte[0]);
        }
        let request = String::from_utf8(request).unwrap();
        let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "));
        let response = respond(&derive_accept_key(key.unwrap().as_bytes()));
        // The client may hang up before it has read everything.
        let _ = far.write_all(response.as_bytes());
        request
    });
    let endpoint = Endpoint::parse(URL).unwrap();
    let error = block_on(websocket::connect(&endpoint, near, options)).unwrap_err();
    (error, server.join().unwrap())
}

pub(crate) fn send(client: &mut Client, frame: Frame) -> Result<(), ConnectionError> {
    block_on(poll_fn(|cx| client.poll_ready(cx)))?;
    client.feed(frame)?;
    block_on(poll_fn(|cx| client.poll_flush(cx)))
}

pub(crate) fn receive(client: &mut Client) -> Result<Frame<Text, Binary>, ConnectionError> {
    block_on(poll_fn(|cx| client.poll_receive(cx)))
}

pub(crate) fn receive_text(client: &mut Client) -> String {
    match receive(client) {
        Ok(Frame::Text(text)) => {
            let text: &str = text.as_ref();
            text.to_owned()
        }
        other => panic!("expected a text message: {other:?}"),
    }
}

pub(crate) fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

pub(crate) fn closed(code: u16, reason: &str) -> ConnectionError {
    ConnectionError::Closed(CloseFrame { code, reason: reason.to_owned() })
}

pub(crate) fn close_code(message: &Message) -> u16 {
    match message {
        Message::Close(Some(frame)) => frame.code.into(),
        other => panic!("expected a close frame: {other:?}"),
    }
}
