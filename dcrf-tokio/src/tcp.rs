//! Tokio's TCP connection with the traits of futures-io, which the WebSocket is written for.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncWrite, IoSlice};
use tokio::io::ReadBuf;
use tokio::net::TcpStream;

/// A TCP connection of Tokio, as a futures-io stream.
///
/// ```
/// fn is_nodelay(tcp: &dcrf_tokio::Tcp) -> std::io::Result<bool> {
///     tcp.get_ref().nodelay()
/// }
/// ```
#[derive(Debug)]
pub struct Tcp(TcpStream);

impl Tcp {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self(stream)
    }

    /// Tokio's stream inside.
    ///
    /// ```
    /// fn peer(tcp: &dcrf_tokio::Tcp) -> std::io::Result<std::net::SocketAddr> {
    ///     tcp.get_ref().peer_addr()
    /// }
    /// ```
    pub fn get_ref(&self) -> &TcpStream {
        &self.0
    }

    fn inner(self: Pin<&mut Self>) -> Pin<&mut TcpStream> {
        Pin::new(&mut self.get_mut().0)
    }
}

impl AsyncRead for Tcp {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut buf = ReadBuf::new(buf);
        ready!(tokio::io::AsyncRead::poll_read(self.inner(), cx, &mut buf))?;
        Poll::Ready(Ok(buf.filled().len()))
    }
}

impl AsyncWrite for Tcp {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        tokio::io::AsyncWrite::poll_write(self.inner(), cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        tokio::io::AsyncWrite::poll_write_vectored(self.inner(), cx, bufs)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        tokio::io::AsyncWrite::poll_flush(self.inner(), cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        tokio::io::AsyncWrite::poll_shutdown(self.inner(), cx)
    }
}
