//! Runs `dcrf`, with a configuration of its own.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use dcrf_tests::terminal::Terminal;
use serde_json::Value;
use tempfile::TempDir;

/// `dcrf` for one server. Its folder is its home, where its configuration is.
pub(crate) struct Dcrf {
    pub(crate) folder: TempDir,
    url: String,
}

/// What a run has printed.
#[derive(Debug)]
pub(crate) struct Printed {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) code: i32,
}

impl Dcrf {
    /// For the server at this URL. An empty one is left to a context.
    pub(crate) fn at(url: &str) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), url: url.to_owned() }
    }

    /// The command, without the environment's own options.
    pub(crate) fn command(&self, arguments: &[impl AsRef<OsStr>]) -> Command {
        let mut command = self.command_of(env!("CARGO_BIN_EXE_dcrf"), arguments);
        if !self.url.is_empty() {
            command.env("DCRF_URL", &self.url);
        }
        command
    }

    /// Any program, which finds `dcrf`.
    pub(crate) fn command_of(&self, program: &str, arguments: &[impl AsRef<OsStr>]) -> Command {
        let mut command = Command::new(program);
        let folder = Path::new(env!("CARGO_BIN_EXE_dcrf")).parent().unwrap();
        let path = std::env::var("PATH").unwrap();
        command
            .env("PATH", format!("{}:{path}", folder.display()))
            .env_remove("DCRF_URL")
            .args(arguments)
            .current_dir(self.folder.path())
            .env("HOME", self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for name in [
            "DCRF_CONFIG",
            "DCRF_CONTEXT",
            "DCRF_OUTPUT",
            "XDG_CONFIG_HOME",
            "NO_COLOR",
            "CLICOLOR_FORCE",
            "CI",
        ] {
            command.env_remove(name);
        }
        command
    }

    pub(crate) fn spawn(&self, arguments: &[impl AsRef<OsStr>]) -> Child {
        self.command(arguments).spawn().unwrap()
    }

    /// Starts the command on a screen of this size, with more environment variables.
    pub(crate) fn start_in_terminal(
        &self,
        arguments: &[&str],
        size: (u16, u16),
        environment: &[(&str, &str)],
    ) -> Terminal {
        Terminal::start(self.command(arguments).envs(environment.iter().copied()), size)
    }

    pub(crate) fn run(&self, arguments: &[impl AsRef<OsStr>]) -> Printed {
        Printed::of(self.spawn(arguments))
    }

    /// Runs the command with this standard input.
    pub(crate) fn run_with_input(&self, arguments: &[impl AsRef<OsStr>], input: &str) -> Printed {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_owned();
        let writing = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
        let printed = Printed::of(child);
        // The command may end without having read all of it.
        let _ = writing.join().unwrap();
        printed
    }
}

impl Printed {
    /// Waits for the command.
    pub(crate) fn of(child: Child) -> Self {
        let output = child.wait_with_output().unwrap();
        Self {
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            code: output.status.code().unwrap_or(-1),
        }
    }

    /// The lines of standard output as JSON, of a command that has succeeded.
    #[track_caller]
    pub(crate) fn json_lines(&self) -> Vec<Value> {
        self.assert_code(0);
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[track_caller]
    pub(crate) fn assert_code(&self, code: i32) {
        assert_eq!(self.code, code, "{}{}", self.stdout, self.stderr);
    }

    /// The command has failed with this code, printed no data, and said one thing.
    #[track_caller]
    pub(crate) fn assert_failed(&self, code: i32, message: &str) {
        self.assert_code(code);
        assert_eq!(self.stdout, "");
        assert!(self.stderr.contains(message), "{}", self.stderr);
    }
}
