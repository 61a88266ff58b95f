//! A session with the server of the recording, without a socket and with a virtual clock.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dcrf_proto::{
    CloseOptions, Config, ConnectionError, ConnectionState, Dialect, Epoch, Frame, RejectReason,
    Request, Seed, Session, Subscribe, SubscriptionKey, Transmit,
};
use serde_json::{Value, json};

use crate::recording::{Connection, Names};

/// Each method is a step of a usage. Calls are sent by `settle`, or when the connection changes.
pub(crate) struct Ours {
    session: Session,
    now: Instant,
    /// The epoch of the latest dial.
    epoch: Option<Epoch>,
    subscriptions: Vec<SubscriptionKey>,
    connections: Vec<Connection>,
    names: Names,
    /// Actions that get no reply.
    unanswered: Vec<&'static str>,
    /// Actions that get an error reply, with its status.
    errors: Vec<(&'static str, u16)>,
}

// The connection.
impl Ours {
    pub(crate) fn idle() -> Self {
        Self::idle_with(|_| ())
    }

    pub(crate) fn idle_with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        change(&mut config);
        let now = Instant::now();
        Self {
            session: Session::new(config, Seed::from([7; 32]), now),
            now,
            epoch: None,
            subscriptions: Vec::new(),
            connections: Vec::new(),
            names: Names::default(),
            unanswered: Vec::new(),
            errors: Vec::new(),
        }
    }

    pub(crate) fn connected() -> Self {
        Self::idle().open()
    }

    pub(crate) fn connected_with(change: impl FnOnce(&mut Config)) -> Self {
        Self::idle_with(change).open()
    }

    /// Opens the session, and accepts its connection.
    pub(crate) fn open(mut self) -> Self {
        self.session.open(self.now);
        self.accept()
    }

    fn accept(mut self) -> Self {
        self = self.settle();
        self.session.handle_connected(self.epoch.expect("the session has dialled"), self.now);
        assert_eq!(*self.session.state(), ConnectionState::Connected);
        self.connections.push(Connection::default());
        self.settle()
    }

    /// Drops the connection. It has lasted long enough to reset the backoff (L3) and to avoid a quarantine (L12),
    /// which dcrf-client does not have.
    pub(crate) fn go_offline(mut self) -> Self {
        self = self.settle();
        self.now += Duration::from_secs(15);
        self.session.handle_timeout(self.now);
        self = self.settle();
        let epoch = self.epoch.expect("the session has dialled");
        self.session.handle_disconnected(epoch, ConnectionError::Dropped, self.now);
        self.epoch = None;
        self
    }

    /// Waits for the next attempt, and accepts it.
    pub(crate) fn go_online(mut self) -> Self {
        while self.epoch.is_none() {
            let next = self.session.poll_timeout().expect("another attempt is planned");
            self.now = self.now.max(next);
            self.session.handle_timeout(self.now);
            self = self.settle();
        }
        self.accept()
    }

    pub(crate) fn reconnect(self) -> Self {
        self.go_offline().go_online()
    }

    /// Asserts that the session is closed and does not dial again.
    pub(crate) fn assert_stays_closed(mut self) -> Self {
        self = self.settle();
        assert!(matches!(self.session.state(), ConnectionState::Closed(_)));
        assert_eq!(self.session.poll_timeout(), None);
        self
    }
}

// Calls.
impl Ours {
    pub(crate) fn request(mut self, request: Request) -> Self {
        self.session.request(request, self.now).expect("the request is accepted");
        self
    }

    pub(crate) fn send(mut self, message: Request) -> Self {
        self.session.send(message, self.now).expect("the message is accepted");
        self
    }

    pub(crate) fn send_now(mut self, message: Request) -> Self {
        self.session.send_now(message, self.now).expect("the message is accepted");
        self
    }

    pub(crate) fn assert_send_now_is_rejected(mut self, message: Request) -> Self {
        let rejected =
            self.session.send_now(message, self.now).expect_err("there is no connection");
        assert_eq!(rejected.reason, RejectReason::NotConnected);
        self
    }

    pub(crate) fn with_dialect(dialect: impl Dialect) -> Self {
        Self::connected_with(|config| config.dialect = Some(Arc::new(dialect)))
    }

    pub(crate) fn subscribe(mut self, subscribe: Subscribe) -> Self {
        let key = self.session.subscribe(subscribe, self.now).expect("the subscribe is accepted");
        self.subscriptions.push(key);
        self
    }

    /// Cancels the subscription of the n-th `subscribe`.
    pub(crate) fn cancel(mut self, n: usize) -> Self {
        self.session.unsubscribe(self.subscriptions[n], self.now);
        self
    }

    pub(crate) fn unsubscribe_all(mut self, count: usize) -> Self {
        assert_eq!(self.session.unsubscribe_all(self.now), count);
        self
    }

    pub(crate) fn resubscribe(mut self) -> Self {
        self.session.resubscribe(self.now);
        self
    }

    pub(crate) fn close(mut self) -> Self {
        self.session.close(CloseOptions::default(), self.now);
        self
    }
}

// The server.
impl Ours {
    pub(crate) fn leave_unanswered(mut self, action: &'static str) -> Self {
        self.unanswered.push(action);
        self
    }

    pub(crate) fn reply_with_error(mut self, action: &'static str, status: u16) -> Self {
        self.errors.push((action, status));
        self
    }

    pub(crate) fn receive(mut self, frame: &Value) -> Self {
        self = self.settle();
        let epoch = self.epoch.expect("the session has dialled");
        self.session.handle_text(epoch, &frame.to_string(), self.now);
        self
    }

    fn reply(&self, frame: &Value) -> Option<Value> {
        let (stream, payload) = (frame.get("stream")?, frame.get("payload")?);
        let action = payload.get("action")?.as_str()?;
        if self.unanswered.contains(&action) {
            return None;
        }
        let build = |status: u16, data: Value, errors: Value| {
            json!({"stream": stream, "payload": {
                "errors": errors, "data": data, "action": action,
                "response_status": status, "request_id": payload["request_id"],
            }})
        };
        if let Some((_, status)) = self.errors.iter().find(|(failing, _)| *failing == action) {
            return Some(build(*status, Value::Null, json!(["no"])));
        }
        let person = || json!({"pk": payload["pk"], "name": "Alex"});
        let (status, data) = match action {
            "list" => (200, json!([person()])),
            "retrieve" | "update" | "patch" | "greet" => (200, person()),
            "create" => (201, person()),
            "subscribe_instance" => (201, Value::Null),
            "delete" | "unsubscribe_instance" => (204, Value::Null),
            _ => (405, Value::Null),
        };
        let errors = if status == 405 { json!(["not allowed"]) } else { json!([]) };
        Some(build(status, data, errors))
    }
}

// The exchange of frames.
impl Ours {
    /// Sends all pending frames, and passes the server's replies to the session.
    pub(crate) fn settle(mut self) -> Self {
        while let Some(transmit) = self.session.poll_transmit() {
            match transmit {
                Transmit::Dial(epoch) => self.epoch = Some(epoch),
                Transmit::Frame(epoch, Frame::Text(text)) => {
                    let frame = self.names.replace_in(&text);
                    self.connection().sent.push(frame);
                    let reply =
                        serde_json::from_str(&text).ok().and_then(|frame| self.reply(&frame));
                    if let Some(reply) = reply {
                        self.session.handle_text(epoch, &reply.to_string(), self.now);
                    }
                }
                Transmit::Frame(epoch, Frame::Ping) => self.session.handle_pong(epoch, self.now),
                Transmit::Frame(epoch, Frame::Close(frame)) => {
                    self.connection().close = Some(frame.code);
                    self.session.handle_disconnected(
                        epoch,
                        ConnectionError::Closed(frame),
                        self.now,
                    );
                }
                other => panic!("{other:?}"),
            }
        }
        while self.session.poll_event().is_some() {}
        self
    }

    fn connection(&mut self) -> &mut Connection {
        self.connections.last_mut().expect("there is a connection")
    }

    pub(crate) fn connections(self) -> Vec<Connection> {
        self.settle().connections
    }
}
