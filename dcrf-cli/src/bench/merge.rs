//! `dcrf bench merge`: the results of several machines as one.

use indexmap::IndexMap;

use super::args::MergeArgs;
use super::measure::{add, histogram};
use super::publish::publish;
use super::report::{Encoded, Outage, Report, Sample};
use crate::failure::Failure;
use crate::output::Output;

pub(crate) fn run(args: &MergeArgs, out: Output) -> Result<(), Failure> {
    let mut reports = Vec::new();
    for path in &args.reports {
        let report = Report::read(path)?;
        for machine in &report.machines {
            let is_known = |known: &Report| known.machines.iter().any(|m| m.run == machine.run);
            if reports.iter().any(is_known) {
                let message = format!("{}: this run is already counted", path.display());
                return Err(Failure::usage(message));
            }
        }
        reports.push(report);
    }
    publish(&merge(reports)?, &args.files, out)
}

/// Adds reports.
///
/// # Errors
///
/// There is none.
fn merge(reports: Vec<Report>) -> Result<Report, Failure> {
    let mut reports = reports.into_iter();
    let mut sum = reports.next().ok_or_else(|| Failure::usage("there is no report to merge"))?;
    let mut histograms = IndexMap::new();
    absorb(&mut histograms, &sum)?;
    for report in reports {
        absorb(&mut histograms, &report)?;
        if report.server != sum.server {
            sum.server = format!("{}, {}", sum.server, report.server);
        }
        sum.interrupted |= report.interrupted;
        sum.counts.add(&report.counts);
        for (cause, count) in report.causes {
            *sum.causes.entry(cause).or_default() += count;
        }
        sum.outage = longer(sum.outage, report.outage);
        add_seconds(&mut sum.seconds, &report.seconds);
        sum.machines.extend(report.machines);
    }
    sum.set_histograms(histograms);
    Ok(sum)
}

/// Adds the histograms of a report.
fn absorb(sums: &mut IndexMap<String, Encoded>, report: &Report) -> Result<(), Failure> {
    for (key, Encoded(other)) in &report.histograms {
        if !sums.contains_key(key) {
            sums.insert(key.clone(), Encoded(histogram()?));
        }
        if let Some(Encoded(sum)) = sums.get_mut(key) {
            add(sum, other);
        }
    }
    Ok(())
}

/// The outage that is over last. One that is not over is the longest.
fn longer(one: Option<Outage>, other: Option<Outage>) -> Option<Outage> {
    let rank = |outage: &Outage| match (outage.first_loss, outage.time_to_converge) {
        (None, _) => -1.0,
        (Some(_), None) => f64::INFINITY,
        (Some(_), Some(time)) => time,
    };
    match (one, other) {
        (Some(one), Some(other)) => Some(if rank(&other) > rank(&one) { other } else { one }),
        (one, other) => one.or(other),
    }
}

fn add_seconds(sum: &mut Vec<Sample>, other: &[Sample]) {
    if sum.len() < other.len() {
        sum.resize(other.len(), Sample::default());
    }
    for (sum, other) in sum.iter_mut().zip(other) {
        sum.connected += other.connected;
        sum.live += other.live;
        sum.requests += other.requests;
        sum.replies += other.replies;
        sum.writes += other.writes;
        sum.events += other.events;
        sum.request_p99 = sum.request_p99.max(other.request_p99);
        sum.event_p99 = sum.event_p99.max(other.event_p99);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;
    use crate::bench::numbers::short;
    use crate::bench::report::{Machine, Percentiles, milliseconds};

    /// A report whose requests took these microseconds.
    fn report(run: &str, micros: &[u64]) -> Report {
        let machine = Machine {
            run: run.into(),
            started: 1,
            options: Map::new(),
            load_from: 1.5,
            load: 2.0,
            peak_memory: Some(7),
        };
        let mut report = Report::new("ws://server/ws/".into(), machine);
        let mut requests = histogram().unwrap();
        for &value in micros {
            requests.record(value).unwrap();
        }
        report.counts.requests = micros.len() as u64;
        report.counts.lost_events = 1;
        report.causes.insert("lost connection: reset".into(), 2);
        report.seconds = vec![
            Sample {
                live: 3,
                request_p99: milliseconds(micros.len() as u64),
                ..Sample::default()
            };
            micros.len()
        ];
        report.set_histograms(IndexMap::from([("request".into(), Encoded(requests))]));
        report
    }

    #[test]
    fn merged_histograms_are_those_of_all_values() {
        let one: Vec<_> = (1..500).map(|n| n * n).collect();
        let two: Vec<_> = (1..900).map(|n| n * 31 + 7).collect();
        let both: Vec<_> = one.iter().chain(&two).copied().collect();
        let merged = merge(vec![report("a", &one), report("b", &two)]).unwrap();
        let expected = report("c", &both);
        assert_eq!(merged.histograms, expected.histograms);
        assert_eq!(merged.latencies, expected.latencies);
        assert_eq!(merged.counts.requests, 1398);
        assert_eq!(merged.counts.lost_events, 2);
        assert_eq!(merged.causes["lost connection: reset"], 4);
        assert_eq!(merged.machines.len(), 2);
        assert_eq!(
            (merged.seconds.len(), merged.seconds[0].live, merged.seconds[600].live),
            (899, 6, 3)
        );
        assert_eq!(short(merged.seconds[0].request_p99), "0.90");
    }

    #[test]
    fn report_survives_its_file() {
        let report = report("a", &[1, 20, 300, 4000, 3_600_000_000]);
        let text = serde_json::to_string(&report).unwrap();
        let read: Report = serde_json::from_str(&text).unwrap();
        assert_eq!(read, report);
        let Encoded(requests) = &read.histograms["request"];
        assert_eq!(Percentiles::of(requests), report.latencies["request"]);
    }

    #[test]
    fn longest_outage_counts() {
        let outage = |first_loss, time_to_converge| {
            Some(Outage { announced: 1.0, first_loss, time_to_converge })
        };
        let (none, short) = (outage(None, None), outage(Some(1.0), Some(2.0)));
        let (long, endless) = (outage(Some(1.0), Some(9.0)), outage(Some(1.0), None));
        assert_eq!(longer(short, long), long);
        assert_eq!(longer(endless, long), endless);
        assert_eq!(longer(none, short), short);
        assert_eq!(longer(None, short), short);
    }
}
