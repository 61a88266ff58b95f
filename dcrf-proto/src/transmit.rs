//! What the session wants done by whoever owns the socket.

use std::fmt;

use crate::frame::Frame;
use crate::id::Epoch;

/// What the session wants done next.
///
/// `Debug` shows the length of a message only.
#[derive(PartialEq, Eq)]
#[non_exhaustive]
pub enum Transmit {
    /// Make a connection, and report [`Session::handle_connected`](crate::Session::handle_connected) or [`Session::handle_disconnected`](crate::Session::handle_disconnected) with this
    /// epoch.
    Dial(Epoch),
    /// Send this frame. A [`Frame::Close`] starts the closing handshake: report
    /// [`Session::handle_disconnected`](crate::Session::handle_disconnected) once the connection has ended.
    Frame(Epoch, Frame),
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
            Self::Frame(epoch, frame) => write!(f, "Frame({epoch}, {frame:?})"),
        }
    }
}
