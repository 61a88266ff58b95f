//! The delay before the next attempt (L2).

use std::time::Duration;

use crate::config::Backoff;
use crate::context::FAR;
use crate::id::Random;

/// The shortest delay. Without it, a port that refuses connections would be dialled thousands of times a second.
const LEAST: Duration = Duration::from_millis(10);

impl Backoff {
    /// The delay before attempt `n`, counted from 0.
    pub(crate) fn delay(&self, n: u32, random: &mut Random) -> Duration {
        let growth = self.factor.max(1.0).powi(i32::try_from(n).unwrap_or(i32::MAX));
        // Finite, because zero times infinity is not a number.
        let seconds = self.minimum.as_secs_f64() * growth.min(f64::MAX);
        let maximum = self.maximum.min(FAR);
        let bound = if seconds < maximum.as_secs_f64() {
            Duration::from_secs_f64(seconds)
        } else {
            maximum
        };
        let delay = if self.jitter { random_up_to(bound, random) } else { bound };
        delay.max(LEAST)
    }
}

/// A uniformly random duration from zero to `bound`.
pub(crate) fn random_up_to(bound: Duration, random: &mut Random) -> Duration {
    bound.mul_f64(random.unit())
}
