//! One attempt to connect: the credentials, the byte stream, the handshake.

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

/// How long the provider of credentials has (L8).
pub(super) const PROVIDER_TIMEOUT: Duration = Duration::from_secs(10);

/// Any byte stream: what it is over is decided at run time, and costs one call among system calls.
pub(super) trait ByteStream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> ByteStream for S {}

pub(super) type BoxedStream = Box<dyn ByteStream>;

type Opening = Pin<Box<dyn Future<Output = io::Result<BoxedStream>> + Send>>;

/// Who opens the byte stream in place of the network's TCP.
pub(super) type OpenStream = Arc<dyn Fn(Endpoint) -> Opening + Send + Sync>;

/// The caller's own decision about a failure.
pub(super) type Policy = Arc<dyn Fn(&ConnectionError) -> Option<FailureAction> + Send + Sync>;

/// The [`Transport`] that dials an endpoint over the network of `N`.
pub(super) struct Connector<N> {
    pub(super) endpoint: Endpoint,
    pub(super) provider: Option<Provider>,
    pub(super) open_stream: Option<OpenStream>,
    pub(super) policy: Option<Policy>,
    pub(super) options: Options,
    pub(super) dial_timeout: Duration,
    pub(super) runtime: N,
}

impl<N: Runtime> Connector<N> {
    /// The options, with the provider's credentials over their own.
    async fn options(&self, attempt: Attempt) -> Result<Options, ConnectionError> {
        let mut options = self.options.clone();
        let Some(provider) = &self.provider else { return Ok(options) };
        let late = || ConnectionError::Credentials {
            message: format!("the provider did not return within {PROVIDER_TIMEOUT:?}"),
            fatal: false,
        };
        let newer = self.within(PROVIDER_TIMEOUT, provider.credentials(attempt), late).await?;
        options.credentials = options.credentials.merge(newer);
        Ok(options)
    }

    async fn connect(
        &self,
        options: Options,
    ) -> Result<WebSocket<MaybeTls<BoxedStream>>, ConnectionError> {
        let endpoint = options.credentials.endpoint().unwrap_or(&self.endpoint);
        let stream = self.open(endpoint).await.map_err(|error| not_opened(&error))?;
        handshake::connect(endpoint, stream, &options).await
    }

    async fn open(&self, endpoint: &Endpoint) -> io::Result<BoxedStream> {
        Ok(match &self.open_stream {
            Some(open) => open(endpoint.clone()).await?,
            None => {
                let (host, port) = (endpoint.host(), endpoint.port());
                Box::new(happy_eyeballs::connect(&self.runtime, host, port).await?)
            }
        })
    }

    /// What `future` resolves to, or `late` when that takes longer than `limit`.
    async fn within<T>(
        &self,
        limit: Duration,
        future: impl Future<Output = Result<T, ConnectionError>>,
        late: impl FnOnce() -> ConnectionError,
    ) -> Result<T, ConnectionError> {
        let mut future = pin!(future);
        let mut timer = pin!(self.runtime.sleep_until(N::now() + limit.min(FAR)));
        let done = poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(result) => Poll::Ready(Some(result)),
            Poll::Pending => timer.as_mut().poll(cx).map(|_| None),
        });
        done.await.unwrap_or_else(|| Err(late()))
    }
}

/// As it is told: there was no connection yet that could have been dropped.
fn not_opened(error: &io::Error) -> ConnectionError {
    ConnectionError::Io { kind: error.kind(), message: error.to_string() }
}

impl<N: Runtime> Transport for Connector<N> {
    type Socket = WebSocket<MaybeTls<BoxedStream>>;
    type Timer = N::Timer;

    fn now() -> Instant {
        N::now()
    }

    fn sleep_until(&self, deadline: Instant) -> N::Timer {
        self.runtime.sleep_until(deadline)
    }

    fn server(&self) -> Option<String> {
        Some(self.endpoint.to_string())
    }

    /// The session gives the attempt the time of both parts; each part keeps to its own here, so that its
    /// error says which was late.
    async fn dial(&self, attempt: Attempt) -> Result<Self::Socket, ConnectionError> {
        let options = self.options(attempt).await?;
        let late = || ConnectionError::DialTimedOut(self.dial_timeout);
        self.within(self.dial_timeout, self.connect(options), late).await
    }

    fn on_failure(&self, lost: &ConnectionError) -> Option<FailureAction> {
        // As where the session notices it first.
        if matches!(lost, ConnectionError::DialTimedOut(_)) {
            return None;
        }
        self.policy.as_ref().and_then(|policy| policy(lost))
    }
}
