//! A program in a pseudo-terminal, and its screen.

use std::io::{Read, Write};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Instant;

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

use crate::LIMIT;

pub(crate) struct Terminal {
    process: Box<dyn Child + Send + Sync>,
    keyboard: Box<dyn Write + Send>,
    output: Receiver<Vec<u8>>,
    parser: vt100::Parser,
    /// The terminal closes if this is dropped.
    _master: Box<dyn MasterPty + Send>,
}

impl Terminal {
    pub(crate) fn start(program: &str, arguments: &[&str]) -> Self {
        let size = PtySize { rows: 24, cols: 100, ..PtySize::default() };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(program);
        command.args(arguments);
        command.env("TERM", "xterm");
        let process = pair.slave.spawn_command(command).unwrap();
        let mut reader = pair.master.try_clone_reader().unwrap();
        let (sender, output) = mpsc::channel();
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                if sender.send(bytes[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        let keyboard = pair.master.take_writer().unwrap();
        let parser = vt100::Parser::new(size.rows, size.cols, 0);
        Self { process, keyboard, output, parser, _master: pair.master }
    }

    pub(crate) fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
        self.keyboard.flush().unwrap();
    }

    /// Waits until the screen passes `condition`.
    pub(crate) fn expect(&mut self, what: &str, condition: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + LIMIT;
        while !condition(&self.parser.screen().contents()) {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(bytes) = self.output.recv_timeout(left) else {
                panic!("not on the screen: {what}\n{}", self.parser.screen().contents());
            };
            self.parser.process(&bytes);
        }
    }

    pub(crate) fn expect_text(&mut self, text: &str) {
        self.expect(text, |screen| screen.contains(text));
    }

    /// Waits for the end of the program, and returns whether it was successful.
    pub(crate) fn wait(mut self) -> bool {
        let deadline = Instant::now() + LIMIT;
        // The output ends with the program.
        while self.output.recv_timeout(deadline.saturating_duration_since(Instant::now())).is_ok() {
        }
        assert!(Instant::now() < deadline, "the program does not end");
        self.process.wait().unwrap().success()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Ends the program if the test has failed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
