//! A plain WebSocket, to see the server's frames as they are.

use std::collections::VecDeque;
use std::net::TcpStream;
use std::time::Duration;

use dcrf_tests::server::Server;
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

use crate::recording::Recording;

/// A frame that takes longer is missing, and its test fails.
const LIMIT: Duration = Duration::from_secs(15);

/// A connection to the multiplexed endpoint.
pub(crate) struct Socket {
    inner: WebSocket<TcpStream>,
    recording: Recording,
    /// Frames that arrived before a reply.
    events: VecDeque<Value>,
    sent: u32,
}

impl Socket {
    pub(crate) fn connect(server: &Server, recording: Recording) -> Self {
        let stream = TcpStream::connect(server.address()).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        recording.connecting();
        let (inner, _) = tungstenite::client(server.url("/ws/"), stream).unwrap();
        recording.open();
        Self { inner, recording, events: VecDeque::new(), sent: 0 }
    }

    /// Sends a request, and returns its id: a new one, unless the arguments have one.
    pub(crate) fn send(&mut self, stream: &str, action: &str, arguments: Value) -> String {
        self.sent += 1;
        let mut payload = arguments;
        let id = match payload["request_id"].as_str() {
            Some(id) => id.to_owned(),
            None => format!("{}{}", self.recording.name(), self.sent),
        };
        payload["action"] = action.into();
        payload["request_id"] = id.as_str().into();
        let text = json!({"stream": stream, "payload": payload}).to_string();
        self.recording.sent(&text);
        self.inner.send(Message::text(text)).unwrap();
        id
    }

    /// The next frame, or `None` if the connection has ended.
    fn read(&mut self) -> Option<Value> {
        loop {
            match self.inner.read() {
                Ok(Message::Text(text)) => {
                    self.recording.received(&text);
                    return Some(serde_json::from_str(&text).unwrap());
                }
                Ok(Message::Ping(_) | Message::Pong(_)) => {}
                Ok(Message::Close(_)) | Err(tungstenite::Error::ConnectionClosed) => return None,
                other => panic!("{other:?}"),
            }
        }
    }

    /// Waits for the payload of a reply. Events that come before it are kept.
    pub(crate) fn reply(&mut self, id: &str, action: &str) -> Value {
        loop {
            let mut frame = self.read().expect("a reply");
            let payload = &mut frame["payload"];
            if payload["request_id"] == id && payload["action"] == action {
                return payload.take();
            }
            self.events.push_back(frame);
        }
    }

    /// The payload of the reply to a request.
    pub(crate) fn call(&mut self, stream: &str, action: &str, arguments: Value) -> Value {
        let id = self.send(stream, action, arguments);
        self.reply(&id, action)
    }

    /// The data of a reply without errors.
    pub(crate) fn data(&mut self, stream: &str, action: &str, arguments: Value) -> Value {
        let mut reply = self.call(stream, action, arguments);
        assert_eq!(reply["errors"], json!([]), "{reply}");
        reply["data"].take()
    }

    /// The status of a reply.
    pub(crate) fn status(&mut self, stream: &str, action: &str, arguments: Value) -> Value {
        self.call(stream, action, arguments)["response_status"].take()
    }

    /// Subscribes with an acknowledgement, and returns the id of the events.
    pub(crate) fn subscribe(&mut self, stream: &str, action: &str, arguments: Value) -> String {
        let id = self.send(stream, action, arguments);
        let reply = self.reply(&id, action);
        let expected = json!({
            "errors": [], "data": null, "action": action, "response_status": 201, "request_id": id,
        });
        assert_eq!(reply, expected);
        id
    }

    /// The payload of the next event on a stream.
    pub(crate) fn event(&mut self, stream: &str) -> Value {
        let next = self.events.pop_front();
        let mut frame = next.or_else(|| self.read()).expect("an event");
        assert_eq!(frame["stream"], stream, "{frame}");
        frame["payload"].take()
    }

    /// The rows of a list without pages.
    pub(crate) fn list(&mut self, stream: &str, arguments: Value) -> Vec<Value> {
        let data = self.data(stream, "list", arguments);
        data.as_array().expect("a list without pages").clone()
    }

    /// Waits until the server ends the connection.
    pub(crate) fn closed(&mut self) {
        while self.read().is_some() {}
        self.recording.closed();
    }
}

/// An event with data.
pub(crate) fn event(action: &str, id: &str, status: u16, data: &Value) -> Value {
    json!({
        "errors": [], "data": data, "action": action, "response_status": status, "request_id": id,
    })
}
