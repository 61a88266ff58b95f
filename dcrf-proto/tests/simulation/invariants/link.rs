//! The waits between attempts, and the reasons for a close (L2, L3, L5 to L7, L11).

use std::time::{Duration, Instant};

use dcrf_proto::{CloseReason, ConnectionError, ConnectionState, Session};

use super::closed_reason;
use crate::ConnectionIndex;

#[derive(Default)]
pub(super) struct Link {
    open: Option<(ConnectionIndex, Instant)>,
    /// The number of waits since the last stable connection.
    failures: u32,
    /// The losses since then, or since something worked, in order.
    losses: Vec<(ConnectionError, Instant)>,
    /// Whether a connection has ever worked.
    has_worked: bool,
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
    Certificate,
    Unauthorized,
    NotFound,
    Protocol,
}

/// How long a loss must last if a connection has worked (L6).
const GRACE_PERIOD: Duration = Duration::from_secs(300);

fn class(lost: &ConnectionError) -> Option<Class> {
    match lost {
        ConnectionError::Closed(frame) => match frame.code {
            1008 | 4401 | 4403 => Some(Class::Unauthorized),
            1002 | 1003 | 1007 | 1010 => Some(Class::Protocol),
            _ => None,
        },
        ConnectionError::Http { status: 401 | 403, .. } => Some(Class::Unauthorized),
        ConnectionError::Http { status: 404, .. } => Some(Class::NotFound),
        ConnectionError::Certificate(_) => Some(Class::Certificate),
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
    pub(super) fn open(&self) -> Option<ConnectionIndex> {
        self.open.map(|(nth, _)| nth)
    }

    /// How long the connection is open.
    pub(super) fn age(&self, now: Instant) -> Duration {
        self.open.map(|(_, since)| now.saturating_duration_since(since)).unwrap_or_default()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closing == Closing::Done
    }

    pub(super) fn opened(&mut self, nth: ConnectionIndex, now: Instant) {
        self.open = Some((nth, now));
        self.received(now);
    }

    pub(super) fn failed(&mut self, why: &ConnectionError, now: Instant) {
        self.losses.push((why.clone(), now));
    }

    /// A request was answered or a subscription acknowledged.
    pub(super) fn worked(&mut self) {
        self.has_worked = true;
        self.losses.clear();
    }

    pub(super) fn lost(&mut self, why: Option<&ConnectionError>, now: Instant) {
        let (_, since) = self.open.take().expect("an open connection");
        // L3
        if now.duration_since(since) >= Duration::from_secs(10) {
            self.restart();
            self.has_worked = true;
        }
        if let Some(why) = why {
            self.losses.push((why.clone(), now));
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
        let is_final = |count: usize, class_of_all: Class| {
            // A failed credentials provider does not count.
            let counted = self
                .losses
                .iter()
                .rev()
                .filter(|(lost, _)| !matches!(lost, ConnectionError::Credentials { .. }));
            let row: Vec<Instant> = counted
                .take_while(|(lost, _)| class(lost) == Some(class_of_all))
                .map(|(_, at)| *at)
                .collect();
            let lasted = row.first().zip(row.last()).map(|(last, first)| *last - *first);
            row.len() >= count && (!self.has_worked || lasted >= Some(GRACE_PERIOD))
        };
        match reason {
            CloseReason::ByCaller => {
                assert!(self.closing != Closing::No, "no caller has closed it");
            }
            CloseReason::Unauthorized(_) => {
                assert!(is_final(2, Class::Unauthorized), "L6: {reason}");
            }
            CloseReason::Fatal(ConnectionError::Credentials { fatal: true, .. }) => {}
            CloseReason::Fatal(why) => {
                let class = class(why).unwrap_or_else(|| panic!("{reason} ends nothing"));
                let count = if class == Class::Certificate { 1 } else { 3 };
                assert!(is_final(count, class), "L6, L7: {reason}");
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
