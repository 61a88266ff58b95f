//! The hot paths of the core, for counting their instructions: each in a run of its own, under valgrind, which counts
//! while [`Meter::run`] does what it is given. `.ci/instructions` runs them and compares with `baseline.json`.
//!
//! Without valgrind it shows only that each path still works: `cargo bench -p dcrf-proto --features client`.

mod client;
mod frames;
mod session;

use std::process::ExitCode;

/// A path: its name, and what takes it. It says how many operations were counted.
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

/// Without arguments the names; with one of them, how many operations that path has counted.
fn main() -> ExitCode {
    let Some(name) = std::env::args().nth(1) else {
        for (name, _) in PATHS {
            println!("{name}");
        }
        return ExitCode::SUCCESS;
    };
    let mut known = false;
    // What `cargo bench` says to each benchmark.
    let all = name == "--bench";
    for (_, take) in PATHS.iter().filter(|(other, _)| all || *other == name) {
        println!("{}", take(&mut Meter::default()));
        known = true;
    }
    if known { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Decides what is counted: nothing until all that grows on demand has grown.
#[derive(Default)]
pub(crate) struct Meter {
    is_on: bool,
}

impl Meter {
    /// Does the same work for warming up, and then for being counted; it says how many operations it was.
    pub(crate) fn measure(&mut self, mut work: impl FnMut(&Self) -> u32) -> u32 {
        work(self);
        self.is_on = true;
        work(self)
    }

    /// A piece of the work. What stands between two pieces, such as the server's part, is not counted.
    pub(crate) fn run<T>(&self, piece: impl FnOnce() -> T) -> T {
        if self.is_on { the_counted_part(piece) } else { piece() }
    }
}

/// Valgrind counts from the entry of this function to its return, and finds it by its name.
#[inline(never)]
fn the_counted_part<T>(piece: impl FnOnce() -> T) -> T {
    piece()
}
