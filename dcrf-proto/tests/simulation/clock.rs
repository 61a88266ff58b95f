//! The virtual clocks: the simulation's, and the program's, which stops while the machine sleeps.

use std::time::{Duration, Instant};

pub(crate) struct Clock {
    /// The time since the start.
    pub(crate) now: Duration,
    base: Instant,
    slept: Duration,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { now: Duration::ZERO, base: Instant::now(), slept: Duration::ZERO }
    }

    /// The program's time.
    pub(crate) fn instant(&self) -> Instant {
        self.base + self.now.saturating_sub(self.slept)
    }

    /// The simulation's time at `instant`, if the machine does not sleep before.
    pub(crate) fn when(&self, instant: Instant) -> Duration {
        instant.duration_since(self.base) + self.slept
    }

    pub(crate) fn sleep(&mut self, time: Duration) {
        self.slept += time;
    }
}
