//! One run of the server process: from its first line on stdout to its exit status.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::error::StartError;

/// How long a start may take; a loaded machine needs several seconds, and nothing needs this long.
const START_LIMIT: Duration = Duration::from_secs(60);

/// How long a server may take to shut down, until it is killed, as an operator's supervisor does. Daphne at times
/// does not end at all where a request was being answered.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(5);

/// What the server prints in front of its address when it accepts connections.
const ANNOUNCEMENT: &str = "listening on ";

/// A running server; dropping it kills it.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    /// The server exits when this closes, so it is kept apart from `child`, which would close it
    /// at the start of every wait and so cut a regular shutdown short.
    _stdin: ChildStdin,
}

impl Process {
    /// Starts the command and waits until it says where it listens.
    pub(super) fn spawn(
        mut command: Command,
        log: &Path,
    ) -> Result<(Self, SocketAddr), StartError> {
        let failed = |source| StartError::io("start the test server", source);
        let log_file = File::options().create(true).append(true).open(log).map_err(failed)?;
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log_file)
            // Ctrl-C is for the tests alone: the server sees them end, and then cleans up.
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            unreachable!("both were asked for as pipes");
        };
        let process = Self { child, _stdin: stdin };
        process.wait_until_listening(&first_line(stdout), log)
    }

    pub(super) fn signal(&self, signal: Signal) -> io::Result<()> {
        // The process has not been waited for, so its id cannot belong to another one yet.
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }

    pub(super) fn kill(mut self) -> io::Result<ExitStatus> {
        self.child.kill()?;
        self.child.wait()
    }

    pub(super) fn terminate(mut self) -> io::Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        // A paused process would see SIGTERM only when it goes on.
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
    ) -> Result<(Self, SocketAddr), StartError> {
        match first_line.recv_timeout(START_LIMIT) {
            Ok(line) => match line.trim_end().strip_prefix(ANNOUNCEMENT).map(str::parse) {
                Some(Ok(address)) => Ok((self, address)),
                _ => Err(StartError::Announcement { line }),
            },
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
        // Both fail only where the process has been waited for, which is what they are to achieve.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The first line of the output; the channel closes without one when the output ends first.
fn first_line(stdout: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut stdout = BufReader::new(stdout);
        let mut line = String::new();
        if stdout.read_line(&mut line).is_ok_and(|length| length > 0) {
            // Nobody listens any more after a start that timed out.
            let _ = sender.send(line);
        }
        drop(sender);
        // A server that prints more must not die of a closed pipe.
        let _ = io::copy(&mut stdout, &mut io::sink());
    });
    receiver
}

/// The end of the log, as much as helps in an error message.
fn tail(log: &Path) -> String {
    const LINES: usize = 20;
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}
