//! The hooks that customise the wire: what is sent, how it is written and read, and which frame belongs to whom.

use std::borrow::Cow;
use std::fmt;

use serde_json::{Map, Value};

use crate::command::Subscribe;
use crate::frame::Frame;
use crate::id::RequestId;
use crate::protocol::selector::Selector;

/// How a server's wire differs from that of DCRF, for [`Config::dialect`](crate::Config::dialect). Each method has
/// DCRF's own way as its default; a session without a dialect takes a faster path.
///
/// What is sent goes through [`subscribe_payload`](Self::subscribe_payload) or
/// [`unsubscribe_payload`](Self::unsubscribe_payload), [`preprocess_payload`](Self::preprocess_payload),
/// [`multiplexed_message`](Self::multiplexed_message), [`preprocess_message`](Self::preprocess_message) and
/// [`encode`](Self::encode), in this order: a request when it is made, a subscription each time that it is sent, also
/// when it is replayed (S4). So a token that is added here is fresh on each connection.
///
/// The methods are called inside of the session, so they must not block, panic, or use the client.
///
/// ```
/// use std::sync::Arc;
///
/// use dcrf_proto::{Config, Dialect};
/// use serde_json::{Map, Value};
///
/// /// Each payload carries the language of the user.
/// struct InLanguage(&'static str);
///
/// impl Dialect for InLanguage {
///     fn preprocess_payload(&self, _stream: &str, mut payload: Map<String, Value>) -> Map<String, Value> {
///         payload.insert("language".to_owned(), self.0.into());
///         payload
///     }
/// }
///
/// let mut config = Config::default();
/// config.dialect = Some(Arc::new(InLanguage("eo")));
/// ```
pub trait Dialect: Send + Sync + 'static {
    /// The payload of a subscribe: `payload` holds the action, the request id and the arguments.
    fn subscribe_payload(&self, stream: &str, payload: Map<String, Value>) -> Map<String, Value> {
        let _ = stream;
        payload
    }

    /// The payload of an unsubscribe: `payload` holds the action, the request id and the arguments.
    fn unsubscribe_payload(&self, stream: &str, payload: Map<String, Value>) -> Map<String, Value> {
        let _ = stream;
        payload
    }

    /// Any payload, before it is wrapped.
    fn preprocess_payload(&self, stream: &str, payload: Map<String, Value>) -> Map<String, Value> {
        let _ = stream;
        payload
    }

    /// The message around a payload. Not called in [bare framing](crate::Framing::Bare), where the payload is the message.
    fn multiplexed_message(&self, stream: &str, payload: Map<String, Value>) -> Value {
        let mut message = Map::new();
        message.insert("stream".to_owned(), stream.into());
        message.insert("payload".to_owned(), payload.into());
        message.into()
    }

    /// Any message, before it is written.
    fn preprocess_message(&self, message: Value) -> Value {
        message
    }

    /// Writes a message.
    fn encode(&self, message: &Value) -> Frame {
        Frame::Text(message.to_string())
    }

    /// Reads a text frame of the server into the JSON of DCRF, `{"stream": …, "payload": …}` or, in bare framing,
    /// the payload alone; `None` for one that can't be read, which is dropped and counted (F4).
    fn decode_text<'a>(&self, text: &'a str) -> Option<Cow<'a, str>> {
        Some(Cow::Borrowed(text))
    }

    /// Reads a binary frame of the server, as [`decode_text`](Self::decode_text) does with a text frame. DCRF sends
    /// none.
    fn decode_binary(&self, bytes: &[u8]) -> Option<String> {
        let _ = bytes;
        None
    }

    /// The frames that answer a request, a subscribe or an unsubscribe; `None` for those of its stream that carry
    /// its id, which needs no comparison of patterns (R6).
    fn reply_selector(&self, stream: &str, id: &RequestId) -> Option<Selector> {
        let _ = (stream, id);
        None
    }

    /// The frames that tell one kind of change to a subscription; `None` for those of its stream that carry its id
    /// and the kind's name as their action.
    ///
    /// A dialect that selects one kind selects all three: of a kind without a selector nothing is delivered then.
    fn change_selector(
        &self,
        kind: ChangeKind,
        subscribe: &Subscribe,
        id: &RequestId,
    ) -> Option<Selector> {
        let _ = (kind, subscribe, id);
        None
    }
}

/// What a change did to an object.
///
/// ```
/// use dcrf_proto::{ChangeKind, Dialect, RequestId, Selector, Subscribe};
///
/// /// A server whose events say `person.update` for `update`.
/// struct Dotted;
///
/// impl Dialect for Dotted {
///     fn change_selector(&self, kind: ChangeKind, _: &Subscribe, _: &RequestId) -> Option<Selector> {
///         let event = format!("person.{}", kind.action());
///         Some(Selector::stream("people").contains(serde_json::json!({"event": event})))
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangeKind {
    /// It was created.
    Create,
    /// It was changed.
    Update,
    /// It was deleted.
    Delete,
}

impl ChangeKind {
    pub(crate) const ALL: [Self; 3] = [Self::Create, Self::Update, Self::Delete];

    /// DCRF's name for it: the action of its events.
    ///
    /// ```
    /// assert_eq!(dcrf_proto::ChangeKind::Update.action(), "update");
    /// ```
    pub fn action(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

impl fmt::Debug for dyn Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dialect")
    }
}
