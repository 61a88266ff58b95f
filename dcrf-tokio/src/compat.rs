//! Tokio's byte streams with the traits of futures-io, which the WebSocket is written for.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncWrite, IoSlice};
use tokio::io::ReadBuf;

/// A byte stream of Tokio, as a futures-io stream: for a [connector](crate::Builder::connector) of one's own.
///
/// ```no_run
/// use dcrf_tokio::Compat;
/// use tokio::net::UnixStream;
///
/// # async fn f() -> Result<(), dcrf_tokio::ConnectError> {
/// let client = dcrf_tokio::builder("ws://localhost/ws/")
///     .connector(|_| async { Ok(Compat::new(UnixStream::connect("/run/daphne.sock").await?)) })
///     .connect()
///     .await?;
/// # drop(client);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Compat<S>(S);

impl<S> Compat<S> {
    /// Wraps a stream of Tokio.
    ///
    /// ```
    /// let (near, _far) = tokio::io::duplex(1024);
    /// let stream = dcrf_tokio::Compat::new(near);
    /// # drop(stream);
    /// ```
    pub fn new(stream: S) -> Self {
        Self(stream)
    }

    /// Tokio's stream inside.
    ///
    /// ```
    /// use dcrf_tokio::Compat;
    /// use tokio::net::TcpStream;
    ///
    /// fn peer(stream: &Compat<TcpStream>) -> std::io::Result<std::net::SocketAddr> {
    ///     stream.get_ref().peer_addr()
    /// }
    /// ```
    pub fn get_ref(&self) -> &S {
        &self.0
    }
}

impl<S: Unpin> Compat<S> {
    fn inner(self: Pin<&mut Self>) -> Pin<&mut S> {
        Pin::new(&mut self.get_mut().0)
    }
}

impl<S: tokio::io::AsyncRead + Unpin> AsyncRead for Compat<S> {
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

impl<S: tokio::io::AsyncWrite + Unpin> AsyncWrite for Compat<S> {
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
