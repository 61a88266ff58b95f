//! Adapts the blocking API of native-tls to an asynchronous stream.
//!
//! The crates that do this pass the task's context through a raw pointer. This workspace has no unsafe code, so the
//! stream below TLS holds a clone of the waker during each call.

use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use futures_io::{AsyncRead, AsyncWrite};
use native_tls::TlsStream;

/// The asynchronous stream below TLS with a blocking API: `Pending` becomes `WouldBlock`.
pub(super) struct Blocking<S> {
    stream: S,
    /// Set only during a poll. A waker kept longer could keep alive the task that owns this stream.
    waker: Option<Waker>,
}

impl<S> Blocking<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, waker: None }
    }

    pub(super) fn set_waker(&mut self, cx: &Context<'_>) {
        self.waker = Some(cx.waker().clone());
    }

    pub(super) fn clear_waker(&mut self) {
        self.waker = None;
    }
}

impl<S: Unpin> Blocking<S> {
    fn poll<T>(
        &mut self,
        poll: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> io::Result<T> {
        // The library also calls this when it is dropped, outside of a poll.
        let waker = self.waker.as_ref().unwrap_or(Waker::noop());
        match poll(Pin::new(&mut self.stream), &mut Context::from_waker(waker)) {
            Poll::Ready(result) => result,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl<S: AsyncRead + Unpin> Read for Blocking<S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.poll(|stream, cx| stream.poll_read(cx, buf)) {
            // An end without TLS's `close_notify` is a truncation. Libraries differ in whether they report it.
            Ok(0) if !buf.is_empty() => Err(io::ErrorKind::UnexpectedEof.into()),
            result => result,
        }
    }
}

impl<S: AsyncWrite + Unpin> Write for Blocking<S> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.poll(|stream, cx| stream.poll_write(cx, buf))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.poll(AsyncWrite::poll_flush)
    }
}

/// A TLS connection of the operating system's library.
pub(in crate::websocket) struct NativeStream<S> {
    tls: TlsStream<Blocking<S>>,
    /// TLS is shut down; the stream below can be closed.
    is_shut: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> NativeStream<S> {
    pub(super) fn new(mut tls: TlsStream<Blocking<S>>) -> Self {
        tls.get_mut().clear_waker();
        Self { tls, is_shut: false }
    }

    fn poll<T>(
        &mut self,
        cx: &Context<'_>,
        call: impl FnOnce(&mut TlsStream<Blocking<S>>) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        self.tls.get_mut().set_waker(cx);
        let result = call(&mut self.tls);
        self.tls.get_mut().clear_waker();
        match result {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
            result => Poll::Ready(result),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for NativeStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.poll(cx, |tls| tls.read(buf))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for NativeStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll(cx, |tls| tls.write(buf))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(cx, Write::flush)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_shut {
            ready!(self.poll(cx, TlsStream::shutdown))?;
            self.is_shut = true;
        }
        self.poll(cx, |tls| tls.get_mut().poll(AsyncWrite::poll_close))
    }
}
