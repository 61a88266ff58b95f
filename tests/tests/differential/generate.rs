//! Random conversations.

use std::collections::BTreeSet;

use fastrand::Rng;
use serde_json::{Map, Value, json};

use crate::conversation::{Conversation, Endpoint, Message, Step};
use crate::streams::{self, BROKEN, Lists, Stream, THEMES, TOOLS};
use crate::values::{self, chance, pick};
use crate::{raises, tools};

/// In percent. The other conversations have no step that raises, since Daphne takes up to a second to close.
const RAISES: u8 = 4;

/// Draws a value.
type Random = fn(&mut Rng) -> Value;

pub(crate) struct Generator {
    pub(crate) rng: Rng,
    streams: Vec<&'static str>,
    connections: Vec<Endpoint>,
    /// A few ids and keys, so that they come again.
    ids: Vec<Value>,
    memos: usize,
}

impl Conversation {
    pub(crate) fn generate(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let may_raise = chance(&mut rng, RAISES);
        let theme = if may_raise && rng.bool() { BROKEN } else { pick(&mut rng, THEMES) };
        let ids = (0..rng.usize(2..5)).map(|_| values::request_id(&mut rng)).collect();
        let count = rng.usize(1..=2);
        let mut generator =
            Generator { rng, streams: theme.to_vec(), connections: Vec::new(), ids, memos: 0 };
        generator.connections = (0..count).map(|_| generator.endpoint()).collect();
        let steps = generator.rng.usize(8..32);
        let raises_at = if may_raise { generator.rng.usize(..steps) } else { steps };
        let step = |number| {
            if number == raises_at { generator.raising_step() } else { generator.step() }
        };
        let steps = (0..steps).map(step).collect();
        Self { seed, connections: generator.connections, steps }
    }

    /// The models whose rows the conversation can change.
    pub(crate) fn models(&self) -> BTreeSet<&'static str> {
        let streams = self.steps.iter().map(|step| step.stream).filter(|name| *name != TOOLS);
        let mut models: BTreeSet<_> = streams.map(|name| streams::find(name).model).collect();
        if models.contains("task") {
            models.insert("memo");
        }
        models
    }
}

impl Generator {
    fn endpoint(&mut self) -> Endpoint {
        let rng = &mut self.rng;
        let query = if chance(rng, 15) { "?token=tok-alice" } else { "" };
        if chance(rng, 60) {
            return Endpoint { path: format!("/ws/{query}"), bare: None };
        }
        let stream = pick(rng, &self.streams);
        Endpoint { path: format!("/ws/bare/{stream}/{query}"), bare: Some(stream) }
    }

    /// A connection and one of its streams.
    fn place(&mut self) -> (usize, &'static str) {
        let connection = self.rng.usize(..self.connections.len());
        (connection, self.stream_of(connection))
    }

    fn stream_of(&mut self, connection: usize) -> &'static str {
        let bare = self.connections[connection].bare;
        bare.unwrap_or_else(|| pick(&mut self.rng, &self.streams))
    }

    fn raising_step(&mut self) -> Step {
        let (connection, stream) = self.place();
        let is_bare = self.connections[connection].bare.is_some();
        let message = raises::message(&mut self.rng, stream, is_bare);
        Step { connection, stream, message, more: Vec::new(), detached: None, events: 0 }
    }

    fn step(&mut self) -> Step {
        let (connection, stream) = self.place();
        let (payload, detached) = self.payload(stream);
        let mut detached = detached.map(|action| (stream, action));
        let events = self.events(stream, &payload);
        let mut more = Vec::new();
        // Only a detached call that takes long has a certain place among the replies.
        while events == 0 && detached.is_none() && chance(&mut self.rng, 15) {
            let stream = self.stream_of(connection);
            let (payload, its) = self.payload(stream);
            if !writes(&payload) && its.is_none() {
                more.push((stream, payload.into()));
            }
        }
        if stream == TOOLS && !more.is_empty() && chance(&mut self.rng, 30) {
            let slow = json!({"action": "slow", "seconds": 0.1, "request_id": self.id()});
            more.insert(0, (TOOLS, slow));
            detached = Some((TOOLS, "slow"));
        }
        let message = Message::Payload(payload.into());
        Step { connection, stream, message, more, detached, events }
    }

    /// A call, and its action if that is detached.
    fn payload(&mut self, stream: &'static str) -> (Map<String, Value>, Option<&'static str>) {
        let (mut payload, detached) = match stream {
            _ if chance(&mut self.rng, 4) => (self.odd(), None),
            TOOLS => tools::call(&mut self.rng),
            stream => self.call(streams::find(stream)),
        };
        if !payload.contains_key("request_id") && chance(&mut self.rng, 95) {
            let id = if chance(&mut self.rng, 10) {
                values::any_request_id(&mut self.rng)
            } else {
                self.id()
            };
            payload.insert("request_id".to_owned(), id);
        }
        (payload, detached)
    }

    /// The events that a call can cause for one stream.
    fn events(&mut self, stream: &str, payload: &Map<String, Value>) -> usize {
        if !writes(payload) {
            return 0;
        }
        self.memos += usize::from(stream == "memos");
        // A task takes its memos with it.
        let is_task = ["tasks", "private"].contains(&stream);
        let cascade = if is_task && payload["action"] == "delete" { 2 * self.memos } else { 0 };
        // The events of the instance and of the feeds, one of which has two groups for a row that moves.
        let groups = if is_task || stream == "issues" { 2 } else { 0 };
        2 + groups + cascade
    }

    /// A call without a usable action.
    fn odd(&mut self) -> Map<String, Value> {
        let rng = &mut self.rng;
        let actions = [
            json!("nosuch"),
            json!(""),
            json!(5),
            json!(null),
            json!(true),
            json!("é"),
            json!(1.5),
        ];
        let mut payload = object(json!({"pk": 1, "data": {"title": "a"}}));
        if chance(rng, 80) {
            payload.insert("action".to_owned(), pick(rng, &actions));
        }
        payload
    }

    fn id(&mut self) -> Value {
        pick(&mut self.rng, &self.ids)
    }

    fn call(&mut self, stream: &Stream) -> (Map<String, Value>, Option<&'static str>) {
        // Tasks that take memos with them are rare otherwise.
        let deletes =
            if stream.model == "task" && self.streams.contains(&"memos") { 25 } else { 8 };
        let kinds = [
            (15, stream.lists != Lists::Never),
            (30, stream.writes),
            (deletes, stream.writes),
            (12, stream.has_instances),
            (25, stream.has_instances),
            (25, !stream.feeds.is_empty()),
        ];
        let total: u32 = kinds.iter().filter(|(_, has)| *has).map(|(weight, _)| weight).sum();
        let mut chosen = self.rng.u32(..total);
        let kind = kinds.iter().position(|&(weight, has)| {
            if !has {
                return false;
            }
            let is_chosen = chosen < weight;
            chosen = chosen.saturating_sub(weight);
            is_chosen
        });
        let payload = match kind.unwrap_or_default() {
            0 => self.list(stream),
            1 => self.write(stream),
            2 => self.with_key("delete", stream),
            3 => self.with_key("retrieve", stream),
            4 => self.instance(stream),
            _ => return self.feed(stream),
        };
        (payload, None)
    }

    fn list(&mut self, stream: &Stream) -> Map<String, Value> {
        let mut payload = object(json!({"action": "list"}));
        self.project(stream, &mut payload);
        let rng = &mut self.rng;
        let arguments: &[(&str, Random)] = match stream.lists {
            Lists::ByOffset => &[("limit", values::limit), ("offset", values::limit)],
            Lists::ByNumber => &[("page", values::page), ("page_size", values::page)],
            Lists::ByCursor => &[("cursor", values::cursor), ("page_size", values::page)],
            _ => &[("page", values::page), ("limit", values::page)],
        };
        for (name, value) in arguments {
            if chance(rng, 60) {
                payload.insert((*name).to_owned(), value(rng));
            }
        }
        payload
    }

    /// `issues` takes a project with every action.
    fn project(&mut self, stream: &Stream, payload: &mut Map<String, Value>) {
        if stream.name == "issues" && chance(&mut self.rng, 25) {
            let projects = [json!(1), json!(2), json!("1"), json!(2.0), json!(null), json!(7)];
            payload.insert("project".to_owned(), pick(&mut self.rng, &projects));
        }
    }

    fn with_key(&mut self, action: &str, stream: &Stream) -> Map<String, Value> {
        let rng = &mut self.rng;
        let mut payload = object(json!({"action": action}));
        let key = match (stream.lookup, stream.model) {
            ("slug", _) => values::slug_key(rng),
            (_, "gadget") => values::uuid(rng),
            _ => values::key(rng),
        };
        payload.insert(stream.lookup.to_owned(), key);
        self.project(stream, &mut payload);
        payload
    }

    fn write(&mut self, stream: &Stream) -> Map<String, Value> {
        let action = pick(&mut self.rng, &["create", "create", "update", "patch", "patch"]);
        let mut payload = match action {
            "create" => object(json!({"action": "create"})),
            action => self.with_key(action, stream),
        };
        let has_tasks = self.streams.contains(&"tasks");
        let rng = &mut self.rng;
        if stream.name == "memos" && has_tasks && chance(rng, 50) {
            payload.insert("data".to_owned(), json!({"text": "of a task", "task": rng.u8(1..5)}));
            return payload;
        }
        let mut data = Map::new();
        let percent = if action == "patch" { 50 } else { 85 };
        for (name, field) in stream.fields {
            if chance(rng, percent) {
                data.insert((*name).to_owned(), values::field(rng, *field));
            }
        }
        if chance(rng, 5) {
            let names = ["id", "pk", "updated_at", "other"];
            data.insert(pick(rng, &names).to_owned(), values::anything(rng));
        }
        let data = match rng.u8(..40) {
            0 => pick(rng, &[json!(null), json!("text"), json!(1), json!(true), json!(1.5)]),
            1 => pick(rng, &[json!([]), json!([{"title": "a"}]), json!(false), json!("")]),
            _ => data.into(),
        };
        payload.insert("data".to_owned(), data);
        payload
    }

    fn instance(&mut self, stream: &Stream) -> Map<String, Value> {
        let subscribes = chance(&mut self.rng, 65);
        let action = if subscribes { "subscribe_instance" } else { "unsubscribe_instance" };
        let mut payload = self.with_key(action, stream);
        self.subscription_id(subscribes, &mut payload);
        payload
    }

    /// An id to subscribe with, or one to unsubscribe with, which may be missing.
    fn subscription_id(&mut self, subscribes: bool, payload: &mut Map<String, Value>) {
        let id = if subscribes || chance(&mut self.rng, 80) { self.id() } else { Value::Null };
        payload.insert("request_id".to_owned(), id);
        if !subscribes && chance(&mut self.rng, 10) {
            payload.remove("request_id");
        }
    }

    fn feed(&mut self, stream: &Stream) -> (Map<String, Value>, Option<&'static str>) {
        let (subscribe, group) = pick(&mut self.rng, stream.feeds);
        let subscribes = chance(&mut self.rng, 65);
        let action = if subscribes { subscribe.to_owned() } else { format!("un{subscribe}") };
        let mut payload = object(json!({"action": action}));
        self.subscription_id(subscribes, &mut payload);
        if let Some(group) = group {
            let value = match self.rng.u8(..20) {
                0 => values::integer(&mut self.rng),
                1 => json!("2"),
                _ => self.rng.u8(..4).into(),
            };
            payload.insert(group.to_owned(), value);
        }
        let is_late = action == "subscribe_late_reply";
        if is_late {
            payload.insert("delay".to_owned(), json!(0));
        }
        // Without a user, the permission replies in its place.
        (payload, is_late.then_some("subscribe_late_reply"))
    }
}

fn writes(payload: &Map<String, Value>) -> bool {
    let action = payload.get("action").and_then(Value::as_str);
    action.is_some_and(|action| ["create", "update", "patch", "delete"].contains(&action))
}

/// The members of a JSON object.
pub(crate) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        other => panic!("{other} is no object"),
    }
}
