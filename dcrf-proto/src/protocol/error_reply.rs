//! Replies that report an error.

use std::fmt;

use serde_json::Value;

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
    ///
    /// ```
    /// use dcrf_proto::ErrorReply;
    ///
    /// assert!(ErrorReply::new(404).is_not_found());
    /// assert!(!ErrorReply::new(403).is_not_found());
    /// ```
    pub fn is_not_found(&self) -> bool {
        self.status == Some(404)
    }

    /// The server's reasons as readable text.
    ///
    /// They come from [`errors`](ErrorReply::errors), or from [`data`](ErrorReply::data) if `errors` has no messages.
    /// The message about a field begins with the field's name. The messages can repeat the request's data.
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
        let mut messages = Vec::new();
        for json in [&self.errors, &self.data] {
            if messages.is_empty() {
                collect_messages(&json.decode().unwrap_or(Value::Null), "", &mut messages);
            }
        }
        messages
    }
}

/// DRF writes errors as strings, lists and objects by field name, nested to any depth.
fn collect_messages(errors: &Value, field: &str, messages: &mut Vec<String>) {
    match errors {
        Value::String(text) if field.is_empty() => messages.push(text.clone()),
        Value::String(text) => messages.push(format!("{field}: {text}")),
        Value::Array(items) => {
            for item in items {
                collect_messages(item, field, messages);
            }
        }
        Value::Object(fields) => {
            for (name, item) in fields {
                let field = match name.as_str() {
                    // DRF's names for errors that belong to no field.
                    "detail" | "non_field_errors" => field.to_owned(),
                    name if field.is_empty() => name.to_owned(),
                    name => format!("{field}.{name}"),
                };
                collect_messages(item, &field, messages);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
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
