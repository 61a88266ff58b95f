//! What a frame is about, and its request id.

use serde_json::{Map, Value};

use crate::fields::{Object, quote};

/// A frame that was read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Frame {
    pub(crate) stream: Option<String>,
    pub(crate) payload: Map<String, Value>,
    /// The whole text, if it is no JSON object.
    other: Option<String>,
}

/// What the frames of one answer have in common.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Key {
    stream: Option<String>,
    request_id: Value,
    action: Option<Value>,
    other: Option<String>,
}

impl Frame {
    pub(crate) fn read(text: &str) -> Self {
        let Ok(Value::Object(mut frame)) = serde_json::from_str(text) else {
            return Self { other: Some(text.to_owned()), ..Self::default() };
        };
        let stream = frame.get("stream").and_then(Value::as_str).map(str::to_owned);
        match (stream, frame.get_mut("payload").map(Value::take)) {
            (Some(stream), Some(Value::Object(payload))) => {
                Self { stream: Some(stream), payload, other: None }
            }
            (_, payload) => {
                if let Some(payload) = payload {
                    frame.insert("payload".to_owned(), payload);
                }
                Self { payload: frame, ..Self::default() }
            }
        }
    }

    pub(crate) fn request_id(&self) -> Value {
        self.payload.get("request_id").cloned().unwrap_or_default()
    }

    pub(crate) fn action(&self) -> Option<&str> {
        self.payload.get("action").and_then(Value::as_str)
    }

    /// The key, with another request id.
    pub(crate) fn key(&self, request_id: Value) -> Key {
        let (stream, other) = (self.stream.clone(), self.other.clone());
        Key { stream, request_id, action: self.payload.get("action").cloned(), other }
    }
}

impl Key {
    /// Whether it is the same answer with another action.
    pub(crate) fn is_reply_of(&self, other: &Self) -> bool {
        self.request_id != Value::Null
            && (&self.stream, &self.request_id) == (&other.stream, &other.request_id)
    }
}

/// The frame with another request id. Everything else keeps its text, such as the digits of numbers. `None` if it has no
/// request id.
pub(crate) fn with_request_id(text: &str, id: &Value) -> Option<String> {
    let mut frame: Object = serde_json::from_str(text).ok()?;
    if let (true, Some(payload)) = (frame.contains_key("stream"), frame.get_mut("payload")) {
        let mut inner: Object = serde_json::from_str(payload.get()).ok()?;
        set_id(&mut inner, id)?;
        *payload = serde_json::value::to_raw_value(&inner).ok()?;
    } else {
        set_id(&mut frame, id)?;
    }
    serde_json::to_string(&frame).ok()
}

fn set_id(payload: &mut Object, id: &Value) -> Option<()> {
    let old = payload.get_mut("request_id")?;
    *old = match id {
        Value::String(text) => quote(text),
        id => serde_json::value::to_raw_value(id).ok()?,
    };
    Some(())
}

/// A new request id in the form of the recorded one.
pub(crate) fn new_id(recorded: &Value, number: u32) -> Value {
    // Other runs have other ids.
    let run = std::process::id();
    match recorded {
        Value::Number(_) => Value::from(u64::from(run) * 1_000_000 + u64::from(number)),
        Value::String(text) if is_uuid(text) => {
            Value::from(format!("{:08x}{}", run.rotate_right(12) ^ number, &text[8..]))
        }
        Value::String(_) => Value::from(format!("replay-{run}-{number}")),
        other => other.clone(),
    }
}

fn is_uuid(text: &str) -> bool {
    let is_right = |(at, byte): (usize, u8)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    text.len() == 36 && text.bytes().enumerate().all(is_right)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn request_id_is_replaced_and_the_rest_is_kept() {
        let frame =
            r#"{"stream":"s","payload":{"z":1.10,"request_id":"a","data":{"request_id":"a"}}}"#;
        assert_eq!(
            with_request_id(frame, &json!("b")).unwrap(),
            r#"{"stream":"s","payload":{"z":1.10,"request_id":"b","data":{"request_id":"a"}}}"#
        );
        assert_eq!(
            with_request_id(r#"{"request_id":1,"a":2}"#, &json!(7)).unwrap(),
            r#"{"request_id":7,"a":2}"#
        );
        for without in
            [r#"{"stream":"s","payload":{"a":1}}"#, "[]", "x", r#"{"stream":"s","payload":[]}"#]
        {
            assert_eq!(with_request_id(without, &json!(7)), None, "{without}");
        }
    }

    #[test]
    fn new_ids_have_the_form_of_the_old_ones() {
        let uuid = json!("0a1b2c3d-0000-4000-8000-00000000000f");
        let (one, other) = (new_id(&uuid, 1), new_id(&uuid, 2));
        assert!(one != other && one != uuid && is_uuid(one.as_str().unwrap()));
        assert!(new_id(&json!(5), 1).is_u64() && new_id(&json!("x"), 1).is_string());
    }

    #[test]
    fn frames_are_multiplexed_or_bare() {
        let frame = Frame::read(r#"{"stream": "s", "payload": {"action": "a", "request_id": 4}}"#);
        assert_eq!(
            (frame.stream.as_deref(), frame.action(), frame.request_id()),
            (Some("s"), Some("a"), json!(4))
        );
        let bare = Frame::read(r#"{"action": "a", "payload": 1}"#);
        assert_eq!((bare.stream.as_deref(), bare.action()), (None, Some("a")));
        assert_eq!(bare.payload["payload"], 1);
    }
}
