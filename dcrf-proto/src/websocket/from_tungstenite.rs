//! Conversions from and to the types of tungstenite. No message repeats what a request or a frame contained (X1).

use std::io;
use std::time::Duration;

use async_tungstenite::tungstenite::error::{
    CapacityError, Error, ProtocolError, SubProtocolError,
};
use async_tungstenite::tungstenite::http::HeaderMap;
use async_tungstenite::tungstenite::http::header::RETRY_AFTER;
use async_tungstenite::tungstenite::protocol::CloseFrame as TungsteniteFrame;

use crate::command::CloseFrame;
use crate::error::ConnectionError;
use crate::link::MAX_RETRY_AFTER;

/// The error of a handshake or a connection.
pub(super) fn connection_error(error: Error) -> ConnectionError {
    match error {
        Error::Io(error) => error.into(),
        // The server closed the TCP connection, within the handshake or later.
        Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Protocol(
            ProtocolError::ResetWithoutClosingHandshake | ProtocolError::HandshakeIncomplete,
        ) => ConnectionError::Dropped,
        Error::Http(response) => ConnectionError::Http {
            status: response.status().as_u16(),
            retry_after: retry_after(response.headers()),
        },
        Error::Capacity(CapacityError::MessageTooLong { size, max_size }) => {
            ConnectionError::TooLarge { size, limit: max_size }
        }
        Error::WriteBufferFull(_) => ConnectionError::Io {
            kind: io::ErrorKind::Other,
            message: "the server does not read what is sent to it".to_owned(),
        },
        Error::Protocol(ProtocolError::SecWebSocketSubProtocolError(error)) => {
            ConnectionError::Subprotocol(subprotocol(error).to_owned())
        }
        Error::Protocol(ProtocolError::HttparseError(_)) => {
            ConnectionError::Protocol(NOT_HTTP.to_owned())
        }
        Error::Protocol(error) => ConnectionError::Protocol(error.to_string()),
        Error::Utf8(_) => ConnectionError::Protocol("a text message is not UTF-8".to_owned()),
        Error::HttpFormat(_) => ConnectionError::Protocol(NOT_HTTP.to_owned()),
        Error::Capacity(CapacityError::TooManyHeaders) | Error::AttackAttempt => {
            ConnectionError::Protocol("the answer to the handshake is too long".to_owned())
        }
        Error::Url(_) => ConnectionError::Protocol("the URL is not one of a WebSocket".to_owned()),
        Error::Tls(_) => ConnectionError::Tls("the TLS of tungstenite failed".to_owned()),
    }
}

pub(super) const NOT_HTTP: &str = "the handshake was not answered in HTTP";

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
    Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER))
}

/// RFC 6455, section 7.1.5: stands for a frame without a code, and is never written.
const NO_CODE: u16 = 1005;

/// The close frame that the server sent. `None` is a close frame without a code.
pub(super) fn received(frame: Option<TungsteniteFrame>) -> CloseFrame {
    match frame {
        Some(TungsteniteFrame { code, reason }) => {
            CloseFrame { code: code.into(), reason: reason.to_string() }
        }
        None => CloseFrame { code: NO_CODE, reason: String::new() },
    }
}

/// The close frame to send.
pub(super) fn to_send(frame: CloseFrame) -> Option<TungsteniteFrame> {
    let CloseFrame { code, reason } = frame.sendable();
    (code != NO_CODE).then(|| TungsteniteFrame { code: code.into(), reason: reason.into() })
}
