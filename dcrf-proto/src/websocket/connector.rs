//! An attempt to connect: gets the credentials, opens the byte stream and performs the handshake.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_io::{AsyncRead, AsyncWrite};

use super::credentials::Provider;
use super::{Endpoint, MaybeTls, Options, Runtime, WebSocket, handshake, happy_eyeballs};
use crate::client::Transport;
use crate::context::FAR;
use crate::error::ConnectionError;
use crate::link::FailureAction;
use crate::transmit::Attempt;

/// The timeout of a credentials provider.
pub(super) const PROVIDER_TIMEOUT: Duration = Duration::from_secs(10);

/// Any byte stream. Boxing it costs a virtual call, which is cheap next to a system call.
pub(super) trait ByteStream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> ByteStream for S {}

pub(super) type BoxedStream = Box<dyn ByteStream>;

pub(super) type Opening = Pin<Box<dyn Future<Output = io::Result<BoxedStream>> + Send>>;

/// A connector, which replaces TCP.
pub(super) struct OpenStream {
    pub(super) open: Arc<dyn Fn(Endpoint) -> Opening + Send + Sync>,
    /// Whether the stream leaves the process, so that `wss://` needs TLS.
    pub(super) needs_tls: bool,
}

/// The caller's policy for failures.
pub(super) type Policy = Arc<dyn Fn(&ConnectionError) -> Option<FailureAction> + Send + Sync>;

/// The [`Transport`] that connects to an endpoint on the runtime `R`.
pub(super) struct Connector<R> {
    pub(super) endpoint: Endpoint,
    pub(super) provider: Option<Provider>,
    pub(super) open_stream: Option<OpenStream>,
    pub(super) policy: Option<Policy>,
    pub(super) options: Options,
    pub(super) dial_timeout: Duration,
    pub(super) runtime: R,
}

impl<R: Runtime> Connector<R> {
    /// The options, with the provider's credentials merged over those of the builder.
    async fn options(&self, attempt: Attempt) -> Result<Options, ConnectionError> {
        let mut options = self.options.clone();
        let Some(provider) = &self.provider else { return Ok(options) };
        let timed_out = || ConnectionError::Credentials {
            message: format!("the provider did not return within {PROVIDER_TIMEOUT:?}"),
            fatal: false,
        };
        let newer = self.within(PROVIDER_TIMEOUT, provider.credentials(attempt), timed_out).await?;
        options.credentials = options.credentials.merge(newer);
        Ok(options)
    }

    async fn connect(
        &self,
        options: Options,
    ) -> Result<WebSocket<MaybeTls<BoxedStream>>, ConnectionError> {
        let endpoint = options.credentials.endpoint().unwrap_or(&self.endpoint);
        let stream = self.open(endpoint).await.map_err(|error| not_opened(&error))?;
        if self.open_stream.as_ref().is_none_or(|connector| connector.needs_tls) {
            return handshake::connect(endpoint, stream, &options).await;
        }
        handshake::connect_over(endpoint, MaybeTls::plain(stream), &options).await
    }

    async fn open(&self, endpoint: &Endpoint) -> io::Result<BoxedStream> {
        if let Some(connector) = &self.open_stream {
            return (connector.open)(endpoint.clone()).await;
        }
        let (host, port) = (endpoint.host(), endpoint.port());
        Ok(Box::new(happy_eyeballs::connect(&self.runtime, host, port).await?))
    }

    /// Waits for `future`. Fails with `timed_out` if that takes longer than `timeout`.
    async fn within<T>(
        &self,
        timeout: Duration,
        future: impl Future<Output = Result<T, ConnectionError>>,
        timed_out: impl FnOnce() -> ConnectionError,
    ) -> Result<T, ConnectionError> {
        let mut future = pin!(future);
        let mut timer = pin!(self.runtime.sleep_until(R::now() + timeout.min(FAR)));
        let done = poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(result) => Poll::Ready(Some(result)),
            Poll::Pending => timer.as_mut().poll(cx).map(|_| None),
        });
        done.await.unwrap_or_else(|| Err(timed_out()))
    }
}

/// Not `ConnectionError::from`, which reports some kinds as a dropped connection: here there was no connection yet.
fn not_opened(error: &io::Error) -> ConnectionError {
    ConnectionError::Io { kind: error.kind(), message: error.to_string() }
}

impl<R: Runtime> Transport for Connector<R> {
    type Socket = WebSocket<MaybeTls<BoxedStream>>;
    type Timer = R::Timer;

    fn now() -> Instant {
        R::now()
    }

    fn sleep_until(&self, deadline: Instant) -> R::Timer {
        self.runtime.sleep_until(deadline)
    }

    fn server(&self) -> Option<String> {
        Some(self.endpoint.to_string())
    }

    /// The session's timeout covers both the provider and the dial. Each also has its own timeout here, so that the error
    /// says which one timed out.
    async fn dial(&self, attempt: Attempt) -> Result<Self::Socket, ConnectionError> {
        let options = self.options(attempt).await?;
        let timed_out = || ConnectionError::DialTimedOut(self.dial_timeout);
        self.within(self.dial_timeout, self.connect(options), timed_out).await
    }

    fn on_failure(&self, error: &ConnectionError) -> Option<FailureAction> {
        // If the session's timer fires first, the policy is not called either.
        if matches!(error, ConnectionError::DialTimedOut(_)) {
            return None;
        }
        self.policy.as_ref().and_then(|policy| policy(error))
    }
}
