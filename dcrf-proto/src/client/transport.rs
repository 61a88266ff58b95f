//! What a runtime gives to the driver: a clock, a timer and connected sockets. Nothing here knows a
//! runtime; each adapter implements the two traits once.

use std::future::Future;
use std::task::{Context, Poll};
use std::time::{Instant, SystemTime};

use crate::error::ConnectionError;
use crate::frame::Frame;
use crate::link::FailureAction;
use crate::transmit::Attempt;

/// A runtime as the driver sees it: what time it is, how to wait, and how to connect.
///
/// [`dial`](Transport::dial) is one whole attempt: name lookup, TCP, TLS and the WebSocket handshake.
/// It needs no time limit of its own, since the session gives up on a dial that takes too long and
/// the driver then drops the future.
///
/// ```
/// use dcrf_proto::client::Transport;
/// use dcrf_proto::{Attempt, ConnectionError};
/// use std::time::Instant;
///
/// /// Does all as another runtime does, and tells when it dials.
/// struct Loud<R>(R);
///
/// impl<R: Transport> Transport for Loud<R> {
///     type Socket = R::Socket;
///     type Timer = R::Timer;
///
///     fn now() -> Instant {
///         R::now()
///     }
///
///     fn sleep_until(&self, deadline: Instant) -> R::Timer {
///         self.0.sleep_until(deadline)
///     }
///
///     async fn dial(&self, attempt: Attempt) -> Result<R::Socket, ConnectionError> {
///         println!("attempt {}", attempt.number);
///         self.0.dial(attempt).await
///     }
/// }
/// ```
pub trait Transport: Send + Sync + 'static {
    /// A connected WebSocket.
    type Socket: Socket;
    /// A future that is ready when its time has come.
    type Timer: Future + Send;

    /// The time now, of the clock by which [`sleep_until`](Transport::sleep_until) waits.
    fn now() -> Instant;

    /// What the wall clock shows, which goes on while the machine is suspended: where it has moved 5 seconds further
    /// than [`now`](Transport::now), the driver asks whether the server is still there (L10).
    #[expect(clippy::disallowed_methods, reason = "the driver's clock, and a test has its own")]
    fn wall_clock() -> SystemTime {
        SystemTime::now()
    }

    /// Waits until `deadline`; a deadline that is past is ready at once.
    fn sleep_until(&self, deadline: Instant) -> Self::Timer;

    /// Makes one attempt to connect.
    ///
    /// # Errors
    ///
    /// Why the attempt failed. The session decides from it whether to try again.
    fn dial(
        &self,
        attempt: Attempt,
    ) -> impl Future<Output = Result<Self::Socket, ConnectionError>> + Send;

    /// What the server is called in traces (feature `tracing`), such as its URL without the query (X1).
    fn server(&self) -> Option<String> {
        None
    }

    /// What to do after a failed dial or the loss of a connection, in place of the rules (L6, L7); `None`
    /// leaves it to them. It is not called for what the session notices itself: a dial that takes too long,
    /// and a server that is silent.
    fn on_failure(&self, lost: &ConnectionError) -> Option<FailureAction> {
        let _ = lost;
        None
    }
}

/// A connected WebSocket, as one poll loop drives it.
///
/// Pings of the server are answered by the implementation. An error of writing may be left to
/// [`poll_receive`](Socket::poll_receive), which knows the close frame that often comes before it: it is polled when it
/// has been woken, and when `poll_ready` or `poll_flush` is pending.
///
/// ```
/// use dcrf_proto::ConnectionError;
/// use dcrf_proto::Frame;
/// use dcrf_proto::client::{Received, Socket};
/// use std::task::{Context, Poll};
///
/// /// A socket that counts what it is given to send.
/// struct Counting<S> {
///     socket: S,
///     sent: u64,
/// }
///
/// impl<S: Socket> Socket for Counting<S> {
///     type Text = S::Text;
///     type Binary = S::Binary;
///
///     fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectionError>> {
///         self.socket.poll_ready(cx)
///     }
///
///     fn feed(&mut self, frame: Frame) -> Result<(), ConnectionError> {
///         self.sent += 1;
///         self.socket.feed(frame)
///     }
///
///     fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectionError>> {
///         self.socket.poll_flush(cx)
///     }
///
///     fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Received<Self>, ConnectionError>> {
///         self.socket.poll_receive(cx)
///     }
/// }
/// ```
pub trait Socket: Send + Unpin {
    /// A text message as it was received.
    type Text: AsRef<str> + Send;
    /// A binary message as it was received.
    type Binary: AsRef<[u8]> + Send;

    /// The subprotocol that the server picked in the handshake.
    fn protocol(&self) -> Option<&str> {
        None
    }

    /// Ready when the socket takes another [`Frame`] frame.
    ///
    /// # Errors
    ///
    /// The connection is lost.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectionError>>;

    /// Takes a frame into the socket's write buffer, without flushing it. After one ready
    /// [`poll_ready`](Socket::poll_ready) the driver may feed a batch of frames.
    ///
    /// # Errors
    ///
    /// The connection is lost.
    fn feed(&mut self, frame: Frame) -> Result<(), ConnectionError>;

    /// Ready when all that was fed has been written to the network.
    ///
    /// # Errors
    ///
    /// The connection is lost.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectionError>>;

    /// Ready with the next frame from the server.
    ///
    /// # Errors
    ///
    /// The connection is over: closed by the server ([`ConnectionError::Closed`]), or broken. It is not polled
    /// again after that.
    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Received<Self>, ConnectionError>>;

    /// Polled after the connection is over, for a second at most; the driver drops the socket when it is ready. For
    /// a socket that ends the connection itself, such as for a message over its limit, and has told the server why:
    /// if the rest of what the server sends is not read, the network may discard the close frame.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let _ = cx;
        Poll::Ready(())
    }
}

/// A frame that a socket has received. Report a ping and a pong alike, as [`Frame::Pong`] or [`Frame::Ping`]: both show
/// that the server is alive. The socket answers pings itself.
pub type Received<S> = Frame<<S as Socket>::Text, <S as Socket>::Binary>;
