//! Encodes payloads for the server and decodes its frames. Decoding takes one pass, borrows from the frame, and leaves
//! `data` and `errors` as text.

use std::borrow::Cow;

use serde_json::value::RawValue;
use uuid::fmt::Hyphenated;

use crate::id::RequestId;
use crate::protocol::error_reply::ErrorReply;
use crate::protocol::framing::Framing;
use crate::protocol::json::{self, Json};
use crate::protocol::scan::Scan;
use crate::shown;

/// A decoded text frame from the server.
#[derive(Debug, PartialEq)]
pub(crate) enum Frame<'a> {
    /// An object with a payload.
    Envelope(Envelope<'a>),
    /// A JSON object of another shape.
    Foreign,
    /// Not a JSON object.
    Malformed,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Envelope<'a> {
    /// Absent in bare framing.
    pub(crate) stream: Option<Cow<'a, str>>,
    pub(crate) payload: Payload<'a>,
}

/// The keys of a payload that the session uses. A value of an unexpected type counts as absent.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Payload<'a> {
    pub(crate) action: Option<Cow<'a, str>>,
    /// `None` unless it is a string or an integer of 64 bits.
    pub(crate) request_id: Option<RequestId>,
    /// The id as written in the frame, without its quotes.
    pub(crate) id_text: &'a str,
    pub(crate) response_status: Status,
    /// JSON text.
    pub(crate) errors: Option<&'a str>,
    /// JSON text.
    pub(crate) data: Option<&'a str>,
}

impl<'a> Payload<'a> {
    pub(crate) fn action(&self) -> Option<&str> {
        self.action.as_deref()
    }

    pub(crate) fn has_status(&self) -> bool {
        !matches!(self.response_status, Status::Missing)
    }

    /// The data of a successful reply, or the error reply (R7).
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
            action: self.action().map(shown::name),
            errors: Json::from_checked_or_null(self.errors),
            data: Json::from_checked_or_null(self.data),
        })
    }
}

/// Whether this is an empty array, object or string.
fn is_empty(errors: &str) -> bool {
    let mut bytes = errors.bytes().filter(|byte| !byte.is_ascii_whitespace());
    matches!(
        (bytes.next(), bytes.next(), bytes.next()),
        (Some(b'['), Some(b']'), None)
            | (Some(b'{'), Some(b'}'), None)
            | (Some(b'"'), Some(b'"'), None)
    )
}

/// Decodes a text frame.
pub(crate) fn decode(framing: Framing, text: &str) -> Frame<'_> {
    let mut scan = Scan::new(text);
    let frame = match framing {
        Framing::Multiplexed => read_multiplexed(&mut scan),
        Framing::Bare => Payload::read(&mut scan)
            .map(|payload| Frame::Envelope(Envelope { stream: None, payload })),
    };
    frame.filter(|_| scan.is_at_end()).unwrap_or(Frame::Malformed)
}

/// Reads an object. `None` if the text is not a JSON object.
fn read_multiplexed<'a>(scan: &mut Scan<'a>) -> Option<Frame<'a>> {
    let (mut stream, mut payload) = (None, None);
    scan.entries(|scan, key| {
        match key {
            "stream" => stream = scan.raw().map(|value| string(scan, value))?,
            // If a key is repeated, the last value counts.
            "payload" if scan.is_object() => payload = Some(Payload::read(scan)?),
            "payload" => {
                scan.skip()?;
                payload = None;
            }
            _ => scan.skip()?,
        }
        Some(())
    })?;
    Some(payload.map_or(Frame::Foreign, |payload| Frame::Envelope(Envelope { stream, payload })))
}

impl<'a> Payload<'a> {
    fn read(scan: &mut Scan<'a>) -> Option<Self> {
        let (mut errors, mut data, mut action, mut status, mut id) = (None, None, None, None, None);
        scan.entries(|scan, key| {
            let value = Some(scan.raw()?);
            match key {
                "errors" => errors = value,
                "data" => data = value,
                "action" => action = value,
                "response_status" => status = value,
                "request_id" => id = value,
                _ => {}
            }
            Some(())
        })?;
        Some(Self {
            action: action.and_then(|action| string(scan, action)),
            request_id: id.and_then(|id| read_id(scan, id)),
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

/// The text of a string that the scan has passed, borrowed if it has no escapes. `None` for other values.
fn string<'a>(scan: &Scan<'a>, raw: &'a str) -> Option<Cow<'a, str>> {
    let text = in_quotes(raw)?;
    if scan.has_escapes && text.contains('\\') {
        return json::decode(raw).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(text))
}

fn in_quotes(raw: &str) -> Option<&str> {
    raw.strip_prefix('"')?.strip_suffix('"')
}

/// The whole payload of a frame that [`decode`] has validated.
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
        if key == "payload" {
            payload = Some(value);
        }
        Some(())
    })?;
    payload
}

/// Encodes a message to the server. `arguments` are the keys of its payload other than action and request id.
pub(crate) fn encode<'a>(
    framing: Framing,
    stream: &str,
    action: &str,
    id: &RequestId,
    arguments: impl Iterator<Item = (&'a str, &'a RawValue)> + Clone,
) -> String {
    let mut text = String::with_capacity(encoded_len(framing, stream, action, arguments.clone()));
    if framing == Framing::Multiplexed {
        text.push_str(r#"{"stream":"#);
        json::push_string(&mut text, stream);
        text.push_str(r#","payload":"#);
    }
    text.push('{');
    // A custom payload may have no action.
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

/// The exact length of a message whose strings need no escapes and whose id is a UUID. The WebSocket library takes over
/// a string without another allocation only if its capacity equals its length.
fn encoded_len<'a>(
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

/// Reads `request_id`. The server returns it with the JSON type that the client used.
fn read_id(scan: &Scan<'_>, raw: &str) -> Option<RequestId> {
    match raw.as_bytes() {
        // An id with a lone surrogate can't be the client's own.
        [b'"', ..] if scan.has_escapes && raw.contains('\\') => {
            serde_json::from_str::<String>(raw).ok().map(|id| (&*id).into())
        }
        [b'"', ..] => in_quotes(raw).map(RequestId::from),
        // Python returns an integer zero as 0: -0 is a float.
        b"-0" => None,
        _ => raw.parse::<i64>().ok().map(RequestId::from),
    }
}

/// `response_status`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Status {
    /// Absent or null.
    #[default]
    Missing,
    /// An integer. One that is out of range becomes the nearest value in range, which is not a success.
    Number(u16),
    /// Not an integer.
    Other,
}

impl Status {
    fn read(raw: &str) -> Self {
        if raw == "null" {
            return Self::Missing;
        }
        if let Ok(status) = raw.parse() {
            return Self::Number(status);
        }
        match raw.parse::<f64>() {
            // In JSON, 200.0 and 2e2 are the integer 200.
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "it saturates"
            )]
            Ok(number) if number.fract() == 0.0 || number.is_infinite() => {
                Self::Number(number as u16)
            }
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Request;

    #[test]
    fn capacity_of_an_encoded_message_is_its_length() {
        let id = RequestId::from("0e0e0e0e-0e0e-4e0e-8a8a-8a8a8a8a8a8a");
        for framing in [Framing::Multiplexed, Framing::Bare] {
            for action in ["", "retrieve"] {
                let request = Request::new("people", action).arg("pk", 7).arg("data", ["a"]);
                for arguments in [0, 1, 2] {
                    let arguments = request.arguments.iter().take(arguments);
                    let text = encode(framing, "people", action, &id, arguments.clone());
                    assert_eq!(
                        encoded_len(framing, "people", action, arguments),
                        text.len(),
                        "{text}"
                    );
                    assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{text}");
                }
            }
        }
    }

    #[test]
    fn f1_keys_written_with_escapes_are_recognized() {
        let plain = r#"{"stream":"a","payload":{"action":"b","request_id":1,"data":2,"errors":[3],"response_status":404}}"#;
        let frame = decode(Framing::Multiplexed, plain);
        assert!(matches!(&frame, Frame::Envelope(envelope) if envelope.stream.is_some()));
        let keys =
            ["stream", "payload", "action", "request_id", "data", "errors", "response_status"];
        for key in keys {
            let (first, rest) = key.split_at(1);
            let escaped = format!(r"\u{:04x}{rest}", u32::from(first.as_bytes()[0]));
            let text = plain.replace(&format!("\"{key}\""), &format!("\"{escaped}\""));
            assert_ne!(text, plain);
            assert_eq!(decode(Framing::Multiplexed, &text), frame, "{text}");
        }
        let text = r#"{"p\u0061yload": 7}"#;
        assert_eq!(whole_payload(Framing::Multiplexed, text).as_str(), "7");
    }

    #[test]
    fn r7_status_that_is_not_an_integer_counts_as_missing() {
        let is_success = |status: &str, errors: &str| {
            let text = format!(r#"{{"response_status":{status},"errors":{errors}}}"#);
            let Frame::Envelope(envelope) = decode(Framing::Bare, &text) else { panic!("{text}") };
            envelope.payload.outcome().map(drop).map_err(|error| error.status)
        };
        for status in ["200", "200.0", "2e2", "20.4E1", "299"] {
            assert_eq!(is_success(status, r#"["a"]"#), Ok(()), "{status}");
        }
        for status in ["200.9", "299.5", "404.5", "1e-1", "\"200\"", "[200]", "true"] {
            assert_eq!(is_success(status, "[]"), Ok(()), "{status}");
            assert_eq!(is_success(status, r#"["a"]"#), Err(None), "{status}");
        }
        for (status, read) in [
            ("0", 0),
            ("-1", 0),
            ("-0", 0),
            ("300", 300),
            ("404.0", 404),
            ("65736", u16::MAX),
            ("1e999", u16::MAX),
        ] {
            assert_eq!(is_success(status, "[]"), Err(Some(read)), "{status}");
        }
    }

    #[test]
    fn encoded_strings_are_escaped() {
        let text =
            encode(Framing::Bare, "", "a\"\\\n\u{1}é", &RequestId::from("i\"d"), [].into_iter());
        let payload: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(payload["action"], "a\"\\\n\u{1}é");
        assert_eq!(payload["request_id"], "i\"d");
    }
}
