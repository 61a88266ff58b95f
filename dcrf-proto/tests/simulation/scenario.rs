//! The scenario of a seed: rates of calls and faults, and the options of the session.

use std::time::Duration;

use dcrf_proto::{Config, Limit};
use fastrand::Rng;

use crate::collector::{self, Form};
use crate::server::{KEYS, Pagination};

/// What the caller does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum World {
    /// Requests, subscriptions and all other calls.
    Calls,
    /// Live collections.
    Collections,
}

impl World {
    /// The kinds of worlds that a seed has: that of calls and, for each tenth seed, that of collections.
    pub(crate) fn of(seed: u64) -> Vec<Self> {
        if seed % 10 == 0 { vec![Self::Calls, Self::Collections] } else { vec![Self::Calls] }
    }

    /// How many rounds of ten minutes it has.
    pub(crate) fn rounds(self, hours: u64) -> u64 {
        match self {
            Self::Calls => 6 * hours,
            Self::Collections => 2 * hours,
        }
    }
}

pub(crate) struct Scenario {
    /// Mean times in seconds between calls, commits of others, faults, and reads of slow readers.
    pub(crate) calls: f64,
    pub(crate) commits: f64,
    pub(crate) faults: f64,
    pub(crate) reads: f64,
    /// The longest delay of a frame, in milliseconds.
    pub(crate) delay: u64,
    /// The probability that an action fails during a fault of the server.
    pub(crate) error_rate: f64,
    /// The probability that a dial fails.
    pub(crate) error_replies: f64,
    /// Whether a subscription can kill a connection, and whether the list of tasks does.
    pub(crate) has_poison: bool,
    pub(crate) has_raising_list: bool,
    /// The form of the pages of `notes`.
    pub(crate) pagination: Pagination,
    /// Whether the caller follows collections, and in which forms.
    pub(crate) has_collections: bool,
    pub(crate) forms: Vec<Form>,
    /// The most subscriptions that the caller has.
    pub(crate) subscriptions: u32,
}

impl Scenario {
    pub(crate) fn new(random: &mut Rng) -> Self {
        let pick = |random: &mut Rng, from: &[f64]| from[random.usize(..from.len())];
        Self {
            calls: pick(random, &[0.5, 1.5, 4.0, 10.0]),
            commits: pick(random, &[1.0, 3.0, 10.0]),
            faults: pick(random, &[2.0, 8.0, 30.0, 120.0]),
            reads: pick(random, &[0.5, 5.0, 30.0]),
            delay: [2, 20, 200, 2_000][random.usize(..4)],
            error_rate: pick(random, &[0.0, 0.02, 0.1, 0.4]),
            error_replies: pick(random, &[0.0, 0.2, 0.7]),
            has_poison: random.f64() < 0.2,
            has_raising_list: random.f64() < 0.1,
            pagination: [
                Pagination::Offset,
                Pagination::Number,
                Pagination::Url,
                Pagination::Cursor,
            ][random.usize(..4)],
            has_collections: false,
            forms: Vec::new(),
            subscriptions: [2, 6, 20][random.usize(..3)],
        }
    }

    /// Makes it a world of collections. Returns whether events are lost, and sent in another order.
    pub(crate) fn collect(&mut self, random: &mut Rng) -> (bool, bool) {
        let (loses_events, has_races) = (random.u64(..5) == 0, random.bool());
        self.forms = collector::forms(loses_events, has_races, random);
        (self.has_collections, self.has_poison, self.has_raising_list) = (true, false, false);
        (loses_events, has_races)
    }
}

/// Draws the time until the next event of a Poisson process with this mean, in seconds.
pub(crate) fn interval(mean: f64, random: &mut Rng) -> Duration {
    Duration::from_secs_f64(mean * -(1.0 - random.f64()).ln()) + Duration::from_nanos(1)
}

/// Draws the options of a session: the defaults, or small limits.
pub(crate) fn config(random: &mut Rng) -> Config {
    let mut config = Config::default();
    config.replay_window = [1, 2, 64][random.usize(..3)];
    config.max_replay_window = [2, 1_024][random.usize(..2)];
    if random.bool() {
        config.outbox = Limit { count: 4, bytes: 2_000 };
        config.max_requests = 16;
        config.max_subscriptions = 12;
    }
    if random.bool() {
        config.changes = Limit { count: 4, bytes: 2_000 };
        config.replies = Limit { count: 4, bytes: 2_000 };
        config.events = Limit { count: 4, bytes: 2_000 };
    }
    if random.f64() < 0.1 {
        config.request_timeout = None;
    }
    config.collections.count = usize::try_from(KEYS).unwrap_or(usize::MAX);
    config.refresh_credentials = random.bool();
    config
}
