//! A connection: its streams, and what is to be sent.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::consumer::Consumer;
use super::{Handshake, Output, View};

#[expect(clippy::struct_excessive_bools, reason = "they are independent of each other")]
pub(super) struct Connection {
    pub(super) handshake: Arc<Handshake>,
    /// The stream, if the endpoint does not multiplex.
    bare: Option<String>,
    pub(super) consumers: BTreeMap<String, Consumer>,
    outputs: VecDeque<Output>,
    /// Until then, something is on its way to the client.
    pub(super) sent_until: Duration,
    pub(super) outputs_on_way: usize,
    pub(super) has_raised: bool,
    /// Whether it neither receives nor sends. Its close frame may be on its way.
    pub(super) is_over: bool,
    /// Whether the last output is there.
    has_ended: bool,
    pub(super) is_silent: bool,
    pub(super) waker: Option<Waker>,
    has_news: bool,
    /// The timeout when the waker was last taken.
    known_timeout: Option<Instant>,
}

impl Connection {
    pub(super) fn new(
        handshake: Handshake,
        bare: Option<String>,
        views: &BTreeMap<String, Arc<View>>,
    ) -> Self {
        let is_served = |stream: &String| bare.as_ref().is_none_or(|bare| bare == stream);
        let views = views.iter().filter(|(stream, _)| is_served(stream));
        let consumers = views.map(|(stream, view)| (stream.clone(), Consumer::new(view.clone())));
        Self {
            handshake: Arc::new(handshake),
            consumers: consumers.collect(),
            bare,
            outputs: VecDeque::new(),
            sent_until: Duration::ZERO,
            outputs_on_way: 0,
            has_raised: false,
            is_over: false,
            has_ended: false,
            is_silent: false,
            waker: None,
            has_news: false,
            known_timeout: None,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        !self.has_raised && !self.is_over && !self.is_silent
    }

    pub(super) fn is_bare(&self) -> bool {
        self.bare.is_some()
    }

    /// The stream and the payload of a message, or `None` if the multiplexer raises.
    pub(super) fn parse(&self, text: &str) -> Option<(String, Value)> {
        let mut frame: Value = serde_json::from_str(text).ok()?;
        if let Some(bare) = &self.bare {
            return Some((bare.clone(), frame));
        }
        let payload = frame.get_mut("payload").map(Value::take)?;
        let stream = frame.get("stream")?.as_str()?;
        self.consumers.contains_key(stream).then(|| (stream.to_owned(), payload))
    }

    /// The frame of a payload, or `None` if the connection does not serve the stream.
    pub(super) fn frame(&self, stream: &str, payload: &Value) -> Option<String> {
        match &self.bare {
            Some(bare) => (bare == stream).then(|| payload.to_string()),
            None => Some(format!(r#"{{"stream":{},"payload":{payload}}}"#, Value::from(stream))),
        }
    }

    /// Adds an output, unless there was the last one.
    pub(super) fn push(&mut self, output: Output) {
        if !self.has_ended && !self.is_silent {
            self.has_ended = !matches!(output, Output::Text(_));
            self.outputs.push_back(output);
            self.has_news = true;
        }
    }

    pub(super) fn poll_output(&mut self) -> Option<Output> {
        if self.is_silent { None } else { self.outputs.pop_front() }
    }

    /// The waker, if there is something new.
    pub(super) fn take_waker(&mut self, timeout: Option<Instant>) -> Option<Waker> {
        let has_news = std::mem::take(&mut self.has_news) || self.known_timeout != timeout;
        self.known_timeout = timeout;
        if has_news { self.waker.take() } else { None }
    }
}
