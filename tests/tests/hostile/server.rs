//! A hostile server. It needs little memory, since its memory is measured together with the client's.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use serde_json::{Value, json};
use tungstenite::protocol::Role;
use tungstenite::{Message, WebSocket};

pub(crate) const TEXT: u8 = 1;
pub(crate) const CONTINUATION: u8 = 0;
const FINAL: u8 = 0x80;

/// The bytes that are buffered before a write.
const BUFFER: usize = 64 * 1024;

/// A listener that handles all connections alike, until the process ends.
pub(crate) struct Server {
    address: SocketAddr,
    close_codes: Arc<Mutex<Vec<u16>>>,
}

impl Server {
    /// Accepts the WebSocket handshake, calls `behave`, and drops the connection when it returns.
    pub(crate) fn after_handshake(
        behave: impl Fn(&mut Peer) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let close_codes = Arc::<Mutex<Vec<u16>>>::default();
        let received = Arc::clone(&close_codes);
        let address = listen(move |stream| {
            let Ok(socket) = tungstenite::accept(stream) else { return Ok(()) };
            let stream = socket.into_inner();
            let mut peer = Peer::new(stream, Arc::clone(&received))?;
            behave(&mut peer)
        });
        Self { address, close_codes }
    }

    /// Reads the request of the handshake, and calls `behave` instead of answering it.
    pub(crate) fn instead_of_handshake(
        behave: impl Fn(&mut TcpStream) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let address = listen(move |mut stream| {
            let (mut request, mut byte) = (Vec::new(), [0]);
            while !request.ends_with(b"\r\n\r\n") {
                stream.read_exact(&mut byte)?;
                request.push(byte[0]);
            }
            behave(&mut stream)
        });
        Self { address, close_codes: Arc::default() }
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}/ws/", self.address)
    }

    /// The close codes received on all connections.
    pub(crate) fn close_codes(&self) -> Vec<u16> {
        self.close_codes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn listen(serve: impl Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let serve = Arc::clone(&serve);
            // It usually ends with an error, when the client disconnects.
            thread::spawn(move || serve(stream));
        }
    });
    address
}

/// The server's side of a connection.
pub(crate) struct Peer {
    stream: TcpStream,
    requests: Receiver<Value>,
    buffer: Vec<u8>,
}

impl Peer {
    fn new(stream: TcpStream, close_codes: Arc<Mutex<Vec<u16>>>) -> io::Result<Self> {
        let (sender, requests) = mpsc::channel();
        let read_half = ReadHalf(stream.try_clone()?);
        thread::spawn(move || {
            let mut socket = WebSocket::from_raw_socket(read_half, Role::Server, None);
            while let Ok(message) = socket.read() {
                match message {
                    Message::Text(text) => {
                        let frame: Value = serde_json::from_str(&text).unwrap_or_default();
                        // Fails if `behave` has returned.
                        let _ = sender.send(frame);
                    }
                    Message::Close(Some(frame)) => close_codes
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(frame.code.into()),
                    _ => {}
                }
            }
        });
        Ok(Self { stream, requests, buffer: Vec::with_capacity(2 * BUFFER) })
    }

    /// Waits for the payload of the next request, or `None` if the client disconnects.
    pub(crate) fn request(&mut self) -> Option<Value> {
        self.requests.recv().ok().map(|mut frame| frame["payload"].take())
    }

    /// Replies to a request with the JSON in `data`.
    pub(crate) fn reply(&mut self, request: &Value, data: &str) -> io::Result<()> {
        let (action, id) = (&request["action"], &request["request_id"]);
        let status = if action == "subscribe_instance" { 201 } else { 200 };
        self.text(&format!(
            r#"{{"stream": "tasks", "payload": {{"errors": [], "data": {data}, "action": {action}, "response_status": {status}, "request_id": {id}}}}}"#
        ))?;
        self.flush()
    }

    /// Sends an update event for a subscribe request, with the JSON in `data`.
    pub(crate) fn event(&mut self, subscribe: &Value, data: &str) -> io::Result<()> {
        let id = &subscribe["request_id"];
        self.text(&format!(
            r#"{{"stream": "tasks", "payload": {{"errors": [], "data": {data}, "action": "update", "response_status": 200, "request_id": {id}}}}}"#
        ))
    }

    pub(crate) fn text(&mut self, text: &str) -> io::Result<()> {
        self.header(TEXT | FINAL, text.len())?;
        self.bytes(text.as_bytes())
    }

    /// Sends a fragment that is not the last one of its message.
    pub(crate) fn fragment(&mut self, opcode: u8, content: &[u8]) -> io::Result<()> {
        self.header(opcode, content.len())?;
        self.bytes(content)
    }

    /// Sends the header of a text message of this size.
    pub(crate) fn text_header(&mut self, size: usize) -> io::Result<()> {
        self.header(TEXT | FINAL, size)
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.buffer.len() + bytes.len() > BUFFER {
            self.flush()?;
        }
        if bytes.len() > BUFFER {
            return self.stream.write_all(bytes);
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    fn header(&mut self, opcode: u8, size: usize) -> io::Result<()> {
        let size = u64::try_from(size).unwrap_or(u64::MAX).to_be_bytes();
        let header = match size {
            [0, 0, 0, 0, 0, 0, 0, short @ 0..126] => vec![opcode, short],
            [0, 0, 0, 0, 0, 0, high, low] => vec![opcode, 126, high, low],
            long => [&[opcode, 127], &long[..]].concat(),
        };
        self.bytes(&header)
    }
}

/// Discards what tungstenite writes by itself, such as a pong, which would get between other writes.
struct ReadHalf(TcpStream);

impl Read for ReadHalf {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for ReadHalf {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The data of an event, as JSON.
pub(crate) fn data(n: usize, padding: &str) -> String {
    json!({"pk": 7, "n": n, "padding": padding}).to_string()
}
