//! The hot paths of the core, to count their instructions. `.ci/instructions` runs each of them under valgrind, which
//! counts only inside [`Meter::run`], and compares the counts with `baseline.json`.
//!
//! Without valgrind it only checks that each path works: `cargo bench -p dcrf-proto --features client`.

mod client;
mod frames;
mod session;

use std::process::ExitCode;

/// A name, and a function that runs the path and returns the number of counted operations.
type Path = (&'static str, fn(&mut Meter) -> u32);

const PATHS: [Path; 8] = [
    ("event_small", |meter| session::event(meter, 221, 1)),
    ("event_mixed", |meter| session::event_mixed(meter, 221)),
    ("event_large", |meter| session::event(meter, 2_040, 1)),
    ("event_100k", |meter| session::event(meter, 221, 100_000)),
    ("request", session::request),
    ("replay_1k", session::replay),
    ("client_request", client::request),
    ("client_event", client::event),
];

/// Without arguments, prints the names. With a name, runs that path and prints the number of counted operations.
fn main() -> ExitCode {
    let Some(name) = std::env::args().nth(1) else {
        for (name, _) in PATHS {
            println!("{name}");
        }
        return ExitCode::SUCCESS;
    };
    let mut is_known = false;
    // `cargo bench` passes this argument to every benchmark.
    let all = name == "--bench";
    for (_, run) in PATHS.iter().filter(|(other, _)| all || *other == name) {
        println!("{}", run(&mut Meter::default()));
        is_known = true;
    }
    if is_known { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Limits the counting to the pieces of interest, after a warm-up in which buffers reach their size.
#[derive(Default)]
pub(crate) struct Meter {
    is_on: bool,
}

impl Meter {
    /// Does the work twice, first to warm up and then counted. Returns the number of counted operations.
    pub(crate) fn measure(&mut self, mut work: impl FnMut(&Self) -> u32) -> u32 {
        work(self);
        self.is_on = true;
        work(self)
    }

    /// Runs a counted piece of the work. Code between two pieces, such as the server's part, is not counted.
    pub(crate) fn run<T>(&self, piece: impl FnOnce() -> T) -> T {
        if self.is_on { the_counted_part(piece) } else { piece() }
    }
}

/// Valgrind finds this function by its name, and counts from its entry to its return.
#[inline(never)]
fn the_counted_part<T>(piece: impl FnOnce() -> T) -> T {
    piece()
}
