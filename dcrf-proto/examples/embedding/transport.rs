//! A transport between a [`Session`] and a WebSocket over any non-blocking byte stream. Copy this file into your program.
//! Your event loop supplies the rest: how to connect ([`Dial`]), and when to call [`Transport::receive`] and
//! [`Transport::send`].

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use dcrf_proto::{CloseFrame, ConnectionError, Epoch, Frame, Session, Transmit};
use tungstenite::error::{CapacityError, Error, ProtocolError};
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{CloseFrame as TungsteniteCloseFrame, WebSocketConfig};
use tungstenite::{Bytes, Message, WebSocket};

/// How many messages are read before the loop continues: fewer than the 1,024 changes that a subscription buffers.
const MESSAGES_PER_TURN: usize = 256;

/// The code of a close frame that has none (RFC 6455, section 7.1.5). It is never sent.
const NO_CODE: u16 = 1005;

/// A non-blocking attempt to connect. Dropping it cancels the attempt.
pub(crate) trait Dial {
    /// The byte stream below the WebSocket. It does not block either.
    type Stream: Read + Write;

    /// Returns the WebSocket after its handshake, or why it failed; `None` while the attempt is under way.
    fn poll(&mut self) -> Option<Result<WebSocket<Self::Stream>, ConnectionError>>;
}

/// The current connection of a session, and the function that starts an attempt to connect.
pub(crate) struct Transport<D: Dial, F> {
    dial: F,
    connection: Option<(Epoch, Stage<D>)>,
}

#[expect(clippy::large_enum_variant, reason = "there is one of it")]
enum Stage<D: Dial> {
    Dialing(D),
    Open(WebSocket<D::Stream>),
}

impl<D: Dial, F: FnMut() -> Result<D, ConnectionError>> Transport<D, F> {
    pub(crate) fn new(dial: F) -> Self {
        Self { dial, connection: None }
    }

    /// Passes received messages to the session. Returns whether more may be buffered, which the socket won't signal.
    pub(crate) fn receive(&mut self, session: &mut Session, now: Instant) -> bool {
        self.drop_abandoned(session);
        let Some((epoch, stage)) = &mut self.connection else { return false };
        let received = match stage {
            Stage::Open(socket) => read(socket, *epoch, session, now),
            Stage::Dialing(dial) => match dial.poll() {
                Some(Ok(socket)) => {
                    *stage = Stage::Open(socket);
                    session.handle_connected(*epoch, now);
                    // The handshake may have buffered the first messages.
                    Ok(true)
                }
                Some(Err(error)) => Err(error),
                None => Ok(false),
            },
        };
        received.unwrap_or_else(|error| {
            self.disconnect(error, session, now);
            false
        })
    }

    /// Sends what the session has to send, until the socket would block.
    pub(crate) fn send(&mut self, session: &mut Session, now: Instant) {
        self.drop_abandoned(session);
        if let Err(error) = self.write(session, now) {
            // The server may have sent a close frame, which explains more than the failed write.
            self.receive(session, now);
            self.disconnect(error, session, now);
        }
    }

    /// Takes nothing from the session while the socket would block: a message that is still in the session can be
    /// cancelled, and survives the connection.
    fn write(&mut self, session: &mut Session, now: Instant) -> Result<(), ConnectionError> {
        let mut is_writable = self.flush()?;
        while is_writable {
            let Some(transmit) = session.poll_transmit() else { break };
            let message = match transmit {
                Transmit::Dial(epoch) => {
                    match (self.dial)() {
                        Ok(dial) => self.connection = Some((epoch, Stage::Dialing(dial))),
                        Err(error) => session.handle_disconnected(epoch, error, now),
                    }
                    continue;
                }
                Transmit::Frame(_, Frame::Text(text)) => Message::from(text),
                Transmit::Frame(_, Frame::Binary(bytes)) => Message::from(bytes),
                Transmit::Frame(_, Frame::Ping) => Message::Ping(Bytes::new()),
                Transmit::Frame(_, Frame::Close(frame)) => Message::Close(to_tungstenite(frame)),
                _ => continue,
            };
            if let Some((_, Stage::Open(socket))) = &mut self.connection {
                is_writable = is_ready(socket.write(message))?;
            }
        }
        self.flush().map(drop)
    }

    /// Returns whether everything is written.
    fn flush(&mut self) -> Result<bool, ConnectionError> {
        match &mut self.connection {
            Some((_, Stage::Open(socket))) => is_ready(socket.flush()),
            _ => Ok(true),
        }
    }

    /// Drops a socket or dial that the session has given up. It may hang forever.
    fn drop_abandoned(&mut self, session: &Session) {
        self.connection.take_if(|(epoch, _)| session.epoch() != Some(*epoch));
    }

    fn disconnect(&mut self, error: ConnectionError, session: &mut Session, now: Instant) {
        if let Some((epoch, _)) = self.connection.take() {
            session.handle_disconnected(epoch, error, now);
        }
    }
}

/// Reads the available messages. Returns whether there may be more.
fn read<S: Read + Write>(
    socket: &mut WebSocket<S>,
    epoch: Epoch,
    session: &mut Session,
    now: Instant,
) -> Result<bool, ConnectionError> {
    for _ in 0..MESSAGES_PER_TURN {
        match socket.read() {
            Ok(Message::Text(text)) => session.handle_text(epoch, &text, now),
            Ok(Message::Binary(bytes)) => session.handle_binary(epoch, &bytes, now),
            // tungstenite answers a ping by itself, at the next read or flush.
            Ok(Message::Ping(_) | Message::Pong(_)) => session.handle_pong(epoch, now),
            Ok(Message::Close(frame)) => {
                // Try once to answer a close frame. The server may no longer read.
                let _ = socket.flush();
                return Err(ConnectionError::Closed(from_tungstenite(frame)));
            }
            Ok(Message::Frame(_)) => {}
            Err(error) => return is_ready(Err(error)),
        }
    }
    Ok(true)
}

/// Whether the socket is ready for more. tungstenite keeps a message that would block, and writes it on a later flush.
fn is_ready(result: tungstenite::Result<()>) -> Result<bool, ConnectionError> {
    match result {
        Ok(()) => Ok(true),
        Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(connection_error(error)),
    }
}

/// Converts an error of the handshake or of an open connection.
pub(crate) fn connection_error(error: Error) -> ConnectionError {
    match error {
        Error::Io(error) => error.into(),
        Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Protocol(
            ProtocolError::ResetWithoutClosingHandshake | ProtocolError::HandshakeIncomplete,
        ) => ConnectionError::Dropped,
        Error::Http(response) => {
            let seconds = response.headers().get("retry-after");
            let seconds = seconds.and_then(|seconds| seconds.to_str().ok()?.parse().ok());
            ConnectionError::Http {
                status: response.status().as_u16(),
                retry_after: seconds.map(Duration::from_secs),
            }
        }
        Error::Capacity(CapacityError::MessageTooLong { size, max_size }) => {
            ConnectionError::TooLarge { size, limit: max_size }
        }
        error => ConnectionError::Protocol(error.to_string()),
    }
}

fn from_tungstenite(frame: Option<TungsteniteCloseFrame>) -> CloseFrame {
    let Some(TungsteniteCloseFrame { code, reason }) = frame else {
        return CloseFrame { code: NO_CODE, reason: String::new() };
    };
    // tungstenite puts this in place of codes that it does not know.
    if code == CloseCode::Protocol && reason == "Protocol violation" {
        return CloseFrame { code: NO_CODE, reason: String::new() };
    }
    CloseFrame { code: code.into(), reason: reason.to_string() }
}

fn to_tungstenite(frame: CloseFrame) -> Option<TungsteniteCloseFrame> {
    let CloseFrame { code, reason } = frame;
    (code != NO_CODE).then(|| TungsteniteCloseFrame { code: code.into(), reason: reason.into() })
}

/// By default, tungstenite accepts messages of 64 MiB, and buffers any number of pongs for a server that doesn't read.
pub(crate) fn limits() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(16 << 10)
        .write_buffer_size(16 << 10)
        // Room for the largest message that the session sends by default, 1 MiB.
        .max_write_buffer_size(2 << 20)
        .max_message_size(Some(4 << 20))
        .max_frame_size(Some(4 << 20))
}
