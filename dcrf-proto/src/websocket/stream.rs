//! A byte stream with or without TLS, which reads large chunks.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncWrite, IoSlice};

use super::frames::{Frames, Step};
use super::head::Head;

/// A byte stream, with TLS for `wss://`. [`connect`](super::connect) makes it.
///
/// ```
/// use dcrf_proto::websocket::{MaybeTls, WebSocket};
///
/// struct Connection<S>(WebSocket<MaybeTls<S>>);
/// ```
pub struct MaybeTls<S> {
    inner: Inner<S>,
    /// How many reads in a row returned bytes.
    reads: usize,
    /// Bytes that were read but not consumed. `None` if there are none, so that an idle connection has no buffer.
    buffer: Option<Box<ReadBuffer>>,
    /// During the handshake. A read then ends where the head of the response ends.
    head: Option<Head>,
    /// After the handshake.
    frames: Option<Frames>,
}

/// Reads many frames with one system call. The unread bytes are those in `start..end`.
struct ReadBuffer {
    bytes: [u8; READ_BUFFER],
    start: usize,
    end: usize,
}

/// About 70 typical events.
const READ_BUFFER: usize = 16 * 1024;

thread_local! {
    /// A buffer that the streams polled on this thread share. A stream puts it back once it has consumed all bytes.
    static SPARE: Cell<Option<Box<ReadBuffer>>> = const { Cell::new(None) };
}

impl ReadBuffer {
    fn spare() -> Box<Self> {
        // Thread-locals can't be accessed while the thread ends.
        let spare = SPARE.try_with(Cell::take).ok().flatten();
        spare.unwrap_or_else(|| Box::new(Self { bytes: [0; READ_BUFFER], start: 0, end: 0 }))
    }

    fn put_back(self: Box<Self>) {
        let _ = SPARE.try_with(|spare| spare.set(Some(self)));
    }
}

/// How many reads in a row may return bytes before other tasks run. tungstenite reads until a message is complete, so a
/// server that keeps sending empty fragments could otherwise block the thread forever.
const READS_PER_TURN: usize = 32;

enum Inner<S> {
    Plain(S),
    // Boxed, since a TLS stream is larger than a kilobyte.
    #[cfg(feature = "rustls")]
    Rustls(Box<futures_rustls::client::TlsStream<S>>),
    #[cfg(feature = "native-tls")]
    Native(Box<super::tls::NativeStream<S>>),
}

impl<S> MaybeTls<S> {
    fn new(inner: Inner<S>) -> Self {
        Self { inner, reads: 0, buffer: None, head: None, frames: None }
    }

    pub(super) fn plain(stream: S) -> Self {
        Self::new(Inner::Plain(stream))
    }

    #[cfg(feature = "rustls")]
    pub(super) fn rustls(stream: futures_rustls::client::TlsStream<S>) -> Self {
        Self::new(Inner::Rustls(Box::new(stream)))
    }

    #[cfg(feature = "native-tls")]
    pub(super) fn native(stream: super::tls::NativeStream<S>) -> Self {
        Self::new(Inner::Native(Box::new(stream)))
    }

    /// Makes reads stop after the head of an HTTP response.
    pub(super) fn start_handshake(&mut self) {
        self.head = Some(Head::default());
    }

    /// From now on, frames are read.
    pub(super) fn end_handshake(&mut self, frames: Frames) {
        self.head = None;
        self.frames = Some(frames);
    }

    pub(super) fn frames(&mut self) -> Option<&mut Frames> {
        self.frames.as_mut()
    }
}

impl<S> fmt::Debug for MaybeTls<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.inner {
            Inner::Plain(_) => "MaybeTls(plain)",
            #[cfg(feature = "rustls")]
            Inner::Rustls(_) => "MaybeTls(rustls)",
            #[cfg(feature = "native-tls")]
            Inner::Native(_) => "MaybeTls(native-tls)",
        })
    }
}

/// Calls a method of the stream inside.
macro_rules! forward {
    ($self:ident, $method:ident $(, $argument:ident)*) => {
        match &mut $self.inner {
            Inner::Plain(stream) => Pin::new(stream).$method($($argument),*),
            #[cfg(feature = "rustls")]
            Inner::Rustls(stream) => Pin::new(stream).$method($($argument),*),
            #[cfg(feature = "native-tls")]
            Inner::Native(stream) => Pin::new(stream).$method($($argument),*),
        }
    };
}

impl<S: AsyncRead + AsyncWrite + Unpin> MaybeTls<S> {
    /// Returns unread bytes, as `AsyncBufRead::poll_fill_buf` does. No bytes mean the end of the stream. Call
    /// [`consume`](Self::consume) afterwards.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        if self.buffer.is_none() {
            if self.reads == READS_PER_TURN {
                self.reads = 0;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let mut buffer = ReadBuffer::spare();
            let bytes = &mut buffer.bytes;
            match forward!(self, poll_read, cx, bytes) {
                Poll::Ready(Ok(count)) => {
                    self.reads += 1;
                    (buffer.start, buffer.end) = (0, count);
                    self.buffer = Some(buffer);
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.reads = 0;
                    buffer.put_back();
                    return Poll::Pending;
                }
            }
        }
        let buffer = self.buffer.as_ref();
        Poll::Ready(Ok(buffer.map_or(&[], |buffer| &buffer.bytes[buffer.start..buffer.end])))
    }

    fn consume(&mut self, count: usize) {
        let Some(mut buffer) = self.buffer.take() else { return };
        buffer.start += count;
        if buffer.start < buffer.end {
            self.buffer = Some(buffer);
        } else {
            buffer.put_back();
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for MaybeTls<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            let pending = self.frames.as_mut().and_then(|frames| frames.take_pending(buf));
            if let Some(count) = pending {
                return Poll::Ready(Ok(count));
            }
            let bytes = ready!(self.poll_fill(cx))?;
            let count = bytes.len().min(buf.len());
            if count == 0 {
                return Poll::Ready(Ok(0));
            }
            buf[..count].copy_from_slice(&bytes[..count]);
            let count = self.head.as_mut().map_or(count, |head| head.length(&buf[..count]));
            let step = match &mut self.frames {
                Some(frames) => frames.accept(&buf[..count]),
                None => Step { consumed: count, passed: count },
            };
            self.consume(step.consumed);
            if step.passed > 0 {
                return Poll::Ready(Ok(step.passed));
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for MaybeTls<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match forward!(self, poll_write, cx, buf) {
            // tungstenite panics if a stream accepts no bytes during the handshake.
            Poll::Ready(Ok(0)) if !buf.is_empty() => {
                Poll::Ready(Err(io::ErrorKind::WriteZero.into()))
            }
            other => other,
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        forward!(self, poll_write_vectored, cx, bufs)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self, poll_flush, cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self, poll_close, cx)
    }
}
