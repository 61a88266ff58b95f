//! Detects a silent server (L9, L10). A received frame only updates a timestamp; the timer compares it when it
//! fires, so frames don't reschedule the timer.

use std::time::{Duration, Instant};

use crate::config::Heartbeat;
use crate::context::FAR;

/// How long the server has to answer a probe (L10).
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// The heartbeat of one connection.
#[derive(Debug)]
pub(crate) struct HeartbeatTimer {
    heartbeat: Option<Heartbeat>,
    last_received: Instant,
    pending: Option<Ping>,
}

/// A ping without a reply so far.
#[derive(Debug)]
enum Ping {
    Heartbeat { due: Instant },
    Probe { due: Instant },
}

/// What to do when the timer has fired.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HeartbeatAction {
    /// Check again at this instant.
    Wait(Instant),
    /// Send a ping, and check again at this instant.
    Ping(Instant),
    /// The connection is lost: nothing was received for this long.
    TimedOut(Duration),
    /// The heartbeat is off and no probe is pending.
    Off,
}

impl HeartbeatTimer {
    pub(crate) fn new(heartbeat: Option<Heartbeat>, now: Instant) -> Self {
        let heartbeat = heartbeat.map(|Heartbeat { interval, timeout }| Heartbeat {
            interval: interval.min(FAR),
            timeout: timeout.min(FAR),
        });
        Self { heartbeat, last_received: now, pending: None }
    }

    pub(crate) fn frame_received(&mut self, now: Instant) {
        self.last_received = now;
        self.pending = None;
    }

    /// When the timer fires first.
    pub(crate) fn first_check(&self) -> Option<Instant> {
        self.heartbeat.map(|heartbeat| self.last_received + heartbeat.interval)
    }

    /// Starts a probe and returns its deadline; `None` if a probe is pending already.
    ///
    /// It replaces a pending ping of the heartbeat: after the machine has slept, that ping's deadline has passed
    /// although the server had no time to answer.
    pub(crate) fn start_probe(&mut self, now: Instant) -> Option<Instant> {
        if let Some(Ping::Probe { .. }) = self.pending {
            return None;
        }
        let due = now + PROBE_TIMEOUT;
        self.pending = Some(Ping::Probe { due });
        Some(due)
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) -> HeartbeatAction {
        let idle = now.saturating_duration_since(self.last_received);
        if let Some(Ping::Heartbeat { due } | Ping::Probe { due }) = self.pending {
            return if now < due {
                HeartbeatAction::Wait(due)
            } else {
                HeartbeatAction::TimedOut(idle)
            };
        }
        let Some(Heartbeat { interval, timeout }) = self.heartbeat else {
            return HeartbeatAction::Off;
        };
        if idle < interval {
            return HeartbeatAction::Wait(self.last_received + interval);
        }
        self.pending = Some(Ping::Heartbeat { due: now + timeout });
        // The pong may come long before the timeout; the next ping is due one interval later.
        HeartbeatAction::Ping(now + timeout.min(interval))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the test's epoch")]
    fn timeout_longer_than_interval_does_not_delay_pings() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let heartbeat =
            Heartbeat { interval: Duration::from_secs(1), timeout: Duration::from_secs(9) };
        let mut timer = HeartbeatTimer::new(Some(heartbeat), start);

        for second in 1..4 {
            let HeartbeatAction::Ping(next) = timer.handle_timeout(at(second)) else {
                panic!("no ping")
            };
            timer.frame_received(at(second));
            assert_eq!(next, at(second + 1));
        }
        let HeartbeatAction::Ping(next) = timer.handle_timeout(at(4)) else { panic!("no ping") };
        assert_eq!(timer.handle_timeout(next), HeartbeatAction::Wait(at(13)));
        assert_eq!(
            timer.handle_timeout(at(13)),
            HeartbeatAction::TimedOut(Duration::from_secs(10))
        );
    }
}
