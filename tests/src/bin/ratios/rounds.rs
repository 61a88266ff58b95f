//! Two things measured in turn, so that what the machine does meanwhile is done to both.

use std::time::{Duration, Instant};

/// An odd number, so that a median is one of them.
const ROUNDS: usize = 7;

/// The medians of what `ours` and `reference` measure.
pub(crate) fn interleaved(
    mut ours: impl FnMut() -> f64,
    mut reference: impl FnMut() -> f64,
) -> (f64, f64) {
    // Caches, and what grows on demand.
    ours();
    reference();
    let mut measured = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        if round % 2 == 0 {
            measured.0.push(ours());
            measured.1.push(reference());
        } else {
            measured.1.push(reference());
            measured.0.push(ours());
        }
    }
    (median(measured.0), median(measured.1))
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Runs `work` for about `time`, in batches of `batch`, and says how many nanoseconds one takes.
pub(crate) fn nanoseconds(time: Duration, batch: u32, mut work: impl FnMut()) -> f64 {
    let began = Instant::now();
    let mut done = 0;
    loop {
        for _ in 0..batch {
            work();
        }
        done += batch;
        let taken = began.elapsed();
        if taken >= time {
            return taken.as_secs_f64() * 1e9 / f64::from(done);
        }
    }
}

/// How many of `count` were done in a second.
pub(crate) fn per_second(count: usize, began: Instant) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a count that fits")]
    let count = count as f64;
    count / began.elapsed().as_secs_f64()
}
