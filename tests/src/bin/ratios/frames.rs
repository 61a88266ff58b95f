//! The frames that both sides of each line send and receive, in the format of DCRF, and the minimal way to parse them.

use std::borrow::Cow;
use std::fmt::Write;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The caller's type of an object.
#[derive(Debug, Deserialize)]
pub(crate) struct Task {
    pub(crate) pk: u64,
    pub(crate) title: String,
    pub(crate) done: bool,
    pub(crate) priority: u8,
}

impl Task {
    /// Uses all fields, so that no decoding is optimized away.
    pub(crate) fn sum(&self) -> u64 {
        self.pk + self.title.len() as u64 + u64::from(self.done) + u64::from(self.priority)
    }
}

/// A frame from the server, parsed once without copying: the minimum for every client.
#[derive(Deserialize)]
#[expect(dead_code, reason = "all fields are parsed")]
pub(crate) struct Envelope<'a> {
    #[serde(borrow)]
    pub(crate) stream: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) payload: Payload<'a>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "all fields are parsed")]
pub(crate) struct Payload<'a> {
    #[serde(borrow)]
    pub(crate) errors: &'a RawValue,
    #[serde(borrow)]
    pub(crate) data: &'a RawValue,
    #[serde(borrow)]
    pub(crate) action: Cow<'a, str>,
    pub(crate) response_status: u16,
    #[serde(borrow)]
    pub(crate) request_id: Cow<'a, str>,
}

impl<'a> Envelope<'a> {
    pub(crate) fn parse(text: &'a str) -> Self {
        serde_json::from_str(text).expect("a frame from the server")
    }

    pub(crate) fn task(&self) -> Task {
        serde_json::from_str(self.payload.data.get()).expect("a task")
    }
}

/// A message to the server, as a minimal client writes it.
#[derive(Serialize)]
pub(crate) struct Message<'a> {
    pub(crate) stream: &'a str,
    pub(crate) payload: MessagePayload<'a>,
}

#[derive(Serialize)]
pub(crate) struct MessagePayload<'a> {
    pub(crate) action: &'a str,
    pub(crate) request_id: &'a str,
    pub(crate) pk: u64,
}

impl Message<'_> {
    pub(crate) fn to_text(&self) -> String {
        serde_json::to_string(self).expect("strings and a number")
    }
}

/// A UUID for a number.
pub(crate) fn id(number: u64) -> String {
    format!("0e0e0e0e-0e0e-4e0e-8a8a-{number:012x}")
}

/// A frame from the server with the JSON in `data`, as DCRF writes it.
pub(crate) fn frame(action: &str, status: u16, data: &str, id: &str) -> String {
    let mut frame = String::with_capacity(160 + data.len());
    let _ = write!(
        frame,
        r#"{{"stream":"tasks","payload":{{"errors":[],"data":{data},"action":"{action}","response_status":{status},"request_id":"{id}"}}}}"#
    );
    frame
}

/// A serialized task with a title of this length.
fn task(pk: u64, length: usize) -> String {
    format!(r#"{{"pk":{pk},"title":"{}","done":false,"priority":1}}"#, "x".repeat(length))
}

/// The length of the title of the server's objects.
const TITLE_LENGTH: usize = 40;

/// The server's object with this primary key.
pub(crate) fn object(pk: u64) -> String {
    task(pk, TITLE_LENGTH)
}

/// An update event of that object.
pub(crate) fn event(pk: u64, id: &str) -> String {
    frame("update", 200, &object(pk), id)
}

/// An update event of exactly this size.
pub(crate) fn update(size: usize, id: &str) -> String {
    let length = size - frame("update", 200, &task(7, 0), id).len();
    frame("update", 200, &task(7, length), id)
}
