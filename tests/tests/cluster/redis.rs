//! Redis for the channel layer.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The time in which a daemon must accept connections.
const START_LIMIT: Duration = Duration::from_secs(10);

/// Dropping it stops Redis, which saves nothing.
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

/// A server process. Dropping it stops the process.
pub(crate) struct Daemon(Child);

impl Daemon {
    /// Starts the process, and waits until it accepts connections.
    ///
    /// # Panics
    ///
    /// If it is not installed, or does not accept connections in time.
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
        // Not SIGKILL: nginx's master must stop its workers.
        let pid = rustix::process::Pid::from_child(&self.0);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.0.wait();
    }
}

/// A local address that is free now.
pub(crate) fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap()
}
