//! The forms of a list in pages.

use serde_json::{Map, Value, json};

use super::cursor::{self, NoPage};
use super::python;
use super::row::Row;

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
    /// Panics if a page can be empty, which no paginator of Django accepts.
    pub(super) fn check(&self) {
        let (size, max) = match *self {
            Self::Offset { default_limit, max_limit } => (default_limit, max_limit),
            Self::Streamed { default_limit } => (default_limit, None),
            Self::Number { size, max_size } | Self::Cursor { size, max_size } => (size, max_size),
        };
        assert!(size > 0 && max != Some(0), "a page has at least one row");
    }

    /// `page_size` is what the stream has been asked for before.
    pub(super) fn list(
        &self,
        rows: &[Row<'_>],
        arguments: &Map<String, Value>,
        page_size: &mut Option<usize>,
    ) -> Listed {
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
                by_number(rows, size_of(arguments, max_size).unwrap_or(size), arguments)
            }
            Self::Cursor { size, max_size } => {
                *page_size = size_of(arguments, max_size).or(*page_size);
                match cursor::list(rows, page_size.unwrap_or(size), arguments) {
                    Ok(page) => Listed::Page(page),
                    Err(NoPage::InvalidCursor) => Listed::NotFound("Invalid cursor".to_owned()),
                    Err(NoPage::Raised) => Listed::Raised,
                }
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
    let number = python::int(value).and_then(|number| usize::try_from(number).ok());
    Some(number.filter(|number| *number > 0 || !is_strict).unwrap_or(default))
}

fn results(rows: &[Row<'_>], skip: usize, take: usize) -> Vec<Value> {
    rows.iter().skip(skip).take(take).map(|row| Value::Object(row.serialize())).collect()
}

fn by_offset(rows: &[Row<'_>], limit: usize, offset: usize) -> Value {
    let results = results(rows, offset, limit);
    json!({"count": rows.len(), "results": results, "limit": limit, "offset": offset})
}

/// The argument `page_size`, if it is valid.
fn size_of(arguments: &Map<String, Value>, max_size: Option<usize>) -> Option<usize> {
    let asked = python::int_of_text(&parameter(arguments, "page_size")?)?;
    let size = usize::try_from(asked).ok().filter(|size| *size > 0)?;
    max_size.map(|max| size.min(max))
}

/// An argument as text, as the paginators expect the parameters of a URL.
fn parameter(arguments: &Map<String, Value>, name: &str) -> Option<String> {
    arguments.get(name).filter(|value| !value.is_null()).map(python::text)
}

fn by_number(rows: &[Row<'_>], size: usize, arguments: &Map<String, Value>) -> Listed {
    let last = rows.len().div_ceil(size).max(1);
    let asked = parameter(arguments, "page").filter(|page| !page.is_empty());
    let page = match asked.as_deref() {
        None => Some(1),
        Some("last") => Some(last),
        Some(page) => python::int_of_text(page).and_then(|page| usize::try_from(page).ok()),
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
