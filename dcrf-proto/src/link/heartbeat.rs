//! Whether the server is still there (L9, L10). Frames only note the time; the one timer looks at it when it
//! fires, so a frame costs no change of a deadline.

use std::time::{Duration, Instant};

use crate::config::Heartbeat;
use crate::context::FAR;

/// How long the server has to answer a probe (L10).
const PROBE: Duration = Duration::from_secs(2);

/// The watch over one connection.
#[derive(Debug)]
pub(crate) struct Pulse {
    heartbeat: Option<Heartbeat>,
    last_heard: Instant,
    unanswered: Option<Ping>,
}

/// A ping that nothing has answered yet.
#[derive(Debug)]
enum Ping {
    Heartbeat { due: Instant },
    Probe { due: Instant },
}

/// What to do when the timer has fired.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Beat {
    /// Look again then.
    Wait(Instant),
    /// Send a ping, and look again then.
    Ping(Instant),
    /// Nothing was heard for so long: the connection is lost.
    Silent(Duration),
    /// There is no heartbeat, and nothing to look for.
    Rest,
}

impl Pulse {
    pub(crate) fn new(heartbeat: Option<Heartbeat>, now: Instant) -> Self {
        let heartbeat = heartbeat.map(|Heartbeat { interval, timeout }| Heartbeat {
            interval: interval.min(FAR),
            timeout: timeout.min(FAR),
        });
        Self { heartbeat, last_heard: now, unanswered: None }
    }

    pub(crate) fn heard(&mut self, now: Instant) {
        self.last_heard = now;
        self.unanswered = None;
    }

    /// When the timer first fires.
    pub(crate) fn first(&self) -> Option<Instant> {
        self.heartbeat.map(|heartbeat| self.last_heard + heartbeat.interval)
    }

    /// Sends a ping out of turn. Says when to look for its answer; `None` while one is under way already. The
    /// time of a ping of the heartbeat begins anew, since a machine that slept has not waited for it.
    pub(crate) fn probe(&mut self, now: Instant) -> Option<Instant> {
        if let Some(Ping::Probe { .. }) = self.unanswered {
            return None;
        }
        let due = now + PROBE;
        self.unanswered = Some(Ping::Probe { due });
        Some(due)
    }

    pub(crate) fn fired(&mut self, now: Instant) -> Beat {
        let idle = now.saturating_duration_since(self.last_heard);
        if let Some(Ping::Heartbeat { due } | Ping::Probe { due }) = self.unanswered {
            return if now < due { Beat::Wait(due) } else { Beat::Silent(idle) };
        }
        let Some(Heartbeat { interval, timeout }) = self.heartbeat else { return Beat::Rest };
        if idle < interval {
            return Beat::Wait(self.last_heard + interval);
        }
        self.unanswered = Some(Ping::Heartbeat { due: now + timeout });
        // A pong may come long before the timeout, and the next ping is an interval after it.
        Beat::Ping(now + timeout.min(interval))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the test's epoch")]
    fn a_timeout_longer_than_the_interval_delays_no_ping() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let heartbeat =
            Heartbeat { interval: Duration::from_secs(1), timeout: Duration::from_secs(9) };
        let mut pulse = Pulse::new(Some(heartbeat), start);

        for second in 1..4 {
            let Beat::Ping(next) = pulse.fired(at(second)) else { panic!("no ping") };
            pulse.heard(at(second));
            assert_eq!(next, at(second + 1));
        }
        let Beat::Ping(next) = pulse.fired(at(4)) else { panic!("no ping") };
        assert_eq!(pulse.fired(next), Beat::Wait(at(13)));
        assert_eq!(pulse.fired(at(13)), Beat::Silent(Duration::from_secs(10)));
    }
}
