//! Recovery times of clients.

use std::time::Duration;

/// The times from the end of each fault to full recovery.
#[derive(Debug, Default)]
pub struct Recoveries(Vec<Duration>);

impl Recoveries {
    /// Adds a time.
    pub fn push(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// Prints the percentiles.
    pub fn print(mut self, label: &str) {
        self.0.sort_unstable();
        let [p50, p90, p99, max] = [50, 90, 99, 100].map(|percent| self.percentile(percent));
        let count = self.0.len();
        println!(
            "{label}: recovered {count} times, p50 {p50:.0?}, p90 {p90:.0?}, \
             p99 {p99:.0?}, max {max:.0?}"
        );
    }

    /// The nearest-rank percentile.
    fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_were_measured() {
        let recoveries = Recoveries((1..=200).map(Duration::from_millis).collect());
        let milliseconds = |percent| recoveries.percentile(percent).as_millis();
        assert_eq!([50, 90, 99, 100].map(milliseconds), [100, 180, 198, 200]);
        assert_eq!(Recoveries(vec![Duration::MAX]).percentile(50), Duration::MAX);
        assert_eq!(Recoveries::default().percentile(50), Duration::ZERO);
    }
}
