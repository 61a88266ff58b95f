//! The waits between attempts, and the reasons for a close (L2, L3, L5 to L7, L11).

use std::time::{Duration, Instant};

use dcrf_proto::{CloseReason, ConnectionError, ConnectionState, Session};

use super::closed_reason;
use crate::Nth;

#[derive(Default)]
pub(super) struct Link {
    open: Option<(Nth, Instant)>,
    /// The number of waits since the last stable connection.
    failures: u32,
    /// The losses since then, in order.
    losses: Vec<ConnectionError>,
    /// Whether the last connection may have died of the trial of a suspect, while it served others (L12).
    pub(super) may_restart: bool,
    closing: Closing,
    /// When the last frame arrived or the program resumed.
    last_frame: Option<Instant>,
    /// The sum of the waits as shares of their bounds, and their number.
    shares: (f64, u32),
}

#[derive(Default, PartialEq, Eq)]
enum Closing {
    #[default]
    No,
    /// The caller has closed, and requests are in flight.
    Waiting,
    Done,
}

/// The losses that close a session when repeated.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Unauthorized,
    NotFound,
    Protocol,
    TooLarge,
}

fn class(lost: &ConnectionError) -> Option<Class> {
    match lost {
        ConnectionError::Closed(frame) => match frame.code {
            1008 | 4401 | 4403 => Some(Class::Unauthorized),
            1002 | 1003 | 1007 | 1010 => Some(Class::Protocol),
            _ => None,
        },
        ConnectionError::Http { status: 401 | 403, .. } => Some(Class::Unauthorized),
        ConnectionError::Http { status: 404, .. } => Some(Class::NotFound),
        ConnectionError::TooLarge { .. } => Some(Class::TooLarge),
        _ => None,
    }
}

/// The shortest wait that the server requests, and the longest beside the backoff.
fn requested_wait(lost: &ConnectionError) -> (Duration, Duration) {
    let five_minutes = Duration::from_secs(300);
    match lost {
        ConnectionError::Http { status: 429 | 503, retry_after: Some(wait) } => {
            let wait = (*wait).min(five_minutes);
            (wait, wait)
        }
        ConnectionError::Closed(frame) if frame.code == 1013 => {
            (Duration::from_secs(10), Duration::from_secs(10))
        }
        ConnectionError::Closed(frame) if matches!(frame.code, 1001 | 1012) => {
            (Duration::ZERO, Duration::from_secs(5))
        }
        _ => (Duration::ZERO, Duration::ZERO),
    }
}

impl Link {
    pub(super) fn open(&self) -> Option<Nth> {
        self.open.map(|(nth, _)| nth)
    }

    /// How long the connection is open.
    pub(super) fn age(&self, now: Instant) -> Duration {
        self.open.map(|(_, since)| now.saturating_duration_since(since)).unwrap_or_default()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closing == Closing::Done
    }

    pub(super) fn opened(&mut self, nth: Nth, now: Instant) {
        self.open = Some((nth, now));
        self.received(now);
    }

    pub(super) fn failed(&mut self, why: &ConnectionError) {
        self.losses.push(why.clone());
    }

    pub(super) fn lost(&mut self, why: Option<&ConnectionError>, now: Instant) {
        let (_, since) = self.open.take().expect("an open connection");
        // L3
        if now.duration_since(since) >= Duration::from_secs(10) {
            self.restart();
        }
        if let Some(why) = why {
            self.losses.push(why.clone());
        }
    }

    pub(super) fn received(&mut self, now: Instant) {
        self.last_frame = Some(now);
    }

    pub(super) fn check(&self, session: &Session, now: Instant) {
        let Some(heartbeat) = session.config().heartbeat.filter(|_| self.open.is_some()) else {
            return;
        };
        let silence = self.last_frame.map(|at| now.saturating_duration_since(at));
        // A probe just before adds its timeout of 2 s.
        let most = heartbeat.interval + heartbeat.timeout + Duration::from_secs(2);
        assert!(silence.is_none_or(|silence| silence <= most), "L9: {silence:?} of silence");
    }

    pub(super) fn restart(&mut self) {
        self.failures = 0;
        self.losses.clear();
    }

    pub(super) fn close(&mut self, is_done: bool) {
        self.closing = if is_done { Closing::Done } else { Closing::Waiting };
    }

    pub(super) fn handle_event(
        &mut self,
        state: &ConnectionState,
        now: Instant,
        session: &Session,
    ) {
        assert!(
            self.closing != Closing::Done || matches!(state, ConnectionState::Closed(_)),
            "{state}"
        );
        match state {
            ConnectionState::Waiting { attempt, until, error } => {
                if std::mem::take(&mut self.may_restart) && *attempt == 1 {
                    self.failures = 0;
                }
                let wait = until.saturating_duration_since(now);
                let (least, most) = requested_wait(error);
                let backoff = &session.config().backoff;
                let growth = Duration::from_secs(1 << self.failures.min(6)).min(backoff.maximum);
                assert!(wait <= growth.max(most), "L2: {wait:?} after {} failures", self.failures);
                assert!(wait >= least, "L6, L7: {wait:?} is shorter than {least:?}");
                self.failures += 1;
                if least.is_zero() && most.is_zero() {
                    self.shares.0 += wait.as_secs_f64() / growth.as_secs_f64();
                    self.shares.1 += 1;
                }
            }
            ConnectionState::Closed(reason) => {
                self.check_reason(reason);
                self.close(true);
            }
            _ => {}
        }
    }

    /// Checks that the losses justify the close.
    fn check_reason(&self, reason: &CloseReason) {
        let last = |count: usize, wanted: &dyn Fn(&ConnectionError) -> bool| {
            // A failed credentials provider does not count.
            let counted =
                |lost: &&ConnectionError| !matches!(lost, ConnectionError::Credentials { .. });
            let last: Vec<&ConnectionError> =
                self.losses.iter().rev().filter(counted).take(count).collect();
            last.len() == count && last.into_iter().all(wanted)
        };
        match reason {
            CloseReason::ByCaller => {
                assert!(self.closing != Closing::No, "no caller has closed it");
            }
            CloseReason::Unauthorized(_) => {
                assert!(last(2, &|lost| class(lost) == Some(Class::Unauthorized)), "L6: {reason}");
            }
            CloseReason::Fatal(
                ConnectionError::Certificate(_) | ConnectionError::Credentials { fatal: true, .. },
            ) => {}
            CloseReason::Fatal(why) => {
                let its = class(why);
                assert!(its.is_some(), "{reason} ends nothing");
                assert!(last(3, &|lost| class(lost) == its), "L7: {reason}");
            }
            other => panic!("{other} was not expected"),
        }
    }

    pub(super) fn ended(&self, session: &Session) {
        assert!(self.closing == Closing::Done && self.open.is_none());
        assert!(closed_reason(session).is_some());
        // The jitter is uniform, and 60 draws suffice that no seed of 10,000 fails by chance.
        let (sum, count) = self.shares;
        assert!(count < 60 || sum > 0.25 * f64::from(count), "L2: {sum} of {count} waits");
    }
}
