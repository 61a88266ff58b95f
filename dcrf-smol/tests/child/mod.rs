//! Runs a test in a child process with few file descriptors, against a server in this one.

use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;
use std::{env, iter, thread};

/// Holds the URL of the server, in the child.
const URL: &str = "DCRF_TEST_URL";

/// In the child, runs `test` with the URL of a server. Otherwise runs the test named `name` in a child with 64
/// descriptors, and serves each connection with `serve`. A child that hangs is killed after a minute.
pub(crate) fn in_child(name: &str, serve: fn(TcpStream), test: fn(&str)) {
    if let Ok(url) = env::var(URL) {
        return test(&url);
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/ws/", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || serve(stream.unwrap()));
        }
    });
    let mut child = Command::new("sh")
        .args(["-c", "ulimit -n 64; exec \"$@\"", "sh"])
        .arg(env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env(URL, url)
        .spawn()
        .unwrap();
    for _ in 0..600 {
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{status}");
            return;
        }
        thread::sleep(Duration::from_millis(100));
    }
    child.kill().unwrap();
    panic!("the child hangs");
}

/// Opens files until the process has no descriptor left.
pub(crate) fn all_descriptors() -> Vec<File> {
    iter::from_fn(|| File::open("/dev/null").ok()).collect()
}
