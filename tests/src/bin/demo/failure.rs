//! The errors of the demo, each printed as one sentence.

use std::process::ExitCode;

use dcrf_proto::client::ChangeError;
use dcrf_proto::{
    CollectionError, ConnectionError, RequestError, SubscriptionError, UnsubscribeError,
};
use dcrf_tests::server::StartError;
use dcrf_tokio::ConnectError;

use crate::report::messages;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Start(#[from] StartError),
    #[error("{0}{hint}", hint = connect_hint(.0))]
    Connect(#[from] ConnectError),
    #[error("{0}{hint}", hint = request_hint(.0))]
    Request(#[from] RequestError),
    #[error("the subscription ended: {0}")]
    Subscription(#[from] SubscriptionError),
    #[error("the subscription failed: {0}")]
    Change(#[from] ChangeError),
    #[error("the live list failed: {0}")]
    Collection(#[from] CollectionError),
    #[error("{0}")]
    Unsubscribe(#[from] UnsubscribeError),
    #[error("could not stop the server: {0}")]
    Io(#[from] std::io::Error),
    #[error("unexpected result: {0}")]
    Unexpected(String),
}

impl Failure {
    /// 2 for a wrong command line, as is usual, and 1 for everything else.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage(_) | Self::Connect(ConnectError::InvalidUrl(_)) => ExitCode::from(2),
            _ => ExitCode::FAILURE,
        }
    }
}

/// A frequent cause of a failed first connection.
fn connect_hint(error: &ConnectError) -> &'static str {
    match error {
        ConnectError::Failed { error: ConnectionError::Http { status: 500, .. }, .. } => {
            "; Channels replies with this if no consumer has this path, or if the consumer crashes"
        }
        ConnectError::Failed { error: ConnectionError::Http { status: 404, .. }, .. } => {
            "; check the path, and that the proxy forwards WebSockets"
        }
        ConnectError::Failed { error: ConnectionError::Http { status: 401 | 403, .. }, .. } => {
            "; Channels replies with this if a consumer does not accept the connection"
        }
        _ => "",
    }
}

fn request_hint(error: &RequestError) -> String {
    match error {
        RequestError::ErrorReply(error_reply) => messages(error_reply),
        RequestError::ConnectionLost { .. } => {
            "; a multiplexer closes the connection if it has no stream of this name".into()
        }
        _ => String::new(),
    }
}
