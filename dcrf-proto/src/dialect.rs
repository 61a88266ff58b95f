//! Hooks for servers that deviate from DCRF's protocol.

use std::borrow::Cow;
use std::fmt;

use serde_json::{Map, Value};

use crate::command::Subscribe;
use crate::frame::Frame;
use crate::id::RequestId;
use crate::protocol::selector::Selector;

/// Hooks for servers that deviate from DCRF's protocol, for [`Config::dialect`](crate::Config::dialect). By default,
/// each method follows DCRF. A client without a dialect takes a faster path.
///
/// Outgoing messages pass through [`subscribe_payload`](Self::subscribe_payload) or
/// [`unsubscribe_payload`](Self::unsubscribe_payload), [`preprocess_payload`](Self::preprocess_payload),
/// [`multiplexed_message`](Self::multiplexed_message), [`preprocess_message`](Self::preprocess_message) and
/// [`encode`](Self::encode), in this order. A request passes through them when it is made. A subscribe does each time
/// it is sent, so a token added here is fresh on each connection.
///
/// The methods are called while the client is locked: they must not block or use the client. If one panics, the call that
/// it belongs to panics, or the client ends with [`CloseReason::DriverStopped`](crate::CloseReason::DriverStopped).
///
/// ```
/// use std::sync::Arc;
///
/// use dcrf_proto::{Config, Dialect};
/// use serde_json::{Map, Value};
///
/// /// Adds the language of the user to each payload.
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
    /// Customizes the payload of a subscribe, which has the action, the request id and the arguments.
    fn subscribe_payload(&self, stream: &str, payload: Map<String, Value>) -> Map<String, Value> {
        let _ = stream;
        payload
    }

    /// Customizes the payload of an unsubscribe, which has the action, the request id and the arguments.
    fn unsubscribe_payload(&self, stream: &str, payload: Map<String, Value>) -> Map<String, Value> {
        let _ = stream;
        payload
    }

    /// Customizes any payload.
    fn preprocess_payload(&self, stream: &str, payload: Map<String, Value>) -> Map<String, Value> {
        let _ = stream;
        payload
    }

    /// Wraps a payload in a message. Not called in [bare framing](crate::Framing::Bare), where the payload is the
    /// message.
    fn multiplexed_message(&self, stream: &str, payload: Map<String, Value>) -> Value {
        let mut message = Map::new();
        message.insert("stream".to_owned(), stream.into());
        message.insert("payload".to_owned(), payload.into());
        message.into()
    }

    /// Customizes any message.
    fn preprocess_message(&self, message: Value) -> Value {
        message
    }

    /// Encodes a message as a frame.
    fn encode(&self, message: &Value) -> Frame {
        Frame::Text(message.to_string())
    }

    /// Decodes a text frame to DCRF's JSON: `{"stream": …, "payload": …}` or, in bare framing, the payload. `None` for
    /// a malformed frame, which is dropped and counted.
    fn decode_text<'a>(&self, text: &'a str) -> Option<Cow<'a, str>> {
        Some(Cow::Borrowed(text))
    }

    /// Decodes a binary frame as [`decode_text`](Self::decode_text) does a text frame. DCRF sends no binary frames.
    fn decode_binary(&self, bytes: &[u8]) -> Option<String> {
        let _ = bytes;
        None
    }

    /// Selects the replies to a request, subscribe or unsubscribe. `None` for frames with its stream and id, which is
    /// faster.
    fn reply_selector(&self, stream: &str, id: &RequestId) -> Option<Selector> {
        let _ = (stream, id);
        None
    }

    /// Selects the events of one kind of change. `None` for frames with the subscription's stream and id, and the kind
    /// as action.
    ///
    /// If a dialect returns a selector for one kind, it must return one for all three. Otherwise, changes of the other
    /// kinds are not delivered.
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

/// The kind of a change.
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
    /// The object was created.
    Create,
    /// The object was updated.
    Update,
    /// The object was deleted.
    Delete,
}

impl ChangeKind {
    pub(crate) const ALL: [Self; 3] = [Self::Create, Self::Update, Self::Delete];

    /// The action of its events in DCRF.
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
