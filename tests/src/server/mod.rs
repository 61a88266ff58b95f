//! The real server: starts it, stops it in various ways, and reads what it received.
//!
//! This module owns the process and its data folder. `tests/server/` has the server's code, and
//! `environment.rs` makes its Python environment. The API blocks, so it works on any runtime.

mod environment;
mod error;
mod http;
mod journal;
mod port;
mod process;

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use rustix::process::Signal;

pub use self::error::StartError;
pub use self::http::{Response, post};
pub use self::journal::{Entry, Journal};
use self::port::Port;
use self::process::Process;

/// A server with a fresh database. Dropping it kills it and removes its data.
///
/// ```no_run
/// use dcrf_tests::server::Server;
///
/// let mut server = Server::start()?;
/// let url = server.url("/ws/");
/// // … connect to the url, send …
/// server.kill()?;
/// assert_eq!(server.journal().payloads("tasks").count(), 1);
/// server.restart()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Server {
    builder: Builder,
    port: Port,
    // Before `data`: fields drop in order, and the process uses the folder.
    process: Option<Process>,
    data: Arc<DataFolder>,
}

/// Which of the two ASGI servers runs the application.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// Daphne, the server of the Channels project.
    #[default]
    Daphne,
    /// Uvicorn, which closes and rejects connections differently.
    Uvicorn,
}

/// The options of a [`Server`].
#[derive(Debug, Clone, Default)]
pub struct Builder {
    kind: Kind,
    listens_on_unix_socket: bool,
    environment: Vec<(String, String)>,
}

impl Server {
    /// Starts Daphne on a free port of 127.0.0.1 and returns when it accepts connections.
    ///
    /// The first start on a machine installs the Python packages, which takes a minute; later
    /// starts take about a second.
    ///
    /// # Errors
    ///
    /// [`StartError`], which says what to install.
    pub fn start() -> Result<Self, StartError> {
        Self::builder().start()
    }

    /// Options for a server.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The server shared by the tests of this process, for tests that leave it running.
    ///
    /// It ends with the process, and its data is removed. Tests that share it see each other's
    /// rows, so each uses rows that it created.
    ///
    /// # Panics
    ///
    /// If the server does not start.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Server> = OnceLock::new();
        SHARED.get_or_init(|| Self::start().unwrap_or_else(|error| panic!("{error}")))
    }

    /// Starts another worker of the same kind on a port of its own, with the same database.
    ///
    /// Workers exchange events only through [Redis](Builder::redis).
    ///
    /// # Errors
    ///
    /// [`StartError`], as from [`Server::start`].
    pub fn start_another(&self) -> Result<Self, StartError> {
        self.builder.clone().start_in(environment::command()?, Arc::clone(&self.data))
    }

    /// The WebSocket URL of a path, such as `/ws/`; restarts keep it.
    pub fn url(&self, path: &str) -> String {
        format!("ws://{}{path}", self.address())
    }

    /// The server's address, also while it is down.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// The path of the [Unix socket](Builder::unix_socket); restarts keep it.
    pub fn unix_socket(&self) -> PathBuf {
        unix_socket(self.data.path())
    }

    /// Everything that the server has received, across restarts.
    ///
    /// # Panics
    ///
    /// If the journal can't be read.
    pub fn journal(&self) -> Journal {
        let path = self.data.path().join("journal.jsonl");
        let text = fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("could not read {}: {error}", path.display()));
        Journal::parse(&text)
    }

    /// The server's log, across restarts.
    ///
    /// # Panics
    ///
    /// If the log can't be read.
    pub fn log(&self) -> String {
        let path = log_path(self.data.path());
        fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("could not read {}: {error}", path.display()))
    }

    /// Kills the server (SIGKILL): connections drop without a closing handshake.
    ///
    /// Returns the exit status, or `None` if the server was not running.
    ///
    /// # Errors
    ///
    /// If the signal or the wait fails.
    pub fn kill(&mut self) -> io::Result<Option<ExitStatus>> {
        self.process.take().map(Process::kill).transpose()
    }

    /// Shuts the server down (SIGTERM), or kills it after 5 seconds.
    ///
    /// Returns the exit status, or `None` if the server was not running.
    ///
    /// # Errors
    ///
    /// If the signal or the wait fails.
    pub fn terminate(&mut self) -> io::Result<Option<ExitStatus>> {
        self.process.take().map(Process::terminate).transpose()
    }

    /// Starts the server again on the same port and data; kills it first if it runs.
    ///
    /// # Errors
    ///
    /// [`StartError`], as from [`Server::start`].
    pub fn restart(&mut self) -> Result<(), StartError> {
        self.kill().map_err(|source| StartError::io("stop the test server", source))?;
        let command = environment::command()?;
        self.process = Some(self.builder.spawn(command, self.address(), self.data.path())?);
        Ok(())
    }

    /// Freezes the server (SIGSTOP) with its connections open.
    ///
    /// # Errors
    ///
    /// If the server is not running or the signal fails.
    pub fn pause(&self) -> io::Result<()> {
        self.signal(Signal::STOP)
    }

    /// Continues a frozen server (SIGCONT).
    ///
    /// # Errors
    ///
    /// If the server is not running or the signal fails.
    pub fn resume(&self) -> io::Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        match &self.process {
            Some(process) => process.signal(signal),
            None => Err(io::Error::other("the test server is not running")),
        }
    }
}

impl Builder {
    /// The ASGI server; Daphne by default.
    #[must_use]
    pub fn kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// Makes Daphne listen on a [Unix socket](Server::unix_socket) too.
    #[must_use]
    pub fn unix_socket(mut self) -> Self {
        self.listens_on_unix_socket = true;
        self
    }

    /// Sends events through the Redis at this URL instead of the process's own memory.
    #[must_use]
    pub fn redis(self, url: impl Into<String>) -> Self {
        self.env("DCRF_TEST_REDIS_URL", url)
    }

    /// Sets an environment variable of the server.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Starts the server on a free port of 127.0.0.1 and returns when it accepts connections.
    ///
    /// # Errors
    ///
    /// [`StartError`], which says what to install.
    pub fn start(self) -> Result<Server, StartError> {
        // First, because making the environment can take long or fail.
        let command = environment::command()?;
        let data = DataFolder::new()
            .map_err(|source| StartError::io("make a folder for the test server's data", source))?;
        self.start_in(command, Arc::new(data))
    }

    fn start_in(self, command: Command, data: Arc<DataFolder>) -> Result<Server, StartError> {
        let port = Port::reserve()
            .map_err(|source| StartError::io("reserve a port for the test server", source))?;
        let process = self.spawn(command, port.address(), data.path())?;
        Ok(Server { builder: self, port, process: Some(process), data })
    }

    fn spawn(
        &self,
        mut command: Command,
        address: SocketAddr,
        data: &Path,
    ) -> Result<Process, StartError> {
        command
            .args(["--host", &address.ip().to_string()])
            .args(["--port", &address.port().to_string()])
            .args(["--server", self.kind.name()])
            .env("DCRF_TEST_DATA", data)
            .env("DCRF_TEST_DISPOSABLE", "1")
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        if self.listens_on_unix_socket {
            command.arg("--uds").arg(unix_socket(data));
        }
        Process::spawn(command, &log_path(data))
    }
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Daphne => "daphne",
            Self::Uvicorn => "uvicorn",
        }
    }
}

fn log_path(data: &Path) -> PathBuf {
    data.join("server.log")
}

fn unix_socket(data: &Path) -> PathBuf {
    data.join("server.sock")
}

/// A folder that is removed when its server is dropped.
///
/// If the test process is killed or the server is the shared one, nothing is dropped, and the
/// server removes the folder itself (`DCRF_TEST_DISPOSABLE`).
#[derive(Debug)]
struct DataFolder(PathBuf);

impl DataFolder {
    fn new() -> io::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!("dcrf-tests-{}-{number}", std::process::id());
            let path = std::env::temp_dir().join(name);
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Self(path)),
                // Left over from an earlier process with the same id.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for DataFolder {
    fn drop(&mut self) {
        // A folder that can't be removed stays in the temporary folder.
        let _ = fs::remove_dir_all(&self.0);
    }
}
