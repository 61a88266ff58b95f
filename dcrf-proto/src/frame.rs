//! A message on the socket.

use std::fmt;

use crate::command::CloseFrame;

/// A message on the socket, sent or received.
///
/// `T` and `B` hold the content of text and binary messages. A received frame can borrow from the socket's buffers.
///
/// `Debug` shows the length of the content only.
///
/// ```
/// use dcrf_proto::Frame;
///
/// let frame: Frame = Frame::Text("{}".to_owned());
/// assert_eq!(format!("{frame:?}"), "Text(2 bytes)");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub enum Frame<T = String, B = Vec<u8>> {
    /// A text message.
    Text(T),
    /// A binary message. The client sends one only if its [`Dialect`](crate::Dialect) encodes to binary.
    Binary(B),
    /// A ping without payload.
    Ping,
    /// The answer to a ping.
    Pong,
    /// Starts the closing handshake, or completes it.
    Close(CloseFrame),
    /// A received text message over the size limit, which was not kept.
    TooLarge {
        /// The message without the contents of arrays, of long strings, and of objects inside of the payload. It shows
        /// whose reply or event the message is.
        envelope: T,
        /// The size of the message in bytes.
        size: usize,
        /// The size limit in bytes.
        limit: usize,
    },
}

impl<T: AsRef<str>, B: AsRef<[u8]>> Frame<T, B> {
    /// The size of the content in bytes; 0 for control frames.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Text(text) | Self::TooLarge { envelope: text, .. } => text.as_ref().len(),
            Self::Binary(bytes) => bytes.as_ref().len(),
            Self::Ping | Self::Pong | Self::Close(_) => 0,
        }
    }
}

// X1
impl<T: AsRef<str>, B: AsRef<[u8]>> fmt::Debug for Frame<T, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => write!(f, "Text({} bytes)", self.len()),
            Self::Binary(_) => write!(f, "Binary({} bytes)", self.len()),
            Self::Ping => f.write_str("Ping"),
            Self::Pong => f.write_str("Pong"),
            Self::Close(frame) => write!(f, "Close({})", frame.code),
            Self::TooLarge { size, .. } => write!(f, "TooLarge({size} bytes)"),
        }
    }
}
