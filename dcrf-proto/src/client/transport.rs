//! What the driver needs of a runtime: a clock, timers and connected sockets.

use std::future::Future;
use std::task::{Context, Poll};
use std::time::{Instant, SystemTime};

use crate::error::ConnectionError;
use crate::frame::Frame;
use crate::link::FailureAction;
use crate::transmit::Attempt;

/// Connects sockets and provides the time. Implement it to run the client on another runtime or another kind of socket.
///
/// [`dial`](Transport::dial) is a whole attempt to connect: name lookup, TCP, TLS and the WebSocket handshake. It needs no
/// timeout: the driver drops the future when [`Config::dial_timeout`](crate::Config::dial_timeout) has passed.
///
/// ```
/// use dcrf_proto::client::Transport;
/// use dcrf_proto::{Attempt, ConnectionError};
/// use std::time::Instant;
///
/// /// Prints each attempt to connect.
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
    /// A future that completes at a deadline. Its output is ignored.
    type Timer: Future + Send;

    /// The current time, of the clock that [`sleep_until`](Transport::sleep_until) uses.
    fn now() -> Instant;

    /// The wall clock, which runs while the machine is suspended. If it moves 5 seconds further than [`now`](Transport::now),
    /// the driver probes the connection.
    #[expect(clippy::disallowed_methods, reason = "the driver's clock, which tests replace")]
    fn wall_clock() -> SystemTime {
        SystemTime::now()
    }

    /// Waits until `deadline`. If it has passed, the timer completes at once.
    fn sleep_until(&self, deadline: Instant) -> Self::Timer;

    /// Attempts to connect once.
    ///
    /// # Errors
    ///
    /// The attempt failed. The error decides whether and when the client retries.
    fn dial(
        &self,
        attempt: Attempt,
    ) -> impl Future<Output = Result<Self::Socket, ConnectionError>> + Send;

    /// The name of the server in traces, for example its URL without the query.
    fn server(&self) -> Option<String> {
        None
    }

    /// Decides what to do after a failed attempt or a lost connection. `None` selects the default. It is not called if an
    /// attempt times out or the server is silent.
    fn on_failure(&self, error: &ConnectionError) -> Option<FailureAction> {
        let _ = error;
        None
    }
}

/// A connected WebSocket, driven by one poll loop.
///
/// The socket answers the server's pings. It may leave a write error to [`poll_receive`](Socket::poll_receive), because the
/// close frame with the reason is often still unread: the driver polls it when it is woken, and while `poll_ready` or
/// `poll_flush` is pending.
///
/// ```
/// use dcrf_proto::ConnectionError;
/// use dcrf_proto::Frame;
/// use dcrf_proto::client::{Received, Socket};
/// use std::task::{Context, Poll};
///
/// /// Counts the frames that are sent.
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
    /// A received text message.
    type Text: AsRef<str> + Send;
    /// A received binary message.
    type Binary: AsRef<[u8]> + Send;

    /// The subprotocol that the server selected in the handshake.
    fn protocol(&self) -> Option<&str> {
        None
    }

    /// Ready when the socket accepts another frame.
    ///
    /// # Errors
    ///
    /// The connection is lost.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectionError>>;

    /// Adds a frame to the write buffer, without flushing it. After [`poll_ready`](Socket::poll_ready) was ready once, the
    /// driver may feed a batch of frames.
    ///
    /// # Errors
    ///
    /// The connection is lost.
    fn feed(&mut self, frame: Frame) -> Result<(), ConnectionError>;

    /// Ready when all frames are written to the network.
    ///
    /// # Errors
    ///
    /// The connection is lost.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectionError>>;

    /// Ready with the next frame from the server. A [`Frame::Close`] ends the connection.
    ///
    /// # Errors
    ///
    /// The server closed the connection ([`ConnectionError::Closed`]), or it is lost. The socket is not polled again.
    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Received<Self>, ConnectionError>>;

    /// Finishes the closing handshake after the connection is over. The driver drops the socket when this is ready, or after a
    /// second. A socket that closes the connection itself, for example because a message is too large, reads on here:
    /// dropping it with unread data could reset the connection before the server has read the close frame.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let _ = cx;
        Poll::Ready(())
    }
}

/// A frame that a socket has received. Report pings too: like pongs, they show that the server is alive.
pub type Received<S> = Frame<<S as Socket>::Text, <S as Socket>::Binary>;
