//! The frames that both sides of each line send and read, in the format of DCRF, and the least that reading one takes.

use std::borrow::Cow;
use std::fmt::Write;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// An object as the caller's type.
#[derive(Debug, Deserialize)]
pub(crate) struct Task {
    pub(crate) pk: u64,
    pub(crate) title: String,
    pub(crate) done: bool,
    pub(crate) priority: u8,
}

impl Task {
    /// Has the compiler believe that all of it is used.
    pub(crate) fn sum(&self) -> u64 {
        self.pk + self.title.len() as u64 + u64::from(self.done) + u64::from(self.priority)
    }
}

/// A frame of the server, borrowed and parsed once: what every client has to do at least.
#[derive(Deserialize)]
#[expect(dead_code, reason = "all of it is parsed, whatever is read")]
pub(crate) struct Envelope<'a> {
    #[serde(borrow)]
    pub(crate) stream: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) payload: Payload<'a>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "all of it is parsed, whatever is read")]
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
        serde_json::from_str(text).expect("a frame of the server")
    }

    pub(crate) fn task(&self) -> Task {
        serde_json::from_str(self.payload.data.get()).expect("a task")
    }
}

/// A message to the server, as a client without a layer of its own would write it.
#[derive(Serialize)]
pub(crate) struct Message<'a> {
    pub(crate) stream: &'a str,
    pub(crate) payload: Asked<'a>,
}

#[derive(Serialize)]
pub(crate) struct Asked<'a> {
    pub(crate) action: &'a str,
    pub(crate) request_id: &'a str,
    pub(crate) pk: u64,
}

impl Message<'_> {
    pub(crate) fn to_text(&self) -> String {
        serde_json::to_string(self).expect("strings and a number")
    }
}

/// A UUID in its usual form, a different one for each number.
pub(crate) fn id(number: u64) -> String {
    format!("0e0e0e0e-0e0e-4e0e-8a8a-{number:012x}")
}

/// A frame of the server with `data`, as DCRF writes it.
pub(crate) fn frame(action: &str, status: u16, data: &str, id: &str) -> String {
    let mut frame = String::with_capacity(160 + data.len());
    let _ = write!(
        frame,
        r#"{{"stream":"tasks","payload":{{"errors":[],"data":{data},"action":"{action}","response_status":{status},"request_id":"{id}"}}}}"#
    );
    frame
}

/// A task, as a serializer writes it, with so many letters in its title.
fn task(pk: u64, letters: usize) -> String {
    format!(r#"{{"pk":{pk},"title":"{}","done":false,"priority":1}}"#, "x".repeat(letters))
}

/// In the title of each of the server's objects.
const LETTERS: usize = 40;

/// The object that the server has for this key.
pub(crate) fn object(pk: u64) -> String {
    task(pk, LETTERS)
}

/// The event of it, as the server sends it.
pub(crate) fn event(pk: u64, id: &str) -> String {
    frame("update", 200, &object(pk), id)
}

/// An update event of exactly this size.
pub(crate) fn update(size: usize, id: &str) -> String {
    let room = size - frame("update", 200, &task(7, 0), id).len();
    frame("update", 200, &task(7, room), id)
}
