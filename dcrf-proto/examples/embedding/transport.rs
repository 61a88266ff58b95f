//! The part between a socket and a [`Session`], over any byte stream that does not block. It is there to be
//! copied: what is left to an event loop is how to connect ([`Dial`]), and when to come back.

use std::io::{ErrorKind, Read, Write};
use std::time::Instant;

use dcrf_proto::{ConnectionError, Epoch, Frame, Session, Transmit};
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Bytes, Error, Message, WebSocket};

/// How much is read before the rest of the loop gets its turn: less than the 1,024 changes that a
/// subscription holds for its reader, and no more than fits into a frame of a game.
const MESSAGES_PER_TURN: usize = 256;

/// An attempt to connect that never blocks. Dropping it gives it up.
pub(crate) trait Dial {
    /// What it connects. It does not block either.
    type Stream: Read + Write;

    /// The WebSocket once its handshake is over, or why there is none; `None` while it is under way.
    fn poll(&mut self) -> Option<Result<WebSocket<Self::Stream>, ConnectionError>>;
}

/// The connection that a session uses or makes now, and the function that begins to make one.
pub(crate) struct Transport<D: Dial, F> {
    begin: F,
    connection: Option<(Epoch, Stage<D>)>,
}

#[expect(clippy::large_enum_variant, reason = "there is one of it")]
enum Stage<D: Dial> {
    Dialling(D),
    Open(WebSocket<D::Stream>),
}

impl<D: Dial, F: FnMut() -> Result<D, ConnectionError>> Transport<D, F> {
    pub(crate) fn new(begin: F) -> Self {
        Self { begin, connection: None }
    }

    /// Tells the session what has arrived. Says whether there may be more that no event of the socket will
    /// announce.
    pub(crate) fn receive(&mut self, session: &mut Session, now: Instant) -> bool {
        self.drop_what_is_given_up(session);
        let Some((epoch, stage)) = &mut self.connection else { return false };
        let received = match stage {
            Stage::Open(socket) => read(socket, *epoch, session, now),
            Stage::Dialling(dial) => match dial.poll() {
                Some(Ok(socket)) => {
                    *stage = Stage::Open(socket);
                    session.handle_connected(*epoch, now);
                    // The handshake may have read the first messages along with the server's answer.
                    Ok(true)
                }
                Some(Err(lost)) => Err(lost),
                None => Ok(false),
            },
        };
        received.unwrap_or_else(|lost| {
            self.lose(lost, session, now);
            false
        })
    }

    /// Does what the session wants done, as far as the socket takes it.
    pub(crate) fn send(&mut self, session: &mut Session, now: Instant) {
        self.drop_what_is_given_up(session);
        if let Err(failed) = self.write(session, now) {
            // What the server said before it hung up tells more than the write that failed.
            self.receive(session, now);
            self.lose(failed, session, now);
        }
    }

    /// Nothing is taken from the session while the socket takes nothing: what stays there can still be
    /// cancelled, and is not lost with the connection.
    fn write(&mut self, session: &mut Session, now: Instant) -> Result<(), ConnectionError> {
        let mut takes_more = self.flush()?;
        while takes_more {
            let Some(transmit) = session.poll_transmit() else { break };
            let message = match transmit {
                Transmit::Dial(epoch) => {
                    match (self.begin)() {
                        Ok(dial) => self.connection = Some((epoch, Stage::Dialling(dial))),
                        Err(lost) => session.handle_disconnected(epoch, lost, now),
                    }
                    continue;
                }
                Transmit::Frame(_, Frame::Text(text)) => Message::from(text),
                Transmit::Frame(_, Frame::Binary(bytes)) => Message::from(bytes),
                Transmit::Frame(_, Frame::Ping) => Message::Ping(Bytes::new()),
                Transmit::Frame(_, Frame::Close(frame)) => Message::Close(frame.into()),
                _ => continue,
            };
            if let Some((_, Stage::Open(socket))) = &mut self.connection {
                takes_more = goes_on(socket.write(message))?;
            }
        }
        self.flush().map(drop)
    }

    /// Writes what has been fed. Says whether all of it is written.
    fn flush(&mut self) -> Result<bool, ConnectionError> {
        match &mut self.connection {
            Some((_, Stage::Open(socket))) => goes_on(socket.flush()),
            _ => Ok(true),
        }
    }

    /// The epoch rule: a socket or a dial that the session no longer counts on may hang for ever.
    fn drop_what_is_given_up(&mut self, session: &Session) {
        self.connection.take_if(|(epoch, _)| session.epoch() != Some(*epoch));
    }

    fn lose(&mut self, lost: ConnectionError, session: &mut Session, now: Instant) {
        if let Some((epoch, _)) = self.connection.take() {
            session.handle_disconnected(epoch, lost, now);
        }
    }
}

/// Reads what is there. Says whether there may be more.
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
                // The answer, where the server began: one try, since it may no longer read.
                let _ = socket.flush();
                return Err(ConnectionError::Closed(frame.into()));
            }
            Ok(Message::Frame(_)) => {}
            Err(error) => return goes_on(Err(error)),
        }
    }
    Ok(true)
}

/// Whether a socket goes on at once (`true`), when it is ready again (`false`), or never. A message whose
/// write blocks is kept by tungstenite, and written by a later flush.
fn goes_on(result: tungstenite::Result<()>) -> Result<bool, ConnectionError> {
    match result {
        Ok(()) => Ok(true),
        Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// tungstenite's own limits are 64 MiB for a message from the server, and none for what waits to be
/// written: the pongs to a server that does not read would add up.
pub(crate) fn limits() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(16 << 10)
        .write_buffer_size(16 << 10)
        // Room for the largest message that the session sends by default, 1 MiB.
        .max_write_buffer_size(2 << 20)
        .max_message_size(Some(4 << 20))
        .max_frame_size(Some(4 << 20))
}
