//! Replays the frames of a real server to a session that makes the same calls as the recorded client, and checks how it
//! classifies each frame. See `transcripts/README.md`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use dcrf_proto::{
    Change, ClientEvent, CloseFrame, Config, ConnectionError, Epoch, ErrorReply, Event, Frame,
    Framing, Json, Pk, Request, RequestError, RequestId, Seed, Session, Subscribe, SubscriptionKey,
    Transmit, UnsubscribeError,
};
use serde_json::{Map, Value, json};

/// How the session classified a frame from the server.
#[derive(Debug)]
enum Outcome {
    Reply(Result<Json, ErrorReply>),
    Subscribed,
    SubscriptionError,
    Unsubscribed(Result<(), UnsubscribeError>),
    Change(Change),
    Unhandled(Value),
    Late,
    Malformed,
}

impl Outcome {
    fn name(&self) -> &'static str {
        match self {
            Self::Reply(Ok(_)) => "ok",
            Self::Reply(Err(_)) => "error reply",
            Self::Subscribed => "subscribed",
            Self::SubscriptionError => "subscription error",
            Self::Unsubscribed(Ok(())) => "unsubscribed",
            Self::Unsubscribed(Err(_)) => "unsubscribe error",
            Self::Change(Change::Create(_)) => "create",
            Self::Change(Change::Update(_)) => "update",
            Self::Change(Change::Delete(_)) => "delete",
            Self::Change(Change::ErrorReply(_)) => "error event",
            Self::Change(_) => "other event",
            Self::Unhandled(_) => "unhandled",
            Self::Late => "late",
            Self::Malformed => "malformed",
        }
    }
}

/// A connection of a recording, with a session instead of the recorded client.
struct Connection {
    session: Session,
    epoch: Epoch,
    base: Instant,
    framing: Framing,
    /// By stream and request id.
    subscriptions: BTreeMap<(String, String), SubscriptionKey>,
}

enum Call {
    /// Stream and request id, and our key.
    Subscribe((String, String), SubscriptionKey),
    Other,
}

/// How a frame of the recorded client was reproduced.
enum Reproduction {
    /// The session sent the same frame.
    Same,
    /// The subscription shares an upstream subscription, so nothing was sent (S2).
    Shared,
    /// No call sends this frame, for example because it has no request id.
    Impossible,
}

impl Connection {
    fn open(framing: Framing, base: Instant) -> Self {
        let mut config = Config::default();
        config.framing = framing;
        config.heartbeat = None;
        config.request_timeout = None;
        let mut session = Session::new(config, Seed::from([7; 32]), base);
        session.open(base);
        let Some(Transmit::Dial(epoch)) = session.poll_transmit() else {
            panic!("the session does not dial")
        };
        session.handle_connected(epoch, base);
        while session.poll_event().is_some() {}
        Self { session, epoch, base, framing, subscriptions: BTreeMap::new() }
    }

    /// Makes the call that sends this frame, if there is one.
    fn reproduce(&mut self, text: &str) -> Reproduction {
        let Ok(frame) = serde_json::from_str::<Value>(text) else {
            return Reproduction::Impossible;
        };
        let Some(call) = self.call(&frame) else { return Reproduction::Impossible };
        let sent = self.sent();
        match call {
            Call::Subscribe(_, key) if sent.is_empty() => {
                self.session.unsubscribe(key, self.base);
                return Reproduction::Shared;
            }
            Call::Subscribe(name, key) => _ = self.subscriptions.insert(name, key),
            Call::Other => {}
        }
        assert_eq!(sent, [frame]);
        Reproduction::Same
    }

    fn call(&mut self, frame: &Value) -> Option<Call> {
        let (stream, payload) = match self.framing {
            Framing::Multiplexed => (frame["stream"].as_str()?, frame["payload"].as_object()?),
            _ => ("bare", frame.as_object()?),
        };
        let (stream, action) = (stream.to_owned(), payload.get("action")?.as_str()?.to_owned());
        let id = match payload.get("request_id")? {
            Value::String(id) => RequestId::from(id.as_str()),
            Value::Number(id) => RequestId::from(id.as_i64()?),
            _ => return None,
        };
        let name = (stream.clone(), payload["request_id"].to_string());
        if action.starts_with("unsubscribe") {
            let key = self.subscriptions.remove(&name)?;
            self.session.unsubscribe(key, self.base);
            return Some(Call::Other);
        }
        if action.starts_with("subscribe") {
            let subscribe = Subscribe::new(&stream, &action).id(id).include_create();
            let subscribe =
                arguments(payload).fold(subscribe, |s, (name, value)| s.arg(&name, value));
            let key = self.session.subscribe(subscribe, self.base).ok()?;
            return Some(Call::Subscribe(name, key));
        }
        let request = Request::new(&stream, &action).id(id);
        let request = arguments(payload).fold(request, |r, (name, value)| r.arg(&name, value));
        self.session.request(request, self.base).ok().map(|_| Call::Other)
    }

    fn sent(&mut self) -> Vec<Value> {
        let mut sent = Vec::new();
        while let Some(transmit) = self.session.poll_transmit() {
            let Transmit::Frame(_, Frame::Text(text)) = transmit else {
                panic!("expected text, got {transmit:?}")
            };
            sent.push(serde_json::from_str(&text).expect("sent frames are JSON"));
        }
        sent
    }

    /// Passes a frame from the server to the session.
    fn receive(&mut self, text: &str) -> Outcome {
        // Discard the events of earlier calls.
        while self.session.poll_event().is_some() {}
        let before = self.session.stats();
        self.session.handle_text(self.epoch, text, self.base);
        let after = self.session.stats();
        let mut outcomes = Vec::new();
        if after.late > before.late {
            outcomes.push(Outcome::Late);
        }
        if after.malformed > before.malformed {
            outcomes.push(Outcome::Malformed);
        }
        while let Some(event) = self.session.poll_event() {
            self.handle_event(event, &mut outcomes);
        }
        assert!(!outcomes.is_empty(), "no outcome for {text}");
        // All subscribers that share an upstream subscription get the same.
        outcomes.swap_remove(0)
    }

    fn handle_event(&mut self, event: Event, outcomes: &mut Vec<Outcome>) {
        match event {
            Event::Settled { result, .. } => {
                let error_reply = |error| match error {
                    RequestError::ErrorReply(reply) => reply,
                    other => panic!("{other}"),
                };
                outcomes.push(Outcome::Reply(result.map_err(error_reply)));
            }
            Event::Subscribed(_) => outcomes.push(Outcome::Subscribed),
            Event::Unsubscribed { result, .. } => outcomes.push(Outcome::Unsubscribed(result)),
            Event::Client(ClientEvent::Unhandled(unhandled)) => {
                outcomes.push(Outcome::Unhandled(value(&unhandled.frame)));
            }
            Event::ChangeReadable(key) => {
                while let Some(polled) = self.session.poll_change(key) {
                    outcomes.push(polled.map_or(Outcome::SubscriptionError, Outcome::Change));
                }
            }
            other => panic!("{other:?}"),
        }
    }
}

fn arguments(payload: &Map<String, Value>) -> impl Iterator<Item = (String, Value)> + '_ {
    let is_reserved = |name: &str| matches!(name, "action" | "request_id");
    payload.iter().filter(move |(name, _)| !is_reserved(name)).map(|(n, v)| (n.clone(), v.clone()))
}

fn value(json: &Json) -> Value {
    json.decode().expect("valid JSON")
}

/// The result of replaying a transcript.
struct Replay {
    /// Connection, text and outcome of each frame from the server.
    outcomes: Vec<(String, String, Outcome)>,
    same: usize,
    shared: usize,
    impossible: usize,
}

impl Replay {
    fn tally(&self) -> String {
        let mut counts = BTreeMap::new();
        for (_, _, outcome) in &self.outcomes {
            *counts.entry(outcome.name()).or_insert(0) += 1;
        }
        let counts: Vec<String> =
            counts.into_iter().map(|(name, count)| format!("{name} {count}")).collect();
        counts.join(", ")
    }

    /// The outcomes of a connection's frames that contain `part`.
    fn of(&self, connection: &str, part: &str) -> Vec<&Outcome> {
        let frames =
            self.outcomes.iter().filter(|(c, text, _)| c == connection && text.contains(part));
        frames.map(|(_, _, outcome)| outcome).collect()
    }
}

fn replay(name: &str) -> Replay {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("transcripts/{name}.jsonl"));
    let recording = fs::read_to_string(path).expect("the transcript exists");
    #[allow(clippy::disallowed_methods, reason = "the start of the virtual clock")]
    let base = Instant::now();
    let mut connections: BTreeMap<String, Connection> = BTreeMap::new();
    let mut replay = Replay { outcomes: Vec::new(), same: 0, shared: 0, impossible: 0 };
    let mut paths: BTreeMap<String, String> = BTreeMap::new();
    for line in recording.lines() {
        let line: Value = serde_json::from_str(line).expect("lines are JSON");
        let name = line["conn"].as_str().unwrap_or_default().to_owned();
        let text = line["text"].as_str().unwrap_or_default();
        match (line["ev"].as_str(), line["dir"].as_str()) {
            (Some("connecting"), _) => {
                paths.insert(name, line["path"].as_str().unwrap_or_default().to_owned());
            }
            (Some("open"), _) => {
                let is_bare = paths[&name].contains("/bare/");
                let framing = if is_bare { Framing::Bare } else { Framing::Multiplexed };
                connections.insert(name, Connection::open(framing, base));
            }
            (Some("closed"), _) => {
                let Some(mut connection) = connections.remove(&name) else { continue };
                let code = line["code"].as_u64().and_then(|code| u16::try_from(code).ok());
                let frame = CloseFrame { code: code.unwrap_or(1006), reason: String::new() };
                connection.session.handle_disconnected(
                    connection.epoch,
                    ConnectionError::Closed(frame),
                    base,
                );
                connection.session.handle_timeout(base + Duration::from_secs(60));
            }
            (_, Some(">")) => {
                let connection = connections.get_mut(&name).expect("an open connection");
                match connection.reproduce(text) {
                    Reproduction::Same => replay.same += 1,
                    Reproduction::Shared => replay.shared += 1,
                    Reproduction::Impossible => replay.impossible += 1,
                }
            }
            (_, Some("<")) => {
                let connection = connections.get_mut(&name).expect("an open connection");
                let outcome = connection.receive(text);
                replay.outcomes.push((name, text.to_owned(), outcome));
            }
            _ => {}
        }
    }
    replay
}

/// For each transcript: the numbers of the client's frames that are the same, shared and impossible, and the outcomes of
/// the server's frames. Replies to shared and impossible frames are unhandled.
#[rustfmt::skip]
const EXPECTED: &[(&str, usize, usize, usize, &str)] = &[
    ("daphne.auth", 7, 0, 0, "error reply 2, ok 3, subscription error 1"),
    ("daphne.bare", 5, 0, 2, "error reply 1, ok 3, subscribed 1, unhandled 2, update 1"),
    ("daphne.crud", 27, 0, 3, "error reply 10, ok 16, subscription error 1, unhandled 3"),
    ("daphne.fail", 5, 0, 0, "error reply 5"),
    ("daphne.feed", 16, 1, 1, "create 2, delete 2, ok 11, other event 2, subscribed 3, unhandled 5, unsubscribed 1, update 6"),
    ("daphne.guarded", 2, 0, 0, "ok 1, subscribed 1, unhandled 1, update 1"),
    ("daphne.late_reply", 2, 0, 0, "ok 1, subscribed 1, update 1"),
    ("daphne.live_articles", 7, 0, 0, "delete 2, error reply 1, ok 4, subscribed 2, update 4"),
    ("daphne.live_broken_articles", 3, 0, 0, "ok 1, subscribed 1"),
    ("daphne.live_cards", 7, 0, 0, "create 1, delete 1, ok 5, subscribed 1, unsubscribed 1, update 1"),
    ("daphne.live_entries_by_cursor", 8, 0, 0, "error reply 2, ok 6"),
    ("daphne.live_entries_by_number", 9, 0, 0, "error reply 3, ok 6"),
    ("daphne.live_entries_by_offset", 6, 0, 0, "ok 6"),
    ("daphne.live_hold_delete", 11, 0, 0, "create 1, delete 2, ok 10, subscribed 1, update 1"),
    ("daphne.live_hold_event", 7, 0, 0, "ok 6, subscribed 1, update 2"),
    ("daphne.live_issues", 14, 0, 0, "create 2, delete 1, error reply 1, ok 10, subscribed 2, unsubscribed 1, update 2"),
    ("daphne.live_notes", 6, 0, 0, "create 1, delete 1, error reply 1, ok 4, subscribed 1, update 1"),
    ("daphne.live_posts", 9, 0, 0, "ok 6, other event 2, unhandled 1"),
    ("daphne.live_replace", 4, 0, 0, "create 1, delete 1, ok 3, subscribed 1"),
    ("daphne.live_reverse", 3, 0, 0, "ok 2, subscribed 1, update 2"),
    ("daphne.live_sensors", 4, 0, 0, "delete 1, ok 2, subscribed 1, subscription error 1, update 1"),
    ("daphne.pages", 10, 0, 0, "error reply 2, ok 8, unhandled 12"),
    ("daphne.race_stream_ready", 20, 0, 0, "ok 20"),
    ("daphne.refuse", 0, 0, 0, ""),
    ("daphne.reqids", 7, 0, 9, "ok 7, unhandled 9"),
    ("daphne.stale", 34, 0, 0, "delete 1, error event 1, ok 33, subscribed 1"),
    ("daphne.subs", 19, 2, 5, "delete 1, late 3, ok 12, subscribed 4, unhandled 6, unsubscribed 3, update 6"),
    ("daphne.subs_memo_uuid", 12, 0, 0, "delete 3, ok 9, subscribed 3, update 2"),
    ("daphne.tools", 18, 0, 0, "ok 16, unhandled 3"),
    ("daphne.view", 6, 0, 0, "error reply 3, ok 3"),
    ("daphne.x_crashers", 8, 0, 18, "error reply 3"),
    ("daphne.x_sibling", 9, 1, 0, "ok 4, subscribed 3, unhandled 4, unsubscribed 2, update 2"),
    ("daphne.x_tx", 5, 0, 0, "create 1, ok 3, subscribed 2"),
    ("uvicorn.auth", 7, 0, 0, "error reply 2, ok 3, subscription error 1"),
    ("uvicorn.crash", 3, 0, 0, "subscribed 1"),
    ("uvicorn.crud", 27, 0, 3, "error reply 10, ok 16, subscription error 1, unhandled 3"),
    ("uvicorn.hangup", 3, 0, 0, "ok 1"),
    ("uvicorn.refuse", 0, 0, 0, ""),
];

#[test]
fn every_frame_is_classified() {
    let replay: Vec<_> = EXPECTED
        .iter()
        .map(|(name, ..)| {
            let replay = replay(name);
            (*name, replay.same, replay.shared, replay.impossible, replay.tally())
        })
        .collect();
    let expected: Vec<_> = EXPECTED
        .iter()
        .map(|(name, same, shared, impossible, tally)| {
            (*name, *same, *shared, *impossible, (*tally).to_owned())
        })
        .collect();
    assert_eq!(replay, expected);
}

#[test]
fn every_transcript_is_replayed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("transcripts");
    let mut names: Vec<String> = fs::read_dir(folder)
        .expect("the folder exists")
        .filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            name.strip_suffix(".jsonl").map(str::to_owned)
        })
        .collect();
    names.sort();
    assert_eq!(names, EXPECTED.iter().map(|(name, ..)| *name).collect::<Vec<_>>());
}

#[test]
fn nan_is_read_as_null() {
    let replay = replay("daphne.tools");
    let [Outcome::Reply(Ok(data))] = replay.of("A", "NaN")[..] else { panic!() };
    let expected =
        json!({"v": null, "inf": null, "big": 9_223_372_036_854_775_809_u64, "u": "é\u{2028}😀"});
    assert_eq!(value(data), expected);
}

#[test]
fn unsolicited_message_is_unhandled() {
    let replay = replay("daphne.tools");
    let ticks = replay.of("A", "tick");
    assert_eq!(ticks.len(), 3);
    for (n, tick) in ticks.iter().enumerate() {
        let Outcome::Unhandled(frame) = tick else { panic!("{tick:?}") };
        assert_eq!(frame["payload"], json!({"type": "tick", "n": n}));
    }
}

#[test]
fn stale_update_is_an_error_reply_before_the_delete() {
    let replay = replay("daphne.stale");
    let outcomes = replay.of("A", "\"ST\"");
    let [Outcome::Subscribed, changes @ ..] = &outcomes[..] else { panic!("{outcomes:?}") };
    let [
        ..,
        Outcome::Change(Change::ErrorReply(error_reply)),
        Outcome::Change(Change::Delete(deleted)),
    ] = changes
    else {
        panic!("{changes:?}")
    };
    assert_eq!((error_reply.status, error_reply.action.as_deref()), (Some(404), Some("update")));
    assert_eq!(deleted.pk, Some(Pk::Number(10)));
}

#[test]
fn feed_as_in_the_documentation_is_delivered_whole() {
    let replay = replay("daphne.feed");
    let outcomes = replay.of("A", "\"MF\"");
    let actions: Vec<&str> = outcomes
        .iter()
        .map(|outcome| match outcome {
            Outcome::Change(Change::Other { action: Some(action), payload }) => {
                assert_eq!(value(payload)["message"], json!({"pk": 6}));
                action.as_str()
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(actions, ["create", "delete"]);
}

#[test]
fn denied_event_is_delivered_after_an_error_without_id() {
    let replay = replay("daphne.guarded");
    let [Outcome::Unhandled(frame)] = replay.of("A", "403")[..] else { panic!() };
    assert_eq!(frame["payload"]["request_id"], Value::Null);
    assert!(matches!(
        replay.of("A", "\"G\"")[..],
        [Outcome::Subscribed, Outcome::Change(Change::Update(_))]
    ));
}

#[test]
fn event_before_the_acknowledgement_is_delivered() {
    let replay = replay("daphne.late_reply");
    assert!(matches!(
        replay.of("A", "\"L\"")[..],
        [Outcome::Change(Change::Update(_)), Outcome::Subscribed]
    ));
}

#[test]
fn unsubscribe_after_the_delete_succeeds() {
    let replay = replay("daphne.subs");
    assert!(matches!(
        replay.of("A", "\"S3\"")[..],
        [Outcome::Subscribed, Outcome::Change(Change::Delete(_)), Outcome::Unsubscribed(Ok(())),]
    ));
}
