//! The virtual clock: the world's time, and the program's, which stands still while the machine sleeps.

use std::time::{Duration, Instant};

pub(crate) struct Clock {
    /// Since the world began.
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

    /// When in the world the program's time is `instant`, if the machine does not sleep before.
    pub(crate) fn when(&self, instant: Instant) -> Duration {
        instant.duration_since(self.base) + self.slept
    }

    pub(crate) fn sleeps(&mut self, time: Duration) {
        self.slept += time;
    }
}
