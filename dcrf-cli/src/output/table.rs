//! Rows as columns, and an object as names and values.

use comfy_table::{Cell, ContentArrangement, Table, presets};
use dcrf_tokio::Json;
use indexmap::IndexSet;

use super::Fields;
use crate::escape::escape;

/// The most characters of a cell.
const WIDEST: usize = 60;
/// The most columns, and the most fields of rows among which they are looked for.
const MOST_COLUMNS: usize = 40;
const MOST_FIELDS: usize = 10_000;
/// The width if there is no terminal.
const DEFAULT_WIDTH: u16 = 120;

/// The rows as a table, with a column for each field in the order of the first rows that have it.
pub(crate) fn rows(rows: &[Json]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let rows: Vec<_> = rows.iter().map(fields).collect();
    let names: IndexSet<&String> = rows.iter().flat_map(Fields::keys).take(MOST_FIELDS).collect();
    let names: Vec<_> = names.into_iter().take(MOST_COLUMNS).collect();
    let mut table = plain();
    table.set_header(names.iter().map(|name| Cell::new(escape(&name.to_uppercase()))));
    for row in &rows {
        table.add_row(names.iter().map(|&name| row.get(name).map_or(String::new(), cell)));
    }
    print(&mut table)
}

/// The object with a line for each field. Another value is printed as it is.
pub(crate) fn object(json: &Json) -> String {
    let mut table = plain();
    for (name, value) in fields(json) {
        if name.is_empty() {
            return format!("{}\n", escape(&shown(&value)));
        }
        table.add_row([escape(&name), escape(&shown(&value))]);
    }
    print(&mut table)
}

/// The fields of an object. Any other value becomes one field without a name.
fn fields(json: &Json) -> Fields {
    json.decode().unwrap_or_else(|_| Fields::from([(String::new(), json.clone())]))
}

fn plain() -> Table {
    let mut table = Table::new();
    let width = terminal_size::terminal_size().map_or(DEFAULT_WIDTH, |(width, _)| width.0);
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    table
}

fn print(table: &mut Table) -> String {
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A value in a cell: a text without its quotes, and not too long.
pub(crate) fn cell(json: &Json) -> String {
    let text = escape(&shown(json));
    if text.chars().count() <= WIDEST {
        return text;
    }
    let cut: String = text.chars().take(WIDEST - 1).collect();
    format!("{cut}…")
}

/// A text without its quotes, and nothing for null.
pub(crate) fn shown(json: &Json) -> String {
    match json.as_str() {
        "null" => String::new(),
        text if text.starts_with('"') => json.decode().unwrap_or_else(|_| text.to_owned()),
        text => text.to_owned(),
    }
}
