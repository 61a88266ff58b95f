//! One run of the server process, from its first line on stdout to its exit status.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::error::StartError;

/// The timeout of a start, which takes several seconds on a loaded machine.
const START_LIMIT: Duration = Duration::from_secs(60);

/// The timeout of a shutdown before the server is killed. Daphne sometimes hangs if a request was
/// being processed.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(5);

/// The start of the server's first line.
const ANNOUNCEMENT: &str = "listening on ";

/// A running server; dropping it kills it.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    /// The server exits when this closes. `Child::wait` would close it and cut a regular shutdown
    /// short, so it is kept apart from `child`.
    _stdin: ChildStdin,
}

impl Process {
    /// Starts the command and waits until it announces that it listens.
    pub(super) fn spawn(mut command: Command, log: &Path) -> Result<Self, StartError> {
        let failed = |source| StartError::io("start the test server", source);
        let log_file = File::options().create(true).append(true).open(log).map_err(failed)?;
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log_file)
            // Ctrl-C must not reach the server, which cleans up after the tests end.
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            unreachable!("both are pipes");
        };
        let process = Self { child, _stdin: stdin };
        process.wait_until_listening(&first_line(stdout), log)
    }

    pub(super) fn signal(&self, signal: Signal) -> io::Result<()> {
        // The process has not been waited for, so its id can't be reused.
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }

    pub(super) fn kill(mut self) -> io::Result<ExitStatus> {
        self.child.kill()?;
        self.child.wait()
    }

    pub(super) fn terminate(mut self) -> io::Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        // A frozen process gets SIGTERM only when it continues.
        self.signal(Signal::CONT)?;
        let deadline = Instant::now() + SHUTDOWN_LIMIT;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            thread::sleep(Duration::from_millis(5));
        }
        self.kill()
    }

    fn wait_until_listening(
        mut self,
        first_line: &Receiver<String>,
        log: &Path,
    ) -> Result<Self, StartError> {
        match first_line.recv_timeout(START_LIMIT) {
            Ok(line) if line.starts_with(ANNOUNCEMENT) => Ok(self),
            Ok(line) => Err(StartError::Announcement { line }),
            Err(RecvTimeoutError::Disconnected) => {
                let status = self
                    .child
                    .wait()
                    .map_err(|source| StartError::io("wait for the test server", source))?;
                let log = tail(log);
                Err(StartError::Exited { status, log })
            }
            Err(RecvTimeoutError::Timeout) => Err(StartError::TimedOut { log: tail(log) }),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only if the process has already been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends the first line of the output; the channel closes without one if the output ends first.
fn first_line(stdout: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut stdout = BufReader::new(stdout);
        let mut line = String::new();
        if stdout.read_line(&mut line).is_ok_and(|length| length > 0) {
            // The receiver is gone if the start timed out.
            let _ = sender.send(line);
        }
        drop(sender);
        // Keep reading, so that the server does not die of a closed pipe.
        let _ = io::copy(&mut stdout, &mut io::sink());
    });
    receiver
}

/// The last lines of the log, for an error message.
fn tail(log: &Path) -> String {
    const LINES: usize = 20;
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}
