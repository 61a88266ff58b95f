//! The server's answer that is no success.

use std::fmt;

use crate::wire::json::Json;

/// The server's answer with a status other than 2xx (R7).
///
/// `Display` and `Debug` show the action and the status only, since errors can repeat what the request
/// carried; read [`errors`](Refusal::errors) and [`data`](Refusal::data) for the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
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

impl fmt::Display for Refusal {
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

impl std::error::Error for Refusal {}
