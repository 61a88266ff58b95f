//! The inputs from the socket and the clock: the `handle_*` methods.

use std::sync::Arc;
use std::time::Instant;

use super::Session;
use super::closing::LINGER;
use crate::command::CloseFrame;
use crate::error::{CloseReason, ConnectionError};
use crate::event::ListenerEvent;
use crate::id::Epoch;
use crate::link::FailureAction;
use crate::protocol::envelope::{self, Envelope, Frame, Payload};
use crate::protocol::framing::Framing;
use crate::protocol::json::{self, Json};
use crate::routing::{Destination, Route};
use crate::shown;
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
            self.subscriptions.connected(&mut self.cx, self.requests.suspects());
            self.connect_collections();
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
        if !self.frame_received(epoch, text.len(), now) {
            return;
        }
        self.cx.silence.text_received(self.cx.now);
        self.decode_text(text);
    }

    /// A text message over the size limit has arrived, of which only the envelope was kept:
    /// [`Frame::TooLarge`](crate::Frame::TooLarge).
    ///
    /// The request or the refresh that it answers fails, and a subscription whose event it is reports a gap. The
    /// connection goes on. If your WebSocket library ends the connection instead, call
    /// [`handle_disconnected`](Self::handle_disconnected) with [`ConnectionError::TooLarge`].
    ///
    /// ```
    /// # use dcrf_proto::{Config, Event, Request, RequestError, Seed, Session};
    /// # use std::time::Instant;
    /// # let (mut session, now) = (Session::new(Config::default(), Seed::from([7; 32]), Instant::now()), Instant::now());
    /// # session.open(now);
    /// # let epoch = session.epoch().unwrap();
    /// # session.handle_connected(epoch, now);
    /// session.request(Request::list("rows").id("mine"), now)?;
    /// while session.poll_transmit().is_some() {}
    /// let envelope = r#"{"stream": "rows", "payload": {"data": [], "response_status": 200, "request_id": "mine"}}"#;
    /// session.handle_too_large(epoch, envelope, 5_000_000, 4_194_304, now);
    /// # while let Some(event) = session.poll_event() {
    /// # let Event::Settled { result, .. } = event else { continue };
    /// assert_eq!(result, Err(RequestError::ReplyTooLarge { size: 5_000_000, limit: 4_194_304 }));
    /// # }
    /// # Ok::<(), dcrf_proto::Rejected<Request>>(())
    /// ```
    pub fn handle_too_large(
        &mut self,
        epoch: Epoch,
        envelope: &str,
        size: usize,
        limit: usize,
        now: Instant,
    ) {
        if !self.frame_received(epoch, size, now) {
            return;
        }
        self.cx.silence.text_received(self.cx.now);
        self.cx.stats.too_large += 1;
        self.cx.too_large = Some((size, limit));
        self.decode_text(envelope);
        self.cx.too_large = None;
    }

    fn decode_text(&mut self, text: &str) {
        let before = self.cx.stats.dropped();
        match self.cx.config.dialect.clone() {
            None => self.decode(text),
            Some(dialect) => match dialect.decode_text(text) {
                Some(text) => self.decode(&text),
                None => self.cx.stats.malformed += 1,
            },
        }
        self.cx.trace_dropped(before, text.len());
        self.refresh_credentials_if_rejected();
        self.run_collections();
        self.finish_close_if_idle();
    }

    /// S7: a replay was refused, and fresh credentials may help.
    fn refresh_credentials_if_rejected(&mut self) {
        let Some(status) = self.subscriptions.take_unauthorized() else { return };
        if self.check_open().is_ok() && self.link.is_open() {
            let deadline = self.cx.after(LINGER);
            self.link.refresh_credentials(&mut self.cx, CloseFrame::normal(), deadline);
            self.connection_lost(&ConnectionError::Unauthorized { status }, true, false);
        }
    }

    fn decode(&mut self, text: &str) {
        let framing = self.cx.config.framing;
        match self.templates.decode(framing, text) {
            Frame::Envelope(envelope) => self.route(framing, &envelope, text),
            Frame::Foreign => self.route_foreign(framing, text),
            Frame::Malformed => self.decode_with_nan(framing, text),
        }
    }

    /// Decodes a frame that is invalid JSON only because of Python's `NaN` (F3). Any other malformed frame is dropped
    /// (F4).
    fn decode_with_nan(&mut self, framing: Framing, text: &str) {
        let repaired = json::without_nan(text);
        match envelope::decode(framing, &repaired) {
            Frame::Envelope(envelope) => self.route(framing, &envelope, &repaired),
            Frame::Foreign => self.route_foreign(framing, &repaired),
            Frame::Malformed => self.cx.stats.malformed += 1,
        }
    }

    /// A binary message has arrived. DCRF sends none, so it is dropped and counted, unless the
    /// [`Dialect`](crate::Dialect) decodes it.
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
        if !self.frame_received(epoch, bytes.len(), now) {
            return;
        }
        self.cx.silence.text_received(self.cx.now);
        let before = self.cx.stats.dropped();
        let dialect = self.cx.config.dialect.as_ref();
        match dialect.and_then(|dialect| dialect.decode_binary(bytes)) {
            Some(text) => self.decode(&text),
            None => self.cx.stats.malformed += 1,
        }
        self.cx.trace_dropped(before, bytes.len());
        self.refresh_credentials_if_rejected();
        self.run_collections();
        self.finish_close_if_idle();
    }

    /// A ping or a pong has arrived.
    pub fn handle_pong(&mut self, epoch: Epoch, now: Instant) {
        self.frame_received(epoch, 0, now);
    }

    /// The connection of `epoch` is lost, or its dial has failed.
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
    #[expect(clippy::needless_pass_by_value, reason = "the caller no longer needs the error")]
    pub fn handle_disconnected(&mut self, epoch: Epoch, error: ConnectionError, now: Instant) {
        self.disconnected(epoch, &error, None, now);
    }

    /// Like [`handle_disconnected`](Self::handle_disconnected), but `action` overrides the default reaction.
    ///
    /// It has no effect if the session itself has closed the connection: after a close or a forced reconnect.
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
    #[expect(clippy::needless_pass_by_value, reason = "the caller no longer needs the error")]
    pub fn handle_disconnected_with(
        &mut self,
        epoch: Epoch,
        error: ConnectionError,
        action: FailureAction,
        now: Instant,
    ) {
        self.disconnected(epoch, &error, Some(action), now);
    }

    fn disconnected(
        &mut self,
        epoch: Epoch,
        error: &ConnectionError,
        action: Option<FailureAction>,
        now: Instant,
    ) {
        self.advance(now);
        if self.link.epoch() == Some(epoch) {
            self.connection_failed(error, action);
        }
    }

    /// Handles all timers that are due. A call before [`poll_timeout`](Self::poll_timeout)'s instant does nothing.
    ///
    /// ```
    /// # use dcrf_proto::{Config, ConnectionError, Seed, Session, ConnectionState};
    /// # use std::time::Instant;
    /// # let (mut session, now) = (Session::new(Config::default(), Seed::from([7; 32]), Instant::now()), Instant::now());
    /// session.open(now);
    /// // A dial times out after 10 seconds.
    /// let deadline = session.poll_timeout().unwrap();
    /// session.handle_timeout(deadline);
    /// assert!(matches!(session.state(), ConnectionState::Waiting { error: ConnectionError::DialTimedOut(_), .. }));
    /// ```
    pub fn handle_timeout(&mut self, now: Instant) {
        self.advance(now);
        while let Some(timer) = self.cx.timers.pop_due(self.cx.now) {
            match timer {
                Timer::Dial => {
                    let error = ConnectionError::DialTimedOut(self.cx.config.dial_timeout);
                    self.connection_failed(&error, None);
                }
                Timer::Backoff => self.link.dial(&mut self.cx),
                Timer::Heartbeat => {
                    if let Some(error) = self.link.check_heartbeat(&mut self.cx) {
                        self.connection_failed(&error, None);
                    }
                }
                Timer::Close => self.close_timed_out(),
                Timer::Hold => self.subscriptions.hold_timer_fired(&mut self.cx),
                Timer::Request(key) => self.requests.time_out(&mut self.cx, key),
                Timer::Refresh(key) => self.subscriptions.refresh_timer_fired(&mut self.cx, key),
                Timer::Upstream(key) => {
                    let waits = self.subscriptions.timer_fired(&mut self.cx, key);
                    let is_oldest = |(stream, since): (Arc<str>, Instant)| {
                        !self.requests.may_delay(&self.cx, &stream, since)
                    };
                    if waits.is_some_and(is_oldest) {
                        self.cx.silence.prove();
                    }
                }
                Timer::Subscription(key) => self.subscriptions.time_out(&mut self.cx, key),
                Timer::Collection(key) => self.collection_timer_fired(key),
            }
        }
        if let Some(last_text) = self.cx.silence.take_proved().filter(|_| self.link.is_open()) {
            let silent = self.cx.now.duration_since(last_text);
            self.connection_failed(&ConnectionError::Silent(silent), None);
        }
        self.run_collections();
        self.finish_close_if_idle();
    }

    pub(super) fn advance(&mut self, now: Instant) {
        self.cx.now = self.cx.now.max(now);
    }

    /// Counts a frame. Returns false if `epoch` is over: ignore the frame.
    fn frame_received(&mut self, epoch: Epoch, bytes: usize, now: Instant) -> bool {
        self.advance(now);
        let is_current = self.link.is_open_in(epoch);
        if is_current {
            self.link.frame_received(self.cx.now);
            self.cx.stats.received += 1;
            self.cx.stats.received_bytes += bytes as u64;
        }
        is_current
    }

    /// Routes a frame to the owner of its request id and to every matching selector.
    fn route(&mut self, framing: Framing, envelope: &Envelope<'_>, text: &str) {
        let payload = &envelope.payload;
        let stream = envelope.stream.as_deref();
        let has_owner = self.route_by_id(framing, stream, payload, text);
        let has_match = !self.cx.selectors.is_empty() && {
            let destinations = self.cx.selectors.matching(framing, stream, text);
            let payload_json = || envelope::whole_payload(framing, text);
            for destination in &destinations {
                match *destination {
                    Destination::Listener(key) if self.cx.too_large.is_some() => {
                        self.listeners.miss(&mut self.cx, key);
                    }
                    Destination::Listener(key) => {
                        let stream = stream.map(shown::name);
                        let event = ListenerEvent::Frame { stream, payload: payload_json() };
                        self.listeners.push(&mut self.cx, key, event);
                    }
                    Destination::Request(key) => {
                        self.requests.handle_reply(&mut self.cx, key, payload);
                    }
                    Destination::Refresh(key) => {
                        self.subscriptions.refresh_replied(&mut self.cx, key, payload);
                    }
                    Destination::Upstream(key) => {
                        self.subscriptions.replied(&mut self.cx, key, payload);
                    }
                    Destination::Change(key, kind) => {
                        let action = Some(kind.action());
                        self.subscriptions.changed(
                            &mut self.cx,
                            key,
                            payload,
                            action,
                            payload_json,
                        );
                    }
                }
            }
            !destinations.is_empty()
        };
        // The envelope of a message that was not kept is not the message.
        if !has_owner && !has_match && self.cx.too_large.is_none() {
            self.cx.unhandled(text);
        }
    }

    /// Routes a frame to the request or subscription with its id. Returns false if there was never one.
    fn route_by_id(
        &mut self,
        framing: Framing,
        stream: Option<&str>,
        payload: &Payload<'_>,
        text: &str,
    ) -> bool {
        let Some(id) = &payload.request_id else { return false };
        // R6: a reply must come on the stream of its request.
        let is_same = |own: Option<&str>| framing == Framing::Bare || own == stream;
        match self.cx.routes.get(id) {
            Some(Route::To(Destination::Request(key))) if is_same(self.requests.stream_of(key)) => {
                self.requests.handle_reply(&mut self.cx, key, payload);
            }
            Some(Route::To(Destination::Upstream(key)))
                if is_same(self.subscriptions.stream(key)) =>
            {
                let payload_json = || envelope::whole_payload(framing, text);
                return self.subscriptions.handle(&mut self.cx, key, payload, payload_json);
            }
            Some(Route::To(Destination::Refresh(key)))
                if is_same(self.subscriptions.refresh_stream(key)) =>
            {
                self.subscriptions.refresh_replied(&mut self.cx, key, payload);
            }
            Some(Route::Abandoned | Route::Released) => self.cx.stats.late += 1,
            _ => return false,
        }
        true
    }

    /// Routes a JSON object that is not an envelope. Only listeners can match it.
    fn route_foreign(&mut self, framing: Framing, text: &str) {
        let mut has_match = self.cx.too_large.is_some();
        for destination in self.cx.selectors.matching(framing, None, text) {
            if let Destination::Listener(key) = destination {
                if self.cx.too_large.is_some() {
                    self.listeners.miss(&mut self.cx, key);
                    continue;
                }
                let payload = Json::from_checked(text.trim());
                let event = ListenerEvent::Frame { stream: None, payload };
                self.listeners.push(&mut self.cx, key, event);
                has_match = true;
            }
        }
        if !has_match {
            self.cx.unhandled(text);
        }
    }

    fn connection_failed(&mut self, error: &ConnectionError, action: Option<FailureAction>) {
        if self.link.finish_closing_handshake(&mut self.cx) {
            return;
        }
        // The cause of a gap is the lost connection, not a failed dial after it.
        let cause = self.link.is_open().then_some(error);
        self.cx.stats.disconnects += u64::from(cause.is_some());
        self.cx.stats.failed_attempts += u64::from(cause.is_none());
        self.subscriptions.note_outlived(&mut self.cx);
        let is_death = cause.is_some_and(|cause| self.subscriptions.is_death(&self.cx, cause));
        let requests = self.requests.count_recent(&self.cx);
        if is_death && self.subscriptions.blame(&mut self.cx, error, requests) {
            // L3: the suspects are held back already, and the others must not wait longer each time.
            self.link.reset_failures();
        }
        let stop = match &self.closing {
            Some(_) => {
                self.link.disconnect(&mut self.cx);
                Some(CloseReason::ByCaller)
            }
            None => self.link.handle_failure(&mut self.cx, error, action),
        };
        self.connection_lost(error, cause.is_some(), is_death);
        if let Some(reason) = stop {
            self.finish(reason, None);
        }
    }

    /// Fails or requeues the requests in flight (R4), and prepares the replay of subscriptions.
    pub(super) fn connection_lost(
        &mut self,
        error: &ConnectionError,
        was_open: bool,
        is_death: bool,
    ) {
        let cause = was_open.then_some(error);
        self.cx.routes.forget_retired();
        match cause {
            Some(&ConnectionError::TooLarge { size, limit }) => {
                self.blame_too_large((size, limit));
                // Before collections forget their requests: a list that was to blame must not be repeated.
                self.run_collections();
            }
            Some(_) => self.subscriptions.refresh_one_at_a_time(false),
            None => {}
        }
        match cause {
            Some(cause) => self.disconnect_collections(cause),
            None => self.report_failed_dial(error),
        }
        self.subscriptions.disconnected(&mut self.cx, cause);
        self.requests.connection_lost(&mut self.cx, error, is_death);
        self.run_collections();
    }

    /// A message over the size limit has ended the connection, and nothing shows whose it was (F5). If only one request
    /// or refresh was unanswered, it fails. Otherwise refreshes go one at a time until the guilty one is found, or a
    /// connection ends for another reason.
    fn blame_too_large(&mut self, large: (usize, usize)) {
        match (self.requests.in_flight(), self.subscriptions.refreshes_in_flight()) {
            (1, 0) => self.requests.fail_too_large(&mut self.cx, large),
            (0, 1) => {
                self.subscriptions.fail_refreshes_too_large(&mut self.cx, large);
                self.subscriptions.refresh_one_at_a_time(false);
            }
            (_, 0) => {}
            _ => self.subscriptions.refresh_one_at_a_time(true),
        }
    }
}
