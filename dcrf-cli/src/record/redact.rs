//! Removes values from frames: each becomes a placeholder of the same JSON type.

use std::borrow::Cow;

use indexmap::IndexMap;
use serde_json::Value;
use serde_json::value::RawValue;

/// The fields with what is redacted of every frame with `--redact-all`: the data, and the errors, which can quote it.
const ALL: [&str; 2] = ["data", "errors"];
const PLACEHOLDER: &str = "\"…\"";
/// A value that is nested deeper is like one that is no JSON.
const DEEPEST: usize = 100;

/// Which values are redacted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Redaction {
    fields: Vec<String>,
}

impl Redaction {
    pub(crate) fn new(fields: &[String], all: bool) -> Self {
        let all = ALL.iter().filter(|_| all).map(|&name| name.to_owned());
        Self { fields: fields.iter().cloned().chain(all).collect() }
    }

    /// The frame without the values. A frame that is no JSON is replaced as a whole, since nothing is known of it.
    pub(crate) fn apply<'a>(&self, frame: &'a str) -> Cow<'a, str> {
        if self.fields.is_empty() {
            return Cow::Borrowed(frame);
        }
        Cow::Owned(self.value(frame, false, 0).unwrap_or_else(|| PLACEHOLDER.to_owned()))
    }

    /// The value with its redacted fields, or without anything of it. `None` if it is no JSON.
    fn value(&self, json: &str, is_redacted: bool, depth: usize) -> Option<String> {
        let json = json.trim();
        if depth > DEEPEST {
            return None;
        }
        match json.as_bytes().first()? {
            b'{' => {
                let fields: IndexMap<String, &RawValue> = serde_json::from_str(json).ok()?;
                let fields = fields.into_iter().map(|(name, value)| {
                    let is_redacted = is_redacted || self.fields.contains(&name);
                    let value = self.value(value.get(), is_redacted, depth + 1)?;
                    Some(format!("{}: {value}", Value::from(name)))
                });
                Some(format!("{{{}}}", fields.collect::<Option<Vec<_>>>()?.join(", ")))
            }
            b'[' => {
                let items: Vec<&RawValue> = serde_json::from_str(json).ok()?;
                let items =
                    items.into_iter().map(|item| self.value(item.get(), is_redacted, depth + 1));
                Some(format!("[{}]", items.collect::<Option<Vec<_>>>()?.join(", ")))
            }
            b'"' if is_redacted => Some(PLACEHOLDER.to_owned()),
            b'"' => self.text(json, depth),
            b't' | b'f' if is_redacted => Some("false".to_owned()),
            b'n' => serde_json::from_str::<()>(json).ok().map(|()| json.to_owned()),
            _ if is_redacted => Some("0".to_owned()),
            _ => serde_json::from_str::<&RawValue>(json).ok().map(|value| value.get().to_owned()),
        }
    }

    /// A text, which can be JSON again. One that only mentions a field like JSON does is replaced as a whole.
    fn text(&self, json: &str, depth: usize) -> Option<String> {
        let text: String = serde_json::from_str(json).ok()?;
        let is_json = text.trim_start().starts_with(['{', '[']);
        if let Some(inner) = is_json.then(|| self.value(&text, false, depth + 1)).flatten() {
            return Some(Value::from(inner).to_string());
        }
        let has_field = |name: &String| {
            let quoted = |quote: char| text.contains(&format!("{quote}{name}{quote}"));
            is_json && text.contains(name.as_str()) || quoted('"') || quoted('\'')
        };
        let is_safe = !self.fields.iter().any(has_field);
        Some(if is_safe { json.to_owned() } else { PLACEHOLDER.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(fields: &[&str], all: bool, frame: &str) -> String {
        let fields: Vec<_> = fields.iter().map(|&field| field.to_owned()).collect();
        Redaction::new(&fields, all).apply(frame).into_owned()
    }

    #[test]
    fn fields_are_redacted_at_any_depth() {
        let frame = r#"{"stream": "s", "payload": {"b": 1.10, "pw": "x", "data": [{"pw": {"k": [1, true, null, "x"]}, "a": "pw"}]}}"#;
        assert_eq!(
            redacted(&["pw"], false, frame),
            r#"{"stream": "s", "payload": {"b": 1.10, "pw": "…", "data": [{"pw": {"k": [0, false, null, "…"]}, "a": "pw"}]}}"#
        );
        assert_eq!(redacted(&[], false, " {\"a\":1}"), " {\"a\":1}");
    }

    #[test]
    fn all_data_is_redacted_and_the_rest_is_kept() {
        let frame = r#"{"action": "list", "errors": ["x"], "response_status": 200, "data": [{"pk": 7}], "request_id": "7"}"#;
        assert_eq!(
            redacted(&[], true, frame),
            r#"{"action": "list", "errors": ["…"], "response_status": 200, "data": [{"pk": 0}], "request_id": "7"}"#
        );
    }

    #[test]
    fn json_in_a_text_and_frames_that_are_no_json_keep_nothing() {
        assert_eq!(
            redacted(&["pw"], false, r#"{"m": "{\"pw\": \"hunter2\"}", "t": "{hunter"}"#),
            r#"{"m": "{\"pw\": \"…\"}", "t": "{hunter"}"#
        );
        for text in
            [r#"{\"pw\": \"hunter2\"} "#, r#"error in {\"pw\": \"hunter2\"}"#, "{'pw': 'hunter2'}"]
        {
            let text = Value::from(text.replace('\\', "") + "x").to_string();
            assert_eq!(redacted(&["pw"], false, &format!(r#"{{"m": {text}}}"#)), r#"{"m": "…"}"#);
        }
        let deep =
            format!(r#"{{"a": {}{}, "pw": "hunter2"}}"#, "[".repeat(20_000), "]".repeat(20_000));
        assert_eq!(redacted(&["pw"], false, &deep), "\"…\"");
        for frame in ["hunter2", "{\"pw\": \"hunter2\"", "", "{\"data\": NaN, \"pw\": \"hunter2\"}"]
        {
            assert_eq!(redacted(&["pw"], false, frame), "\"…\"", "{frame}");
        }
        // The same name twice, or written with escapes.
        let twice = redacted(&["pw"], false, r#"{"pw": "hunter2", "p\u0077": "hunter2"}"#);
        assert!(!twice.contains("hunter2"), "{twice}");
    }
}
