//! What the keys do.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::model::{Mode, Model};

/// The help on the keys.
pub(crate) const HELP: &[(&str, &str)] = &[
    ("↑ ↓ k j", "select a row"),
    ("PgUp PgDn", "a page up, a page down"),
    ("Home End", "the first row, the last row"),
    ("← → h l", "choose a column"),
    ("s S", "sort by it, ascending or descending; again: by key"),
    ("/", "search in all fields; Enter keeps it, Esc ends it"),
    ("f", "follow the row: show all its fields, and what changes"),
    ("Space b", "scroll the fields of the row"),
    ("Esc", "end following, then the search"),
    ("?", "this help"),
    ("q Ctrl-C", "quit"),
];

/// Handles a key. Returns whether the table goes on.
pub(crate) fn press(model: &mut Model, key: KeyEvent) -> bool {
    if key.kind == KeyEventKind::Release {
        return true;
    }
    model.update();
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        match key.code {
            KeyCode::Char('c') => return false,
            KeyCode::Char('u') if model.mode == Mode::Search => {
                model.rows.set_filter(String::new());
            }
            _ => {}
        }
        return true;
    }
    match model.mode {
        Mode::Table => return in_table(model, key.code),
        Mode::Search => in_search(model, key.code),
        Mode::Help(offset) => model.mode = in_help(offset, key.code),
    }
    true
}

fn in_table(model: &mut Model, key: KeyCode) -> bool {
    let page = isize::try_from(model.page).unwrap_or(1);
    match key {
        KeyCode::Char('q') => return false,
        KeyCode::Up | KeyCode::Char('k') => model.move_by(-1),
        KeyCode::Down | KeyCode::Char('j') => model.move_by(1),
        KeyCode::PageUp => model.move_by(-page),
        KeyCode::PageDown => model.move_by(page),
        KeyCode::Home | KeyCode::Char('g') => model.move_by(isize::MIN),
        KeyCode::End | KeyCode::Char('G') => model.move_by(isize::MAX),
        KeyCode::Left | KeyCode::Char('h') => model.move_column(-1),
        KeyCode::Right | KeyCode::Char('l') => model.move_column(1),
        KeyCode::Char('s') => model.toggle_sort(false),
        KeyCode::Char('S') => model.toggle_sort(true),
        KeyCode::Char('/') => model.mode = Mode::Search,
        KeyCode::Char('f') => model.toggle_follow(),
        KeyCode::Char(' ') => scroll(model, 1),
        KeyCode::Char('b') => scroll(model, -1),
        KeyCode::Char('?') => model.mode = Mode::Help(0),
        KeyCode::Esc if model.followed.take().is_none() => model.rows.set_filter(String::new()),
        _ => {}
    }
    true
}

fn scroll(model: &mut Model, lines: i16) {
    if let Some(followed) = &mut model.followed {
        followed.offset = followed.offset.saturating_add_signed(lines);
    }
}

fn in_search(model: &mut Model, key: KeyCode) {
    let mut filter = model.rows.filter().to_owned();
    match key {
        KeyCode::Char(letter) => filter.push(letter),
        KeyCode::Backspace => drop(filter.pop()),
        KeyCode::Esc => {
            filter.clear();
            model.mode = Mode::Table;
        }
        KeyCode::Enter => model.mode = Mode::Table,
        KeyCode::Up => return model.move_by(-1),
        KeyCode::Down => return model.move_by(1),
        _ => return,
    }
    model.rows.set_filter(filter);
}

fn in_help(offset: u16, key: KeyCode) -> Mode {
    match key {
        KeyCode::Up | KeyCode::Char('k') => Mode::Help(offset.saturating_sub(1)),
        KeyCode::Down | KeyCode::Char('j') => Mode::Help(offset.saturating_add(1)),
        _ => Mode::Table,
    }
}
