//! nginx in front of the workers, with the settings that the guide recommends (`dcrf-tokio/src/guide/deployment.rs`).

use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use crate::redis::{Daemon, free_address};

/// Dropping it stops nginx and removes its folder.
pub(crate) struct Nginx {
    address: SocketAddr,
    // Before the folder: fields drop in order, and nginx writes to the folder.
    _daemon: Daemon,
    _folder: Folder,
}

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Nginx {
    pub(crate) fn in_front_of(workers: &[SocketAddr]) -> Self {
        let address = free_address();
        let path = std::env::temp_dir().join(format!("dcrf-tests-nginx-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        let folder = Folder(path);
        let file = folder.0.join("nginx.conf");
        fs::write(&file, configuration(address, workers)).unwrap();
        let mut command = Command::new("nginx");
        command.arg("-p").arg(&folder.0).arg("-c").arg(&file);
        command.args(["-e", "error.log"]);
        Self { address, _daemon: Daemon::start(command, address), _folder: folder }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("ws://{}{path}", self.address)
    }
}

fn configuration(address: SocketAddr, workers: &[SocketAddr]) -> String {
    let mut servers = String::new();
    for worker in workers {
        // A failed worker is skipped only for that connection. nginx would otherwise skip it for 10 s, and with
        // restarts that can be all workers at once.
        writeln!(servers, "        server {worker} max_fails=0;").unwrap();
    }
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("    {name}_temp_path {name};\n"))
        .concat();
    format!(
        "daemon off;
pid nginx.pid;
error_log error.log;
events {{ worker_connections 4096; }}
http {{
    access_log off;
{temporary}
    map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
    upstream django {{
        least_conn;
{servers}    }}
    server {{
        listen {address};
        location / {{
            proxy_pass http://django;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_connect_timeout 2s;
            proxy_next_upstream error timeout;
            proxy_read_timeout 75s;
            proxy_buffering off;
        }}
    }}
}}
"
    )
}
