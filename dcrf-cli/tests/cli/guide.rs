//! The session in the guide, with the same output on a fresh server.

use std::fs;
use std::path::Path;

use dcrf_tests::server::Server;

use crate::command::{Dcrf, Printed};

const PAGE: &str = "../dcrf-tokio/src/guide/command_line.rs";

/// Commands after `$ `, each with the output that follows it.
fn session(page: &str) -> Vec<(String, String)> {
    let mut session: Vec<(String, String)> = Vec::new();
    let mut is_console = false;
    for line in page.lines() {
        let line = line.strip_prefix("//!").unwrap_or(line);
        let line = line.strip_prefix(' ').unwrap_or(line);
        if line.starts_with("```") {
            is_console = line == "```console";
        } else if let Some(command) = line.strip_prefix("$ ").filter(|_| is_console) {
            session.push((command.to_owned(), String::new()));
        } else if let Some((_, output)) = session.last_mut().filter(|_| is_console) {
            output.push_str(line);
            output.push('\n');
        }
    }
    session
}

#[test]
fn session_of_the_guide_is_true() {
    let server = Server::start().unwrap();
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE)).unwrap();
    let session = session(&page);
    assert!(session.len() >= 10, "{session:?}");
    let dcrf = Dcrf::at("");
    for (command, output) in session {
        let script = command.replace("localhost:8000", &server.address().to_string());
        let mut shell = dcrf.command_of("sh", &["-c", &format!("{{ {script}\n}} 2>&1")]);
        // On the reader's terminal a table is the default.
        let is_piped = script.contains(" | ") || script.contains(" > ");
        shell.env("DCRF_OUTPUT", if is_piped { "jsonl" } else { "table" });
        let printed = Printed::of(shell.spawn().unwrap());
        assert_eq!(printed.stdout, output, "$ {command}\n{}", printed.stderr);
    }
}
