//! nginx in front of a server, with a configuration that is right or wrong.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Dropping it stops nginx.
pub(crate) struct Nginx {
    address: SocketAddr,
    process: Child,
    _folder: TempDir,
}

/// What makes a request a WebSocket for the server behind.
pub(crate) const UPGRADE: &str = "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; \
     proxy_set_header Connection upgrade; proxy_set_header Host $http_host;";

impl Nginx {
    /// With this content of its `server` block.
    pub(crate) fn start(server: &str) -> Self {
        Self::listening("", server)
    }

    /// With TLS.
    pub(crate) fn start_tls((certificate, key): &(String, String), server: &str) -> Self {
        let files = format!("ssl_certificate {certificate}; ssl_certificate_key {key};");
        Self::listening("ssl", &format!("{files} {server}"))
    }

    fn listening(options: &str, server: &str) -> Self {
        let address = free_address();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("nginx.conf");
        fs::write(&file, configuration(address, options, server)).unwrap();
        // Debian installs it in a folder that only root has in PATH.
        let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
        let mut command = Command::new("nginx");
        command.env("PATH", path).arg("-p").arg(folder.path()).arg("-c").arg(&file);
        command.args(["-e", "error.log"]).stdin(Stdio::null()).stdout(Stdio::null());
        let process = command
            .spawn()
            .unwrap_or_else(|error| panic!("nginx: {error}; `.ci/nginx` installs it"));
        let nginx = Self { address, process, _folder: folder };
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < deadline, "nginx does not listen");
            thread::sleep(Duration::from_millis(5));
        }
        nginx
    }

    /// The URL with TLS, for a certificate of `localhost`.
    pub(crate) fn tls_url(&self, path: &str) -> String {
        format!("wss://localhost:{}{path}", self.address.port())
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("ws://{}{path}", self.address)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // It is a single process, see `master_process`.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A local address on which nothing listens.
pub(crate) fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap()
}

fn configuration(address: SocketAddr, options: &str, server: &str) -> String {
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("    {name}_temp_path {name};\n"))
        .concat();
    format!(
        "daemon off;
master_process off;
pid nginx.pid;
error_log error.log;
events {{ worker_connections 64; }}
http {{
    access_log off;
{temporary}
    server {{
        listen {address} {options};
        {server}
    }}
}}
"
    )
}
