//! What happened in the worlds, counted.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

#[derive(Default)]
pub(crate) struct Report {
    worlds: u64,
    time: Duration,
    faults: BTreeMap<&'static str, u64>,
    counts: BTreeMap<&'static str, u64>,
    /// How long it took until all was well again, once the faults had stopped and what a server had asked to wait was
    /// over.
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

    pub(crate) fn world(&mut self, time: Duration) {
        self.worlds += 1;
        self.time += time;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.worlds += other.worlds;
        self.time += other.time;
        for (name, count) in &other.faults {
            *self.faults.entry(name).or_default() += count;
        }
        for (name, count) in &other.counts {
            *self.counts.entry(name).or_default() += count;
        }
        self.recoveries.extend(&other.recoveries);
    }

    /// A simulation in which nothing goes wrong proves nothing.
    pub(crate) fn is_worth_its_name(&self) -> bool {
        let each = self.faults.values().all(|count| *count > 0);
        self.worlds < 50 || (each && self.faults.len() >= 30 && !self.recoveries.is_empty())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} worlds, {} simulated hours", self.worlds, self.time.as_secs() / 3600)?;
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
        write!(
            f,
            "{} recoveries; what a server had asked to wait aside, all was well again after",
            sorted.len()
        )?;
        for (name, percent) in [("p50", 50), ("p90", 90), ("p99", 99), ("max", 100)] {
            write!(f, " {name} {:.1} s", at(percent).map_or(0.0, Duration::as_secs_f64))?;
        }
        writeln!(f)
    }
}
