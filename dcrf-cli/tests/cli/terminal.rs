//! What a terminal shows.

use std::fs;

use dcrf_tests::server::Server;
use dcrf_tests::terminal::Terminal;

use crate::command::Dcrf;

const SIZE: (u16, u16) = (100, 24);

fn dcrf() -> Dcrf {
    Dcrf::at(&Server::shared().url("/ws/"))
}

/// Runs the command to its end. What it has written to the terminal is on the screen.
fn run(
    dcrf: &Dcrf,
    arguments: &[&str],
    size: (u16, u16),
    environment: &[(&str, &str)],
) -> (u32, Terminal) {
    let mut screen = dcrf.start_in_terminal(arguments, size, environment);
    let code = screen.wait();
    (code, screen)
}

#[test]
fn list_is_a_table_that_fits() {
    let dcrf = dcrf();
    let (code, screen) = run(&dcrf, &["list", "row_pages", "limit:=2", "-q"], SIZE, &[]);
    assert_eq!(
        (code, screen.screen().contents().trim_end()),
        (0, "ID  LABEL\n1   row 1\n2   row 2")
    );
    let long = "x".repeat(50);
    dcrf.run(&["create", "tasks", &format!("title={long}"), "priority:=78"]).assert_code(0);
    for size in [(40, 10), (20, 5), (4, 4)] {
        assert_eq!(run(&dcrf, &["list", "tasks"], size, &[]).0, 0);
    }
}

#[test]
fn colors_respect_no_color_and_dumb_terminals() {
    let dcrf = dcrf();
    let arguments = ["get", "tasks", "99999"];
    let color = |environment: &[(&str, &str)]| {
        let (code, screen) = run(&dcrf, &arguments, SIZE, environment);
        assert_eq!(code, 1);
        assert!(screen.screen().contents().starts_with("error: the server replied"));
        screen.screen().cell(0, 0).unwrap().fgcolor()
    };
    assert_eq!(color(&[]), vt100::Color::Idx(1));
    assert_eq!(color(&[("NO_COLOR", "1")]), vt100::Color::Default);
    assert_eq!(color(&[("TERM", "dumb")]), vt100::Color::Default);
    assert_eq!(color(&[("TERM", "dumb"), ("CI", "true")]), vt100::Color::Default);
}

#[test]
fn import_has_a_progress_bar_unless_the_terminal_is_dumb() {
    let dcrf = dcrf();
    let lines = "{\"title\": \"bar\"}\n".repeat(300);
    fs::write(dcrf.folder.path().join("tasks.jsonl"), lines).unwrap();
    let arguments = ["create", "tasks", "@tasks.jsonl", "-o", "raw"];
    let mut screen = dcrf.start_in_terminal(&arguments, SIZE, &[]);
    screen.expect("the account on the way", |screen| {
        screen.contains(" done, 0 refused, 0 unsure  [")
    });
    assert_eq!(screen.wait(), 0);
    assert!(screen.screen().contents().contains("300 done, 0 refused, 0 unsure"));

    let mut dumb = dcrf.start_in_terminal(&arguments, SIZE, &[("TERM", "dumb")]);
    assert_eq!(dumb.wait(), 0);
    assert!(!dumb.received().contains(&0x1b), "a dumb terminal got an escape sequence");
}

#[test]
fn password_is_asked_for_without_echo() {
    let server = Server::shared();
    let dcrf = Dcrf::at("");
    dcrf.run(&["context", "add", "local", &server.url("/ws/authenticated/")]).assert_code(0);
    let mut screen = dcrf.start_in_terminal(&["login", "alice"], SIZE, &[]);
    screen.expect_text(&["Password of alice: "]);
    screen.press("wonderland\r");
    assert_eq!(screen.wait(), 0);
    let shown = screen.screen().contents();
    assert!(shown.contains("signed in") && !shown.contains("wonderland"), "{shown}");
}

#[test]
fn watch_colors_changes_and_ends_with_the_keyboard() {
    let dcrf = dcrf();
    let key = dcrf.run(&["create", "tasks", "title=seen"]).json_lines()[0]["pk"].to_string();
    let mut screen = dcrf.start_in_terminal(&["watch", "tasks", &key], SIZE, &[]);
    screen.expect_text(&["snapshot  1 object", "seen"]);
    dcrf.run(&["patch", "tasks", &key, "title=\u{1b}[2Jchanged"]).assert_code(0);
    screen.expect_text(&["update", r"title=\u{1b}[2Jchanged"]);
    screen.press("\u{3}");
    assert_ne!(screen.wait(), 0);
}
