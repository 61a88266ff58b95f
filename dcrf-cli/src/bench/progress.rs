//! What happens each second: a sample for the report, and a line for the user.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::signal::ctrl_c;
use tokio::task::JoinHandle;
use tokio::time::{Instant, Interval, interval, interval_at};

use super::measure::{Counts, Second};
use super::numbers::{group, short};
use super::report::{Sample, milliseconds};
use super::run::Run;
use crate::output::{DIM, Output};

const SECOND: Duration = Duration::from_secs(1);
/// How often a condition is checked.
const CHECK: Duration = Duration::from_millis(50);

/// How a wait has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The condition is met, or the time is over.
    Reached,
    /// The user has pressed Ctrl-C.
    Interrupted,
}

/// Watches a run.
pub(crate) struct Progress {
    run: Arc<Run>,
    out: Output,
    seconds: Vec<Sample>,
    last: Counts,
    clock: Interval,
    is_interrupted: Arc<AtomicBool>,
    interrupting: JoinHandle<()>,
}

impl Progress {
    pub(crate) fn new(run: Arc<Run>, out: Output) -> Self {
        // The first second is over in a second.
        let clock = interval_at(run.start + SECOND, SECOND);
        let is_interrupted = Arc::new(AtomicBool::new(false));
        let flag = is_interrupted.clone();
        let interrupting = tokio::spawn(async move {
            if ctrl_c().await.is_ok() {
                flag.store(true, Ordering::Relaxed);
            }
            // The report takes a moment. Who does not want it presses again.
            if ctrl_c().await.is_ok() {
                std::process::exit(130);
            }
        });
        let last = Counts::default();
        Self { run, out, seconds: Vec::new(), last, clock, is_interrupted, interrupting }
    }

    /// Waits until the condition is met, or until the deadline.
    pub(crate) async fn until(
        &mut self,
        deadline: Instant,
        mut is_met: impl FnMut() -> bool,
    ) -> End {
        let mut check = interval(CHECK);
        loop {
            tokio::select! {
                _ = self.clock.tick() => {
                    self.sample();
                    self.print();
                }
                _ = check.tick() => {}
                () = tokio::time::sleep_until(deadline) => return self.end(),
            }
            if self.end() == End::Interrupted || is_met() {
                return self.end();
            }
        }
    }

    fn end(&self) -> End {
        if self.is_interrupted.load(Ordering::Relaxed) { End::Interrupted } else { End::Reached }
    }

    fn sample(&mut self) {
        let Ok(mut second) = Second::new() else { return };
        self.run.take_second(&mut second);
        let (now, last) = (self.run.counts(), self.last);
        let load = |count: &std::sync::atomic::AtomicUsize| count.load(Ordering::Relaxed) as u64;
        let sample = Sample {
            connected: load(&self.run.connected),
            live: load(&self.run.live),
            requests: now.requests - last.requests,
            replies: now.replies - last.replies,
            writes: now.writes - last.writes,
            events: now.events - last.events,
            request_p99: p99(&second.requests),
            event_p99: p99(&second.events),
        };
        self.last = now;
        self.seconds.push(sample);
    }

    fn print(&self) {
        if let Some(sample) = self.seconds.last() {
            self.out.state(DIM, &line(self.seconds.len(), sample));
        }
    }

    /// All seconds. The last one is cut by the end of the run.
    pub(crate) fn finish(&mut self) -> Vec<Sample> {
        self.sample();
        std::mem::take(&mut self.seconds)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.interrupting.abort();
    }
}

fn p99(latencies: &Histogram<u64>) -> f64 {
    milliseconds(latencies.value_at_quantile(0.99))
}

fn line(second: usize, sample: &Sample) -> String {
    let mut line = format!(
        "{second:>4} s  {} connected, {} ready",
        group(sample.connected),
        group(sample.live)
    );
    let rates = [
        (sample.replies, "replies/s", sample.request_p99),
        (sample.writes, "writes/s", 0.0),
        (sample.events, "events/s", sample.event_p99),
    ];
    for (rate, name, p99) in rates {
        if rate > 0 {
            let _ = write!(line, ", {} {name}", group(rate));
        }
        if p99 > 0.0 {
            let _ = write!(line, " (p99 {} ms)", short(p99));
        }
    }
    line
}
