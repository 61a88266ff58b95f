//! Alternating measurements, so that other load on the machine affects both sides equally.

use std::time::{Duration, Instant};

/// Odd, so that the median is one of the measurements.
const ROUNDS: usize = 7;

/// The medians of `ours` and `reference`.
pub(crate) fn interleaved(
    mut ours: impl FnMut() -> f64,
    mut reference: impl FnMut() -> f64,
) -> (f64, f64) {
    // Warm up caches and buffers.
    ours();
    reference();
    let (mut our_values, mut reference_values) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        if round % 2 == 0 {
            our_values.push(ours());
            reference_values.push(reference());
        } else {
            reference_values.push(reference());
            our_values.push(ours());
        }
    }
    (median(our_values), median(reference_values))
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Runs `work` for about `time`, in batches of `batch`, and returns the nanoseconds of one run.
pub(crate) fn nanoseconds(time: Duration, batch: u32, mut work: impl FnMut()) -> f64 {
    let started = Instant::now();
    let mut done = 0;
    loop {
        for _ in 0..batch {
            work();
        }
        done += batch;
        let elapsed = started.elapsed();
        if elapsed >= time {
            return elapsed.as_secs_f64() * 1e9 / f64::from(done);
        }
    }
}

/// The rate per second of `count` operations since `started`.
pub(crate) fn per_second(count: usize, started: Instant) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a count that fits")]
    let count = count as f64;
    count / started.elapsed().as_secs_f64()
}
