//! Simulates a session with the fake server, whose quirks are those of the real one, a faulty network, and a caller that
//! makes any call at any time. The invariants are checked after every step.
//!
//! Each seed is one simulated hour, and always the same. `cargo test --release -p dcrf-proto --features fake-server
//! --test simulation -- --nocapture` runs 10,000 seeds and prints a report; a debug build runs a hundred. `SIM_SEEDS`
//! sets the number, `SIM_FIRST_SEED` the first, `SIM_HOURS` the length. A seed that fails prints its last events, and
//! how to run it alone.
//!
//! Each tenth seed plays a world of live collections, too. `SIM_WORLD=collections` plays that of every seed, and nothing
//! else.
#![expect(
    clippy::disallowed_methods,
    reason = "the environment chooses the seeds, and the report has the real time"
)]

mod caller;
mod clock;
mod collector;
mod faults;
mod invariants;
mod network;
mod report;
mod rounds;
mod scenario;
mod schedule;
mod server;
mod simulation;
mod trace;

use std::env;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use self::report::Report;
use self::scenario::World;
use self::simulation::Simulation;

/// The index of a connection, in the order of dials.
type ConnectionIndex = usize;

#[test]
fn invariants_hold_for_every_seed() {
    let seeds = variable("SIM_SEEDS").unwrap_or(if cfg!(debug_assertions) { 100 } else { 10_000 });
    let first = variable("SIM_FIRST_SEED").unwrap_or(0);
    let hours = variable("SIM_HOURS").unwrap_or(1);
    let began = Instant::now();
    let (next, report, failed) = (AtomicU64::new(first), Mutex::default(), Mutex::default());
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| play_all(&next, first + seeds, hours, &report, &failed));
        }
    });
    if let Some(seed) = failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        fail(seed, hours);
    }
    let report = report.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!("simulation: {seeds} seeds from {first} in {:.0?}\n{report}", began.elapsed());
    assert!(report.is_meaningful(), "too few faults occurred");
}

fn variable(name: &str) -> Option<u64> {
    let value = env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} must be a number, not `{value}`")))
}

/// Plays seeds until all are played or one has failed. Keeps the lowest that failed.
fn play_all(
    next: &AtomicU64,
    end: u64,
    hours: u64,
    report: &Mutex<Report>,
    failed: &Mutex<Option<u64>>,
) {
    let mut own = Report::default();
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= end {
            break;
        }
        let played = panic::catch_unwind(AssertUnwindSafe(|| play(seed, hours)));
        let Ok(played) = played else {
            let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
            *failed = Some(failed.map_or(seed, |other| other.min(seed)));
            next.fetch_max(end, Ordering::Relaxed);
            break;
        };
        own.add(&played);
    }
    report.lock().unwrap_or_else(PoisonError::into_inner).add(&own);
}

/// Plays the worlds of a seed.
fn play(seed: u64, hours: u64) -> Report {
    let mut report = Report::default();
    for kind in worlds(seed) {
        report.add(&Simulation::new(seed, kind).play(kind.rounds(hours)));
    }
    report
}

/// The kinds of worlds of a seed, or the one that `SIM_WORLD` names.
fn worlds(seed: u64) -> Vec<World> {
    match env::var("SIM_WORLD").as_deref() {
        Ok("collections") => vec![World::Collections],
        Ok(other) => panic!("SIM_WORLD must be `collections`, not `{other}`"),
        Err(_) => World::of(seed),
    }
}

/// Plays a failed seed again, with a trace.
fn fail(seed: u64, hours: u64) -> ! {
    let mut replayed = Ok(());
    for kind in worlds(seed) {
        let mut simulation = Simulation::new(seed, kind);
        simulation.trace.begin();
        let trace = simulation.trace.clone();
        let rounds = kind.rounds(hours);
        replayed = panic::catch_unwind(AssertUnwindSafe(|| _ = simulation.play(rounds)));
        if replayed.is_err() {
            println!("{trace}");
            break;
        }
    }
    println!("seed {seed} failed; run it alone with");
    let world = env::var("SIM_WORLD").map_or(String::new(), |world| format!("SIM_WORLD={world} "));
    println!(
        "{world}SIM_FIRST_SEED={seed} SIM_SEEDS=1 SIM_HOURS={hours} \
         cargo test --release -p dcrf-proto --features fake-server --test simulation -- --nocapture"
    );
    match replayed {
        // Its message is printed above.
        Err(panicked) => panic::resume_unwind(panicked),
        Ok(()) => panic!("seed {seed} failed once but not the second time"),
    }
}
