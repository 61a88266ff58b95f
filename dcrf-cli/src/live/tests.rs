//! The table on a screen in memory.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use dcrf_tokio::{
    CollectionChange, CollectionStatus, ConnectionError, ConnectionState, Pk, StaleCause,
};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::{Color, Modifier};

use super::draw::{self, Theme};
use super::keys;
use super::model::Model;
use crate::output::Fields;

/// A user of the table.
struct User {
    model: Model,
    terminal: Terminal<TestBackend>,
    now: Instant,
    theme: Theme,
}

impl User {
    fn with(width: u16, height: u16, rows: &[&str]) -> Self {
        let mut model = Model::new("tasks");
        let now = Instant::now();
        let rows = rows.iter().enumerate().map(|(at, row)| inserted(at + 1, row)).collect();
        model.apply(rows, now);
        model.connection = ConnectionState::Connected;
        model.set_status(CollectionStatus::Live);
        Self {
            model,
            terminal: Terminal::new(TestBackend::new(width, height)).unwrap(),
            now,
            theme: Theme::new(true),
        }
    }

    fn changes(&mut self, changes: Vec<CollectionChange<Fields>>) {
        self.model.apply(changes, self.now);
    }

    fn press(&mut self, key: KeyCode) -> bool {
        keys::press(&mut self.model, key.into())
    }

    fn types(&mut self, text: &str) {
        for letter in text.chars() {
            assert!(self.press(KeyCode::Char(letter)), "{letter}");
        }
    }

    /// The lines of the screen, without spaces at their ends.
    fn screen(&mut self) -> Vec<String> {
        let (model, theme, now) = (&mut self.model, self.theme, self.now);
        self.terminal.draw(|frame| draw::draw(model, theme, now, frame)).unwrap();
        let screen = self.terminal.backend().to_string();
        // Behind a line, the backend notes the cells that wide characters hide.
        let lines = screen.lines().map(|line| line.split("\" Hidden").next().unwrap_or_default());
        let lines = lines.map(|line| line.strip_suffix('"').unwrap_or(line).trim_end());
        lines.map(|line| line.trim_start_matches('"').to_owned()).collect()
    }

    /// The lines of the rows, of a table without a pane.
    fn rows(&mut self) -> Vec<String> {
        let screen = self.screen();
        let rows = screen[2..screen.len() - 1].iter().filter(|line| !line.is_empty());
        rows.cloned().collect()
    }

    /// The text that is drawn with a modifier.
    fn with_modifier(&mut self, modifier: Modifier) -> String {
        self.screen();
        let cells = self.terminal.backend().buffer().content.iter();
        let cells = cells.filter(|cell| cell.modifier.contains(modifier));
        cells.map(ratatui::buffer::Cell::symbol).collect()
    }

    fn selected(&mut self) -> String {
        self.screen();
        let buffer = self.terminal.backend().buffer();
        let lines = buffer.content.chunks(usize::from(buffer.area.width)).skip(2);
        let selected = lines.map(|line| {
            let cells = line.iter().filter(|cell| cell.modifier.contains(Modifier::REVERSED));
            cells.map(ratatui::buffer::Cell::symbol).collect::<String>()
        });
        selected.collect::<String>().trim().to_owned()
    }
}

fn fields(json: &str) -> Arc<Fields> {
    Arc::new(serde_json::from_str(json).unwrap())
}

fn key(number: usize) -> Pk {
    Pk::from(i64::try_from(number).unwrap())
}

fn inserted(number: usize, json: &str) -> CollectionChange<Fields> {
    CollectionChange::Inserted { key: key(number), row: fields(json), index: None }
}

fn updated(number: usize, old: &str, json: &str) -> CollectionChange<Fields> {
    CollectionChange::Updated {
        key: key(number),
        old: fields(old),
        row: fields(json),
        old_index: None,
        index: None,
    }
}

fn removed(number: usize) -> CollectionChange<Fields> {
    CollectionChange::Removed { key: key(number), old: fields("{}"), index: None }
}

const MOW: &str = r#"{"id": 1, "title": "Mow", "priority": 10}"#;
const PAINT: &str = r#"{"id": 2, "title": "Paint", "priority": 9}"#;
const SWIM: &str = r#"{"id": 3, "title": "Swim", "priority": null}"#;

#[test]
fn rows_are_shown_with_the_servers_columns() {
    let mut user = User::with(72, 7, &[MOW, PAINT, SWIM]);
    assert_eq!(
        user.screen(),
        [
            "live  3 rows  0.0 events/s  connected  tasks",
            "ID    TITLE    PRIORITY",
            "   1  Mow              10",
            "   2  Paint             9",
            "   3  Swim",
            "",
            "? help  / search  s sort  f follow  q quit",
        ]
    );
}

#[test]
fn rows_are_sorted_by_the_chosen_column() {
    let mut user = User::with(72, 7, &[MOW, PAINT, SWIM]);
    user.press(KeyCode::Right);
    user.press(KeyCode::Right);
    user.types("s");
    assert_eq!(user.screen()[1], "ID    TITLE    PRIORITY ▲");
    let order =
        |user: &mut User| user.rows().iter().map(|row| row[3..4].to_owned()).collect::<String>();
    assert_eq!(order(&mut user), "321");
    user.types("S");
    assert_eq!(user.screen()[1], "ID    TITLE    PRIORITY ▼");
    assert_eq!(order(&mut user), "123");
    user.changes(vec![updated(2, PAINT, &PAINT.replace('9', "11"))]);
    assert_eq!(order(&mut user), "213");
    user.types("S");
    assert_eq!(order(&mut user), "123");
}

#[test]
fn search_filters_while_it_is_typed() {
    let mut user = User::with(72, 7, &[MOW, PAINT, SWIM]);
    user.types("/sW");
    assert_eq!(user.rows(), ["   3  Swim"]);
    assert_eq!(user.screen()[0], "live  1 of 3 rows  0.0 events/s  connected  tasks");
    assert_eq!(user.screen()[6], "/ sW");
    user.press(KeyCode::Enter);
    user.changes(vec![inserted(4, r#"{"id": 4, "title": "SWEEP"}"#)]);
    assert_eq!(user.rows(), ["   3  Swim", "   4  SWEEP"]);
    assert_eq!(user.screen()[6], "filter: sW   Esc ends it");
    // The keys of the table are text in a search.
    user.types("/q");
    assert!(user.rows().is_empty());
    user.press(KeyCode::Backspace);
    assert_eq!(user.rows().len(), 2);
    keys::press(&mut user.model, KeyEvent::new(KeyCode::Char('u'), KeyModifiers::CONTROL));
    assert_eq!(user.rows().len(), 4);
    user.press(KeyCode::Esc);
    assert_eq!(user.screen()[6], "? help  / search  s sort  f follow  q quit");
}

#[test]
fn selection_stays_on_its_row() {
    let mut user = User::with(72, 7, &[MOW, PAINT, SWIM]);
    assert_eq!(user.selected(), "1  Mow              10");
    user.press(KeyCode::Down);
    assert_eq!(user.selected(), "2  Paint             9");
    user.changes(vec![removed(1)]);
    assert_eq!(user.selected(), "2  Paint             9");
    user.changes(vec![removed(2)]);
    assert_eq!(user.selected(), "3  Swim");
    user.changes(vec![removed(3)]);
    assert_eq!(user.selected(), "");
    user.changes(vec![inserted(5, MOW)]);
    assert_eq!(user.selected(), "1  Mow              10");
}

#[test]
fn followed_row_is_shown_with_its_changes() {
    let mut user = User::with(72, 9, &[MOW, PAINT, SWIM]);
    user.press(KeyCode::Down);
    user.types("f");
    let pane = |user: &mut User| {
        let screen = user.screen().join("\n");
        screen.contains("│  title: Paint").then_some(screen)
    };
    assert!(pane(&mut user).unwrap().contains("┌ 2 ─"));
    let urgent = r#"{"id": 2, "title": "Paint", "priority": 1, "by": {"name": "Ann"}}"#;
    user.changes(vec![inserted(0, MOW), updated(2, PAINT, urgent)]);
    let screen = pane(&mut user).unwrap();
    assert!(screen.contains("│* priority: 1 "), "{screen}");
    assert!(screen.contains("│* by: {"), "{screen}");
    assert!(screen.contains("│    \"name\": \"Ann\""), "{screen}");
    assert!(user.selected().starts_with("2  Paint"), "{}", user.selected());

    // It stays when it is deleted, until it is back.
    user.changes(vec![removed(2)]);
    assert!(pane(&mut user).unwrap().contains("2 (deleted)"));
    assert_eq!(user.selected(), "");
    user.changes(vec![inserted(2, PAINT)]);
    let screen = user.screen().join("\n");
    assert!(screen.contains("│* title: Paint") && !screen.contains("(deleted)"), "{screen}");
    // The next row is followed after a move.
    user.press(KeyCode::Down);
    assert!(user.screen().join("\n").contains("title: Swim"));
    user.press(KeyCode::Esc);
    assert!(!user.screen().join("\n").contains("title: Swim"));
}

#[test]
fn changes_are_highlighted_and_counted_for_some_seconds() {
    let mut user = User::with(72, 7, &[MOW, PAINT, SWIM]);
    user.press(KeyCode::Down);
    user.changes(vec![updated(1, MOW, &MOW.replace("Mow", "Sow"))]);
    assert!(user.screen()[0].contains("0.2 events/s"), "{:?}", user.screen());
    assert!(user.model.is_aging());
    let yellow = |user: &mut User| {
        user.screen();
        let cells = user.terminal.backend().buffer().content.iter();
        let cells = cells.filter(|cell| cell.fg == Color::Yellow);
        cells.map(ratatui::buffer::Cell::symbol).collect::<String>()
    };
    assert_eq!(yellow(&mut user), "Sow");
    user.now += Duration::from_secs(2);
    assert_eq!(yellow(&mut user), "");
    user.now += Duration::from_secs(3);
    assert!(user.screen()[0].contains("0.0 events/s"));
    assert!(!user.model.is_aging());
}

#[test]
fn loss_of_the_connection_is_shown_with_the_next_attempt() {
    let mut user = User::with(90, 7, &[MOW]);
    let error = ConnectionError::Dropped;
    let until = user.now + Duration::from_millis(1_200);
    user.model.connection = ConnectionState::Waiting { attempt: 2, until, error: error.clone() };
    let cause = StaleCause::Connection(error.clone());
    user.model.set_status(CollectionStatus::Stale { since: user.now, cause });
    user.now += Duration::from_secs(1);
    let screen = user.screen();
    assert!(screen[0].starts_with("out of date 1 s  1 row  "), "{screen:?}");
    assert!(screen[0].contains("not connected"), "{screen:?}");
    assert_eq!(screen[6], format!("connecting again in 1 s: {error}"));
    assert_eq!(screen[2], "   1  Mow              10");
    assert!(user.model.is_aging());
}

#[test]
fn screen_of_any_size_is_drawn() {
    let wide =
        r#"{"id": 1, "title": "日本語のタイトル", "note": "a long note that does not fit here"}"#;
    let mut user = User::with(20, 5, &[wide, MOW, PAINT, SWIM]);
    assert_eq!(
        user.screen(),
        [
            "live  4 rows  tasks",
            "ID    TITLE",
            "   1  日本語のタイ…",
            "   1  Mow",
            "? help  / search  s"
        ]
    );
    user.press(KeyCode::End);
    assert_eq!(user.rows(), ["   2  Paint", "   3  Swim"]);
    // The chosen column is always shown.
    user.press(KeyCode::Right);
    user.press(KeyCode::Right);
    user.press(KeyCode::Home);
    assert!(user.rows()[0].ends_with("a long note that do…"), "{:?}", user.rows());
    for (width, height) in [(1, 1), (2, 3), (20, 5), (3, 30), (200, 2), (71, 12), (40, 12)] {
        for keys in ["f", "f", "?", "?", "/", "\n"] {
            user.terminal.backend_mut().resize(width, height);
            user.terminal.autoresize().unwrap();
            let is_enter = keys == "\n";
            user.press(if is_enter {
                KeyCode::Enter
            } else {
                KeyCode::Char(keys.chars().next().unwrap())
            });
            assert_eq!(user.screen().len(), usize::from(height), "{width}x{height} {keys}");
        }
    }
}

#[test]
fn text_of_the_server_is_escaped() {
    let bad = r#"{"id": 1, "ti\u001btle": "a\u001b[2Jb", "o": {"k": "\u202ex"}}"#;
    let mut user = User::with(90, 9, &[bad]);
    user.types("f");
    let screen = user.screen().join("\n");
    assert!(screen.contains(r"TI\u{1b}TLE") && screen.contains(r"a\u{1b}[2Jb"), "{screen}");
    assert!(!screen.contains(['\u{1b}', '\u{202e}']), "{screen}");
}

#[test]
fn help_is_shown_and_scrolled() {
    let mut user = User::with(40, 8, &[MOW]);
    user.types("?");
    assert!(user.screen().join("\n").contains("select a row"));
    for _ in 0..30 {
        user.press(KeyCode::Down);
    }
    assert!(user.screen().join("\n").contains("q Ctrl-C   quit"));
    user.types("q");
    assert!(!user.screen().join("\n").contains("quit         "));
    assert!(!user.press(KeyCode::Char('q')));
    assert!(!keys::press(
        &mut user.model,
        KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)
    ));
}

#[test]
fn without_colors_only_modifiers_are_used() {
    let mut user = User::with(72, 7, &[MOW]);
    user.changes(vec![inserted(2, PAINT)]);
    user.theme = Theme::new(false);
    user.screen();
    let buffer = user.terminal.backend().buffer();
    assert!(buffer.content.iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset));
    assert!(user.with_modifier(Modifier::BOLD).contains("Paint"));
}

#[test]
fn end_of_thousands_of_rows_is_shown() {
    let rows: Vec<_> =
        (0..10_000).map(|at| format!(r#"{{"id": {at}, "title": "row {at}"}}"#)).collect();
    let rows: Vec<_> = rows.iter().map(String::as_str).collect();
    let mut user = User::with(100, 40, &rows);
    user.press(KeyCode::End);
    assert!(user.selected().ends_with("row 9999"));
    assert_eq!(user.rows().len(), 37);
}
