//! What a world is like: how often things happen in it, and how bad they are. Drawn from its seed.

use std::time::Duration;

use dcrf_proto::{Config, Limit};
use fastrand::Rng;

pub(crate) struct Temper {
    /// Mean times between the caller's acts, others' commits, troubles, and the slow readers' looks.
    pub(crate) calls: f64,
    pub(crate) commits: f64,
    pub(crate) troubles: f64,
    pub(crate) reads: f64,
    /// The longest way of a frame, in milliseconds.
    pub(crate) delay: u64,
    /// How likely the server fails to do what it is asked, while there is trouble.
    pub(crate) moods: f64,
    /// How likely a dial fails, while there is trouble.
    pub(crate) error_replies: f64,
    /// Whether a subscription can kill a connection.
    pub(crate) poisonous: bool,
    /// How many subscriptions the caller tends to have.
    pub(crate) subscriptions: u32,
}

impl Temper {
    pub(crate) fn new(random: &mut Rng) -> Self {
        let pick = |random: &mut Rng, from: &[f64]| from[random.usize(..from.len())];
        Self {
            calls: pick(random, &[0.5, 1.5, 4.0, 10.0]),
            commits: pick(random, &[1.0, 3.0, 10.0]),
            troubles: pick(random, &[2.0, 8.0, 30.0, 120.0]),
            reads: pick(random, &[0.5, 5.0, 30.0]),
            delay: [2, 20, 200, 2_000][random.usize(..4)],
            moods: pick(random, &[0.0, 0.02, 0.1, 0.4]),
            error_replies: pick(random, &[0.0, 0.2, 0.7]),
            poisonous: random.f64() < 0.2,
            subscriptions: [2, 6, 20][random.usize(..3)],
        }
    }
}

/// A time drawn so that such times follow each other at random, `mean` seconds apart.
pub(crate) fn apart(mean: f64, random: &mut Rng) -> Duration {
    Duration::from_secs_f64(mean * -(1.0 - random.f64()).ln()) + Duration::from_nanos(1)
}

/// The options of a session: the defaults, and with some likelihood narrow ones.
pub(crate) fn config(random: &mut Rng) -> Config {
    let mut config = Config::default();
    config.replay_window = [1, 2, 64][random.usize(..3)];
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
    config
}
