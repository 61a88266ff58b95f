//! A program in a pseudo-terminal, and its screen.
#![expect(clippy::missing_panics_doc, reason = "only tests use it")]

use std::io::{Read as _, Write};
use std::process::Command;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

/// The time in which the screen must show something, on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// A program in a pseudo-terminal. It is killed when this is dropped.
pub struct Terminal {
    process: Box<dyn Child + Send + Sync>,
    keyboard: Box<dyn Write + Send>,
    output: Receiver<Vec<u8>>,
    parser: vt100::Parser,
    received: Vec<u8>,
    master: Box<dyn MasterPty + Send>,
}

impl Terminal {
    /// Starts the program, with its arguments, environment and folder, on a screen of this many columns and rows. `TERM` is
    /// `xterm-256color`, unless the command sets it.
    pub fn start(command: &Command, (cols, rows): (u16, u16)) -> Self {
        let size = PtySize { rows, cols, ..PtySize::default() };
        let pair = native_pty_system().openpty(size).unwrap();
        let process = pair.slave.spawn_command(in_terminal(command)).unwrap();
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

    /// Types these characters.
    pub fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
        self.keyboard.flush().unwrap();
    }

    /// Changes the size of the screen.
    pub fn resize(&mut self, cols: u16, rows: u16) {
        self.parser.screen_mut().set_size(rows, cols);
        self.master.resize(PtySize { rows, cols, ..PtySize::default() }).unwrap();
    }

    /// The id of the process.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.process.process_id().unwrap()).unwrap()
    }

    /// What the screen shows, with its colors and cursor.
    pub fn screen(&self) -> &vt100::Screen {
        self.parser.screen()
    }

    /// All bytes that the terminal has received.
    pub fn received(&self) -> &[u8] {
        &self.received
    }

    fn receive(&mut self, bytes: &[u8]) {
        self.parser.process(bytes);
        self.received.extend_from_slice(bytes);
    }

    /// Waits until the screen passes `condition`.
    #[track_caller]
    pub fn expect(&mut self, what: &str, condition: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + LIMIT;
        while !condition(&self.parser.screen().contents()) {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(bytes) = self.output.recv_timeout(left) else {
                panic!("not on the screen: {what}\n{}", self.parser.screen().contents());
            };
            self.receive(&bytes);
        }
    }

    /// Waits until the screen shows all of these texts.
    #[track_caller]
    pub fn expect_text(&mut self, texts: &[&str]) {
        self.expect(&texts.join(", "), |screen| texts.iter().all(|text| screen.contains(text)));
    }

    /// Waits for the end of the program, and returns its exit code. The screen is as the program has left it.
    pub fn wait(&mut self) -> u32 {
        let deadline = Instant::now() + LIMIT;
        // The output ends with the program.
        while let Ok(bytes) =
            self.output.recv_timeout(deadline.saturating_duration_since(Instant::now()))
        {
            self.receive(&bytes);
        }
        assert!(Instant::now() < deadline, "the program does not end");
        self.process.wait().unwrap().exit_code()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Ends the program if the test has failed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The same command, for a terminal.
fn in_terminal(command: &Command) -> CommandBuilder {
    let mut builder = CommandBuilder::new(command.get_program());
    builder.args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        builder.cwd(folder);
    }
    builder.env("TERM", "xterm-256color");
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => builder.env(name, value),
            None => builder.env_remove(name),
        }
    }
    builder
}
