//! What a real server said, frame by frame, and where each frame lands in a session that had made the
//! recording's own requests and subscriptions. See `transcripts/README.md`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use dcrf_proto::{
    Change, CloseFrame, Config, Ended, Epoch, Event, Framing, Json, Lost, Notice, Pk, Refusal,
    Request, RequestError, RequestId, Seed, Session, Subscribe, SubscriptionKey, Transmit,
    UnsubscribeError,
};
use serde_json::{Map, Value, json};

/// Where a frame of the server has landed.
#[derive(Debug)]
enum Landing {
    Reply(Result<Json, Refusal>),
    Acknowledgement,
    Ended(Ended),
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
            Self::Ended(_) => "ended",
            Self::Unsubscribed(Ok(())) => "unsubscribed",
            Self::Unsubscribed(Err(_)) => "not unsubscribed",
            Self::Change(Change::Create(_)) => "create",
            Self::Change(Change::Update(_)) => "update",
            Self::Change(Change::Delete(_)) => "delete",
            Self::Change(Change::Refused(_)) => "failed event",
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
        session.handle_opened(epoch, base);
        while session.poll_event().is_some() {}
        Self { session, epoch, base, framing, subscriptions: BTreeMap::new() }
    }

    /// Makes the call that sends this frame, if there is one.
    fn say(&mut self, text: &str) -> Said {
        let Ok(frame) = serde_json::from_str::<Value>(text) else { return Said::Foreign };
        let sent = match self.call(&frame) {
            Some(()) => self.sent(),
            None => return Said::Foreign,
        };
        match &sent[..] {
            [] => Said::Shared,
            sent => {
                assert_eq!(sent, [frame]);
                Said::Same
            }
        }
    }

    fn call(&mut self, frame: &Value) -> Option<()> {
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
            return Some(());
        }
        if action.starts_with("subscribe") {
            let subscribe = Subscribe::new(stream, action).id(id).include_create();
            let subscribe =
                arguments(payload).fold(subscribe, |s, (name, value)| s.arg(name, value));
            let key = self.session.subscribe(subscribe, self.base).ok()?;
            self.subscriptions.entry(name).or_insert(key);
            return Some(());
        }
        let request = Request::new(stream, action).id(id);
        let request = arguments(payload).fold(request, |r, (name, value)| r.arg(name, value));
        self.session.request(request, self.base).ok().map(drop)
    }

    fn sent(&mut self) -> Vec<Value> {
        let mut sent = Vec::new();
        while let Some(transmit) = self.session.poll_transmit() {
            let Transmit::Text(_, text) = transmit else { panic!("{transmit:?} is no text") };
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
                landings.push(Landing::Reply(result.map_err(|error| {
                    let RequestError::Refused(refusal) = error else { panic!("{error}") };
                    refusal
                })))
            }
            Event::Subscribed(_) => landings.push(Landing::Acknowledgement),
            Event::Unsubscribed { result, .. } => landings.push(Landing::Unsubscribed(result)),
            Event::Notice(Notice::Unhandled(unhandled)) => {
                landings.push(Landing::Unhandled(value(&unhandled.frame)));
            }
            Event::Readable(key) => {
                while let Some(polled) = self.session.poll_change(key) {
                    landings.push(polled.map_or_else(Landing::Ended, Landing::Change));
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
                let bare = paths[&name].contains("/bare/");
                let framing = if bare { Framing::Bare } else { Framing::Multiplexed };
                connections.insert(name, Connection::open(framing, base));
            }
            (Some("closed"), _) => {
                let Some(mut connection) = connections.remove(&name) else { continue };
                let code = line["code"].as_u64().and_then(|code| u16::try_from(code).ok());
                let frame = CloseFrame { code: code.unwrap_or(1006), reason: String::new() };
                connection.session.handle_lost(connection.epoch, Lost::Closed(frame), base);
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
/// of ours sends; where the server's frames land.
const EXPECTED: &[(&str, usize, usize, usize, &str)] = &[
    ("daphne.auth", 0, 0, 0, ""),
    ("daphne.bare", 0, 0, 0, ""),
    ("daphne.crud", 0, 0, 0, ""),
    ("daphne.fail", 0, 0, 0, ""),
    ("daphne.feed", 0, 0, 0, ""),
    ("daphne.guarded", 0, 0, 0, ""),
    ("daphne.late_reply", 0, 0, 0, ""),
    ("daphne.pages", 0, 0, 0, ""),
    ("daphne.race_stream_ready", 0, 0, 0, ""),
    ("daphne.refuse", 0, 0, 0, ""),
    ("daphne.reqids", 0, 0, 0, ""),
    ("daphne.stale", 0, 0, 0, ""),
    ("daphne.subs", 0, 0, 0, ""),
    ("daphne.subs_memo_uuid", 0, 0, 0, ""),
    ("daphne.tools", 0, 0, 0, ""),
    ("daphne.view", 0, 0, 0, ""),
    ("daphne.x_crashers", 0, 0, 0, ""),
    ("daphne.x_sibling", 0, 0, 0, ""),
    ("daphne.x_tx", 0, 0, 0, ""),
    ("uvicorn.auth", 0, 0, 0, ""),
    ("uvicorn.crash", 0, 0, 0, ""),
    ("uvicorn.crud", 0, 0, 0, ""),
    ("uvicorn.hangup", 0, 0, 0, ""),
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
    let [.., Landing::Change(Change::Refused(refusal)), Landing::Change(Change::Delete(deleted))] =
        changes
    else {
        panic!("{changes:?}")
    };
    assert_eq!((refusal.status, refusal.action.as_deref()), (Some(404), Some("update")));
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
