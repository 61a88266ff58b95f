//! Counts the events of all simulations.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

#[derive(Default)]
pub(crate) struct Report {
    seeds: u64,
    time: Duration,
    faults: BTreeMap<&'static str, u64>,
    counts: BTreeMap<&'static str, u64>,
    /// The times from the end of the faults, and of any wait that the server requested, to recovery.
    recoveries: Vec<Duration>,
}

impl Report {
    pub(crate) fn fault(&mut self, name: &'static str) {
        *self.faults.entry(name).or_default() += 1;
    }

    pub(crate) fn count(&mut self, name: &'static str, more: u64) {
        *self.counts.entry(name).or_default() += more;
    }

    pub(crate) fn recovered(&mut self, time: Duration) {
        self.recoveries.push(time);
    }

    pub(crate) fn seed(&mut self, time: Duration) {
        self.seeds += 1;
        self.time += time;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.seeds += other.seeds;
        self.time += other.time;
        for (name, count) in &other.faults {
            *self.faults.entry(name).or_default() += count;
        }
        for (name, count) in &other.counts {
            *self.counts.entry(name).or_default() += count;
        }
        self.recoveries.extend(&other.recoveries);
    }

    /// Whether enough faults occurred.
    pub(crate) fn is_meaningful(&self) -> bool {
        let each = self.faults.values().all(|count| *count > 0);
        self.seeds < 50 || (each && self.faults.len() >= 30 && !self.recoveries.is_empty())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} seeds, {} simulated hours", self.seeds, self.time.as_secs() / 3600)?;
        for (name, count) in &self.counts {
            writeln!(f, "  {name}: {count}")?;
        }
        writeln!(f, "{} faults", self.faults.values().sum::<u64>())?;
        for (name, count) in &self.faults {
            writeln!(f, "  {name}: {count}")?;
        }
        let mut sorted = self.recoveries.clone();
        sorted.sort_unstable();
        let at = |percent: usize| {
            sorted.get((sorted.len() * percent / 100).min(sorted.len().max(1) - 1))
        };
        write!(f, "{} recoveries, without waits that the server requested:", sorted.len())?;
        for (name, percent) in [("p50", 50), ("p90", 90), ("p99", 99), ("max", 100)] {
            write!(f, " {name} {:.1} s", at(percent).map_or(0.0, Duration::as_secs_f64))?;
        }
        writeln!(f)
    }
}
