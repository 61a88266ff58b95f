//! The rows of the live table: their columns, their order, and which of them pass the filter.

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Instant;

use dcrf_tokio::{Json, Pk};
use indexmap::IndexMap;
use ratatui::text::Span;

use crate::escape::escape;
use crate::output::Fields;
use crate::output::table::cell;

/// The widest that a column gets.
const WIDEST: usize = 40;

/// A row, and what has changed in it.
pub(crate) struct Row {
    pub(crate) fields: Arc<Fields>,
    /// All its values in lower case, for the filter.
    searched: String,
    /// The fields of its last change, and when that came.
    pub(crate) changed: Vec<String>,
    pub(crate) changed_at: Option<Instant>,
}

pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) width: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sort {
    pub(crate) column: usize,
    pub(crate) is_descending: bool,
}

/// All rows by their keys, and the indices of those that are shown.
#[derive(Default)]
pub(crate) struct Rows {
    all: IndexMap<Pk, Row>,
    pub(crate) columns: Vec<Column>,
    shown: Vec<usize>,
    is_outdated: bool,
    sort: Option<Sort>,
    filter: String,
}

impl Rows {
    /// Adds or replaces a row, and returns the names of the fields that are other than before.
    pub(crate) fn put(
        &mut self,
        key: Pk,
        fields: Arc<Fields>,
        changed_at: Option<Instant>,
    ) -> Vec<String> {
        self.measure(&fields);
        let old = self.all.get(&key).map(|row| &row.fields);
        let is_other = |name: &&String| old.is_none_or(|old| old.get(*name) != fields.get(*name));
        let changed: Vec<_> = fields.keys().filter(is_other).cloned().collect();
        let values: Vec<_> = fields.values().map(|value| cell(value).to_lowercase()).collect();
        let searched = values.join("\n");
        self.all.insert(key, Row { fields, searched, changed: changed.clone(), changed_at });
        self.is_outdated = true;
        changed
    }

    pub(crate) fn remove(&mut self, key: &Pk) {
        self.all.swap_remove(key);
        self.is_outdated = true;
    }

    fn measure(&mut self, fields: &Fields) {
        for (name, value) in fields {
            let width = Span::raw(cell(value)).width().min(WIDEST);
            if let Some(column) = self.columns.iter_mut().find(|column| column.name == *name) {
                column.width = column.width.max(width);
                continue;
            }
            let title = escape(&name.to_uppercase());
            // The mark of the sorted column needs two more.
            let width = width.max((Span::raw(title.as_str()).width() + 2).min(WIDEST));
            self.columns.push(Column { name: name.clone(), title, width });
        }
    }

    pub(crate) fn sort(&self) -> Option<Sort> {
        self.sort
    }

    pub(crate) fn set_sort(&mut self, sort: Option<Sort>) {
        (self.sort, self.is_outdated) = (sort, true);
    }

    pub(crate) fn filter(&self) -> &str {
        &self.filter
    }

    pub(crate) fn set_filter(&mut self, filter: String) {
        (self.filter, self.is_outdated) = (filter, true);
    }

    pub(crate) fn count(&self) -> usize {
        self.all.len()
    }

    pub(crate) fn shown_count(&self) -> usize {
        self.shown.len()
    }

    pub(crate) fn get(&self, key: &Pk) -> Option<&Row> {
        self.all.get(key)
    }

    /// The row in this line of the table.
    pub(crate) fn at(&self, line: usize) -> Option<(&Pk, &Row)> {
        self.all.get_index(*self.shown.get(line)?)
    }

    /// The line of a row in the table.
    pub(crate) fn line_of(&self, key: &Pk) -> Option<usize> {
        let index = self.all.get_index_of(key)?;
        self.shown.iter().position(|&shown| shown == index)
    }

    /// Filters and sorts again if something has changed. Rows of equal values stay in the order of their keys.
    pub(crate) fn update(&mut self) {
        if !std::mem::take(&mut self.is_outdated) {
            return;
        }
        let wanted = self.filter.to_lowercase();
        let column = self.sort.and_then(|sort| self.columns.get(sort.column));
        let is_descending = self.sort.is_some_and(|sort| sort.is_descending);
        let rows = self.all.iter().enumerate();
        let rows = rows.filter(|(_, (_, row))| row.searched.contains(&wanted));
        let mut rows: Vec<_> = rows
            .map(|(index, (key, row))| {
                let value = column.and_then(|column| row.fields.get(&column.name));
                (value.map_or(Rank::Null, Rank::of), key, index)
            })
            .collect();
        rows.sort_unstable_by(|(one, one_key, _), (other, other_key, _)| {
            let order = one.cmp(other);
            let order = if is_descending { order.reverse() } else { order };
            order.then_with(|| one_key.cmp(other_key))
        });
        self.shown = rows.into_iter().map(|(_, _, index)| index).collect();
    }
}

/// The place of a value among those of its column.
#[derive(Debug, PartialEq)]
enum Rank {
    Null,
    Bool(bool),
    /// The integer decides between numbers that a float can't tell apart.
    Number(f64, Option<i128>),
    Text(String, String),
    Other(String),
}

impl Rank {
    fn of(json: &Json) -> Self {
        let text = json.as_str();
        match text.as_bytes().first() {
            None | Some(b'n') => Self::Null,
            Some(b't' | b'f') => Self::Bool(text == "true"),
            Some(b'"') => {
                let text: String = json.decode().unwrap_or_default();
                Self::Text(text.to_lowercase(), text)
            }
            Some(b'[' | b'{') => Self::Other(text.to_owned()),
            Some(_) => Self::Number(text.parse().unwrap_or(f64::NAN), text.parse().ok()),
        }
    }

    fn kind(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Bool(_) => 1,
            Self::Number(..) => 2,
            Self::Text(..) => 3,
            Self::Other(_) => 4,
        }
    }

    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Bool(one), Self::Bool(other)) => one.cmp(other),
            (Self::Number(one, exact), Self::Number(other, other_exact)) => {
                one.total_cmp(other).then_with(|| exact.cmp(other_exact))
            }
            (Self::Text(one, exact), Self::Text(other, other_exact)) => {
                one.cmp(other).then_with(|| exact.cmp(other_exact))
            }
            (Self::Other(one), Self::Other(other)) => one.cmp(other),
            _ => self.kind().cmp(&other.kind()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(list: &[&str]) -> Rows {
        let mut rows = Rows::default();
        for (key, &text) in (0_i64..).zip(list) {
            let fields = serde_json::from_str(text).unwrap();
            rows.put(Pk::from(key), Arc::new(fields), None);
        }
        rows
    }

    fn keys(rows: &mut Rows) -> Vec<i64> {
        rows.update();
        (0..rows.shown_count()).map(|line| rows.at(line).unwrap().0.as_i64().unwrap()).collect()
    }

    #[test]
    fn values_sort_by_kind_and_numbers_as_numbers() {
        let mut rows = rows(&[
            r#"{"a": 10}"#,
            r#"{"a": 9}"#,
            r#"{"a": "b"}"#,
            r#"{"a": "A"}"#,
            r#"{"a": null}"#,
            r#"{"a": true}"#,
            r#"{"a": 9.5}"#,
            r#"{"b": 1}"#,
            r#"{"a": 9007199254740993}"#,
            r#"{"a": 9007199254740992}"#,
            r#"{"a": [1]}"#,
        ]);
        rows.set_sort(Some(Sort { column: 0, is_descending: false }));
        assert_eq!(keys(&mut rows), [4, 7, 5, 1, 6, 0, 9, 8, 3, 2, 10]);
        rows.set_sort(Some(Sort { column: 0, is_descending: true }));
        assert_eq!(keys(&mut rows), [10, 2, 3, 8, 9, 0, 6, 1, 5, 4, 7]);
        rows.set_sort(None);
        assert_eq!(keys(&mut rows), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    }

    #[test]
    fn filter_finds_text_in_any_field_and_in_any_case() {
        let mut rows = rows(&[
            r#"{"title": "Paint", "n": 17}"#,
            r#"{"title": "mow", "n": 2}"#,
            r#"{"title": "PÄINT", "n": 3}"#,
        ]);
        rows.set_filter("pä".into());
        assert_eq!(keys(&mut rows), [2]);
        rows.set_filter("17".into());
        assert_eq!(keys(&mut rows), [0]);
        rows.set_filter(String::new());
        assert_eq!(keys(&mut rows), [0, 1, 2]);
    }

    #[test]
    fn changed_fields_are_those_with_another_value() {
        let mut rows = rows(&[r#"{"a": 1, "b": 2}"#]);
        let fields = serde_json::from_str(r#"{"a": 1, "b": 3, "c": 4}"#).unwrap();
        assert_eq!(rows.put(Pk::from(0), Arc::new(fields), None), ["b", "c"]);
        assert_eq!(rows.columns.len(), 3);
    }
}
