//! The session in a simulated world: a model of the server with the real one's quirks, a network that does the worst,
//! and a caller that does anything at any moment. After every step the promises hold.
//!
//! One seed is one world of one simulated hour, and always the same one. `cargo test --release -p dcrf-proto --test
//! simulation -- --nocapture` plays 10,000 of them and prints what happened in them, and a debug build a hundred.
//! `SIM_SEEDS` plays as many, `SIM_FIRST_SEED` begins elsewhere, `SIM_HOURS` makes each world last longer. A seed that
//! fails prints how to play it alone, and the last that happened in it.
#![expect(
    clippy::disallowed_methods,
    reason = "the environment chooses the seeds, and the report has the real time"
)]

mod agenda;
mod caller;
mod clock;
mod hostility;
mod network;
mod promises;
mod report;
mod rounds;
mod server;
mod temper;
mod trace;
mod world;

use std::env;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use self::report::Report;
use self::world::World;

/// A position among the connections of a world, in the order of the dials.
type Nth = usize;

#[test]
fn any_hour_of_any_world_keeps_the_promises() {
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
    assert!(report.is_worth_its_name(), "too little happened in these worlds");
}

fn variable(name: &str) -> Option<u64> {
    let value = env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is to be a number, not `{value}`")))
}

/// Plays seeds until all are played or one has failed; the lowest of those is kept.
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
        let played = panic::catch_unwind(AssertUnwindSafe(|| World::new(seed).play(hours)));
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

/// Plays a seed that has failed once more, for its trace.
fn fail(seed: u64, hours: u64) -> ! {
    let mut world = World::new(seed);
    world.trace.begin();
    let trace = world.trace.clone();
    let replayed = panic::catch_unwind(AssertUnwindSafe(|| world.play(hours)));
    println!("{trace}");
    println!("seed {seed} has failed; play it alone with");
    println!(
        "SIM_FIRST_SEED={seed} SIM_SEEDS=1 SIM_HOURS={hours} \
         cargo test --release -p dcrf-proto --test simulation -- --nocapture"
    );
    match replayed {
        // Its message stands above, as that of every panic.
        Err(panicked) => panic::resume_unwind(panicked),
        Ok(_) => panic!("seed {seed} has failed once and not the second time"),
    }
}
