//! async-io's TCP connection with fewer system calls, and with a `poll_close` that shuts it down.

use std::io;
use std::mem;
use std::net::{Shutdown, TcpStream};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

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
pub struct Tcp {
    stream: Async<TcpStream>,
    /// Whether the last read did not fill its buffer, so that the next one would most likely block.
    is_drained: bool,
    /// The task that waits for bytes.
    reader: Option<Waker>,
}

impl Tcp {
    pub(crate) fn new(stream: Async<TcpStream>) -> Self {
        Self { stream, is_drained: false, reader: None }
    }

    /// The socket inside, which is in non-blocking mode.
    ///
    /// ```
    /// fn peer(tcp: &dcrf_smol::Tcp) -> std::io::Result<std::net::SocketAddr> {
    ///     tcp.get_ref().peer_addr()
    /// }
    /// ```
    pub fn get_ref(&self) -> &TcpStream {
        self.stream.get_ref()
    }

    /// Waits until the socket is readable. This includes bytes that arrived after the last read, because async-io polls the
    /// operating system again.
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The first call may return the readiness of bytes that were read already.
        ready!(self.stream.poll_readable(cx))?;
        self.stream.poll_readable(cx)
    }

    /// Makes the reader try again after a write. A nearby server has often replied by then, and a read is cheaper than
    /// waiting, for which async-io needs six system calls.
    fn wake_reader(&mut self, written: &Poll<io::Result<usize>>) {
        if written.is_ready() {
            self.reader.take().into_iter().for_each(Waker::wake);
        }
    }
}

impl AsyncRead for Tcp {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        // Reading a drained socket would waste a system call.
        let mut read = Poll::Pending;
        if !mem::take(&mut this.is_drained) || this.poll_readable(cx)?.is_ready() {
            read = Pin::new(&mut this.stream).poll_read(cx, buf);
        }
        if read.is_pending() {
            this.reader = Some(cx.waker().clone());
        }
        this.is_drained = matches!(read, Poll::Ready(Ok(count)) if 0 < count && count < buf.len());
        read
    }
}

impl AsyncWrite for Tcp {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.wake_reader(&written);
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.wake_reader(&written);
        written
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    /// `Async::poll_close` only flushes, so the server would not see the end of the stream.
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.get_ref().shutdown(Shutdown::Write))
    }
}
