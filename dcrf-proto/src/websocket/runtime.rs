//! What an adapter provides for its runtime.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use futures_io::{AsyncRead, AsyncWrite};

use super::{ConnectError, lookup};

/// What an adapter provides for its runtime: TCP, timers and tasks.
///
/// ```
/// use dcrf_proto::websocket::{Builder, ConnectError, Runtime};
///
/// async fn connect<R: Runtime>() -> Result<(), ConnectError> {
///     let client = Builder::<R>::on("ws://localhost:8000/ws/").connect().await?;
///     drop(client);
///     Ok(())
/// }
/// ```
pub trait Runtime: Clone + Send + Sync + 'static {
    /// A future that completes at a deadline. Its output is ignored.
    type Timer: Future + Send;

    /// The current runtime.
    ///
    /// # Errors
    ///
    /// [`ConnectError::NoRuntime`] outside of a runtime, [`ConnectError::UnusableRuntime`] in one without timers or without
    /// the resources that it needs.
    fn current() -> Result<Self, ConnectError>;

    /// The current time on the clock that [`sleep_until`](Runtime::sleep_until) uses.
    fn now() -> Instant;

    /// Waits until `deadline`. If it has passed, the timer completes at once.
    fn sleep_until(&self, deadline: Instant) -> Self::Timer;

    /// Enters the runtime until the guard is dropped: its sockets and timers can be used on this thread. The driver of
    /// [`Builder::build`](super::Builder::build) enters it for each poll, so it can run on any thread.
    fn enter(&self) -> impl Sized;

    /// Resolves a host to its addresses, the preferred one first. The host is a name, or an IP address without
    /// brackets.
    ///
    /// The operating system's lookup blocks, so it has a thread of its own, which a runtime that is dropped does not wait
    /// for. A host is looked up once at a time: a later call joins a lookup that still runs.
    ///
    /// # Errors
    ///
    /// The host can't be resolved.
    fn resolve(
        &self,
        host: &str,
        port: u16,
    ) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send {
        lookup::resolve(host, port)
    }

    /// Opens a TCP connection with `TCP_NODELAY`.
    ///
    /// # Errors
    ///
    /// The connection can't be opened.
    fn connect(
        &self,
        address: SocketAddr,
    ) -> impl Future<Output = io::Result<impl AsyncRead + AsyncWrite + Unpin + Send + 'static>> + Send;

    /// Runs a task in the background.
    ///
    /// # Errors
    ///
    /// The thread that would run it can't be started.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> io::Result<()>;
}

/// A runtime with byte streams of type `S`. A [connector](super::Builder::connector) can return them.
///
/// An adapter implements it for the traits of its runtime: `dcrf-tokio` for streams with Tokio's `AsyncRead` and
/// `AsyncWrite`, `dcrf-smol` for streams with those of futures-io.
pub trait AdaptStream<S>: Runtime {
    /// Wraps the stream to implement the traits of futures-io.
    fn adapt_stream(stream: S) -> impl AsyncRead + AsyncWrite + Unpin + Send + 'static;
}
