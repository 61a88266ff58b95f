//! async-io's TCP connection with fewer system calls, and with a `poll_close` that shuts it down.

use std::io;
use std::mem;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use async_io::Async;
use futures_io::{AsyncRead, AsyncWrite, IoSlice};

pub(crate) struct Tcp {
    stream: Async<TcpStream>,
    /// The last read did not fill its buffer, so the next one would probably block.
    is_drained: bool,
    /// The task that waits for bytes.
    reader: Option<Waker>,
}

impl Tcp {
    pub(crate) async fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = Async::<TcpStream>::connect(address).await?;
        // Otherwise a second small frame waits for the acknowledgement of the first, up to 40 ms.
        stream.get_ref().set_nodelay(true)?;
        Ok(Self { stream, is_drained: false, reader: None })
    }

    /// Waits until the socket is readable. Also sees bytes that arrived since the last read: async-io polls the
    /// operating system again.
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The first call may report bytes that were already read.
        ready!(self.stream.poll_readable(cx))?;
        self.stream.poll_readable(cx)
    }

    /// Wakes the reader after a write. By then a nearby server has often replied, and a read is cheaper than a wait,
    /// which takes async-io six system calls.
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
        Poll::Ready(self.stream.get_ref().shutdown(Shutdown::Write))
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, TcpListener};
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::Wake;
    use std::thread;
    use std::time::Duration;

    use futures_lite::future::{block_on, poll_once};
    use futures_lite::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn listener() -> TcpListener {
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()
    }

    /// Accepts a connection whose reads fail after ten seconds.
    fn accept(listener: &TcpListener) -> TcpStream {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream
    }

    #[test]
    fn connections_have_nodelay() {
        let listener = listener();
        let tcp = block_on(Tcp::connect(listener.local_addr().unwrap())).unwrap();
        assert!(tcp.stream.get_ref().nodelay().unwrap());
    }

    #[test]
    fn after_a_close_the_server_reads_the_end_of_the_stream() {
        let listener = listener();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let mut stream = accept(&listener);
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            stream.write_all(text.to_uppercase().as_bytes()).unwrap();
        });
        let reply = block_on(async {
            let mut tcp = Tcp::connect(address).await.unwrap();
            tcp.write_all(b"over to you").await.unwrap();
            tcp.close().await.unwrap();
            let mut reply = String::new();
            tcp.read_to_string(&mut reply).await.unwrap();
            reply
        });
        assert_eq!(reply, "OVER TO YOU");
        server.join().unwrap();
    }

    #[test]
    fn a_drained_socket_is_read_again_only_once_it_is_readable() {
        let listener = listener();
        let mut tcp = block_on(Tcp::connect(listener.local_addr().unwrap())).unwrap();
        let mut server = accept(&listener);
        let mut buf = [0; 16];
        server.write_all(b"first").unwrap();
        assert_eq!(block_on(tcp.read(&mut buf)).unwrap(), 5);
        server.write_all(b"second").unwrap();
        while tcp.stream.get_ref().peek(&mut [0]).is_err() {
            thread::yield_now();
        }
        // The bytes are there, but a drained socket waits until async-io reports them.
        assert!(block_on(poll_once(tcp.read(&mut buf))).is_none());
        assert_eq!(block_on(tcp.read(&mut buf)).unwrap(), 6);
        drop(server);
        assert_eq!(block_on(tcp.read(&mut buf)).unwrap(), 0);
    }

    #[test]
    fn a_write_wakes_the_reader() {
        struct Woken(AtomicBool);
        impl Wake for Woken {
            fn wake(self: Arc<Self>) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let listener = listener();
        let mut tcp = block_on(Tcp::connect(listener.local_addr().unwrap())).unwrap();
        let mut server = accept(&listener);
        let woken = Arc::new(Woken(AtomicBool::new(false)));
        let waker = Waker::from(woken.clone());
        let mut buf = [0; 16];
        let read = pin!(tcp.read(&mut buf)).poll(&mut Context::from_waker(&waker));
        assert!(read.is_pending());
        block_on(tcp.write_all(b"question")).unwrap();
        assert!(woken.0.load(Ordering::Relaxed));
        server.write_all(b"answer").unwrap();
        assert_eq!(block_on(tcp.read(&mut buf)).unwrap(), 6);
    }
}
