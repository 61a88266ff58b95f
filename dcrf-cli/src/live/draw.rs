//! Draws the live table.

use std::borrow::Cow;
use std::time::Instant;

use dcrf_tokio::{CollectionStatus, ConnectionState};
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Clear, Paragraph, Wrap};

use super::keys::HELP;
use super::model::{Followed, Mode, Model};
use super::rows::{Row, Sort};
use crate::escape::escape;
use crate::output::json;
use crate::output::table::{cell, shown};

/// The space between two columns.
const GAP: u16 = 2;

/// The styles, which need no colors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Theme {
    good: Style,
    changed: Style,
    bad: Style,
    dim: Style,
}

impl Theme {
    pub(crate) fn new(has_colors: bool) -> Self {
        let color = |color| if has_colors { Style::new().fg(color) } else { Style::new() };
        Self {
            good: color(Color::Green),
            changed: color(Color::Yellow).add_modifier(Modifier::BOLD),
            bad: color(Color::Red).add_modifier(Modifier::BOLD),
            dim: Style::new().add_modifier(Modifier::DIM),
        }
    }
}

pub(crate) fn draw(model: &mut Model, theme: Theme, now: Instant, frame: &mut Frame<'_>) {
    model.update();
    let [top, middle, bottom] =
        Layout::vertical([Constraint::Length(1), Constraint::Fill(1), Constraint::Length(1)])
            .areas(frame.area());
    frame.render_widget(top_line(model, theme, now, top.width), top);
    let (rows, pane) = split(middle, model.followed.is_some());
    table(model, theme, now, rows, frame.buffer_mut());
    if let Some(followed) = &mut model.followed {
        self::pane(followed, theme, pane, frame);
    }
    frame.render_widget(bottom_line(model, theme, now), bottom);
    if model.mode == Mode::Search {
        let x = u16::try_from(2 + Span::raw(model.rows.filter()).width()).unwrap_or(u16::MAX);
        frame.set_cursor_position((x.min(bottom.width.saturating_sub(1)), bottom.y));
    }
    if let Mode::Help(offset) = &mut model.mode {
        help(offset, middle, frame);
    }
}

/// The areas of the table and of the row that is followed: beside it, below it, or in its place.
fn split(area: Rect, has_pane: bool) -> (Rect, Rect) {
    let half = [Constraint::Fill(1), Constraint::Fill(1)];
    match area {
        _ if !has_pane => (area, Rect::ZERO),
        Rect { width: 70.., .. } => {
            let [rows, pane] =
                Layout::horizontal([Constraint::Fill(3), Constraint::Fill(2)]).areas(area);
            (rows, pane)
        }
        Rect { height: 10.., .. } => {
            let [rows, pane] = Layout::vertical(half).areas(area);
            (rows, pane)
        }
        _ => (Rect { height: 0, ..area }, area),
    }
}

/// As many parts as fit, the most important first.
fn top_line(model: &mut Model, theme: Theme, now: Instant, width: u16) -> Line<'static> {
    let rate = model.rate(now);
    let (status, style) = match &model.status {
        CollectionStatus::Live => ("live".to_owned(), theme.good),
        CollectionStatus::Unproved => ("live, unproved".to_owned(), theme.good),
        CollectionStatus::Loading { .. } => ("loading".to_owned(), theme.changed),
        CollectionStatus::Stale { since, .. } => {
            let age = now.saturating_duration_since(*since).as_secs();
            (format!("out of date {age} s"), theme.bad)
        }
        _ => ("ended".to_owned(), theme.bad),
    };
    let (shown, count) = (model.rows.shown_count(), model.rows.count());
    let rows = match model.rows.filter() {
        "" => format!("{count} row{}", if count == 1 { "" } else { "s" }),
        _ => format!("{shown} of {count} rows"),
    };
    let connection = match &model.connection {
        ConnectionState::Waiting { .. } => "not connected".to_owned(),
        ConnectionState::Closed(_) => "closed".to_owned(),
        state => state.to_string(),
    };
    let mut parts = vec![(status, style.add_modifier(Modifier::BOLD)), (rows, Style::new())];
    if model.unreadable > 0 {
        parts.push((format!("{} unreadable", model.unreadable), theme.bad));
    }
    parts.push((format!("{rate:.1} events/s"), Style::new()));
    parts.push((connection, theme.dim));
    parts.push((escape(&model.stream), theme.dim));
    let mut line = Line::default();
    for (text, style) in parts {
        let gap = if line.spans.is_empty() { "" } else { "  " };
        let part = [Span::raw(gap), Span::styled(text, style)];
        let is_first = line.spans.is_empty();
        if is_first || line.width() + part.iter().map(Span::width).sum::<usize>() <= width.into() {
            line.spans.extend(part);
        }
    }
    line
}

fn bottom_line(model: &Model, theme: Theme, now: Instant) -> Line<'static> {
    if model.mode == Mode::Search {
        return Line::from(format!("/ {}", escape(model.rows.filter())));
    }
    if let Some(problem) = problem(model, now) {
        return Line::styled(escape(&problem), theme.changed);
    }
    if !model.rows.filter().is_empty() {
        let filter = escape(model.rows.filter());
        return Line::styled(format!("filter: {filter}   Esc ends it"), theme.dim);
    }
    Line::styled("? help  / search  s sort  f follow  q quit", theme.dim)
}

/// Why the rows are not current, and what happens next.
fn problem(model: &Model, now: Instant) -> Option<String> {
    let cause = match &model.status {
        CollectionStatus::Live => return None,
        CollectionStatus::Unproved => {
            return Some("a change may have been missed at the start".to_owned());
        }
        CollectionStatus::Ended(error) => return Some(error.to_string()),
        CollectionStatus::Loading { error } => error.as_ref().map(ToString::to_string),
        CollectionStatus::Stale { cause, .. } => Some(cause.to_string()),
        other => Some(other.to_string()),
    };
    let next = match &model.connection {
        ConnectionState::Waiting { until, .. } => {
            let wait = until.saturating_duration_since(now).as_millis().div_ceil(1000);
            format!("connecting again in {wait} s")
        }
        ConnectionState::Connected => "waiting for the rows".to_owned(),
        state => state.to_string(),
    };
    match model.notice.clone().or(cause) {
        Some(cause) => Some(format!("{next}: {cause}")),
        None => Some(next),
    }
}

fn table(model: &mut Model, theme: Theme, now: Instant, area: Rect, buffer: &mut Buffer) {
    let height = usize::from(area.height.saturating_sub(1));
    model.page = height.max(1);
    // The selected row is always shown, and there are no empty lines below the last one.
    let last = model.rows.shown_count().saturating_sub(model.page);
    model.first_line = model.first_line.min(last);
    model.first_line = model.first_line.min(model.line);
    model.first_line = model.first_line.max((model.line + 1).saturating_sub(model.page));
    let columns = place_columns(model, area);
    let selected = model.selected_line();
    if area.height == 0 {
        return;
    }
    for (line, y) in (model.first_line..model.first_line + height).zip(area.y + 1..) {
        let Some((_, row)) = model.rows.at(line) else { break };
        for &(column, x, width) in &columns {
            let name = &model.rows.columns[column].name;
            draw_cell(row, name, theme, now, Rect { x, y, width, height: 1 }, buffer);
        }
        if selected == Some(line) {
            let selection = Style::new().add_modifier(Modifier::REVERSED);
            buffer.set_style(Rect { y, height: 1, ..area }, selection);
        }
    }
    for &(column, x, width) in &columns {
        let mut style = Style::new().add_modifier(Modifier::BOLD | Modifier::UNDERLINED);
        if column == model.column {
            style = style.add_modifier(Modifier::REVERSED);
        }
        let mark =
            match model.rows.sort() {
                Some(Sort { column: sorted, is_descending }) if sorted == column => {
                    if is_descending { " ▼" } else { " ▲" }
                }
                _ => "",
            };
        let title = format!("{}{mark}", model.rows.columns[column].title);
        buffer.set_stringn(x, area.y, fit(&title, width), width.into(), style);
    }
}

/// The columns that fit, with their places and widths. The chosen one is always among them.
fn place_columns(model: &mut Model, area: Rect) -> Vec<(usize, u16, u16)> {
    let width = |column: usize| {
        let width = model.rows.columns.get(column).map_or(0, |column| column.width);
        u16::try_from(width).unwrap_or(u16::MAX).min(area.width)
    };
    let mut first = model.first_column.min(model.column);
    let end = |first: usize| {
        let widths = (first..=model.column).map(|column| u32::from(width(column) + GAP));
        widths.sum::<u32>().saturating_sub(GAP.into())
    };
    while first < model.column && end(first) > area.width.into() {
        first += 1;
    }
    let mut placed = Vec::new();
    let mut x = area.x;
    for column in first..model.rows.columns.len() {
        let width = width(column).min(area.right().saturating_sub(x));
        if width == 0 {
            break;
        }
        placed.push((column, x, width));
        x = x.saturating_add(width + GAP);
    }
    model.first_column = first;
    placed
}

fn draw_cell(row: &Row, name: &str, theme: Theme, now: Instant, area: Rect, buffer: &mut Buffer) {
    let Some(value) = row.fields.get(name) else { return };
    let text = cell(value);
    let text = fit(&text, area.width);
    let is_changed =
        Model::is_recent(row.changed_at, now) && row.changed.iter().any(|changed| changed == name);
    let style = if is_changed { theme.changed } else { Style::new() };
    let is_number = value.as_str().starts_with(|c: char| c == '-' || c.is_ascii_digit());
    let width = u16::try_from(Span::raw(&*text).width()).unwrap_or(area.width);
    let x = if is_number { area.right().saturating_sub(width).max(area.x) } else { area.x };
    buffer.set_stringn(x, area.y, text, area.width.into(), style);
}

/// The text, or its beginning with an ellipsis if it is too wide.
fn fit(text: &str, width: u16) -> Cow<'_, str> {
    let width = usize::from(width);
    let whole = Span::raw(text);
    if whole.width() <= width {
        return Cow::Borrowed(text);
    }
    let (mut cut, mut used) = (String::new(), 0);
    for grapheme in whole.styled_graphemes(Style::new()) {
        used += Span::raw(grapheme.symbol).width();
        if used >= width {
            break;
        }
        cut.push_str(grapheme.symbol);
    }
    cut.push('…');
    Cow::Owned(cut)
}

fn pane(followed: &mut Followed, theme: Theme, area: Rect, frame: &mut Frame<'_>) {
    let mut title = format!(" {} ", escape(&followed.key.to_string()));
    if followed.is_deleted {
        title.push_str("(deleted) ");
    }
    let mut lines = Vec::new();
    for (name, value) in followed.fields.iter() {
        let is_changed = followed.changed.contains(name);
        let (mark, style) = if is_changed { ("* ", theme.changed) } else { ("  ", Style::new()) };
        let value = match value.as_str().as_bytes().first() {
            Some(b'{' | b'[') => json::indented(value.as_str()),
            _ => shown(value),
        };
        let mut text = value.split('\n').map(escape);
        let name = Span::styled(format!("{mark}{}: ", escape(name)), theme.dim.patch(style));
        let first = Span::styled(text.next().unwrap_or_default(), style);
        lines.push(Line::from(vec![name, first]));
        lines.extend(text.map(|line| Line::styled(format!("  {line}"), style)));
    }
    let block = Block::new().borders(Borders::ALL).title(title);
    let inner = block.inner(area);
    let paragraph = Paragraph::new(lines).wrap(Wrap { trim: false });
    let last = wrapped(&paragraph, inner.width).saturating_sub(inner.height);
    followed.offset = followed.offset.min(last);
    frame.render_widget(Clear, area);
    frame.render_widget(paragraph.block(block).scroll((followed.offset, 0)), area);
}

/// The number of lines of a paragraph of this width.
fn wrapped(paragraph: &Paragraph<'_>, width: u16) -> u16 {
    u16::try_from(paragraph.line_count(width)).unwrap_or(u16::MAX)
}

fn help(offset: &mut u16, area: Rect, frame: &mut Frame<'_>) {
    let lines: Vec<_> = HELP.iter().map(|(keys, text)| format!("{keys:<11}{text}")).collect();
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX).min(area.height);
    let width = area.width.min(70);
    let block = Block::new().borders(Borders::ALL).title(" Keys ");
    let area = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    };
    let inner = block.inner(area);
    let paragraph = Paragraph::new(lines.into_iter().map(Line::from).collect::<Vec<_>>())
        .wrap(Wrap { trim: false });
    *offset = (*offset).min(wrapped(&paragraph, inner.width).saturating_sub(inner.height));
    frame.render_widget(Clear, area);
    frame.render_widget(paragraph.block(block).scroll((*offset, 0)), area);
}
