//! A network in memory: an end that is polled and an end that blocks.

use std::io::{self, Read, Write};
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_io::{AsyncRead, AsyncWrite};

/// The end that is polled: the client's.
pub(crate) struct Near(Arc<Pipe>);

/// The end that blocks: the server's.
pub(crate) struct Far(Arc<Pipe>);

/// What a test can do to the network, and ask of it.
pub(crate) struct Control(Arc<Pipe>);

/// How long the far end waits before it gives up, so that a test fails instead of hanging.
const SILENCE: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Pipe {
    state: Mutex<State>,
    changed: Condvar,
    kept: Mutex<Option<Far>>,
}

struct State {
    to_near: Vec<u8>,
    to_far: Vec<u8>,
    /// How much may wait for the far end to read it.
    capacity: usize,
    written: usize,
    near_is_gone: bool,
    far_is_gone: bool,
    refuses_writes: bool,
    wakers: Vec<Waker>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            to_near: Vec::new(),
            to_far: Vec::new(),
            // Small, so that larger messages are written in parts.
            capacity: 64 * 1024,
            written: 0,
            near_is_gone: false,
            far_is_gone: false,
            refuses_writes: false,
            wakers: Vec::new(),
        }
    }
}

pub(crate) fn new() -> (Near, Far) {
    let pipe = Arc::new(Pipe::default());
    (Near(pipe.clone()), Far(pipe))
}

impl Pipe {
    /// Looks at the state or changes it, and lets everybody look again.
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
    /// How many bytes the near end has written.
    pub(crate) fn written(&self) -> usize {
        self.0.lock().written
    }

    /// How many bytes the near end has not read yet.
    pub(crate) fn unread(&self) -> usize {
        self.0.lock().to_near.len()
    }

    pub(crate) fn set_capacity(&self, bytes: usize) {
        self.0.with(|state| state.capacity = bytes);
    }

    /// Lets the near end receive something.
    pub(crate) fn receive(&self, bytes: &[u8]) {
        self.0.with(|state| state.to_near.extend_from_slice(bytes));
    }

    /// From now on the near end can't write, though it still waits for what it may read.
    pub(crate) fn refuse_writes(&self) {
        self.0.with(|state| state.refuses_writes = true);
    }

    /// Drops the far end.
    pub(crate) fn hang_up(&self) {
        drop(self.0.kept.lock().unwrap().take());
    }

    /// Keeps the far end until the test is over.
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
        if state.to_near.is_empty() && !state.far_is_gone {
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
        if state.far_is_gone || state.refuses_writes {
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
        self.0.with(|state| state.near_is_gone = true);
        // The kept end holds this pipe.
        drop(self.0.kept.lock().unwrap().take());
    }
}

impl Read for Far {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let idle = |state: &mut State| state.to_far.is_empty() && !state.near_is_gone;
        let (mut state, waited) =
            self.0.changed.wait_timeout_while(self.0.lock(), SILENCE, idle).unwrap();
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
            if state.near_is_gone {
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
        self.0.with(|state| state.far_is_gone = true);
    }
}

fn take(from: &mut Vec<u8>, into: &mut [u8]) -> usize {
    let length = from.len().min(into.len());
    into[..length].copy_from_slice(&from[..length]);
    from.drain(..length);
    length
}
