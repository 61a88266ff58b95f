//! What the caller wants.

use std::time::Instant;

use super::Session;
use crate::command::{Request, Subscribe};
use crate::error::{CloseReason, Rejected};
use crate::event::State;
use crate::id::{RequestKey, SubscriptionKey};

impl Session {
    /// Begins to connect. Does nothing when it was opened or closed before.
    ///
    /// ```
    /// # use dcrf_proto::{Config, Seed, Session, Transmit};
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
        self.advance(now);
        match self.closed() {
            Ok(()) => self.requests.request(&mut self.cx, request),
            Err(reason) => Err(Rejected { command: request, reason }),
        }
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
        self.advance(now);
        match self.closed() {
            Ok(()) => self.subscriptions.subscribe(&mut self.cx, subscribe, self.link.is_open()),
            Err(reason) => Err(Rejected { command: subscribe, reason }),
        }
    }

    /// Ends a subscription: nothing more is delivered (S9). The server is told when there is a
    /// connection; what it answers is an [`Event::Unsubscribed`](crate::Event::Unsubscribed).
    ///
    /// ```
    /// # use dcrf_proto::{Config, Event, Seed, Session, Subscribe};
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

    /// Reports that whoever drives the session stops doing so: everything that waits settles, and no
    /// connection is made any more.
    ///
    /// ```
    /// # use dcrf_proto::{CloseReason, Config, Seed, Session, State};
    /// # use std::time::Instant;
    /// # let (mut session, now) = (Session::new(Config::default(), Seed::from([7; 32]), Instant::now()), Instant::now());
    /// session.stop_driving(now);
    /// assert_eq!(*session.state(), State::Closed(CloseReason::DriverStopped));
    /// ```
    pub fn stop_driving(&mut self, now: Instant) {
        self.advance(now);
        if !matches!(self.link.state(), State::Closed(_)) {
            self.finish(CloseReason::DriverStopped, None);
        }
    }
}
