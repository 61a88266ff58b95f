//! Whether the server is still there (L9). Frames only note the time; the one timer looks at it when it
//! fires, so a frame costs no change of a deadline.

use std::time::{Duration, Instant};

use crate::config::Heartbeat;
use crate::context::FAR;

/// The watch over one connection.
#[derive(Debug)]
pub(crate) struct Pulse {
    heartbeat: Heartbeat,
    last_heard: Instant,
    /// When the ping was sent that nothing has answered yet.
    pinged: Option<Instant>,
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
}

impl Pulse {
    pub(crate) fn new(heartbeat: Heartbeat, now: Instant) -> Self {
        let Heartbeat { interval, timeout } = heartbeat;
        let heartbeat = Heartbeat { interval: interval.min(FAR), timeout: timeout.min(FAR) };
        Self { heartbeat, last_heard: now, pinged: None }
    }

    pub(crate) fn heard(&mut self, now: Instant) {
        self.last_heard = now;
        self.pinged = None;
    }

    /// When the timer first fires.
    pub(crate) fn first(&self) -> Instant {
        self.last_heard + self.heartbeat.interval
    }

    pub(crate) fn fired(&mut self, now: Instant) -> Beat {
        let idle = now.saturating_duration_since(self.last_heard);
        match self.pinged {
            Some(pinged) => {
                let deadline = pinged + self.heartbeat.timeout;
                if now < deadline { Beat::Wait(deadline) } else { Beat::Silent(idle) }
            }
            None if idle < self.heartbeat.interval => Beat::Wait(self.first()),
            None => {
                self.pinged = Some(now);
                // A pong may come long before the timeout, and the next ping is an interval after it.
                Beat::Ping(now + self.heartbeat.timeout.min(self.heartbeat.interval))
            }
        }
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
        let mut pulse = Pulse::new(heartbeat, start);

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
