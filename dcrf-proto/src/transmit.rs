//! What the owner of the socket must do for the session.

use std::fmt;

use crate::frame::Frame;
use crate::id::Epoch;

/// What the owner of the socket must do next, from [`Session::poll_transmit`](crate::Session::poll_transmit).
///
/// `Debug` shows the length of a message only.
#[derive(PartialEq, Eq)]
#[non_exhaustive]
pub enum Transmit {
    /// Connect, and report [`Session::handle_connected`](crate::Session::handle_connected) or
    /// [`Session::handle_disconnected`](crate::Session::handle_disconnected) with this epoch.
    Dial(Epoch),
    /// Send this frame. A [`Frame::Close`] starts the closing handshake: report
    /// [`Session::handle_disconnected`](crate::Session::handle_disconnected) once the connection has ended.
    Frame(Epoch, Frame),
}

/// An attempt to connect, for which a credentials provider returns the credentials.
///
/// ```
/// use dcrf_proto::Attempt;
///
/// fn token(attempt: Attempt, cached: &str) -> String {
///     if attempt.refresh { "a fresh token".to_owned() } else { cached.to_owned() }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempt {
    /// The number of the attempt since the last stable connection, starting with 1.
    pub number: u32,
    /// Whether the server rejected the previous credentials: with HTTP status 401 or 403, with close code 1008, 4401 or
    /// 4403, as the failure policy decided, or because it refused to replay a subscription with 401 or 403. If fresh
    /// ones are rejected too, the client closes; if a connection has worked before, only after
    /// [`Config::grace_period`](crate::Config::grace_period).
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
