//! Random calls in any order, checked against a ledger: nothing panics, everything settles exactly
//! once, nothing is sent twice that must not be, and nothing grows over its limit.

mod ledger;

use std::time::{Duration, Instant};

use dcrf_proto::{
    Close, CloseFrame, Config, Epoch, Event, Limit, Lost, Request, Seed, Session, State, Subscribe,
    Transmit, WhenFull,
};
use ledger::{Ledger, Nth, action_of};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use serde_json::{Value, json};

/// A call, or a few that belong together. Indices are taken modulo what there is.
#[derive(Clone, Debug)]
enum Call {
    Open,
    Request { action: usize, own_id: bool, timeout: Option<u64> },
    Cancel(usize),
    Subscribe { pk: u64, feed: bool, include_create: bool, when_full: WhenFull },
    Unsubscribe(usize),
    UnsubscribeAll,
    Resubscribe,
    Probe,
    Reconnect,
    Close { wait: u64, unsubscribe: bool },
    StopDriving,
    Transmit(usize),
    Tell(usize),
    Read(usize),
    Opened(Which),
    Lost(Which, usize),
    Pong(Which),
    Junk(Which, usize),
    Answer(Which, usize, u16),
    Events { which: Which, nth: usize, kind: usize, count: usize },
    Sleep(u64),
    Deadline,
    Backwards(u64),
}

/// Which connection a call is about.
#[derive(Clone, Debug)]
enum Which {
    Current,
    Any(usize),
}

const ACTIONS: [&str; 4] = ["create", "list", "retrieve", "archive"];
const EVENTS: [&str; 5] = ["update", "create", "delete", "moved", "failed"];
const LIMIT: Limit = Limit { count: 4, bytes: 2_000 };
/// What may wait in a subscription, and how many events come at once.
const ROOM: Limit = Limit { count: 2, bytes: 300 };
const BURSTS: [usize; 8] = [1, 1, 1, 1, 2, 3, 4, 5];
const MAX: usize = 6;

const POLICIES: [WhenFull; 3] = [WhenFull::DropOldest, WhenFull::KeepNewest, WhenFull::End];
const STATUSES: [u16; 8] = [200, 201, 204, 400, 403, 404, 429, 503];

/// A number that is drawn from as from a pack of cards: far cheaper to generate than a tree of choices.
struct Pack(u64);

impl Pack {
    fn draw(&mut self, below: u64) -> u64 {
        let drawn = self.0 % below;
        self.0 /= below;
        drawn
    }

    fn index(&mut self) -> usize {
        usize::try_from(self.draw(8)).expect("small")
    }

    fn which(&mut self) -> Which {
        if self.draw(10) < 9 { Which::Current } else { Which::Any(self.index()) }
    }
}

fn call(number: u64) -> Call {
    let mut pack = Pack(number);
    match pack.draw(128) {
        0..16 => Call::Transmit(pack.index() + 1),
        16..30 => Call::Answer(pack.which(), pack.index(), STATUSES[pack.index()]),
        30..42 => Call::Events {
            which: pack.which(),
            nth: pack.index(),
            kind: pack.index(),
            count: BURSTS[pack.index()],
        },
        42..54 => Call::Opened(pack.which()),
        54..64 => Call::Request {
            action: pack.index(),
            own_id: pack.draw(5) == 0,
            timeout: (pack.draw(2) == 0).then(|| pack.draw(3_000)),
        },
        64..74 => Call::Subscribe {
            pk: pack.draw(3),
            feed: pack.draw(2) == 0,
            include_create: pack.draw(2) == 0,
            when_full: POLICIES[pack.index() % 3],
        },
        74..82 => Call::Deadline,
        82..87 => Call::Read(pack.index()),
        87 if pack.draw(4) == 0 => Call::UnsubscribeAll,
        87 => Call::Resubscribe,
        88..94 => Call::Tell(pack.index() + 1),
        94..100 => Call::Unsubscribe(pack.index()),
        100..106 => Call::Lost(pack.which(), pack.index()),
        106..110 => Call::Sleep(pack.draw(40_000)),
        110..114 => Call::Cancel(pack.index()),
        114..118 => Call::Junk(pack.which(), pack.index()),
        118..121 => Call::Pong(pack.which()),
        121..123 => Call::Backwards(pack.draw(5_000)),
        123 if pack.draw(4) == 0 => Call::StopDriving,
        123 => Call::Close { wait: pack.draw(8_000), unsubscribe: pack.draw(2) == 0 },
        124 => Call::Probe,
        125 => Call::Reconnect,
        _ => Call::Open,
    }
}

/// A connection as its server sees it.
struct Server {
    epoch: Epoch,
    /// What it has received, and not answered.
    unanswered: Vec<Value>,
    subscribes: Vec<Value>,
}

struct World {
    session: Session,
    now: Instant,
    servers: Vec<Server>,
    ledger: Ledger,
    numbers: u64,
}

impl World {
    fn new(seed: u8, window: usize) -> Self {
        #[allow(clippy::disallowed_methods, reason = "the one base of the virtual clock")]
        let now = Instant::now();
        let mut config = Config::default();
        (config.outbox, config.changes, config.notices) = (LIMIT, ROOM, LIMIT);
        (config.max_requests, config.max_subscriptions) = (MAX, MAX);
        config.replay_window = window;
        Self {
            session: Session::new(config, Seed::from([seed; 32]), now),
            now,
            servers: Vec::new(),
            ledger: Ledger::default(),
            numbers: 0,
        }
    }

    fn server(&self, which: &Which) -> Option<Nth> {
        match which {
            Which::Current => self.servers.len().checked_sub(1),
            Which::Any(nth) => nth.checked_rem(self.servers.len()),
        }
    }

    fn next_number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn call(&mut self, call: &Call) {
        match call {
            Call::Open => self.session.open(self.now),
            Call::Request { action, own_id, timeout } => self.request(*action, *own_id, *timeout),
            Call::Cancel(nth) => {
                let keys = self.ledger.alive_requests();
                let Some(nth) = nth.checked_rem(keys.len()) else { return };
                let before = self.session.stats().requests;
                self.session.cancel(keys[nth]);
                let alive = self.session.stats().requests < before;
                self.ledger.cancelled(keys[nth], alive);
            }
            Call::Subscribe { pk, feed, include_create, when_full } => {
                self.subscribe(*pk, *feed, *include_create, *when_full);
            }
            Call::UnsubscribeAll => {
                let session = &self.session;
                let expected = self.ledger.all_unwanted(|key| session.ended(key).is_some());
                assert_eq!(self.session.unsubscribe_all(self.now), expected);
            }
            Call::Resubscribe => {
                self.session.resubscribe(self.now);
                if let Some(nth) = self.servers.len().checked_sub(1) {
                    self.ledger.wanted_again(nth);
                }
            }
            Call::Unsubscribe(nth) => {
                let keys = self.ledger.subscriptions();
                let Some(nth) = nth.checked_rem(keys.len()) else { return };
                self.session.unsubscribe(keys[nth], self.now);
                self.ledger.unwanted(keys[nth]);
            }
            Call::Probe => self.session.probe(self.now),
            Call::Reconnect => self.session.reconnect(CloseFrame::normal(), self.now),
            Call::Close { wait, unsubscribe } => {
                let close = Close::default().wait(Duration::from_millis(*wait));
                self.close(if *unsubscribe { close.unsubscribe() } else { close });
            }
            Call::StopDriving => {
                self.session.stop_driving(self.now);
                self.ledger.closed();
            }
            Call::Transmit(count) => _ = (0..*count).take_while(|_| self.transmit()).count(),
            Call::Tell(count) => _ = (0..*count).take_while(|_| self.tell()).count(),
            Call::Read(nth) => {
                let keys = self.ledger.subscriptions();
                let Some(nth) = nth.checked_rem(keys.len()) else { return };
                if let Some(polled) = self.session.poll_change(keys[nth]) {
                    self.ledger.read(keys[nth], &polled);
                }
            }
            Call::Opened(which) => {
                self.about(which, Session::handle_opened);
            }
            Call::Lost(which, why) => {
                let why = loss(*why);
                self.about(which, |session, epoch, now| session.handle_lost(epoch, why, now));
            }
            Call::Pong(which) => {
                self.about(which, Session::handle_pong);
            }
            Call::Junk(which, junk) => {
                let junk = JUNK[junk % JUNK.len()];
                self.about(which, |session, epoch, now| {
                    session.handle_text(epoch, junk, now);
                    session.handle_binary(epoch, junk.as_bytes(), now);
                });
            }
            Call::Answer(which, nth, status) => self.answer(which, *nth, *status),
            Call::Events { which, nth, kind, count } => {
                (0..*count).for_each(|_| self.event(which, *nth, *kind));
            }
            Call::Sleep(time) => {
                self.now += Duration::from_millis(*time);
                self.session.handle_timeout(self.now);
            }
            Call::Deadline => {
                self.now = self.session.poll_timeout().map_or(self.now, |next| next.max(self.now));
                self.session.handle_timeout(self.now);
            }
            Call::Backwards(time) => {
                let earlier = self.now.checked_sub(Duration::from_millis(*time));
                self.session.handle_timeout(earlier.unwrap_or(self.now));
            }
        }
        if matches!(self.session.state(), State::Closed(_)) {
            self.ledger.closed();
        }
        self.check();
    }

    /// Something of one connection; if that one is over, nothing may come of it.
    fn about(&mut self, which: &Which, happens: impl FnOnce(&mut Session, Epoch, Instant)) {
        let Some(nth) = self.server(which) else { return };
        let epoch = self.servers[nth].epoch;
        let over = self.session.epoch() != Some(epoch);
        let before = (self.session.stats(), self.session.state().clone());
        happens(&mut self.session, epoch, self.now);
        if over {
            assert_eq!((self.session.stats(), self.session.state().clone()), before);
        }
    }

    fn request(&mut self, action: usize, own_id: bool, timeout: Option<u64>) {
        let number = self.next_number();
        let mut request = Request::new("tasks", ACTIONS[action % 4]).arg("number", number);
        if own_id {
            request = request.id(i32::from(number % 5 == 0));
        }
        if let Some(timeout) = timeout {
            request = request.timeout(Duration::from_millis(timeout));
        }
        if let Ok(key) = self.session.request(request, self.now) {
            self.ledger.asked(key, number, matches!(ACTIONS[action % 4], "list" | "retrieve"));
        }
    }

    fn subscribe(&mut self, pk: u64, feed: bool, include_create: bool, when_full: WhenFull) {
        let subscribe = if feed {
            Subscribe::new("tasks", "subscribe_feed").arg("pk", pk).without_ack()
        } else {
            Subscribe::instance("tasks", pk)
        };
        let subscribe = if include_create { subscribe.include_create() } else { subscribe };
        if let Ok(key) = self.session.subscribe(subscribe.when_full(when_full), self.now) {
            self.ledger.wanted(key, include_create, when_full);
        }
    }

    fn close(&mut self, close: Close) {
        self.session.close(close, self.now);
        self.ledger.closed();
    }

    fn transmit(&mut self) -> bool {
        let Some(transmit) = self.session.poll_transmit() else { return false };
        if let Transmit::Dial(epoch) = transmit {
            self.servers.push(Server { epoch, unanswered: Vec::new(), subscribes: Vec::new() });
        }
        let nth = self.servers.len() - 1;
        self.ledger.transmitted(nth, &transmit);
        if let Transmit::Text(epoch, text) = &transmit {
            let server = &mut self.servers[nth];
            assert_eq!(*epoch, server.epoch);
            let frame = ledger::frame(text);
            if action_of(&frame).starts_with("subscribe") {
                server.subscribes.push(frame.clone());
            }
            server.unanswered.push(frame);
        }
        true
    }

    fn tell(&mut self) -> bool {
        let event = self.session.poll_event();
        if let Some(event) = &event {
            self.ledger.told(event);
        }
        event.is_some()
    }

    fn answer(&mut self, which: &Which, nth: usize, status: u16) {
        let Some(at) = self.server(which) else { return };
        let unanswered = &mut self.servers[at].unanswered;
        let Some(nth) = nth.checked_rem(unanswered.len()) else { return };
        let frame = unanswered.remove(nth);
        if status >= 400 {
            self.ledger.refused(at, &frame);
        }
        let errors = if status < 400 { json!([]) } else { json!(["no"]) };
        let payload = json!({
            "errors": errors, "data": null, "action": frame["payload"]["action"],
            "response_status": status, "request_id": frame["payload"]["request_id"],
        });
        let text = json!({"stream": "tasks", "payload": payload}).to_string();
        self.about(&Which::Any(at), |session, epoch, now| session.handle_text(epoch, &text, now));
    }

    fn event(&mut self, which: &Which, nth: usize, kind: usize) {
        let Some(at) = self.server(which) else { return };
        let subscribes = &self.servers[at].subscribes;
        let Some(nth) = nth.checked_rem(subscribes.len()) else { return };
        let id = subscribes[nth]["payload"]["request_id"].clone();
        let number = self.next_number();
        let mark = json!({"connection": at, "number": number, "pk": number % 3});
        let mut payload = json!({"action": EVENTS[kind % 5], "request_id": id, "data": mark});
        if EVENTS[kind % 5] == "failed" {
            payload["response_status"] = json!(404);
            payload["errors"] = json!([mark]);
        }
        let text = json!({"stream": "tasks", "payload": payload}).to_string();
        self.about(&Which::Any(at), |session, epoch, now| session.handle_text(epoch, &text, now));
    }

    fn check(&mut self) {
        let stats = self.session.stats();
        assert!(stats.requests <= MAX && stats.waiting_requests <= stats.requests);
        assert!(stats.subscriptions <= MAX);
        let settled = stats.requests_answered
            + stats.requests_refused
            + stats.requests_timed_out
            + stats.requests_lost
            + stats.requests_closed
            + stats.requests_cancelled;
        assert_eq!(settled + stats.requests as u64, stats.requests_made);
        if let Some(nth) = self.servers.len().checked_sub(1) {
            for key in self.ledger.subscriptions() {
                if self.session.is_acknowledged(key)
                    && matches!(self.session.state(), State::Connected)
                {
                    self.ledger.acknowledged(key, nth);
                }
            }
        }
    }

    /// Closes, and reads all that is left.
    fn end(&mut self) {
        self.close(Close::default());
        for _ in 0..3 {
            while self.transmit() {}
            self.now += Duration::from_secs(10);
            self.session.handle_timeout(self.now);
        }
        assert!(self.session.is_finished());
        assert_eq!(self.session.poll_timeout(), None);
        assert_eq!(self.session.poll_transmit(), None);
        self.drain();
        self.ledger.settled();
        let stats = self.session.stats();
        assert_eq!((stats.unread_notices, stats.unread_events), (0, 0));
        assert_eq!((stats.unread_changes, stats.unread_changes_bytes), (0, 0));
        assert_eq!((stats.waiting_requests, stats.waiting_bytes), (0, 0));
        assert_eq!(self.session.poll_event(), None);
    }

    fn drain(&mut self) {
        let mut notices = 0;
        let mut events = 0;
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::Notice(_) => notices += 1,
                _ => events += 1,
            }
            self.ledger.told(&event);
        }
        assert!(notices <= LIMIT.count + 1, "{notices} notices");
        assert!(events <= 8 * MAX, "{events} events");
        for key in self.ledger.subscriptions() {
            let mut changes = 0;
            while let Some(polled) = self.session.poll_change(key) {
                self.ledger.read(key, &polled);
                changes += 1;
            }
            // A gap before each and behind the last, what gave way, and the end.
            assert!(changes <= 2 * ROOM.count + 3, "{changes} changes");
        }
    }
}

const JUNK: [&str; 9] = [
    "",
    "{",
    "[]",
    "NaN",
    "{}",
    r#"{"stream":"tasks","payload":{"type":"tick","n":NaN}}"#,
    r#"{"stream":"tasks","payload":{"action":"update","request_id":0,"data":1}}"#,
    r#"{"stream":"memos","payload":{"action":"list","request_id":1,"response_status":200}}"#,
    r#"{"stream":"tasks","payload":{"errors":["no"],"response_status":403,"request_id":null}}"#,
];

fn loss(nth: usize) -> Lost {
    let closed = |code| Lost::Closed(CloseFrame { code, reason: String::new() });
    match nth {
        0 => closed(1012),
        1 => closed(1013),
        2 => closed(4401),
        3 => Lost::Refused { status: 404, retry_after: None },
        _ => Lost::Dropped,
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 10_000,
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_calls_in_any_order_keep_the_promises(
        calls in prop::collection::vec(any::<u64>().prop_map(call), 1..100),
        seed in any::<u8>(),
        window in 1..4_usize,
    ) {
        let mut world = World::new(seed, window);
        for call in &calls {
            world.call(call);
        }
        world.end();
    }
}
