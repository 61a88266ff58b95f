//! Django REST Framework's `CursorPagination`, with its cursors: base64 of `r=1&p=20`.

use data_encoding::{BASE64, BASE64_MIME_PERMISSIVE};
use serde_json::{Map, Value, json};

use super::python;
use super::row::Row;

/// The largest offset of a cursor.
const OFFSET_CUTOFF: i128 = 1000;

#[derive(Default)]
struct Cursor {
    offset: usize,
    is_reverse: bool,
    /// The key behind which a page begins, or before which it ends.
    position: Option<String>,
}

/// What a link to the page behind or before this one depends on.
struct Side<'a> {
    /// The keys of this page, from the side of the link on.
    keys: Vec<&'a str>,
    /// The position at this side, if there are more rows.
    position: Option<String>,
    other: Option<String>,
    has_other: bool,
    /// Whether the page's cursor goes in the direction of the link.
    is_along: bool,
    offset: usize,
    size: usize,
    is_reverse: bool,
}

/// Why there is no page.
pub(super) enum NoPage {
    InvalidCursor,
    /// Django raises, since the position is not a key.
    Raised,
}

/// The page that the argument `cursor` selects.
pub(super) fn list(
    rows: &[Row<'_>],
    size: usize,
    arguments: &Map<String, Value>,
) -> Result<Value, NoPage> {
    let cursor = match arguments.get("cursor").filter(|cursor| !cursor.is_null()) {
        Some(text) => match Cursor::decode(&python::text(text)) {
            Some(cursor) => Some(cursor),
            None => return Err(NoPage::InvalidCursor),
        },
        None => None,
    };
    let Cursor { offset, is_reverse, position } = cursor.unwrap_or_default();
    let mut rows: Vec<_> =
        rows.iter().map(|row| (row.pk(), python::text(&row.pk()), row)).collect();
    rows.sort_by(|(.., a), (.., b)| a.key.cmp(b.key));
    if let Some(position) = &position {
        let number = python::int_of_text(position);
        if number.is_none() && rows.iter().any(|(pk, ..)| pk.is_number()) {
            return Err(NoPage::Raised);
        }
        let is_behind = |(pk, text, _): &(Value, String, &Row<'_>)| match (python::int(pk), number)
        {
            (Some(pk), Some(number)) if !is_reverse => pk > number,
            (Some(pk), Some(number)) => pk < number,
            _ if is_reverse => text < position,
            _ => text > position,
        };
        rows.retain(is_behind);
    }
    if is_reverse {
        rows.reverse();
    }
    rows.drain(..offset.min(rows.len()));
    let following = rows.get(size).map(|(_, text, _)| text.clone());
    rows.truncate(size);
    let has_before = position.is_some() || offset > 0;
    let mut keys: Vec<&str> = rows.iter().map(|(_, text, _)| text.as_str()).collect();
    let mut results: Vec<_> = rows.iter().map(|(_, _, row)| row.serialize()).collect();
    let (next, previous, has_next, has_previous) = if is_reverse {
        keys.reverse();
        results.reverse();
        let has_previous = following.is_some();
        (position, following, has_before, has_previous)
    } else {
        let has_next = following.is_some();
        (following, position, has_next, has_before)
    };
    let seen_from = |link_is_reverse: bool| {
        let (position, other, has_other) = if link_is_reverse {
            (previous.clone(), next.clone(), has_next)
        } else {
            (next.clone(), previous.clone(), has_previous)
        };
        let keys = keys.iter().copied();
        let keys = if link_is_reverse { keys.collect() } else { keys.rev().collect() };
        let is_along = is_reverse == link_is_reverse;
        Side {
            keys,
            position,
            other,
            has_other,
            is_along,
            offset,
            size,
            is_reverse: link_is_reverse,
        }
    };
    let next = has_next.then(|| seen_from(false).link());
    let previous = has_previous.then(|| seen_from(true).link());
    Ok(json!({"next": next, "previous": previous, "results": results}))
}

impl Side<'_> {
    /// `get_next_link` and `get_previous_link`.
    fn link(&self) -> String {
        let turns = !self.is_along && self.offset != 0;
        let first = self.keys.first().map(|key| (*key).to_owned());
        let mut compare = if turns && first.is_some() { first } else { self.position.clone() };
        let (mut offset, mut found) = (0, None);
        for key in &self.keys {
            if compare.as_deref() != Some(key) {
                found = Some((*key).to_owned());
                break;
            }
            compare = Some((*key).to_owned());
            offset += 1;
        }
        let (offset, position) = if self.keys.is_empty() {
            (0, self.position.clone())
        } else if found.is_some() {
            (offset, found)
        } else if !self.has_other {
            (self.size, None)
        } else if self.is_along {
            (self.offset + self.size, self.other.clone())
        } else {
            (0, self.other.clone())
        };
        Cursor { offset, is_reverse: self.is_reverse, position }.encode()
    }
}

impl Cursor {
    fn decode(text: &str) -> Option<Self> {
        let query = String::from_utf8(from_base64(text)?).ok().filter(|query| query.is_ascii())?;
        let value = |name: &str| {
            let mut pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
            pairs.find(|(its, _)| *its == name).map(|(_, value)| value)
        };
        let offset = python::int_of_text(value("o").unwrap_or("0"))?.min(OFFSET_CUTOFF);
        let offset = usize::try_from(offset).ok()?;
        let is_reverse = python::int_of_text(value("r").unwrap_or("0"))? != 0;
        Some(Self { offset, is_reverse, position: value("p").map(str::to_owned) })
    }

    fn encode(&self) -> String {
        let offset = (self.offset != 0).then(|| format!("o={}", self.offset));
        let reverse = self.is_reverse.then(|| "r=1".to_owned());
        let position = self.position.as_ref().map(|position| format!("p={position}"));
        let parts: Vec<_> = [offset, reverse, position].into_iter().flatten().collect();
        BASE64.encode(parts.join("&").as_bytes())
    }
}

/// As Python's `b64decode`: ignores letters outside the alphabet and everything behind the padding, which must be complete.
fn from_base64(text: &str) -> Option<Vec<u8>> {
    let is_letter = |letter: &char| letter.is_ascii_alphanumeric() || "+/=".contains(*letter);
    let letters: String = text.is_ascii().then(|| text.chars().filter(is_letter).collect())?;
    let data = letters.trim_start_matches('=').split('=').next().unwrap_or_default();
    let padded = data.len().next_multiple_of(4);
    let padding = letters.trim_start_matches('=').len() - data.len();
    if data.len() + padding < padded {
        return None;
    }
    let padded = format!("{data:=<padded$}");
    BASE64_MIME_PERMISSIVE.decode(padded.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_python() {
        for text in ["", "p", "p=", "p=2", "r=1&p=20", "o=5"] {
            let encoded = BASE64.encode(text.as_bytes());
            assert_eq!(from_base64(&encoded).as_deref(), Some(text.as_bytes()), "{encoded}");
        }
        assert_eq!(from_base64("c:D0yMA==cD0").as_deref(), Some(b"p=20".as_slice()));
        assert_eq!([from_base64("abc"), from_base64("é"), from_base64("[1]")], [None, None, None]);
    }
}
