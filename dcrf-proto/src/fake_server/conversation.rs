//! The conversation as JSON lines, and a server that plays a recorded one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use serde_json::{Value, json};

use super::{ConnectionId, FakeServer};

/// Which way a frame went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
}

/// A text frame of a conversation. Its `Display` is a JSON object:
/// `{"conn": "1", "dir": ">", "text": "{\"stream\": …}"}`, with `<` for frames from the server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Line {
    /// The name of the connection.
    pub connection: String,
    /// Which way the frame went.
    pub direction: Direction,
    /// The frame.
    pub text: String,
}

/// A line that can't be parsed.
#[derive(Debug, thiserror::Error)]
#[error("line {number} is not a recorded frame: {line}")]
#[non_exhaustive]
pub struct InvalidLine {
    /// The number of the line, counted from 1.
    pub number: usize,
    /// The line.
    pub line: String,
}

impl Line {
    /// A frame of a conversation, for one that your program records.
    pub fn new(connection: impl fmt::Display, direction: Direction, text: &str) -> Self {
        Self { connection: connection.to_string(), direction, text: text.to_owned() }
    }

    /// The frames in JSON lines. Objects without `dir` are skipped, for example notes of a recorder.
    ///
    /// ```
    /// # use dcrf_proto::fake_server::Line;
    /// let recording = r#"{"conn": "1", "dir": ">", "text": "{}"}"#;
    /// assert_eq!(Line::parse(recording)?.len(), 1);
    /// # Ok::<(), dcrf_proto::fake_server::InvalidLine>(())
    /// ```
    ///
    /// # Errors
    ///
    /// A line is not a JSON object, or has `dir` without `conn` and `text`.
    pub fn parse(lines: &str) -> Result<Vec<Self>, InvalidLine> {
        let lines = lines.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let parsed = lines.filter_map(|(at, line)| {
            let invalid = || InvalidLine { number: at + 1, line: line.to_owned() };
            let Ok(Value::Object(object)) = serde_json::from_str(line) else {
                return Some(Err(invalid()));
            };
            let direction = match object.get("dir").map(Value::as_str) {
                None => return None,
                Some(Some(">")) => Direction::ToServer,
                Some(Some("<")) => Direction::ToClient,
                Some(_) => return Some(Err(invalid())),
            };
            let text = |name| object.get(name).and_then(Value::as_str);
            let line = text("conn").zip(text("text"));
            Some(line.map(|(name, text)| Self::new(name, direction, text)).ok_or_else(invalid))
        });
        parsed.collect()
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = if self.direction == Direction::ToServer { ">" } else { "<" };
        json!({"conn": self.connection, "dir": direction, "text": self.text}).fmt(f)
    }
}

impl FakeServer {
    /// The text frames of all connections so far, in order. Print them, a line each, to store the conversation.
    pub fn conversation(&self) -> Vec<Line> {
        self.with(|state| {
            let frames = state.frames.iter();
            frames.map(|(id, direction, text)| Line::new(id, *direction, text)).collect()
        })
    }

    /// A server that plays the server's side of a recorded conversation: a frame of the server comes once the client has
    /// sent the frames before it. Its `n`th connection plays the `n`th recorded one. Request ids may differ.
    ///
    /// A frame that was not recorded closes the connection, and [`assert_replayed`](Self::assert_replayed) reports it. The
    /// ends of connections are not recorded: call [`drop_connections`](Self::drop_connections) where one was lost.
    ///
    /// ```
    /// # use dcrf_proto::fake_server::{FakeServer, Line};
    /// # let recording = "";
    /// let server = FakeServer::replay(&Line::parse(recording)?);
    /// server.assert_replayed();
    /// # Ok::<(), dcrf_proto::fake_server::InvalidLine>(())
    /// ```
    pub fn replay(lines: &[Line]) -> Self {
        let server = Self::new();
        server.with(|state| state.script = Some(Script::new(lines)));
        server
    }

    /// Asserts that the client has sent each recorded frame, and no other.
    ///
    /// # Panics
    ///
    /// If not. The message lists the frames.
    #[track_caller]
    pub fn assert_replayed(&self) {
        let differences = self.with(|state| state.script.as_ref().map(Script::differences));
        let differences = differences.unwrap_or_default();
        assert!(
            differences.is_empty(),
            "the conversation was not replayed:\n{}",
            differences.join("\n")
        );
    }
}

/// A recorded conversation that is played.
#[derive(Default)]
pub(super) struct Script {
    /// The connections that have not been opened.
    recorded: VecDeque<VecDeque<Line>>,
    playing: BTreeMap<ConnectionId, Playing>,
    unexpected: Vec<String>,
}

#[derive(Default)]
struct Playing {
    lines: VecDeque<Line>,
    /// The client's request ids by the recorded ones.
    ids: BTreeMap<String, Value>,
}

impl Script {
    fn new(lines: &[Line]) -> Self {
        let mut names = BTreeSet::new();
        let firsts = lines.iter().filter(|line| names.insert(&line.connection));
        let of =
            |name: &String| lines.iter().filter(|line| line.connection == *name).cloned().collect();
        Self { recorded: firsts.map(|line| of(&line.connection)).collect(), ..Self::default() }
    }

    fn differences(&self) -> Vec<String> {
        let playing = self.playing.values().map(|playing| &playing.lines);
        let left = playing.chain(&self.recorded).flatten();
        let left = left.filter(|line| line.direction == Direction::ToServer);
        let missing = left.map(|line| format!("not sent: {line}"));
        self.unexpected.iter().cloned().chain(missing).collect()
    }

    /// The frames that the server sends now.
    pub(super) fn due(&mut self, id: ConnectionId) -> Vec<String> {
        self.playing.get_mut(&id).map(Playing::due).unwrap_or_default()
    }

    pub(super) fn connect(&mut self, id: ConnectionId) {
        let lines = self.recorded.pop_front().unwrap_or_default();
        self.playing.insert(id, Playing { lines, ..Playing::default() });
    }

    /// Takes a frame of the client. Returns whether it was recorded.
    pub(super) fn receive(&mut self, id: ConnectionId, text: &str) -> bool {
        let Some(playing) = self.playing.get_mut(&id) else { return false };
        let is_recorded = playing.take(text);
        if !is_recorded {
            self.unexpected.push(format!("not recorded: connection {id}: {text}"));
        }
        is_recorded
    }
}

impl Playing {
    /// Takes the recorded frame that is equal except for its request id.
    fn take(&mut self, text: &str) -> bool {
        let mut sent = read(text);
        let id = take_id(&mut sent);
        for at in 0..self.lines.len() {
            let line = &self.lines[at];
            if line.direction == Direction::ToClient {
                continue;
            }
            let mut recorded = read(&line.text);
            let recorded_id = take_id(&mut recorded);
            if recorded == sent {
                self.lines.remove(at);
                self.ids.insert(recorded_id.to_string(), id);
                return true;
            }
        }
        false
    }

    /// The frames of the server for which the client has sent everything before.
    fn due(&mut self) -> Vec<String> {
        let mut due = Vec::new();
        while self.lines.front().is_some_and(|line| line.direction == Direction::ToClient) {
            let Some(line) = self.lines.pop_front() else { break };
            let mut frame = read(&line.text);
            let id = request_id(&mut frame);
            let ids = id.and_then(|id| self.ids.get(&id.to_string()).map(|known| (id, known)));
            match ids.filter(|(id, known)| id != known) {
                Some((id, known)) => {
                    known.clone_into(id);
                    due.push(frame.to_string());
                }
                // Byte by byte: not every frame of a server is JSON that can be read and written.
                None => due.push(line.text),
            }
        }
        due
    }
}

/// A frame, or its text if it is not JSON.
fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

/// The request id of a frame, multiplexed or not.
fn request_id(frame: &mut Value) -> Option<&mut Value> {
    let is_multiplexed = frame.get("stream").is_some() && frame.get("payload").is_some();
    let payload = if is_multiplexed { frame.get_mut("payload")? } else { frame };
    payload.get_mut("request_id")
}

fn take_id(frame: &mut Value) -> Value {
    request_id(frame).map(Value::take).unwrap_or_default()
}
