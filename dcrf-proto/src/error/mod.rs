//! The errors of connections, requests, subscriptions and rejected calls. No message contains a payload, a query or a
//! header (X1).

mod collection;
mod subscription;

use std::io;
use std::time::Duration;

pub use self::collection::{CollectionError, WaitingFor};
pub use self::subscription::{RefreshError, SubscriptionError, UnsubscribeError};
use crate::command::{CloseFrame, InvalidArgument, Request};
use crate::protocol::error_reply::ErrorReply;
use crate::protocol::json::DecodeError;
use crate::protocol::selector::InvalidPattern;
use crate::shown::Shown;

/// Why a connection was lost, or could not be made.
///
/// It is the cause in [`ConnectionState`](crate::ConnectionState), [`Gap`](crate::Gap) and other errors.
///
/// ```
/// use dcrf_proto::ConnectionError;
///
/// fn advice(error: &ConnectionError) -> &'static str {
///     match error {
///         ConnectionError::Http { status: 500, .. } => "does the path lead to a consumer?",
///         ConnectionError::Certificate(_) => "does this machine trust the server's CA?",
///         _ => "wait, the client retries",
///     }
/// }
/// assert_eq!(advice(&ConnectionError::Dropped), "wait, the client retries");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionError {
    /// The server closed the connection. A close frame without a code has code 1005.
    #[error("the server closed the connection with code {}", .0.code)]
    Closed(CloseFrame),
    /// The connection ended without a close frame, which browsers report as 1006: the server died, or the network
    /// failed.
    #[error("the connection ended without a close frame")]
    Dropped,
    /// The server replied to the handshake with an HTTP status other than 101.
    #[error("the server rejected the WebSocket handshake with HTTP status {status}")]
    Http {
        /// The HTTP status. Channels replies with 403 if the consumer does not accept, and with 500 if no route
        /// matches.
        status: u16,
        /// The `Retry-After` header in seconds, at most 5 minutes. A date is ignored, because it depends on the server's
        /// clock.
        retry_after: Option<Duration>,
    },
    /// The name lookup, the socket or a custom connector failed.
    #[error("{}", Shown(.message))]
    Io {
        /// The kind of error, for example [`io::ErrorKind::ConnectionRefused`].
        kind: io::ErrorKind,
        /// The message of the operating system or the connector.
        message: String,
    },
    /// The attempt took longer than [`Config::dial_timeout`](crate::Config::dial_timeout).
    #[error("connecting took longer than {}", seconds(*.0))]
    DialTimedOut(Duration),
    /// The server has sent nothing for this long, not even the answer to a ping. Or it has only answered pings, although
    /// replies are overdue.
    #[error("the server has been silent for {}", seconds(*.0))]
    Silent(Duration),
    /// The program called `force_reconnect`. This is the cause of a gap, and not a failure.
    #[error("the program asked for a new connection")]
    Reconnect,
    /// The server refused to replay a subscription with 401 or 403, and the client reconnects with fresh credentials.
    /// This is the cause of a gap, and not a failure.
    #[error(
        "the server rejected a subscription with status {status}; reconnecting with fresh credentials"
    )]
    Unauthorized {
        /// The status of the error reply.
        status: u16,
    },
    /// The credentials provider failed or took too long.
    #[error("no credentials: {}", Shown(.message))]
    Credentials {
        /// The message of its error.
        message: String,
        /// Whether the provider said that retrying can't help.
        fatal: bool,
    },
    /// The server's certificate was rejected, or the server rejected the client's certificate on a verified connection.
    #[error("TLS: {}", Shown(.0))]
    Certificate(String),
    /// TLS failed for another reason. This includes alerts that the server sent before it was verified.
    #[error("TLS: {}", Shown(.0))]
    Tls(String),
    /// The server violated the WebSocket protocol.
    #[error("WebSocket protocol: {}", Shown(.0))]
    Protocol(String),
    /// The server selected none of the offered subprotocols, or one that was not offered.
    #[error("{0}")]
    Subprotocol(String),
    /// The server sent a message over the size limit.
    #[error("the server sent a message of {size} bytes, more than the limit of {limit}")]
    TooLarge {
        /// The size of the message in bytes, or of those of its parts that were received.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
}

impl From<io::Error> for ConnectionError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Dropped,
            kind => Self::Io { kind, message: error.to_string() },
        }
    }
}

/// Why a client is closed for good.
///
/// ```
/// use dcrf_proto::{CloseReason, ConnectionState};
///
/// /// Whether the user must log in again.
/// fn wants_login(state: &ConnectionState) -> bool {
///     matches!(state, ConnectionState::Closed(CloseReason::Unauthorized(_)))
/// }
/// assert!(!wants_login(&ConnectionState::Closed(CloseReason::ByCaller)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CloseReason {
    /// The program closed the client or dropped its last handle.
    #[error("the client was closed")]
    ByCaller,
    /// All attempts allowed by [`Config::max_attempts`](crate::Config::max_attempts) failed.
    #[error("gave up after {}: {last_error}", counted(u64::from(*.attempts), "attempt", "attempts"))]
    GaveUp {
        /// How many attempts were made.
        attempts: u32,
        /// Why the last attempt failed.
        last_error: ConnectionError,
    },
    /// The server rejected the credentials, and fresh ones too, with HTTP status 401 or 403 or close code 1008, 4401 or
    /// 4403. If a connection has worked before, it did so for the whole
    /// [`Config::grace_period`](crate::Config::grace_period).
    #[error("not authorized: {0}")]
    Unauthorized(ConnectionError),
    /// Retrying can't help. Either the credentials provider returned a fatal error or the policy returned
    /// [`FailureAction::Stop`](crate::FailureAction::Stop). Or the failure is a rejected certificate, or the third in a
    /// row with HTTP status 404, a close code for protocol errors, or no common subprotocol; if a connection has worked
    /// before, it lasted for the whole [`Config::grace_period`](crate::Config::grace_period).
    #[error("{0}")]
    Fatal(ConnectionError),
    /// The task or thread that drives the client ended, because its runtime was shut down or because a connector,
    /// provider or policy panicked.
    #[error("the task that drives the client was stopped")]
    DriverStopped,
}

/// Why the client rejected a call. Nothing was sent or queued.
///
/// ```
/// use dcrf_proto::{Rejected, RejectReason, Request};
///
/// /// The request, if it can be made again later.
/// fn retry_later(rejected: Rejected<Request>) -> Option<Request> {
///     matches!(rejected.reason, RejectReason::QueueFull).then_some(rejected.command)
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RejectReason {
    /// There are as many queued requests or bytes, pending requests, subscriptions or listeners as
    /// [`Config`](crate::Config) allows.
    #[error("the queue is full")]
    QueueFull,
    /// The message is larger than [`Config::max_outgoing_message`](crate::Config::max_outgoing_message). Daphne drops
    /// the connection if a message is over 1 MiB.
    #[error("the message has {size} bytes, more than the limit of {limit}")]
    TooLarge {
        /// The size of the encoded message in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The request id is in use, or a late reply to an earlier request with this id may still come.
    #[error("the request id is in use")]
    IdInUse,
    /// An argument or pattern can't be serialized as JSON, or an argument has a name that the protocol uses.
    #[error("argument `{argument}`: {reason}")]
    InvalidArgument {
        /// The argument's name.
        argument: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no connection, and the call does not wait for one: it is a `send_now`, or its request is
    /// [`fail_fast`](crate::Request::fail_fast).
    #[error("there is no connection")]
    NotConnected,
    /// The client is closed or closing.
    #[error("{0}")]
    Closed(CloseReason),
}

impl From<InvalidArgument> for RejectReason {
    fn from(invalid: InvalidArgument) -> Self {
        Self::InvalidArgument { argument: invalid.argument, reason: invalid.reason.to_owned() }
    }
}

impl From<InvalidPattern> for RejectReason {
    fn from(invalid: InvalidPattern) -> Self {
        Self::InvalidArgument { argument: "pattern".to_owned(), reason: invalid.reason.to_owned() }
    }
}

/// A call that the client rejected: the request, subscription or selector, and the reason.
///
/// ```
/// use dcrf_proto::{Config, RejectReason, Request, Seed, Session};
/// use std::time::Instant;
///
/// let now = Instant::now();
/// let mut session = Session::new(Config::default(), Seed::from([7; 32]), now);
/// let request = Request::new("people", "greet").arg("request_id", 1);
/// let rejected = session.request(request, now).unwrap_err();
/// assert!(matches!(rejected.reason, RejectReason::InvalidArgument { .. }));
/// assert_eq!(rejected.command.stream(), "people");
/// ```
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{reason}")]
pub struct Rejected<T> {
    /// What was rejected, unchanged.
    pub command: T,
    /// Why it was rejected.
    pub reason: RejectReason,
}

impl From<Rejected<Request>> for RequestError {
    /// If the client is closed, this is [`RequestError::Closed`], as for a request that it had accepted.
    fn from(rejected: Rejected<Request>) -> Self {
        match rejected.reason {
            RejectReason::Closed(reason) => Self::Closed { reason, sent: false },
            _ => Self::Rejected(Box::new(rejected)),
        }
    }
}

/// Why a request failed.
///
/// ```
/// use dcrf_proto::RequestError;
///
/// assert!(!RequestError::TimedOut { sent: false }.may_have_happened());
/// assert!(RequestError::TimedOut { sent: true }.may_have_happened());
/// ```
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The server replied with an error.
    #[error(transparent)]
    ErrorReply(ErrorReply),
    /// The reply is larger than the size limit of a message from the server. The request is not repeated: request less
    /// at a time, for example with `list_all`, or raise the limit.
    #[error("the reply has {size} bytes, more than the limit of {limit}")]
    ReplyTooLarge {
        /// The size of the message in bytes, or of those of its parts that were received.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// There was no reply in time. If `sent` is false, the server never received the request.
    #[error("timed out, {}", sent_or_not(*.sent))]
    TimedOut {
        /// Whether the request was sent.
        sent: bool,
    },
    /// The connection was lost. If `sent` is true, the server may have acted on the request.
    #[error("the connection was lost, {}: {cause}", sent_or_not(*.sent))]
    ConnectionLost {
        /// Whether the request was sent.
        sent: bool,
        /// Why the connection was lost, or could not be made.
        cause: ConnectionError,
    },
    /// The client was closed before the reply arrived.
    #[error("{reason}, {}", sent_or_not(*.sent))]
    Closed {
        /// Why the client is closed.
        reason: CloseReason,
        /// Whether the request was sent.
        sent: bool,
    },
    /// The client rejected the request and hands it back.
    #[error("{0}")]
    Rejected(Box<Rejected<Request>>),
    /// The reply could not be decoded as the requested type.
    #[error(transparent)]
    Decode(DecodeError),
}

/// A duration in seconds, or in milliseconds if it would round to zero.
fn seconds(duration: Duration) -> String {
    if duration < Duration::from_millis(50) {
        format!("{} ms", duration.as_millis())
    } else {
        format!("{:.1} s", duration.as_secs_f64())
    }
}

/// A number with its noun: `1 reply`, `2 replies`.
fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

fn sent_or_not(sent: bool) -> &'static str {
    if sent { "after the request was sent" } else { "before the request was sent" }
}

impl RequestError {
    /// Whether the server may have acted on the request. If not, it is safe to send it again.
    pub fn may_have_happened(&self) -> bool {
        match self {
            Self::TimedOut { sent }
            | Self::ConnectionLost { sent, .. }
            | Self::Closed { sent, .. } => *sent,
            // A server error can follow a partial change.
            Self::ErrorReply(reply) => reply.status.is_none_or(|status| status >= 500),
            Self::Decode(_) | Self::ReplyTooLarge { .. } => true,
            Self::Rejected(_) => false,
        }
    }

    /// Whether the deadline of the request passed.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::TimedOut { .. })
    }

    /// Whether the client is closed.
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Closed { .. })
    }

    /// The status of the server's error reply, if it sent one.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::ErrorReply(reply) => reply.status,
            _ => None,
        }
    }
}

/// Why a reply stream ended early.
///
/// ```
/// use dcrf_proto::ReplyStreamError;
///
/// let error = ReplyStreamError::Interrupted { received: 3 };
/// assert_eq!(error.to_string(), "the connection was lost after 3 replies");
/// ```
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplyStreamError {
    /// The request failed: the server replied with an error (maybe after other replies), no reply arrived within the
    /// timeout, or the client was closed.
    #[error(transparent)]
    Request(RequestError),
    /// The connection was lost before the last reply.
    #[error("the connection was lost after {}", counted(*.received, "reply", "replies"))]
    Interrupted {
        /// How many replies were received.
        received: u64,
    },
    /// The reader was too slow: more replies were unread than [`Config::replies`](crate::Config::replies) allows.
    #[error("the reader was too slow, after {}", counted(*.received, "reply", "replies"))]
    Overflowed {
        /// How many replies were received.
        received: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn predicates_of_request_errors() {
        for sent in [false, true] {
            let closed = RequestError::Closed { reason: CloseReason::ByCaller, sent };
            assert!(closed.is_closed() && !closed.is_timeout());
            assert_eq!(closed.may_have_happened(), sent);
            let timed_out = RequestError::TimedOut { sent };
            assert!(timed_out.is_timeout() && !timed_out.is_closed());
            assert_eq!(timed_out.may_have_happened(), sent);
            let cause = ConnectionError::Dropped;
            assert_eq!(RequestError::ConnectionLost { sent, cause }.may_have_happened(), sent);
            assert_eq!(timed_out.status(), None);
        }
    }

    #[test]
    fn texts_round_durations_and_count_correctly() {
        let silent = ConnectionError::Silent(Duration::from_nanos(2_014_978_923));
        assert_eq!(silent.to_string(), "the server has been silent for 2.0 s");
        let dial = ConnectionError::DialTimedOut(Duration::from_millis(20));
        assert_eq!(dial.to_string(), "connecting took longer than 20 ms");
        let interrupted = ReplyStreamError::Interrupted { received: 1 };
        assert_eq!(interrupted.to_string(), "the connection was lost after 1 reply");
    }

    #[test]
    fn x0_messages_of_others_are_escaped_and_short() {
        let message = format!("no\n\u{1b}[31m\u{202e}{}", "x".repeat(100_000));
        let kind = io::ErrorKind::Other;
        let errors = [
            ConnectionError::Io { kind, message: message.clone() },
            ConnectionError::Credentials { message: message.clone(), fatal: false },
            ConnectionError::Certificate(message.clone()),
            ConnectionError::Tls(message.clone()),
            ConnectionError::Protocol(message),
        ];
        for error in errors {
            let shown = CloseReason::GaveUp { attempts: 2, last_error: error }.to_string();
            assert!(shown.len() < 1_000, "{} bytes", shown.len());
            assert!(shown.contains("no\\n\\u{1b}[31m\\u{202e}xxx"), "{shown}");
        }
    }
}
