//! A model of the server, with the quirks that were measured on the real one: what it holds, and what it does with
//! each frame. It plans what it does later, and does not know the network.

mod peer;
mod rows;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use dcrf_proto::CloseFrame;
use fastrand::Rng;
use serde_json::{Value, json};

pub(crate) use self::peer::{POISON, Target};
use self::peer::{Peer, Sub, Telling};
pub(crate) use self::rows::Rows;
use self::rows::{Commit, Kind};
use crate::Nth;
use crate::agenda::Happening;

/// What the server has done, for the world to carry out.
#[derive(Default)]
pub(crate) struct Effects {
    pub(crate) frames: Vec<(Nth, Value)>,
    pub(crate) plans: Vec<(Duration, Happening)>,
    pub(crate) closes: Vec<(Nth, CloseFrame)>,
}

pub(crate) struct Server {
    pub(crate) rows: Rows,
    peers: BTreeMap<Nth, Peer>,
    /// How likely it fails to do what it is asked.
    pub(crate) mood: f64,
    /// How likely an action is slow.
    pub(crate) sloth: f64,
    /// Nothing fails and nothing is slow.
    pub(crate) is_well: bool,
    poisonous: bool,
    pub(crate) effects: Effects,
}

impl Server {
    pub(crate) fn new(poisonous: bool) -> Self {
        Self {
            rows: Rows::new(),
            peers: BTreeMap::new(),
            mood: 0.0,
            sloth: 0.0,
            is_well: false,
            poisonous,
            effects: Effects::default(),
        }
    }

    pub(crate) fn accepts(&mut self, nth: Nth, unready_until: Duration) {
        self.peers.insert(nth, Peer::new(unready_until));
    }

    /// The connection is gone, and its subscriptions with it.
    pub(crate) fn forgets(&mut self, nth: Nth) {
        self.peers.remove(&nth);
    }

    pub(crate) fn knows(&self, nth: Nth) -> bool {
        self.peers.contains_key(&nth)
    }

    /// What a connection is subscribed to, in no order, with the ids.
    pub(crate) fn subscribed(&self, nth: Nth) -> Vec<(Value, Target)> {
        let Some(peer) = self.peers.get(&nth) else { return Vec::new() };
        peer.subs.iter().map(|sub| (sub.id.clone(), sub.target.clone())).collect()
    }

    /// All work that is planned is to be done now.
    pub(crate) fn hastens(&mut self) {
        for peer in self.peers.values_mut() {
            peer.hastens();
        }
    }

    /// A frame has come: it waits for those before it on its stream.
    pub(crate) fn receives(&mut self, nth: Nth, frame: Value, now: Duration, random: &mut Rng) {
        let Some(peer) = self.peers.get_mut(&nth).filter(|peer| !peer.is_dying) else { return };
        let stream = frame["stream"].as_str().unwrap_or_default().to_owned();
        if now < peer.unready_until && stream == "notes" {
            // Quirk 10: the connection was accepted for another stream.
            return self.raises(nth, now, random);
        }
        let action = frame["payload"]["action"].as_str().unwrap_or_default();
        let slow = !self.is_well && (action == "slow" || random.f64() < self.sloth);
        let time =
            Duration::from_millis(if slow { random.u64(100..45_000) } else { random.u64(0..5) });
        let done = if action == "detached" { now + time } else { peer.occupy(&stream, now, time) };
        self.effects.plans.push((done, Happening::Acts(nth, frame)));
    }

    /// An unhandled exception: the server closes up to a second later, and what comes meanwhile is lost.
    fn raises(&mut self, nth: Nth, now: Duration, random: &mut Rng) {
        if let Some(peer) = self.peers.get_mut(&nth) {
            peer.is_dying = true;
            let late = Duration::from_millis(random.u64(0..1_000));
            self.effects.plans.push((now + late, Happening::Crashes(nth)));
        }
    }

    pub(crate) fn crashes(&mut self, nth: Nth) {
        if self.peers.remove(&nth).is_some() {
            self.effects.closes.push((nth, CloseFrame { code: 1011, reason: String::new() }));
        }
    }

    /// Does what a frame asks for.
    pub(crate) fn acts(&mut self, nth: Nth, frame: &Value, now: Duration, random: &mut Rng) {
        if self.peers.get(&nth).is_none_or(|peer| peer.is_dying) {
            return;
        }
        let payload = &frame["payload"];
        let (stream, action) = (text(&frame["stream"]), text(&payload["action"]));
        if let Some(target) = Target::of(stream, action, payload["pk"].as_u64()) {
            return self.subscribes(nth, frame, &target, now, random);
        }
        if random.f64() < self.mood && !matches!(action, "never" | "said" | "crash") {
            // Nobody can tell a 404 that is not true from one that is.
            let status = [400, 403, 429, 500, 503][random.usize(..5)];
            return self.refuses(nth, frame, status);
        }
        let pk = payload["pk"].as_u64().unwrap_or_default();
        match action {
            "retrieve" => match self.rows.get(stream, pk) {
                Some(row) => self.replies(nth, frame, 200, &row),
                None => self.refuses(nth, frame, 404),
            },
            "list" if stream == "notes" => {
                let page = self.rows.page(stream, payload["offset"].as_u64().unwrap_or(0));
                self.replies(nth, frame, 200, &page);
            }
            "list" => {
                let all = self.rows.all(stream);
                self.replies(nth, frame, 200, &all);
            }
            "create" | "patch" | "delete" => {
                self.writes(nth, frame, now, random);
            }
            "refuse" => self.refuses(nth, frame, 400),
            // What fails without a numeric status, and what a server of Python's says of infinity.
            "oddly" => self.says(nth, frame, &json!("bad"), &json!(["no"]), &Value::Null),
            "crash" if !self.is_well => self.raises(nth, now, random),
            "print" => self.prints(nth, frame.clone(), 0, now),
            "stop" => {
                if let Some(peer) = self.peers.get_mut(&nth) {
                    peer.printing.remove(&payload["request_id"].to_string());
                }
            }
            "never" | "said" => {}
            _ => self.replies(nth, frame, 200, &json!({"echo": payload["number"]})),
        }
    }

    fn writes(&mut self, nth: Nth, frame: &Value, now: Duration, random: &mut Rng) {
        let payload = &frame["payload"];
        let (stream, action) = (text(&frame["stream"]), text(&payload["action"]));
        let pk = payload["pk"].as_u64().unwrap_or_default();
        let commit = match action {
            "create" => self.rows.create(stream),
            "patch" => self.rows.update(stream, pk),
            _ => self.rows.delete(stream, pk),
        };
        let Some(commit) = commit else { return self.refuses(nth, frame, 404) };
        let mut data = commit.row.clone();
        data["echo"] = payload["number"].clone();
        match action {
            "create" => self.replies(nth, frame, 201, &data),
            "patch" => self.replies(nth, frame, 200, &data),
            _ => self.replies(nth, frame, 204, &Value::Null),
        }
        self.publishes(&commit, now, random);
    }

    /// Somebody else writes.
    pub(crate) fn commits(&mut self, now: Duration, random: &mut Rng) {
        let stream = ["tasks", "tasks", "notes"][random.usize(..3)];
        let Some(pk) = self.rows.any(stream, random) else { return };
        let commit = match random.u64(..20) {
            0 | 1 => self.rows.create(stream),
            // A page without its rows shifts those behind it: notes are read in pages.
            2 if stream == "tasks" => self.rows.delete(stream, pk),
            _ => self.rows.update(stream, pk),
        };
        if let Some(commit) = commit {
            self.publishes(&commit, now, random);
        }
    }

    /// The channel layer takes an event to all who subscribe.
    fn publishes(&mut self, commit: &Commit, now: Duration, random: &mut Rng) {
        for (nth, peer) in &mut self.peers {
            for sub in peer.subs.iter().filter(|sub| sub.target.is_of(commit)) {
                let telling = Telling {
                    id: sub.id.clone(),
                    target: sub.target.clone(),
                    commit: commit.clone(),
                };
                let delay = Duration::from_micros(random.u64(100..20_000));
                peer.told_until = peer.told_until.max(now + delay);
                let waiting = peer.tellings.entry(commit.stream.clone()).or_default();
                waiting.push_back(telling);
                let tells = Happening::Tells(*nth, commit.stream.clone());
                self.effects.plans.push((peer.told_until, tells));
            }
        }
    }

    /// An event reaches the consumer, behind what its stream is at work on.
    pub(crate) fn tells(&mut self, nth: Nth, stream: String, now: Duration) {
        let Some(peer) = self.peers.get_mut(&nth).filter(|peer| !peer.is_dying) else { return };
        let free = peer.free_at(&stream);
        if free > now {
            return self.effects.plans.push((free, Happening::Tells(nth, stream)));
        }
        let waiting = peer.tellings.get_mut(&stream);
        let Some(telling) = waiting.and_then(VecDeque::pop_front) else { return };
        let is_subscribed = |sub: &Sub| sub.id == telling.id && sub.target == telling.target;
        let Some(sub) = peer.subs.iter().find(|sub| is_subscribed(sub)) else { return };
        if sub.is_silenced {
            return;
        }
        if let Some(object) = telling.target.object() {
            peer.told_of.insert(object);
        }
        let payload = telling.payload(&self.rows);
        self.effects
            .frames
            .push((nth, json!({"stream": telling.target.stream(), "payload": payload})));
    }

    fn subscribes(
        &mut self,
        nth: Nth,
        frame: &Value,
        target: &Target,
        now: Duration,
        random: &mut Rng,
    ) {
        let begins = text(&frame["payload"]["action"]).starts_with("subscribe");
        let is_there = target.object().is_none_or(|(stream, pk)| self.rows.has(&stream, pk));
        if begins && target.pk() == Some(POISON) && self.poisonous {
            return self.raises(nth, now, random);
        }
        let error_reply = if target.is_mute() {
            None
        } else if !is_there {
            Some(404)
        } else if begins && random.f64() < self.mood {
            Some([403, 404, 429, 500, 503][random.usize(..5)])
        } else {
            None
        };
        let Some(peer) = self.peers.get_mut(&nth) else { return };
        let id = &frame["payload"]["request_id"];
        match (begins, error_reply) {
            (true, None) => peer.subscribe(id, target),
            (false, _) => peer.unsubscribe(id, target),
            (true, Some(_)) => {}
        }
        match error_reply {
            _ if target.is_mute() => {}
            Some(status) => self.refuses(nth, frame, status),
            None => self.replies(nth, frame, if begins { 201 } else { 204 }, &Value::Null),
        }
    }

    /// The next of a stream of replies.
    pub(crate) fn prints(&mut self, nth: Nth, frame: Value, at: u64, now: Duration) {
        let Some(peer) = self.peers.get_mut(&nth).filter(|peer| !peer.is_dying) else { return };
        let id = frame["payload"]["request_id"].to_string();
        if at == 0 {
            peer.printing.insert(id.clone());
        }
        if !peer.printing.contains(&id) || at >= frame["payload"]["count"].as_u64().unwrap_or(0) {
            return;
        }
        let data = json!({"echo": frame["payload"]["number"], "at": at});
        self.replies(nth, &frame, 200, &data);
        let next = now + Duration::from_millis(frame["payload"]["pause"].as_u64().unwrap_or(0));
        self.effects.plans.push((next, Happening::Prints(nth, frame, at + 1)));
    }

    fn replies(&mut self, nth: Nth, frame: &Value, status: u16, data: &Value) {
        self.says(nth, frame, &json!(status), &json!([]), data);
    }

    fn refuses(&mut self, nth: Nth, frame: &Value, status: u16) {
        self.says(nth, frame, &json!(status), &json!(["no"]), &Value::Null);
    }

    fn says(&mut self, nth: Nth, frame: &Value, status: &Value, errors: &Value, data: &Value) {
        let reply = json!({"stream": frame["stream"], "payload": {
            "errors": errors, "data": data, "action": frame["payload"]["action"],
            "response_status": status, "request_id": frame["payload"]["request_id"],
        }});
        self.effects.frames.push((nth, reply));
    }
}

impl Kind {
    pub(crate) fn action(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
