//! `dcrf` in a pseudo-terminal, and its screen.

use std::io::{Read as _, Write as _};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

use crate::command::Dcrf;

/// The time in which the screen must show something, on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

pub(crate) struct Screen {
    process: Box<dyn Child + Send + Sync>,
    keyboard: Box<dyn std::io::Write + Send>,
    output: Receiver<Vec<u8>>,
    parser: vt100::Parser,
    received: Vec<u8>,
    master: Box<dyn MasterPty + Send>,
}

impl Screen {
    /// Starts the command on a screen of this size, with more environment variables.
    pub(crate) fn start(
        dcrf: &Dcrf,
        arguments: &[&str],
        (cols, rows): (u16, u16),
        environment: &[(&str, &str)],
    ) -> Self {
        let size = PtySize { rows, cols, ..PtySize::default() };
        let pair = native_pty_system().openpty(size).unwrap();
        let plain = dcrf.command(arguments);
        let mut command = CommandBuilder::new(plain.get_program());
        command.args(plain.get_args());
        command.cwd(dcrf.folder.path());
        for (name, value) in plain.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            }
        }
        command.env("TERM", "xterm-256color");
        for (name, value) in environment {
            command.env(name, value);
        }
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
        let parser = vt100::Parser::new(rows, cols, 0);
        Self { process, keyboard, output, parser, received: Vec::new(), master: pair.master }
    }

    pub(crate) fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
        self.keyboard.flush().unwrap();
    }

    pub(crate) fn resize(&mut self, cols: u16, rows: u16) {
        self.parser.screen_mut().set_size(rows, cols);
        self.master.resize(PtySize { rows, cols, ..PtySize::default() }).unwrap();
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.process.process_id().unwrap()).unwrap()
    }

    pub(crate) fn state(&self) -> &vt100::Screen {
        self.parser.screen()
    }

    fn process_output(&mut self, bytes: &[u8]) {
        self.parser.process(bytes);
        self.received.extend_from_slice(bytes);
    }

    /// All bytes that the terminal has received.
    pub(crate) fn received(&self) -> &[u8] {
        &self.received
    }

    /// Waits until the screen passes `condition`.
    #[track_caller]
    pub(crate) fn expect(&mut self, what: &str, condition: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + LIMIT;
        while !condition(&self.parser.screen().contents()) {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(bytes) = self.output.recv_timeout(left) else {
                panic!("not on the screen: {what}\n{}", self.parser.screen().contents());
            };
            self.process_output(&bytes);
        }
    }

    /// Waits until the screen shows all of these texts.
    #[track_caller]
    pub(crate) fn expect_text(&mut self, texts: &[&str]) {
        self.expect(&texts.join(", "), |screen| texts.iter().all(|text| screen.contains(text)));
    }

    /// Waits for the end of the command, and returns its exit code. The screen is as the command has left it.
    pub(crate) fn wait(&mut self) -> u32 {
        let deadline = Instant::now() + LIMIT;
        // The output ends with the command.
        while let Ok(bytes) =
            self.output.recv_timeout(deadline.saturating_duration_since(Instant::now()))
        {
            self.process_output(&bytes);
        }
        assert!(Instant::now() < deadline, "the command does not end");
        self.process.wait().unwrap().exit_code()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Ends the command if the test has failed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
