//! A model of the server with the measured quirks of the real one. It knows nothing of the network.

mod boards;
mod peer;
mod rows;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use dcrf_proto::CloseFrame;
use fastrand::Rng;
use serde_json::{Value, json};

use self::boards::Boards;
pub(crate) use self::boards::{BOARDS, KEYS};
pub(crate) use self::peer::{POISON, Target};
use self::peer::{Peer, PendingEvent, Sub};
use self::rows::{Commit, Kind};
pub(crate) use self::rows::{Pagination, Rows};
use crate::ConnectionIndex;
use crate::schedule::Scheduled;
use crate::server_frames;

/// Stands for data over the size limit.
pub(crate) const LARGE: &str = "large";

/// Output of the server, for the simulation to apply.
#[derive(Default)]
pub(crate) struct Effects {
    pub(crate) frames: Vec<(ConnectionIndex, Value)>,
    pub(crate) plans: Vec<(Duration, Scheduled)>,
    pub(crate) closes: Vec<(ConnectionIndex, CloseFrame)>,
}

#[expect(clippy::struct_excessive_bools, reason = "they are independent of each other")]
pub(crate) struct Server {
    pub(crate) rows: Rows,
    pub(crate) boards: Boards,
    peers: BTreeMap<ConnectionIndex, Peer>,
    /// The probability that an action fails.
    pub(crate) error_rate: f64,
    /// The probability that an action is slow.
    pub(crate) slow_rate: f64,
    /// Whether lists, and events of some rows, are over the size limit.
    pub(crate) has_large: bool,
    /// Nothing fails and nothing is slow.
    pub(crate) is_healthy: bool,
    has_poison: bool,
    pagination: Pagination,
    has_raising_list: bool,
    /// Until then the database is away: whatever reads from it raises.
    pub(crate) ill_until: Duration,
    pub(crate) effects: Effects,
}

impl Server {
    pub(crate) fn new(has_poison: bool, has_raising_list: bool, pagination: Pagination) -> Self {
        Self {
            rows: Rows::new(),
            boards: Boards::default(),
            peers: BTreeMap::new(),
            error_rate: 0.0,
            slow_rate: 0.0,
            has_large: false,
            is_healthy: false,
            has_poison,
            pagination,
            has_raising_list,
            ill_until: Duration::ZERO,
            effects: Effects::default(),
        }
    }

    /// Accepts a connection. A deaf one answers pings and nothing else.
    pub(crate) fn accept(&mut self, nth: ConnectionIndex, unready_until: Duration, is_deaf: bool) {
        self.peers.insert(nth, Peer::new(unready_until, is_deaf));
    }

    /// Forgets a connection and its subscriptions.
    pub(crate) fn forget(&mut self, nth: ConnectionIndex) {
        self.peers.remove(&nth);
    }

    pub(crate) fn has_connection(&self, nth: ConnectionIndex) -> bool {
        self.peers.contains_key(&nth)
    }

    /// Whether a connection answers pings and nothing else.
    pub(crate) fn is_deaf(&self, nth: ConnectionIndex) -> bool {
        self.peers.get(&nth).is_some_and(|peer| peer.is_deaf)
    }

    /// The ids and targets of a connection's subscriptions.
    pub(crate) fn subscribed(&self, nth: ConnectionIndex) -> Vec<(Value, Target)> {
        let Some(peer) = self.peers.get(&nth) else { return Vec::new() };
        peer.subs.iter().map(|sub| (sub.id.clone(), sub.target.clone())).collect()
    }

    /// Whether the frames of this subscription kill connections, however well the server is.
    pub(crate) fn is_guilty(&self, target: &Target, refreshes: bool) -> bool {
        let lists = refreshes && *target == Target::Feed("tasks".to_owned());
        (self.has_poison && target.pk() == Some(POISON)) || (self.has_raising_list && lists)
    }

    /// Completes all pending work now.
    pub(crate) fn finish_work(&mut self) {
        for peer in self.peers.values_mut() {
            peer.finish_work();
        }
    }

    /// Queues a frame behind the others of its stream.
    pub(crate) fn receive(
        &mut self,
        nth: ConnectionIndex,
        frame: Value,
        now: Duration,
        random: &mut Rng,
    ) {
        let hears = |peer: &&mut Peer| !peer.has_raised && !peer.is_deaf;
        let Some(peer) = self.peers.get_mut(&nth).filter(hears) else { return };
        let stream = frame["stream"].as_str().unwrap_or_default().to_owned();
        if now < peer.unready_until && stream == "notes" {
            // Quirk 10: the connection was accepted for another stream.
            return self.raise(nth, now, random);
        }
        let action = frame["payload"]["action"].as_str().unwrap_or_default();
        let slow = !self.is_healthy && (action == "slow" || random.f64() < self.slow_rate);
        let time =
            Duration::from_millis(if slow { random.u64(100..45_000) } else { random.u64(0..5) });
        let done = if action == "detached" { now + time } else { peer.occupy(&stream, now, time) };
        self.effects.plans.push((done, Scheduled::Process(nth, frame)));
    }

    /// An unhandled exception: the server closes up to a second later, and drops all frames until then.
    fn raise(&mut self, nth: ConnectionIndex, now: Duration, random: &mut Rng) {
        if let Some(peer) = self.peers.get_mut(&nth) {
            peer.has_raised = true;
            let late = Duration::from_millis(random.u64(0..1_000));
            self.effects.plans.push((now + late, Scheduled::Crash(nth)));
        }
    }

    pub(crate) fn crash(&mut self, nth: ConnectionIndex) {
        if self.peers.remove(&nth).is_some() {
            self.effects.closes.push((nth, CloseFrame { code: 1011, reason: String::new() }));
        }
    }

    /// Processes a frame.
    pub(crate) fn process(
        &mut self,
        nth: ConnectionIndex,
        frame: &Value,
        now: Duration,
        random: &mut Rng,
    ) {
        if self.peers.get(&nth).is_none_or(|peer| peer.has_raised) {
            return;
        }
        let payload = &frame["payload"];
        let (stream, action) = (text(&frame["stream"]), text(&payload["action"]));
        let reads = action.starts_with("subscribe") || matches!(action, "list" | "retrieve");
        if (reads && now < self.ill_until)
            || (self.has_raising_list && (stream, action) == ("tasks", "list"))
        {
            return self.raise(nth, now, random);
        }
        if BOARDS.contains(&stream) {
            return self.process_board(nth, frame, random);
        }
        if let Some(target) = Target::of(stream, action, payload["pk"].as_u64()) {
            return self.subscribe(nth, frame, &target, now, random);
        }
        if random.f64() < self.error_rate && !matches!(action, "never" | "said" | "crash") {
            // No 404: a client could not distinguish a false one.
            let status = [400, 403, 429, 500, 503][random.usize(..5)];
            return self.reply_error(nth, frame, status);
        }
        let pk = payload["pk"].as_u64().unwrap_or_default();
        match action {
            "retrieve" => match self.rows.get(stream, pk) {
                Some(mut row) => {
                    // It looks like a page.
                    (row["results"], row["count"], row["limit"]) = (json!([]), json!(9), json!(3));
                    self.reply(nth, frame, 200, &row);
                }
                None => self.reply_error(nth, frame, 404),
            },
            "large" => self.reply(nth, frame, 200, &json!(LARGE)),
            "list" if self.has_large && !self.is_healthy && random.bool() => {
                self.reply(nth, frame, 200, &json!(LARGE));
            }
            "list" if random.f64() < self.error_rate / 4.0 => {
                // It looks like a page, but does not say which.
                self.reply(nth, frame, 200, &json!({"count": 1, "results": [{}]}));
            }
            "list" if stream == "notes" => {
                let page = self.rows.page(stream, self.pagination, payload);
                self.reply(nth, frame, 200, &page);
            }
            "list" => {
                let all = self.rows.all(stream);
                self.reply(nth, frame, 200, &all);
            }
            "create" | "patch" | "delete" => {
                self.write(nth, frame, now, random);
            }
            "refuse" => self.reply_error(nth, frame, 400),
            // A status that is no number.
            "oddly" => {
                let mut reply = server_frames::reply(frame, 400, &Value::Null);
                reply["payload"]["response_status"] = json!("bad");
                self.effects.frames.push((nth, reply));
            }
            "crash" if !self.is_healthy => self.raise(nth, now, random),
            "print" => self.send_next_reply(nth, frame.clone(), 0, now),
            "stop" => {
                if let Some(peer) = self.peers.get_mut(&nth) {
                    peer.reply_streams.remove(&payload["request_id"].to_string());
                }
            }
            "never" | "said" => {}
            _ => self.reply(nth, frame, 200, &json!({"echo": payload["number"]})),
        }
    }

    fn write(&mut self, nth: ConnectionIndex, frame: &Value, now: Duration, random: &mut Rng) {
        let payload = &frame["payload"];
        let (stream, action) = (text(&frame["stream"]), text(&payload["action"]));
        let pk = payload["pk"].as_u64().unwrap_or_default();
        let commit = match action {
            "create" => self.rows.create(stream),
            "patch" => self.rows.update(stream, pk),
            _ => self.rows.delete(stream, pk),
        };
        let Some(commit) = commit else { return self.reply_error(nth, frame, 404) };
        let mut data = commit.row.clone();
        data["echo"] = payload["number"].clone();
        match action {
            "create" => self.reply(nth, frame, 201, &data),
            "patch" => self.reply(nth, frame, 200, &data),
            _ => self.reply(nth, frame, 204, &Value::Null),
        }
        self.publish(&commit, now, random);
    }

    /// Another program writes.
    pub(crate) fn commit(&mut self, now: Duration, random: &mut Rng) {
        let stream = ["tasks", "tasks", "notes"][random.usize(..3)];
        let Some(pk) = self.rows.any(stream, random) else { return };
        let commit = match random.u64(..20) {
            0 | 1 => self.rows.create(stream),
            // Notes are read in pages, and a delete would shift the following pages.
            2 if stream == "tasks" => self.rows.delete(stream, pk),
            _ => self.rows.update(stream, pk),
        };
        if let Some(commit) = commit {
            self.publish(&commit, now, random);
        }
    }

    /// Publishes an event to all subscriptions through the channel layer.
    fn publish(&mut self, commit: &Commit, now: Duration, random: &mut Rng) {
        for (nth, peer) in &mut self.peers {
            for sub in peer.subs.iter().filter(|sub| sub.target.is_of(commit)) {
                let event = PendingEvent {
                    id: sub.id.clone(),
                    target: sub.target.clone(),
                    commit: commit.clone(),
                };
                let delay = Duration::from_micros(random.u64(100..20_000));
                peer.events_until = peer.events_until.max(now + delay);
                let waiting = peer.events.entry(commit.stream.clone()).or_default();
                waiting.push_back(event);
                let tells = Scheduled::DeliverEvent(*nth, commit.stream.clone());
                self.effects.plans.push((peer.events_until, tells));
            }
        }
    }

    /// Delivers an event once its stream is free.
    pub(crate) fn deliver_event(&mut self, nth: ConnectionIndex, stream: String, now: Duration) {
        let Some(peer) = self.peers.get_mut(&nth).filter(|peer| !peer.has_raised) else { return };
        let free = peer.free_at(&stream);
        if free > now {
            return self.effects.plans.push((free, Scheduled::DeliverEvent(nth, stream)));
        }
        let waiting = peer.events.get_mut(&stream);
        let Some(event) = waiting.and_then(VecDeque::pop_front) else { return };
        let is_subscribed = |sub: &Sub| sub.id == event.id && sub.target == event.target;
        let Some(sub) = peer.subs.iter().find(|sub| is_subscribed(sub)) else { return };
        if sub.is_silenced {
            return;
        }
        if let Some(object) = event.target.object() {
            peer.delivered_objects.insert(object);
        }
        let mut payload = event.payload(&self.rows);
        if self.has_large && !self.is_healthy && event.commit.pk % 3 == 0 {
            payload["data"] = json!(LARGE);
        }
        self.effects
            .frames
            .push((nth, json!({"stream": event.target.stream(), "payload": payload})));
    }

    fn subscribe(
        &mut self,
        nth: ConnectionIndex,
        frame: &Value,
        target: &Target,
        now: Duration,
        random: &mut Rng,
    ) {
        let begins = text(&frame["payload"]["action"]).starts_with("subscribe");
        let is_there = target.object().is_none_or(|(stream, pk)| self.rows.has(&stream, pk));
        if begins && target.pk() == Some(POISON) && self.has_poison {
            return self.raise(nth, now, random);
        }
        let error_reply = if target.is_mute() {
            None
        } else if !is_there {
            Some(404)
        } else if begins && random.f64() < self.error_rate {
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
            Some(status) => self.reply_error(nth, frame, status),
            None => self.reply(nth, frame, if begins { 201 } else { 204 }, &Value::Null),
        }
    }

    /// Sends the next reply of a stream.
    pub(crate) fn send_next_reply(
        &mut self,
        nth: ConnectionIndex,
        frame: Value,
        at: u64,
        now: Duration,
    ) {
        let Some(peer) = self.peers.get_mut(&nth).filter(|peer| !peer.has_raised) else { return };
        let id = frame["payload"]["request_id"].to_string();
        if at == 0 {
            peer.reply_streams.insert(id.clone());
        }
        if !peer.reply_streams.contains(&id)
            || at >= frame["payload"]["count"].as_u64().unwrap_or(0)
        {
            return;
        }
        let data = json!({"echo": frame["payload"]["number"], "at": at});
        self.reply(nth, &frame, 200, &data);
        let next = now + Duration::from_millis(frame["payload"]["pause"].as_u64().unwrap_or(0));
        self.effects.plans.push((next, Scheduled::SendReply(nth, frame, at + 1)));
    }

    fn reply(&mut self, nth: ConnectionIndex, frame: &Value, status: u16, data: &Value) {
        self.effects.frames.push((nth, server_frames::reply(frame, status, data)));
    }

    fn reply_error(&mut self, nth: ConnectionIndex, frame: &Value, status: u16) {
        self.reply(nth, frame, status, &Value::Null);
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
