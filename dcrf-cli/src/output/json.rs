//! JSON as text: indented, or on one line. Numbers and the order of fields stay as the server sent them.

use std::borrow::Cow;
use std::fmt::Write as _;

use dcrf_tokio::Json;

use crate::escape;

/// What is nested deeper stays on one line.
const DEEPEST: usize = 100;

/// The items of a list.
pub(crate) fn rows(data: &Json) -> Option<Vec<Json>> {
    if data.as_str().starts_with('[') { data.decode().ok() } else { None }
}

/// The document with each item on a line of its own.
pub(crate) fn indented(json: &str) -> String {
    let json = compact(json);
    let mut out = String::with_capacity(json.len() * 2);
    let mut depth: usize = 0;
    let mut strings = Strings::default();
    let mut chars = json.chars().peekable();
    while let Some(c) = chars.next() {
        if strings.contain(c) {
            out.push(c);
            continue;
        }
        match c {
            '{' | '[' if chars.peek().is_some_and(|&next| matches!(next, '}' | ']')) => {
                out.push(c);
                out.extend(chars.next());
            }
            '{' | '[' => {
                out.push(c);
                depth += 1;
                new_line(depth, depth, &mut out);
            }
            '}' | ']' => {
                new_line(depth, depth.saturating_sub(1), &mut out);
                depth = depth.saturating_sub(1);
                out.push(c);
            }
            ',' => {
                out.push(c);
                new_line(depth, depth, &mut out);
            }
            ':' if depth <= DEEPEST => out.push_str(": "),
            _ => out.push(c),
        }
    }
    out
}

/// Begins a line of an item at this depth.
fn new_line(depth: usize, indent: usize, out: &mut String) {
    if depth <= DEEPEST {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", indent));
    }
}

/// The document on one line. Text without line breaks stays as it is.
pub(crate) fn one_line(json: &str) -> String {
    if json.contains(['\n', '\r']) { compact(json) } else { json.to_owned() }
}

/// The document without white space between its tokens.
fn compact(json: &str) -> String {
    let mut strings = Strings::default();
    json.chars().filter(|&c| strings.contain(c) || !c.is_ascii_whitespace()).collect()
}

/// Follows the strings of a document.
#[derive(Default)]
struct Strings {
    is_within: bool,
    is_escaped: bool,
}

impl Strings {
    /// Whether this character, the next of the document, belongs to a string.
    fn contain(&mut self, c: char) -> bool {
        let was_within = self.is_within;
        match c {
            _ if self.is_escaped => self.is_escaped = false,
            '\\' if self.is_within => self.is_escaped = true,
            '"' => self.is_within = !self.is_within,
            _ => {}
        }
        was_within || c == '"'
    }
}

/// The same document without characters that a terminal could take for commands.
pub(crate) fn for_terminal(json: &str) -> Cow<'_, str> {
    let is_unsafe = |c: char| c != '\n' && escape::is_unsafe(c);
    if !json.contains(is_unsafe) {
        return json.into();
    }
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        if is_unsafe(c) {
            let _ = write!(safe, "\\u{:04x}", u32::from(c));
        } else {
            safe.push(c);
        }
    }
    safe.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_keep_order_and_numbers() {
        let json = r#"{"b": 1.10, "a": [1, {"c": "x\" y"}], "n": 123456789012345678901234567890, "e": {}, "l": [ ]}"#;
        let expected = "{\n  \"b\": 1.10,\n  \"a\": [\n    1,\n    {\n      \"c\": \"x\\\" y\"\n    }\n  ],\n  \"n\": \
                        123456789012345678901234567890,\n  \"e\": {},\n  \"l\": []\n}";
        assert_eq!(indented(json), expected);
        let deep = "[".repeat(20_000) + &"]".repeat(20_000);
        assert!(indented(&deep).contains(&deep[..19_000]));
        assert_eq!(one_line("{\n \"a\": \"b \\\" c\"}"), r#"{"a":"b \" c"}"#);
        assert_eq!(one_line(r#"{"a": 1}"#), r#"{"a": 1}"#);
    }

    #[test]
    fn deep_documents_are_linear() {
        let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        let lines = indented(&deep);
        assert_eq!((lines.lines().count(), compact(&lines)), (2 * DEEPEST + 1, deep));
    }

    #[test]
    fn terminals_get_no_commands() {
        let json = "{\"a\": \"\u{9b}31m \u{202e}é\"}";
        let safe = for_terminal(json);
        assert_eq!(safe, r#"{"a": "\u009b31m \u202eé"}"#);
        let decode = |json: &str| serde_json::from_str::<serde_json::Value>(json).unwrap();
        assert_eq!(decode(&safe), decode(json));
    }

    #[test]
    fn rows_are_those_of_a_list() {
        let json = |text: &str| serde_json::from_str::<Json>(text).unwrap();
        assert_eq!(rows(&json("[1, 2]")).unwrap().len(), 2);
        let page = r#"{"count": 3, "limit": 2, "offset": 0, "results": [{"id": 1}]}"#;
        assert!(rows(&json(page)).is_none());
        assert!(rows(&json(r#"{"id": 1}"#)).is_none() && rows(&json("null")).is_none());
    }
}
