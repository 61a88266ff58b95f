//! Plays the clients' side of a recording against a server.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use async_tungstenite::tokio::TokioAdapter;
use async_tungstenite::tungstenite::Message;
use async_tungstenite::tungstenite::http::{HeaderMap, HeaderValue, header};
use async_tungstenite::tungstenite::protocol::CloseFrame;
use async_tungstenite::{WebSocketReceiver, WebSocketSender};
use dcrf_tokio::fake_server::Direction;
use futures_lite::StreamExt as _;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::compare::{self, Difference};
use super::frame::{Frame, new_id, with_request_id};
use crate::connection::Target;
use crate::connection::stream::Stream;
use crate::conversation::{Entry, Side, What};
use crate::escape::escape;
use crate::failure::{Code, Failure};
use crate::handshake::{Dialer, Passed};
use crate::output::{self, BAD, CHANGED, Form, GOOD, Output, unless_closed};
use crate::state::Background;

type Socket = TokioAdapter<Stream>;

pub(crate) async fn run(
    entries: &[Entry],
    speed: f64,
    is_strict: bool,
    target: &Target,
    out: Output,
) -> Result<(), Failure> {
    let mut player = Player {
        dialer: Dialer::new(target)?,
        timeout: target.timeout,
        connections: HashMap::new(),
        ids: 0,
        is_strict,
        out,
        sent: 0,
        compared: 0,
        different: 0,
    };
    let (began, first) = (Instant::now(), entries.iter().find_map(|entry| entry.at));
    for entry in entries {
        let since_first = entry.at.zip(first).map_or(0.0, |(at, first)| (at - first).max(0.0));
        let wait = Duration::try_from_secs_f64(since_first / speed).unwrap_or(Duration::MAX);
        if let Some(due) = began.checked_add(wait)
            && entry.is_of_client()
        {
            sleep_until(due).await;
        }
        match player.play(entry).await {
            Ok(()) => {}
            Err(Stop::Failed(failure)) => return Err(failure),
            Err(Stop::Printed(error)) => return unless_closed(error),
        }
    }
    player.finish().await
}

impl Entry {
    /// Whether the client does it, and so the replay at its time.
    fn is_of_client(&self) -> bool {
        match &self.what {
            What::Opened | What::Frame(Direction::ToServer, _) => true,
            What::Closed { by, .. } => *by != Side::Server,
            _ => false,
        }
    }
}

/// Why the replay does not go on.
enum Stop {
    Failed(Failure),
    /// Standard output can't be written.
    Printed(std::io::Error),
}

struct Player {
    dialer: Dialer,
    timeout: Duration,
    connections: HashMap<String, Connection>,
    /// How many request ids are used.
    ids: u32,
    is_strict: bool,
    out: Output,
    sent: u64,
    compared: u64,
    different: u64,
}

/// A connection of the replay.
struct Connection {
    sender: WebSocketSender<Socket>,
    received: UnboundedReceiver<Received>,
    /// The frames that no recorded one was compared with yet.
    unmatched: Vec<Frame>,
    /// The new request ids by the recorded ones.
    ids: HashMap<String, Value>,
    end: Option<End>,
    _reader: Background,
}

enum Received {
    Text(String),
    End(End),
}

/// The end of a connection, and its close code if there was a close frame.
#[derive(Clone, Copy, Debug, PartialEq)]
struct End(Option<u16>);

/// A difference as it is printed.
#[derive(Serialize)]
struct Printed<'a> {
    line: usize,
    connection: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<&'a str>,
    #[serde(flatten)]
    difference: Difference,
}

impl Player {
    async fn play(&mut self, entry: &Entry) -> Result<(), Stop> {
        let name = &entry.connection;
        match &entry.what {
            What::Opened => self.open(name).await,
            What::Frame(Direction::ToServer, text) => self.send(entry, text).await,
            What::Frame(Direction::ToClient, text) => self.expect(entry, text).await,
            What::Closed { by: Side::Server, code } => self.expect_end(entry, *code).await,
            What::Closed { code, .. } => {
                self.close(name, *code).await;
                Ok(())
            }
            What::Refused { .. } => Ok(()),
        }
    }

    async fn open(&mut self, name: &str) -> Result<(), Stop> {
        if self.connections.contains_key(name) {
            return Ok(());
        }
        let mut headers = HeaderMap::new();
        if let Ok(origin) = HeaderValue::try_from(self.dialer.origin()) {
            headers.insert(header::ORIGIN, origin);
        }
        let passed = Passed { headers, ..Passed::default() };
        let dialed = self.dialer.dial(passed).await;
        let dialed = dialed.map_err(|error| Stop::Failed(error.into()))?;
        let (sender, from_server) = dialed.socket.split();
        let (frames, received) = unbounded_channel();
        let connection = Connection {
            sender,
            received,
            unmatched: Vec::new(),
            ids: HashMap::new(),
            end: None,
            _reader: Background::spawn(read(from_server, frames)),
        };
        self.connections.insert(name.to_owned(), connection);
        Ok(())
    }

    async fn send(&mut self, entry: &Entry, text: &str) -> Result<(), Stop> {
        self.open(&entry.connection).await?;
        let Some(connection) = self.connections.get_mut(&entry.connection) else { return Ok(()) };
        let frame = Frame::read(text);
        let recorded = frame.request_id();
        let id = connection.ids.entry(recorded.to_string()).or_insert_with(|| {
            self.ids += 1;
            new_id(&recorded, self.ids)
        });
        let text = with_request_id(text, id).unwrap_or_else(|| text.to_owned());
        self.sent += 1;
        connection.take_in();
        if connection.end.is_none() && connection.sender.send(Message::text(text)).await.is_ok() {
            return Ok(());
        }
        let end = connection.end.unwrap_or(End(None)).to_string();
        self.report(entry, &frame, difference("connection", "open", end))
    }

    /// Waits for the frame that the server has sent in the recording, and compares them.
    async fn expect(&mut self, entry: &Entry, text: &str) -> Result<(), Stop> {
        self.open(&entry.connection).await?;
        let deadline = Instant::now() + self.timeout;
        let Some(connection) = self.connections.get_mut(&entry.connection) else { return Ok(()) };
        let recorded = Frame::read(text);
        let id = recorded.request_id();
        let id = connection.ids.get(&id.to_string()).cloned().unwrap_or(id);
        self.compared += 1;
        let Some(replayed) = connection.answer(&recorded, &id, deadline).await else {
            let missing = connection
                .end
                .map_or_else(|| "nothing in time".to_owned(), |end| format!("nothing: {end}"));
            return self.report(entry, &recorded, difference("frame", "one", missing));
        };
        let found = compare::payloads(&recorded.payload, &replayed.payload, self.is_strict);
        for difference in found {
            self.report(entry, &recorded, difference)?;
        }
        Ok(())
    }

    async fn expect_end(&mut self, entry: &Entry, code: Option<u16>) -> Result<(), Stop> {
        let deadline = Instant::now() + self.timeout;
        let Some(connection) = self.connections.get_mut(&entry.connection) else { return Ok(()) };
        while connection.end.is_none() && connection.wait(deadline).await {}
        let end = connection.end;
        let recorded = End(code);
        if end == Some(recorded) {
            return Ok(());
        }
        let replayed = end.map_or_else(|| "open".to_owned(), |end| end.to_string());
        let found = difference("connection", &recorded.to_string(), replayed);
        self.report(entry, &Frame::default(), found)
    }

    async fn close(&mut self, name: &str, code: Option<u16>) {
        let Some(connection) = self.connections.get_mut(name) else { return };
        let frame = code.map(|code| CloseFrame { code: code.into(), reason: "".into() });
        // One that has ended needs no close frame.
        if connection.end.is_none() && connection.sender.send(Message::Close(frame)).await.is_ok() {
            let deadline = Instant::now() + self.timeout;
            while connection.end.is_none() && connection.wait(deadline).await {}
        }
    }

    fn report(&mut self, entry: &Entry, frame: &Frame, difference: Difference) -> Result<(), Stop> {
        self.different += 1;
        let (stream, action) = (frame.stream.as_deref(), frame.action());
        let (line, connection) = (entry.line, entry.connection.as_str());
        let printed = Printed { line, connection, stream, action, difference };
        let json = serde_json::to_string(&printed).unwrap_or_default();
        match self.out.form {
            Form::Json => output::line(&output::json::indented(&json)),
            Form::Table => output::text(&printed.for_people()),
            Form::Jsonl | Form::Raw => output::line(&json),
        }
        .map_err(Stop::Printed)
    }

    /// Closes what is open, and says whether there were differences.
    async fn finish(mut self) -> Result<(), Failure> {
        let names: Vec<_> = self.connections.keys().cloned().collect();
        let mut unmatched = 0;
        for name in names {
            self.close(&name, Some(1000)).await;
            let Some(connection) = self.connections.get_mut(&name) else { continue };
            connection.take_in();
            unmatched += connection.unmatched.len();
        }
        if unmatched > 0 {
            self.out.state(CHANGED, &format!("{unmatched} frames of the server were not recorded"));
        }
        let (sent, compared, different) = (self.sent, self.compared, self.different);
        if different > 0 {
            let message = format!(
                "the server differs from the recording in {different} places, in {compared} frames to {sent}"
            );
            return Err(Failure::new(Code::Refused, message));
        }
        self.out.state(GOOD, &format!("sent {sent} frames and compared {compared}: no difference"));
        Ok(())
    }
}

/// Passes on what the server sends.
async fn read(mut from: WebSocketReceiver<Socket>, frames: UnboundedSender<Received>) {
    let mut code = None;
    while let Some(Ok(message)) = from.next().await {
        match message {
            // The receiver goes when the replay ends.
            Message::Text(text) => _ = frames.send(Received::Text(text.to_string())),
            Message::Close(frame) => code = frame.map(|frame| u16::from(frame.code)),
            _ => {}
        }
    }
    let _ = frames.send(Received::End(End(code)));
}

impl Connection {
    /// Takes in what has come.
    fn take_in(&mut self) {
        while let Ok(received) = self.received.try_recv() {
            self.put(received);
        }
    }

    /// Waits for the next frame or the end. Returns false if the time is over, or nothing can come.
    async fn wait(&mut self, deadline: Instant) -> bool {
        match timeout_at(deadline, self.received.recv()).await {
            Ok(Some(received)) => {
                self.put(received);
                true
            }
            Ok(None) | Err(_) => false,
        }
    }

    fn put(&mut self, received: Received) {
        match received {
            Received::Text(text) => self.unmatched.push(Frame::read(&text)),
            Received::End(end) => self.end = Some(end),
        }
    }

    /// Waits for the frame that answers as the recorded one. If none comes, another answer to the same request is taken.
    async fn answer(&mut self, recorded: &Frame, id: &Value, deadline: Instant) -> Option<Frame> {
        let key = recorded.key(id.clone());
        loop {
            self.take_in();
            let keys = self.unmatched.iter().map(|frame| frame.key(frame.request_id()));
            if let Some(at) = keys.clone().position(|other| other == key) {
                return Some(self.unmatched.remove(at));
            }
            let other = keys.clone().position(|other| key.is_reply_of(&other));
            if self.end.is_some() || !self.wait(deadline).await {
                return other.map(|at| self.unmatched.remove(at));
            }
        }
    }
}

fn difference(field: &str, recorded: &str, replayed: String) -> Difference {
    Difference { field: field.to_owned(), recorded: recorded.into(), replayed: replayed.into() }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(code) => write!(f, "closed with code {code}"),
            None => f.write_str("lost"),
        }
    }
}

impl Printed<'_> {
    fn for_people(&self) -> String {
        let Difference { field, recorded, replayed } = &self.difference;
        let about = [self.action, self.stream.is_some().then_some("on"), self.stream];
        let about: Vec<_> = about.into_iter().flatten().map(escape).collect();
        let shown = |value: &Value| {
            escape(&value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        };
        format!(
            "line {}: {}{}{BAD}{}{BAD:#}: {}, recorded {}\n",
            self.line,
            about.join(" "),
            if about.is_empty() { "" } else { ": " },
            escape(field),
            shown(replayed),
            shown(recorded)
        )
    }
}
