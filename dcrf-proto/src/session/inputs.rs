//! What the outside world did: the `handle_*` methods.

use std::time::Instant;

use super::Session;
use crate::error::{CloseReason, ConnectionError};
use crate::event::ListenerEvent;
use crate::id::Epoch;
use crate::link::FailureAction;
use crate::protocol::envelope::{self, Envelope, Frame, Payload};
use crate::protocol::framing::Framing;
use crate::protocol::json::{self, Json};
use crate::routing::{Destination, Route};
use crate::timer::Timer;

impl Session {
    /// The WebSocket of `epoch` is open.
    ///
    /// ```
    /// # use dcrf_proto::{Config, Seed, Session, ConnectionState, Transmit};
    /// # use std::time::Instant;
    /// # let (mut session, now) = (Session::new(Config::default(), Seed::from([7; 32]), Instant::now()), Instant::now());
    /// session.open(now);
    /// let Some(Transmit::Dial(epoch)) = session.poll_transmit() else { unreachable!() };
    /// session.handle_connected(epoch, now);
    /// assert_eq!(*session.state(), ConnectionState::Connected);
    /// ```
    pub fn handle_connected(&mut self, epoch: Epoch, now: Instant) {
        self.advance(now);
        if self.link.connected(&mut self.cx, epoch) {
            self.subscriptions.connected(&mut self.cx);
        }
    }

    /// A text message has arrived.
    ///
    /// ```
    /// # use dcrf_proto::{Config, Seed, Session};
    /// # use std::time::Instant;
    /// # let (mut session, now) = (Session::new(Config::default(), Seed::from([7; 32]), Instant::now()), Instant::now());
    /// # session.open(now);
    /// # let epoch = session.epoch().unwrap();
    /// # session.handle_connected(epoch, now);
    /// session.handle_text(epoch, r#"{"stream": "tools", "payload": {"type": "tick"}}"#, now);
    /// assert_eq!(session.stats().unhandled, 1);
    /// ```
    pub fn handle_text(&mut self, epoch: Epoch, text: &str, now: Instant) {
        if !self.hear(epoch, text.len(), now) {
            return;
        }
        let before = self.cx.stats.dropped();
        match self.cx.config.dialect.clone() {
            None => self.read(text),
            Some(dialect) => match dialect.decode_text(text) {
                Some(text) => self.read(&text),
                None => self.cx.stats.malformed += 1,
            },
        }
        self.cx.trace_dropped(before, text.len());
        self.settle_close();
    }

    fn read(&mut self, text: &str) {
        let framing = self.cx.config.framing;
        match self.templates.decode(framing, text) {
            Frame::Envelope(envelope) => self.route(framing, &envelope, text),
            Frame::Foreign => self.foreign(framing, text),
            Frame::Malformed => self.repair(framing, text),
        }
    }

    /// F3: what Python's NaN alone makes malformed is read without it; the rest is dropped (F4).
    fn repair(&mut self, framing: Framing, text: &str) {
        let repaired = json::without_nan(text);
        match envelope::decode(framing, &repaired) {
            Frame::Envelope(envelope) => self.route(framing, &envelope, &repaired),
            Frame::Foreign => self.foreign(framing, &repaired),
            Frame::Malformed => self.cx.stats.malformed += 1,
        }
    }

    /// A binary message has arrived. DCRF sends none, so it is dropped and counted (F4), unless the
    /// [`Dialect`](crate::Dialect) reads it.
    ///
    /// ```
    /// # use dcrf_proto::{Config, Seed, Session};
    /// # use std::time::Instant;
    /// # let (mut session, now) = (Session::new(Config::default(), Seed::from([7; 32]), Instant::now()), Instant::now());
    /// # session.open(now);
    /// # let epoch = session.epoch().unwrap();
    /// # session.handle_connected(epoch, now);
    /// session.handle_binary(epoch, &[1, 2, 3], now);
    /// assert_eq!(session.stats().malformed, 1);
    /// ```
    pub fn handle_binary(&mut self, epoch: Epoch, bytes: &[u8], now: Instant) {
        if !self.hear(epoch, bytes.len(), now) {
            return;
        }
        let before = self.cx.stats.dropped();
        let dialect = self.cx.config.dialect.as_ref();
        match dialect.and_then(|dialect| dialect.decode_binary(bytes)) {
            Some(text) => self.read(&text),
            None => self.cx.stats.malformed += 1,
        }
        self.cx.trace_dropped(before, bytes.len());
        self.settle_close();
    }

    /// A ping or a pong has arrived: the server is there.
    ///
    /// ```
    /// # use dcrf_proto::{Config, Seed, Session};
    /// # use std::time::Instant;
    /// # let (mut session, now) = (Session::new(Config::default(), Seed::from([7; 32]), Instant::now()), Instant::now());
    /// # session.open(now);
    /// # let epoch = session.epoch().unwrap();
    /// # session.handle_connected(epoch, now);
    /// session.handle_pong(epoch, now);
    /// ```
    pub fn handle_pong(&mut self, epoch: Epoch, now: Instant) {
        self.hear(epoch, 0, now);
    }

    /// The connection of `epoch`, or the attempt to make it, has ended.
    ///
    /// ```
    /// # use dcrf_proto::{Config, ConnectionError, Seed, Session, ConnectionState};
    /// # use std::time::Instant;
    /// # let (mut session, now) = (Session::new(Config::default(), Seed::from([7; 32]), Instant::now()), Instant::now());
    /// # session.open(now);
    /// # let epoch = session.epoch().unwrap();
    /// session.handle_disconnected(epoch, ConnectionError::Dropped, now);
    /// assert!(matches!(session.state(), ConnectionState::Waiting { attempt: 2, error: ConnectionError::Dropped, .. }));
    /// ```
    #[expect(clippy::needless_pass_by_value, reason = "the caller has no more use for it")]
    pub fn handle_disconnected(&mut self, epoch: Epoch, why: ConnectionError, now: Instant) {
        self.handle_disconnected_by(epoch, &why, None, now);
    }

    /// As [`handle_disconnected`](Self::handle_disconnected), with the caller's own decision in place of the rules'. There is
    /// nothing to decide about a connection that is closed from here, by a close or a planned reconnect.
    ///
    /// ```
    /// # use dcrf_proto::{Config, ConnectionError, Seed, Session, ConnectionState, FailureAction};
    /// # use std::time::Instant;
    /// # let (mut session, now) = (Session::new(Config::default(), Seed::from([7; 32]), Instant::now()), Instant::now());
    /// # session.open(now);
    /// # let epoch = session.epoch().unwrap();
    /// session.handle_disconnected_with(epoch, ConnectionError::Dropped, FailureAction::Stop, now);
    /// assert!(matches!(session.state(), ConnectionState::Closed(_)));
    /// ```
    #[expect(clippy::needless_pass_by_value, reason = "the caller has no more use for it")]
    pub fn handle_disconnected_with(
        &mut self,
        epoch: Epoch,
        why: ConnectionError,
        verdict: FailureAction,
        now: Instant,
    ) {
        self.handle_disconnected_by(epoch, &why, Some(verdict), now);
    }

    fn handle_disconnected_by(
        &mut self,
        epoch: Epoch,
        why: &ConnectionError,
        verdict: Option<FailureAction>,
        now: Instant,
    ) {
        self.advance(now);
        if self.link.epoch() == Some(epoch) {
            self.lose(why, verdict);
        }
    }

    /// Looks at the deadlines. Calling it too early, or too often, does nothing.
    ///
    /// ```
    /// # use dcrf_proto::{Config, ConnectionError, Seed, Session, ConnectionState};
    /// # use std::time::Instant;
    /// # let (mut session, now) = (Session::new(Config::default(), Seed::from([7; 32]), Instant::now()), Instant::now());
    /// session.open(now);
    /// // The dial has 10 seconds.
    /// let deadline = session.poll_timeout().unwrap();
    /// session.handle_timeout(deadline);
    /// assert!(matches!(session.state(), ConnectionState::Waiting { error: ConnectionError::DialTimedOut(_), .. }));
    /// ```
    pub fn handle_timeout(&mut self, now: Instant) {
        self.advance(now);
        while let Some(timer) = self.cx.timers.pop_due(self.cx.now) {
            match timer {
                Timer::Dial => {
                    self.lose(&ConnectionError::DialTimedOut(self.cx.config.dial_timeout), None);
                }
                Timer::Backoff => self.link.dial(&mut self.cx),
                Timer::Heartbeat => {
                    if let Some(silent) = self.link.check_heartbeat(&mut self.cx) {
                        self.lose(&silent, None);
                    }
                }
                Timer::Close => self.close_timed_out(),
                Timer::Hold => self.subscriptions.hold_timer_fired(),
                Timer::Request(key) => self.requests.time_out(&mut self.cx, key),
                Timer::Refresh(key) => self.subscriptions.refresh_timer_fired(&mut self.cx, key),
                Timer::Upstream(key) => self.subscriptions.timer_fired(&mut self.cx, key),
            }
        }
        self.settle_close();
    }

    pub(super) fn advance(&mut self, now: Instant) {
        self.cx.now = self.cx.now.max(now);
    }

    /// A frame of `epoch` has arrived. Says whether it counts.
    fn hear(&mut self, epoch: Epoch, bytes: usize, now: Instant) -> bool {
        self.advance(now);
        let counts = self.link.is_open_in(epoch);
        if counts {
            self.link.frame_received(self.cx.now);
            self.cx.stats.received += 1;
            self.cx.stats.received_bytes += bytes as u64;
        }
        counts
    }

    /// The one place where a frame is routed: to who waits for it by its id, and to who takes it by a selector.
    fn route(&mut self, framing: Framing, envelope: &Envelope<'_>, text: &str) {
        let payload = &envelope.payload;
        let stream = envelope.stream.as_deref();
        let owned = self.hand_to_owner(framing, stream, payload, text);
        let taken = !self.cx.selectors.is_empty() && {
            let takers = self.cx.selectors.matching(framing, stream, text);
            let whole = || envelope::whole_payload(framing, text);
            for taker in &takers {
                match *taker {
                    Destination::Listener(key) => {
                        let stream = stream.map(str::to_owned);
                        let heard = ListenerEvent::Frame { stream, payload: whole() };
                        self.listeners.hear(&mut self.cx, key, heard);
                    }
                    Destination::Request(key) => {
                        self.requests.handle_reply(&mut self.cx, key, payload)
                    }
                    Destination::Refresh(key) => {
                        self.subscriptions.refresh_replied(&mut self.cx, key, payload);
                    }
                    Destination::Upstream(key) => {
                        self.subscriptions.replied(&mut self.cx, key, payload);
                    }
                    Destination::Change(key, kind) => {
                        let action = Some(kind.action());
                        self.subscriptions.changed(&mut self.cx, key, payload, action, whole);
                    }
                }
            }
            !takers.is_empty()
        };
        if !owned && !taken {
            self.cx.unhandled(text);
        }
    }

    /// Hands a frame to the request or the subscription that its id belongs to. Says whether there is one, or was.
    fn hand_to_owner(
        &mut self,
        framing: Framing,
        stream: Option<&str>,
        payload: &Payload<'_>,
        text: &str,
    ) -> bool {
        let Some(id) = &payload.request_id else { return false };
        // R6: an answer comes on the stream that was asked.
        let agrees = |own: Option<&str>| framing == Framing::Bare || own == stream;
        match self.cx.routes.get(id) {
            Some(Route::To(Destination::Request(key))) if agrees(self.requests.stream_of(key)) => {
                self.requests.handle_reply(&mut self.cx, key, payload);
            }
            Some(Route::To(Destination::Upstream(key)))
                if agrees(self.subscriptions.stream(key)) =>
            {
                let whole = || envelope::whole_payload(framing, text);
                return self.subscriptions.handle(&mut self.cx, key, payload, whole);
            }
            Some(Route::To(Destination::Refresh(key)))
                if agrees(self.subscriptions.refresh_stream(key)) =>
            {
                self.subscriptions.refresh_replied(&mut self.cx, key, payload);
            }
            Some(Route::Abandoned | Route::Released) => self.cx.stats.late += 1,
            _ => return false,
        }
        true
    }

    /// A JSON object of another shape than the framing's: only who listens may know it.
    fn foreign(&mut self, framing: Framing, text: &str) {
        let takers = self.cx.selectors.matching(framing, None, text);
        let mut is_heard = false;
        for taker in takers {
            if let Destination::Listener(key) = taker {
                let payload = Json::from_checked(text.trim());
                self.listeners.hear(
                    &mut self.cx,
                    key,
                    ListenerEvent::Frame { stream: None, payload },
                );
                is_heard = true;
            }
        }
        if !is_heard {
            self.cx.unhandled(text);
        }
    }

    fn lose(&mut self, why: &ConnectionError, verdict: Option<FailureAction>) {
        if self.link.finish_closing_handshake(&mut self.cx) {
            return;
        }
        // What was missed was missed by the loss of a connection, not by the attempts to make the next one.
        let cause = self.link.is_open().then_some(why);
        self.cx.stats.disconnects += u64::from(cause.is_some());
        self.cx.stats.failed_attempts += u64::from(cause.is_none());
        let stop = match &self.closing {
            Some(_) => {
                self.link.disconnect(&mut self.cx);
                Some(CloseReason::ByCaller)
            }
            None => self.link.handle_failure(&mut self.cx, why, verdict),
        };
        self.connection_lost(cause);
        if let Some(reason) = stop {
            self.finish(reason, None);
        }
    }

    /// What was on its way is lost with the connection (R4), and what is subscribed to waits for the next one.
    pub(super) fn connection_lost(&mut self, cause: Option<&ConnectionError>) {
        self.cx.routes.forget_retired();
        self.subscriptions.disconnected(&mut self.cx, cause);
        self.requests.connection_lost(&mut self.cx);
    }
}
