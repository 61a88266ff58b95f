//! What clients call, and what an action answers.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::table::{Fields, Tables};
use super::{ConnectionId, Handshake};

/// A call of an action, as it has arrived.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Call {
    /// The connection.
    pub connection: ConnectionId,
    /// The handshake of the connection, for example for the user that it names.
    pub handshake: Arc<Handshake>,
    /// The stream.
    pub stream: String,
    /// The action.
    pub action: String,
    /// The payload without the action and the request id.
    pub arguments: Map<String, Value>,
    /// The request id. Null if there is none.
    pub request_id: Value,
}

impl Call {
    /// An argument of the call.
    pub fn argument(&self, name: &str) -> Option<&Value> {
        self.arguments.get(name)
    }

    /// The argument `data` of `create`, `update` and `patch`, or null.
    pub fn data(&self) -> &Value {
        self.arguments.get("data").unwrap_or(&Value::Null)
    }
}

/// A call under way, with the server's rows: the argument of an action's closure.
///
/// ```
/// # use dcrf_proto::fake_server::{Answer, View};
/// # use serde_json::json;
/// let view = View::of("tasks").action("finish", |action| {
///     let pk = action.argument("pk").cloned().unwrap_or_default();
///     if action.update("tasks", &pk, json!({"done": true})) {
///         Answer::ok(action.row("tasks", &pk).unwrap())
///     } else {
///         Answer::error(404, json!("Not found"))
///     }
/// });
/// # drop(view);
/// ```
pub struct Action<'a> {
    pub(super) call: &'a Call,
    pub(super) tables: &'a mut Tables,
    pub(super) before: Before,
    pub(super) is_atomic: bool,
}

/// What an action does before its reply.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Before {
    pub(super) pushed: Vec<Value>,
    pub(super) cancelled: Vec<Value>,
}

impl Action<'_> {
    /// All rows of a model.
    ///
    /// # Panics
    ///
    /// If there is no such model.
    #[track_caller]
    pub fn rows(&self, model: &str) -> Vec<Value> {
        self.tables.rows(model)
    }

    /// The row of a model with this key.
    ///
    /// # Panics
    ///
    /// If there is no such model.
    #[track_caller]
    pub fn row(&self, model: &str, pk: &Value) -> Option<Value> {
        self.tables.get(model, pk).map(Value::Object)
    }

    /// Saves a new row, and returns its key. Its events follow the action's reply.
    ///
    /// # Panics
    ///
    /// If there is no such model or field, or `row` has the key of another row, or a value that can't be a key.
    #[track_caller]
    pub fn insert(&mut self, model: &str, row: impl Into<Value>) -> Value {
        let row = row.into();
        self.tables.check_row(model, &row, true).unwrap_or_else(|error| panic!("{error}"));
        self.tables.insert(model, &row)
    }

    /// Saves fields of a row. Returns whether there is such a row.
    ///
    /// # Panics
    ///
    /// If there is no such model.
    #[track_caller]
    pub fn update(&mut self, model: &str, pk: &Value, fields: Value) -> bool {
        self.tables.check_row(model, &fields, false).unwrap_or_else(|error| panic!("{error}"));
        self.tables.update(model, pk, &fields_of(fields))
    }

    /// Deletes a row. Returns whether there was such a row.
    ///
    /// # Panics
    ///
    /// If there is no such model.
    #[track_caller]
    pub fn delete(&mut self, model: &str, pk: &Value) -> bool {
        self.tables.delete(model, pk)
    }

    /// Makes the action's writes one transaction, as `@action(atomic=True)` does: several writes of a row give one event.
    /// If the action answers with errors or [raises](Answer::raise), they are rolled back.
    pub fn atomic(&mut self) {
        self.is_atomic = true;
    }

    /// Sends an unsolicited payload on this stream of the connection, before the reply.
    pub fn push(&mut self, payload: impl Into<Value>) {
        self.before.pushed.push(payload.into());
    }

    /// Cancels the remaining [detached](Answer::detached) replies to a call of this stream and connection, as
    /// `list_cancel` does.
    pub fn cancel(&mut self, request_id: Value) {
        self.before.cancelled.push(request_id);
    }
}

impl Deref for Action<'_> {
    type Target = Call;

    fn deref(&self) -> &Call {
        self.call
    }
}

impl fmt::Debug for Action<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.call.fmt(f)
    }
}

/// What an action does at its end: reply, raise or close.
///
/// ```
/// # use dcrf_proto::fake_server::Answer;
/// # use serde_json::json;
/// # use std::time::Duration;
/// let created = Answer::status(201, json!({"id": 7}));
/// let invalid = Answer::error(400, json!({"title": ["This field is required."]}));
/// let slow = Answer::ok(json!(42)).after(Duration::from_secs(3));
/// # drop((created, invalid, slow));
/// ```
#[must_use]
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub(super) end: End,
    pub(super) delay: Duration,
    pub(super) is_detached: bool,
    pub(super) before: Before,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum End {
    Replies { replies: Vec<Reply>, pause: Duration },
    Raise,
    Close { code: u16, reason: String },
    HangUp { code: u16 },
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Reply {
    pub(super) status: Value,
    pub(super) errors: Value,
    pub(super) data: Value,
}

impl Answer {
    /// A reply with status 200.
    pub fn ok(data: impl Into<Value>) -> Self {
        Self::status(200, data)
    }

    /// A reply with a status and without errors. The status is a number from a correct server.
    pub fn status(status: impl Into<Value>, data: impl Into<Value>) -> Self {
        let (status, data) = (status.into(), data.into());
        Self::new(End::replies([Reply { status, errors: json!([]), data }]))
    }

    /// A reply with a status and errors: a text, an array of texts, or an object with an array for each field.
    pub fn error(status: impl Into<Value>, errors: impl Into<Value>) -> Self {
        let errors = match errors.into() {
            errors @ Value::Array(_) => errors,
            error => json!([error]),
        };
        let (status, data) = (status.into(), Value::Null);
        Self::new(End::replies([Reply { status, errors, data }]))
    }

    /// Many replies with status 200 and the same request id, with a pause in between. See [`Action::cancel`].
    pub fn replies(data: impl IntoIterator<Item = Value>, pause: Duration) -> Self {
        let reply = |data| Reply { status: json!(200), errors: json!([]), data };
        let replies = data.into_iter().map(reply).collect();
        Self::new(End::Replies { replies, pause }).detached()
    }

    /// No reply: an action that returns nothing.
    pub fn silence() -> Self {
        Self::new(End::replies([]))
    }

    /// An unhandled exception, which closes the connection. A [detached](Self::detached) action that raises only never
    /// replies, and the connection stays.
    pub fn raise() -> Self {
        Self::new(End::Raise)
    }

    /// Closes the connection with a code. Daphne loses the reason.
    pub fn close(code: u16, reason: &str) -> Self {
        Self::new(End::Close { code, reason: reason.to_owned() })
    }

    /// Closes this stream. If it is multiplexed, the connection lasts until the next frame to the stream.
    pub fn hang_up(code: u16) -> Self {
        Self::new(End::HangUp { code })
    }

    fn new(end: End) -> Self {
        Self { end, delay: Duration::ZERO, is_detached: false, before: Before::default() }
    }

    /// Ends the action only after `delay`. The stream does nothing else meanwhile.
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Lets other actions and events of the stream overtake, as `@action(detached=True)` does.
    pub fn detached(mut self) -> Self {
        self.is_detached = true;
        self
    }
}

impl End {
    /// Whether the action raises an exception, of Django REST Framework or another.
    pub(super) fn is_exception(&self) -> bool {
        let has_errors = |reply: &Reply| reply.errors.as_array().is_some_and(|its| !its.is_empty());
        match self {
            Self::Raise => true,
            Self::Replies { replies, .. } => replies.iter().any(has_errors),
            Self::Close { .. } | Self::HangUp { .. } => false,
        }
    }

    fn replies<const N: usize>(replies: [Reply; N]) -> Self {
        Self::Replies { replies: replies.into(), pause: Duration::ZERO }
    }
}

/// The fields of a JSON object.
///
/// # Panics
///
/// If the value is not an object.
pub(super) fn fields_of(fields: Value) -> Fields {
    match fields {
        Value::Object(fields) => fields,
        other => panic!("the fields of a row are a JSON object, and not {other}"),
    }
}
