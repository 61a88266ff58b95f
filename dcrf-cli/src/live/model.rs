//! The state of the live table: rows, selection, the row that is followed, and what is known about the connection.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dcrf_tokio::{CollectionChange, CollectionStatus, ConnectionState, Pk};

use super::rows::{Rows, Sort};
use crate::output::Fields;

/// How long a change is highlighted.
const HIGHLIGHT: Duration = Duration::from_secs(2);
/// The time over which events are counted.
const WINDOW: Duration = Duration::from_secs(5);

/// What the keys do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Table,
    Search,
    /// The first line of the help that is shown.
    Help(u16),
}

/// The row that is followed. It is shown also after it has been deleted.
pub(crate) struct Followed {
    pub(crate) key: Pk,
    pub(crate) fields: Arc<Fields>,
    pub(crate) changed: Vec<String>,
    pub(crate) is_deleted: bool,
    /// The first line that is shown.
    pub(crate) offset: u16,
}

pub(crate) struct Model {
    pub(crate) stream: String,
    pub(crate) rows: Rows,
    pub(crate) mode: Mode,
    /// The key of the selected row, which it keeps while rows move, and the line where it was last.
    selected: Option<Pk>,
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) followed: Option<Followed>,
    pub(crate) status: CollectionStatus,
    pub(crate) connection: ConnectionState,
    /// Why connections keep ending, until the rows are live.
    pub(crate) notice: Option<String>,
    /// How many rows can't be read.
    pub(crate) unreadable: usize,
    is_filled: bool,
    events: VecDeque<(Instant, usize)>,
    /// The first line and column that the table shows, and how many lines. Drawing sets them.
    pub(crate) first_line: usize,
    pub(crate) first_column: usize,
    pub(crate) page: usize,
}

impl Model {
    pub(crate) fn new(stream: &str) -> Self {
        Self {
            stream: stream.to_owned(),
            rows: Rows::default(),
            mode: Mode::Table,
            selected: None,
            line: 0,
            column: 0,
            followed: None,
            status: CollectionStatus::Loading { error: None },
            connection: ConnectionState::Idle,
            notice: None,
            unreadable: 0,
            is_filled: false,
            events: VecDeque::new(),
            first_line: 0,
            first_column: 0,
            page: 1,
        }
    }

    /// Takes in a batch of changes. The rows of the first list are no events.
    pub(crate) fn apply(&mut self, batch: Vec<CollectionChange<Fields>>, now: Instant) {
        let is_event = std::mem::replace(&mut self.is_filled, true);
        if is_event && !batch.is_empty() {
            self.events.push_back((now, batch.len()));
        }
        for change in batch {
            match change {
                CollectionChange::Inserted { key, row, .. }
                | CollectionChange::Updated { key, row, .. } => {
                    let changed = self.rows.put(key.clone(), row.clone(), is_event.then_some(now));
                    if let Some(followed) = self.followed.as_mut().filter(|its| its.key == key) {
                        followed.is_deleted = false;
                        (followed.fields, followed.changed) = (row, changed);
                    }
                }
                CollectionChange::Removed { key, .. } => {
                    self.rows.remove(&key);
                    if let Some(followed) = self.followed.as_mut().filter(|its| its.key == key) {
                        followed.is_deleted = true;
                        followed.changed.clear();
                    }
                }
                _ => {}
            }
        }
    }

    pub(crate) fn set_status(&mut self, status: CollectionStatus) {
        if status.is_live() {
            self.notice = None;
            self.is_filled = true;
        }
        self.status = status;
    }

    /// Brings the order and the selection up to date, before anything is drawn or a key is handled.
    pub(crate) fn update(&mut self) {
        self.rows.update();
        let line = self.selected.as_ref().and_then(|key| self.rows.line_of(key));
        match (line, &self.followed) {
            (Some(line), _) => self.line = line,
            // The row that is followed can come back.
            (None, Some(_)) => {}
            (None, None) => self.select(self.line),
        }
    }

    /// The line of the selected row, if it is shown.
    pub(crate) fn selected_line(&self) -> Option<usize> {
        let (key, _) = self.rows.at(self.line)?;
        (Some(key) == self.selected.as_ref()).then_some(self.line)
    }

    pub(crate) fn move_by(&mut self, lines: isize) {
        self.select(self.line.saturating_add_signed(lines));
        if self.followed.is_some() {
            self.follow();
        }
    }

    fn select(&mut self, line: usize) {
        self.line = line.min(self.rows.shown_count().saturating_sub(1));
        let key = self.rows.at(self.line).map(|(key, _)| key.clone());
        // With an empty table, the key is kept: its row can pass the filter again.
        if key.is_some() {
            self.selected = key;
        }
    }

    /// Follows the selected row.
    pub(crate) fn follow(&mut self) {
        let Some(key) = self.selected_line().and(self.selected.clone()) else { return };
        if self.followed.as_ref().is_some_and(|followed| followed.key == key) {
            return;
        }
        let Some(row) = self.rows.get(&key) else { return };
        let fields = row.fields.clone();
        let changed = Vec::new();
        self.followed = Some(Followed { key, fields, changed, is_deleted: false, offset: 0 });
    }

    pub(crate) fn toggle_follow(&mut self) {
        if self.followed.take().is_none() {
            self.follow();
        }
    }

    pub(crate) fn move_column(&mut self, columns: isize) {
        let last = self.rows.columns.len().saturating_sub(1);
        self.column = self.column.saturating_add_signed(columns).min(last);
    }

    /// Sorts by the chosen column, or no longer if it is sorted like that.
    pub(crate) fn toggle_sort(&mut self, is_descending: bool) {
        let sort = Sort { column: self.column, is_descending };
        self.rows.set_sort(Some(sort).filter(|sort| self.rows.sort() != Some(*sort)));
    }

    /// The events per second in the last seconds.
    pub(crate) fn rate(&mut self, now: Instant) -> f64 {
        while self.events.front().is_some_and(|(at, _)| now.duration_since(*at) >= WINDOW) {
            self.events.pop_front();
        }
        let count: usize = self.events.iter().map(|(_, count)| count).sum();
        f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / WINDOW.as_secs_f64()
    }

    /// Whether a change at this time is highlighted.
    pub(crate) fn is_recent(changed_at: Option<Instant>, now: Instant) -> bool {
        changed_at.is_some_and(|at| now.duration_since(at) < HIGHLIGHT)
    }

    /// Whether the screen changes with time alone: a rate, a highlight, a wait.
    pub(crate) fn is_aging(&self) -> bool {
        !self.events.is_empty() || !self.status.is_live()
    }
}
