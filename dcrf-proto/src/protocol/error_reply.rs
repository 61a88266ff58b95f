//! Replies that report an error.

use std::fmt;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::config::Limit;
use crate::protocol::json::Json;
use crate::shown::Shown;

/// The server's reply to a request that failed: its status is not 2xx.
///
/// [`messages`](ErrorReply::messages) has the server's reasons. They can repeat the request's data, so `Display` shows
/// only the action and the status, and `Debug` shows the length of the JSON: both are safe to log. Control characters are
/// escaped. Show the messages only where text of the server may be shown.
///
/// ```
/// use dcrf_proto::{ErrorReply, RequestError};
///
/// /// The messages to show next to a form.
/// fn form_errors(error: &RequestError) -> Vec<String> {
///     match error {
///         RequestError::ErrorReply(reply) if reply.status == Some(400) => reply.messages(),
///         other => vec![other.to_string()],
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ErrorReply {
    /// `response_status`. `None` if the server sent errors without a status.
    pub status: Option<u16>,
    /// The action that failed, as the reply names it, cut to 256 bytes.
    pub action: Option<String>,
    /// `errors` as JSON: an array of strings, or of objects such as `[{"title": ["This field is required."]}]`.
    pub errors: Json,
    /// `data` as JSON. A view behind `view_as_consumer` puts its `{"detail": "…"}` here.
    pub data: Json,
}

impl ErrorReply {
    /// Creates an error reply with this status and without errors, for example for a test. Set the other fields
    /// afterwards.
    ///
    /// ```
    /// use dcrf_proto::{ErrorReply, Json};
    ///
    /// let mut reply = ErrorReply::new(400);
    /// reply.action = Some("create".into());
    /// reply.errors = Json::from_value(&["The title is too long."])?;
    /// assert_eq!(reply.messages(), ["The title is too long."]);
    /// # Ok::<(), dcrf_proto::DecodeError>(())
    /// ```
    pub fn new(status: impl Into<Option<u16>>) -> Self {
        Self { status: status.into(), action: None, errors: Json::null(), data: Json::null() }
    }

    /// Whether the object does not exist: the status is 404.
    pub fn is_not_found(&self) -> bool {
        self.status == Some(404)
    }

    /// The server's reasons as readable text.
    ///
    /// They come from [`errors`](ErrorReply::errors), or from [`data`](ErrorReply::data) if `errors` has no messages.
    /// The message about a field begins with the field's name. The messages can repeat the request's data. They are at most
    /// 1,000, with 1 MiB in all.
    ///
    /// ```
    /// use dcrf_proto::{ErrorReply, Json};
    ///
    /// let mut reply = ErrorReply::new(400);
    /// reply.errors = Json::from_value(&serde_json::json!([{"title": ["This field is required."]}]))?;
    /// assert_eq!(reply.messages(), ["title: This field is required."]);
    /// # Ok::<(), dcrf_proto::DecodeError>(())
    /// ```
    pub fn messages(&self) -> Vec<String> {
        let messages =
            |json: &Json| json.decode().map_or_else(|_| Vec::new(), |Messages(texts)| texts);
        let of_errors = messages(&self.errors);
        if of_errors.is_empty() { messages(&self.data) } else { of_errors }
    }
}

/// The most messages that are read, and the most bytes.
const MOST: Limit = Limit { count: 1_000, bytes: 1 << 20 };

/// The texts in `errors`. DRF writes them as strings, lists and objects by field name, nested to any depth.
struct Messages(Vec<String>);

impl<'de> Deserialize<'de> for Messages {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut found = Found { messages: Vec::new(), bytes: 0 };
        Errors { field: "", found: &mut found }.deserialize(deserializer)?;
        Ok(Self(found.messages))
    }
}

struct Found {
    messages: Vec<String>,
    bytes: usize,
}

impl Found {
    fn is_full(&self) -> bool {
        self.messages.len() >= MOST.count || self.bytes >= MOST.bytes
    }

    fn add(&mut self, message: String) {
        if self.bytes + message.len() <= MOST.bytes {
            self.bytes += message.len();
            self.messages.push(message);
        }
    }
}

/// Reads the errors about a field.
struct Errors<'a> {
    field: &'a str,
    found: &'a mut Found,
}

impl<'de> DeserializeSeed<'de> for Errors<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Errors<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("errors")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.found.add(match self.field {
            "" => text.to_owned(),
            field => format!("{field}: {text}"),
        });
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Self { field, found } = self;
        loop {
            let next = if found.is_full() {
                items.next_element::<IgnoredAny>()?.map(drop)
            } else {
                items.next_element_seed(Errors { field, found: &mut *found })?
            };
            if next.is_none() {
                return Ok(());
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        while let Some(name) = fields.next_key::<String>()? {
            if self.found.is_full() {
                fields.next_value::<IgnoredAny>()?;
                continue;
            }
            let field = match (name.as_str(), self.field) {
                // DRF's names for errors that belong to no field.
                ("detail" | "non_field_errors", field) => field.to_owned(),
                (name, "") => name.to_owned(),
                (name, field) => format!("{field}.{name}"),
            };
            fields.next_value_seed(Errors { field: &field, found: &mut *self.found })?;
        }
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
}

impl fmt::Display for ErrorReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server replied")?;
        if let Some(action) = &self.action {
            write!(f, " to `{}`", Shown(action))?;
        }
        match self.status {
            Some(status) => write!(f, " with status {status}"),
            None => f.write_str(" with errors"),
        }
    }
}

impl std::error::Error for ErrorReply {}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn r7_messages_are_limited() {
        let mut reply = ErrorReply::new(400);
        reply.errors = Json::from_value(&json!({"a": vec!["x"; 5_000], "b": ["y"]})).unwrap();
        assert_eq!(reply.messages(), vec!["a: x"; 1_000]);
        let large = "x".repeat(600_000);
        reply.errors = Json::from_value(&json!([large, large, "y"])).unwrap();
        assert_eq!(reply.messages(), [large, "y".to_owned()]);
    }

    #[test]
    fn r7_messages_are_found_at_any_depth() {
        let mut reply = ErrorReply::new(400);
        let errors =
            json!([1, null, true, 1.5, -1, "a", {"b": ["c", {"detail": "d", "e": [[], "f"]}]}]);
        reply.errors = Json::from_value(&errors).unwrap();
        assert_eq!(reply.messages(), ["a", "b: c", "b: d", "b.e: f"]);
        reply.errors = Json::from_value(&json!([])).unwrap();
        reply.data = Json::from_value(&json!({"detail": "g"})).unwrap();
        assert_eq!(reply.messages(), ["g"]);
    }
}
