//! The parts of a large frame that patterns look at. The whole frame as a tree would take 80 times its size.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::is_match::contains;

/// What is compared with the patterns.
pub(super) struct Patterns<'p> {
    /// With the frame.
    pub(super) message: Vec<&'p Value>,
    /// With the frame's `payload`.
    pub(super) payload: Vec<&'p Value>,
}

/// Reads a frame, and keeps only what decides whether it contains these patterns, which are objects. `None` if a part that
/// is kept can't be represented.
pub(super) fn project(text: &str, patterns: Patterns<'_>) -> Option<Value> {
    let Patterns { message, payload } = patterns;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    Part { patterns: message, payload, is_payload: false }.deserialize(&mut deserializer).ok()
}

/// A value of the frame, and the patterns that are compared with it.
struct Part<'p> {
    patterns: Vec<&'p Value>,
    /// The patterns for the key `payload`, in the whole frame only.
    payload: Vec<&'p Value>,
    /// At the top of a payload, an array has the keys of an object.
    is_payload: bool,
}

impl<'p> Part<'p> {
    fn of(patterns: Vec<&'p Value>) -> Self {
        Self { patterns, payload: Vec::new(), is_payload: false }
    }

    /// The part under a key. `None` if no pattern has the key.
    fn at(&self, key: &str) -> Option<Self> {
        let mut patterns: Vec<_> =
            self.patterns.iter().filter_map(|pattern| pattern.as_object()?.get(key)).collect();
        let is_payload = key == "payload" && !self.payload.is_empty();
        if is_payload {
            patterns.extend(&self.payload);
        }
        let part = Self { is_payload, ..Self::of(patterns) };
        (!part.patterns.is_empty()).then_some(part)
    }

    /// An array as the object that JavaScript takes it for.
    fn read_as_object<'de, A: SeqAccess<'de>>(&self, mut items: A) -> Result<Value, A::Error> {
        let keys =
            self.patterns.iter().filter_map(|pattern| pattern.as_object()).flat_map(Map::keys);
        let last = keys.filter_map(|key| key.parse::<usize>().ok()).max();
        let (mut object, mut length) = (Map::new(), 0_usize);
        loop {
            let part =
                last.filter(|last| length <= *last).and_then(|_| self.at(&length.to_string()));
            match part {
                Some(part) => {
                    let Some(item) = items.next_element_seed(part)? else { break };
                    object.insert(length.to_string(), item);
                }
                None if items.next_element::<IgnoredAny>()?.is_none() => break,
                None => {}
            }
            length += 1;
        }
        object.insert("length".to_owned(), length.into());
        Ok(Value::Object(object))
    }
}

impl<'de> DeserializeSeed<'de> for Part<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Part<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            match self.at(&key) {
                // Of a repeated key, the last value counts.
                Some(part) => _ = object.insert(key, entries.next_value_seed(part)?),
                None => _ = entries.next_value::<IgnoredAny>()?,
            }
        }
        Ok(Value::Object(object))
    }

    /// Keeps of an array as many elements as its patterns can take: for each element of a pattern, the first that
    /// contain it, as many as the pattern has elements.
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        if self.is_payload {
            return self.read_as_object(items);
        }
        let mut wanted: Vec<(&Value, usize)> = Vec::new();
        for pattern in self.patterns.iter().filter_map(|pattern| pattern.as_array()) {
            wanted.extend(pattern.iter().map(|element| (element, pattern.len())));
        }
        let mut kept = Vec::new();
        loop {
            if wanted.iter().all(|(_, left)| *left == 0) {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                return Ok(Value::Array(kept));
            }
            let part = Part::of(wanted.iter().map(|(element, _)| *element).collect());
            let Some(item) = items.next_element_seed(part)? else { return Ok(Value::Array(kept)) };
            let mut is_kept = false;
            for (element, left) in &mut wanted {
                if contains(&item, element) {
                    is_kept |= *left > 0;
                    *left = left.saturating_sub(1);
                }
            }
            if is_kept {
                kept.push(item);
            }
        }
    }
}
