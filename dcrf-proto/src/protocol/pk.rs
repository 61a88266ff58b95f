//! Primary keys in delete events: where they stand, and under which name they are delivered (S10).

use std::borrow::Cow;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::protocol::json::Json;

/// The primary key of an object: an integer, or text such as a UUID.
///
/// ```
/// use dcrf_proto::Pk;
///
/// assert_eq!(Pk::from(7), 7);
/// assert_eq!(Pk::from("a113677d"), "a113677d");
/// assert_eq!(Pk::Number(7).to_string(), "7");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Pk {
    /// An integer key.
    Number(i64),
    /// A text key. Django writes UUIDs this way.
    Text(String),
}

impl fmt::Display for Pk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

impl From<i64> for Pk {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<&str> for Pk {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Pk {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl PartialEq<i64> for Pk {
    fn eq(&self, other: &i64) -> bool {
        matches!(self, Self::Number(number) if number == other)
    }
}

impl PartialEq<&str> for Pk {
    fn eq(&self, other: &&str) -> bool {
        matches!(self, Self::Text(text) if text == other)
    }
}

/// A delete event: which object is gone.
///
/// `Debug` shows neither the key nor the data, since payloads stay out of logs (X1).
///
/// ```
/// # use dcrf_proto::{Change, Deleted};
/// fn gone(change: Change<String>) -> Option<String> {
///     match change {
///         Change::Delete(Deleted { pk: Some(pk), .. }) => Some(pk.to_string()),
///         _ => None,
///     }
/// }
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deleted {
    /// The primary key; `None` when the event names none under `pk` or the configured field.
    pub pk: Option<Pk>,
    /// The event's data, with the key under the configured name unless
    /// [`Config::ensure_pk_field_in_delete_events`](crate::Config) is off (S10). The event of an instance holds
    /// the key alone; a feed with a serializer sends the whole object as it was.
    pub data: Json,
}

impl fmt::Debug for Deleted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deleted").field("data", &self.data).finish_non_exhaustive()
    }
}

impl Deleted {
    /// Reads the data of a delete event. DCRF calls the key of an instance's event `pk`, also where the
    /// serializer has another name for it; with `rename` it gets that name.
    pub(crate) fn read(data: &str, pk_field: &str, rename: bool) -> Self {
        let Ok(mut object) = serde_json::from_str::<Object<'_>>(data) else {
            return Self { pk: None, data: Json::from_checked(data) };
        };
        let position = object.pk_position(pk_field);
        let pk = position.and_then(|position| object.pk_at(position));
        let data = match position {
            Some(position) if rename && object.0[position].0 != pk_field => {
                object.0[position].0 = Cow::Borrowed(pk_field);
                Json::from_value(&object).unwrap_or_else(|_| Json::from_checked(data))
            }
            _ => Json::from_checked(data),
        };
        Self { pk, data }
    }
}

impl Deleted {
    /// The event of an instance with this key.
    pub(crate) fn of_key(key: &RawValue, pk_field: &str) -> Self {
        let data = Object(vec![(Cow::Borrowed(pk_field), key)]);
        Self {
            pk: serde_json::from_str(key.get()).ok(),
            data: Json::from_value(&data).unwrap_or_else(|_| Json::null()),
        }
    }
}

impl Pk {
    /// The key of an object, where it has one.
    pub(crate) fn of(object: &Json, pk_field: &str) -> Option<Self> {
        let object: Object<'_> = serde_json::from_str(object.as_str()).ok()?;
        object.pk_position(pk_field).and_then(|position| object.pk_at(position))
    }
}

/// An object's entries in their order, values as text.
struct Object<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl Object<'_> {
    /// Where the key stands: under its name, else where DCRF puts it.
    fn pk_position(&self, pk_field: &str) -> Option<usize> {
        let named = |name: &str| self.0.iter().position(|(key, _)| key == name);
        named(pk_field).or_else(|| named("pk"))
    }

    fn pk_at(&self, position: usize) -> Option<Pk> {
        serde_json::from_str(self.0[position].1.get()).ok()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor;
        impl<'de> Visitor<'de> for ObjectVisitor {
            type Value = Object<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some((key, value)) = map.next_entry::<Cow<'de, str>, &'de RawValue>()? {
                    entries.push((key, value));
                }
                Ok(Object(entries))
            }
        }
        deserializer.deserialize_map(ObjectVisitor)
    }
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}
