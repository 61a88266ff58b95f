//! What can go wrong, as types that a caller can match: why a connection was lost, why a request or a
//! subscription failed, why a command was refused. No message here carries a payload, a query or a
//! header (X1).

use std::io;
use std::time::Duration;

use crate::command::{CloseFrame, InvalidArgument, Request, Subscribe};
use crate::config::Limit;
use crate::protocol::error_reply::ErrorReply;
use crate::protocol::json::DecodeError;
use crate::protocol::selector::InvalidPattern;

/// Why a connection, or an attempt to make one, ended.
///
/// The adapter reports it to [`Session::handle_disconnected`](crate::Session::handle_disconnected); the session decides
/// what follows (rules L6 and L7) and shows it to the user in [`ConnectionState`](crate::ConnectionState) and in errors.
///
/// ```
/// use dcrf_proto::ConnectionError;
///
/// fn advice(lost: &ConnectionError) -> &'static str {
///     match lost {
///         ConnectionError::Http { status: 500, .. } => "does the path lead to a consumer?",
///         ConnectionError::Certificate(_) => "is the server's CA known here?",
///         _ => "wait, it is tried again",
///     }
/// }
/// assert_eq!(advice(&ConnectionError::Dropped), "wait, it is tried again");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionError {
    /// The server sent a close frame. A frame without a code has 1005.
    #[error("the server closed the connection with code {}", .0.code)]
    Closed(CloseFrame),
    /// The connection ended without a close frame (what browsers report as 1006): the server died, or
    /// something on the way cut the connection.
    #[error("the connection ended without a close frame")]
    Dropped,
    /// The handshake was answered with an HTTP status other than 101.
    #[error("the server refused the WebSocket handshake with HTTP status {status}")]
    Http {
        /// The HTTP status. Channels answers 403 to a refused connect, and 500 to a path without a route.
        status: u16,
        /// How long to wait before the next attempt, when the server said so in `Retry-After`, in seconds. As a date,
        /// which would need the server's clock, it is not read.
        retry_after: Option<Duration>,
    },
    /// The host name could not be resolved, the socket failed, or a connector of the program's own did.
    #[error("{message}")]
    Io {
        /// The kind of the failure, such as [`io::ErrorKind::ConnectionRefused`].
        kind: io::ErrorKind,
        /// The operating system's words for it, or the connector's.
        message: String,
    },
    /// The attempt to connect took longer than [`Config::dial_timeout`](crate::Config::dial_timeout) (L4).
    #[error("connecting took longer than {}", seconds(*.0))]
    DialTimedOut(Duration),
    /// Nothing arrived for the length of the heartbeat (L9), or in time after a probe (L10), not even a pong.
    #[error("the server has been silent for {}", seconds(*.0))]
    Silent(Duration),
    /// The program asked for a new connection, by [`Session::force_reconnect`](crate::Session::force_reconnect) or the method
    /// of that name of a client (L13). It is the cause of gaps, and no failure.
    #[error("the program asked for a new connection")]
    Reconnect,
    /// Whoever was to give the credentials for the attempt failed, or took too long (L8).
    #[error("no credentials: {message}")]
    Credentials {
        /// What it says.
        message: String,
        /// Whether another attempt would be of no use.
        fatal: bool,
    },
    /// The server's certificate was not accepted, or the server did not accept ours.
    #[error("TLS: {0}")]
    Certificate(String),
    /// TLS failed for another reason than a certificate.
    #[error("TLS: {0}")]
    Tls(String),
    /// The peer does not keep to the WebSocket protocol.
    #[error("WebSocket protocol: {0}")]
    Protocol(String),
    /// The server sent a message over the limit of the adapter.
    #[error("the server sent a message over {limit} bytes")]
    TooLarge {
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

/// Why a session is closed for good.
///
/// ```
/// use dcrf_proto::{CloseReason, ConnectionState};
///
/// /// Whether the user is to log in again.
/// fn wants_login(state: &ConnectionState) -> bool {
///     matches!(state, ConnectionState::Closed(CloseReason::Unauthorized(_)))
/// }
/// assert!(!wants_login(&ConnectionState::Closed(CloseReason::ByCaller)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CloseReason {
    /// The program closed it, or dropped the last handle.
    #[error("the client was closed")]
    ByCaller,
    /// All attempts allowed by [`Config::max_attempts`](crate::Config::max_attempts) failed (L5).
    #[error("gave up after {}: {last_error}", counted(u64::from(*.attempts), "attempt", "attempts"))]
    GaveUp {
        /// How many attempts were made.
        attempts: u32,
        /// Why the last of them failed.
        last_error: ConnectionError,
    },
    /// The server refused this client twice in a row with 401, 403, 1008, 4401 or 4403 (L6, L7).
    #[error("not authorized: {0}")]
    Unauthorized(ConnectionError),
    /// A failure that another attempt would only repeat: a certificate that is not accepted, or three
    /// times in a row a protocol error or a path that is not found.
    #[error("{0}")]
    Fatal(ConnectionError),
    /// The task or thread that drives the client is gone, since its runtime was shut down, or since a function
    /// of the program that it called has panicked.
    #[error("the task that drives the client was stopped")]
    DriverStopped,
}

/// Why a command was not accepted. Nothing was sent and nothing waits.
///
/// ```
/// use dcrf_proto::{Rejected, RejectReason, Request};
///
/// /// What is to be tried again later.
/// fn later(rejected: Rejected<Request>) -> Option<Request> {
///     matches!(rejected.reason, RejectReason::QueueFull).then_some(rejected.command)
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RejectReason {
    /// The outbox holds as many requests or bytes as its limits allow (R2), or there are as many
    /// requests or subscriptions as the limits of [`Config`](crate::Config) allow.
    #[error("the queue is full")]
    QueueFull,
    /// The message is larger than [`Config::max_outgoing_message`](crate::Config::max_outgoing_message) (R11). Daphne would
    /// drop the connection over 1 MiB.
    #[error("the message has {size} bytes, more than the limit of {limit}")]
    TooLarge {
        /// The size of the encoded message in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The request id is in use, or an answer to an earlier request with it may still come (R8).
    #[error("the request id is in use")]
    IdInUse,
    /// An argument or a pattern can't be written as JSON, or an argument has a name that the protocol keeps
    /// for itself.
    #[error("argument `{argument}`: {reason}")]
    InvalidArgument {
        /// The argument's name.
        argument: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no connection, and the call must not wait for one: `send_now`, or
    /// [`Request::fail_fast`](crate::Request::fail_fast).
    #[error("there is no connection")]
    NotConnected,
    /// The session is closed, or is being closed.
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

/// A command that was not accepted, handed back with the reason.
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
    /// The command as it was given.
    pub command: T,
    /// Why it was not accepted.
    pub reason: RejectReason,
}

impl From<Rejected<Request>> for RequestError {
    /// A client that is closed is [`RequestError::Closed`], as for a request that it had accepted.
    fn from(rejected: Rejected<Request>) -> Self {
        match rejected.reason {
            RejectReason::Closed(reason) => Self::Closed { reason, sent: false },
            _ => Self::Rejected(Box::new(rejected)),
        }
    }
}

impl From<Rejected<Subscribe>> for SubscriptionError {
    /// A client that is closed is [`SubscriptionError::Closed`], as for a subscription that it had accepted.
    fn from(rejected: Rejected<Subscribe>) -> Self {
        match rejected.reason {
            RejectReason::Closed(reason) => Self::Closed(reason),
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
    /// The server answered with another status than 2xx.
    #[error(transparent)]
    ErrorReply(ErrorReply),
    /// The deadline passed (R3). When `sent` is false the server never saw the request.
    #[error("timed out, {}", sent_or_not(*.sent))]
    TimedOut {
        /// Whether the request had been handed to the socket.
        sent: bool,
    },
    /// The connection was lost after the request was handed to the socket (R4): whether the server acted
    /// on it is not known.
    #[error("the connection was lost, {}", sent_or_not(*.sent))]
    ConnectionLost {
        /// Whether the request had been handed to the socket.
        sent: bool,
    },
    /// The session was closed before the answer came.
    #[error("{reason}, {}", sent_or_not(*.sent))]
    Closed {
        /// Why the session is closed.
        reason: CloseReason,
        /// Whether the request had been handed to the socket.
        sent: bool,
    },
    /// The request was not accepted.
    #[error("{0}")]
    Rejected(Box<Rejected<Request>>),
    /// The answer's `data` does not fit the type that the caller asked for.
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
            Self::TimedOut { sent } | Self::ConnectionLost { sent } | Self::Closed { sent, .. } => {
                *sent
            }
            // A server error can follow a partial change.
            Self::ErrorReply(reply) => reply.status.is_none_or(|status| status >= 500),
            Self::Decode(_) => true,
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

/// Why a stream of replies ended before the caller ended it (R12).
///
/// ```
/// use dcrf_proto::ReplyStreamError;
///
/// let ended = ReplyStreamError::Interrupted { received: 3 };
/// assert_eq!(ended.to_string(), "the connection was lost after 3 replies");
/// ```
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplyStreamError {
    /// The request failed: the server refused it, maybe after some replies, or said nothing for the time of its
    /// timeout, or the session was closed.
    #[error(transparent)]
    Request(RequestError),
    /// The connection was lost while replies could still come.
    #[error("the connection was lost after {}", counted(*.received, "reply", "replies"))]
    Interrupted {
        /// How many replies had come.
        received: u64,
    },
    /// The reader was so slow that more replies waited for it than
    /// [`Config::replies`](crate::Config::replies) allows.
    #[error("the reader was too slow, after {}", counted(*.received, "reply", "replies"))]
    Overflowed {
        /// How many replies had come, up to the last that was handed out.
        received: u64,
    },
}

/// Why a subscription ended, or never began.
///
/// ```
/// use dcrf_proto::SubscriptionError;
///
/// fn tell(ended: &SubscriptionError) -> String {
///     match ended {
///         SubscriptionError::Gone(_) => "it was deleted".to_owned(),
///         SubscriptionError::Revoked(_) => "you may no longer see it".to_owned(),
///         other => other.to_string(),
///     }
/// }
/// assert_eq!(tell(&SubscriptionError::Unsubscribed), "all subscriptions were ended");
/// ```
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SubscriptionError {
    /// The server refused to subscribe. It is not tried again.
    #[error(transparent)]
    ErrorReply(ErrorReply),
    /// The object was gone when the subscription was replayed on a new connection: 404 (S7).
    #[error("the object is gone")]
    Gone(ErrorReply),
    /// The permission was gone when the subscription was replayed on a new connection: 401 or 403 (S7).
    #[error("the permission was revoked")]
    Revoked(ErrorReply),
    /// The server did not acknowledge the subscription in time. An action that never replies needs
    /// [`Subscribe::without_ack`](crate::Subscribe::without_ack).
    #[error("the server did not acknowledge the subscription in time")]
    TimedOut,
    /// Three connections in a row died right after this subscription was sent on them, and before the server had
    /// answered it (L12). The subscription itself is the likely reason: the multiplexer closes the connection
    /// for a stream that it does not have, and a consumer that fails takes it down.
    #[error("three connections in a row died of the subscription, unanswered: {cause}")]
    Poisoned {
        /// Why the last of them was lost.
        cause: ConnectionError,
    },
    /// Its reader was slower than the server, and it was to end then
    /// ([`OverflowPolicy::Close`](crate::OverflowPolicy::Close)). What waited was delivered before.
    #[error(
        "the reader was too slow: more than {} changes or {} bytes waited", .limit.count, .limit.bytes
    )]
    Overflowed {
        /// What may wait: [`Config::changes`](crate::Config::changes).
        limit: Limit,
    },
    /// The program ended all subscriptions
    /// ([`Session::unsubscribe_all`](crate::Session::unsubscribe_all)). What had not been read is dropped.
    #[error("all subscriptions were ended")]
    Unsubscribed,
    /// The session was closed.
    #[error("{0}")]
    Closed(CloseReason),
    /// The subscription was not accepted.
    #[error("{0}")]
    Rejected(Box<Rejected<Subscribe>>),
}

impl SubscriptionError {
    /// Whether subscribing again would fail again: the object or the permission is gone, the server rejects the
    /// subscription, or the client is closed.
    pub fn is_final(&self) -> bool {
        match self {
            Self::ErrorReply(reply) => {
                reply.status.is_none_or(|status| status != 429 && status < 500)
            }
            Self::Gone(_) | Self::Revoked(_) | Self::Poisoned { .. } | Self::Closed(_) => true,
            Self::TimedOut | Self::Overflowed { .. } | Self::Unsubscribed => false,
            Self::Rejected(rejected) => matches!(
                rejected.reason,
                RejectReason::InvalidArgument { .. }
                    | RejectReason::TooLarge { .. }
                    | RejectReason::Closed(_)
            ),
        }
    }
}

/// Why the unsubscribe of [`Session::unsubscribe`](crate::Session::unsubscribe) was not confirmed. The
/// subscription is over for the caller all the same.
///
/// ```
/// use dcrf_proto::UnsubscribeError;
///
/// let late = UnsubscribeError::TimedOut;
/// assert_eq!(late.to_string(), "the server did not confirm the unsubscribe in time");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnsubscribeError {
    /// The server refused, with another status than 404.
    #[error(transparent)]
    ErrorReply(ErrorReply),
    /// The server did not answer in time.
    #[error("the server did not confirm the unsubscribe in time")]
    TimedOut,
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
            assert_eq!(RequestError::ConnectionLost { sent }.may_have_happened(), sent);
            assert_eq!(timed_out.status(), None);
        }
    }

    #[test]
    fn final_subscription_errors() {
        assert!(SubscriptionError::Closed(CloseReason::ByCaller).is_final());
        assert!(SubscriptionError::Poisoned { cause: ConnectionError::Dropped }.is_final());
        assert!(!SubscriptionError::TimedOut.is_final());
        assert!(!SubscriptionError::Unsubscribed.is_final());
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
}
