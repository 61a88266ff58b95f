//! An in-memory pipe with an async end and a blocking end.

use std::io::{self, Read, Write};
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_io::{AsyncRead, AsyncWrite};

/// The async end, for the client.
pub(crate) struct Near(Arc<Pipe>);

/// The blocking end, for the server.
pub(crate) struct Far(Arc<Pipe>);

/// Lets a test control and inspect a pipe.
pub(crate) struct Control(Arc<Pipe>);

/// The read timeout of the far end, so that a test fails instead of hanging.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Pipe {
    state: Mutex<State>,
    changed: Condvar,
    kept: Mutex<Option<Far>>,
}

struct State {
    to_near: Vec<u8>,
    to_far: Vec<u8>,
    /// How many bytes may be unread by the far end.
    capacity: usize,
    written: usize,
    near_is_dropped: bool,
    far_is_dropped: bool,
    fails_writes: bool,
    wakers: Vec<Waker>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            to_near: Vec::new(),
            to_far: Vec::new(),
            // Small enough that large messages are written in parts.
            capacity: 64 * 1024,
            written: 0,
            near_is_dropped: false,
            far_is_dropped: false,
            fails_writes: false,
            wakers: Vec::new(),
        }
    }
}

pub(crate) fn new() -> (Near, Far) {
    let pipe = Arc::new(Pipe::default());
    (Near(pipe.clone()), Far(pipe))
}

impl Pipe {
    /// Reads or changes the state, then wakes both ends.
    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let result = f(&mut state);
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        self.changed.notify_all();
        wakers.into_iter().for_each(Waker::wake);
        result
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Near {
    pub(crate) fn control(&self) -> Control {
        Control(self.0.clone())
    }
}

impl Control {
    /// The number of bytes that the near end has written.
    pub(crate) fn written(&self) -> usize {
        self.0.lock().written
    }

    /// The number of bytes that the near end has not read.
    pub(crate) fn unread(&self) -> usize {
        self.0.lock().to_near.len()
    }

    pub(crate) fn set_capacity(&self, bytes: usize) {
        self.0.with(|state| state.capacity = bytes);
    }

    /// Sends bytes to the near end.
    pub(crate) fn receive(&self, bytes: &[u8]) {
        self.0.with(|state| state.to_near.extend_from_slice(bytes));
    }

    /// Fails all writes of the near end from now on. It can still read.
    pub(crate) fn fail_writes(&self) {
        self.0.with(|state| state.fails_writes = true);
    }

    /// Drops the far end.
    pub(crate) fn hang_up(&self) {
        drop(self.0.kept.lock().unwrap().take());
    }

    /// Keeps the far end open until the test ends.
    pub(crate) fn keep(&self, far: Far) {
        *self.0.kept.lock().unwrap() = Some(far);
    }
}

impl AsyncRead for Near {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.0.lock();
        if state.to_near.is_empty() && !state.far_is_dropped {
            state.wakers.push(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Ok(take(&mut state.to_near, buf)))
    }
}

impl AsyncWrite for Near {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.0.lock();
        if state.far_is_dropped || state.fails_writes {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = state.capacity.saturating_sub(state.to_far.len());
        if room == 0 {
            state.wakers.push(cx.waker().clone());
            return Poll::Pending;
        }
        let written = room.min(buf.len());
        state.to_far.extend_from_slice(&buf[..written]);
        state.written += written;
        drop(state);
        self.0.changed.notify_all();
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Drop for Near {
    fn drop(&mut self) {
        self.0.with(|state| state.near_is_dropped = true);
        // The kept far end owns the pipe, a reference cycle.
        drop(self.0.kept.lock().unwrap().take());
    }
}

impl Read for Far {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let idle = |state: &mut State| state.to_far.is_empty() && !state.near_is_dropped;
        let (mut state, waited) =
            self.0.changed.wait_timeout_while(self.0.lock(), READ_TIMEOUT, idle).unwrap();
        if waited.timed_out() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let read = take(&mut state.to_far, buf);
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        Ok(read)
    }
}

impl Write for Far {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.with(|state| {
            if state.near_is_dropped {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            state.to_near.extend_from_slice(buf);
            Ok(buf.len())
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        self.0.with(|state| state.far_is_dropped = true);
    }
}

fn take(from: &mut Vec<u8>, into: &mut [u8]) -> usize {
    let length = from.len().min(into.len());
    into[..length].copy_from_slice(&from[..length]);
    from.drain(..length);
    length
}
