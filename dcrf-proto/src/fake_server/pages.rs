//! The forms of a list in pages.

use serde_json::{Map, Value, json};

use super::field::python_int;

/// How a stream splits its list into pages.
///
/// ```
/// # use dcrf_proto::fake_server::{Pages, View};
/// let view = View::of("tasks").pages(Pages::Number { size: 20, max_size: None });
/// # drop(view);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Pages {
    /// DCRF's pages, selected by `limit` and `offset`.
    Offset {
        /// The number of rows if the call has no `limit`, or an invalid one.
        default_limit: usize,
        /// The largest `limit`.
        max_limit: Option<usize>,
    },
    /// All pages of [`Pages::Offset`], as a reply each, without an end marker.
    Streamed {
        /// The number of rows of a page.
        default_limit: usize,
    },
    /// Django REST Framework's `PageNumberPagination`, selected by `page`.
    Number {
        /// The number of rows if the call has no `page_size`.
        size: usize,
        /// The largest `page_size`. Without it, the argument is ignored.
        max_size: Option<usize>,
    },
    /// Django REST Framework's `CursorPagination` in the order of the keys, selected by `cursor`.
    Cursor {
        /// The number of rows if the call has no `page_size`.
        size: usize,
        /// The largest `page_size`. Without it, the argument is ignored.
        max_size: Option<usize>,
    },
}

/// What a list replies.
pub(super) enum Listed {
    Page(Value),
    Streamed(Vec<Value>),
    NotFound(String),
    /// The paginator raises an exception, which closes the connection.
    Raised,
}

impl Pages {
    pub(super) fn list(&self, rows: &[(Value, Value)], arguments: &Map<String, Value>) -> Listed {
        match *self {
            Self::Offset { default_limit, max_limit } => {
                let limit = int(arguments.get("limit"), default_limit, true);
                let offset = int(arguments.get("offset"), 0, false);
                let (Some(limit), Some(offset)) = (limit, offset) else { return Listed::Raised };
                Listed::Page(by_offset(rows, limit.min(max_limit.unwrap_or(usize::MAX)), offset))
            }
            Self::Streamed { default_limit } => {
                let limit = int(arguments.get("limit"), default_limit, true);
                let offset = int(arguments.get("offset"), 0, false);
                let (Some(limit), Some(offset)) = (limit, offset) else { return Listed::Raised };
                let last = rows.len().saturating_sub(limit);
                // At least one page, and one that reaches the end.
                let offsets = (0..).map(|page| offset + page * limit);
                let before_last = offsets.clone().take_while(|offset| *offset < last).count();
                let pages = offsets.take(before_last + 1);
                Listed::Streamed(pages.map(|offset| by_offset(rows, limit, offset)).collect())
            }
            Self::Number { size, max_size } => {
                by_number(rows, size_of(arguments, size, max_size), arguments)
            }
            Self::Cursor { size, max_size } => {
                by_cursor(rows, size_of(arguments, size, max_size), arguments)
            }
        }
    }
}

/// An argument as `int()` reads it, or the default if it is invalid. `None` if Python raises.
fn int(value: Option<&Value>, default: usize, is_strict: bool) -> Option<usize> {
    let Some(value) = value else { return Some(default) };
    if matches!(value, Value::Null | Value::Array(_) | Value::Object(_)) {
        return None;
    }
    let number = python_int(value).and_then(|number| usize::try_from(number).ok());
    Some(number.filter(|number| *number > 0 || !is_strict).unwrap_or(default))
}

fn results(rows: &[(Value, Value)], skip: usize, take: usize) -> Vec<Value> {
    rows.iter().skip(skip).take(take).map(|(_, row)| row.clone()).collect()
}

fn by_offset(rows: &[(Value, Value)], limit: usize, offset: usize) -> Value {
    let results = results(rows, offset, limit);
    json!({"count": rows.len(), "results": results, "limit": limit, "offset": offset})
}

/// The argument `page_size`, which is text for the paginator.
fn size_of(arguments: &Map<String, Value>, size: usize, max_size: Option<usize>) -> usize {
    let Some(max) = max_size else { return size };
    let asked = arguments.get("page_size").and_then(as_text_int);
    asked.filter(|asked| *asked > 0).map_or(size, |asked| asked.min(max))
}

fn as_text_int(value: &Value) -> Option<usize> {
    match value {
        Value::Number(number) => number.as_u64().and_then(|number| usize::try_from(number).ok()),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn by_number(rows: &[(Value, Value)], size: usize, arguments: &Map<String, Value>) -> Listed {
    let last = rows.len().div_ceil(size).max(1);
    let asked = arguments.get("page").filter(|page| !page.is_null());
    let page = match asked {
        None => Some(1),
        Some(Value::String(text)) if text == "last" => Some(last),
        Some(page) => as_text_int(page),
    };
    let Some(page) = page.filter(|page| (1..=last).contains(page)) else {
        return Listed::NotFound("Invalid page.".to_owned());
    };
    Listed::Page(json!({
        "count": rows.len(),
        "next": (page < last).then_some(page + 1),
        "previous": (page > 1).then(|| page - 1),
        "results": results(rows, (page - 1) * size, size),
    }))
}

/// A cursor says after which key a page begins, or before which it ends.
fn by_cursor(rows: &[(Value, Value)], size: usize, arguments: &Map<String, Value>) -> Listed {
    let position = |key: &str| rows.iter().position(|(pk, _)| text_of(pk) == key);
    let cursor = arguments.get("cursor").and_then(Value::as_str);
    let begin = match cursor.and_then(|cursor| cursor.split_once(':')) {
        None if cursor.is_some() => return Listed::NotFound("Invalid cursor".to_owned()),
        None => 0,
        Some(("after", key)) => after(rows, key),
        Some((_, key)) => position(key).unwrap_or_default().saturating_sub(size),
    };
    let end = (begin + size).min(rows.len());
    let next = (end < rows.len()).then(|| format!("after:{}", text_of(&rows[end - 1].0)));
    let previous =
        (begin > 0 && begin < rows.len()).then(|| format!("before:{}", text_of(&rows[begin].0)));
    Listed::Page(json!({"next": next, "previous": previous, "results": results(rows, begin, size)}))
}

/// The position behind a key, which may have been deleted.
fn after(rows: &[(Value, Value)], key: &str) -> usize {
    let is_before = |pk: &Value| match (pk.as_i64(), key.parse::<i64>()) {
        (Some(pk), Ok(key)) => pk <= key,
        _ => text_of(pk).as_str() <= key,
    };
    rows.iter().take_while(|(pk, _)| is_before(pk)).count()
}

fn text_of(pk: &Value) -> String {
    pk.as_str().map_or_else(|| pk.to_string(), str::to_owned)
}
