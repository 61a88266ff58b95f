//! When things are due: a schedule that is fixed in advance, whatever the server does.

use std::ops::Range;
use std::thread;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::Instant;

/// Numbers that are due.
pub(crate) type Ticks = UnboundedReceiver<Range<u64>>;

/// Equal intervals from a start. The number n is due at `start + n · interval`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    start: Instant,
    /// In seconds, since the interval of a high rate is no whole number of nanoseconds.
    interval: f64,
    count: u64,
}

impl Schedule {
    /// So many each second, for this time.
    pub(crate) fn at_rate(start: Instant, rate: f64, time: Duration) -> Self {
        let count = whole((rate * time.as_secs_f64()).ceil());
        Self { start, interval: 1.0 / rate, count }
    }

    /// So many, spread over this time.
    pub(crate) fn spread(start: Instant, count: u32, time: Duration) -> Self {
        let interval = time.as_secs_f64() / f64::from(count.max(1));
        Self { start, interval, count: count.into() }
    }

    #[expect(clippy::cast_precision_loss, reason = "2^53 are enough")]
    pub(crate) fn due(&self, number: u64) -> Instant {
        self.start + Duration::from_secs_f64(self.interval * number as f64)
    }

    /// The numbers that are due by now, after those before `next`.
    fn due_by(&self, now: Instant, next: u64) -> Range<u64> {
        let passed = now.saturating_duration_since(self.start).as_secs_f64();
        let mut end = if self.interval > 0.0 { whole(passed / self.interval) } else { self.count };
        // The division rounds.
        while end < self.count && self.due(end) <= now {
            end += 1;
        }
        next..end.clamp(next, self.count)
    }

    /// The numbers as they become due. A thread waits for them: the runtime's timers are up to two milliseconds late,
    /// which would be in every latency.
    pub(crate) fn ticks(self) -> Ticks {
        let (ticks, receiver) = unbounded_channel();
        thread::spawn(move || {
            let mut next = 0;
            while next < self.count && !ticks.is_closed() {
                let now = Instant::now();
                let due = self.due_by(now, next);
                if due.is_empty() {
                    // In parts, so that the thread ends soon after its reader.
                    let wait = self.due(next).saturating_duration_since(now);
                    thread::sleep(wait.min(Duration::from_millis(200)));
                    continue;
                }
                next = due.end;
                if ticks.send(due).is_err() {
                    break;
                }
            }
        });
        receiver
    }
}

#[cfg(test)]
impl Schedule {
    /// As [`ticks`](Self::ticks), with the clock of a test.
    pub(crate) fn ticks_in_virtual_time(self) -> Ticks {
        let (ticks, receiver) = unbounded_channel();
        tokio::spawn(async move {
            for number in 0..self.count {
                tokio::time::sleep_until(self.due(number)).await;
                let _ = ticks.send(number..number + 1);
            }
        });
        receiver
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "saturates, and the number is not negative"
)]
fn whole(number: f64) -> u64 {
    number as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn numbers_are_due_at_equal_intervals() {
        let start = Instant::now();
        let schedule = Schedule::at_rate(start, 3.0, SECOND * 2);
        assert_eq!(schedule.count, 6);
        assert_eq!(schedule.due(3) - start, SECOND);
        assert_eq!(schedule.due_by(start, 0), 0..1);
        assert_eq!(schedule.due_by(start + SECOND, 1), 1..4);
        assert_eq!(schedule.due_by(start + SECOND, 4), 4..4);
        // A late reader gets all of them, and none after the end.
        assert_eq!(schedule.due_by(start + SECOND * 9, 2), 2..6);
    }

    #[test]
    fn without_a_time_all_are_due_at_once() {
        let start = Instant::now();
        let schedule = Schedule::spread(start, 5, Duration::ZERO);
        assert_eq!(schedule.due(4), start);
        assert_eq!(schedule.due_by(start, 0), 0..5);
    }

    #[tokio::test]
    async fn every_number_comes_once_and_not_early() {
        let schedule = Schedule::at_rate(Instant::now(), 500.0, SECOND / 5);
        let mut ticks = schedule.ticks();
        let mut next = 0;
        while let Some(due) = ticks.recv().await {
            assert_eq!(due.start, next);
            assert!(schedule.due(due.end - 1) <= Instant::now());
            next = due.end;
        }
        assert_eq!(next, 100);
    }
}
