//! What an error of tungstenite means for the connection, as a [`Lost`]. No message repeats what the
//! request or a frame carried (X1).

use std::time::Duration;

use async_tungstenite::tungstenite::error::{
    CapacityError, Error, ProtocolError, SubProtocolError,
};
use async_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use http::HeaderMap;
use http::header::RETRY_AFTER;

use crate::error::Lost;

/// What a failure of the handshake means.
pub(super) fn handshake(error: Error) -> Lost {
    match error {
        Error::Http(response) => Lost::Refused {
            status: response.status().as_u16(),
            retry_after: retry_after(response.headers()),
        },
        Error::Protocol(ProtocolError::HttparseError(_))
        | Error::HttpFormat(_)
        | Error::Utf8(_) => Lost::Protocol("the handshake was not answered in HTTP".to_owned()),
        Error::Protocol(ProtocolError::SecWebSocketSubProtocolError(error)) => {
            Lost::Protocol(subprotocol(error).to_owned())
        }
        Error::AttackAttempt | Error::Capacity(_) => {
            Lost::Protocol("the answer to the handshake is too long".to_owned())
        }
        // Only frames are limited by size, and none has come.
        error => frame(error, usize::MAX),
    }
}

/// What a failure after the handshake means; `limit` is what a message may have in bytes.
pub(super) fn frame(error: Error, limit: usize) -> Lost {
    match error {
        Error::Io(error) => io(error),
        // The server closed the TCP connection, within the handshake or later.
        Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Protocol(
            ProtocolError::ResetWithoutClosingHandshake | ProtocolError::HandshakeIncomplete,
        ) => Lost::Dropped,
        Error::Protocol(error) => Lost::Protocol(error.to_string()),
        Error::Utf8(_) => Lost::Protocol("a text message is not UTF-8".to_owned()),
        Error::Capacity(CapacityError::MessageTooLong { .. }) => Lost::TooLarge { limit },
        Error::WriteBufferFull(_) => Lost::Io {
            kind: std::io::ErrorKind::Other,
            message: "the server does not read what is sent to it".to_owned(),
        },
        // Errors of URLs, of tungstenite's own TLS and of HTTP, none of which come from a stream of frames.
        Error::Capacity(CapacityError::TooManyHeaders)
        | Error::AttackAttempt
        | Error::Url(_)
        | Error::Tls(_)
        | Error::Http(_)
        | Error::HttpFormat(_) => Lost::Protocol("the WebSocket failed".to_owned()),
    }
}

/// What a failure of the byte stream means.
pub(super) fn io(error: std::io::Error) -> Lost {
    #[cfg(feature = "rustls")]
    if let Some(lost) = super::tls::lost(&error) {
        return lost;
    }
    error.into()
}

/// The close code that tells the server about a failure (RFC 6455, section 7.4.1); `None` when it is
/// not the server's.
pub(super) fn close_code(error: &Error) -> Option<CloseCode> {
    match error {
        Error::Capacity(_) => Some(CloseCode::Size),
        Error::Utf8(_) => Some(CloseCode::Invalid),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => None,
        Error::Protocol(_) => Some(CloseCode::Protocol),
        _ => None,
    }
}

fn subprotocol(error: SubProtocolError) -> &'static str {
    match error {
        // Channels' default: its consumers pick none unless they are written to.
        SubProtocolError::NoSubProtocol => "subprotocols were offered and the server picked none",
        SubProtocolError::InvalidSubProtocol => {
            "the server picked a subprotocol that was not offered"
        }
        SubProtocolError::ServerSentSubProtocolNoneRequested => {
            "the server picked a subprotocol and none was offered"
        }
    }
}

/// `Retry-After` in seconds. Its other form, a date, would need the clock of the server.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}
