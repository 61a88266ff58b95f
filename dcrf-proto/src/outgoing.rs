//! Encodes outgoing frames, through the hooks of the dialect if there is one.

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::config::Config;
use crate::frame::Frame;
use crate::id::RequestId;
use crate::protocol::envelope;
use crate::protocol::framing::Framing;
use crate::protocol::json;

/// What a frame does. It decides which hook of the dialect applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Request,
    Subscribe,
    Unsubscribe,
}

/// Encodes a frame. `arguments` are the keys of its payload besides the action and the request id.
pub(crate) fn encode<'a>(
    config: &Config,
    purpose: Purpose,
    stream: &str,
    action: &str,
    id: &RequestId,
    arguments: impl Iterator<Item = (&'a str, &'a RawValue)> + Clone,
) -> Frame {
    let Some(dialect) = &config.dialect else {
        return Frame::Text(envelope::encode(config.framing, stream, action, id, arguments));
    };
    let mut payload = Map::new();
    if !action.is_empty() {
        payload.insert("action".to_owned(), action.into());
    }
    payload.insert("request_id".to_owned(), id.to_value());
    for (name, value) in arguments {
        // serde_json has written the value, so parsing it can't fail.
        let value = json::decode(value.get()).unwrap_or_default();
        payload.insert(name.to_owned(), value);
    }
    let payload = match purpose {
        Purpose::Request => payload,
        Purpose::Subscribe => dialect.subscribe_payload(stream, payload),
        Purpose::Unsubscribe => dialect.unsubscribe_payload(stream, payload),
    };
    let payload = dialect.preprocess_payload(stream, payload);
    let message = match config.framing {
        Framing::Multiplexed => dialect.multiplexed_message(stream, payload),
        Framing::Bare => Value::Object(payload),
    };
    dialect.encode(&dialect.preprocess_message(message))
}
