//! A server that does what no real one would. It takes little memory, as it counts like the client's.

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

/// How much is collected until it is written.
const BURST: usize = 64 * 1024;

/// A listener whose every connection behaves alike. It lives as long as the process.
pub(crate) struct Server {
    address: SocketAddr,
    close_codes: Arc<Mutex<Vec<u16>>>,
}

impl Server {
    /// Behaves after a proper WebSocket handshake. The connection ends when `behave` returns.
    pub(crate) fn after_the_handshake(
        behave: impl Fn(&mut Peer) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let close_codes = Arc::<Mutex<Vec<u16>>>::default();
        let heard = Arc::clone(&close_codes);
        let address = listen(move |stream| {
            let Ok(socket) = tungstenite::accept(stream) else { return Ok(()) };
            let stream = socket.into_inner();
            let mut peer = Peer::new(stream, Arc::clone(&heard))?;
            behave(&mut peer)
        });
        Self { address, close_codes }
    }

    /// Behaves in place of the answer to the handshake, of which the request has been read.
    pub(crate) fn in_the_handshake(
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

    /// The codes of the close frames of all its connections.
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
            // A client that hangs up is what ends most of it.
            thread::spawn(move || serve(stream));
        }
    });
    address
}

/// The client, as the server sees it.
pub(crate) struct Peer {
    stream: TcpStream,
    requests: Receiver<Value>,
    unwritten: Vec<u8>,
}

impl Peer {
    fn new(stream: TcpStream, close_codes: Arc<Mutex<Vec<u16>>>) -> io::Result<Self> {
        let (sender, requests) = mpsc::channel();
        let reading = ReadOnly(stream.try_clone()?);
        thread::spawn(move || {
            let mut socket = WebSocket::from_raw_socket(reading, Role::Server, None);
            while let Ok(message) = socket.read() {
                match message {
                    Message::Text(text) => {
                        let frame: Value = serde_json::from_str(&text).unwrap_or_default();
                        // Nobody may listen any more.
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
        Ok(Self { stream, requests, unwritten: Vec::with_capacity(2 * BURST) })
    }

    /// The payload of the next request, until the client hangs up.
    pub(crate) fn request(&mut self) -> Option<Value> {
        self.requests.recv().ok().map(|mut frame| frame["payload"].take())
    }

    /// Answers a request with `data`, which is JSON.
    pub(crate) fn answer(&mut self, request: &Value, data: &str) -> io::Result<()> {
        let (action, id) = (&request["action"], &request["request_id"]);
        let status = if action == "subscribe_instance" { 201 } else { 200 };
        self.text(&format!(
            r#"{{"stream": "tasks", "payload": {{"errors": [], "data": {data}, "action": {action}, "response_status": {status}, "request_id": {id}}}}}"#
        ))?;
        self.flush()
    }

    /// Tells the subscription of a request that its object is now `data`, which is JSON.
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

    /// A frame after which its message goes on.
    pub(crate) fn fragment(&mut self, opcode: u8, content: &[u8]) -> io::Result<()> {
        self.header(opcode, content.len())?;
        self.bytes(content)
    }

    /// The beginning of a text message of this size.
    pub(crate) fn announce(&mut self, size: usize) -> io::Result<()> {
        self.header(TEXT | FINAL, size)
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.unwritten.len() + bytes.len() > BURST {
            self.flush()?;
        }
        if bytes.len() > BURST {
            return self.stream.write_all(bytes);
        }
        self.unwritten.extend_from_slice(bytes);
        Ok(())
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.unwritten)?;
        self.unwritten.clear();
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

/// Keeps what answers by itself, such as a pong, out of what is being written.
struct ReadOnly(TcpStream);

impl Read for ReadOnly {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}

impl Write for ReadOnly {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An object as an event brings it.
pub(crate) fn object(n: usize, padding: &str) -> String {
    json!({"pk": 7, "n": n, "padding": padding}).to_string()
}
