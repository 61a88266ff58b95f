//! Random calls in any order, checked against a model: nothing panics, everything settles exactly once, nothing unsafe is
//! sent twice, and all limits hold.

use std::time::{Duration, Instant};

use crate::calls::{ACTIONS, Call, EVENTS, JUNK, Which, call, loss};
use crate::model::{CANCEL, ConnectionIndex, Model, action_of, id_of};
use crate::server_frames;
use dcrf_proto::{
    CloseFrame, CloseOptions, Config, ConnectionState, Epoch, Event, Frame, Limit, OverflowPolicy,
    RejectReason, Request, Seed, Selector, Session, Subscribe, Transmit,
};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use serde_json::{Value, json};

const LIMIT: Limit = Limit { count: 4, bytes: 2_000 };
/// The limit of unread changes.
const CHANGES: Limit = Limit { count: 2, bytes: 300 };
const MAX: usize = 6;

/// The server's side of a connection.
struct Server {
    epoch: Epoch,
    /// The frames received without a reply.
    unanswered: Vec<Value>,
    subscribes: Vec<Value>,
}

struct Run {
    session: Session,
    now: Instant,
    servers: Vec<Server>,
    model: Model,
    numbers: u64,
}

impl Run {
    fn new(seed: u8, window: usize) -> Self {
        #[allow(clippy::disallowed_methods, reason = "the origin of the virtual clock")]
        let now = Instant::now();
        let mut config = Config::default();
        (config.outbox, config.changes) = (LIMIT, CHANGES);
        (config.events, config.replies) = (LIMIT, LIMIT);
        (config.max_requests, config.max_subscriptions) = (MAX, MAX);
        config.replay_window = window;
        Self {
            session: Session::new(config, Seed::from([seed; 32]), now),
            now,
            servers: Vec::new(),
            model: Model::default(),
            numbers: 0,
        }
    }

    fn server(&self, which: &Which) -> Option<ConnectionIndex> {
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
            Call::Cancel(nth) => self.cancel(*nth),
            Call::Stream { idempotent, cancels, timeout } => {
                self.stream(*idempotent, *cancels, *timeout);
            }
            Call::EndStream { nth, is_complete } => self.end_stream(*nth, *is_complete),
            Call::StreamReplies { nth, count } => self.print(*nth, *count),
            Call::PollReply(nth) => self.read_replies(*nth),
            Call::Send { now, timeout } => self.send(*now, *timeout),
            Call::Listen { updates_only } => self.listen(*updates_only),
            Call::Unlisten(nth) => self.unlisten(*nth),
            Call::PollListener(nth) => self.read_listener(*nth),
            Call::Subscribe { pk, feed, include_create, overflow_policy } => {
                self.subscribe(*pk, *feed, *include_create, *overflow_policy);
            }
            Call::UnsubscribeAll => self.unsubscribe_all(),
            Call::Resubscribe => self.resubscribe(),
            Call::Unsubscribe(nth) => self.unsubscribe(*nth),
            Call::Probe => self.session.probe(self.now),
            Call::Reconnect => self.session.force_reconnect(CloseFrame::normal(), self.now),
            Call::Close { wait, unsubscribe } => {
                let close = CloseOptions::default().wait(Duration::from_millis(*wait));
                self.close(if *unsubscribe { close.unsubscribe() } else { close });
            }
            Call::StopDriving => {
                self.session.stop_driving(self.now);
                self.model.closed();
            }
            Call::Transmit(count) => _ = (0..*count).take_while(|_| self.transmit()).count(),
            Call::PollEvents(count) => _ = (0..*count).take_while(|_| self.read_event()).count(),
            Call::PollChange(nth) => self.read_change(*nth),
            Call::Connected(which) => self.on_connection(which, Session::handle_connected),
            Call::Disconnected(which, why) => {
                let why = loss(*why);
                self.on_connection(which, |session, epoch, now| {
                    session.handle_disconnected(epoch, why, now);
                });
            }
            Call::Pong(which) => self.on_connection(which, Session::handle_pong),
            Call::Junk(which, junk) => self.receive_junk(which, JUNK[junk % JUNK.len()]),
            Call::Reply(which, nth, status) => self.reply(which, *nth, *status),
            Call::Events { which, nth, kind, count } => {
                (0..*count).for_each(|_| self.event(which, *nth, *kind));
            }
            Call::Advance(time) => {
                self.now += Duration::from_millis(*time);
                self.session.handle_timeout(self.now);
            }
            Call::NextTimeout => {
                self.now = self.session.poll_timeout().map_or(self.now, |next| next.max(self.now));
                self.session.handle_timeout(self.now);
            }
            Call::Backwards(time) => {
                let earlier = self.now.checked_sub(Duration::from_millis(*time));
                self.session.handle_timeout(earlier.unwrap_or(self.now));
            }
        }
        if matches!(self.session.state(), ConnectionState::Closed(_)) {
            self.model.closed();
        }
        self.check();
    }

    fn cancel(&mut self, nth: usize) {
        let Some(key) = pick(&self.model.requests(), nth) else { return };
        let before = self.session.stats().requests;
        self.session.cancel(key);
        let was_pending = self.session.stats().requests < before;
        self.model.cancelled(key, was_pending);
    }

    fn unlisten(&mut self, nth: usize) {
        let Some(key) = pick(&self.model.listeners.keys(), nth) else { return };
        self.session.unlisten(key);
        self.model.listeners.removed(key);
    }

    fn unsubscribe(&mut self, nth: usize) {
        let Some(key) = pick(&self.model.subscriptions(), nth) else { return };
        self.session.unsubscribe(key, self.now);
        self.model.unsubscribed(key);
    }

    fn unsubscribe_all(&mut self) {
        let session = &self.session;
        let expected = self.model.all_unsubscribed(|key| session.ended(key).is_some());
        let ended = self.session.unsubscribe_all(self.now);
        assert_eq!(ended, expected, "S12: `unsubscribe_all` returned a wrong number");
    }

    fn resubscribe(&mut self) {
        self.session.resubscribe(self.now);
        if let Some(nth) = self.servers.len().checked_sub(1) {
            self.model.resubscribed(nth);
        }
    }

    fn read_change(&mut self, nth: usize) {
        let Some(key) = pick(&self.model.subscriptions(), nth) else { return };
        if let Some(polled) = self.session.poll_change(key) {
            self.model.change_polled(key, &polled);
        }
    }

    fn receive_junk(&mut self, which: &Which, junk: &str) {
        self.receive(which, junk);
        self.on_connection(which, |session, epoch, now| {
            session.handle_binary(epoch, junk.as_bytes(), now);
        });
    }

    /// Passes input of one connection to the session. If that connection is closed, nothing may change.
    fn on_connection(&mut self, which: &Which, input: impl FnOnce(&mut Session, Epoch, Instant)) {
        let Some(nth) = self.server(which) else { return };
        let epoch = self.servers[nth].epoch;
        let is_closed = self.session.epoch() != Some(epoch);
        let before = (self.session.stats(), self.session.state().clone());
        input(&mut self.session, epoch, self.now);
        if is_closed {
            let after = (self.session.stats(), self.session.state().clone());
            assert_eq!(after, before, "input of a closed connection changed the session");
        }
    }

    /// Receives a text frame. Returns whether the session accepted it.
    fn receive(&mut self, which: &Which, text: &str) -> bool {
        let taken = |stats: dcrf_proto::Stats| stats.received - stats.malformed;
        let before = taken(self.session.stats());
        self.on_connection(which, |session, epoch, now| session.handle_text(epoch, text, now));
        let is_taken = taken(self.session.stats()) > before;
        if is_taken {
            self.model.listeners.frame_received(text);
        }
        is_taken
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
            self.model.request_made(
                key,
                number,
                matches!(ACTIONS[action % 4], "list" | "retrieve"),
            );
        }
    }

    fn stream(&mut self, idempotent: bool, cancels: bool, timeout: Option<u64>) {
        let number = self.next_number();
        let mut request = Request::new("tasks", "print").arg("number", number);
        request = request.idempotent(idempotent);
        if cancels {
            request = request.cancel_action(CANCEL);
        }
        if let Some(timeout) = timeout {
            request = request.timeout(Duration::from_millis(timeout));
        }
        if let Ok(key) = self.session.stream(request, self.now) {
            self.model.stream_made(key, number, idempotent);
        }
    }

    fn end_stream(&mut self, nth: usize, is_complete: bool) {
        let Some(key) = pick(&self.model.streams.keys(), nth) else { return };
        if is_complete {
            self.session.finish_reply_stream(key);
        } else {
            self.session.cancel_reply_stream(key);
        }
        self.model.streams.ended(key);
    }

    fn read_replies(&mut self, nth: usize) {
        let Some(key) = pick(&self.model.streams.keys(), nth) else { return };
        if let Some(polled) = self.session.poll_reply(key) {
            self.model.streams.reply_polled(key, &polled);
        }
    }

    fn read_listener(&mut self, nth: usize) {
        let Some(key) = pick(&self.model.listeners.keys(), nth) else { return };
        if let Some(event) = self.session.poll_listener(key) {
            self.model.listeners.event_polled(key, &event);
        }
    }

    fn send(&mut self, now: bool, timeout: Option<u64>) {
        let number = self.next_number();
        let mut message = Request::new("tasks", "said").arg("number", number);
        if let Some(timeout) = timeout {
            message = message.timeout(Duration::from_millis(timeout));
        }
        let connected = matches!(self.session.state(), ConnectionState::Connected);
        let accepted = if now {
            self.session.send_now(message, self.now)
        } else {
            self.session.send(message, self.now)
        };
        match accepted {
            Ok(()) => {
                assert!(connected || !now, "R10: `send_now` was accepted without a connection");
                let only_on = now.then(|| self.servers.len() - 1);
                self.model.sends.accepted(number, only_on);
            }
            Err(rejected) => {
                let offline = rejected.reason == RejectReason::NotConnected;
                assert!(
                    !offline || (now && !connected),
                    "R10: a message was rejected as not connected"
                );
            }
        }
    }

    fn listen(&mut self, updates_only: bool) {
        let mut selector = Selector::any();
        if updates_only {
            selector = Selector::stream("tasks").contains(json!({"action": "update"}));
        }
        if let Ok(key) = self.session.listen(selector, self.now) {
            self.model.listeners.added(key, updates_only);
        }
    }

    fn subscribe(
        &mut self,
        pk: u64,
        feed: bool,
        include_create: bool,
        overflow_policy: OverflowPolicy,
    ) {
        let subscribe = if feed {
            Subscribe::new("tasks", "subscribe_feed").arg("pk", pk).without_ack()
        } else {
            Subscribe::instance("tasks", pk)
        };
        let subscribe = if include_create { subscribe.include_create() } else { subscribe };
        if let Ok(key) =
            self.session.subscribe(subscribe.overflow_policy(overflow_policy), self.now)
        {
            self.model.subscribed(key, include_create, overflow_policy);
        }
    }

    fn close(&mut self, close: CloseOptions) {
        self.session.close(close, self.now);
        self.model.closed();
    }

    fn transmit(&mut self) -> bool {
        let Some(transmit) = self.session.poll_transmit() else { return false };
        if let Transmit::Dial(epoch) = transmit {
            self.servers.push(Server { epoch, unanswered: Vec::new(), subscribes: Vec::new() });
        }
        let nth = self.servers.len() - 1;
        self.model.transmitted(nth, &transmit);
        if let Transmit::Frame(epoch, Frame::Text(text)) = &transmit {
            let server = &mut self.servers[nth];
            assert_eq!(*epoch, server.epoch, "a frame is for an earlier connection");
            let frame = crate::model::frame(text);
            if action_of(&frame).starts_with("subscribe") {
                server.subscribes.push(frame.clone());
            }
            server.unanswered.push(frame);
        }
        true
    }

    fn read_event(&mut self) -> bool {
        let event = self.session.poll_event();
        if let Some(event) = &event {
            self.model.event_polled(event);
        }
        event.is_some()
    }

    fn reply(&mut self, which: &Which, nth: usize, status: u16) {
        let Some(at) = self.server(which) else { return };
        let unanswered = &mut self.servers[at].unanswered;
        let Some(nth) = nth.checked_rem(unanswered.len()) else { return };
        // A reply stream continues until an error reply.
        let frame = match action_of(&unanswered[nth]) {
            "print" if status < 400 => unanswered[nth].clone(),
            _ => unanswered.remove(nth),
        };
        let number = self.next_number();
        if status >= 400 {
            self.model.error_reply_sent(at, &frame);
        }
        let data = json!({"connection": at, "number": number});
        let text = server_frames::reply(&frame, status, &data).to_string();
        if self.receive(&Which::Any(at), &text) && status < 400 {
            self.model.streams.reply_sent(&id_of(&frame), number);
        }
    }

    fn print(&mut self, nth: usize, count: usize) {
        let Some(server) = self.servers.last() else { return };
        let is_stream = |at: &usize| action_of(&server.unanswered[*at]) == "print";
        let streams: Vec<usize> = (0..server.unanswered.len()).filter(is_stream).collect();
        if let Some(at) = pick(&streams, nth) {
            (0..count).for_each(|_| self.reply(&Which::Current, at, 200));
        }
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
        self.receive(&Which::Any(at), &json!({"stream": "tasks", "payload": payload}).to_string());
    }

    fn check(&mut self) {
        let stats = self.session.stats();
        assert!(stats.requests <= MAX, "too many requests");
        assert!(stats.waiting_requests <= stats.requests, "more requests wait than there are");
        assert!(stats.subscriptions <= MAX, "too many subscriptions");
        assert!(stats.listeners <= MAX, "too many listeners");
        assert!(self.model.streams.active() <= MAX, "too many reply streams");
        let settled = stats.requests_replied
            + stats.requests_error_reply
            + stats.requests_reply_too_large
            + stats.requests_timed_out
            + stats.requests_connection_lost
            + stats.requests_closed
            + stats.requests_cancelled
            + stats.requests_overflowed;
        let waiting_messages = self.model.sends.unsent() - stats.unsent;
        assert_eq!(
            settled + stats.requests as u64,
            stats.requests_made + waiting_messages,
            "R5: the counters of settled and open requests don't add up"
        );
        if let Some(nth) = self.servers.len().checked_sub(1) {
            for key in self.model.subscriptions() {
                if self.session.is_acknowledged(key)
                    && matches!(self.session.state(), ConnectionState::Connected)
                {
                    self.model.acknowledged(key, nth);
                }
            }
        }
    }

    /// Closes the session and reads everything left.
    fn end(&mut self) {
        self.close(CloseOptions::default());
        for _ in 0..3 {
            while self.transmit() {}
            self.now += Duration::from_secs(10);
            self.session.handle_timeout(self.now);
        }
        assert!(self.session.is_finished(), "the close did not finish");
        assert_eq!(self.session.poll_timeout(), None, "a timer is left after the close");
        assert_eq!(self.session.poll_transmit(), None, "a transmit is left after the close");
        self.drain();
        self.model.assert_all_ended();
        let stats = self.session.stats();
        assert_eq!((stats.unread_events, stats.unpolled_events), (0, 0), "unread events");
        assert_eq!((stats.unread_changes, stats.unread_changes_bytes), (0, 0), "unread changes");
        assert_eq!((stats.waiting_requests, stats.waiting_bytes), (0, 0), "waiting requests");
        assert_eq!(stats.unsent, self.model.sends.unsent(), "R10: unsent messages are miscounted");
        assert_eq!(self.session.poll_event(), None, "an event is left after the close");
    }

    fn drain(&mut self) {
        let mut client_events = 0;
        let mut events = 0;
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::Client(_) => client_events += 1,
                _ => events += 1,
            }
            self.model.event_polled(&event);
        }
        assert!(client_events <= LIMIT.count + 1, "{client_events} client events exceed the limit");
        assert!(events <= 8 * MAX, "{events} events were waiting");
        for key in self.model.subscriptions() {
            let mut changes = 0;
            while let Some(polled) = self.session.poll_change(key) {
                self.model.change_polled(key, &polled);
                changes += 1;
            }
            // A gap before each change and after the last, a count of dropped changes, and the end.
            assert!(changes <= 2 * CHANGES.count + 3, "{changes} changes exceed the limit");
        }
        for key in self.model.streams.keys() {
            let mut replies = 0;
            while let Some(polled) = self.session.poll_reply(key) {
                self.model.streams.reply_polled(key, &polled);
                replies += 1;
            }
            assert!(replies <= LIMIT.count + 2, "{replies} replies exceed the limit");
        }
        for key in self.model.listeners.keys() {
            let mut frames = 0;
            while let Some(event) = self.session.poll_listener(key) {
                self.model.listeners.event_polled(key, &event);
                frames += 1;
            }
            assert!(frames <= LIMIT.count + 1, "{frames} frames exceed the limit");
        }
    }
}

fn pick<T: Copy>(keys: &[T], nth: usize) -> Option<T> {
    nth.checked_rem(keys.len()).map(|nth| keys[nth])
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 10_000,
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        ..ProptestConfig::default()
    })]

    #[test]
    fn random_calls_keep_the_invariants(
        calls in prop::collection::vec(any::<u64>().prop_map(call), 1..100),
        seed in any::<u8>(),
        window in 1..4_usize,
    ) {
        let mut run = Run::new(seed, window);
        if seed % 2 == 0 {
            // Otherwise most runs end before they connect.
            for call in [Call::Open, Call::Transmit(1), Call::Connected(Which::Current)] {
                run.call(&call);
            }
        }
        for call in &calls {
            run.call(call);
        }
        run.end();
    }
}
