//! Selectors agree with a simple second implementation of lodash's `isMatch`, for any object and any pattern.

use dcrf_proto::{Framing, Selector};
use serde_json::Value;

/// The input is an array of the object and the pattern.
pub fn selector(input: &[u8]) {
    let Ok([object, pattern]) = serde_json::from_slice::<[Value; 2]>(input) else { return };
    // lodash converts other values to objects first. The core's tests of selectors cover that.
    if !object.is_object() || !pattern.is_object() {
        return;
    }
    let expected = contains(&object, &pattern);
    let matches = Selector::any().contains(&pattern).matches(Framing::Bare, &object);
    assert_eq!(matches, expected, "{object} and {pattern}");
    let whole = Selector::message(&pattern).matches(Framing::Bare, &object);
    assert_eq!(whole, expected, "{object} and {pattern}");
}

fn contains(value: &Value, pattern: &Value) -> bool {
    match (value, pattern) {
        (Value::Object(value), Value::Object(pattern)) => pattern
            .iter()
            .all(|(key, expected)| value.get(key).is_some_and(|value| contains(value, expected))),
        (Value::Array(value), Value::Array(pattern)) => {
            let mut free: Vec<&Value> = value.iter().collect();
            pattern.iter().all(|expected| {
                let found = free.iter().position(|value| contains(value, expected));
                found.map(|at| free.remove(at)).is_some()
            })
        }
        (Value::Number(value), Value::Number(pattern)) => {
            let is_float = value.is_f64() || pattern.is_f64();
            if is_float { value.as_f64() == pattern.as_f64() } else { value == pattern }
        }
        _ => value == pattern,
    }
}
