//! The fake server is equal to the real one: random conversations with both, frame by frame.
//!
//! | environment variable | |
//! | --- | --- |
//! | `DIFFERENTIAL_SEEDS` | the number of conversations (2,000) |
//! | `DIFFERENTIAL_FIRST_SEED` | the first seed (0) |
//!
//! A failure prints its seed, the conversation, and what both servers have sent.

mod compare;
mod conversation;
mod fake;
mod generate;
mod raises;
mod real;
mod streams;
mod tools;
mod values;

use std::env;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use dcrf_tests::server::Server;

use self::compare::Pairs;
use self::conversation::{Conversation, Received};
use self::fake::Fake;
use self::real::{Connection, Real};

/// Each has its own server.
const THREADS: u64 = 2;

/// After so many failures the rest is not run.
const MAX_FAILURES: u64 = 5;

/// What the conversations had in them.
#[derive(Default)]
struct Totals {
    conversations: AtomicU64,
    steps: AtomicU64,
    frames: AtomicU64,
    /// Frames that are events, or further pages and ticks.
    events: AtomicU64,
    closed: AtomicU64,
    failures: AtomicU64,
}

#[test]
fn fake_server_sends_what_the_real_one_sends() {
    let count = number("DIFFERENTIAL_SEEDS").unwrap_or(2000);
    let first = number("DIFFERENTIAL_FIRST_SEED").unwrap_or(0);
    let (next, totals, start) = (AtomicU64::new(first), Totals::default(), Instant::now());
    thread::scope(|scope| {
        for _ in 0..THREADS.min(count) {
            scope.spawn(|| {
                let server = Server::builder().env("DCRF_TEST_KEEP_DATABASE_OPEN", "1").start();
                let server = server.unwrap_or_else(|error| panic!("{error}"));
                let mut controls = Connection::to_controls(&server);
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let has_failed = totals.failures.load(Ordering::Relaxed) >= MAX_FAILURES;
                    if seed >= first + count || has_failed {
                        break;
                    }
                    let conversation = Conversation::generate(seed);
                    if let Err(difference) = compare(&conversation, &server, &totals) {
                        totals.failures.fetch_add(1, Ordering::Relaxed);
                        eprintln!("{difference}");
                    }
                    controls.reset(&conversation.models());
                }
            });
        }
    });
    let total = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    println!(
        "{} conversations with {} steps, {} frames, of which {} events, and {} closed connections in {:.0?}",
        total(&totals.conversations),
        total(&totals.steps),
        total(&totals.frames),
        total(&totals.events),
        total(&totals.closed),
        start.elapsed(),
    );
    assert_eq!(total(&totals.failures), 0, "the fake server differs from the real one");
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|text| text.parse().expect("a seed is a number"))
}

/// Has a conversation with both servers, until they differ.
fn compare(conversation: &Conversation, server: &Server, totals: &Totals) -> Result<(), String> {
    let mut real = Real::connect(server, &conversation.connections);
    let mut fake = Fake::connect(&conversation.connections);
    let mut pairs = Pairs::default();
    let mut transcript = conversation.endpoints();
    let mut are_same = true;
    for (number, step) in conversation.steps.iter().enumerate() {
        let (from_real, from_fake) = (real.perform(step, &pairs), fake.perform(step, &pairs));
        totals.count(&from_real);
        transcript.push(format!("{number:>3}: {step}"));
        let mut both = from_real.iter().zip(&from_fake);
        are_same = both.all(|(real, fake)| pairs.are_same(real, fake));
        let servers: &[_] = if are_same {
            &[("both servers", &from_real)]
        } else {
            &[("the real server", &from_real), ("the fake server", &from_fake)]
        };
        for (name, received) in servers {
            let received = received.iter().enumerate().filter(|(_, its)| !its.is_empty());
            let lines =
                received.map(|(number, its)| format!("  {name}, connection {number}:{its}"));
            transcript.extend(lines);
        }
        if !are_same {
            break;
        }
    }
    totals.conversations.fetch_add(1, Ordering::Relaxed);
    real.close();
    let replay = format!("DIFFERENTIAL_FIRST_SEED={} DIFFERENTIAL_SEEDS=1", conversation.seed);
    let failure = || format!("{replay}\n{}\n", transcript.join("\n"));
    if are_same { Ok(()) } else { Err(failure()) }
}

impl Totals {
    fn count(&self, received: &[Received]) {
        let frames: usize =
            received.iter().flat_map(|its| its.streams.values()).map(Vec::len).sum();
        let closed = received.iter().filter(|its| its.end.is_some()).count();
        // A step has one reply at most.
        self.events.fetch_add(frames.saturating_sub(1) as u64, Ordering::Relaxed);
        self.steps.fetch_add(1, Ordering::Relaxed);
        self.frames.fetch_add(frames as u64, Ordering::Relaxed);
        self.closed.fetch_add(closed as u64, Ordering::Relaxed);
    }
}
