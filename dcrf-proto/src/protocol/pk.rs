//! Primary keys, and their names in delete events (S10).

use std::borrow::Cow;
use std::fmt;

use serde::de::{Error, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::protocol::json::{self, Json, without_lone_surrogates};
use crate::protocol::scan::Scan;

/// The primary key of an object: an integer, or text such as a UUID.
///
/// ```
/// use dcrf_proto::Pk;
///
/// assert_eq!(Pk::from(7), 7);
/// assert_eq!(Pk::from("a113677d"), "a113677d");
/// assert_eq!(Pk::from(7_u64).to_string(), "7");
/// assert_eq!(Pk::from(u64::MAX).as_i64(), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Pk {
    /// An integer. An `i128` holds every `i64` and every `u64`.
    Number(i128),
    /// Text. Django writes UUIDs as text.
    Text(String),
}

impl Pk {
    /// The key as a number, if it is one and fits.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Number(number) => i64::try_from(*number).ok(),
            Self::Text(_) => None,
        }
    }

    /// The key as text, if it is text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Number(_) => None,
            Self::Text(text) => Some(text),
        }
    }

    /// The key as collections write it: to the server, 7 and "7" are the same.
    #[cfg(feature = "client")]
    pub(crate) fn canonical(&self) -> Self {
        Self::from(&crate::collections::RowKey::from(self))
    }

    /// The primary key of an object, if it has one.
    pub(crate) fn of(object: &Json, pk_field: &str) -> Option<Self> {
        Self::read(object.as_str(), pk_field).map(|(pk, _)| pk)
    }

    /// The primary key of an object, and whether the object has anything else. The object must be valid: what comes
    /// behind the key is not read.
    pub(crate) fn read(object: &str, pk_field: &str) -> Option<(Self, bool)> {
        let (mut named, mut pk, mut has_data) = (None, None, false);
        let _ = Scan::new(object).entries(|scan, key| {
            let value = scan.raw()?;
            has_data |= !scan.is_end_of_object();
            if key == pk_field {
                named = Some(value);
                return None;
            }
            if key == "pk" && pk.is_none() {
                pk = Some(value);
            }
            Some(())
        });
        Some((read_pk(named.or(pk)?)?, has_data))
    }

    /// The value of a field of an object, if it can be a key.
    pub(crate) fn in_field(object: &str, field: &str) -> Option<Self> {
        let mut value = None;
        let _ = Scan::new(object).entries(|scan, key| {
            let raw = scan.raw().filter(|_| value.is_none())?;
            value = (key == field).then_some(raw);
            Some(())
        });
        read_pk(value?)
    }
}

impl fmt::Display for Pk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

macro_rules! number_traits {
    ($($number:ty)*) => {$(
        impl From<$number> for Pk {
            fn from(number: $number) -> Self {
                Self::Number(number.into())
            }
        }

        impl From<&$number> for Pk {
            fn from(number: &$number) -> Self {
                Self::from(*number)
            }
        }

        impl PartialEq<$number> for Pk {
            fn eq(&self, other: &$number) -> bool {
                matches!(self, Self::Number(number) if *number == i128::from(*other))
            }
        }

        impl PartialEq<Pk> for $number {
            fn eq(&self, other: &Pk) -> bool {
                other == self
            }
        }
    )*};
}

number_traits!(i32 i64 u32 u64);

impl From<&str> for Pk {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<&String> for Pk {
    fn from(text: &String) -> Self {
        Self::Text(text.clone())
    }
}

impl From<&Pk> for Pk {
    fn from(pk: &Pk) -> Self {
        pk.clone()
    }
}

impl From<String> for Pk {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

macro_rules! text_comparisons {
    ($($text:ty)*) => {$(
        impl PartialEq<$text> for Pk {
            fn eq(&self, other: &$text) -> bool {
                self.as_str() == Some(&other[..])
            }
        }

        impl PartialEq<Pk> for $text {
            fn eq(&self, other: &Pk) -> bool {
                other == self
            }
        }
    )*};
}

text_comparisons!(str &str String);

impl Serialize for Pk {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            // Few formats support 128 bits.
            Self::Number(number) => match (i64::try_from(*number), u64::try_from(*number)) {
                (Ok(number), _) => serializer.serialize_i64(number),
                (_, Ok(number)) => serializer.serialize_u64(number),
                _ => serializer.serialize_i128(*number),
            },
            Self::Text(text) => serializer.serialize_str(text),
        }
    }
}

impl<'de> Deserialize<'de> for Pk {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PkVisitor;
        impl Visitor<'_> for PkVisitor {
            type Value = Pk;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an integer or a string")
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Pk, E> {
                Ok(Pk::from(number))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Pk, E> {
                Ok(Pk::from(number))
            }
            fn visit_i128<E: Error>(self, number: i128) -> Result<Pk, E> {
                Ok(Pk::Number(number))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Pk, E> {
                Ok(Pk::from(text))
            }
            fn visit_string<E: Error>(self, text: String) -> Result<Pk, E> {
                Ok(Pk::from(text))
            }
        }
        deserializer.deserialize_any(PkVisitor)
    }
}

/// A delete event: the object no longer exists.
///
/// `Debug` shows neither the key nor the data, so it is safe to log.
///
/// ```
/// # use dcrf_proto::{Change, Deleted};
/// fn deleted_key(change: Change<String>) -> Option<String> {
///     match change {
///         Change::Delete(Deleted { pk: Some(pk), .. }) => Some(pk.to_string()),
///         _ => None,
///     }
/// }
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deleted {
    /// The primary key. `None` if the event has no key under `pk` or the configured name, or more than 10,000 keys.
    pub pk: Option<Pk>,
    /// The event's data, with the primary key under the configured name unless
    /// [`Config::ensure_pk_field_in_delete_events`](crate::Config) is off.
    ///
    /// For a subscription to an instance, it holds only the key. Other subscriptions may get the whole object.
    pub data: Json,
}

impl fmt::Debug for Deleted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deleted").field("data", &self.data).finish_non_exhaustive()
    }
}

impl Deleted {
    /// Creates a delete event, for example for a test.
    ///
    /// ```
    /// use dcrf_proto::{Deleted, Json, Pk};
    ///
    /// let deleted = Deleted::new(Some(Pk::from(7)), Json::from_value(&serde_json::json!({"pk": 7}))?);
    /// assert_eq!(deleted.pk, Some(Pk::from(7)));
    /// # Ok::<(), dcrf_proto::DecodeError>(())
    /// ```
    pub fn new(pk: Option<Pk>, data: Json) -> Self {
        Self { pk, data }
    }

    /// Reads the data of a delete event. In the event of an instance, DCRF always names the key `pk`; with `rename` it
    /// gets the name `pk_field`. DCRF before 1.3 sends null as the key: then it is `subscribed`, the key that the
    /// subscription has.
    pub(crate) fn read(
        data: &str,
        pk_field: &str,
        rename: bool,
        subscribed: Option<&RawValue>,
    ) -> Self {
        let text = without_lone_surrogates(data);
        let Ok(mut object) = serde_json::from_str::<Object<'_>>(&text) else {
            return Self { pk: None, data: Json::from_checked(data) };
        };
        let index = object.pk_index(pk_field);
        let mut pk = index.and_then(|index| object.pk_at(index));
        let mut is_changed = false;
        if let (None, Some(subscribed)) = (&pk, subscribed) {
            pk = read_pk(subscribed.get());
            is_changed = pk.is_some();
        }
        let index = match (index, subscribed) {
            (Some(index), Some(subscribed)) if is_changed => {
                object.0[index].1 = subscribed;
                Some(index)
            }
            (None, Some(subscribed)) if is_changed => {
                object.0.push((Cow::Borrowed("pk"), subscribed));
                Some(object.0.len() - 1)
            }
            _ => index,
        };
        if let Some(index) = index.filter(|index| rename && object.0[*index].0 != pk_field) {
            object.0[index].0 = Cow::Borrowed(pk_field);
            is_changed = true;
        }
        let unchanged = || Json::from_checked(data);
        let data = if is_changed { Json::from_value(&object).ok() } else { None };
        Self { pk, data: data.unwrap_or_else(unchanged) }
    }

    /// The delete event of an instance that was looked up by these arguments.
    pub(crate) fn of_lookup<'a>(
        arguments: impl Iterator<Item = (&'a str, &'a RawValue)>,
        pk_field: &'a str,
    ) -> Self {
        let mut pk = None;
        let arguments = arguments.map(|(name, value)| match name {
            "pk" => {
                pk = read_pk(value.get());
                (Cow::Borrowed(pk_field), value)
            }
            other => (Cow::Borrowed(other), value),
        });
        let data = Object(arguments.collect());
        Self { pk, data: Json::from_value(&data).unwrap_or_else(|_| Json::null()) }
    }
}

/// Reads a key. Integers of more than 64 bits are read here: `serde_json` makes them floats.
fn read_pk(value: &str) -> Option<Pk> {
    if let Ok(number) = value.parse::<i64>() {
        return Some(Pk::from(number));
    }
    match value.parse() {
        Ok(number) => Some(Pk::Number(number)),
        Err(_) => json::decode(&without_lone_surrogates(value)).ok(),
    }
}

/// The most keys that an object may have for its primary key to be read. The entries take several times its size.
const MOST_KEYS: usize = 10_000;

/// An object's entries in their order. The values are JSON text.
struct Object<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl Object<'_> {
    /// The index of the primary key: under its name, or under the name that DCRF gives it.
    fn pk_index(&self, pk_field: &str) -> Option<usize> {
        let named = |name: &str| self.0.iter().position(|(key, _)| key == name);
        named(pk_field).or_else(|| named("pk"))
    }

    fn pk_at(&self, index: usize) -> Option<Pk> {
        read_pk(self.0[index].1.get())
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
                    if entries.len() == MOST_KEYS {
                        return Err(A::Error::custom("too many keys"));
                    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pk_compares_with_numbers_and_text() {
        let seven = Pk::from(7_i32);
        assert_eq!(seven, 7_i32);
        assert_eq!(seven, 7_u32);
        assert_eq!(seven, 7_i64);
        assert_eq!(7_u64, seven);
        assert_eq!([Pk::from(7_u32), Pk::from(7_i64), Pk::from(7_u64)], [7, 7, 7]);
        assert_ne!(seven, "7");
        assert_eq!(Pk::from(u64::MAX), u64::MAX);
        assert_ne!(Pk::from(u64::MAX), -1_i64);
        assert_ne!(Pk::from(-1), u64::MAX);
        let text = Pk::from("7");
        assert_eq!(text, *"7");
        assert_eq!(text, String::from("7"));
        assert_eq!("7", text);
        assert_eq!(text, Pk::from(String::from("7")));
        assert_ne!(text, 7);
    }

    #[test]
    fn pk_above_i64_max_keeps_its_value() {
        for text in ["9223372036854775808", "18446744073709551615", "-9223372036854775808"] {
            let pk: Pk = serde_json::from_str(text).unwrap();
            assert_eq!((&*pk.to_string(), &*serde_json::to_string(&pk).unwrap()), (text, text));
        }
        for key in [i128::from(u64::MAX), i128::from(i64::MAX) + 1, 1 << 100] {
            let deleted = Deleted::read(&format!(r#"{{"pk":{key}}}"#), "id", true, None);
            assert_eq!(deleted.pk, Some(Pk::Number(key)));
            assert_eq!(deleted.data.as_str(), format!(r#"{{"id":{key}}}"#));
        }
    }

    #[test]
    fn an_object_with_too_many_keys_is_delivered_unchanged() {
        let object = |keys: usize| {
            let keys: Vec<String> = (0..keys).map(|key| format!("\"{key}\":0")).collect();
            format!("{{\"pk\":7,{}}}", keys.join(","))
        };
        for (keys, pk) in [(MOST_KEYS - 1, Some(Pk::from(7))), (MOST_KEYS, None)] {
            let deleted = Deleted::read(&object(keys), "id", true, None);
            assert_eq!(deleted.pk, pk);
            assert_eq!(deleted.data.as_str().contains(r#""pk":7"#), pk.is_none());
        }
    }

    #[test]
    fn pk_is_an_integer_or_a_string() {
        assert_eq!(serde_json::from_str::<Pk>(r#""\u0061""#).unwrap(), "a");
        for text in ["7.0", "1e3", "36893488147419103232", "null", "true", "[7]", "{}"] {
            assert!(serde_json::from_str::<Pk>(text).is_err(), "{text}");
        }
    }
}
