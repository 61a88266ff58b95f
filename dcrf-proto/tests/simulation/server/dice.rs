//! What chance decides on the server: errors, delays, and the fate of events.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dcrf_proto::fake_server::{Action, Answer, Event, FakeServer, Fate, Step};
use fastrand::Rng;
use serde_json::{Value, json};

use super::{BOARDS, KEYS, POISON, lock, versions};
use crate::schedule::FromServer;

/// Stands for data over the size limit.
pub(crate) const LARGE: &str = "large";

#[expect(clippy::struct_excessive_bools, reason = "they are independent of each other")]
#[derive(Default)]
pub(crate) struct Dice {
    pub(crate) random: Rng,
    /// The probability that an action fails.
    pub(crate) error_rate: f64,
    /// The probability that an action is slow.
    pub(crate) slow_rate: f64,
    /// Whether lists, and events of some rows, are over the size limit.
    pub(crate) has_large: bool,
    /// Nothing fails and nothing is slow.
    pub(crate) is_healthy: bool,
    pub(crate) has_poison: bool,
    pub(crate) has_raising_list: bool,
    /// Whether events of boards are lost silently.
    pub(crate) loses_events: bool,
    /// Whether two writers of boards can send their events in another order than they have committed.
    pub(crate) has_races: bool,
    /// Until then every read from the database raises.
    pub(crate) ill_until: Duration,
    pub(crate) now: Duration,
    /// The versions of a board's rows when each list read them, by its request id.
    pub(crate) lists: BTreeMap<String, BTreeMap<u64, u64>>,
    /// The last version of a row.
    pub(crate) version: u64,
    /// The event of a row that has just left a group, until the next event.
    pub(crate) left: Option<(String, String, Value)>,
}

pub(super) fn roll(fake: &FakeServer, dice: &Arc<Mutex<Dice>>) {
    let its = dice.clone();
    fake.intercept(move |action| lock(&its).intercept(action));
    let its = dice.clone();
    fake.delay_with(move |step| lock(&its).delay(step));
    let its = dice.clone();
    fake.events_with(move |event| lock(&its).fate(event));
}

impl Dice {
    fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(self.random.u64(from..to))
    }

    fn micros(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_micros(self.random.u64(from..to))
    }

    /// How long an action takes.
    pub(super) fn service_time(&mut self, is_slow: bool) -> Duration {
        if is_slow && !self.is_healthy { self.millis(100, 45_000) } else { self.millis(0, 5) }
    }

    fn delay(&mut self, step: Step<'_>) -> Duration {
        match step {
            Step::Call(call) if call.action == "detached" => Duration::ZERO,
            Step::Call(call) => {
                let is_slow = call.action == "slow" || self.random.f64() < self.slow_rate;
                self.service_time(is_slow)
            }
            Step::Event { stream } if BOARDS.contains(&stream) => self.micros(100, 200_000),
            Step::Event { .. } => self.micros(100, 20_000),
            _ => self.millis(0, 1_000),
        }
    }

    fn fate(&mut self, event: Event<'_>) -> Fate {
        if !BOARDS.contains(&event.stream) {
            return Fate::Deliver;
        }
        let id = (event.stream.to_owned(), event.subscribe.to_owned(), event.pk.clone());
        let has_just_left = self.left.take().is_some_and(|left| left == id);
        if self.loses_events && self.random.u64(..10) == 0 {
            return Fate::Lose;
        }
        self.left = (event.action == "delete").then_some(id);
        // The other writer has committed before, and sends later. Between two groups, nothing orders what a row leaves
        // and enters.
        let may_overtake = self.has_races || (has_just_left && event.action == "create");
        if may_overtake && self.random.u64(..3) == 0 { Fate::Overtake } else { Fate::Deliver }
    }

    fn fails(&mut self, statuses: &[u16]) -> Option<Answer> {
        let fails = self.random.f64() < self.error_rate;
        fails.then(|| Answer::error(statuses[self.random.usize(..statuses.len())], "no"))
    }

    fn intercept(&mut self, action: &mut Action<'_>) -> Option<Answer> {
        let (stream, name) = (action.stream.as_str(), action.action.as_str());
        let reads = name.starts_with("subscribe") || matches!(name, "list" | "retrieve");
        let is_ill = reads && self.now < self.ill_until;
        if is_ill || (self.has_raising_list && (stream, name) == ("tasks", "list")) {
            return Some(Answer::raise());
        }
        let is_board = BOARDS.contains(&stream);
        // No 404: a client could not distinguish a false one.
        let statuses = [400, 403, 429, 500, 503];
        match name {
            _ if name.ends_with("_mute") || name.starts_with("unsubscribe") => None,
            _ if is_board => self.fails(&statuses).or_else(|| self.list_board(action)),
            "subscribe_instance"
                if self.has_poison && action.argument("pk") == Some(&json!(POISON)) =>
            {
                Some(Answer::raise())
            }
            "subscribe_instance" => {
                let pk = action.argument("pk").cloned().unwrap_or_default();
                action.row(stream, &pk).and_then(|_| self.fails(&[403, 404, 429, 500, 503]))
            }
            "never" | "said" | "crash" => None,
            _ => self.fails(&statuses).or_else(|| self.list(name)),
        }
    }

    fn list(&mut self, name: &str) -> Option<Answer> {
        if name != "list" {
            return None;
        }
        if self.has_large && !self.is_healthy && self.random.bool() {
            return Some(Answer::ok(LARGE));
        }
        // It looks like a page, but does not say which.
        let is_odd = self.random.f64() < self.error_rate / 4.0;
        is_odd.then(|| Answer::ok(json!({"count": 1, "results": [{}]})))
    }

    fn list_board(&mut self, action: &Action<'_>) -> Option<Answer> {
        if action.action != "list" {
            return None;
        }
        let group = action.argument("group").and_then(Value::as_u64);
        let mut rows = action.rows(BOARDS[0]);
        self.lists.insert(action.request_id.to_string(), versions(&rows, group));
        if self.is_healthy {
            return None;
        }
        if self.has_large && self.random.u64(..8) == 0 {
            return Some(Answer::ok(LARGE));
        }
        let spoils = action.stream == BOARDS[0] && self.random.u64(..16) == 0;
        rows.retain(|row| group.is_none_or(|group| row["group"] == group));
        (spoils && !rows.is_empty()).then(|| {
            rows.insert(0, row_without_key());
            Answer::ok(rows)
        })
    }

    /// The frames that come instead of one: data can be over the size limit, and rows can have no key.
    pub(super) fn spoil(&mut self, text: String) -> Vec<FromServer> {
        let may_spoil = !self.is_healthy && text.contains(r#""action":"update""#);
        if !may_spoil && !text.contains(LARGE) {
            return vec![FromServer::Text(text)];
        }
        let Ok(mut frame) = serde_json::from_str::<Value>(&text) else {
            return vec![FromServer::Text(text)];
        };
        let data = &frame["payload"]["data"];
        let pk = data["pk"].as_u64().filter(|_| may_spoil);
        if data == LARGE || pk.is_some_and(|pk| self.has_large && pk % 4 == 0) {
            frame["payload"]["data"] = json!([]);
            return vec![FromServer::TooLarge(frame.to_string())];
        }
        let is_board = frame["stream"].as_str().is_some_and(|stream| BOARDS.contains(&stream));
        let mut frames = vec![FromServer::Text(text)];
        if is_board && pk == Some(KEYS) {
            frame["payload"]["data"] = row_without_key();
            frames.insert(0, FromServer::Text(frame.to_string()));
        }
        frames
    }
}

fn row_without_key() -> Value {
    json!({"title": "a row without a key"})
}
