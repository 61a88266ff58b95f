//! lodash's `isMatch` over JSON: whether a value holds a pattern. It owns the comparison and no more; what is
//! compared with what is the selector's business.
//!
//! `tests/selectors.rs` compares it with lodash itself, pair by pair. Two things differ, both on purpose:
//!
//! - JavaScript reads every number as a double, and so takes 2^53 and 2^53 + 1 for the same. Here integers
//!   are compared exactly, as far as `serde_json` holds them (64 bits; above, they are doubles too).
//! - Keys are a value's own. JavaScript also finds `__proto__` in each object that has no such key.
//!
//! It calls itself as deep as the pattern goes, however deep the value is; and a pattern has passed
//! `serde_json`'s parser, which refuses more than 127 levels. The work is at most the size of the pattern times
//! the size of the value, since arrays are compared without ever going back on a choice.

use std::borrow::Cow;

use serde_json::{Map, Number, Value};

/// `isMatch(object, pattern)`: the keys of the pattern, each compared with [`holds`].
///
/// At the top, and only there, lodash does not ask what kind of value it has before it: arrays and strings
/// are objects with the keys `"0"`, `"1"` and so on, and other values have no keys, so that as a pattern they
/// match anything.
pub(super) fn is_match(object: &Value, pattern: &Value) -> bool {
    match (object, pattern) {
        (Value::Object(object), Value::Object(pattern)) => holds_keys(object, pattern),
        // JavaScript's characters are units of UTF-16. Half of a surrogate pair is no text that JSON can hold here,
        // so beside another string nothing equals it.
        (Value::String(object), Value::String(pattern)) => object.starts_with(&**pattern),
        (_, Value::String(pattern)) if pattern.chars().any(|letter| letter.len_utf16() > 1) => {
            false
        }
        _ => {
            let mut own = keys(object);
            if let Some(length) = length(object) {
                own.to_mut().insert("length".to_owned(), length.into());
            }
            holds_keys(&own, &keys(pattern))
        }
    }
}

/// Whether `value` is equal to `pattern`, or holds it: in objects the pattern's keys, in arrays its elements
/// in any order.
fn holds(value: &Value, pattern: &Value) -> bool {
    match (value, pattern) {
        (Value::Object(value), Value::Object(pattern)) => holds_keys(value, pattern),
        (Value::Array(value), Value::Array(pattern)) => holds_elements(value, pattern),
        (Value::Number(value), Value::Number(pattern)) => same_number(value, pattern),
        _ => value == pattern,
    }
}

/// A key that is missing holds nothing, not even null.
fn holds_keys(object: &Map<String, Value>, pattern: &Map<String, Value>) -> bool {
    pattern.iter().all(|(key, wanted)| object.get(key).is_some_and(|value| holds(value, wanted)))
}

/// Each element of the pattern takes the first element that holds it and that none before it has taken. So
/// `[{"a": 1}, {"a": 1, "b": 2}]` does not match `[{"a": 1, "b": 2}, {"a": 1}]`, although another choice would.
fn holds_elements(array: &[Value], pattern: &[Value]) -> bool {
    if pattern.len() > array.len() {
        return false;
    }
    let mut taken = vec![false; array.len()];
    pattern.iter().all(|wanted| {
        let mut free = array.iter().zip(&mut taken).filter(|(_, taken)| !**taken);
        free.find(|(value, _)| holds(value, wanted)).map(|(_, taken)| *taken = true).is_some()
    })
}

/// 1 and 1.0 are the same, as are 0 and -0.0.
fn same_number(one: &Number, other: &Number) -> bool {
    match (integer(one), integer(other)) {
        (Some(one), Some(other)) => one == other,
        _ => one.as_f64() == other.as_f64(),
    }
}

fn integer(number: &Number) -> Option<i128> {
    number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
}

/// What JavaScript's `Object.keys` finds, with the values.
fn keys(value: &Value) -> Cow<'_, Map<String, Value>> {
    match value {
        Value::Object(object) => Cow::Borrowed(object),
        Value::Array(array) => {
            let numbered = array.iter().enumerate();
            Cow::Owned(numbered.map(|(at, value)| (at.to_string(), value.clone())).collect())
        }
        Value::String(text) => {
            let letters = text.encode_utf16().map(|unit| char::from_u32(unit.into()));
            let numbered = letters.enumerate();
            let whole = numbered.filter_map(|(at, letter)| Some((at.to_string(), letter?)));
            Cow::Owned(whole.map(|(at, letter)| (at, letter.to_string().into())).collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => Cow::Owned(Map::new()),
    }
}

/// The `length` that arrays and strings have beside their keys.
fn length(value: &Value) -> Option<usize> {
    match value {
        Value::Array(array) => Some(array.len()),
        Value::String(text) => Some(text.encode_utf16().count()),
        _ => None,
    }
}
