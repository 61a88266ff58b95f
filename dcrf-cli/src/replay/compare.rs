//! What is different in a reply.

use serde::Serialize;
use serde_json::{Map, Value};

/// Not part of the data.
const ENVELOPE: [&str; 4] = ["request_id", "response_status", "action", "errors"];

/// A difference of a reply, at a place in its payload.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Difference {
    pub(crate) field: String,
    pub(crate) recorded: Value,
    pub(crate) replayed: Value,
}

/// The differences of two payloads. The values of the data count only if `is_strict`, otherwise only their names and types.
pub(crate) fn payloads(
    recorded: &Map<String, Value>,
    replayed: &Map<String, Value>,
    is_strict: bool,
) -> Vec<Difference> {
    let mut comparison = Comparison { is_strict, found: Vec::new() };
    for name in ["response_status", "action"] {
        let (recorded, replayed) = (recorded.get(name), replayed.get(name));
        if recorded != replayed {
            let value = |value: Option<&Value>| value.cloned().unwrap_or_default();
            comparison.add(name, value(recorded), value(replayed));
        }
    }
    if !comparison.found.is_empty() {
        // The data of another answer says nothing more.
        return comparison.found;
    }
    let data = |payload: &Map<String, Value>| {
        let mut data = payload.clone();
        data.retain(|name, _| !ENVELOPE.contains(&name.as_str()));
        data
    };
    comparison.objects("", &data(recorded), &data(replayed));
    if is_strict && recorded.get("errors") != replayed.get("errors") {
        let value =
            |payload: &Map<String, Value>| payload.get("errors").cloned().unwrap_or_default();
        comparison.add("errors", value(recorded), value(replayed));
    }
    comparison.found
}

struct Comparison {
    is_strict: bool,
    found: Vec<Difference>,
}

impl Comparison {
    fn add(&mut self, field: &str, recorded: Value, replayed: Value) {
        self.found.push(Difference { field: field.to_owned(), recorded, replayed });
    }

    fn objects(&mut self, at: &str, recorded: &Map<String, Value>, replayed: &Map<String, Value>) {
        let place =
            |name: &str| if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
        for (name, value) in recorded {
            match replayed.get(name) {
                Some(other) => self.values(&place(name), value, other),
                None => self.add(&place(name), self.described(value), "absent".into()),
            }
        }
        for (name, value) in replayed.iter().filter(|(name, _)| !recorded.contains_key(*name)) {
            self.add(&place(name), "absent".into(), self.described(value));
        }
    }

    fn values(&mut self, at: &str, recorded: &Value, replayed: &Value) {
        match (recorded, replayed) {
            (Value::Object(recorded), Value::Object(replayed)) => {
                self.objects(at, recorded, replayed);
            }
            (Value::Array(recorded), Value::Array(replayed)) => self.lists(at, recorded, replayed),
            _ if self.is_strict => {
                if recorded != replayed {
                    self.add(at, recorded.clone(), replayed.clone());
                }
            }
            (Value::Null, _) | (_, Value::Null) => {}
            _ => {
                let (recorded, replayed) = (kind(recorded), kind(replayed));
                if recorded != replayed {
                    self.add(at, recorded.into(), replayed.into());
                }
            }
        }
    }

    fn lists(&mut self, at: &str, recorded: &[Value], replayed: &[Value]) {
        if self.is_strict && recorded.len() != replayed.len() {
            let length = |list: &[Value]| format!("{} items", list.len()).into();
            self.add(at, length(recorded), length(replayed));
        } else if self.is_strict {
            for (index, (recorded, replayed)) in recorded.iter().zip(replayed).enumerate() {
                self.values(&format!("{at}[{index}]"), recorded, replayed);
            }
        } else if let Some(first) = recorded.first() {
            // One wrong item is enough: the others are wrong alike.
            let before = self.found.len();
            for (index, item) in replayed.iter().enumerate() {
                self.values(&format!("{at}[{index}]"), first, item);
                if self.found.len() > before {
                    break;
                }
            }
        }
    }

    fn described(&self, value: &Value) -> Value {
        if self.is_strict { value.clone() } else { kind(value).into() }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn compare(recorded: &Value, replayed: &Value, is_strict: bool) -> Vec<String> {
        let found =
            payloads(recorded.as_object().unwrap(), replayed.as_object().unwrap(), is_strict);
        found
            .iter()
            .map(|one| format!("{}: {} -> {}", one.field, one.recorded, one.replayed))
            .collect()
    }

    #[test]
    fn shapes_are_compared_by_name_and_type() {
        let recorded = json!({"request_id": 1, "response_status": 200, "data": {"a": 1, "b": null, "c": [{"d": "x"}], "e": {}}});
        let same = json!({"request_id": 2, "response_status": 200, "data": {"a": 2.5, "b": "y", "c": [], "e": {}}});
        assert!(compare(&recorded, &same, false).is_empty());
        let other = json!({"response_status": 200, "data": {"a": "1", "c": [{"d": "y"}, {"d": 1}, {"d": 1}], "e": {}, "f": true}});
        assert_eq!(
            compare(&recorded, &other, false),
            [
                r#"data.a: "number" -> "text""#,
                r#"data.b: "null" -> "absent""#,
                r#"data.c[1].d: "text" -> "number""#,
                r#"data.f: "absent" -> "true or false""#,
            ]
        );
    }

    #[test]
    fn strict_comparison_is_by_value() {
        let recorded =
            json!({"request_id": 1, "action": "a", "errors": [], "data": [{"a": 1}, {"a": 2}]});
        assert!(compare(&recorded, &recorded, true).is_empty());
        let other =
            json!({"request_id": 1, "action": "a", "errors": ["x"], "data": [{"a": 1}, {"a": 3}]});
        assert_eq!(
            compare(&recorded, &other, true),
            ["data[1].a: 2 -> 3", r#"errors: [] -> ["x"]"#]
        );
        let shorter = json!({"request_id": 1, "action": "a", "errors": [], "data": []});
        assert_eq!(compare(&recorded, &shorter, true), [r#"data: "2 items" -> "0 items""#]);
    }

    #[test]
    fn another_status_is_the_only_difference() {
        let recorded = json!({"response_status": 201, "action": "create", "data": {"a": 1}});
        let refused =
            json!({"response_status": 400, "action": "create", "errors": ["x"], "data": null});
        assert_eq!(compare(&recorded, &refused, false), ["response_status: 201 -> 400"]);
    }
}
