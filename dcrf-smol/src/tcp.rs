//! A TCP connection of async-io, which closes as a stream of futures-io should.

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
    /// The last read had room for more than there was.
    is_drained: bool,
    /// Waits for more.
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

    /// Waits for more than has been read. What has come since the read wakes the task too: async-io asks the system
    /// anew here, which tells of all that is there to be read.
    fn poll_more(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The first time it may still be ready for what has been read already.
        ready!(self.stream.poll_readable(cx))?;
        self.stream.poll_readable(cx)
    }

    /// A server nearby has often answered by the time that the question is written. One look is cheaper than to wait:
    /// for that the reactor of async-io needs six system calls.
    fn look_for_an_answer(&mut self, written: &Poll<io::Result<usize>>) {
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
        // To read a socket that is drained is a system call in vain.
        let mut read = Poll::Pending;
        if !mem::take(&mut this.is_drained) || this.poll_more(cx)?.is_ready() {
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
        this.look_for_an_answer(&written);
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.look_for_an_answer(&written);
        written
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    /// async-io's own only flushes, and the server would wait for an end of what it reads.
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.get_ref().shutdown(Shutdown::Write))
    }
}
