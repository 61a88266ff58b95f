//! Writes a recording: each line at once, so that a killed recorder leaves whole lines.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use dcrf_tokio::fake_server::Direction;
use tokio::sync::Notify;

use super::redact::Redaction;
use crate::conversation::{Entry, Side, What};
use crate::failure::Failure;

pub(crate) struct Recording {
    state: Mutex<State>,
    redaction: Redaction,
    began: Instant,
    failed: Notify,
}

struct State {
    out: Box<dyn Write + Send>,
    connections: u64,
    frames: u64,
    error: Option<io::Error>,
}

impl Recording {
    /// Into a new file that only the user can read, or to standard output.
    ///
    /// # Errors
    ///
    /// A sentence about the file. One that exists is not overwritten.
    pub(crate) fn create(path: Option<&Path>, redaction: Redaction) -> Result<Self, Failure> {
        let out: Box<dyn Write + Send> = match path {
            None => Box::new(io::stdout()),
            Some(path) => {
                let mut options = OpenOptions::new();
                options.append(true).create_new(true);
                #[cfg(unix)]
                std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
                let file = options.open(path).map_err(|error| match error.kind() {
                    io::ErrorKind::AlreadyExists => Failure::usage(format!(
                        "{} exists: remove it, or name another file",
                        path.display()
                    )),
                    _ => Failure::usage(format!("{}: {error}", path.display())),
                })?;
                Box::new(file)
            }
        };
        let state = State { out, connections: 0, frames: 0, error: None };
        let (state, began, failed) = (Mutex::new(state), Instant::now(), Notify::new());
        Ok(Self { state, redaction, began, failed })
    }

    /// Begins a connection, with the next number.
    pub(crate) fn connection(self: &Arc<Self>) -> Connection {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.connections += 1;
        Connection { recording: self.clone(), number: state.connections, is_open: false }
    }

    /// Waits until a line can't be written.
    pub(crate) async fn failed(&self) -> io::Error {
        loop {
            self.failed.notified().await;
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(error) = state.error.take() {
                return error;
            }
        }
    }

    /// How many frames and connections there are.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (state.frames, state.connections)
    }

    fn write(&self, connection: u64, what: What) {
        let is_frame = matches!(what, What::Frame(..));
        // Microseconds are exact in a float for centuries.
        let at = (self.began.elapsed().as_secs_f64() * 1e6).round() / 1e6;
        let entry = Entry { line: 0, connection: connection.to_string(), at: Some(at), what };
        let line = entry.to_line();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match state.out.write_all(line.as_bytes()).and_then(|()| state.out.flush()) {
            Ok(()) => state.frames += u64::from(is_frame),
            Err(error) => {
                state.error = Some(error);
                self.failed.notify_one();
            }
        }
    }
}

/// A connection that is recorded. If it is dropped while it is open, the recording has ended.
pub(crate) struct Connection {
    recording: Arc<Recording>,
    pub(crate) number: u64,
    is_open: bool,
}

impl Connection {
    pub(crate) fn opened(&mut self) {
        self.is_open = true;
        self.recording.write(self.number, What::Opened);
    }

    pub(crate) fn refused(&self, status: u16) {
        self.recording.write(self.number, What::Refused { status });
    }

    pub(crate) fn frame(&self, direction: Direction, text: &str) {
        let text = self.recording.redaction.apply(text).into_owned();
        self.recording.write(self.number, What::Frame(direction, text));
    }

    pub(crate) fn closed(&mut self, by: Side, code: Option<u16>) {
        self.is_open = false;
        self.recording.write(self.number, What::Closed { by, code });
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.is_open {
            self.closed(Side::Recorder, None);
        }
    }
}
