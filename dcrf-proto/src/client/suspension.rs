//! Detects that the machine was suspended (L10): meanwhile the monotonic clock stands still on most systems, and the wall
//! clock does not.

use std::time::{Duration, Instant, SystemTime};

/// How far the wall clock must run ahead to count as a suspension, and not as an adjustment.
const SUSPENDED: Duration = Duration::from_secs(5);

/// How often the clocks are compared while there is a connection. The default heartbeat wakes the driver as often, so
/// this adds no wake to an idle client.
pub(super) const INTERVAL: Duration = Duration::from_secs(20);

/// The clocks at the last comparison.
pub(super) struct Clocks {
    monotonic: Instant,
    wall: SystemTime,
}

impl Clocks {
    pub(super) fn new(monotonic: Instant, wall: SystemTime) -> Self {
        Self { monotonic, wall }
    }

    /// Whether the machine was suspended since the last comparison.
    pub(super) fn was_suspended(&mut self, monotonic: Instant, wall: SystemTime) -> bool {
        let passed = monotonic.saturating_duration_since(self.monotonic);
        // A wall clock that was set back counts as standing still.
        let by_the_wall = wall.duration_since(self.wall).unwrap_or_default();
        *self = Self { monotonic, wall };
        by_the_wall.saturating_sub(passed) >= SUSPENDED
    }
}
