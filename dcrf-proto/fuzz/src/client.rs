//! The whole client with its WebSocket, over a stream in memory. Calls, frames of the server, partial reads and writes,
//! pending polls, losses and time come in any order.
//!
//! - No wake is lost: after everything is quiet, a poll of a task that was not woken does nothing.
//! - The tasks come to rest within a number of polls that the moved bytes bound.
//! - What a caller gets is what the server has sent for its id, once, in order.
//! - Each call settles once the server is well again, and closing ends all tasks.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use arbitrary::Unstructured;
use dcrf_proto::client::{self, Client};
use dcrf_proto::{Change, Config, Limit, ListenerEvent, Request, Seed, Selector, Subscribe};
use serde_json::{Value, json};

use super::memory::{MAX_MESSAGE, Network};

const LIMIT: Limit = Limit { count: 4, bytes: 2_000 };

pub fn client(input: &[u8]) {
    let mut input = Unstructured::new(input);
    let mut world = World::new();
    while !input.is_empty() && world.act(&mut input).is_ok() {
        world.settle();
    }
    world.recover();
    world.close();
}

struct Task {
    /// `None` after it has completed.
    future: Option<Pin<Box<dyn Future<Output = ()>>>>,
    woken: Arc<Flag>,
    is_paused: bool,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Driver,
    /// Settles by itself.
    Call,
    /// Lasts until the client is closed.
    Reader,
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// What the server has sent and the callers have got.
#[derive(Default)]
struct Log {
    /// The owner of each number that the server has sent.
    sent: Vec<u64>,
    /// The owners and numbers of what callers have got.
    got: BTreeSet<(u64, usize)>,
    /// How many results and items callers have got.
    items: usize,
}

fn number_of(object: &Value) -> usize {
    let number = object["n"].as_u64().expect("invented data");
    usize::try_from(number).expect("an index")
}

/// The request id of an owner.
fn id_of(owner: u64) -> u32 {
    u32::try_from(owner).expect("few calls")
}

impl Log {
    /// A caller has got an object.
    fn check(&mut self, owner: u64, object: &Value, in_order: bool) {
        let number = number_of(object);
        assert_eq!(self.sent.get(number), Some(&owner), "{owner} has got {object}");
        let is_last = self.got.range((owner, number)..=(owner, usize::MAX)).next().is_none();
        assert!(is_last || !in_order, "{owner} has got {object} too late");
        assert!(self.got.insert((owner, number)), "{owner} has got {object} twice");
    }
}

struct World {
    network: Network,
    /// `None` after the last handle was dropped.
    client: Option<Client>,
    tasks: Vec<Task>,
    log: Rc<RefCell<Log>>,
    next_id: u64,
}

impl World {
    fn new() -> Self {
        let network = Network::default();
        let mut state = network.state();
        (state.readable, state.writable, state.chunk) = (usize::MAX, usize::MAX, usize::MAX);
        drop(state);
        let mut config = Config::default();
        (config.outbox, config.changes, config.events, config.replies) =
            (LIMIT, LIMIT, LIMIT, LIMIT);
        let (client, driver) = client::start(config, Seed::from([7; 32]), network.clone());
        let log = Rc::default();
        let mut world = Self { network, client: Some(client), tasks: Vec::new(), log, next_id: 1 };
        world.spawn(Kind::Driver, driver);
        world.settle();
        world
    }

    fn spawn(&mut self, kind: Kind, future: impl Future<Output = ()> + 'static) {
        let woken = Arc::new(Flag(AtomicBool::new(true)));
        self.tasks.push(Task { future: Some(Box::pin(future)), woken, is_paused: false, kind });
    }

    fn act(&mut self, input: &mut Unstructured<'_>) -> arbitrary::Result<()> {
        let action = input.int_in_range(0..=31_u8)?;
        match action {
            0..=2 => self.request(input)?,
            3..=5 => self.subscribe(input)?,
            6 => self.watch(input)?,
            7 | 8 => {
                // Never the driver, unless the input says so twice.
                let at = input.int_in_range(0..=self.tasks.len() - 1)?;
                let may_drop = at > 0 || input.ratio(1_u8, 64_u8)?;
                match &mut self.tasks[at] {
                    task if action == 7 && may_drop => task.future = None,
                    task => task.is_paused = !task.is_paused && at > 0,
                }
            }
            9 => {
                let Some(client) = &self.client else { return Ok(()) };
                match input.int_in_range(0..=15_u8)? {
                    0..=3 => client.force_reconnect(),
                    4..=7 => client.probe(),
                    8..=11 => client.resubscribe(),
                    12 => _ = client.unsubscribe_all(),
                    13 => _ = client.send(Request::new("s", "said")),
                    14 => client.close_now(),
                    _ => self.client = None,
                }
            }
            10..=17 => self.answer(input)?,
            18 => {
                let bytes = input.bytes(input.len().min(6))?;
                // Without quotes there is no id, so nothing for a caller.
                if !bytes.contains(&b'"') {
                    self.network.state().send_raw(bytes);
                }
            }
            19 => {
                let code: u16 = *input.choose(&[1000, 1001, 1008, 1011, 1012, 4001, 4401])?;
                self.network.state().send(0x88, &code.to_be_bytes());
            }
            20 => self.network.state().send(0x89, b"ping"),
            21 => self.network.state().hung_up = true,
            22 => self.network.state().reset = true,
            23 => {
                let status = *input.choose(&[0, 101, 401, 403, 404, 429, 503])?;
                self.network.state().handshake = Some(status);
            }
            24 => self.network.state().deaf ^= true,
            25 => {
                let blocked = input.arbitrary()?;
                self.network.state().flush_blocked = blocked;
            }
            26 | 27 => {
                let count = *input.choose(&[0, 1, 2, 7, 100, usize::MAX])?;
                let mut state = self.network.state();
                if action == 26 { state.readable = count } else { state.writable = count }
            }
            28 => self.network.state().chunk = *input.choose(&[1, 3, 100, usize::MAX])?,
            29 => self.network.advance_to_timer(),
            _ => {
                let duration = Duration::from_millis(input.int_in_range(0..=40_000)?);
                self.network.advance(duration);
            }
        }
        Ok(())
    }

    fn request(&mut self, input: &mut Unstructured<'_>) -> arbitrary::Result<()> {
        let Some(client) = &self.client else { return Ok(()) };
        let (id, log) = (self.next_id, self.log.clone());
        self.next_id += 1;
        let request = Request::new("s", "a").id(id_of(id)).idempotent(input.arbitrary()?);
        let reply = client.call::<Value>(request);
        self.spawn(Kind::Call, async move {
            let result = reply.await;
            let mut log = log.borrow_mut();
            log.items += 1;
            if let Ok(object) = result {
                log.check(id, &object, true);
            }
        });
        Ok(())
    }

    fn subscribe(&mut self, input: &mut Unstructured<'_>) -> arbitrary::Result<()> {
        let Some(client) = &self.client else { return Ok(()) };
        let (id, log) = (self.next_id, self.log.clone());
        self.next_id += 1;
        let subscribe = Subscribe::instance("s", id).id(id_of(id));
        let refreshes = input.arbitrary()?;
        let subscribe = if refreshes { subscribe.refresh() } else { subscribe };
        let subscribe = if input.arbitrary()? { subscribe.without_ack() } else { subscribe };
        let subscribing = client.subscribe::<Value>(subscribe);
        self.spawn(Kind::Reader, async move {
            let Ok(mut changes) = subscribing.await else { return };
            while let Some(change) = changes.next().await {
                let mut log = log.borrow_mut();
                log.items += 1;
                match change {
                    Ok(Change::Create(object) | Change::Update(object)) => {
                        log.check(id, &object, !refreshes);
                    }
                    Ok(Change::Snapshot(objects)) => {
                        for object in &objects {
                            log.check(id, object, false);
                        }
                    }
                    _ => {}
                }
            }
        });
        Ok(())
    }

    /// A flush, a listener, or a stream of events.
    fn watch(&mut self, input: &mut Unstructured<'_>) -> arbitrary::Result<()> {
        let Some(client) = &self.client else { return Ok(()) };
        let log = self.log.clone();
        match input.int_in_range(0..=2_u8)? {
            0 => {
                let flush = client.flush();
                self.spawn(Kind::Reader, async move {
                    let _ = flush.await;
                    log.borrow_mut().items += 1;
                });
            }
            1 => {
                let Ok(mut listener) = client.listen::<Value>(Selector::stream("s")) else {
                    return Ok(());
                };
                self.spawn(Kind::Reader, async move {
                    while let Some(heard) = listener.next().await {
                        log.borrow_mut().items += 1;
                        if let Ok(ListenerEvent::Frame { payload, .. }) = heard {
                            assert!(number_of(&payload["data"]) < log.borrow().sent.len());
                        }
                    }
                });
            }
            _ => {
                let mut events = client.events();
                self.spawn(Kind::Reader, async move {
                    while events.next().await.is_some() {
                        log.borrow_mut().items += 1;
                    }
                });
            }
        }
        Ok(())
    }

    /// The server answers a message, or sends an event with its id.
    fn answer(&mut self, input: &mut Unstructured<'_>) -> arbitrary::Result<()> {
        let mut state = self.network.state();
        if state.inbox.is_empty() {
            return Ok(());
        }
        let message = input.choose(&state.inbox)?;
        let action = *input.choose(&["", "", "update", "create", "delete"])?;
        let status = *input.choose(&[200, 200, 200, 400, 403, 404, 429, 500])?;
        let padding = *input.choose(&[0, 0, 0, 300, MAX_MESSAGE])?;
        let frame = self.log.borrow_mut().reply(message, action, status, padding);
        // In two fragments, with a ping between them.
        if input.ratio(1_u8, 8_u8)? {
            let (one, two) = frame.split_at(frame.len() / 2);
            state.send(0x01, one.as_bytes());
            state.send(0x89, b"");
            state.send(0x80, two.as_bytes());
        } else {
            state.send(0x81, frame.as_bytes());
        }
        Ok(())
    }

    /// Polls the tasks that are woken, until none is.
    fn run(&mut self) {
        let (mut polls, moved) = (0, self.network.state().moved);
        loop {
            let before = polls;
            for at in 0..self.tasks.len() {
                let task = &mut self.tasks[at];
                if !task.is_paused && task.woken.0.swap(false, Ordering::SeqCst) {
                    task.poll();
                    polls += 1;
                }
            }
            if polls == before {
                return;
            }
            let moved = self.network.state().moved - moved;
            assert!(polls < 4_000 + moved, "the tasks never come to rest");
        }
    }

    /// Runs client and server until both rest, and checks that no wake is lost.
    fn settle(&mut self) {
        self.network.serve();
        self.run();
        while self.network.serve() || self.is_woken() {
            self.run();
        }
        let trace = |world: &Self| {
            let alive = world.tasks.iter().filter(|task| task.future.is_some()).count();
            (world.network.state().moved, world.log.borrow().items, alive)
        };
        let before = trace(self);
        for at in 0..self.tasks.len() {
            let task = &mut self.tasks[at];
            if task.is_paused {
                continue;
            }
            task.poll();
            let kind = task.kind;
            // It may wake itself, if nothing comes of it.
            self.run();
            assert_eq!(trace(self), before, "the {kind:?} was not woken");
        }
    }

    fn is_woken(&self) -> bool {
        self.tasks.iter().any(|task| {
            !task.is_paused && task.future.is_some() && task.woken.0.load(Ordering::SeqCst)
        })
    }

    /// From now on the network and the server work, so each call settles.
    fn recover(&mut self) {
        self.network.state().recover();
        self.tasks.iter_mut().for_each(|task| task.is_paused = false);
        self.run_until("a call has not settled", |world| {
            world.tasks.iter().all(|task| task.kind != Kind::Call || task.future.is_none())
        });
        let Some(client) = &self.client else { return };
        let stats = client.stats();
        let settled = stats.requests_replied
            + stats.requests_error_reply
            + stats.requests_reply_too_large
            + stats.requests_timed_out
            + stats.requests_connection_lost
            + stats.requests_closed
            + stats.requests_cancelled
            + stats.requests_overflowed;
        assert_eq!(stats.requests_made, settled, "{stats:?}");
    }

    fn close(&mut self) {
        if let Some(client) = self.client.take() {
            let closed = client.close();
            self.spawn(Kind::Call, closed);
        } else {
            // Each stream is a handle, and the last one closes the client.
            let readers = self.tasks.iter_mut().filter(|task| task.kind == Kind::Reader);
            readers.for_each(|reader| reader.future = None);
        }
        self.run_until("a task outlives the client", |world| {
            world.tasks.iter().all(|task| task.future.is_none())
        });
        for task in &self.tasks {
            assert_eq!(Arc::strong_count(&task.woken), 1, "a waker of {:?} is kept", task.kind);
        }
    }

    /// Answers everything and lets time pass. Fails if that takes longer than ten minutes.
    fn run_until(&mut self, failure: &str, is_done: impl Fn(&Self) -> bool) {
        let end = super::memory::now() + Duration::from_secs(600);
        self.settle();
        while !is_done(self) {
            assert!(super::memory::now() < end, "{failure}");
            let mut state = self.network.state();
            for message in std::mem::take(&mut state.inbox) {
                let frame = self.log.borrow_mut().reply(&message, "", 200, 0);
                state.send(0x81, frame.as_bytes());
            }
            drop(state);
            self.settle();
            self.network.advance_to_timer();
            self.settle();
        }
    }
}

impl Log {
    /// A reply to the message, or an event if there is an action.
    fn reply(&mut self, message: &Value, action: &str, status: u16, padding: usize) -> String {
        let payload = &message["payload"];
        let owner = match &payload["action"] {
            // A refresh has an id that the caller doesn't know.
            action if action == "retrieve" => &payload["pk"],
            _ => &payload["request_id"],
        };
        self.sent.push(owner.as_u64().unwrap_or_default());
        let data = json!({"pk": payload["pk"], "n": self.sent.len() - 1, "x": "x".repeat(padding)});
        let errors = if status < 300 { json!([]) } else { json!(["no"]) };
        let action = if action.is_empty() { payload["action"].clone() } else { json!(action) };
        json!({"stream": message["stream"], "payload": {
            "errors": errors, "data": data, "action": action, "response_status": status,
            "request_id": payload["request_id"],
        }})
        .to_string()
    }
}

impl Task {
    fn poll(&mut self) {
        let Some(future) = &mut self.future else { return };
        let waker = Waker::from(self.woken.clone());
        if future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
            self.future = None;
        }
    }
}
