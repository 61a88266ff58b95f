//! The session: one client's side of a conversation that outlives its connections. It is told what
//! happened and asked what to do; everything else in this crate serves it.

use std::fmt;
use std::time::Instant;

use crate::context::{Context, Route};
use crate::link::Link;
use crate::requests::Requests;
use crate::subscriptions::{Outgoing, Subscriptions};
use crate::timer::Timer;
use crate::wire::envelope::{self, Envelope, Frame, IdField};
use crate::wire::json;
use crate::{
    Change, Close, CloseFrame, CloseReason, Config, Ended, Epoch, Event, Framing, Lost, Rejected,
    Rejection, Request, RequestKey, Seed, State, Stats, Subscribe, SubscriptionKey,
};

/// How long the closing handshake may take.
const LINGER: std::time::Duration = std::time::Duration::from_secs(1);

/// What the session wants done next.
///
/// `Debug` shows the length of a text only (X1).
#[derive(PartialEq, Eq)]
#[non_exhaustive]
pub enum Transmit {
    /// Make a connection, and report [`Session::handle_opened`] or [`Session::handle_lost`] with this
    /// epoch.
    Dial(Epoch),
    /// Send a text message.
    Text(Epoch, String),
    /// Send a ping.
    Ping(Epoch),
    /// Begin the closing handshake with this frame, and report [`Session::handle_lost`] when the
    /// connection has ended.
    Close(Epoch, CloseFrame),
}

impl fmt::Debug for Transmit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dial(epoch) => write!(f, "Dial({epoch})"),
            Self::Text(epoch, text) => write!(f, "Text({epoch}, {} bytes)", text.len()),
            Self::Ping(epoch) => write!(f, "Ping({epoch})"),
            Self::Close(epoch, frame) => write!(f, "Close({epoch}, {})", frame.code),
        }
    }
}

/// One client's side of the conversation with a server, over as many connections as it takes.
///
/// It does no I/O, reads no clock and draws no randomness of its own: whoever embeds it tells it what
/// happened and asks it what to do. Its methods come in four groups:
///
/// - **getters**, such as [`state`](Self::state);
/// - **`handle_*`**: what the outside world did;
/// - **commands**: what the caller wants, such as [`request`](Self::request);
/// - **`poll_*`**: what to do next, and what to tell.
///
/// Any method may be called at any time and in any order. Input for an [`Epoch`] that is over is
/// ignored. The time is an argument; it never runs backwards for the session, whatever is passed.
///
/// The [crate's documentation](crate) holds a complete run loop.
pub struct Session {
    cx: Context,
    link: Link,
    requests: Requests,
    subscriptions: Subscriptions,
    closing: Option<Closing>,
}

/// A close that waits for what is in flight (C1).
#[derive(Debug)]
struct Closing {
    frame: CloseFrame,
    /// When the waiting ends.
    deadline: Instant,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("state", self.state())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

// Getters
impl Session {
    /// A session that is not opened yet. `seed` must be of its own and unpredictable in production;
    /// the same seed and the same calls give the same session.
    ///
    /// ```
    /// use dcrf_proto::{Config, Seed, Session, State};
    /// use std::time::Instant;
    ///
    /// let session = Session::new(Config::default(), Seed::from([7; 32]), Instant::now());
    /// assert_eq!(*session.state(), State::Idle);
    /// ```
    #[expect(clippy::needless_pass_by_value, reason = "a seed is used once")]
    pub fn new(config: Config, seed: Seed, now: Instant) -> Self {
        Self {
            cx: Context::new(config, &seed, now),
            link: Link::new(),
            requests: Requests::new(),
            subscriptions: Subscriptions::new(),
            closing: None,
        }
    }

    /// The state of the connection.
    pub fn state(&self) -> &State {
        self.link.state()
    }

    /// The options.
    pub fn config(&self) -> &Config {
        &self.cx.config
    }

    /// Counters and gauges.
    pub fn stats(&self) -> Stats {
        Stats {
            requests: self.requests.len(),
            waiting_requests: self.requests.waiting(),
            subscriptions: self.subscriptions.len(),
            ..self.cx.stats
        }
    }

    /// Whether the server has acknowledged a subscription, and it has not ended.
    pub fn is_acknowledged(&self, subscription: SubscriptionKey) -> bool {
        self.subscriptions.is_acknowledged(subscription)
    }

    /// Why a subscription has ended. It may still have changes to read.
    pub fn ended(&self, subscription: SubscriptionKey) -> Option<&Ended> {
        self.subscriptions.ended(subscription)
    }

    /// The connection that the session uses or makes now. Drop a socket, and give up a dial, of any other
    /// epoch: the session has given it up, since it was silent for too long or took too long.
    pub fn epoch(&self) -> Option<Epoch> {
        self.link.epoch()
    }

    /// Whether the session is closed and no socket is left to look after: the run loop may end.
    pub fn is_finished(&self) -> bool {
        self.link.is_finished()
    }

    fn closed(&self) -> Result<(), Rejection> {
        match self.link.state() {
            State::Closed(reason) => Err(Rejection::Closed(reason.clone())),
            _ if self.closing.is_some() => Err(Rejection::Closed(CloseReason::ByCaller)),
            _ => Ok(()),
        }
    }
}

// What the outside world did
impl Session {
    /// The WebSocket of `epoch` is open.
    pub fn handle_opened(&mut self, epoch: Epoch, now: Instant) {
        self.advance(now);
        if self.link.opened(&mut self.cx, epoch) {
            self.subscriptions.opened(&mut self.cx);
        }
    }

    /// A text message has arrived.
    pub fn handle_text(&mut self, epoch: Epoch, text: &str, now: Instant) {
        if !self.hear(epoch, now) {
            return;
        }
        let framing = self.cx.config.framing;
        match envelope::decode(framing, text) {
            Frame::Envelope(envelope) => self.route(framing, &envelope, text),
            Frame::Foreign => self.cx.unhandled(text),
            Frame::Malformed => self.repair(framing, text),
        }
        self.settle_close();
    }

    /// F3: what Python's NaN alone makes malformed is read without it; the rest is dropped (F4).
    fn repair(&mut self, framing: Framing, text: &str) {
        let repaired = json::without_nan(text);
        match envelope::decode(framing, &repaired) {
            Frame::Envelope(envelope) => self.route(framing, &envelope, &repaired),
            Frame::Foreign => self.cx.unhandled(&repaired),
            Frame::Malformed => self.cx.stats.malformed += 1,
        }
    }

    /// A binary message has arrived. DCRF sends none, so it is dropped and counted (F4).
    pub fn handle_binary(&mut self, epoch: Epoch, bytes: &[u8], now: Instant) {
        let _ = bytes;
        if self.hear(epoch, now) {
            self.cx.stats.malformed += 1;
        }
    }

    /// A ping or a pong has arrived: the server is there.
    pub fn handle_pong(&mut self, epoch: Epoch, now: Instant) {
        self.hear(epoch, now);
    }

    /// The connection of `epoch`, or the attempt to make it, has ended.
    #[expect(clippy::needless_pass_by_value, reason = "the caller has no more use for it")]
    pub fn handle_lost(&mut self, epoch: Epoch, why: Lost, now: Instant) {
        self.advance(now);
        if self.link.epoch() == Some(epoch) {
            self.lose(&why);
        }
    }

    /// Looks at the deadlines. Calling it too early, or too often, does nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.advance(now);
        while let Some(timer) = self.cx.timers.pop_due(self.cx.now) {
            match timer {
                Timer::Dial => self.lose(&Lost::DialTimedOut(self.cx.config.dial_timeout)),
                Timer::Backoff => self.link.dial(&mut self.cx),
                Timer::Heartbeat => {
                    if let Some(silent) = self.link.beat(&mut self.cx) {
                        self.lose(&silent);
                    }
                }
                Timer::Close => self.close_timed_out(),
                Timer::Request(key) => self.requests.timed_out(&mut self.cx, key),
                Timer::Wire(key) => self.subscriptions.timer_fired(&mut self.cx, key),
            }
        }
        self.settle_close();
    }

    fn advance(&mut self, now: Instant) {
        self.cx.now = self.cx.now.max(now);
    }

    /// A frame of `epoch` has arrived. Says whether it counts.
    fn hear(&mut self, epoch: Epoch, now: Instant) -> bool {
        self.advance(now);
        let counts = self.link.is_open_in(epoch);
        if counts {
            self.link.heard(self.cx.now);
            self.cx.stats.received += 1;
        }
        counts
    }

    /// The one place where a frame is routed.
    fn route(&mut self, framing: Framing, envelope: &Envelope<'_>, text: &str) {
        let payload = &envelope.payload;
        let route = match &payload.request_id {
            IdField::Id(id) => self.cx.routes.get(id),
            IdField::Absent | IdField::Other => None,
        };
        // R6: an answer comes on the stream that was asked.
        let agrees = |stream: Option<&str>| match framing {
            Framing::Multiplexed => envelope.stream.as_ref().and_then(|s| s.0.as_deref()) == stream,
            Framing::Bare => true,
        };
        match route {
            Some(Route::Request(key)) if agrees(self.requests.stream(key)) => {
                if !self.requests.reply(&mut self.cx, key, payload) {
                    self.cx.stats.late += 1;
                }
            }
            Some(Route::Wire(key)) if agrees(self.subscriptions.stream(key)) => {
                let whole = || envelope::whole_payload(framing, text);
                self.subscriptions.handle(&mut self.cx, key, payload, whole);
            }
            Some(Route::Abandoned) => self.cx.stats.late += 1,
            _ => self.cx.unhandled(text),
        }
    }

    fn lose(&mut self, why: &Lost) {
        if matches!(self.link.state(), State::Closed(_)) {
            return self.link.gone(&mut self.cx);
        }
        let stop = match &self.closing {
            Some(_) => {
                self.link.gone(&mut self.cx);
                Some(CloseReason::ByCaller)
            }
            None => self.link.lost(&mut self.cx, why),
        };
        self.cx.routes.forget_abandoned();
        self.subscriptions.lost(&mut self.cx, why);
        self.requests.lost(&mut self.cx);
        if let Some(reason) = stop {
            self.finish(reason, None);
        }
    }
}

// What the caller wants
impl Session {
    /// Begins to connect. Does nothing when it was opened or closed before.
    pub fn open(&mut self, now: Instant) {
        self.advance(now);
        if self.link.is_idle() {
            self.link.dial(&mut self.cx);
        }
    }

    /// Makes a request: it is sent as soon as there is a connection, behind those made before it (R1).
    /// Its end is an [`Event::Settled`].
    ///
    /// # Errors
    ///
    /// The request, with the reason why it was not accepted.
    pub fn request(
        &mut self,
        request: Request,
        now: Instant,
    ) -> Result<RequestKey, Rejected<Request>> {
        self.advance(now);
        match self.closed() {
            Ok(()) => self.requests.request(&mut self.cx, request),
            Err(reason) => Err(Rejected { command: request, reason }),
        }
    }

    /// Gives up a request: it is not sent if it was not yet, and nothing is reported of it (R9).
    pub fn cancel(&mut self, request: RequestKey) {
        self.requests.cancel(&mut self.cx, request);
        self.settle_close();
    }

    /// Subscribes, now and on each connection to come (S1). What it delivers is read with
    /// [`poll_change`](Self::poll_change).
    ///
    /// # Errors
    ///
    /// The subscription, with the reason why it was not accepted.
    pub fn subscribe(
        &mut self,
        subscribe: Subscribe,
        now: Instant,
    ) -> Result<SubscriptionKey, Rejected<Subscribe>> {
        self.advance(now);
        match self.closed() {
            Ok(()) => self.subscriptions.subscribe(&mut self.cx, subscribe, self.link.is_open()),
            Err(reason) => Err(Rejected { command: subscribe, reason }),
        }
    }

    /// Ends a subscription: nothing more is delivered (S9). The server is told when there is a
    /// connection; what it answers is an [`Event::Unsubscribed`].
    pub fn unsubscribe(&mut self, subscription: SubscriptionKey, now: Instant) {
        self.advance(now);
        self.subscriptions.unsubscribe(&mut self.cx, subscription);
    }

    /// Closes for good (C1): no connection is made after that (L11). With a connection and something in
    /// flight it first waits, as long as `close` says; without one it is closed at once. A second close
    /// can only shorten the first one's wait.
    pub fn close(&mut self, close: Close, now: Instant) {
        self.advance(now);
        if matches!(self.link.state(), State::Closed(_)) {
            return;
        }
        let deadline = self.cx.after(close.wait);
        let deadline = match self.closing.take() {
            Some(earlier) => {
                self.cx.timers.clear(earlier.deadline, Timer::Close);
                deadline.min(earlier.deadline)
            }
            None => deadline,
        };
        if close.unsubscribe {
            self.subscriptions.leave_all(&mut self.cx, &CloseReason::ByCaller);
        }
        self.closing = Some(Closing { frame: close.frame, deadline });
        self.cx.timers.set(deadline, Timer::Close);
        if !self.link.is_open() || deadline <= self.cx.now {
            self.finish_close();
        } else {
            self.settle_close();
        }
    }

    /// Reports that whoever drives the session stops doing so: everything that waits settles, and no
    /// connection is made any more.
    pub fn stop_driving(&mut self, now: Instant) {
        self.advance(now);
        if !matches!(self.link.state(), State::Closed(_)) {
            self.finish(CloseReason::DriverStopped, None);
        }
    }

    /// Ends the wait of a close once nothing is left to wait for.
    fn settle_close(&mut self) {
        let waits = self.requests.len() > 0 || self.subscriptions.is_busy();
        if self.closing.is_some() && !waits {
            self.finish_close();
        }
    }

    fn close_timed_out(&mut self) {
        if self.closing.is_some() {
            self.finish_close();
        } else {
            self.link.gone(&mut self.cx);
        }
    }

    fn finish_close(&mut self) {
        let Some(closing) = self.closing.take() else { return };
        self.cx.timers.clear(closing.deadline, Timer::Close);
        let farewell = (closing.frame, self.cx.after(LINGER));
        self.finish(CloseReason::ByCaller, Some(farewell));
    }

    /// The one place where the session ends: everything settles (C1).
    fn finish(&mut self, reason: CloseReason, farewell: Option<(CloseFrame, Instant)>) {
        if let Some(closing) = self.closing.take() {
            self.cx.timers.clear(closing.deadline, Timer::Close);
        }
        self.requests.close(&mut self.cx, &reason);
        self.subscriptions.close(&mut self.cx, &reason);
        self.link.close(&mut self.cx, reason, farewell);
    }
}

// What to do next, and what to tell
impl Session {
    /// The next thing to do. Poll until there is none, as far as the socket takes more.
    #[must_use]
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        if let Some(command) = self.link.poll_command() {
            return Some(command);
        }
        let epoch = self.link.open_epoch()?;
        // R1, S4: what is subscribed to goes before what waits.
        let text = match self.subscriptions.next_text(&mut self.cx) {
            Outgoing::Text(text) => text,
            Outgoing::Held => return None,
            Outgoing::Nothing => {
                let Some(text) = self.requests.next_text(&mut self.cx) else {
                    // What has just timed out may be the last that a close waited for.
                    self.settle_close();
                    return self.link.poll_command();
                };
                text
            }
        };
        Some(Transmit::Text(epoch, text))
    }

    /// The next thing to tell the caller.
    #[must_use]
    pub fn poll_event(&mut self) -> Option<Event> {
        if let Some(notice) = self.cx.notices.pop() {
            return Some(Event::Notice(notice));
        }
        loop {
            let event = self.cx.events.pop_front()?;
            let (Event::Readable(key) | Event::Subscribed(key)) = event else { return Some(event) };
            // Of a subscription that is gone nothing is told (S9).
            if let Some(member) = self.subscriptions.member_mut(key) {
                member.told(&event);
                return Some(event);
            }
        }
    }

    /// The next change of a subscription. When it has ended, says why once all changes are read; the key
    /// is then no longer used.
    ///
    /// [`Event::Readable`] says when there is something. It is told once for all changes that have come
    /// since this method last returned `None`, so read until it does.
    ///
    /// # Errors
    ///
    /// Why the subscription has ended.
    #[must_use]
    pub fn poll_change(&mut self, subscription: SubscriptionKey) -> Option<Result<Change, Ended>> {
        self.subscriptions.poll_change(subscription)
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.cx.timers.next()
    }
}
