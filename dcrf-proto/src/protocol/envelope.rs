//! The envelope: how a payload is written for the server, and how a frame of the server is read, in one
//! pass that borrows from the frame and leaves `data` and `errors` as text.

use std::borrow::Cow;

use serde_json::value::RawValue;
use uuid::fmt::Hyphenated;

use crate::id::{RequestId, UpstreamKey};
use crate::protocol::error_reply::ErrorReply;
use crate::protocol::framing::Framing;
use crate::protocol::json::{self, Json};
use crate::protocol::scan::Scan;

/// A frame of the server, read.
#[derive(Debug, PartialEq)]
pub(crate) enum Frame<'a> {
    /// A frame of the expected shape.
    Envelope(Envelope<'a>),
    /// A JSON object of another shape.
    Foreign,
    /// No JSON, or no object.
    Malformed,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Envelope<'a> {
    /// Absent in bare framing.
    pub(crate) stream: Option<Cow<'a, str>>,
    pub(crate) payload: Payload<'a>,
}

/// The keys of a payload that matter to the session. A key of an unexpected type counts as absent.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Payload<'a> {
    pub(crate) action: Option<Cow<'a, str>>,
    /// `None` for what no id of ours can be.
    pub(crate) request_id: Option<RequestId>,
    /// The subscription on the wire with this id, where it was looked for.
    pub(crate) owner: Option<UpstreamKey>,
    /// The id as it stands in the frame, without quotes.
    pub(crate) id_text: &'a str,
    pub(crate) response_status: Status,
    /// As text.
    pub(crate) errors: Option<&'a str>,
    /// As text.
    pub(crate) data: Option<&'a str>,
}

impl<'a> Payload<'a> {
    pub(crate) fn action(&self) -> Option<&str> {
        self.action.as_deref()
    }

    pub(crate) fn has_status(&self) -> bool {
        !matches!(self.response_status, Status::Missing)
    }

    /// The data of a success, or the error reply (R7).
    pub(crate) fn outcome(&self) -> Result<Option<&'a str>, ErrorReply> {
        let status = match self.response_status {
            Status::Number(200..=299) => return Ok(self.data),
            Status::Number(status) => Some(status),
            Status::Missing | Status::Other if self.errors.is_none_or(is_empty) => {
                return Ok(self.data);
            }
            Status::Missing | Status::Other => None,
        };
        Err(ErrorReply {
            status,
            action: self.action().map(str::to_owned),
            errors: Json::from_checked_or_null(self.errors),
            data: Json::from_checked_or_null(self.data),
        })
    }
}

fn is_empty(errors: &str) -> bool {
    let mut text = errors.bytes().filter(|byte| !byte.is_ascii_whitespace());
    let ends = (text.next(), text.next(), text.next());
    matches!(
        ends,
        (Some(b'['), Some(b']'), None)
            | (Some(b'{'), Some(b'}'), None)
            | (Some(b'"'), Some(b'"'), None)
    )
}

/// Reads a frame, in one pass.
pub(crate) fn decode(framing: Framing, text: &str) -> Frame<'_> {
    let mut scan = Scan::new(text);
    let frame = match framing {
        Framing::Multiplexed => read_multiplexed(&mut scan),
        Framing::Bare => Payload::read(&mut scan)
            .map(|payload| Frame::Envelope(Envelope { stream: None, payload })),
    };
    frame.filter(|_| scan.is_at_end()).unwrap_or(Frame::Malformed)
}

/// An object with a stream and a payload, or of another shape; `None` for what is no JSON, or no object.
fn read_multiplexed<'a>(scan: &mut Scan<'a>) -> Option<Frame<'a>> {
    let (mut stream, mut payload) = (None, None);
    scan.entries(|scan, key| {
        match key {
            b"stream" => stream = scan.raw().map(|value| string(scan, value))?,
            b"payload" if scan.is_object() => payload = Some(Payload::read(scan)?),
            _ => scan.skip()?,
        }
        Some(())
    })?;
    Some(payload.map_or(Frame::Foreign, |payload| Frame::Envelope(Envelope { stream, payload })))
}

impl<'a> Payload<'a> {
    fn read(scan: &mut Scan<'a>) -> Option<Self> {
        const KEYS: [&[u8]; 5] = [b"errors", b"data", b"action", b"response_status", b"request_id"];
        let mut values = [None; KEYS.len()];
        scan.entries(|scan, key| {
            let value = scan.raw()?;
            // Of a key that is there twice the last counts.
            if let Some(nth) = KEYS.iter().position(|known| *known == key) {
                values[nth] = Some(value);
            }
            Some(())
        })?;
        let [errors, data, action, status, id] = values;
        Some(Self {
            action: action.and_then(|action| string(scan, action)),
            request_id: id.and_then(|id| read_id(scan, id)),
            owner: None,
            id_text: id.and_then(in_quotes).unwrap_or_default(),
            response_status: status.map_or(Status::Missing, Status::read),
            errors: errors.and_then(not_null),
            data: data.and_then(not_null),
        })
    }
}

pub(crate) fn not_null(value: &str) -> Option<&str> {
    (value != "null").then_some(value)
}

/// A string that is behind, borrowed where it holds no escapes. Anything else counts as absent, and so does a string with
/// half of a surrogate pair, which JSON has and text has not.
fn string<'a>(scan: &Scan<'a>, raw: &'a str) -> Option<Cow<'a, str>> {
    let text = in_quotes(raw)?;
    if scan.has_escapes && text.contains('\\') {
        return serde_json::from_str(raw).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(text))
}

fn in_quotes(raw: &str) -> Option<&str> {
    raw.strip_prefix('"')?.strip_suffix('"')
}

/// The payload of a frame that [`decode`] has read, whole.
pub(crate) fn whole_payload(framing: Framing, text: &str) -> Json {
    let payload = match framing {
        Framing::Multiplexed => payload_in(text),
        Framing::Bare => Some(text.trim()),
    };
    Json::from_checked_or_null(payload)
}

fn payload_in(text: &str) -> Option<&str> {
    let mut payload = None;
    Scan::new(text).entries(|scan, key| {
        let value = scan.raw()?;
        if key == b"payload" {
            payload = Some(value);
        }
        Some(())
    })?;
    payload
}

/// Writes a message for the server; `arguments` are the keys of its payload beside the action and the id.
pub(crate) fn encode<'a>(
    framing: Framing,
    stream: &str,
    action: &str,
    id: &RequestId,
    arguments: impl Iterator<Item = (&'a str, &'a RawValue)> + Clone,
) -> String {
    let mut text = String::with_capacity(length(framing, stream, action, arguments.clone()));
    if framing == Framing::Multiplexed {
        text.push_str(r#"{"stream":"#);
        json::push_string(&mut text, stream);
        text.push_str(r#","payload":"#);
    }
    text.push('{');
    // A payload of the caller's own may have none.
    if !action.is_empty() {
        text.push_str(r#""action":"#);
        json::push_string(&mut text, action);
        text.push(',');
    }
    text.push_str(r#""request_id":"#);
    id.push_json(&mut text);
    for (name, value) in arguments {
        text.push(',');
        json::push_string(&mut text, name);
        text.push(':');
        text.push_str(value.get());
    }
    text.push_str(if framing == Framing::Multiplexed { "}}" } else { "}" });
    text
}

/// How long a message is whose texts need no escapes and whose id is a UUID, to the byte: the WebSocket takes over a
/// text without another allocation when it has no room left.
fn length<'a>(
    framing: Framing,
    stream: &str,
    action: &str,
    arguments: impl Iterator<Item = (&'a str, &'a RawValue)>,
) -> usize {
    let frame = match framing {
        Framing::Multiplexed => r#"{"stream":"","payload":}"#.len() + stream.len(),
        Framing::Bare => 0,
    };
    let action = if action.is_empty() { 0 } else { r#""action":"","#.len() + action.len() };
    let id = r#"{"request_id":""}"#.len() + Hyphenated::LENGTH;
    let arguments = arguments.map(|(name, value)| r#","":"#.len() + name.len() + value.get().len());
    frame + action + id + arguments.sum::<usize>()
}

/// `request_id`, which the server sends back with the JSON type that the client gave it.
fn read_id(scan: &Scan<'_>, raw: &str) -> Option<RequestId> {
    match raw.as_bytes() {
        [b'"', ..] => string(scan, raw).map(|id| (&*id).into()),
        // Minus zero is a float, and comes back as one.
        b"-0" => None,
        _ => raw.parse::<i64>().ok().map(RequestId::from),
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Status {
    #[default]
    Missing,
    Number(u16),
    Other,
}

impl Status {
    fn read(raw: &str) -> Self {
        if raw == "null" {
            return Self::Missing;
        }
        // A float cast saturates, so -1.5 is 0 and 1e9 is 65,535: neither is a success.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
        raw.parse()
            .or_else(|_| raw.parse::<f64>().map(|number| number as u16))
            .map_or(Self::Other, Self::Number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Request;

    #[test]
    fn the_room_of_a_message_is_its_length() {
        let id = RequestId::from("0e0e0e0e-0e0e-4e0e-8a8a-8a8a8a8a8a8a");
        for framing in [Framing::Multiplexed, Framing::Bare] {
            for action in ["", "retrieve"] {
                let request = Request::new("people", action).arg("pk", 7).arg("data", ["a"]);
                for arguments in [0, 1, 2] {
                    let arguments = request.arguments.iter().take(arguments);
                    let text = encode(framing, "people", action, &id, arguments.clone());
                    assert_eq!(length(framing, "people", action, arguments), text.len(), "{text}");
                    assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{text}");
                }
            }
        }
    }

    #[test]
    fn what_needs_escapes_is_escaped() {
        let text =
            encode(Framing::Bare, "", "a\"\\\n\u{1}é", &RequestId::from("i\"d"), [].into_iter());
        let payload: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(payload["action"], "a\"\\\n\u{1}é");
        assert_eq!(payload["request_id"], "i\"d");
    }
}
