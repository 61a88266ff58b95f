//! The server: the one for tests, with the simulation's models, and dice for its errors and delays. It knows nothing of the
//! network.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dcrf_proto::fake_server::{ConnectionId, FakeServer, Handshake, Output, Subscribed};
use dcrf_proto::{CloseFrame, ConnectionError};
use fastrand::Rng;
use serde_json::Value;

pub(crate) use self::boards::{BOARDS, KEYS, subscribe_boards};
pub(crate) use self::dice::{Dice, LARGE};
pub(crate) use self::rows::{POISON, Pagination};
use crate::ConnectionIndex;
use crate::schedule::FromServer;

mod boards;
mod dice;
mod rows;

/// The target of a subscription.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    Instance(String, u64),
    /// A `model_observer` with a serializer, whose actions reply.
    Feed(String),
    /// One as in DCRF's docs, whose actions never reply.
    Mute(String),
}

pub(crate) struct Server {
    fake: FakeServer,
    connections: BTreeMap<ConnectionIndex, ConnectionId>,
    /// The connections that answer pings and nothing else.
    deaf: BTreeSet<ConnectionIndex>,
    dice: Arc<Mutex<Dice>>,
    /// The instant of the simulation's beginning.
    base: Instant,
}

impl Server {
    pub(crate) fn new(dice: Dice, pagination: Pagination, base: Instant) -> Self {
        let fake = FakeServer::new();
        // Only scenarios that can detect lost events lose them.
        fake.channel_capacity(usize::MAX);
        let dice = Arc::new(Mutex::new(dice));
        rows::add(&fake, &dice, pagination);
        boards::add(&fake, &dice);
        dice::roll(&fake, &dice);
        Self { fake, connections: BTreeMap::new(), deaf: BTreeSet::new(), dice, base }
    }

    pub(crate) fn dice(&self) -> MutexGuard<'_, Dice> {
        lock(&self.dice)
    }

    fn instant(&self, now: Duration) -> Instant {
        self.dice().now = now;
        self.base + now
    }

    /// Accepts a connection. A deaf one answers pings and nothing else.
    pub(crate) fn accept(
        &mut self,
        nth: ConnectionIndex,
        now: Duration,
        unready: Duration,
        is_deaf: bool,
    ) {
        self.fake.ready_after("notes", unready);
        let handshake = Handshake::new("/ws/");
        let connection = self.fake.connect(handshake, self.instant(now)).expect("it refuses none");
        self.connections.insert(nth, connection);
        if is_deaf {
            self.deaf.insert(nth);
        }
    }

    /// Forgets a connection and its subscriptions.
    pub(crate) fn forget(&mut self, nth: ConnectionIndex) {
        if let Some(connection) = self.connections.remove(&nth) {
            self.fake.disconnected(connection);
        }
    }

    pub(crate) fn has_connection(&self, nth: ConnectionIndex) -> bool {
        self.connections.contains_key(&nth)
    }

    pub(crate) fn is_deaf(&self, nth: ConnectionIndex) -> bool {
        self.deaf.contains(&nth)
    }

    pub(crate) fn receive(&mut self, nth: ConnectionIndex, text: &str, now: Duration) {
        let now = self.instant(now);
        if let Some(connection) = self.connections.get(&nth).filter(|_| !self.deaf.contains(&nth)) {
            self.fake.receive(*connection, text, now);
        }
    }

    /// When the server has something to do.
    pub(crate) fn next(&self) -> Option<Duration> {
        self.fake.poll_timeout().map(|at| at.saturating_duration_since(self.base))
    }

    pub(crate) fn handle_timeout(&mut self, now: Duration) {
        self.fake.handle_timeout(self.instant(now));
    }

    /// Completes all pending work now.
    pub(crate) fn finish_work(&mut self) {
        self.fake.advance(Duration::from_secs(100_000));
    }

    /// What the server sends.
    pub(crate) fn outputs(&mut self) -> Vec<(ConnectionIndex, FromServer)> {
        self.fake.forget_calls();
        let mut outputs = Vec::new();
        let mut ended = Vec::new();
        for (nth, connection) in &self.connections {
            while let Some(output) = self.fake.poll_output(*connection) {
                let lost = match output {
                    Output::Text(text) => {
                        let frames = self.dice().spoil(text).into_iter();
                        outputs.extend(frames.map(|frame| (*nth, frame)));
                        continue;
                    }
                    Output::Close { code, reason } => {
                        ConnectionError::Closed(CloseFrame { code, reason })
                    }
                    _ => ConnectionError::Dropped,
                };
                ended.push(*nth);
                outputs.push((*nth, FromServer::Disconnected(lost)));
            }
        }
        for nth in ended {
            self.forget(nth);
        }
        outputs
    }

    /// The ids and targets of a connection's subscriptions.
    pub(crate) fn subscribed(&self, nth: ConnectionIndex) -> Vec<(Value, Target)> {
        let connection = self.connections.get(&nth).copied();
        let all = self.fake.subscriptions().into_iter();
        let its = all.filter(|its| Some(its.connection) == connection);
        let target =
            |its: &Subscribed| Target::of(&its.stream, &its.subscribe, its.group.parse().ok());
        its.filter_map(|its| Some((target(&its)?, its)))
            .map(|(target, its)| (its.request_id, target))
            .collect()
    }

    /// Whether the frames of this subscription kill connections, however well the server is.
    pub(crate) fn is_guilty(&self, target: &Target, refreshes: bool) -> bool {
        let dice = self.dice();
        let lists = refreshes && *target == Target::Feed("tasks".to_owned());
        (dice.has_poison && target.pk() == Some(POISON)) || (dice.has_raising_list && lists)
    }

    /// The versions of a stream's rows.
    pub(crate) fn versions(&self, stream: &str) -> BTreeMap<u64, u64> {
        versions(&self.fake.rows(stream), None)
    }

    /// The versions of a board's rows of a group, or of all.
    pub(crate) fn board_versions(&self, group: Option<u64>) -> BTreeMap<u64, u64> {
        versions(&self.fake.rows(BOARDS[0]), group)
    }

    pub(crate) fn any(&self, stream: &str, random: &mut Rng) -> Option<u64> {
        let pks = self.fake.keys(stream);
        (!pks.is_empty()).then(|| pks[random.usize(..pks.len())].as_u64())?
    }
}

fn versions(rows: &[Value], group: Option<u64>) -> BTreeMap<u64, u64> {
    let rows = rows.iter().filter(|row| group.is_none_or(|group| row["group"] == group));
    let number = |value: &Value| value.as_u64().expect("a number");
    rows.map(|row| (number(&row["pk"]), number(&row["version"]))).collect()
}

fn lock(dice: &Mutex<Dice>) -> MutexGuard<'_, Dice> {
    dice.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Target {
    /// The target of a subscribe or unsubscribe.
    pub(crate) fn of(stream: &str, action: &str, pk: Option<u64>) -> Option<Self> {
        let stream = stream.to_owned();
        match action.strip_prefix("un").unwrap_or(action) {
            "subscribe_instance" => Some(Self::Instance(stream, pk.unwrap_or_default())),
            "subscribe_feed" => Some(Self::Feed(stream)),
            "subscribe_mute" => Some(Self::Mute(stream)),
            _ => None,
        }
    }

    pub(crate) fn stream(&self) -> &str {
        match self {
            Self::Instance(stream, _) | Self::Feed(stream) | Self::Mute(stream) => stream,
        }
    }

    pub(crate) fn pk(&self) -> Option<u64> {
        match self {
            Self::Instance(_, pk) => Some(*pk),
            Self::Feed(_) | Self::Mute(_) => None,
        }
    }

    pub(crate) fn is_mute(&self) -> bool {
        matches!(self, Self::Mute(_))
    }
}
