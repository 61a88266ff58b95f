//! A byte stream with or without TLS, as one type.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncWrite, IoSlice};

/// A byte stream, with TLS when the endpoint is `wss://`.
///
/// ```
/// use dcrf_proto::websocket::{MaybeTls, WebSocket};
///
/// /// What [`connect`](dcrf_proto::websocket::connect) makes of a stream.
/// struct Connection<S>(WebSocket<MaybeTls<S>>);
/// ```
pub struct MaybeTls<S> {
    inner: Inner<S>,
    /// How many reads in a row had something.
    reads: usize,
    /// Only while there is something in it, so that a connection that is idle holds none.
    ahead: Option<Box<Ahead>>,
}

/// What was read before it was asked for: a system call for many frames.
struct Ahead {
    bytes: [u8; READ_AHEAD],
    from: usize,
    to: usize,
}

/// Some 70 events of the usual size.
const READ_AHEAD: usize = 16 * 1024;

thread_local! {
    /// All that this thread reads goes through it, as long as it is taken out before the next stream has its turn.
    static SPARE: Cell<Option<Box<Ahead>>> = const { Cell::new(None) };
}

impl Ahead {
    fn spare() -> Box<Self> {
        // There is none left while the thread ends.
        let spare = SPARE.try_with(Cell::take).ok().flatten();
        spare.unwrap_or_else(|| Box::new(Self { bytes: [0; READ_AHEAD], from: 0, to: 0 }))
    }

    fn put_back(self: Box<Self>) {
        let _ = SPARE.try_with(|spare| spare.set(Some(self)));
    }
}

/// How many reads in a row have their turn before other tasks do. tungstenite reads on until a message is whole, and
/// one of empty fragments never is: where they come faster than they are read, nothing else would ever be done.
const READS_PER_TURN: usize = 32;

enum Inner<S> {
    Plain(S),
    // Boxed, since they hold both buffers and keys: over a kilobyte.
    #[cfg(feature = "rustls")]
    Rustls(Box<futures_rustls::client::TlsStream<S>>),
    #[cfg(feature = "native-tls")]
    Native(Box<super::tls::NativeStream<S>>),
}

impl<S> MaybeTls<S> {
    fn new(inner: Inner<S>) -> Self {
        Self { inner, reads: 0, ahead: None }
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
    /// What comes next, of which as much has gone as is [consumed](Self::consume).
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        if self.ahead.is_none() {
            if self.reads == READS_PER_TURN {
                self.reads = 0;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let mut ahead = Ahead::spare();
            let bytes = &mut ahead.bytes;
            match forward!(self, poll_read, cx, bytes) {
                Poll::Ready(Ok(count)) => {
                    self.reads += 1;
                    (ahead.from, ahead.to) = (0, count);
                    self.ahead = Some(ahead);
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.reads = 0;
                    ahead.put_back();
                    return Poll::Pending;
                }
            }
        }
        let ahead = self.ahead.as_ref();
        Poll::Ready(Ok(ahead.map_or(&[], |ahead| &ahead.bytes[ahead.from..ahead.to])))
    }

    pub(super) fn consume(&mut self, count: usize) {
        let Some(mut ahead) = self.ahead.take() else { return };
        ahead.from += count;
        if ahead.from < ahead.to {
            self.ahead = Some(ahead);
        } else {
            ahead.put_back();
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for MaybeTls<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let bytes = ready!(self.poll_fill(cx))?;
        let count = bytes.len().min(buf.len());
        buf[..count].copy_from_slice(&bytes[..count]);
        self.consume(count);
        Poll::Ready(Ok(count))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for MaybeTls<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match forward!(self, poll_write, cx, buf) {
            // tungstenite panics when a stream takes nothing of its handshake.
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
