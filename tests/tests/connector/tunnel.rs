//! Copies bytes between two sockets.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::thread;

/// A socket that two threads can use.
pub(crate) trait Stream: Read + Write + Send + Sized + 'static {
    fn duplicate(&self) -> io::Result<Self>;
    fn close(&self);
}

/// Copies bytes in both directions until one side closes.
pub(crate) fn tunnel<A: Stream, B: Stream>(a: A, b: B) -> io::Result<()> {
    let (from_a, to_b) = (a.duplicate()?, b.duplicate()?);
    thread::spawn(move || copy(b, a));
    copy(from_a, to_b);
    Ok(())
}

fn copy<A: Stream, B: Stream>(mut from: A, mut to: B) {
    let _ = io::copy(&mut from, &mut to);
    to.close();
}

impl Stream for TcpStream {
    fn duplicate(&self) -> io::Result<Self> {
        self.try_clone()
    }

    fn close(&self) {
        let _ = self.shutdown(Shutdown::Both);
    }
}

impl Stream for UnixStream {
    fn duplicate(&self) -> io::Result<Self> {
        self.try_clone()
    }

    fn close(&self) {
        let _ = self.shutdown(Shutdown::Both);
    }
}
