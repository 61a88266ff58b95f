//! Why a command failed, and the exit code for it.

use crate::escape::escape;
use std::fmt::{self, Write as _};
use std::io;

use dcrf_tokio::{
    CloseReason, ConnectError, ConnectionError, ErrorReply, Framing, ReplyError, ReplyStreamError,
    RequestError, SubscriptionError,
};

/// The exit codes of `dcrf`. A script can rely on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Code {
    /// The server replied with an error.
    Refused = 1,
    /// The command is wrong: an argument, a file, the input.
    Usage = 2,
    /// There is no connection.
    CannotConnect = 3,
    /// The server rejects the credentials, or the user may not do this.
    NotAuthorized = 4,
    /// The server did not reply in time.
    TimedOut = 5,
    /// The server may have acted on the request, or not.
    Unsure = 6,
    /// Changes may be missing.
    Gap = 7,
    /// The output can't be written. A request has succeeded.
    Output = 8,
    /// Ctrl-C, as a shell reports it.
    Interrupted = 130,
}

/// The table of the exit codes, for `--help` and the man pages.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  ok
  1  refused: the server replied with an error, its consumer raised an exception, or a replay differs
  2  usage: a wrong argument, file or input
  3  cannot connect
  4  not authorized
  5  timed out
  6  unsure: the server may have acted on the request
  7  gap: changes may be missing (with --fail-on-gap)
  8  output: the reply can't be printed; a request has succeeded
  130  interrupted with Ctrl-C";

/// Why a command failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    /// One clear sentence, and maybe more lines with the server's reasons.
    pub(crate) message: String,
}

/// Whether a request changes something on the server. An interrupted one is unsure then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Read,
    Write,
}

impl Failure {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Code::Usage, message)
    }

    /// The failure of a request.
    pub(crate) fn request(error: &RequestError, effect: Effect) -> Self {
        let message = describe_failure(error);
        let code = match error {
            RequestError::ErrorReply(ErrorReply { status: Some(401 | 403), .. }) => {
                Code::NotAuthorized
            }
            _ if effect == Effect::Write && error.may_have_happened() => {
                return Self::new(
                    Code::Unsure,
                    format!("{message}\nthe server may have acted on it"),
                );
            }
            RequestError::ErrorReply(_)
            | RequestError::ReplyTooLarge { .. }
            | RequestError::Decode(_) => Code::Refused,
            _ if is_exception(error) => Code::Refused,
            RequestError::TimedOut { .. } => Code::TimedOut,
            RequestError::ConnectionLost { cause, .. } => code_of_loss(cause),
            RequestError::Closed { reason, .. } => code_of_close(reason),
            _ => Code::Usage,
        };
        Self::new(code, message)
    }

    /// The failure of a request with many replies.
    pub(crate) fn replies(error: &ReplyError, effect: Effect) -> Self {
        match error {
            ReplyError::Stream(ReplyStreamError::Request(error)) => Self::request(error, effect),
            ReplyError::Stream(ReplyStreamError::Interrupted { .. }) if effect == Effect::Write => {
                Self::new(Code::Unsure, error.to_string())
            }
            ReplyError::Stream(ReplyStreamError::Interrupted { .. }) => {
                Self::new(Code::CannotConnect, error.to_string())
            }
            _ => Self::new(Code::Refused, error.to_string()),
        }
    }

    /// Adds the likely cause of a failed request on this stream.
    pub(crate) fn explain(mut self, error: &RequestError, stream: &str, framing: Framing) -> Self {
        let is_multiplexed = framing == Framing::Multiplexed;
        if is_exception(error) {
            let stream = escape(stream);
            let _ = write!(
                self.message,
                "\nthe server may have no stream `{stream}`, or its consumer raised an exception: the server's log says more"
            );
        } else if is_multiplexed && matches!(error, RequestError::TimedOut { sent: true }) {
            self.message
                .push_str("\nif the URL leads to one consumer, without a multiplexer, pass --bare");
        }
        self
    }

    /// The failure of a subscription.
    pub(crate) fn subscription(error: &SubscriptionError) -> Self {
        match error {
            SubscriptionError::ErrorReply(reply) => {
                let is_unauthorized = matches!(reply.status, Some(401 | 403));
                let code = if is_unauthorized { Code::NotAuthorized } else { Code::Refused };
                Self::new(code, describe(reply))
            }
            SubscriptionError::TimedOut => Self::new(Code::TimedOut, error.to_string()),
            SubscriptionError::Closed(reason) => {
                Self::new(code_of_close(reason), error.to_string())
            }
            SubscriptionError::Rejected(_) => Self::usage(error.to_string()),
            _ => Self::new(Code::Refused, error.to_string()),
        }
    }

    /// The failure of a client that is closed for good.
    pub(crate) fn closed(reason: &CloseReason) -> Self {
        Self::new(code_of_close(reason), reason.to_string())
    }
}

/// The failed request, with the server's reasons if it replied.
pub(crate) fn describe_failure(error: &RequestError) -> String {
    match error {
        RequestError::ErrorReply(reply) => describe(reply),
        other => other.to_string(),
    }
}

/// The error reply with the server's reasons. Control characters of the server are escaped.
pub(crate) fn describe(reply: &ErrorReply) -> String {
    let mut text = reply.to_string();
    for message in reply.messages() {
        text.push_str("\n  ");
        text.push_str(&escape(&message));
    }
    text
}

/// Whether the connection ended as after an exception in the consumer.
fn is_exception(error: &RequestError) -> bool {
    let RequestError::ConnectionLost { sent: true, cause: ConnectionError::Closed(frame) } = error
    else {
        return false;
    };
    frame.code == 1011
}

fn code_of_loss(error: &ConnectionError) -> Code {
    match error {
        ConnectionError::Http { status: 401 | 403, .. }
        | ConnectionError::Unauthorized { .. }
        | ConnectionError::Credentials { .. } => Code::NotAuthorized,
        ConnectionError::Closed(frame) if matches!(frame.code, 1008 | 4401 | 4403) => {
            Code::NotAuthorized
        }
        _ => Code::CannotConnect,
    }
}

fn code_of_close(reason: &CloseReason) -> Code {
    match reason {
        CloseReason::Unauthorized(_) => Code::NotAuthorized,
        CloseReason::GaveUp { last_error: error, .. } | CloseReason::Fatal(error) => {
            code_of_loss(error)
        }
        _ => Code::CannotConnect,
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        let code = match &error {
            ConnectError::InvalidUrl(_)
            | ConnectError::Tls(_)
            | ConnectError::InvalidCredentials(_) => Code::Usage,
            ConnectError::Failed { error, .. } => code_of_loss(error),
            ConnectError::Closed(reason) => code_of_close(reason),
            _ => Code::CannotConnect,
        };
        let mut message = error.to_string();
        if let ConnectError::Failed {
            error: ConnectionError::Http { status: 401 | 403, .. }, ..
        } = &error
        {
            message.push_str(
                "\nthe consumer rejects the user, or the server rejects the Origin: sign in with `dcrf login` or --token-cmd \
                 (DRF's own tokens need --token-as token), or set --origin",
            );
        }
        Self::new(code, message)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::usage(error.to_string())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
