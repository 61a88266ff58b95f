//! The board in a terminal.

use std::process::Command;

use dcrf_tests::models::Task;
use dcrf_tests::server::Server;
use dcrf_tests::terminal::Terminal;
use serde_json::json;

use crate::outage;

const BOARD: &str = env!("CARGO_BIN_EXE_example-board");
const DOWN: &str = "\x1b[B";

fn start(server: &Server) -> (Terminal, dcrf_blocking::Resource<Task>) {
    let url = server.url("/ws/");
    let tasks = dcrf_blocking::connect(&url).unwrap().resource("tasks");
    let mut terminal = Terminal::start(Command::new(BOARD).arg(&url), (100, 24));
    terminal.expect_text(&["live | "]);
    (terminal, tasks)
}

#[test]
fn board_adds_renames_toggles_and_deletes() {
    let server = Server::start().unwrap();
    let (mut terminal, tasks) = start(&server);
    let last = tasks.create(&json!({"title": "zz last", "done": true})).unwrap();
    terminal.expect_text(&["[x] zz last"]);

    terminal.press("a!first\r");
    terminal.expect_text(&["[ ] !first"]);
    // The selected row keeps the selection, although another is above it now.
    terminal.press("\x1b[A ");
    terminal.expect_text(&["[x] !first"]);
    terminal.press("r\x7f\x7fe\r");
    terminal.expect_text(&["[x] !fire"]);
    assert!(tasks.list().unwrap().iter().any(|task| task.title == "!fire" && task.done));
    terminal.press("d");
    terminal.expect("no !fire", |screen| !screen.contains("!fire"));
    terminal.press(&DOWN.repeat(9));
    terminal.press(" ");
    terminal.expect_text(&["[ ] zz last"]);
    assert!(!tasks.retrieve(last.pk).unwrap().done);

    terminal.press("a\r");
    terminal.expect_text(&["title: This field may not be blank."]);
    terminal.press("q");
    assert_eq!(terminal.wait(), 0);
}

#[test]
fn board_survives_a_restart_of_the_server() {
    let mut server = Server::start().unwrap();
    let (mut terminal, tasks) = start(&server);
    let kept = tasks.create(&json!({"title": "kept"})).unwrap();
    let renamed = tasks.create(&json!({"title": "early"})).unwrap();
    let deleted = tasks.create(&json!({"title": "deleted"})).unwrap();
    terminal.expect_text(&["[ ] deleted"]);

    outage(&mut server, |other| {
        let other = other.resource::<Task>("tasks");
        other.patch(renamed.pk, &json!({"title": "late"})).unwrap();
        other.delete(deleted.pk).unwrap();
    });
    // The rows stay, out of date.
    terminal.expect("out of date", |screen| {
        ["out of date: ", "[ ] kept", "[ ] early", "[ ] deleted"]
            .iter()
            .all(|text| screen.contains(text))
    });
    // What is written meanwhile waits for the connection.
    terminal.press("aoffline\r");

    server.restart().unwrap();
    terminal.expect("live again", |screen| {
        ["live | ", "[ ] kept", "[ ] late", "[ ] offline"].iter().all(|text| screen.contains(text))
            && !screen.contains("early")
            && !screen.contains("deleted")
    });
    tasks.patch(kept.pk, &json!({"title": "followed"})).unwrap();
    terminal.expect_text(&["[ ] followed"]);
    terminal.press("q");
    assert_eq!(terminal.wait(), 0);
}
