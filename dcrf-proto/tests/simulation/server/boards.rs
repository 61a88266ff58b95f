//! Tables for live collections: rows in two groups, whose feeds serialise a row when it is written.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};

use super::{Server, text};
use crate::ConnectionIndex;
use crate::schedule::Scheduled;
use crate::server_frames;

/// The stream of the rows, and one that has only feeds.
pub(crate) const BOARDS: [&str; 2] = ["boards", "board_feeds"];

const PAGE: usize = 3;
/// Keys are used again, so that rows come back.
pub(crate) const KEYS: u64 = 12;

#[derive(Clone, Copy)]
pub(crate) struct Board {
    pub(crate) group: u64,
    pub(crate) version: u64,
}

#[derive(Default)]
pub(crate) struct Boards {
    pub(crate) rows: BTreeMap<u64, Board>,
    next_version: u64,
    /// Whether two writers can send their events in another order than they have committed.
    pub(crate) has_races: bool,
    /// Whether events are lost silently.
    pub(crate) loses_events: bool,
    /// The rows of each list that was read, by its request id.
    pub(crate) lists: BTreeMap<String, BTreeMap<u64, u64>>,
}

/// A subscription to the rows of a group, or to all.
#[derive(Clone)]
pub(super) struct BoardSub {
    id: Value,
    stream: String,
    group: Option<u64>,
    /// Whether its events have only the key.
    has_keys_only: bool,
}

#[derive(Default)]
pub(super) struct BoardPeer {
    subs: Vec<BoardSub>,
    /// The events on their way, by stream: the request id and the payload.
    events: BTreeMap<String, VecDeque<(Value, Value)>>,
    pub(super) until: Duration,
}

fn row(pk: u64, board: Board) -> Value {
    let Board { group, version } = board;
    json!({"pk": pk, "version": version, "title": format!("{pk} at {version}"), "group": group})
}

impl Boards {
    /// The versions of the rows of a group, or of all.
    pub(crate) fn versions(&self, group: Option<u64>) -> BTreeMap<u64, u64> {
        let rows = self.rows.iter().filter(|(_, row)| group.is_none_or(|group| row.group == group));
        rows.map(|(pk, row)| (*pk, row.version)).collect()
    }

    fn list(&self, arguments: &Value) -> Value {
        let rows = self.versions(arguments["group"].as_u64());
        let rows: Vec<Value> = rows.keys().map(|pk| row(*pk, self.rows[pk])).collect();
        if arguments["is_paged"] != true {
            return Value::Array(rows);
        }
        let offset = arguments["offset"].as_u64().and_then(|offset| usize::try_from(offset).ok());
        let (offset, count) = (offset.unwrap_or(0), rows.len());
        let page: Vec<Value> = rows.into_iter().skip(offset).take(PAGE).collect();
        json!({"count": count, "results": page, "limit": PAGE, "offset": offset})
    }

    /// Commits a write. Returns its events: the action, the row and its group.
    fn write(&mut self, random: &mut Rng) -> Vec<(&'static str, Value, u64)> {
        self.next_version += 1;
        let (pk, version) = (random.u64(1..=KEYS), self.next_version);
        let new = |group| Board { group, version };
        let Some(known) = self.rows.get(&pk).copied() else {
            let board = new(random.u64(1..=2));
            self.rows.insert(pk, board);
            return vec![("create", row(pk, board), board.group)];
        };
        match random.u64(..8) {
            0 | 1 => {
                self.rows.remove(&pk);
                vec![("delete", row(pk, known), known.group)]
            }
            2 => {
                let board = new(3 - known.group);
                self.rows.insert(pk, board);
                let moved = row(pk, board);
                vec![("delete", row(pk, known), known.group), ("create", moved, board.group)]
            }
            _ => {
                let board = new(known.group);
                self.rows.insert(pk, board);
                vec![("update", row(pk, board), board.group)]
            }
        }
    }
}

impl Server {
    /// Another program writes a row. Its events carry the row as it is now.
    pub(crate) fn commit_board(&mut self, now: Duration, random: &mut Rng) {
        let writes = self.boards.write(random);
        for (nth, peer) in &mut self.peers {
            let peer = &mut peer.boards;
            // Between the feeds of two groups, nothing orders what a row leaves and enters.
            let is_swapped = writes.len() > 1 && random.u64(..3) == 0;
            for at in 0..writes.len() {
                for sub in &peer.subs {
                    let is_last_first = is_swapped && sub.group.is_some();
                    let at = if is_last_first { writes.len() - 1 - at } else { at };
                    let (action, row, group) = &writes[at];
                    let is_lost = self.boards.loses_events && random.u64(..10) == 0;
                    if is_lost || sub.group.is_some_and(|its| its != *group) {
                        continue;
                    }
                    let keys = json!({"pk": row["pk"]});
                    let data = if sub.has_keys_only { &keys } else { row };
                    let (id, errors) = (&sub.id, json!([]));
                    let mut payload = server_frames::payload(id, action, 200, &errors, data);
                    // For the invariants.
                    payload["version"] = row["version"].clone();
                    let waiting = peer.events.entry(sub.stream.clone()).or_default();
                    // The other writer has committed before, and sends later.
                    let is_late = self.boards.has_races && random.u64(..3) == 0;
                    let at = waiting.len() - usize::from(is_late && !waiting.is_empty());
                    waiting.insert(at, (sub.id.clone(), payload));
                    peer.until =
                        peer.until.max(now + Duration::from_micros(random.u64(100..200_000)));
                    let deliver = Scheduled::DeliverBoard(*nth, sub.stream.clone());
                    self.effects.plans.push((peer.until, deliver));
                }
            }
        }
    }

    /// Delivers the next event once its stream is free.
    pub(crate) fn deliver_board(&mut self, nth: ConnectionIndex, stream: String, now: Duration) {
        let Some(peer) = self.peers.get_mut(&nth).filter(|peer| !peer.has_raised) else { return };
        let free = peer.free_at(&stream);
        if free > now {
            return self.effects.plans.push((free, Scheduled::DeliverBoard(nth, stream)));
        }
        let waiting = peer.boards.events.get_mut(&stream);
        let Some((id, mut payload)) = waiting.and_then(VecDeque::pop_front) else { return };
        if !peer.boards.subs.iter().any(|sub| sub.id == id) {
            return;
        }
        let pk = payload["data"]["pk"].as_u64().unwrap_or_default();
        if pk == KEYS && !self.is_healthy {
            let mut other = payload.clone();
            other["data"] = json!({"title": "a row without a key"});
            self.effects.frames.push((nth, json!({"stream": stream, "payload": other})));
        }
        if self.has_large && !self.is_healthy && pk % 4 == 0 {
            payload["data"] = json!(super::LARGE);
        }
        self.effects.frames.push((nth, json!({"stream": stream, "payload": payload})));
    }

    /// Processes a frame of the boards.
    pub(super) fn process_board(&mut self, nth: ConnectionIndex, frame: &Value, random: &mut Rng) {
        let payload = &frame["payload"];
        let (stream, action, id) =
            (text(&frame["stream"]), text(&payload["action"]), &payload["request_id"]);
        let is_mute = payload["is_mute"] == true;
        if random.f64() < self.error_rate && !is_mute && !action.starts_with("unsubscribe") {
            let status = [400, 403, 429, 500, 503][random.usize(..5)];
            return self.reply_error(nth, frame, status);
        }
        let group = payload["group"].as_u64();
        let Some(peer) = self.peers.get_mut(&nth) else { return };
        match action {
            "list" => {
                self.boards.lists.insert(id.to_string(), self.boards.versions(group));
                let is_large = self.has_large && !self.is_healthy && random.u64(..8) == 0;
                let mut list = self.boards.list(payload);
                let rows = list.as_array_mut().filter(|rows| !rows.is_empty());
                if let Some(rows) = rows.filter(|_| !self.is_healthy && random.u64(..16) == 0) {
                    rows.insert(0, json!({"title": "a row without a key"}));
                }
                self.reply(nth, frame, 200, if is_large { &Value::Null } else { &list });
                if is_large {
                    let (_, reply) = self.effects.frames.last_mut().expect("the reply");
                    reply["payload"]["data"] = json!(super::LARGE);
                }
            }
            "retrieve" => {
                let pk = payload["pk"].as_u64().unwrap_or_default();
                let row = self.boards.rows.get(&pk).map(|board| (board.group, row(pk, *board)));
                match row.filter(|(its, _)| group.is_none_or(|group| group == *its)) {
                    Some((_, row)) => self.reply(nth, frame, 200, &row),
                    None => self.reply_error(nth, frame, 404),
                }
            }
            "subscribe_boards" => {
                let has_keys_only = payload["has_keys_only"] == true;
                if !peer.boards.subs.iter().any(|sub| sub.id == *id) {
                    let (id, stream) = (id.clone(), stream.to_owned());
                    peer.boards.subs.push(BoardSub { id, stream, group, has_keys_only });
                }
                if !is_mute {
                    self.reply(nth, frame, 201, &Value::Null);
                }
            }
            _ => {
                peer.boards.subs.retain(|sub| sub.id != *id);
                if !is_mute {
                    self.reply(nth, frame, 204, &Value::Null);
                }
            }
        }
    }
}
