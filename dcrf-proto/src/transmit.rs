//! What the session wants done by whoever owns the socket.

use std::fmt;

use crate::command::CloseFrame;
use crate::dialect::Message;
use crate::id::Epoch;

/// What the session wants done next.
///
/// `Debug` shows the length of a text only (X1).
#[derive(PartialEq, Eq)]
#[non_exhaustive]
pub enum Transmit {
    /// Make a connection, and report [`Session::handle_connected`](crate::Session::handle_connected) or [`Session::handle_disconnected`](crate::Session::handle_disconnected) with this
    /// epoch.
    Dial(Epoch),
    /// Send a text message.
    Text(Epoch, String),
    /// Send a binary message: only with a [`Dialect`](crate::Dialect) that writes such.
    Binary(Epoch, Vec<u8>),
    /// Send a ping.
    Ping(Epoch),
    /// Begin the closing handshake with this frame, and report [`Session::handle_disconnected`](crate::Session::handle_disconnected) when the
    /// connection has ended.
    Close(Epoch, CloseFrame),
}

impl Transmit {
    pub(crate) fn message(epoch: Epoch, message: Message) -> Self {
        match message {
            Message::Text(text) => Self::Text(epoch, text),
            Message::Binary(bytes) => Self::Binary(epoch, bytes),
        }
    }
}

/// What is known of an attempt to connect, for [`Session::attempt`](crate::Session::attempt).
///
/// ```
/// use dcrf_proto::Attempt;
///
/// fn token(attempt: Attempt, kept: &str) -> String {
///     if attempt.refresh { "a new one".to_owned() } else { kept.to_owned() }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempt {
    /// Which attempt this is since the last stable connection, from 1.
    pub number: u32,
    /// Whether the server refused the credentials of the last attempt (401, 403, 1008, 4401, 4403, or what the
    /// caller's verdict says): bring fresh ones, since it is not asked a third time (L6).
    pub refresh: bool,
}

impl fmt::Debug for Transmit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dial(epoch) => write!(f, "Dial({epoch})"),
            Self::Text(epoch, text) => write!(f, "Text({epoch}, {} bytes)", text.len()),
            Self::Binary(epoch, bytes) => write!(f, "Binary({epoch}, {} bytes)", bytes.len()),
            Self::Ping(epoch) => write!(f, "Ping({epoch})"),
            Self::Close(epoch, frame) => write!(f, "Close({epoch}, {})", frame.code),
        }
    }
}
