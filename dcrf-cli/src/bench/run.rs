//! What all tasks of a run share.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::account::{Account, Tally};
use super::measure::{Counts, Recorder, Second};
use super::schedule::Schedule;
use super::writes::{Marker, Writes};
use crate::failure::Failure;

/// The state of a run.
pub(crate) struct Run {
    pub(crate) start: Instant,
    recorders: Vec<Mutex<Recorder>>,
    accounts: Vec<Mutex<Account>>,
    pub(crate) connected: AtomicUsize,
    /// Clients that are connected, and subscribed if they are to be.
    pub(crate) live: AtomicUsize,
    /// Clients that will never be live again.
    pub(crate) gone: AtomicUsize,
    /// Requests and writes that have no outcome yet.
    pub(crate) outstanding: AtomicU64,
    pub(crate) marker: Marker,
    pub(crate) writes: Writes,
    write_schedule: Mutex<Option<Schedule>>,
    outage: Mutex<Outage>,
}

/// A planned outage.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outage {
    /// From when on a lost connection belongs to it.
    begins: Option<Instant>,
    pub(crate) first_loss: Option<Instant>,
    pub(crate) all_live: Option<Instant>,
}

impl Run {
    pub(crate) fn new(clients: usize, threads: usize) -> Result<Self, Failure> {
        let recorders = (0..threads).map(|_| Ok(Mutex::new(Recorder::new()?)));
        Ok(Self {
            start: Instant::now(),
            recorders: recorders.collect::<Result<_, Failure>>()?,
            accounts: std::iter::repeat_with(Mutex::default).take(clients).collect(),
            connected: AtomicUsize::new(0),
            live: AtomicUsize::new(0),
            gone: AtomicUsize::new(0),
            outstanding: AtomicU64::new(0),
            marker: Marker::random(),
            writes: Writes::default(),
            write_schedule: Mutex::default(),
            outage: Mutex::default(),
        })
    }

    /// Records for this client. Clients are spread over the recorders.
    pub(crate) fn record(&self, client: usize, record: impl FnOnce(&mut Recorder)) {
        record(&mut lock(&self.recorders[client % self.recorders.len()]));
    }

    pub(crate) fn account(&self, client: usize) -> MutexGuard<'_, Account> {
        lock(&self.accounts[client])
    }

    /// Microseconds since the start.
    pub(crate) fn micros(&self, at: Instant) -> u64 {
        let micros = at.saturating_duration_since(self.start).as_micros();
        u64::try_from(micros).unwrap_or(u64::MAX)
    }

    pub(crate) fn begin_writes(&self, schedule: Schedule) {
        *lock(&self.write_schedule) = Some(schedule);
    }

    /// When this write was due.
    pub(crate) fn write_due(&self, number: u64) -> Option<Instant> {
        lock(&self.write_schedule).map(|schedule| schedule.due(number))
    }

    pub(crate) fn all_are_live(&self) -> bool {
        let gone = self.gone.load(Ordering::Relaxed);
        self.live.load(Ordering::Relaxed) + gone >= self.accounts.len()
    }

    pub(crate) fn begin_outage(&self) {
        lock(&self.outage).begins = Some(Instant::now());
    }

    pub(crate) fn outage(&self) -> Outage {
        *lock(&self.outage)
    }

    /// A connection is lost.
    pub(crate) fn note_loss(&self) {
        let mut outage = lock(&self.outage);
        if outage.begins.is_some() {
            outage.first_loss.get_or_insert_with(Instant::now);
            outage.all_live = None;
        }
    }

    /// A client is live, or will never be.
    pub(crate) fn note_progress(&self) {
        if self.all_are_live() {
            let mut outage = lock(&self.outage);
            if outage.first_loss.is_some() {
                outage.all_live.get_or_insert_with(Instant::now);
            }
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        let mut sum = Counts::default();
        for recorder in &self.recorders {
            sum.add(&lock(recorder).counts);
        }
        sum
    }

    pub(crate) fn take_second(&self, second: &mut Second) {
        for recorder in &self.recorders {
            lock(recorder).take_second(second);
        }
    }

    pub(crate) fn tally(&self, cut: bool) -> Tally {
        let writes = self.writes.read();
        let mut sum = Tally::default();
        for account in &self.accounts {
            let Tally { lost, in_gap } = lock(account).tally(&writes, cut);
            sum.lost += lost;
            sum.in_gap += in_gap;
        }
        sum
    }

    /// The sum of all recorders.
    pub(crate) fn total(&self) -> Result<Recorder, Failure> {
        let mut total = Recorder::new()?;
        for recorder in &self.recorders {
            total.absorb(&lock(recorder));
        }
        Ok(total)
    }
}

/// What a task that has panicked has left is still counted.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
