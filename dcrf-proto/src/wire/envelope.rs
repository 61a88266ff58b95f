//! The envelope: how a payload is written for the server, and how a frame of the server is read, in one
//! pass that borrows from the frame and leaves `data` and `errors` as text.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::id::RequestId;
use crate::wire::framing::Framing;
use crate::wire::json::Json;
use crate::wire::refusal::Refusal;

/// A frame of the server, read.
#[derive(Debug)]
pub(crate) enum Frame<'a> {
    /// A frame of the expected shape.
    Envelope(Envelope<'a>),
    /// A JSON object of another shape.
    Foreign,
    /// No JSON, or no object.
    Malformed,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Envelope<'a> {
    /// Absent in bare framing.
    #[serde(borrow)]
    pub(crate) stream: Option<Text<'a>>,
    #[serde(borrow, deserialize_with = "object")]
    pub(crate) payload: Payload<'a>,
}

/// The keys of a payload that matter to the session. A key of an unexpected type counts as absent.
#[derive(Debug, Deserialize)]
pub(crate) struct Payload<'a> {
    #[serde(borrow, default)]
    pub(crate) action: Text<'a>,
    #[serde(default)]
    pub(crate) request_id: IdField,
    #[serde(default)]
    response_status: Status,
    #[serde(borrow)]
    errors: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) data: Option<&'a RawValue>,
}

impl<'a> Payload<'a> {
    pub(crate) fn action(&self) -> Option<&str> {
        self.action.0.as_deref()
    }

    pub(crate) fn has_status(&self) -> bool {
        !matches!(self.response_status, Status::Missing)
    }

    /// The data of a success, or the refusal (R7).
    pub(crate) fn outcome(&self) -> Result<Option<&'a RawValue>, Refusal> {
        let status = match self.response_status {
            Status::Number(200..=299) => return Ok(self.data),
            Status::Number(status) => Some(status),
            Status::Missing | Status::Other if self.errors.is_none_or(is_empty) => {
                return Ok(self.data);
            }
            Status::Missing | Status::Other => None,
        };
        Err(Refusal {
            status,
            action: self.action().map(str::to_owned),
            errors: Json::from(self.errors),
            data: Json::from(self.data),
        })
    }
}

fn is_empty(errors: &RawValue) -> bool {
    let mut text = errors.get().bytes().filter(|byte| !byte.is_ascii_whitespace());
    let ends = (text.next(), text.next(), text.next());
    matches!(
        ends,
        (Some(b'['), Some(b']'), None)
            | (Some(b'{'), Some(b'}'), None)
            | (Some(b'"'), Some(b'"'), None)
    )
}

/// Reads a frame.
pub(crate) fn decode(framing: Framing, text: &str) -> Frame<'_> {
    if !text.trim_start().starts_with('{') {
        return Frame::Malformed;
    }
    let envelope = match framing {
        Framing::Multiplexed => serde_json::from_str(text),
        Framing::Bare => {
            serde_json::from_str(text).map(|payload| Envelope { stream: None, payload })
        }
    };
    if let Ok(envelope) = envelope {
        return Frame::Envelope(envelope);
    }
    if serde_json::from_str::<IgnoredAny>(text).is_ok() { Frame::Foreign } else { Frame::Malformed }
}

/// The payload of a frame that [`decode`] has read, whole.
pub(crate) fn whole_payload(framing: Framing, text: &str) -> Json {
    #[derive(Deserialize)]
    struct Outer<'a> {
        #[serde(borrow)]
        payload: &'a RawValue,
    }
    match framing {
        Framing::Multiplexed => serde_json::from_str::<Outer<'_>>(text)
            .map_or_else(|_| Json::null(), |outer| Json::from(outer.payload)),
        Framing::Bare => Json::from_checked(text.trim()),
    }
}

/// Writes a message for the server; `arguments` are the keys of its payload beside the action and the id.
pub(crate) fn encode<'a>(
    framing: Framing,
    stream: &str,
    action: &str,
    id: &RequestId,
    arguments: impl Iterator<Item = (&'a str, &'a RawValue)> + Clone,
) -> String {
    #[derive(Serialize)]
    struct Multiplexed<'a, P> {
        stream: &'a str,
        payload: P,
    }
    let payload = Outgoing { action, id, arguments };
    let text = match framing {
        Framing::Multiplexed => serde_json::to_string(&Multiplexed { stream, payload }),
        Framing::Bare => serde_json::to_string(&payload),
    };
    // Strings, an integer and values that are JSON already: there is nothing here that can fail.
    text.unwrap_or_default()
}

struct Outgoing<'a, A> {
    action: &'a str,
    id: &'a RequestId,
    arguments: A,
}

impl<'a, A> Serialize for Outgoing<'_, A>
where
    A: Iterator<Item = (&'a str, &'a RawValue)> + Clone,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        // A payload of the caller's own may have none.
        if !self.action.is_empty() {
            map.serialize_entry("action", self.action)?;
        }
        map.serialize_entry("request_id", self.id)?;
        for (name, value) in self.arguments.clone() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// Reads an object only: serde takes an array for a struct too.
fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    struct ObjectVisitor<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
        type Value = T;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map))
        }
    }
    deserializer.deserialize_map(ObjectVisitor(PhantomData))
}

/// A string, borrowed where it holds no escapes; anything else counts as absent.
#[derive(Debug, Default)]
pub(crate) struct Text<'a>(pub(crate) Option<Cow<'a, str>>);

/// `request_id`, which the server sends back with the JSON type that the client gave it.
#[derive(Debug, Default)]
pub(crate) enum IdField {
    #[default]
    Absent,
    Id(RequestId),
    /// Of a type that no id of ours has.
    Other,
}

#[derive(Debug, Default)]
enum Status {
    #[default]
    Missing,
    Number(u16),
    Other,
}

/// The visitor methods for values of a type that is not looked for: they are read over.
macro_rules! other_types {
    ($other:expr) => {
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("any value")
        }
        fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
            Ok($other)
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            Ok($other)
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Ok($other)
        }
    };
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            other_types!(Text(None));
            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Some(Cow::Borrowed(text))))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Some(Cow::Owned(text.to_owned()))))
            }
            fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
                Ok(Text(None))
            }
            fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
                Ok(Text(None))
            }
            fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
                Ok(Text(None))
            }
            fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
                Ok(Text(None))
            }
        }
        deserializer.deserialize_any(TextVisitor)
    }
}

impl<'de> Deserialize<'de> for IdField {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IdVisitor;
        impl<'de> Visitor<'de> for IdVisitor {
            type Value = IdField;
            other_types!(IdField::Other);
            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(IdField::Id(RequestId::from(text)))
            }
            fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
                Ok(IdField::Absent)
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
                Ok(IdField::Id(RequestId::from(number)))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
                Ok(i64::try_from(number)
                    .map_or(IdField::Other, |number| IdField::Id(number.into())))
            }
            fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
                Ok(IdField::Other)
            }
        }
        deserializer.deserialize_any(IdVisitor)
    }
}

impl<'de> Deserialize<'de> for Status {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct StatusVisitor;
        impl<'de> Visitor<'de> for StatusVisitor {
            type Value = Status;
            other_types!(Status::Other);
            fn visit_str<E: Error>(self, _: &str) -> Result<Self::Value, E> {
                Ok(Status::Other)
            }
            fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
                Ok(Status::Missing)
            }
            fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
                Ok(Status::Number(0))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
                Ok(Status::Number(u16::try_from(number).unwrap_or(u16::MAX)))
            }
            fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
                // A float cast saturates, so -1.5 is 0 and 1e9 is 65,535: neither is a success.
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "it saturates"
                )]
                Ok(Status::Number(number as u16))
            }
        }
        deserializer.deserialize_any(StatusVisitor)
    }
}
