//! What the caller wants.

use std::time::Instant;

use super::Session;
use super::closing::LINGER;
use crate::command::{CloseFrame, Request, Subscribe};
use crate::error::{CloseReason, ConnectionError, RejectReason, Rejected, SubscriptionError};
use crate::event::ConnectionState;
use crate::id::{ListenerKey, ReplyStreamKey, RequestKey, SubscriptionKey};
use crate::protocol::selector::Selector;

impl Session {
    /// Begins to connect. Does nothing when it was opened or closed before.
    ///
    /// ```
    /// # use dcrf_proto::{Frame, Config, Seed, Session, Transmit};
    /// # use std::time::Instant;
    /// # let (mut session, now) = (Session::new(Config::default(), Seed::from([7; 32]), Instant::now()), Instant::now());
    /// session.open(now);
    /// assert!(matches!(session.poll_transmit(), Some(Transmit::Dial(_))));
    /// ```
    pub fn open(&mut self, now: Instant) {
        self.advance(now);
        if self.link.is_idle() {
            self.link.dial(&mut self.cx);
        }
    }

    /// Makes a request: it is sent as soon as there is a connection, behind those made before it (R1).
    /// Its end is an [`Event::Settled`](crate::Event::Settled).
    ///
    /// ```
    /// # use dcrf_proto::{Config, Request, Seed, Session};
    /// # use std::time::Instant;
    /// # let (mut session, now) = (Session::new(Config::default(), Seed::from([7; 32]), Instant::now()), Instant::now());
    /// let people = session.request(Request::list("people"), now)?;
    /// # Ok::<(), dcrf_proto::Rejected<Request>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The request, with the reason why it was not accepted.
    pub fn request(
        &mut self,
        request: Request,
        now: Instant,
    ) -> Result<RequestKey, Rejected<Request>> {
        self.accept(request, now, |session, request| {
            let request = session.check_fail_fast(request)?;
            session.requests.request(&mut session.cx, request)
        })
    }

    /// Gives up a request: it is not sent if it was not yet, and nothing is reported of it, unless it has
    /// settled already (R9).
    ///
    /// ```
    /// # use dcrf_proto::{Config, Request, Seed, Session};
    /// # use std::time::Instant;
    /// # let (mut session, now) = (Session::new(Config::default(), Seed::from([7; 32]), Instant::now()), Instant::now());
    /// let people = session.request(Request::list("people"), now)?;
    /// session.cancel(people);
    /// assert_eq!(session.stats().requests, 0);
    /// # Ok::<(), dcrf_proto::Rejected<Request>>(())
    /// ```
    pub fn cancel(&mut self, request: RequestKey) {
        self.requests.cancel(&mut self.cx, request);
        self.settle_close();
    }

    /// Makes a request that is answered by any number of replies, such as the list of a consumer with
    /// `StreamedPaginatedListMixin` (R12). They are read with [`poll_reply`](Self::poll_reply).
    ///
    /// The request's timeout is counted anew with each reply. The server does not tell the end of such a stream, so
    /// the caller does, by [`finish_reply_stream`](Self::finish_reply_stream).
    ///
    /// ```
    /// # use dcrf_proto::{Config, Request, Seed, Session};
    /// # use std::time::Instant;
    /// # let (mut session, now) = (Session::new(Config::default(), Seed::from([7; 32]), Instant::now()), Instant::now());
    /// let rows = session.stream(Request::list("rows").cancel_action("list_cancel"), now)?;
    /// # Ok::<(), dcrf_proto::Rejected<Request>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The request, with the reason why it was not accepted.
    pub fn stream(
        &mut self,
        request: Request,
        now: Instant,
    ) -> Result<ReplyStreamKey, Rejected<Request>> {
        self.accept(request, now, |session, request| {
            let request = session.check_fail_fast(request)?;
            session.requests.stream(&mut session.cx, request)
        })
    }

    /// Ends a stream of replies whose last reply has come. The key is no longer used.
    ///
    /// ```
    /// # use dcrf_proto::{Config, Request, Seed, Session};
    /// # use std::time::Instant;
    /// # let (mut session, now) = (Session::new(Config::default(), Seed::from([7; 32]), Instant::now()), Instant::now());
    /// # let rows = session.stream(Request::list("rows"), now)?;
    /// session.finish_reply_stream(rows);
    /// # Ok::<(), dcrf_proto::Rejected<Request>>(())
    /// ```
    pub fn finish_reply_stream(&mut self, replies: ReplyStreamKey) {
        self.requests.leave_replies(&mut self.cx, replies, true);
        self.settle_close();
    }

    /// Gives up a stream of replies. If its request was sent, its [cancel action](Request::cancel_action) is sent
    /// too. The key is no longer used.
    ///
    /// ```
    /// # use dcrf_proto::{Config, Request, Seed, Session};
    /// # use std::time::Instant;
    /// # let (mut session, now) = (Session::new(Config::default(), Seed::from([7; 32]), Instant::now()), Instant::now());
    /// # let rows = session.stream(Request::list("rows"), now)?;
    /// session.cancel_reply_stream(rows);
    /// # Ok::<(), dcrf_proto::Rejected<Request>>(())
    /// ```
    pub fn cancel_reply_stream(&mut self, replies: ReplyStreamKey) {
        self.requests.leave_replies(&mut self.cx, replies, false);
        self.settle_close();
    }

    /// Sends a message that nobody awaits an answer to, as soon as there is a connection, behind what waits
    /// already (R10). A reply is dropped.
    ///
    /// It waits as long as the session lives, unless it has a [timeout](Request::timeout).
    ///
    /// ```
    /// # use dcrf_proto::{Config, Request, Seed, Session};
    /// # use std::time::Instant;
    /// # let (mut session, now) = (Session::new(Config::default(), Seed::from([7; 32]), Instant::now()), Instant::now());
    /// session.send(Request::new("chat", "typing"), now)?;
    /// # Ok::<(), dcrf_proto::Rejected<Request>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The message, with the reason why it was not accepted.
    pub fn send(&mut self, message: Request, now: Instant) -> Result<(), Rejected<Request>> {
        self.accept(message, now, |session, message| {
            let message = session.check_fail_fast(message)?;
            session.requests.send(&mut session.cx, message, false)
        })
    }

    /// As [`send`](Self::send), on this connection or not at all: it is dropped when the connection is lost before
    /// it was sent, and counted ([`Stats::unsent`](crate::Stats::unsent)).
    ///
    /// ```
    /// # use dcrf_proto::{Config, RejectReason, Request, Seed, Session};
    /// # use std::time::Instant;
    /// # let (mut session, now) = (Session::new(Config::default(), Seed::from([7; 32]), Instant::now()), Instant::now());
    /// let rejected = session.send_now(Request::new("chat", "typing"), now).unwrap_err();
    /// assert_eq!(rejected.reason, RejectReason::NotConnected);
    /// ```
    ///
    /// # Errors
    ///
    /// The message, with the reason why it was not accepted: [`RejectReason::NotConnected`], or another.
    pub fn send_now(&mut self, message: Request, now: Instant) -> Result<(), Rejected<Request>> {
        self.accept(message, now, |session, message| {
            if session.link.is_open() {
                session.requests.send(&mut session.cx, message, true)
            } else {
                Err(Rejected { command: message, reason: RejectReason::NotConnected })
            }
        })
    }

    /// Subscribes, now and on each connection to come (S1). What it delivers is read with
    /// [`poll_change`](Self::poll_change).
    ///
    /// ```
    /// # use dcrf_proto::{Config, Seed, Session, Subscribe};
    /// # use std::time::Instant;
    /// # let (mut session, now) = (Session::new(Config::default(), Seed::from([7; 32]), Instant::now()), Instant::now());
    /// let person = session.subscribe(Subscribe::instance("people", 4), now)?;
    /// # Ok::<(), dcrf_proto::Rejected<Subscribe>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The subscription, with the reason why it was not accepted.
    pub fn subscribe(
        &mut self,
        subscribe: Subscribe,
        now: Instant,
    ) -> Result<SubscriptionKey, Rejected<Subscribe>> {
        self.accept(subscribe, now, |session, subscribe| {
            session.subscriptions.subscribe(&mut session.cx, subscribe, session.link.is_open())
        })
    }

    /// Ends a subscription: nothing more is delivered (S9). The server is told when there is a
    /// connection; what it answers is an [`Event::Unsubscribed`](crate::Event::Unsubscribed).
    ///
    /// ```
    /// # use dcrf_proto::{Config, Frame, Event, Seed, Session, Subscribe};
    /// # use std::time::Instant;
    /// # let (mut session, now) = (Session::new(Config::default(), Seed::from([7; 32]), Instant::now()), Instant::now());
    /// let person = session.subscribe(Subscribe::instance("people", 4), now)?;
    /// session.unsubscribe(person, now);
    /// let unsubscribed = Event::Unsubscribed { subscription: person, result: Ok(()) };
    /// assert_eq!(session.poll_event(), Some(unsubscribed));
    /// # Ok::<(), dcrf_proto::Rejected<Subscribe>>(())
    /// ```
    pub fn unsubscribe(&mut self, subscription: SubscriptionKey, now: Instant) {
        self.advance(now);
        self.subscriptions.unsubscribe(&mut self.cx, subscription);
    }

    /// Listens to all frames that `selector` takes, also those that answer a request or tell a change (F2). They are
    /// read with [`poll_listener`](Self::poll_listener).
    ///
    /// ```
    /// # use dcrf_proto::{Config, Seed, Selector, Session};
    /// # use std::time::Instant;
    /// # let (mut session, now) = (Session::new(Config::default(), Seed::from([7; 32]), Instant::now()), Instant::now());
    /// let ticks = Selector::stream("tools").contains(serde_json::json!({"type": "tick"}));
    /// let ticks = session.listen(ticks, now)?;
    /// # Ok::<(), dcrf_proto::Rejected<Selector>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The selector, with the reason why it was not accepted.
    pub fn listen(
        &mut self,
        selector: Selector,
        now: Instant,
    ) -> Result<ListenerKey, Rejected<Selector>> {
        self.accept(selector, now, |session, selector| {
            session.listeners.listen(&mut session.cx, selector)
        })
    }

    /// Listens no more. The key is no longer used.
    ///
    /// ```
    /// # use dcrf_proto::{Config, Seed, Selector, Session};
    /// # use std::time::Instant;
    /// # let (mut session, now) = (Session::new(Config::default(), Seed::from([7; 32]), Instant::now()), Instant::now());
    /// let all = session.listen(Selector::any(), now)?;
    /// session.unlisten(all);
    /// assert_eq!(session.stats().listeners, 0);
    /// # Ok::<(), dcrf_proto::Rejected<Selector>>(())
    /// ```
    pub fn unlisten(&mut self, listener: ListenerKey) {
        self.listeners.unlisten(&mut self.cx, listener);
    }

    /// Ends all subscriptions, those too that the server has not acknowledged and those that wait for a
    /// connection, and says how many (S12). What has not been read is dropped: the next that each reader gets
    /// is [`SubscriptionError::Unsubscribed`](crate::SubscriptionError::Unsubscribed). The server is told when there is a connection.
    ///
    /// ```
    /// # use dcrf_proto::{Config, SubscriptionError, Seed, Session, Subscribe};
    /// # use std::time::Instant;
    /// # let (mut session, now) = (Session::new(Config::default(), Seed::from([7; 32]), Instant::now()), Instant::now());
    /// let person = session.subscribe(Subscribe::instance("people", 4), now)?;
    /// assert_eq!(session.unsubscribe_all(now), 1);
    /// assert_eq!(session.poll_change(person), Some(Err(SubscriptionError::Unsubscribed)));
    /// # Ok::<(), dcrf_proto::Rejected<Subscribe>>(())
    /// ```
    pub fn unsubscribe_all(&mut self, now: Instant) -> usize {
        self.advance(now);
        self.subscriptions.end_all(&mut self.cx, &SubscriptionError::Unsubscribed)
    }

    /// Sends all subscriptions once more on this connection, as after a reconnect but without a gap: for a
    /// server that has lost them (S12). What it refuses ends as at a replay (S7). Those whose frame is on its
    /// way are not sent twice; without a connection there is nothing to do, since the next one brings them all.
    ///
    /// ```
    /// # use dcrf_proto::{Config, Seed, Session, Subscribe};
    /// # use std::time::Instant;
    /// # let (mut session, now) = (Session::new(Config::default(), Seed::from([7; 32]), Instant::now()), Instant::now());
    /// let person = session.subscribe(Subscribe::instance("people", 4), now)?;
    /// session.resubscribe(now);
    /// # Ok::<(), dcrf_proto::Rejected<Subscribe>>(())
    /// ```
    pub fn resubscribe(&mut self, now: Instant) {
        self.advance(now);
        if self.link.is_open() && self.closed().is_ok() {
            self.subscriptions.resubscribe(&mut self.cx);
        }
    }

    /// Asks at once whether the server is still there (L10): when nothing arrives within 2 seconds, the connection
    /// is lost with [`ConnectionError::Silent`]. For whoever notices that the network has changed, or that the machine was
    /// suspended. Does nothing without a connection, and while a probe is under way.
    ///
    /// ```
    /// # use dcrf_proto::{Frame, Config, Seed, Session, Transmit};
    /// # use std::time::Instant;
    /// # let (mut session, now) = (Session::new(Config::default(), Seed::from([7; 32]), Instant::now()), Instant::now());
    /// session.open(now);
    /// let Some(Transmit::Dial(epoch)) = session.poll_transmit() else { unreachable!() };
    /// session.handle_connected(epoch, now);
    /// session.probe(now);
    /// assert_eq!(session.poll_transmit(), Some(Transmit::Frame(epoch, Frame::Ping)));
    /// ```
    pub fn probe(&mut self, now: Instant) {
        self.advance(now);
        self.link.probe(&mut self.cx);
    }

    /// Makes a new connection in place of the one that there is (L13), and forgets earlier failures. An open
    /// connection is closed with `frame`, and the session dials when the server has answered that, at the latest
    /// after a second; otherwise it dials at once, in place of a wait or of a dial under way. What was on its way
    /// is treated as at any loss, with [`ConnectionError::Reconnect`] as the cause of gaps.
    ///
    /// Opens a session that was not opened yet. Does nothing when it is closed, or is being closed.
    ///
    /// ```
    /// # use dcrf_proto::{Frame, CloseFrame, Config, ConnectionError, Seed, Session, ConnectionState, Transmit};
    /// # use std::time::Instant;
    /// # let (mut session, now) = (Session::new(Config::default(), Seed::from([7; 32]), Instant::now()), Instant::now());
    /// session.open(now);
    /// let Some(Transmit::Dial(epoch)) = session.poll_transmit() else { unreachable!() };
    /// session.handle_disconnected(epoch, ConnectionError::Dropped, now);
    /// assert!(matches!(session.state(), ConnectionState::Waiting { .. }));
    /// session.force_reconnect(CloseFrame::normal(), now);
    /// assert_eq!(*session.state(), ConnectionState::Connecting { attempt: 1 });
    /// ```
    pub fn force_reconnect(&mut self, frame: CloseFrame, now: Instant) {
        self.advance(now);
        if self.closed().is_err() {
            return;
        }
        let was_open = self.link.is_open();
        let deadline = self.cx.after(LINGER);
        self.link.force_reconnect(&mut self.cx, frame.sendable(), deadline);
        if was_open {
            self.connection_lost(Some(&ConnectionError::Reconnect));
        }
    }

    /// Reports that whoever drives the session stops doing so: everything that waits settles, and no
    /// connection is made any more.
    ///
    /// ```
    /// # use dcrf_proto::{CloseReason, Config, Seed, Session, ConnectionState};
    /// # use std::time::Instant;
    /// # let (mut session, now) = (Session::new(Config::default(), Seed::from([7; 32]), Instant::now()), Instant::now());
    /// session.stop_driving(now);
    /// assert_eq!(*session.state(), ConnectionState::Closed(CloseReason::DriverStopped));
    /// ```
    pub fn stop_driving(&mut self, now: Instant) {
        self.advance(now);
        if !matches!(self.link.state(), ConnectionState::Closed(_)) {
            self.finish(CloseReason::DriverStopped, None);
        }
    }

    /// Rejects a request that must not wait for a connection if there is none (R1).
    fn check_fail_fast(&self, request: Request) -> Result<Request, Rejected<Request>> {
        if request.fail_fast && !self.link.is_open() {
            return Err(Rejected { command: request, reason: RejectReason::NotConnected });
        }
        Ok(request)
    }

    /// Takes a command, unless the session is closed.
    fn accept<C, K>(
        &mut self,
        command: C,
        now: Instant,
        take: impl FnOnce(&mut Self, C) -> Result<K, Rejected<C>>,
    ) -> Result<K, Rejected<C>> {
        self.advance(now);
        let accepted = match self.closed() {
            Ok(()) => take(self, command),
            Err(reason) => Err(Rejected { command, reason }),
        };
        accepted.inspect_err(|rejected| self.cx.rejected(&rejected.reason))
    }
}
