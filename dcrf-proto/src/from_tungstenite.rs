//! What tungstenite says, in the words of the core (feature `tungstenite`): the same for whoever drives a socket of
//! it. No message repeats what the request or a frame carried (X1).

use std::io;
use std::time::Duration;

use tungstenite::error::{CapacityError, Error, ProtocolError, SubProtocolError};
use tungstenite::http::HeaderMap;
use tungstenite::http::header::RETRY_AFTER;
use tungstenite::protocol::CloseFrame as TungsteniteFrame;

use crate::command::CloseFrame;
use crate::error::ConnectionError;

impl From<Error> for ConnectionError {
    /// What a failure of the handshake, or of the connection, means.
    fn from(error: Error) -> Self {
        match error {
            Error::Io(error) => error.into(),
            // The server closed the TCP connection, within the handshake or later.
            Error::ConnectionClosed
            | Error::AlreadyClosed
            | Error::Protocol(
                ProtocolError::ResetWithoutClosingHandshake | ProtocolError::HandshakeIncomplete,
            ) => Self::Dropped,
            Error::Http(response) => Self::Http {
                status: response.status().as_u16(),
                retry_after: retry_after(response.headers()),
            },
            Error::Capacity(CapacityError::MessageTooLong { max_size, .. }) => {
                Self::TooLarge { limit: max_size }
            }
            Error::WriteBufferFull(_) => Self::Io {
                kind: io::ErrorKind::Other,
                message: "the server does not read what is sent to it".to_owned(),
            },
            Error::Protocol(error) => Self::Protocol(protocol(&error)),
            Error::Utf8(_) => Self::Protocol("a text message is not UTF-8".to_owned()),
            Error::HttpFormat(_) => Self::Protocol(NOT_HTTP.to_owned()),
            Error::Capacity(CapacityError::TooManyHeaders) | Error::AttackAttempt => {
                Self::Protocol("the answer to the handshake is too long".to_owned())
            }
            Error::Url(_) => Self::Protocol("the URL is not one of a WebSocket".to_owned()),
            Error::Tls(_) => Self::Tls("the TLS of tungstenite failed".to_owned()),
        }
    }
}

pub(crate) const NOT_HTTP: &str = "the handshake was not answered in HTTP";

fn protocol(error: &ProtocolError) -> String {
    let known = match error {
        ProtocolError::HttparseError(_) => NOT_HTTP,
        ProtocolError::SecWebSocketSubProtocolError(error) => match error {
            // Channels' default: its consumers pick none unless they are written to.
            SubProtocolError::NoSubProtocol => {
                "subprotocols were offered and the server picked none"
            }
            SubProtocolError::InvalidSubProtocol => {
                "the server picked a subprotocol that was not offered"
            }
            SubProtocolError::ServerSentSubProtocolNoneRequested => {
                "the server picked a subprotocol and none was offered"
            }
        },
        other => return other.to_string(),
    };
    known.to_owned()
}

/// `Retry-After` in seconds. Its other form, a date, would need the clock of the server.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// RFC 6455, section 7.1.5: stands for a frame without a code, and is never written.
const NO_CODE: u16 = 1005;

impl From<Option<TungsteniteFrame>> for CloseFrame {
    fn from(frame: Option<TungsteniteFrame>) -> Self {
        match frame {
            Some(TungsteniteFrame { code, reason }) => {
                Self { code: code.into(), reason: reason.to_string() }
            }
            None => Self { code: NO_CODE, reason: String::new() },
        }
    }
}

impl From<CloseFrame> for Option<TungsteniteFrame> {
    /// As a client may send it.
    fn from(frame: CloseFrame) -> Self {
        let CloseFrame { code, reason } = frame.sendable();
        (code != NO_CODE).then(|| TungsteniteFrame { code: code.into(), reason: reason.into() })
    }
}
