//! Passes bytes on between two sockets.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::thread;

/// A socket that two threads use.
pub(crate) trait Stream: Read + Write + Send + Sized + 'static {
    fn second(&self) -> io::Result<Self>;
    fn end(&self);
}

/// Passes bytes on in both directions until one side ends.
pub(crate) fn tunnel<A: Stream, B: Stream>(a: A, b: B) -> io::Result<()> {
    let (from_a, to_b) = (a.second()?, b.second()?);
    thread::spawn(move || pass(b, a));
    pass(from_a, to_b);
    Ok(())
}

fn pass<A: Stream, B: Stream>(mut from: A, mut to: B) {
    let _ = io::copy(&mut from, &mut to);
    to.end();
}

impl Stream for TcpStream {
    fn second(&self) -> io::Result<Self> {
        self.try_clone()
    }

    fn end(&self) {
        let _ = self.shutdown(Shutdown::Both);
    }
}

impl Stream for UnixStream {
    fn second(&self) -> io::Result<Self> {
        self.try_clone()
    }

    fn end(&self) {
        let _ = self.shutdown(Shutdown::Both);
    }
}
