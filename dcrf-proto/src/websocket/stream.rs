//! A byte stream with or without TLS, as one type.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncWrite, IoSlice};

/// A byte stream, with TLS when the endpoint is `wss://`.
///
/// ```
/// use dcrf_proto::websocket::{MaybeTls, WebSocket};
///
/// /// What [`connect`](dcrf_proto::websocket::connect) makes of a stream.
/// struct Connection<S>(WebSocket<MaybeTls<S>>);
/// ```
pub struct MaybeTls<S>(Inner<S>);

enum Inner<S> {
    Plain(S),
    // Boxed, since they hold both buffers and keys: over a kilobyte.
    #[cfg(feature = "rustls")]
    Rustls(Box<futures_rustls::client::TlsStream<S>>),
    #[cfg(feature = "native-tls")]
    Native(Box<super::tls::NativeStream<S>>),
}

impl<S> MaybeTls<S> {
    pub(super) fn plain(stream: S) -> Self {
        Self(Inner::Plain(stream))
    }

    #[cfg(feature = "rustls")]
    pub(super) fn rustls(stream: futures_rustls::client::TlsStream<S>) -> Self {
        Self(Inner::Rustls(Box::new(stream)))
    }

    #[cfg(feature = "native-tls")]
    pub(super) fn native(stream: super::tls::NativeStream<S>) -> Self {
        Self(Inner::Native(Box::new(stream)))
    }
}

impl<S> fmt::Debug for MaybeTls<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
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
        match &mut $self.0 {
            Inner::Plain(stream) => Pin::new(stream).$method($($argument),*),
            #[cfg(feature = "rustls")]
            Inner::Rustls(stream) => Pin::new(stream).$method($($argument),*),
            #[cfg(feature = "native-tls")]
            Inner::Native(stream) => Pin::new(stream).$method($($argument),*),
        }
    };
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for MaybeTls<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        forward!(self, poll_read, cx, buf)
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
