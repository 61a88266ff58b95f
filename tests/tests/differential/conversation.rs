//! What both servers are sent, and what they send.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

/// A few connections, and what each sends in turn.
#[derive(Debug)]
pub(crate) struct Conversation {
    pub(crate) seed: u64,
    pub(crate) connections: Vec<Endpoint>,
    pub(crate) steps: Vec<Step>,
}

/// Where a connection goes to.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    pub(crate) path: String,
    /// The stream, if the endpoint does not multiplex.
    pub(crate) bare: Option<&'static str>,
}

/// One message of a client. The next one follows when both servers are at rest.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) connection: usize,
    pub(crate) stream: &'static str,
    pub(crate) message: Message,
    /// Further calls of the connection, sent at once. They write nothing: how events mix with replies is up to chance.
    pub(crate) more: Vec<(&'static str, Value)>,
    /// The stream and the action of a detached reply to wait for.
    pub(crate) detached: Option<(&'static str, &'static str)>,
    /// The most events of one stream that the call can cause.
    pub(crate) events: usize,
}

#[derive(Debug)]
pub(crate) enum Message {
    Payload(Value),
    /// A whole frame, valid or not.
    Text(String),
    Binary,
}

/// What one connection receives after a step.
#[derive(Clone, Debug, Default)]
pub(crate) struct Received {
    pub(crate) streams: BTreeMap<String, Vec<Value>>,
    /// The close code.
    pub(crate) end: Option<u16>,
}

impl Conversation {
    /// The paths of the connections, a line each.
    pub(crate) fn endpoints(&self) -> Vec<String> {
        let lines = self.connections.iter().enumerate();
        lines.map(|(number, its)| format!("connection {number}: {}", its.path)).collect()
    }
}

impl Endpoint {
    /// The frame of a payload.
    pub(crate) fn frame(&self, stream: &str, payload: &Value) -> String {
        match self.bare {
            Some(_) => payload.to_string(),
            None => json!({"stream": stream, "payload": payload}).to_string(),
        }
    }

    /// The stream and the payload of a frame from the server.
    pub(crate) fn parse(&self, text: &str) -> (String, Value) {
        let parsed = serde_json::from_str::<Value>(text);
        let mut frame = parsed.unwrap_or_else(|error| panic!("{text} is no JSON: {error}"));
        if let Some(stream) = self.bare {
            return (stream.to_owned(), frame);
        }
        let stream = frame["stream"].as_str().unwrap_or_default().to_owned();
        (stream, frame["payload"].take())
    }
}

impl Step {
    /// Whether the call closes its stream.
    pub(crate) fn hangs_up(&self) -> bool {
        matches!(&self.message, Message::Payload(payload) if payload["action"] == "hangup")
    }
}

impl Received {
    pub(crate) fn is_empty(&self) -> bool {
        self.streams.is_empty() && self.end.is_none()
    }

    pub(crate) fn add(&mut self, (stream, payload): (String, Value)) {
        self.streams.entry(stream).or_default().push(payload);
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connection {} > {} ", self.connection, self.stream)?;
        match &self.message {
            Message::Payload(payload) => write!(f, "{payload}")?,
            Message::Text(text) if text.len() > 1000 => write!(f, "{} characters", text.len())?,
            Message::Text(text) => write!(f, "frame {text:?}")?,
            Message::Binary => f.write_str("a binary frame")?,
        }
        self.more.iter().try_for_each(|(stream, payload)| write!(f, ", {stream} {payload}"))
    }
}

impl fmt::Display for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (stream, payloads) in &self.streams {
            payloads.iter().try_for_each(|payload| write!(f, "\n      {stream} < {payload}"))?;
        }
        self.end.iter().try_for_each(|code| write!(f, "\n      closed with {code}"))
    }
}
