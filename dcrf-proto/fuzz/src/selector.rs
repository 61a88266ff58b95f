//! Any object and any pattern: the selector says what lodash's `isMatch` would, written down anew without a thought of
//! speed.

use dcrf_proto::{Framing, Selector};
use serde_json::Value;

/// An array of two: the object and the pattern.
pub fn selector(input: &[u8]) {
    let Ok([object, pattern]) = serde_json::from_slice::<[Value; 2]>(input) else { return };
    // Of other kinds lodash makes objects first, which `dcrf-proto/tests/selectors.rs` knows.
    if !object.is_object() || !pattern.is_object() {
        return;
    }
    let expected = holds(&object, &pattern);
    let matches = Selector::any().contains(&pattern).matches(Framing::Bare, &object);
    assert_eq!(matches, expected, "{object} and {pattern}");
    let whole = Selector::message(&pattern).matches(Framing::Bare, &object);
    assert_eq!(whole, expected, "{object} and {pattern}");
}

fn holds(value: &Value, pattern: &Value) -> bool {
    match (value, pattern) {
        (Value::Object(value), Value::Object(pattern)) => pattern
            .iter()
            .all(|(key, wanted)| value.get(key).is_some_and(|value| holds(value, wanted))),
        (Value::Array(value), Value::Array(pattern)) => {
            let mut free: Vec<&Value> = value.iter().collect();
            pattern.iter().all(|wanted| {
                let found = free.iter().position(|value| holds(value, wanted));
                found.map(|at| free.remove(at)).is_some()
            })
        }
        (Value::Number(value), Value::Number(pattern)) => {
            let exact = value.is_f64() || pattern.is_f64();
            if exact { value.as_f64() == pattern.as_f64() } else { value == pattern }
        }
        _ => value == pattern,
    }
}
