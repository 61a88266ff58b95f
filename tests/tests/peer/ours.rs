//! A session of our own and a server that answers as that of the recording, without a socket and with a
//! clock that stands still unless it is told.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dcrf_proto::{
    CloseOptions, Config, ConnectionError, ConnectionState, Dialect, Epoch, Frame, RejectReason,
    Request, Seed, Session, Subscribe, SubscriptionKey, Transmit,
};
use serde_json::{Value, json};

use crate::recording::{Connection, Names};

/// Each method is a step of a usage. What is called is sent when it settles, or when the connection changes.
pub(crate) struct Ours {
    session: Session,
    now: Instant,
    /// Of the latest dial.
    epoch: Option<Epoch>,
    subscriptions: Vec<SubscriptionKey>,
    connections: Vec<Connection>,
    names: Names,
    /// Actions that get no answer.
    silent: Vec<&'static str>,
    /// Actions that are refused, with the status.
    refused: Vec<(&'static str, u16)>,
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
            silent: Vec::new(),
            refused: Vec::new(),
        }
    }

    pub(crate) fn connected() -> Self {
        Self::idle().opens()
    }

    pub(crate) fn connected_with(change: impl FnOnce(&mut Config)) -> Self {
        Self::idle_with(change).opens()
    }

    /// The session begins to connect, and succeeds.
    pub(crate) fn opens(mut self) -> Self {
        self.session.open(self.now);
        self.accepts()
    }

    fn accepts(mut self) -> Self {
        self = self.settles();
        self.session.handle_connected(self.epoch.expect("it has dialled"), self.now);
        assert_eq!(*self.session.state(), ConnectionState::Connected);
        self.connections.push(Connection::default());
        self.settles()
    }

    /// The connection breaks, after it has been stable (L3): the recorded client knows no trial (L12).
    pub(crate) fn loses(mut self) -> Self {
        self = self.settles();
        self.now += Duration::from_secs(15);
        self.session.handle_timeout(self.now);
        self = self.settles();
        let epoch = self.epoch.expect("it has dialled");
        self.session.handle_disconnected(epoch, ConnectionError::Dropped, self.now);
        self.epoch = None;
        self
    }

    /// There is a connection again.
    pub(crate) fn returns(mut self) -> Self {
        while self.epoch.is_none() {
            let next = self.session.poll_timeout().expect("another attempt is planned");
            self.now = self.now.max(next);
            self.session.handle_timeout(self.now);
            self = self.settles();
        }
        self.accepts()
    }

    pub(crate) fn reconnects(self) -> Self {
        self.loses().returns()
    }

    /// The server could be reached again, and the session makes no use of that.
    pub(crate) fn stays_away(mut self) -> Self {
        self = self.settles();
        assert!(matches!(self.session.state(), ConnectionState::Closed(_)));
        assert_eq!(self.session.poll_timeout(), None);
        self
    }
}

// What the caller does.
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

    pub(crate) fn can_not_send_now(mut self, message: Request) -> Self {
        let rejected =
            self.session.send_now(message, self.now).expect_err("there is no connection");
        assert_eq!(rejected.reason, RejectReason::NotConnected);
        self
    }

    /// With these hooks.
    pub(crate) fn speaking(dialect: impl Dialect) -> Self {
        Self::connected_with(|config| config.dialect = Some(Arc::new(dialect)))
    }

    pub(crate) fn subscribe(mut self, subscribe: Subscribe) -> Self {
        let key = self.session.subscribe(subscribe, self.now).expect("it is accepted");
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

// What the server does.
impl Ours {
    pub(crate) fn silent(mut self, action: &'static str) -> Self {
        self.silent.push(action);
        self
    }

    pub(crate) fn refuses(mut self, action: &'static str, status: u16) -> Self {
        self.refused.push((action, status));
        self
    }

    pub(crate) fn says(mut self, frame: &Value) -> Self {
        self = self.settles();
        let epoch = self.epoch.expect("it has dialled");
        self.session.handle_text(epoch, &frame.to_string(), self.now);
        self
    }

    fn answer(&self, frame: &Value) -> Option<Value> {
        let (stream, asked) = (frame.get("stream")?, frame.get("payload")?);
        let action = asked.get("action")?.as_str()?;
        if self.silent.contains(&action) {
            return None;
        }
        let reply = |status: u16, data: Value, errors: Value| {
            json!({"stream": stream, "payload": {
                "errors": errors, "data": data, "action": action,
                "response_status": status, "request_id": asked["request_id"],
            }})
        };
        if let Some((_, status)) = self.refused.iter().find(|(refused, _)| *refused == action) {
            return Some(reply(*status, Value::Null, json!(["no"])));
        }
        let person = || json!({"pk": asked["pk"], "name": "Alex"});
        let (status, data) = match action {
            "list" => (200, json!([person()])),
            "retrieve" | "update" | "patch" | "greet" => (200, person()),
            "create" => (201, person()),
            "subscribe_instance" => (201, Value::Null),
            "delete" | "unsubscribe_instance" => (204, Value::Null),
            _ => (405, Value::Null),
        };
        let errors = if status == 405 { json!(["not allowed"]) } else { json!([]) };
        Some(reply(status, data, errors))
    }
}

// What comes of it.
impl Ours {
    /// What is to be sent is sent, and the server answers.
    pub(crate) fn settles(mut self) -> Self {
        while let Some(transmit) = self.session.poll_transmit() {
            match transmit {
                Transmit::Dial(epoch) => self.epoch = Some(epoch),
                Transmit::Frame(epoch, Frame::Text(text)) => {
                    let named = self.names.frame(&text);
                    self.connection().sent.push(named);
                    let answer = serde_json::from_str(&text).ok().and_then(|f| self.answer(&f));
                    if let Some(answer) = answer {
                        self.session.handle_text(epoch, &answer.to_string(), self.now);
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
        self.settles().connections
    }
}
