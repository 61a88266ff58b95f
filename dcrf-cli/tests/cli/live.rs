//! `dcrf watch --live` in a terminal.

use dcrf_tests::server::Server;
use dcrf_tests::terminal::Terminal;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::command::Dcrf;

const LIVE: [&str; 3] = ["watch", "tasks", "--live"];
const SIZE: (u16, u16) = (100, 24);
const DOWN: &str = "\x1b[B";
const RIGHT: &str = "\x1b[C";

struct Table {
    server: Server,
    screen: Terminal,
    tasks: dcrf_blocking::Resource<Value>,
    _dcrf: Dcrf,
}

/// A table of the tasks of a new server, with these titles beside the server's own.
fn open(titles: &[&str], size: (u16, u16)) -> Table {
    let server = Server::start().unwrap();
    let tasks = dcrf_blocking::connect(&server.url("/ws/")).unwrap().resource("tasks");
    for (at, title) in titles.iter().enumerate() {
        tasks.create(&json!({"title": title, "priority": 9 + at})).unwrap();
    }
    let dcrf = Dcrf::at(&server.url("/ws/"));
    let screen = dcrf.start_in_terminal(&LIVE, size, &[]);
    Table { server, screen, tasks, _dcrf: dcrf }
}

/// The lines of the screen that contain one of the texts, in their order.
fn order(screen: &str, texts: &[&str]) -> Vec<String> {
    let found = screen.lines().filter_map(|line| texts.iter().find(|text| line.contains(*text)));
    found.map(|text| (*text).to_owned()).collect()
}

fn key(task: &Value) -> i64 {
    task["pk"].as_i64().unwrap()
}

#[test]
fn table_follows_the_server_and_is_restored() {
    let mut table = open(&["Paint"], SIZE);
    table.screen.expect_text(&["live", "connected", "PK", "TITLE", "DONE", "PRIORITY", "Paint"]);
    let task = table.tasks.create(&json!({"title": "日本 Mow", "priority": 3})).unwrap();
    table.screen.expect_text(&["日本 Mow"]);
    table.tasks.patch(key(&task), &json!({"title": "Sow"})).unwrap();
    table.screen.expect("Sow", |screen| screen.contains("Sow") && !screen.contains("Mow"));
    table.tasks.delete(key(&task)).unwrap();
    table.screen.expect("no Sow", |screen| !screen.contains("Sow"));
    assert!(table.screen.screen().alternate_screen());
    table.screen.press("q");
    assert_eq!(table.screen.wait(), 0);
    let state = table.screen.screen();
    assert!(!state.alternate_screen() && !state.hide_cursor());
    assert_eq!(state.contents(), "");
}

#[test]
fn rows_are_sorted_and_filtered() {
    let names = ["alpha-17", "beta-17", "gamma-17"];
    let mut table = open(&names, SIZE);
    table.screen.expect_text(&names);
    // By priority: 9, 10, 11.
    table.screen.press(&RIGHT.repeat(3));
    table.screen.press("S");
    let descending = ["gamma-17", "beta-17", "alpha-17"];
    table.screen.expect("descending", |screen| order(screen, &names) == descending);
    table.screen.expect_text(&["PRIORITY ▼"]);
    table.screen.press("s");
    table.screen.expect("ascending", |screen| order(screen, &names) == names);

    table.screen.press("/TA-17");
    table.screen.expect("one row", |screen| order(screen, &names) == ["beta-17"]);
    table.screen.expect_text(&["1 of ", "/ TA-17"]);
    table.tasks.create(&json!({"title": "zeta-17"})).unwrap();
    table.screen.expect_text(&["zeta-17", "2 of "]);
    table.screen.press("\r?");
    table.screen.expect_text(&["quit", "select a row"]);
    table.screen.press("?\x1b");
    table.screen.expect("all rows", |screen| order(screen, &names).len() == 3);
    // Ctrl-C.
    table.screen.press("\x03");
    assert_eq!(table.screen.wait(), 0);
}

#[test]
fn followed_row_shows_what_changes() {
    let mut table = open(&["followed"], SIZE);
    table.screen.expect_text(&["followed"]);
    let task = table.tasks.create(&json!({"title": "last", "priority": 1})).unwrap();
    table.screen.expect_text(&["last"]);
    table.screen.press(&DOWN.repeat(20));
    table.screen.press("f");
    table.screen.expect_text(&["title: last", &format!("pk: {}", key(&task))]);
    table.tasks.patch(key(&task), &json!({"priority": 77})).unwrap();
    table.screen.expect_text(&["* priority: 77", "  title: last"]);
    table.tasks.delete(key(&task)).unwrap();
    table.screen.expect_text(&["(deleted)", "title: last"]);
    table.screen.press("q");
    assert_eq!(table.screen.wait(), 0);
}

#[test]
fn table_survives_a_restart_of_the_server() {
    let mut table = open(&["kept", "early", "removed"], SIZE);
    table.screen.expect_text(&["live", "kept", "early", "removed"]);
    let rows = table.tasks.list().unwrap();
    let of = |title: &str| key(rows.iter().find(|task| task["title"] == title).unwrap());
    let other = table.server.start_another().unwrap();
    table.server.kill().unwrap();
    // The rows stay, out of date.
    table.screen.expect_text(&["out of date", "connecting", "kept", "early", "removed"]);
    let elsewhere = dcrf_blocking::connect(&other.url("/ws/")).unwrap().resource::<Value>("tasks");
    elsewhere.patch(of("early"), &json!({"title": "late"})).unwrap();
    elsewhere.delete(of("removed")).unwrap();
    table.server.restart().unwrap();
    table.screen.expect("live again", |screen| {
        let is_live =
            screen.starts_with("live") && screen.contains("kept") && screen.contains("late");
        is_live && !screen.contains("early") && !screen.contains("removed")
    });
    table.tasks.patch(of("kept"), &json!({"title": "changed"})).unwrap();
    table.screen.expect_text(&["changed"]);
    table.screen.press("q");
    assert_eq!(table.screen.wait(), 0);
}

#[test]
fn table_fits_a_screen_of_any_size() {
    let mut table = open(&["first-row", "second-row"], (20, 5));
    table.screen.expect_text(&["live", "TITLE", "? help"]);
    table.screen.press(&DOWN.repeat(20));
    table.screen.expect_text(&["second-row"]);
    table.screen.resize(100, 24);
    table.screen.expect_text(&["first-row", "second-row", "events/s", "PRIORITY"]);
    table.screen.resize(30, 4);
    table.screen.expect("small", |screen| {
        screen.starts_with("live") && screen.contains("second-row") && !screen.contains("first-row")
    });
    table.screen.press("q");
    assert_eq!(table.screen.wait(), 0);
}

#[test]
fn signal_restores_the_terminal() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::HUP, 129), (Signal::INT, 130)] {
        let dcrf = Dcrf::at(&Server::shared().url("/ws/"));
        let mut screen = dcrf.start_in_terminal(&LIVE, SIZE, &[]);
        screen.expect_text(&["live"]);
        kill_process(Pid::from_raw(screen.pid()).unwrap(), signal).unwrap();
        assert_eq!(screen.wait(), code);
        assert!(!screen.screen().alternate_screen() && !screen.screen().hide_cursor());
    }
}

#[test]
fn no_color_is_respected() {
    let dcrf = Dcrf::at(&Server::shared().url("/ws/"));
    for (value, has_colors) in [("", true), ("1", false)] {
        let mut screen = dcrf.start_in_terminal(&LIVE, SIZE, &[("NO_COLOR", value)]);
        screen.expect_text(&["live", "events/s"]);
        let cells = (0..24).flat_map(|row| (0..100).map(move |column| (row, column)));
        let colors = cells.filter(|(row, column)| {
            let cell = screen.screen().cell(*row, *column).unwrap();
            cell.fgcolor() != vt100::Color::Default || cell.bgcolor() != vt100::Color::Default
        });
        assert_eq!(colors.count() > 0, has_colors, "NO_COLOR={value}");
        screen.press("q");
        assert_eq!(screen.wait(), 0);
    }
}

#[test]
fn time_ends_the_table() {
    let dcrf = Dcrf::at(&Server::shared().url("/ws/"));
    let arguments = [LIVE.as_slice(), &["--for", "1s"]].concat();
    let mut screen = dcrf.start_in_terminal(&arguments, SIZE, &[]);
    screen.expect_text(&["live"]);
    assert_eq!(screen.wait(), 0);
    assert!(!screen.screen().alternate_screen());
}

#[test]
fn feed_without_acknowledgement_is_followed() {
    let server = Server::shared();
    let dcrf = Dcrf::at(&server.url("/ws/"));
    let posts = dcrf_blocking::connect(&server.url("/ws/")).unwrap().resource::<Value>("posts");
    let arguments = ["watch", "posts", "--live", "--no-ack", "--key-at", "/message/pk"];
    let mut screen = dcrf.start_in_terminal(&arguments, SIZE, &[]);
    screen.expect_text(&["live"]);
    posts.create(&json!({"title": "documented"})).unwrap();
    screen.expect_text(&["documented"]);
    screen.press("q");
    assert_eq!(screen.wait(), 0);
}

#[test]
fn feed_and_list_have_the_same_arguments() {
    let server = Server::shared();
    let dcrf = Dcrf::at(&server.url("/ws/"));
    let issues = dcrf_blocking::connect(&server.url("/ws/")).unwrap().resource::<Value>("issues");
    issues.create(&json!({"title": "listed-of-2", "project": 2})).unwrap();
    issues.create(&json!({"title": "listed-of-1", "project": 1})).unwrap();
    let feed = ["--action", "subscribe_project", "--arg", "project:=2"];
    let arguments = [["watch", "issues", "--live"].as_slice(), &feed].concat();
    let mut screen = dcrf.start_in_terminal(&arguments, SIZE, &[]);
    screen.expect_text(&["live", "listed-of-2"]);
    issues.create(&json!({"title": "later-of-1", "project": 1})).unwrap();
    issues.create(&json!({"title": "later-of-2", "project": 2})).unwrap();
    screen.expect_text(&["later-of-2"]);
    assert!(!screen.screen().contents().contains("-of-1"), "{}", screen.screen().contents());
    screen.press("q");
    assert_eq!(screen.wait(), 0);
}

#[test]
fn collection_that_fails_for_good_ends_with_its_code() {
    let dcrf = Dcrf::at(&Server::shared().url("/ws/"));
    let arguments = ["watch", "tasks", "--live", "--action", "no_such_action"];
    let mut screen = dcrf.start_in_terminal(&arguments, SIZE, &[]);
    assert_eq!(screen.wait(), 1);
    screen.expect_text(&["error: ", "name it with --action"]);
    assert!(!screen.screen().alternate_screen());

    let mut screen = Dcrf::at("ws://127.0.0.1:9/").start_in_terminal(&LIVE, SIZE, &[]);
    assert_eq!(screen.wait(), 3);
}

#[test]
fn what_cannot_be_shown_is_a_usage_error() {
    let dcrf = Dcrf::at("ws://127.0.0.1:9/");
    dcrf.run(&LIVE).assert_failed(2, "--live needs a terminal: ");
    let mut screen = dcrf.start_in_terminal(&LIVE, SIZE, &[("TERM", "dumb")]);
    assert_eq!(screen.wait(), 2);
    screen.expect_text(&["--live needs a terminal that can place text"]);
    for other in
        ["4", "--count=1", "--until={}", "--no-snapshots", "--fail-on-gap", "--output=json"]
    {
        dcrf.run(&["watch", "tasks", "--live", other]).assert_failed(2, "cannot be used with");
    }
    dcrf.run(&["watch", "tasks", "--key-at", "/pk"]).assert_failed(2, "--live");
}

#[test]
fn key_is_found_whether_it_is_called_pk_or_id() {
    let dcrf = Dcrf::at(&Server::shared().url("/ws/"));
    let mut screen = dcrf.start_in_terminal(&["watch", "cards", "--live"], SIZE, &[]);
    screen.expect_text(&["live", "ID", "card 3"]);
    screen.press("q");
    assert_eq!(screen.wait(), 0);
    let mut screen =
        dcrf.start_in_terminal(&["watch", "cards", "--live", "--pk", "slug"], SIZE, &[]);
    screen.expect_text(&["no row has a primary key in the field slug: name the field with --pk"]);
    assert_eq!(screen.wait(), 1);
}
