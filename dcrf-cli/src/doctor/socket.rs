//! Single frames on a WebSocket, and the replies of DCRF in them.

use std::time::{Duration, Instant};

use async_tungstenite::WebSocketStream;
use async_tungstenite::tokio::TokioAdapter;
use async_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use async_tungstenite::tungstenite::{Bytes, Message};
use dcrf_tokio::Framing;
use futures_lite::StreamExt as _;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::time::timeout_at;

use super::closing::Closing;

/// Larger messages are an error. Only what is over the limits of Daphne and of the client must fit.
const LARGEST_MESSAGE: usize = 64 << 20;

pub(super) struct Socket(WebSocketStream<TokioAdapter<TokioIo<Upgraded>>>);

pub(super) enum Event {
    Text(String),
    Pong,
    Closed(Closing),
    /// Nothing comes in time.
    Silent,
}

/// A request to a consumer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call<'a> {
    pub(super) framing: Framing,
    pub(super) stream: &'a str,
    pub(super) action: &'a str,
    pub(super) id: &'a str,
}

/// A reply of DCRF.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Reply {
    /// Whether it names its stream, as with a multiplexer.
    pub(super) is_enveloped: bool,
    pub(super) status: Option<u64>,
    pub(super) data: Value,
    pub(super) errors: Vec<String>,
    pub(super) id: Value,
    /// The bytes of the message.
    pub(super) size: usize,
    pub(super) after: Duration,
}

/// What comes of a request.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outcome {
    Reply(Reply),
    Closed(Closing),
    Silent(Duration),
}

impl Call<'_> {
    pub(super) fn text(&self) -> String {
        let payload = json!({"action": self.action, "request_id": self.id});
        match self.framing {
            Framing::Bare => payload.to_string(),
            _ => json!({"stream": self.stream, "payload": payload}).to_string(),
        }
    }
}

impl Reply {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut frame: Value = serde_json::from_str(text).ok()?;
        let is_enveloped = frame.get("stream").is_some() && frame.get("payload").is_some();
        let payload = if is_enveloped { frame["payload"].take() } else { frame };
        let errors = payload.get("errors").and_then(Value::as_array).into_iter().flatten();
        let words = |error: &Value| error.as_str().map_or_else(|| error.to_string(), str::to_owned);
        Some(Self {
            is_enveloped,
            status: payload.get("response_status").and_then(Value::as_u64),
            errors: errors.map(words).collect(),
            data: payload.get("data").cloned().unwrap_or_default(),
            id: payload.get("request_id").cloned().unwrap_or_default(),
            size: text.len(),
            after: Duration::ZERO,
        })
    }

    pub(super) fn is_success(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }

    /// The status and the server's words.
    pub(super) fn describe(&self) -> String {
        let status = self.status.map_or("no status".into(), |status| format!("status {status}"));
        if self.errors.is_empty() {
            return status;
        }
        format!("{status} ({})", self.errors.join("; "))
    }
}

impl Socket {
    pub(super) async fn new(stream: TokioIo<Upgraded>) -> Self {
        let config = WebSocketConfig::default()
            .max_message_size(Some(LARGEST_MESSAGE))
            .max_frame_size(Some(LARGEST_MESSAGE));
        let stream = TokioAdapter::new(stream);
        Self(WebSocketStream::from_raw_socket(stream, Role::Client, Some(config)).await)
    }

    pub(super) async fn next(&mut self, deadline: Instant) -> Event {
        loop {
            let message = match timeout_at(deadline.into(), self.0.next()).await {
                Err(_) => return Event::Silent,
                Ok(None) => return Event::Closed(Closing::Lost("it ends".into())),
                Ok(Some(Err(error))) => return Event::Closed(Closing::Lost(error.to_string())),
                Ok(Some(Ok(message))) => message,
            };
            match message {
                Message::Text(text) => return Event::Text(text.to_string()),
                Message::Pong(_) => return Event::Pong,
                Message::Close(frame) => {
                    let (code, reason) = frame.map_or((1005, String::new()), |frame| {
                        (frame.code.into(), frame.reason.to_string())
                    });
                    return Event::Closed(Closing::Frame { code, reason });
                }
                _ => {}
            }
        }
    }

    pub(super) async fn ping(&mut self) -> Result<(), Closing> {
        self.send(Message::Ping(Bytes::from_static(b"dcrf doctor"))).await
    }

    pub(super) async fn send_text(&mut self, text: String) -> Result<(), Closing> {
        self.send(Message::text(text)).await
    }

    async fn send(&mut self, message: Message) -> Result<(), Closing> {
        self.0.send(message).await.map_err(|error| Closing::Lost(error.to_string()))
    }

    /// Makes a request and waits for its reply. `is_reply` recognizes it.
    pub(super) async fn ask(
        &mut self,
        call: &Call<'_>,
        limit: Duration,
        is_reply: impl Fn(&Reply) -> bool,
    ) -> Outcome {
        if let Err(closing) = self.send_text(call.text()).await {
            return Outcome::Closed(closing);
        }
        let started = Instant::now();
        loop {
            match self.next(started + limit).await {
                Event::Text(text) => {
                    if let Some(mut reply) = Reply::parse(&text).filter(&is_reply) {
                        reply.after = started.elapsed();
                        return Outcome::Reply(reply);
                    }
                }
                Event::Pong => {}
                Event::Closed(closing) => return Outcome::Closed(closing),
                Event::Silent => return Outcome::Silent(limit),
            }
        }
    }

    /// Closes without waiting for the server.
    pub(super) async fn close(mut self) {
        let closing = self.0.close(None);
        // The server's side of it does not matter.
        let _ = tokio::time::timeout(Duration::from_secs(1), closing).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_parsed_with_and_without_an_envelope() {
        let payload = r#"{"errors":["Not found",{"a":1}],"data":null,"response_status":404,"request_id":"d"}"#;
        let bare = Reply::parse(payload).unwrap();
        assert_eq!(bare.describe(), "status 404 (Not found; {\"a\":1})");
        assert!(!bare.is_enveloped && !bare.is_success() && bare.id == "d");
        let text = format!(r#"{{"stream":"tasks","payload":{payload}}}"#);
        let enveloped = Reply::parse(&text).unwrap();
        assert!(enveloped.is_enveloped && enveloped.status == Some(404));
        assert_eq!(Reply::parse("{NaN"), None);
    }

    #[test]
    fn bare_call_has_no_envelope() {
        let call = Call { framing: Framing::Bare, stream: "tasks", action: "list", id: "d" };
        assert_eq!(call.text(), r#"{"action":"list","request_id":"d"}"#);
        let call = Call { framing: Framing::Multiplexed, ..call };
        assert!(call.text().contains(r#""stream":"tasks""#));
    }
}
