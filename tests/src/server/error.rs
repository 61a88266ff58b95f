//! Errors of a start, each with what to do about it.

use std::io;
use std::process::ExitStatus;

/// Why the test server could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// There is no Python interpreter of this name.
    #[error(
        "Python 3.11 or newer is needed for the test server, and {program} was not found: install \
         python3 and python3-venv (Debian: apt-get install python3 python3-venv), or name an \
         interpreter in DCRF_TEST_PYTHON"
    )]
    NoPython {
        /// The name that was tried.
        program: String,
    },
    /// The Python interpreter is too old for the server's packages.
    #[error(
        "Python 3.11 or newer is needed for the test server, and {program} is Python {version}: \
         install a newer one and name it in DCRF_TEST_PYTHON"
    )]
    OldPython {
        /// The interpreter.
        program: String,
        /// Its version.
        version: String,
    },
    /// The interpreter lacks the modules that make a virtual environment.
    #[error(
        "the test server needs Python's venv and ensurepip modules, which {program} lacks: install \
         python3-venv (Debian: apt-get install python3-venv)"
    )]
    NoVenv {
        /// The interpreter.
        program: String,
    },
    /// Making the virtual environment failed for another reason.
    #[error("{program} could not make a virtual environment for the test server: {reason}")]
    Venv {
        /// The interpreter.
        program: String,
        /// The last line of its output.
        reason: String,
    },
    /// The server's Python packages could not be installed.
    #[error(
        "pip could not install the test server's packages, for which it needs a network or a \
         mirror: {reason}"
    )]
    Pip {
        /// The last line of pip's output.
        reason: String,
    },
    /// The server ended before it accepted connections.
    #[error("the test server ended as it started ({status}), and its log ends with:\n{log}")]
    Exited {
        /// Its exit status.
        status: ExitStatus,
        /// The end of its log.
        log: String,
    },
    /// The server did not accept connections in time.
    #[error("the test server did not listen within a minute, and its log ends with:\n{log}")]
    TimedOut {
        /// The end of its log.
        log: String,
    },
    /// The server's first line was not its address.
    #[error("the test server printed {line:?} instead of its address")]
    Announcement {
        /// The line that it printed.
        line: String,
    },
    /// A file or a process could not be handled.
    #[error("could not {task}: {source}")]
    Io {
        /// The task that failed.
        task: &'static str,
        /// The system's error.
        source: io::Error,
    },
}

impl StartError {
    pub(super) fn io(task: &'static str, source: io::Error) -> Self {
        Self::Io { task, source }
    }
}
