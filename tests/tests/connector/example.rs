//! An example that runs as a process, and its output.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use crate::LIMIT;

pub(crate) struct Example {
    process: Child,
    stdin: Option<ChildStdin>,
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
        let stdout = BufReader::new(process.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        let mut stderr = process.stderr.take().unwrap();
        let (sender, errors) = mpsc::channel();
        thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).unwrap();
            sender.send(text)
        });
        Self { stdin: process.stdin.take(), process, lines, errors }
    }

    /// Waits for a line that contains `text`.
    pub(crate) fn expect_line(&self, text: &str) {
        loop {
            let line = self
                .lines
                .recv_timeout(LIMIT)
                .unwrap_or_else(|_| panic!("{text:?} is not printed"));
            if line.contains(text) {
                return;
            }
        }
    }

    /// Closes its standard input, which ends the proxy example.
    pub(crate) fn stop(&mut self) {
        drop(self.stdin.take());
    }

    /// Waits for the end, and returns the exit status and the standard error.
    pub(crate) fn wait(mut self) -> (Option<i32>, String) {
        let errors = self.errors.recv_timeout(LIMIT).expect("the example ends");
        (self.process.wait().unwrap().code(), errors)
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        // Ends the process if the test has failed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
