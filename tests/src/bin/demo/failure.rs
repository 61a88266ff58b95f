//! Why the demo ended early, in one sentence each.

use std::process::ExitCode;

use dcrf_proto::client::ChangeError;
use dcrf_proto::{ConnectionError, RequestError, SubscriptionError, UnsubscribeError};
use dcrf_tests::server::StartError;
use dcrf_tokio::ConnectError;

use crate::report::reasons;

/// Why the demo ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Start(#[from] StartError),
    #[error("{0}{hint}", hint = hint(.0))]
    Connect(#[from] ConnectError),
    #[error("{0}{hint}", hint = request_hint(.0))]
    Request(#[from] RequestError),
    #[error("the subscription ended: {0}")]
    Ended(#[from] SubscriptionError),
    #[error("the subscription: {0}")]
    Change(#[from] ChangeError),
    #[error("{0}")]
    Unsubscribe(#[from] UnsubscribeError),
    #[error("the server could not be stopped: {0}")]
    Io(#[from] std::io::Error),
    #[error("this is not what was to be seen here: {0}")]
    Unexpected(String),
}

impl Failure {
    /// 2 for a wrong command line, as other programs do, and 1 for all else.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage(_) | Self::Connect(ConnectError::InvalidUrl(_)) => ExitCode::from(2),
            _ => ExitCode::FAILURE,
        }
    }
}

/// What is often behind the first connection's error.
fn hint(error: &ConnectError) -> &'static str {
    match error {
        ConnectError::Failed { error: ConnectionError::Http { status: 500, .. }, .. } => {
            "; Channels answers so where the path leads to no consumer, or the consumer crashes"
        }
        ConnectError::Failed { error: ConnectionError::Http { status: 404, .. }, .. } => {
            "; is the path right, and does the proxy in front pass on WebSockets?"
        }
        ConnectError::Failed { error: ConnectionError::Http { status: 401 | 403, .. }, .. } => {
            "; Channels answers so where a consumer does not accept the connection"
        }
        _ => "",
    }
}

fn request_hint(error: &RequestError) -> String {
    match error {
        RequestError::ErrorReply(error_reply) => reasons(error_reply),
        RequestError::ConnectionLost { .. } => {
            "; a multiplexer closes so where it has no stream of this name".into()
        }
        _ => String::new(),
    }
}
