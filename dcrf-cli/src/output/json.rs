//! JSON as text: indented, or on one line. Numbers and the order of fields stay as the server sent them.

use std::fmt::Write as _;

use dcrf_tokio::{Json, Page};
use indexmap::IndexMap;
use serde_json::value::RawValue;

/// What is nested deeper stays on one line.
const DEEPEST: usize = 100;

/// The rows of a list or of a page.
pub(crate) fn rows(data: &Json) -> Option<Vec<Json>> {
    match data.as_str().as_bytes().first() {
        Some(b'[') => data.decode().ok(),
        Some(b'{') => data.decode::<Page<Json>>().ok().map(|page| page.results),
        _ => None,
    }
}

/// The document with each item on a line of its own.
pub(crate) fn indented(json: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    indent(json, 0, &mut out);
    out
}

fn indent(json: &str, depth: usize, out: &mut String) {
    let new_line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    };
    if depth > DEEPEST {
        out.push_str(&compact(json));
    } else if let Some(items) = list(json).filter(|items| !items.is_empty()) {
        out.push('[');
        for (at, item) in items.iter().enumerate() {
            out.push_str(if at > 0 { "," } else { "" });
            new_line(out, depth + 1);
            indent(item.get(), depth + 1, out);
        }
        new_line(out, depth);
        out.push(']');
    } else if let Some(fields) = object(json).filter(|fields| !fields.is_empty()) {
        out.push('{');
        for (at, (name, value)) in fields.iter().enumerate() {
            out.push_str(if at > 0 { "," } else { "" });
            new_line(out, depth + 1);
            let _ = write!(out, "{}: ", serde_json::Value::from(name.as_str()));
            indent(value.get(), depth + 1, out);
        }
        new_line(out, depth);
        out.push('}');
    } else {
        out.push_str(&compact(json));
    }
}

fn list(json: &str) -> Option<Vec<&RawValue>> {
    if json.starts_with('[') { serde_json::from_str(json).ok() } else { None }
}

fn object(json: &str) -> Option<IndexMap<String, &RawValue>> {
    if json.starts_with('{') { serde_json::from_str(json).ok() } else { None }
}

/// The document on one line. Text without line breaks stays as it is.
pub(crate) fn one_line(json: &str) -> String {
    if json.contains(['\n', '\r']) { compact(json) } else { json.to_owned() }
}

/// The document without white space between its tokens.
fn compact(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let (mut is_string, mut is_escaped) = (false, false);
    for c in json.chars() {
        if is_string || !c.is_ascii_whitespace() {
            out.push(c);
        }
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' if is_string => is_escaped = true,
            '"' => is_string = !is_string,
            _ => {}
        }
    }
    out
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
    fn rows_are_those_of_a_list_or_a_page() {
        let json = |text: &str| serde_json::from_str::<Json>(text).unwrap();
        assert_eq!(rows(&json("[1, 2]")).unwrap().len(), 2);
        let page = r#"{"count": 3, "limit": 2, "offset": 0, "results": [{"id": 1}]}"#;
        assert_eq!(rows(&json(page)).unwrap()[0].as_str(), r#"{"id": 1}"#);
        assert!(rows(&json(r#"{"id": 1}"#)).is_none() && rows(&json("null")).is_none());
    }
}
