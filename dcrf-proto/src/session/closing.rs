//! How a session closes: at once, or after the requests in flight (C1).

use std::time::{Duration, Instant};

use super::Session;
use crate::command::{CloseFrame, CloseOptions};
use crate::error::{CloseReason, SubscriptionError};
use crate::event::ConnectionState;
use crate::timer::Timer;

/// The timeout of the closing handshake.
pub(super) const LINGER: Duration = Duration::from_secs(1);

/// A close that waits for requests in flight.
#[derive(Debug)]
pub(super) struct Closing {
    frame: CloseFrame,
    /// Close now if requests are still in flight at this instant.
    deadline: Instant,
}

impl Session {
    /// Closes the session for good.
    ///
    /// With a connection, it first waits for requests in flight, up to its [`wait`](method@CloseOptions::wait); without one, it closes
    /// at once. A second call can only shorten the wait.
    ///
    /// ```
    /// # use dcrf_proto::{CloseOptions, CloseReason, Config, Seed, Session, ConnectionState};
    /// # use std::time::Instant;
    /// # let (mut session, now) = (Session::new(Config::default(), Seed::from([7; 32]), Instant::now()), Instant::now());
    /// session.close(CloseOptions::default(), now);
    /// assert_eq!(*session.state(), ConnectionState::Closed(CloseReason::ByCaller));
    /// ```
    pub fn close(&mut self, close: CloseOptions, now: Instant) {
        self.advance(now);
        if matches!(self.link.state(), ConnectionState::Closed(_)) {
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
            let error = SubscriptionError::Closed(CloseReason::ByCaller);
            self.subscriptions.end_all(&mut self.cx, &error);
        }
        self.closing = Some(Closing { frame: close.frame, deadline });
        self.cx.timers.set(deadline, Timer::Close);
        if !self.link.is_open() || deadline <= self.cx.now {
            self.finish_close();
        } else {
            self.finish_close_if_idle();
        }
    }

    /// Finishes a pending close if nothing is in flight any more.
    pub(super) fn finish_close_if_idle(&mut self) {
        let is_idle = || self.requests.len() == 0 && !self.subscriptions.is_unsubscribing();
        if self.closing.is_some() && is_idle() {
            self.finish_close();
        }
    }

    pub(super) fn close_timed_out(&mut self) {
        if self.closing.is_some() {
            self.finish_close();
        } else {
            self.link.finish_closing_handshake(&mut self.cx);
        }
    }

    fn finish_close(&mut self) {
        let Some(closing) = self.closing.take() else { return };
        self.cx.timers.clear(closing.deadline, Timer::Close);
        let handshake = (closing.frame, self.cx.after(LINGER));
        self.finish(CloseReason::ByCaller, Some(handshake));
    }

    /// Closes the session: all requests settle and all subscriptions end (C1). With `handshake`, the socket gets until
    /// that instant to finish its closing handshake.
    pub(super) fn finish(&mut self, reason: CloseReason, handshake: Option<(CloseFrame, Instant)>) {
        if let Some(closing) = self.closing.take() {
            self.cx.timers.clear(closing.deadline, Timer::Close);
        }
        self.close_collections(&reason);
        self.requests.close(&mut self.cx, &reason);
        self.subscriptions.close(&mut self.cx, &reason);
        self.link.close(&mut self.cx, reason, handshake);
    }
}
