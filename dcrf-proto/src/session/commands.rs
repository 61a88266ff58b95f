//! The commands of the caller.

use std::time::Instant;

use super::Session;
use super::closing::LINGER;
use crate::command::{CloseFrame, Request, Subscribe};
use crate::error::{CloseReason, ConnectionError, RejectReason, Rejected, SubscriptionError};
use crate::event::ConnectionState;
use crate::id::{ListenerKey, ReplyStreamKey, RequestKey, SubscriptionKey};
use crate::protocol::selector::Selector;

impl Session {
    /// Starts connecting. Does nothing if the session was opened or closed before.
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

    /// Queues a request. Requests are sent in the order of the calls, as soon as there is a connection. The result
    /// comes as [`Event::Settled`](crate::Event::Settled).
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
    /// Returns the request, with the reason, if it is rejected.
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

    /// Cancels a request. If it is still queued, it is never sent. No [`Event::Settled`](crate::Event::Settled)
    /// follows, unless the request has settled already.
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
        self.finish_close_if_idle();
    }

    /// Queues a request with any number of replies, such as the list of a consumer with
    /// `StreamedPaginatedListMixin`. Read them with [`poll_reply`](Self::poll_reply).
    ///
    /// Each reply restarts the request's timeout. The server does not mark the last reply, so call
    /// [`finish_reply_stream`](Self::finish_reply_stream) after it.
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
    /// Returns the request, with the reason, if it is rejected.
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

    /// Ends a reply stream after its last reply. The key becomes invalid.
    pub fn finish_reply_stream(&mut self, replies: ReplyStreamKey) {
        self.requests.remove_stream(&mut self.cx, replies, true);
        self.finish_close_if_idle();
    }

    /// Cancels a reply stream. If its request was sent, its [cancel action](Request::cancel_action) is sent as well.
    /// The key becomes invalid.
    pub fn cancel_reply_stream(&mut self, replies: ReplyStreamKey) {
        self.requests.remove_stream(&mut self.cx, replies, false);
        self.finish_close_if_idle();
    }

    /// Queues a message that expects no reply. It is sent as soon as there is a connection, in the order of the calls.
    /// If the server replies nevertheless, the reply is dropped.
    ///
    /// Without a [timeout](Request::timeout) the message stays queued for as long as the session lives.
    ///
    /// # Errors
    ///
    /// Returns the message, with the reason, if it is rejected.
    pub fn send(&mut self, message: Request, now: Instant) -> Result<(), Rejected<Request>> {
        self.accept(message, now, |session, message| {
            let message = session.check_fail_fast(message)?;
            session.requests.send(&mut session.cx, message, false)
        })
    }

    /// Like [`send`](Self::send), but only on the current connection. If it is lost first, the message is dropped and
    /// counted as [`Stats::unsent`](crate::Stats::unsent).
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
    /// Returns the message, with the reason, if it is rejected: without a connection,
    /// [`RejectReason::NotConnected`].
    pub fn send_now(&mut self, message: Request, now: Instant) -> Result<(), Rejected<Request>> {
        self.accept(message, now, |session, message| {
            if session.link.is_open() {
                session.requests.send(&mut session.cx, message, true)
            } else {
                Err(Rejected { command: message, reason: RejectReason::NotConnected })
            }
        })
    }

    /// Subscribes. The subscription survives reconnects. Read its changes with [`poll_change`](Self::poll_change).
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
    /// Returns the subscription, with the reason, if it is rejected.
    pub fn subscribe(
        &mut self,
        subscribe: Subscribe,
        now: Instant,
    ) -> Result<SubscriptionKey, Rejected<Subscribe>> {
        self.accept(subscribe, now, |session, subscribe| {
            session.subscriptions.subscribe(&mut session.cx, subscribe, session.link.is_open())
        })
    }

    /// Ends a subscription and delivers nothing more of it.
    ///
    /// If there is a connection, the server gets an unsubscribe. The result comes as
    /// [`Event::Unsubscribed`](crate::Event::Unsubscribed).
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

    /// Listens to all frames that match `selector`, including replies and changes. Read them with
    /// [`poll_listener`](Self::poll_listener).
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
    /// Returns the selector, with the reason, if it is rejected.
    pub fn listen(
        &mut self,
        selector: Selector,
        now: Instant,
    ) -> Result<ListenerKey, Rejected<Selector>> {
        self.accept(selector, now, |session, selector| {
            session.listeners.listen(&mut session.cx, selector)
        })
    }

    /// Removes a listener. The key becomes invalid.
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

    /// Ends all subscriptions, acknowledged or not, and returns how many there were.
    ///
    /// Unread changes are dropped: each reader gets
    /// [`SubscriptionError::Unsubscribed`](crate::SubscriptionError::Unsubscribed) next. If there is a connection, the
    /// server gets the unsubscribes.
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

    /// Sends all subscriptions again on the current connection, without a gap. Use it if the server has lost them.
    ///
    /// An error reply ends the subscription, as after a reconnect. Subscribes that are in flight are not sent twice.
    /// Does nothing without a connection, because the next one replays all subscriptions anyway.
    pub fn resubscribe(&mut self, now: Instant) {
        self.advance(now);
        if self.link.is_open() && self.check_open().is_ok() {
            self.subscriptions.resubscribe(&mut self.cx);
        }
    }

    /// Checks the connection now. If nothing arrives within 2 seconds, it is lost with [`ConnectionError::Silent`].
    ///
    /// Call it after the network has changed or the machine was suspended. Does nothing without a connection or while
    /// another probe runs.
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

    /// Replaces the connection with a new one and resets the backoff.
    ///
    /// An open connection is closed with `frame`; the session dials after the closing handshake, at most a second
    /// later. Without one, the session dials at once, even while it waits or dials already. Requests in flight and
    /// subscriptions are handled as after any lost connection; gaps have the cause [`ConnectionError::Reconnect`].
    ///
    /// Opens a session that was not opened yet. Does nothing once the session is closed or closing.
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
        if self.check_open().is_err() {
            return;
        }
        let was_open = self.link.is_open();
        let deadline = self.cx.after(LINGER);
        self.link.force_reconnect(&mut self.cx, frame.sendable(), deadline);
        if was_open {
            self.connection_lost(&ConnectionError::Reconnect, true, false);
        }
    }

    /// Closes the session because its driver stops: all requests settle, all subscriptions end, and no connection
    /// follows.
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

    /// Passes a command to `submit`, unless the session is closed.
    pub(super) fn accept<C, K>(
        &mut self,
        command: C,
        now: Instant,
        submit: impl FnOnce(&mut Self, C) -> Result<K, Rejected<C>>,
    ) -> Result<K, Rejected<C>> {
        self.advance(now);
        let accepted = match self.check_open() {
            Ok(()) => submit(self, command),
            Err(reason) => Err(Rejected { command, reason }),
        };
        accepted.inspect_err(|rejected| self.cx.rejected(&rejected.reason))
    }
}
