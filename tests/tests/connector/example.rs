//! An example as a process, and what it writes.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use crate::SOON;

pub(crate) struct Example {
    process: Child,
    /// The one with the proxy runs until this is dropped.
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    errors: Receiver<String>,
}

impl Example {
    pub(crate) fn start(program: &str, arguments: &[&str]) -> Self {
        let mut process = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let (line, lines) = mpsc::channel();
        thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|a| line.send(a)));
        let mut stderr = process.stderr.take().unwrap();
        let (end, errors) = mpsc::channel();
        thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).unwrap();
            end.send(text)
        });
        Self { input: process.stdin.take(), process, lines, errors }
    }

    /// Waits for a line with this in it.
    pub(crate) fn prints(&self, wanted: &str) {
        loop {
            let line = self.lines.recv_timeout(SOON).unwrap_or_else(|_| panic!("no {wanted:?}"));
            if line.contains(wanted) {
                return;
            }
        }
    }

    /// Ends its input.
    pub(crate) fn stop(&mut self) {
        drop(self.input.take());
    }

    /// Its status and what it wrote to standard error, once it has ended.
    pub(crate) fn ends(mut self) -> (Option<i32>, String) {
        let errors = self.errors.recv_timeout(SOON).expect("it ends");
        (self.process.wait().unwrap().code(), errors)
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        // Where a test has failed; it has ended otherwise.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
