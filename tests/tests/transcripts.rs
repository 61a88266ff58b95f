//! What a real server said, frame by frame, and where each frame lands in a session that had made the
//! recording's own requests and subscriptions. See `transcripts/README.md`.

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

/// Where a frame of the server has landed.
#[derive(Debug)]
enum Landing {
    Reply(Result<Json, ErrorReply>),
    Acknowledgement,
    Ended,
    Unsubscribed(Result<(), UnsubscribeError>),
    Change(Change),
    Unhandled(Value),
    Late,
    Malformed,
}

impl Landing {
    fn name(&self) -> &'static str {
        match self {
            Self::Reply(Ok(_)) => "ok",
            Self::Reply(Err(_)) => "refused",
            Self::Acknowledgement => "acknowledged",
            Self::Ended => "ended",
            Self::Unsubscribed(Ok(())) => "unsubscribed",
            Self::Unsubscribed(Err(_)) => "not unsubscribed",
            Self::Change(Change::Create(_)) => "create",
            Self::Change(Change::Update(_)) => "update",
            Self::Change(Change::Delete(_)) => "delete",
            Self::Change(Change::ErrorReply(_)) => "failed event",
            Self::Change(_) => "other event",
            Self::Unhandled(_) => "unhandled",
            Self::Late => "late",
            Self::Malformed => "malformed",
        }
    }
}

/// One connection of a recording, with a session in the place of the recorded client.
struct Connection {
    session: Session,
    epoch: Epoch,
    base: Instant,
    framing: Framing,
    /// By stream and id.
    subscriptions: BTreeMap<(String, String), SubscriptionKey>,
}

enum Call {
    /// Stream and id, and our key.
    Subscribe((String, String), SubscriptionKey),
    Other,
}

/// What became of a frame of the recorded client.
enum Said {
    /// Our session sent the same.
    Same,
    /// It shares a subscription that is on the wire already, so nothing is sent (S2).
    Shared,
    /// No call of ours sends this, such as a frame without an id.
    Foreign,
}

impl Connection {
    fn open(framing: Framing, base: Instant) -> Self {
        let mut config = Config::default();
        config.framing = framing;
        config.heartbeat = None;
        config.request_timeout = None;
        let mut session = Session::new(config, Seed::from([7; 32]), base);
        session.open(base);
        let Some(Transmit::Dial(epoch)) = session.poll_transmit() else { panic!("it dials") };
        session.handle_connected(epoch, base);
        while session.poll_event().is_some() {}
        Self { session, epoch, base, framing, subscriptions: BTreeMap::new() }
    }

    /// Makes the call that sends this frame, if there is one.
    fn say(&mut self, text: &str) -> Said {
        let Ok(frame) = serde_json::from_str::<Value>(text) else { return Said::Foreign };
        let Some(call) = self.call(&frame) else { return Said::Foreign };
        let sent = self.sent();
        match call {
            Call::Subscribe(_, key) if sent.is_empty() => {
                self.session.unsubscribe(key, self.base);
                return Said::Shared;
            }
            Call::Subscribe(name, key) => _ = self.subscriptions.insert(name, key),
            Call::Other => {}
        }
        assert_eq!(sent, [frame]);
        Said::Same
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
                panic!("{transmit:?} is no text")
            };
            sent.push(serde_json::from_str(&text).expect("what is sent is JSON"));
        }
        sent
    }

    /// The server says this; where does it land?
    fn hear(&mut self, text: &str) -> Landing {
        // What the calls before have led to.
        while self.session.poll_event().is_some() {}
        let before = self.session.stats();
        self.session.handle_text(self.epoch, text, self.base);
        let after = self.session.stats();
        let mut landings = Vec::new();
        if after.late > before.late {
            landings.push(Landing::Late);
        }
        if after.malformed > before.malformed {
            landings.push(Landing::Malformed);
        }
        while let Some(event) = self.session.poll_event() {
            self.told(event, &mut landings);
        }
        assert!(!landings.is_empty(), "nothing became of {text}");
        // Those who share a subscription all get the same.
        landings.swap_remove(0)
    }

    fn told(&mut self, event: Event, landings: &mut Vec<Landing>) {
        match event {
            Event::Settled { result, .. } => {
                let error_reply = |error| match error {
                    RequestError::ErrorReply(error_reply) => error_reply,
                    other => panic!("{other}"),
                };
                landings.push(Landing::Reply(result.map_err(error_reply)));
            }
            Event::Subscribed(_) => landings.push(Landing::Acknowledgement),
            Event::Unsubscribed { result, .. } => landings.push(Landing::Unsubscribed(result)),
            Event::Client(ClientEvent::Unhandled(unhandled)) => {
                landings.push(Landing::Unhandled(value(&unhandled.frame)));
            }
            Event::ChangeReadable(key) => {
                while let Some(polled) = self.session.poll_change(key) {
                    landings.push(polled.map_or(Landing::Ended, Landing::Change));
                }
            }
            other => panic!("{other:?}"),
        }
    }
}

fn arguments(payload: &Map<String, Value>) -> impl Iterator<Item = (String, Value)> + '_ {
    let ours = |name: &str| matches!(name, "action" | "request_id");
    payload.iter().filter(move |(name, _)| !ours(name)).map(|(n, v)| (n.clone(), v.clone()))
}

fn value(json: &Json) -> Value {
    json.decode().expect("JSON")
}

struct Played {
    /// Connection, text and landing of each frame of the server.
    landings: Vec<(String, String, Landing)>,
    same: usize,
    shared: usize,
    foreign: usize,
}

impl Played {
    fn tally(&self) -> String {
        let mut counts = BTreeMap::new();
        for (_, _, landing) in &self.landings {
            *counts.entry(landing.name()).or_insert(0) += 1;
        }
        let counts: Vec<String> =
            counts.into_iter().map(|(name, count)| format!("{name} {count}")).collect();
        counts.join(", ")
    }

    /// Where the frames of one connection that contain `part` have landed.
    fn of(&self, connection: &str, part: &str) -> Vec<&Landing> {
        let frames =
            self.landings.iter().filter(|(c, text, _)| c == connection && text.contains(part));
        frames.map(|(_, _, landing)| landing).collect()
    }
}

fn play(name: &str) -> Played {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("transcripts/{name}.jsonl"));
    let recording = fs::read_to_string(path).expect("the transcript is there");
    #[allow(clippy::disallowed_methods, reason = "the one base of the virtual clock")]
    let base = Instant::now();
    let mut connections: BTreeMap<String, Connection> = BTreeMap::new();
    let mut played = Played { landings: Vec::new(), same: 0, shared: 0, foreign: 0 };
    let mut paths: BTreeMap<String, String> = BTreeMap::new();
    for line in recording.lines() {
        let line: Value = serde_json::from_str(line).expect("a line is JSON");
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
                match connection.say(text) {
                    Said::Same => played.same += 1,
                    Said::Shared => played.shared += 1,
                    Said::Foreign => played.foreign += 1,
                }
            }
            (_, Some("<")) => {
                let connection = connections.get_mut(&name).expect("an open connection");
                let landing = connection.hear(text);
                played.landings.push((name, text.to_owned(), landing));
            }
            _ => {}
        }
    }
    played
}

/// File; frames of the client that our calls send as well, that share a subscription, and that no call
/// of ours sends; where the server's frames land. What answers the last two kinds belongs to nobody.
#[rustfmt::skip]
const EXPECTED: &[(&str, usize, usize, usize, &str)] = &[
    ("daphne.auth", 7, 0, 0, "ended 1, ok 3, refused 2"),
    ("daphne.bare", 5, 0, 2, "acknowledged 1, ok 3, refused 1, unhandled 2, update 1"),
    ("daphne.crud", 27, 0, 3, "ended 1, ok 16, refused 10, unhandled 3"),
    ("daphne.fail", 5, 0, 0, "refused 5"),
    ("daphne.feed", 16, 1, 1, "acknowledged 3, create 2, delete 2, ok 11, other event 2, unhandled 5, unsubscribed 1, update 6"),
    ("daphne.guarded", 2, 0, 0, "acknowledged 1, ok 1, unhandled 1, update 1"),
    ("daphne.late_reply", 2, 0, 0, "acknowledged 1, ok 1, update 1"),
    ("daphne.pages", 10, 0, 0, "ok 8, refused 2, unhandled 12"),
    ("daphne.race_stream_ready", 20, 0, 0, "ok 20"),
    ("daphne.refuse", 0, 0, 0, ""),
    ("daphne.reqids", 7, 0, 9, "ok 7, unhandled 9"),
    ("daphne.stale", 34, 0, 0, "acknowledged 1, delete 1, failed event 1, ok 33"),
    ("daphne.subs", 19, 2, 5, "acknowledged 4, delete 1, late 3, ok 12, unhandled 6, unsubscribed 3, update 6"),
    ("daphne.subs_memo_uuid", 12, 0, 0, "acknowledged 3, delete 3, ok 9, update 2"),
    ("daphne.tools", 18, 0, 0, "ok 16, unhandled 3"),
    ("daphne.view", 6, 0, 0, "ok 3, refused 3"),
    ("daphne.x_crashers", 8, 0, 18, "refused 3"),
    ("daphne.x_sibling", 9, 1, 0, "acknowledged 3, ok 4, unhandled 4, unsubscribed 2, update 2"),
    ("daphne.x_tx", 5, 0, 0, "acknowledged 2, create 1, ok 3"),
    ("uvicorn.auth", 7, 0, 0, "ended 1, ok 3, refused 2"),
    ("uvicorn.crash", 3, 0, 0, "acknowledged 1"),
    ("uvicorn.crud", 27, 0, 3, "ended 1, ok 16, refused 10, unhandled 3"),
    ("uvicorn.hangup", 3, 0, 0, "ok 1"),
    ("uvicorn.refuse", 0, 0, 0, ""),
];

#[test]
fn every_frame_lands_where_it_belongs() {
    let played: Vec<_> = EXPECTED
        .iter()
        .map(|(name, ..)| {
            let played = play(name);
            (*name, played.same, played.shared, played.foreign, played.tally())
        })
        .collect();
    let expected: Vec<_> = EXPECTED
        .iter()
        .map(|(name, same, shared, foreign, tally)| {
            (*name, *same, *shared, *foreign, (*tally).to_owned())
        })
        .collect();
    assert_eq!(played, expected);
}

#[test]
fn every_transcript_is_played() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("transcripts");
    let mut names: Vec<String> = fs::read_dir(folder)
        .expect("the folder is there")
        .filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            name.strip_suffix(".jsonl").map(str::to_owned)
        })
        .collect();
    names.sort();
    assert_eq!(names, EXPECTED.iter().map(|(name, ..)| *name).collect::<Vec<_>>());
}

#[test]
fn pythons_nan_is_repaired() {
    let played = play("daphne.tools");
    let [Landing::Reply(Ok(data))] = played.of("A", "NaN")[..] else { panic!() };
    let expected =
        json!({"v": null, "inf": null, "big": 9_223_372_036_854_775_809_u64, "u": "é\u{2028}😀"});
    assert_eq!(value(data), expected);
}

#[test]
fn a_push_of_the_server_belongs_to_nobody() {
    let played = play("daphne.tools");
    let ticks = played.of("A", "tick");
    assert_eq!(ticks.len(), 3);
    for (n, tick) in ticks.iter().enumerate() {
        let Landing::Unhandled(frame) = tick else { panic!("{tick:?}") };
        assert_eq!(frame["payload"], json!({"type": "tick", "n": n}));
    }
}

#[test]
fn a_stale_update_is_a_refused_change_and_the_delete_follows() {
    let played = play("daphne.stale");
    let landings = played.of("A", "\"ST\"");
    let [Landing::Acknowledgement, changes @ ..] = &landings[..] else { panic!("{landings:?}") };
    let [
        ..,
        Landing::Change(Change::ErrorReply(error_reply)),
        Landing::Change(Change::Delete(deleted)),
    ] = changes
    else {
        panic!("{changes:?}")
    };
    assert_eq!((error_reply.status, error_reply.action.as_deref()), (Some(404), Some("update")));
    assert_eq!(deleted.pk, Some(Pk::Number(10)));
}

#[test]
fn a_feed_as_in_the_documentation_is_delivered_whole() {
    let played = play("daphne.feed");
    let landings = played.of("A", "\"MF\"");
    let actions: Vec<&str> = landings
        .iter()
        .map(|landing| match landing {
            Landing::Change(Change::Other { action: Some(action), payload }) => {
                assert_eq!(value(payload)["message"], json!({"pk": 6}));
                action.as_str()
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(actions, ["create", "delete"]);
}

#[test]
fn a_revoked_permission_is_told_without_an_id_and_the_event_still_comes() {
    let played = play("daphne.guarded");
    let [Landing::Unhandled(frame)] = played.of("A", "403")[..] else { panic!() };
    assert_eq!(frame["payload"]["request_id"], Value::Null);
    assert!(matches!(
        played.of("A", "\"G\"")[..],
        [Landing::Acknowledgement, Landing::Change(Change::Update(_))]
    ));
}

#[test]
fn an_event_before_the_acknowledgement_is_delivered() {
    let played = play("daphne.late_reply");
    assert!(matches!(
        played.of("A", "\"L\"")[..],
        [Landing::Change(Change::Update(_)), Landing::Acknowledgement]
    ));
}

#[test]
fn an_unsubscribe_after_the_delete_succeeds() {
    let played = play("daphne.subs");
    assert!(matches!(
        played.of("A", "\"S3\"")[..],
        [
            Landing::Acknowledgement,
            Landing::Change(Change::Delete(_)),
            Landing::Unsubscribed(Ok(())),
        ]
    ));
}
