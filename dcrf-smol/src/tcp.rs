//! A TCP connection of async-io, which closes as a stream of futures-io should.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::pin::Pin;
use std::task::{Context, Poll};

use async_io::Async;
use futures_io::{AsyncRead, AsyncWrite, IoSlice};

/// A TCP connection on async-io, as a futures-io stream.
///
/// ```
/// fn is_nodelay(tcp: &dcrf_smol::Tcp) -> std::io::Result<bool> {
///     tcp.get_ref().nodelay()
/// }
/// ```
#[derive(Debug)]
pub struct Tcp(Async<TcpStream>);

impl Tcp {
    pub(crate) fn new(stream: Async<TcpStream>) -> Self {
        Self(stream)
    }

    /// The socket inside, which is in non-blocking mode.
    ///
    /// ```
    /// fn peer(tcp: &dcrf_smol::Tcp) -> std::io::Result<std::net::SocketAddr> {
    ///     tcp.get_ref().peer_addr()
    /// }
    /// ```
    pub fn get_ref(&self) -> &TcpStream {
        self.0.get_ref()
    }

    fn inner(self: Pin<&mut Self>) -> Pin<&mut Async<TcpStream>> {
        Pin::new(&mut self.get_mut().0)
    }
}

impl AsyncRead for Tcp {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.inner().poll_read(cx, buf)
    }
}

impl AsyncWrite for Tcp {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.inner().poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.inner().poll_write_vectored(cx, bufs)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_flush(cx)
    }

    /// async-io's own only flushes, and the server would wait for an end of what it reads.
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.get_ref().shutdown(Shutdown::Write))
    }
}
