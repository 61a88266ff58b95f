//! A session with a server at the other end of a slow line. The server answers each frame as the test says, and the clock
//! moves from one event to the next.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use dcrf_proto::{Config, ConnectionError, Frame, Request, Subscribe, SubscriptionKey, Transmit};
use serde_json::{Value, json};

use crate::conversation::{Conversation, closed};

/// How the server answers a frame.
pub(crate) enum Answer {
    /// With success and no data.
    Ack,
    Data(Value),
    /// Never.
    Nothing,
    /// Its consumer raises: the server closes with 1011 after this time, and reads nothing more.
    Raise(Duration),
}

/// A frame at the server.
pub(crate) struct Received<'a> {
    pub(crate) stream: &'a str,
    pub(crate) action: &'a str,
    pub(crate) payload: &'a Value,
    /// How long the connection is open.
    pub(crate) age: Duration,
    /// The time since the start of the test.
    pub(crate) time: Duration,
}

impl Received<'_> {
    pub(crate) fn pk(&self) -> Option<u64> {
        self.payload["pk"].as_u64()
    }

    pub(crate) fn subscribes(&self) -> bool {
        self.action.starts_with("subscribe")
    }
}

enum Arriving {
    Connected,
    /// A reply, and the subscription that it acknowledges.
    Reply(String, Option<String>),
    Pong,
    Lost(ConnectionError),
}

type Behaviour = Box<dyn FnMut(&Received<'_>) -> Answer>;

pub(crate) struct FarServer {
    pub(crate) c: Conversation,
    started: Instant,
    round_trip: Duration,
    behaviour: Behaviour,
    arriving: BTreeMap<(Instant, u64), Arriving>,
    arrivals: u64,
    opened: Instant,
    /// Whether the server reads nothing more.
    is_dead: bool,
    /// The subscriptions that are live on this connection.
    pub(crate) live: BTreeSet<String>,
    pub(crate) connections: u32,
    /// The frames that the server has read on this connection: their streams and actions.
    pub(crate) read: Vec<(String, String)>,
}

impl FarServer {
    pub(crate) fn new(
        round_trip: Duration,
        config: Config,
        behaviour: impl FnMut(&Received<'_>) -> Answer + 'static,
    ) -> Self {
        let mut c = Conversation::idle(config);
        c.session.open(c.now);
        let mut server = Self {
            started: c.now,
            opened: c.now,
            c,
            round_trip,
            behaviour: Box::new(behaviour),
            arriving: BTreeMap::new(),
            arrivals: 0,
            is_dead: false,
            live: BTreeSet::new(),
            connections: 0,
            read: Vec::new(),
        };
        server.exchange();
        server
    }

    pub(crate) fn time(&self) -> Duration {
        self.c.now - self.started
    }

    /// Subscribes to this many tasks.
    pub(crate) fn subscribe_tasks(&mut self, count: u64) -> Vec<SubscriptionKey> {
        (0..count).map(|pk| self.subscribe(Subscribe::instance("tasks", pk).no_timeout())).collect()
    }

    pub(crate) fn subscribe(&mut self, subscribe: Subscribe) -> SubscriptionKey {
        let key = self.c.subscribe(subscribe);
        self.exchange();
        key
    }

    /// Makes a request and runs until it has settled. Returns how long that took.
    pub(crate) fn time_of_request(&mut self, request: Request) -> Duration {
        let since = self.c.now;
        let key = self.c.request(request);
        self.exchange();
        self.run_until(Duration::from_secs(120), |server| {
            let settled = server.c.settled();
            let result = settled.into_iter().find(|(settled, _)| *settled == key);
            result.inspect(|(_, result)| assert!(result.is_ok(), "{result:?}")).is_some()
        });
        self.c.now - since
    }

    /// Runs until `is_done`, and returns how long that took.
    pub(crate) fn run_until(
        &mut self,
        limit: Duration,
        mut is_done: impl FnMut(&mut Self) -> bool,
    ) -> Duration {
        let since = self.c.now;
        while !is_done(self) {
            assert!(self.step(since + limit), "it is not done after {limit:?}");
        }
        self.c.now - since
    }

    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.c.now + time;
        while self.step(end) {}
        self.c.now = end;
    }

    /// Runs until this many subscriptions are live on the connection, and returns how long that took.
    pub(crate) fn run_until_live(&mut self, count: usize, limit: Duration) -> Duration {
        self.run_until(limit, |server| server.live.len() == count)
    }

    /// Loses the connection now, and what is on its way.
    pub(crate) fn lose(&mut self, error: ConnectionError) {
        self.arrive(Arriving::Lost(error));
        self.exchange();
    }

    /// Handles the next event before `end`. Returns false if there is none.
    fn step(&mut self, end: Instant) -> bool {
        let timer = self.c.session.poll_timeout();
        let arrival = self.arriving.keys().next().copied();
        let next = timer.into_iter().chain(arrival.map(|(at, _)| at)).min();
        let Some(next) = next.filter(|next| *next <= end) else { return false };
        self.c.now = self.c.now.max(next);
        match arrival {
            Some(first) if timer.is_none_or(|timer| first.0 <= timer) => {
                let arriving = self.arriving.remove(&first).expect("it is the first");
                self.arrive(arriving);
            }
            _ => self.c.session.handle_timeout(self.c.now),
        }
        self.exchange();
        true
    }

    fn arrive(&mut self, arriving: Arriving) {
        match arriving {
            Arriving::Connected => {
                self.connections += 1;
                (self.opened, self.is_dead) = (self.c.now, false);
                self.read.clear();
                self.c.connect();
            }
            Arriving::Reply(text, live) => {
                self.live.extend(live);
                self.c.receive_text(&text);
            }
            Arriving::Pong => self.c.session.handle_pong(self.c.epoch(), self.c.now),
            Arriving::Lost(error) => {
                self.arriving.clear();
                self.live.clear();
                self.is_dead = true;
                self.c.disconnect(error);
            }
        }
    }

    fn plan(&mut self, after: Duration, arriving: Arriving) {
        self.arrivals += 1;
        self.arriving.insert((self.c.now + after, self.arrivals), arriving);
    }

    /// Lets the server read what the session sends.
    pub(crate) fn exchange(&mut self) {
        for transmit in self.c.transmits() {
            match transmit {
                Transmit::Dial(_) => {
                    self.arriving.clear();
                    self.plan(self.round_trip, Arriving::Connected);
                }
                // Also a server whose consumers have raised answers pings.
                Transmit::Frame(_, Frame::Ping) => self.plan(self.round_trip, Arriving::Pong),
                Transmit::Frame(_, Frame::Text(text)) if !self.is_dead => self.read(&text),
                _ => {}
            }
        }
    }

    fn read(&mut self, text: &str) {
        let frame: Value = serde_json::from_str(text).expect("a text frame is JSON");
        let (stream, payload) = match frame.get("payload") {
            Some(payload) => (&frame["stream"], payload),
            None => (&Value::Null, &frame),
        };
        let received = Received {
            stream: stream.as_str().unwrap_or("bare"),
            action: payload["action"].as_str().expect("an action"),
            payload,
            age: self.c.now - self.opened,
            time: self.c.now - self.started,
        };
        self.read.push((received.stream.to_owned(), received.action.to_owned()));
        let data = match (self.behaviour)(&received) {
            Answer::Ack => Value::Null,
            Answer::Data(data) => data,
            Answer::Nothing => return,
            Answer::Raise(late) => {
                self.is_dead = true;
                return self.plan(self.round_trip + late, Arriving::Lost(closed(1011)));
            }
        };
        let reply = json!({
            "errors": [], "data": data, "action": payload["action"],
            "response_status": 200, "request_id": payload["request_id"],
        });
        let reply = match stream {
            Value::Null => reply,
            stream => json!({"stream": stream, "payload": reply}),
        };
        let live = received.subscribes().then(|| name(&received));
        self.plan(self.round_trip, Arriving::Reply(reply.to_string(), live));
    }
}

/// `tasks 4`, or `tasks subscribe_all` for a feed.
fn name(received: &Received<'_>) -> String {
    match received.pk() {
        Some(pk) => format!("{} {pk}", received.stream),
        None => format!("{} {}", received.stream, received.action),
    }
}
