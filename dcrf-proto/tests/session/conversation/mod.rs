//! A session without a network: the test plays the server and advances a virtual clock, and reads what the session
//! sends and reports.

#![allow(dead_code, reason = "each test binary uses a part of this module")]

use std::time::{Duration, Instant};

use dcrf_proto::{
    Change, ClientEvent, CloseFrame, CloseOptions, Config, ConnectionError, ConnectionState, Epoch,
    Event, Frame, Json, Request, RequestError, RequestKey, Seed, Session, Subscribe,
    SubscriptionError, SubscriptionKey, Transmit, Unhandled, UnsubscribeError,
};
use serde_json::{Value, json};

use crate::server_frames;

pub(crate) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) const fn millis(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// A loss after which only the backoff delays the next attempt.
pub(crate) fn dropped() -> ConnectionError {
    ConnectionError::Dropped
}

pub(crate) fn closed(code: u16) -> ConnectionError {
    ConnectionError::Closed(CloseFrame { code, reason: String::new() })
}

pub(crate) fn http(status: u16) -> ConnectionError {
    ConnectionError::Http { status, retry_after: None }
}

pub(crate) struct Conversation {
    pub(crate) session: Session,
    pub(crate) now: Instant,
    /// The epoch of the last dial.
    epoch: Option<Epoch>,
    /// Transmits that the test has not read yet.
    unread_transmits: Vec<Transmit>,
    events: Vec<Event>,
    client_events: Vec<ClientEvent>,
}

// The connection
impl Conversation {
    /// A session that is not opened yet.
    pub(crate) fn idle(config: Config) -> Self {
        #[allow(clippy::disallowed_methods, reason = "the one base of the virtual clock")]
        let now = Instant::now();
        Self {
            session: Session::new(config, Seed::from([7; 32]), now),
            now,
            epoch: None,
            unread_transmits: Vec::new(),
            events: Vec::new(),
            client_events: Vec::new(),
        }
    }

    /// A session that is connecting.
    pub(crate) fn connecting(config: Config) -> Self {
        let mut conversation = Self::idle(config);
        conversation.session.open(conversation.now);
        assert_eq!(conversation.dials(), 1);
        conversation
    }

    /// A session that is connected.
    pub(crate) fn connected() -> Self {
        Self::connected_with(|_| ())
    }

    /// A session that is not opened yet, with changed options. The quarantine (L12) is off unless `change` turns it
    /// on, so short connections have no effect.
    pub(crate) fn idle_with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        config.quarantine_window = Duration::ZERO;
        change(&mut config);
        Self::idle(config)
    }

    /// A session that is connected, with changed options.
    pub(crate) fn connected_with(change: impl FnOnce(&mut Config)) -> Self {
        let mut conversation = Self::idle_with(change);
        conversation.session.open(conversation.now);
        assert_eq!(conversation.dials(), 1);
        conversation.connect();
        conversation
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch.expect("the session has dialled")
    }

    /// The dial succeeds.
    pub(crate) fn connect(&mut self) {
        self.session.handle_connected(self.epoch(), self.now);
        assert_eq!(*self.session.state(), ConnectionState::Connected);
    }

    /// The connection is lost, or the dial fails.
    pub(crate) fn disconnect(&mut self, error: ConnectionError) {
        self.session.handle_disconnected(self.epoch(), error, self.now);
    }

    /// Advances the clock until the session dials, and returns how long that took.
    pub(crate) fn wait_for_dial(&mut self) -> Duration {
        let start = self.now;
        while self.dials() == 0 {
            let next = self.session.poll_timeout().expect("another attempt is planned");
            self.now = self.now.max(next);
            self.session.handle_timeout(self.now);
        }
        self.now - start
    }

    /// Advances the clock until the session dials, and lets the dial succeed.
    pub(crate) fn wait_and_connect(&mut self) {
        self.wait_for_dial();
        self.connect();
    }

    /// Loses the connection and establishes another one.
    pub(crate) fn reconnect(&mut self) {
        self.disconnect(dropped());
        self.wait_and_connect();
    }
}

// The clock, and what the session transmits
impl Conversation {
    /// Advances the clock like an event loop, which handles each timeout when it is due.
    pub(crate) fn advance(&mut self, time: Duration) {
        self.flush();
        let end = self.now + time;
        while let Some(next) = self.session.poll_timeout().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.session.handle_timeout(self.now);
            self.flush();
        }
        self.now = end;
        self.session.handle_timeout(end);
        self.flush();
    }

    /// Hands everything that is ready to the socket.
    pub(crate) fn flush(&mut self) {
        while let Some(transmit) = self.session.poll_transmit() {
            if let Transmit::Dial(epoch) = transmit {
                self.epoch = Some(epoch);
            }
            self.unread_transmits.push(transmit);
        }
    }

    /// Takes the new transmits.
    pub(crate) fn transmits(&mut self) -> Vec<Transmit> {
        self.flush();
        std::mem::take(&mut self.unread_transmits)
    }

    /// Takes the new transmits that match, and keeps the others.
    fn take(&mut self, is_match: impl Fn(&Transmit) -> bool) -> Vec<Transmit> {
        let (matching, others) = self.transmits().into_iter().partition(is_match);
        self.unread_transmits = others;
        matching
    }

    /// Takes the new dials and returns their number.
    pub(crate) fn dials(&mut self) -> usize {
        self.take(|transmit| matches!(transmit, Transmit::Dial(_))).len()
    }

    /// Takes the new pings and returns their number.
    pub(crate) fn pings(&mut self) -> usize {
        self.take(|transmit| matches!(transmit, Transmit::Frame(_, Frame::Ping))).len()
    }

    /// Takes the new text messages.
    pub(crate) fn sent_texts(&mut self) -> Vec<String> {
        let texts = self.take(|transmit| matches!(transmit, Transmit::Frame(_, Frame::Text(_))));
        let text = |transmit| match transmit {
            Transmit::Frame(_, Frame::Text(text)) => text,
            other => unreachable!("{other:?} is not text"),
        };
        texts.into_iter().map(text).collect()
    }

    /// Takes the new text messages, parsed.
    pub(crate) fn sent(&mut self) -> Vec<Value> {
        let parse = |text: String| serde_json::from_str(&text).expect("a text frame is JSON");
        self.sent_texts().into_iter().map(parse).collect()
    }

    /// Takes the only new text message, parsed.
    pub(crate) fn sent_one(&mut self) -> Value {
        let mut frames = self.sent();
        assert_eq!(frames.len(), 1, "{frames:?}");
        frames.remove(0)
    }

    /// Takes the new text messages and returns their actions.
    pub(crate) fn sent_actions(&mut self) -> Vec<String> {
        let action = |frame: Value| frame["payload"]["action"].as_str().unwrap_or("").to_owned();
        self.sent().into_iter().map(action).collect()
    }
}

// The server
impl Conversation {
    pub(crate) fn receive(&mut self, frame: &Value) {
        self.receive_text(&frame.to_string());
    }

    pub(crate) fn receive_text(&mut self, text: &str) {
        self.session.handle_text(self.epoch(), text, self.now);
    }

    /// Another stream shows that the server is alive (L15).
    pub(crate) fn tick(&mut self) {
        self.receive_text(r#"{"stream": "news", "payload": {"type": "tick"}}"#);
    }

    /// Lets time pass while the server is alive.
    pub(crate) fn advance_alive(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.advance(secs(20).min(end - self.now));
            self.tick();
        }
    }

    /// Replies to `frame` with status 200.
    pub(crate) fn reply(&mut self, frame: &Value, data: &Value) {
        self.receive(&server_frames::reply(frame, 200, data));
    }

    /// Replies to `frame` with an error.
    pub(crate) fn reply_error(&mut self, frame: &Value, status: u16) {
        self.receive(&server_frames::reply(frame, status, &Value::Null));
    }

    /// Replies to `frame` with its action.
    pub(crate) fn reply_with(&mut self, frame: &Value, status: u16, errors: &Value, data: &Value) {
        self.reply_as(frame, server_frames::action_of(frame), status, errors, data);
    }

    /// Sends an event of the subscription that `frame` started.
    pub(crate) fn event(&mut self, frame: &Value, action: &str, data: &Value) {
        self.receive(&server_frames::event(frame, action, data));
    }

    /// Sends a frame with the stream and request id of `frame`, and any action.
    pub(crate) fn reply_as(
        &mut self,
        frame: &Value,
        action: &str,
        status: u16,
        errors: &Value,
        data: &Value,
    ) {
        self.receive(&server_frames::frame(frame, action, status, errors, data));
    }
}

// The caller
impl Conversation {
    pub(crate) fn request(&mut self, request: Request) -> RequestKey {
        self.session.request(request, self.now).expect("the request is accepted")
    }

    /// Makes a request, and returns it with the frame that was sent.
    pub(crate) fn send_request(&mut self, request: Request) -> (RequestKey, Value) {
        let key = self.request(request);
        (key, self.sent_one())
    }

    pub(crate) fn subscribe(&mut self, subscribe: Subscribe) -> SubscriptionKey {
        self.session.subscribe(subscribe, self.now).expect("the subscription is accepted")
    }

    /// Subscribes and acknowledges, and returns the subscription with the frame that was sent.
    pub(crate) fn subscribe_acked(&mut self, subscribe: Subscribe) -> (SubscriptionKey, Value) {
        let key = self.subscribe(subscribe);
        let frame = self.sent_one();
        self.reply_with(&frame, 201, &json!([]), &Value::Null);
        assert!(self.session.is_acknowledged(key));
        (key, frame)
    }

    pub(crate) fn unsubscribe(&mut self, key: SubscriptionKey) {
        self.session.unsubscribe(key, self.now);
    }

    pub(crate) fn unsubscribe_all(&mut self) -> usize {
        self.session.unsubscribe_all(self.now)
    }

    pub(crate) fn resubscribe(&mut self) {
        self.session.resubscribe(self.now);
    }

    pub(crate) fn close(&mut self, close: CloseOptions) {
        self.session.close(close, self.now);
    }
}

// What the session reports
impl Conversation {
    fn poll_events(&mut self) {
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::Client(event) => self.client_events.push(event),
                event => self.events.push(event),
            }
        }
    }

    /// Takes the new events, except client events.
    pub(crate) fn events(&mut self) -> Vec<Event> {
        self.poll_events();
        std::mem::take(&mut self.events)
    }

    /// Takes the new client events.
    pub(crate) fn client_events(&mut self) -> Vec<ClientEvent> {
        self.poll_events();
        std::mem::take(&mut self.client_events)
    }

    /// Takes the new client events and returns the states.
    pub(crate) fn states(&mut self) -> Vec<ConnectionState> {
        let state = |event| match event {
            ClientEvent::State(state) => Some(state),
            _ => None,
        };
        self.client_events().into_iter().filter_map(state).collect()
    }

    /// Takes the new client events and returns the unhandled frames.
    pub(crate) fn unhandled(&mut self) -> Vec<Value> {
        let frame = |event| match event {
            ClientEvent::Unhandled(Unhandled { frame, .. }) => Some(value(&frame)),
            _ => None,
        };
        self.client_events().into_iter().filter_map(frame).collect()
    }

    /// Takes the new events and returns the settled requests.
    pub(crate) fn settled(&mut self) -> Vec<(RequestKey, Result<Value, RequestError>)> {
        let settled = |event| match event {
            Event::Settled { request, result } => Some((request, result.map(|json| value(&json)))),
            _ => None,
        };
        self.events().into_iter().filter_map(settled).collect()
    }

    /// Takes the new events and returns the results of unsubscribes.
    pub(crate) fn unsubscribed(&mut self) -> Vec<(SubscriptionKey, Result<(), UnsubscribeError>)> {
        let unsubscribed = |event| match event {
            Event::Unsubscribed { subscription, result } => Some((subscription, result)),
            _ => None,
        };
        self.events().into_iter().filter_map(unsubscribed).collect()
    }

    /// Takes the changes of a subscription that has not ended.
    pub(crate) fn changes(&mut self, key: SubscriptionKey) -> Vec<Change> {
        let (changes, end) = self.changes_and_end(key);
        assert_eq!(end, None);
        changes
    }

    /// Takes the error of a subscription that has ended and has no buffered changes.
    pub(crate) fn end(&mut self, key: SubscriptionKey) -> SubscriptionError {
        let (changes, end) = self.changes_and_end(key);
        assert_eq!(changes, []);
        end.expect("the subscription has ended")
    }

    /// Takes the changes of a subscription, and its error if it has ended.
    pub(crate) fn changes_and_end(
        &mut self,
        key: SubscriptionKey,
    ) -> (Vec<Change>, Option<SubscriptionError>) {
        let mut changes = Vec::new();
        while let Some(polled) = self.session.poll_change(key) {
            match polled {
                Ok(change) => changes.push(change),
                Err(error) => return (changes, Some(error)),
            }
        }
        (changes, None)
    }
}

pub(crate) fn value(json: &Json) -> Value {
    json.decode().expect("the session delivers valid JSON")
}

/// The update that a subscription delivers for `data`.
pub(crate) fn update(data: &Value) -> Change {
    Change::Update(json_of(data))
}

pub(crate) fn json_of(data: &Value) -> Json {
    Json::from_value(data).expect("a value is JSON")
}
