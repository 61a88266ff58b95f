//! The server's answer that is no success.

use std::fmt;

use serde_json::Value;

use crate::protocol::json::Json;

/// The server's answer with a status other than 2xx (R7).
///
/// `Display` and `Debug` show the action and the status only, since errors can repeat what the request
/// carried; [`messages`](ErrorReply::messages) has the reasons.
///
/// ```
/// use dcrf_proto::{ErrorReply, RequestError};
///
/// /// What a form shows beside its fields.
/// fn reasons(error: &RequestError) -> Vec<String> {
///     match error {
///         RequestError::ErrorReply(refusal) if refusal.status == Some(400) => refusal.messages(),
///         other => vec![other.to_string()],
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorReply {
    /// `response_status`; `None` when the server sent none and `errors` was not empty.
    pub status: Option<u16>,
    /// The action that the server names in its answer.
    pub action: Option<String>,
    /// `errors` as JSON: DCRF sends an array of strings, or of objects such as
    /// `[{"title": ["This field is required."]}]`.
    pub errors: Json,
    /// `data` as JSON. A view behind `view_as_consumer` puts its `{"detail": "…"}` here.
    pub data: Json,
}

impl ErrorReply {
    /// The server's reasons as texts for a person, from [`errors`](ErrorReply::errors), or from
    /// [`data`](ErrorReply::data) where there are none: `title: This field is required.` for a field's, the text
    /// alone for the others.
    ///
    /// They can repeat what the request carried.
    ///
    /// ```
    /// use dcrf_proto::{Json, ErrorReply};
    ///
    /// let refusal = ErrorReply {
    ///     status: Some(400),
    ///     action: Some("create".into()),
    ///     errors: Json::from_value(&serde_json::json!([{"title": ["This field is required."]}]))?,
    ///     data: Json::from_value(&())?,
    /// };
    /// assert_eq!(refusal.messages(), ["title: This field is required."]);
    /// # Ok::<(), dcrf_proto::DecodeError>(())
    /// ```
    pub fn messages(&self) -> Vec<String> {
        let mut messages = Vec::new();
        for json in [&self.errors, &self.data] {
            if messages.is_empty() {
                collect(&json.decode().unwrap_or(Value::Null), "", &mut messages);
            }
        }
        messages
    }
}

/// DRF's errors are texts, or lists of texts by field, in any depth.
fn collect(errors: &Value, field: &str, messages: &mut Vec<String>) {
    match errors {
        Value::String(text) if field.is_empty() => messages.push(text.clone()),
        Value::String(text) => messages.push(format!("{field}: {text}")),
        Value::Array(items) => items.iter().for_each(|item| collect(item, field, messages)),
        Value::Object(fields) => {
            for (name, item) in fields {
                let field = match name.as_str() {
                    // What DRF calls the errors of no field in particular.
                    "detail" | "non_field_errors" => field.to_owned(),
                    name if field.is_empty() => name.to_owned(),
                    name => format!("{field}.{name}"),
                };
                collect(item, &field, messages);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

impl fmt::Display for ErrorReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server refused")?;
        if let Some(action) = &self.action {
            write!(f, " `{action}`")?;
        }
        match self.status {
            Some(status) => write!(f, " with status {status}"),
            None => f.write_str(" without a status"),
        }
    }
}

impl std::error::Error for ErrorReply {}
