//! A connected WebSocket, polled by the driver. It answers pings and close frames, and decides which error ends the
//! connection.

use std::fmt;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_tungstenite::WebSocketStream;
use async_tungstenite::tungstenite::error::{Error, ProtocolError};
use async_tungstenite::tungstenite::protocol::frame::CloseFrame as TungsteniteFrame;
use async_tungstenite::tungstenite::{Bytes, Message, Utf8Bytes};
use futures_core::Stream;
use futures_io::{AsyncRead, AsyncWrite};
use futures_sink::Sink;

use super::frames::Frames;
#[cfg(feature = "fake-server")]
use super::recorder::{Recorder, Recording};
use super::{MaybeTls, failure, from_tungstenite};
use crate::client::Socket;
use crate::command::CloseFrame;
use crate::error::ConnectionError;
#[cfg(feature = "fake-server")]
use crate::fake_server::Direction;
use crate::frame::Frame;

/// How many reads to discard before other tasks run.
const LINGER_READS_PER_TURN: usize = 64;

/// A connected WebSocket, made by [`connect`](super::connect).
///
/// It implements [`Socket`] for the driver, which polls it from one task. [`poll_receive`](Socket::poll_receive) also
/// answers pings and completes the closing handshake.
///
/// If a write fails, `poll_receive` first returns what the server sent before, and then the error. So if a server closes
/// with 4401 and hangs up, the error is [`ConnectionError::Closed`], even if a write fails first.
///
/// ```
/// use dcrf_proto::client::Socket;
/// use dcrf_proto::websocket::{MaybeTls, WebSocket};
/// use futures_io::{AsyncRead, AsyncWrite};
///
/// fn socket<S>(socket: WebSocket<MaybeTls<S>>) -> impl Socket
/// where
///     S: AsyncRead + AsyncWrite + Unpin + Send,
/// {
///     socket
/// }
/// ```
pub struct WebSocket<S> {
    /// `None` after the stream has moved to `unframed`.
    stream: Option<WebSocketStream<S>>,
    /// The bare stream, after our close frame was written. While lingering, it needs no WebSocket buffers.
    unframed: Option<S>,
    max_incoming_message: usize,
    protocol: Option<String>,
    /// Whether a message over the limit is being skipped.
    has_skipped: bool,
    state: State,
    #[cfg(feature = "fake-server")]
    recording: Option<Recording>,
}

enum State {
    Open,
    /// A write failed. Keep reading: the server may have sent a close frame that says why.
    WriteFailed(ConnectionError),
    /// The server's close frame was read. The answer may not be written yet.
    Closing(CloseFrame),
    /// The error was returned, and a close frame with its code is being sent.
    Lingering(ConnectionError),
    /// The error was returned.
    Ended(ConnectionError),
}

/// A received text message. `Debug` shows only its size.
///
/// ```
/// fn length(text: &dcrf_proto::websocket::Text) -> usize {
///     let text: &str = text.as_ref();
///     text.len()
/// }
/// ```
pub struct Text(Utf8Bytes);

/// A received binary message. `Debug` shows only its size.
///
/// ```
/// fn length(binary: &dcrf_proto::websocket::Binary) -> usize {
///     binary.as_ref().len()
/// }
/// ```
pub struct Binary(Bytes);

impl<S> WebSocket<S> {
    pub(super) fn new(
        stream: WebSocketStream<S>,
        max_incoming_message: usize,
        protocol: Option<String>,
    ) -> Self {
        let (stream, unframed) = (Some(stream), None);
        Self {
            stream,
            unframed,
            max_incoming_message,
            protocol,
            has_skipped: false,
            state: State::Open,
            #[cfg(feature = "fake-server")]
            recording: None,
        }
    }

    #[cfg(feature = "fake-server")]
    pub(super) fn recorded(mut self, recorder: Option<&Recorder>) -> Self {
        self.recording = recorder.map(Recorder::begin);
        self
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Socket for WebSocket<MaybeTls<S>> {
    type Text = Text;
    type Binary = Binary;

    fn protocol(&self) -> Option<&str> {
        self.protocol.as_deref()
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectionError>> {
        self.poll_write_side(cx, Sink::poll_ready)
    }

    fn feed(&mut self, frame: Frame) -> Result<(), ConnectionError> {
        match &self.state {
            State::Open => {}
            State::Lingering(error) | State::Ended(error) => return Err(error.clone()),
            // `poll_receive` returns the error.
            State::WriteFailed(_) | State::Closing(_) => return Ok(()),
        }
        #[cfg(feature = "fake-server")]
        if let (Some(recording), Frame::Text(text)) = (&self.recording, &frame) {
            recording.record(Direction::ToServer, text);
        }
        let message = match frame {
            Frame::Text(text) => Message::Text(text.into()),
            Frame::Binary(bytes) => Message::Binary(bytes.into()),
            Frame::Ping => Message::Ping(Bytes::new()),
            Frame::Pong => Message::Pong(Bytes::new()),
            Frame::Close(frame) => Message::Close(from_tungstenite::to_send(frame)),
            // Only received.
            Frame::TooLarge { .. } => return Ok(()),
        };
        let is_close = matches!(message, Message::Close(_));
        let Some(stream) = &mut self.stream else { return Ok(()) };
        match Pin::new(stream).start_send(message) {
            // A close frame has been sent already.
            Err(Error::Protocol(ProtocolError::SendAfterClosing)) if is_close => {}
            Err(error) => {
                self.state = State::WriteFailed(failure::frame(error, self.max_incoming_message));
            }
            Ok(()) => {}
        }
        Ok(())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectionError>> {
        self.poll_write_side(cx, Sink::poll_flush)
    }

    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Frame<Text, Binary>, ConnectionError>> {
        // A message that is skipped is a sign of life, however long it takes.
        if std::mem::take(&mut self.has_skipped) {
            return Poll::Ready(Ok(Frame::Pong));
        }
        loop {
            if let State::Lingering(error) | State::Ended(error) = &self.state {
                return Poll::Ready(Err(error.clone()));
            }
            if let State::Closing(_) = &self.state {
                ready!(self.poll_answer_to_close(cx));
                return Poll::Ready(Err(self.end(ConnectionError::Dropped)));
            }
            let Some(stream) = &mut self.stream else {
                return Poll::Ready(Err(self.end(ConnectionError::Dropped)));
            };
            let message = match Pin::new(stream).poll_next(cx) {
                Poll::Ready(Some(Ok(message))) => message,
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(self.fail(error, cx))),
                Poll::Ready(None) => return Poll::Ready(Err(self.end(ConnectionError::Dropped))),
                Poll::Pending if matches!(self.state, State::WriteFailed(_)) => {
                    return Poll::Ready(Err(self.end(ConnectionError::Dropped)));
                }
                Poll::Pending => {
                    self.has_skipped = self.frames().is_some_and(Frames::take_skipped);
                    return Poll::Pending;
                }
            };
            match message {
                Message::Text(text) => {
                    #[cfg(feature = "fake-server")]
                    if let Some(recording) = &self.recording {
                        recording.record(Direction::ToClient, &text);
                    }
                    let cut = self.frames().and_then(Frames::take_cut_size);
                    return Poll::Ready(Ok(match cut {
                        None => Frame::Text(Text(text)),
                        Some(size) => {
                            let limit = self.max_incoming_message;
                            Frame::TooLarge { envelope: Text(text), size, limit }
                        }
                    }));
                }
                Message::Binary(bytes) => return Poll::Ready(Ok(Frame::Binary(Binary(bytes)))),
                Message::Pong(_) => return Poll::Ready(Ok(Frame::Pong)),
                Message::Ping(_) => {
                    // tungstenite has queued the pong, but writes it only at the next read. If the stream is not
                    // writable now, it wakes this task later.
                    let _ = self.poll_flush(cx);
                    return Poll::Ready(Ok(Frame::Pong));
                }
                Message::Close(frame) => {
                    // tungstenite replaces codes that no endpoint may send.
                    let close = self.frames().and_then(|frames| frames.close());
                    let close = close.unwrap_or_else(|| from_tungstenite::received(frame));
                    self.state = State::Closing(close);
                }
                // tungstenite never returns raw frames from a read.
                Message::Frame(_) => {}
            }
        }
    }

    /// Reads and discards bytes until the server hangs up. If a socket is closed with unread bytes, TCP resets the
    /// connection, and the server may never read the close frame.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let State::Lingering(_) = self.state else { return Poll::Ready(()) };
        let is_written =
            |stream: &mut WebSocketStream<_>| Pin::new(stream).poll_flush(cx).is_ready();
        if let Some(stream) = self.stream.take_if(is_written) {
            self.unframed = Some(stream.into_inner());
        }
        let mut discarded = [0; 4096];
        for _ in 0..LINGER_READS_PER_TURN {
            let framed = self.stream.as_mut().map(WebSocketStream::get_mut);
            let Some(stream) = framed.or(self.unframed.as_mut()) else { break };
            match ready!(Pin::new(stream).poll_read(cx, &mut discarded)) {
                Ok(0) | Err(_) => return Poll::Ready(()),
                Ok(_) => {}
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<MaybeTls<S>> {
    fn frames(&mut self) -> Option<&mut Frames> {
        self.stream.as_mut()?.get_mut().frames()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    fn poll_write_side(
        &mut self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(Pin<&mut WebSocketStream<S>>, &mut Context<'_>) -> Poll<Result<(), Error>>,
    ) -> Poll<Result<(), ConnectionError>> {
        match &self.state {
            State::Open => {}
            State::Lingering(error) | State::Ended(error) => {
                return Poll::Ready(Err(error.clone()));
            }
            State::WriteFailed(_) | State::Closing(_) => return Poll::Pending,
        }
        let Some(stream) = &mut self.stream else { return Poll::Pending };
        match ready!(poll(Pin::new(stream), cx)) {
            Ok(()) => Poll::Ready(Ok(())),
            Err(error) => {
                self.state = State::WriteFailed(failure::frame(error, self.max_incoming_message));
                // `poll_receive` returns the error, but may already have run in this poll.
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }

    /// Ready once the answer to the server's close frame is written, or can't be.
    fn poll_answer_to_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(()) };
        if Pin::new(&mut *stream).poll_flush(cx).is_ready() {
            return Poll::Ready(());
        }
        // Stop waiting if the server hangs up without reading the answer.
        Pin::new(stream).poll_next(cx).map(|_| ())
    }

    /// Ends the connection with a read error. If the server caused it, sends a close frame.
    fn fail(&mut self, error: Error, cx: &mut Context<'_>) -> ConnectionError {
        let code = failure::close_code(&error);
        let error = self.end(failure::frame(error, self.max_incoming_message));
        if let (Some(code), Some(stream)) = (code, &mut self.stream) {
            let frame = TungsteniteFrame { code, reason: Utf8Bytes::default() };
            let mut stream = Pin::new(stream);
            if stream.as_mut().start_send(Message::Close(Some(frame))).is_ok() {
                let _ = stream.poll_flush(cx);
                self.state = State::Lingering(error.clone());
            }
        }
        error
    }

    /// Ends the connection. An earlier close frame or write error is returned instead of `Dropped` or an I/O error,
    /// because it is more specific.
    fn end(&mut self, error: ConnectionError) -> ConnectionError {
        let error = match (mem::replace(&mut self.state, State::Open), error) {
            (State::Closing(frame), _) => ConnectionError::Closed(frame),
            (
                State::WriteFailed(earlier),
                ConnectionError::Dropped | ConnectionError::Io { .. },
            ) => earlier,
            (_, error) => error,
        };
        self.state = State::Ended(error.clone());
        error
    }
}

impl<S> fmt::Debug for WebSocket<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the stream: its buffers contain frames.
        let state = match &self.state {
            State::Open => "open",
            State::WriteFailed(_) => "write failed",
            State::Closing(_) => "closing",
            State::Lingering(_) => "lingering",
            State::Ended(_) => "ended",
        };
        f.debug_struct("WebSocket").field("state", &state).finish_non_exhaustive()
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Text({} bytes)", self.0.len())
    }
}

impl AsRef<[u8]> for Binary {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Binary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Binary({} bytes)", self.0.len())
    }
}
