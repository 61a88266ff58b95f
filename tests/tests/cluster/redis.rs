//! The Redis of the channel layer.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long a daemon may take to accept connections.
const START_LIMIT: Duration = Duration::from_secs(10);

/// Dropping it ends it; nothing of it is kept.
pub(crate) struct Redis {
    address: SocketAddr,
    _daemon: Daemon,
}

impl Redis {
    pub(crate) fn start() -> Self {
        let address = free_address();
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &address.port().to_string()]);
        command.args(["--save", "", "--appendonly", "no", "--daemonize", "no"]);
        Self { address, _daemon: Daemon::start(command, address) }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}/0", self.address)
    }
}

/// A process that serves at an address until it is dropped.
pub(crate) struct Daemon(Child);

impl Daemon {
    /// # Panics
    ///
    /// When it is not installed, or does not accept connections in time.
    pub(crate) fn start(mut command: Command, address: SocketAddr) -> Self {
        let name = command.get_program().to_owned();
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        let daemon = Self(spawned.unwrap_or_else(|error| {
            panic!("{}: {error}; `.ci/cluster` installs it", name.display())
        }));
        let deadline = Instant::now() + START_LIMIT;
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < deadline, "{} does not listen", name.display());
            thread::sleep(Duration::from_millis(5));
        }
        daemon
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // nginx's workers end with its master only when that is asked to end.
        let pid = rustix::process::Pid::from_child(&self.0);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.0.wait();
    }
}

/// An address that was free a moment ago.
pub(crate) fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap()
}
