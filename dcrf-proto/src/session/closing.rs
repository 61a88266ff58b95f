//! How a session ends: at once, or after a wait for what is in flight (C1).

use std::time::{Duration, Instant};

use super::Session;
use crate::command::{CloseFrame, CloseOptions};
use crate::error::{CloseReason, SubscriptionError};
use crate::event::ConnectionState;
use crate::timer::Timer;

/// How long the closing handshake may take.
pub(super) const LINGER: Duration = Duration::from_secs(1);

/// A close that waits for what is in flight.
#[derive(Debug)]
pub(super) struct Closing {
    frame: CloseFrame,
    /// When the waiting ends.
    deadline: Instant,
}

impl Session {
    /// Closes for good (C1): no connection is made after that (L11). With a connection and something in
    /// flight it first waits, as long as `close` says; without one it is closed at once. A second close
    /// can only shorten the first one's wait.
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
            let ended = SubscriptionError::Closed(CloseReason::ByCaller);
            self.subscriptions.end_all(&mut self.cx, &ended);
        }
        self.closing = Some(Closing { frame: close.frame, deadline });
        self.cx.timers.set(deadline, Timer::Close);
        if !self.link.is_open() || deadline <= self.cx.now {
            self.finish_close();
        } else {
            self.settle_close();
        }
    }

    /// Ends the wait of a close once nothing is left to wait for.
    pub(super) fn settle_close(&mut self) {
        let waits = || self.requests.len() > 0 || self.subscriptions.is_unsubscribing();
        if self.closing.is_some() && !waits() {
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
        let farewell = (closing.frame, self.cx.after(LINGER));
        self.finish(CloseReason::ByCaller, Some(farewell));
    }

    /// The one place where the session ends: everything settles (C1).
    pub(super) fn finish(&mut self, reason: CloseReason, farewell: Option<(CloseFrame, Instant)>) {
        if let Some(closing) = self.closing.take() {
            self.cx.timers.clear(closing.deadline, Timer::Close);
        }
        self.requests.close(&mut self.cx, &reason);
        self.subscriptions.close(&mut self.cx, &reason);
        self.link.close(&mut self.cx, reason, farewell);
    }
}
