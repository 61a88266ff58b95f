//! lodash's `isMatch` for JSON: whether a value contains a pattern.
//!
//! The tests in `selectors.rs` compare it with lodash. Two differences are intended:
//!
//! - Integers of up to 64 bits are compared exactly. JavaScript reads numbers as doubles, so 2^53 equals 2^53 + 1.
//! - Only an object's own keys count. JavaScript also finds `__proto__` in every object.
//!
//! The recursion is as deep as the pattern, and `serde_json`'s parser limits patterns to 127 levels. The time is at most
//! proportional to the size of the pattern times the size of the value, since array elements are matched greedily.

use std::borrow::Cow;

use serde_json::{Map, Number, Value};

/// `isMatch(object, pattern)`: whether each key of the pattern has a value that [`contains`] the pattern's.
///
/// At the top level only, lodash treats every value as an object: arrays and strings have the keys `"0"`, `"1"` and so
/// on, and other values have none, so such a pattern matches everything.
pub(super) fn is_match(object: &Value, pattern: &Value) -> bool {
    match (object, pattern) {
        (Value::Object(object), Value::Object(pattern)) => contains_keys(object, pattern),
        // JavaScript's characters are UTF-16 code units. `serde_json` can't represent half of a surrogate pair, so only
        // another string, compared above, can match such a character.
        (Value::String(object), Value::String(pattern)) => object.starts_with(&**pattern),
        (_, Value::String(pattern)) if pattern.chars().any(|letter| letter.len_utf16() > 1) => {
            false
        }
        _ => entries(pattern).iter().all(|(key, expected)| {
            own(object, key).is_some_and(|value| contains(&value, expected))
        }),
    }
}

/// Whether `value` equals `pattern` or contains it: an object the pattern's keys, an array its elements in any order.
pub(super) fn contains(value: &Value, pattern: &Value) -> bool {
    match (value, pattern) {
        (Value::Object(value), Value::Object(pattern)) => contains_keys(value, pattern),
        (Value::Array(value), Value::Array(pattern)) => contains_elements(value, pattern),
        (Value::Number(value), Value::Number(pattern)) => same_number(value, pattern),
        _ => value == pattern,
    }
}

/// A missing key does not match null.
fn contains_keys(object: &Map<String, Value>, pattern: &Map<String, Value>) -> bool {
    pattern
        .iter()
        .all(|(key, expected)| object.get(key).is_some_and(|value| contains(value, expected)))
}

/// Each element of the pattern takes the first free element that contains it, and does not backtrack. So
/// `[{"a": 1}, {"a": 1, "b": 2}]` does not match `[{"a": 1, "b": 2}, {"a": 1}]`, although another assignment would.
fn contains_elements(array: &[Value], pattern: &[Value]) -> bool {
    if pattern.len() > array.len() {
        return false;
    }
    let mut taken = vec![false; array.len()];
    pattern.iter().all(|expected| {
        let mut free = array.iter().zip(&mut taken).filter(|(_, taken)| !**taken);
        free.find(|(value, _)| contains(value, expected)).map(|(_, taken)| *taken = true).is_some()
    })
}

/// 1 equals 1.0, and 0 equals -0.0.
fn same_number(one: &Number, other: &Number) -> bool {
    match (integer(one), integer(other)) {
        (Some(one), Some(other)) => one == other,
        _ => one.as_f64() == other.as_f64(),
    }
}

fn integer(number: &Number) -> Option<i128> {
    number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
}

/// The entries that JavaScript's `Object.entries` returns.
fn entries(value: &Value) -> Cow<'_, Map<String, Value>> {
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

/// The value of a key in JavaScript: arrays and strings have indices and a `length`.
fn own<'v>(value: &'v Value, key: &str) -> Option<Cow<'v, Value>> {
    let index = || key.parse::<usize>().ok().filter(|index| index.to_string() == key);
    match value {
        Value::Object(object) => object.get(key).map(Cow::Borrowed),
        Value::Array(array) if key == "length" => Some(Cow::Owned(array.len().into())),
        Value::Array(array) => array.get(index()?).map(Cow::Borrowed),
        Value::String(text) if key == "length" => {
            Some(Cow::Owned(text.encode_utf16().count().into()))
        }
        Value::String(text) => {
            let letter = char::from_u32(text.encode_utf16().nth(index()?)?.into())?;
            Some(Cow::Owned(letter.to_string().into()))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}
