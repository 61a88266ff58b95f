//! Events that the machine was suspended (L10). The clock by which the driver waits stands still meanwhile on most
//! systems, so no deadline passes; the wall clock goes on, and how far it runs ahead tells how long it was.

use std::time::{Duration, Instant, SystemTime};

/// How far the wall clock runs ahead when the machine was suspended, and not just set right.
const SUSPENDED: Duration = Duration::from_secs(5);

/// The longest time between two looks while there is a connection that may have died meanwhile.
pub(super) const LOOK: Duration = Duration::from_secs(5);

/// Both clocks as they were at the last look.
pub(super) struct Clocks {
    monotonic: Instant,
    wall: SystemTime,
}

impl Clocks {
    pub(super) fn new(monotonic: Instant, wall: SystemTime) -> Self {
        Self { monotonic, wall }
    }

    /// Whether the machine was suspended since the last look.
    pub(super) fn was_suspended(&mut self, monotonic: Instant, wall: SystemTime) -> bool {
        let passed = monotonic.saturating_duration_since(self.monotonic);
        // A wall clock that is set back says nothing.
        let by_the_wall = wall.duration_since(self.wall).unwrap_or_default();
        *self = Self { monotonic, wall };
        by_the_wall.saturating_sub(passed) >= SUSPENDED
    }
}
