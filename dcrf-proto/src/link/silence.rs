//! Notices that a server answers pings and nothing else (L15): pongs are life of the socket, not of the application.

use std::time::{Duration, Instant};

/// What is overdue on the current connection, although no text has arrived since it was sent.
#[derive(Debug)]
pub(crate) struct Silence {
    last_text: Instant,
    first: Option<Overdue>,
    is_proved: bool,
}

/// The first overdue reply.
#[derive(Debug)]
struct Overdue {
    stream: Box<str>,
    sent: Instant,
    due: Instant,
}

/// What an overdue reply proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// A slow action on its stream can be the reason: a stream is served serially.
    None,
    /// The connection is silent, unless an older request on this stream is still within its time.
    IfOldest,
    /// The connection is silent.
    Silent,
}

impl Silence {
    pub(crate) fn new(now: Instant) -> Self {
        Self { last_text: now, first: None, is_proved: false }
    }

    pub(crate) fn text_received(&mut self, now: Instant) {
        self.last_text = now;
        if self.first.is_some() {
            *self = Self::new(now);
        }
    }

    /// The reply to a frame that was sent at `sent` on `stream` is overdue. It proves nothing until the first one has been
    /// out for `least`: a request that waited for the connection has little of its time left when it is sent.
    pub(crate) fn overdue(
        &mut self,
        stream: &str,
        sent: Instant,
        now: Instant,
        least: Duration,
    ) -> Proof {
        if self.is_proved || sent < self.last_text {
            return Proof::None;
        }
        match &self.first {
            None => {
                self.first = Some(Overdue { stream: stream.into(), sent, due: now });
                Proof::None
            }
            Some(first) if now.duration_since(first.sent) < least => Proof::None,
            Some(first) if *first.stream != *stream => Proof::Silent,
            // A whole timeout later.
            Some(first) if sent >= first.due => Proof::IfOldest,
            Some(_) => Proof::None,
        }
    }

    /// Whether a text has arrived at or after `sent`.
    pub(crate) fn is_silent_since(&self, sent: Instant) -> bool {
        sent >= self.last_text
    }

    pub(crate) fn prove(&mut self) {
        self.is_proved = true;
    }

    /// The instant of the last text, if the connection was proved to be silent.
    pub(crate) fn take_proved(&mut self) -> Option<Instant> {
        std::mem::take(&mut self.is_proved).then_some(self.last_text)
    }
}
