//! Finds what kills connections (L12). A frame that the server can't handle closes the whole connection, so what was
//! unanswered at the death of a connection is a suspect. On the next connections suspects are held back and then tried in
//! halves, with nothing else in flight, until one is alone.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::refresh;
use super::refreshes;
use super::registry::Registry;
use super::subscriber::Subscriber;
use super::upstream::Upstream;
use crate::config::Config;
use crate::context::{Context, FAR};
use crate::error::ConnectionError;
use crate::event::Quarantined;
use crate::id::{RequestKey, SubscriptionKey, UpstreamKey};
use crate::timer::Timer;
use crate::trace::SubscriptionEvent;

/// How often a suspect must have been the only unanswered one, on connections that served others.
const DEATHS_FOR_PROOF: u32 = 3;

/// How often a suspect must have been the only unanswered one to be reported.
const DEATHS_FOR_REPORT: u32 = 3;

/// How long a suspect is held back after its first death: it may be too early for its stream. Doubles with each death.
const FIRST_HOLD: Duration = Duration::from_millis(250);
/// The number of the death after which the hold is the longest, 4 s.
const LONGEST_HOLD: u32 = 5;

/// How many suspects are remembered after their last subscriber has left.
const MOST_LEFT: usize = 64;

/// How long requests and other subscribes wait for a trial: the server takes up to a second to close.
const PATIENCE: Duration = Duration::from_secs(1);

/// A frame that may kill connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Suspect {
    Upstream(UpstreamKey),
    /// The refresh of a subscriber.
    Refresh(SubscriptionKey),
    /// A request that is sent for the second and last time.
    Request(RequestKey),
}

/// What speaks against a suspect.
#[derive(Clone, Debug, Default)]
pub(crate) struct Suspicion {
    /// How many connections have died while it was unanswered.
    deaths: u32,
    /// At how many of them it was the only one.
    alone: u32,
    /// How many of those had acknowledged others, and when the first of them died.
    proofs: u32,
    since: Option<Instant>,
    /// When the last connection has died while it was unanswered.
    last: Option<Instant>,
}

impl Suspicion {
    /// Whether a connection has died while nothing else was unanswered.
    pub(super) fn was_alone(&self) -> bool {
        self.alone > 0
    }

    /// A connection has died while the list of a collection was all that was unanswered, and it had acknowledged others.
    /// Returns whether the list is guilty.
    pub(crate) fn record_list(&mut self, now: Instant, config: &Config) -> bool {
        self.record_alone(now, true);
        let is_proved = self.is_proved(now, config);
        self.deaths += 1;
        is_proved
    }

    fn record_alone(&mut self, now: Instant, served_others: bool) {
        self.alone += 1;
        if served_others {
            self.proofs += 1;
            self.since.get_or_insert(now);
        }
    }

    /// Whether it is guilty, before its last death is added to `deaths`: it was the only one, for long enough, also behind
    /// the longest hold.
    fn is_proved(&self, now: Instant, config: &Config) -> bool {
        let time = self.since.map(|since| now.duration_since(since));
        self.proofs >= DEATHS_FOR_PROOF
            && self.deaths >= LONGEST_HOLD
            && time.is_some_and(|time| time >= config.poisoned_after)
    }

    /// How long it is held back on the next connection. One that was alone behind the longest hold is tried slowly, so that
    /// the others get on.
    fn hold(&self, now: Instant, config: &Config) -> Duration {
        let deaths = self.deaths.clamp(1, LONGEST_HOLD);
        let hold = FIRST_HOLD * 2_u32.pow(deaths - 1);
        if self.alone == 0 || self.deaths <= LONGEST_HOLD {
            return hold;
        }
        // Counted from its last death, since connections may never last for so long.
        let slow = config.backoff.maximum.min(FAR);
        let waited = self.last.map_or(Duration::ZERO, |last| now.saturating_duration_since(last));
        let rest = slow.saturating_sub(waited).max(hold);
        // If the next trial can be the proof, don't try in vain before.
        let proof = self.since.map(|since| since + config.poisoned_after.min(FAR));
        let proof = proof.map(|proof| proof.saturating_duration_since(now));
        rest.max(proof.unwrap_or_default().min(2 * slow))
    }
}

/// Whose turn it is to send.
pub(super) enum Turn {
    Everyone,
    Suspect(Suspect),
    /// Everyone waits for a trial.
    Nobody,
}

#[derive(Debug, Default)]
pub(super) struct Quarantine {
    /// When the last frame was sent on this connection.
    last_sent: Option<Instant>,
    /// How many subscribes and refreshes were acknowledged on this connection.
    acknowledged: u32,
    /// The suspects that were not tried on this connection, by when they may be, then by their deaths.
    waiting: BTreeMap<(Instant, u32), VecDeque<Suspect>>,
    trial: Option<Trial>,
    /// Until then requests wait for the suspects on their stream.
    patience: Option<Instant>,
    timer: Option<Instant>,
    /// What speaks against targets whose last subscriber has left, oldest first: a program may subscribe again and again.
    left: VecDeque<(u64, Box<Suspicion>)>,
}

#[derive(Debug)]
struct Trial {
    /// What is to be sent.
    batch: VecDeque<Suspect>,
    is_sending: bool,
    /// Until then nothing else is sent.
    exclusive_until: Instant,
    /// What is unanswered then has not killed the connection.
    ends: Instant,
}

impl Quarantine {
    pub(super) fn frame_sent(&mut self, now: Instant) {
        self.last_sent = Some(now);
    }

    pub(super) fn acknowledged(&mut self) {
        self.acknowledged += 1;
    }

    /// Whether requests wait for the suspects on their stream.
    pub(super) fn is_patient(&self) -> bool {
        self.patience.is_some()
    }

    /// A connection is open. Its suspects are added next.
    pub(super) fn connected(&mut self, now: Instant) {
        self.acknowledged = 0;
        self.patience = Some(now + PATIENCE);
    }

    /// Lets requests wait for the suspects on their stream.
    pub(super) fn be_patient(&mut self, cx: &mut Context) {
        self.patience = Some(cx.now + PATIENCE);
        self.set_timer(cx);
    }

    /// The last subscriber of a suspect has left.
    pub(super) fn remember(&mut self, target: u64, suspicion: Box<Suspicion>) {
        // Most of those suspected once are innocent.
        if suspicion.deaths > 1 {
            if self.left.len() == MOST_LEFT {
                self.left.pop_front();
            }
            self.left.push_back((target, suspicion));
        }
    }

    /// What speaks against a target that is subscribed to again.
    pub(super) fn recall(&mut self, target: u64) -> Option<Box<Suspicion>> {
        let index = self.left.iter().position(|(left, _)| *left == target)?;
        self.left.remove(index).map(|(_, suspicion)| suspicion)
    }

    /// Holds a suspect back.
    pub(super) fn add(&mut self, cx: &mut Context, suspect: Suspect, suspicion: &Suspicion) {
        let due = cx.after(suspicion.hold(cx.now, &cx.config));
        self.wait(cx, (due, suspicion.deaths), suspect);
    }

    /// Holds a refresh back. A later page only waits for its turn: the first has been held back on this connection.
    pub(super) fn add_refresh(
        &mut self,
        cx: &mut Context,
        key: SubscriptionKey,
        suspicion: &Suspicion,
        is_first: bool,
    ) {
        if is_first {
            self.add(cx, Suspect::Refresh(key), suspicion);
        } else {
            self.wait(cx, (cx.now, suspicion.deaths), Suspect::Refresh(key));
        }
    }

    /// Holds a request back. It goes after the subscribes of the first hold.
    pub(super) fn add_request(&mut self, cx: &mut Context, key: RequestKey) {
        let due = cx.after(FIRST_HOLD);
        self.wait(cx, (due, u32::MAX), Suspect::Request(key));
    }

    fn wait(&mut self, cx: &mut Context, at: (Instant, u32), suspect: Suspect) {
        self.waiting.entry(at).or_default().push_back(suspect);
        self.set_timer(cx);
    }

    /// All suspects are added.
    pub(super) fn is_ready(&mut self, cx: &mut Context) {
        if self.waiting.is_empty() {
            self.patience = None;
        }
        self.set_timer(cx);
    }

    fn set_timer(&mut self, cx: &mut Context) {
        let next = match &self.trial {
            Some(trial) if cx.now < trial.exclusive_until => Some(trial.exclusive_until),
            Some(trial) => Some(trial.ends),
            None => self.waiting.keys().next().map(|(due, _)| *due),
        };
        let next = next.into_iter().chain(self.patience).filter(|at| *at > cx.now).min();
        if next != self.timer {
            self.clear_timer(cx);
            self.timer = next;
            if let Some(at) = next {
                cx.timers.set(at, Timer::Hold);
            }
        }
    }

    fn clear_timer(&mut self, cx: &mut Context) {
        if let Some(at) = self.timer.take() {
            cx.timers.clear(at, Timer::Hold);
        }
    }

    pub(super) fn timer_fired(&mut self, cx: &mut Context) {
        self.timer = None;
        if self.patience.is_some_and(|until| until <= cx.now) {
            self.patience = None;
        }
        self.set_timer(cx);
    }

    /// Whose turn it is. `is_quiet`: nothing is unanswered.
    pub(super) fn turn(&mut self, cx: &mut Context, is_quiet: bool) -> Turn {
        let Some(trial) = &mut self.trial else { return Turn::Everyone };
        let is_exclusive = cx.now < trial.exclusive_until;
        if !trial.batch.is_empty() && !trial.is_sending && !is_quiet && is_exclusive {
            return Turn::Nobody;
        }
        trial.is_sending = true;
        if let Some(suspect) = trial.batch.pop_front() {
            return Turn::Suspect(suspect);
        }
        if is_quiet || cx.now >= trial.ends {
            self.trial = None;
            self.set_timer(cx);
        } else if is_exclusive {
            return Turn::Nobody;
        }
        Turn::Everyone
    }

    /// Nobody else has anything to send: begins the next trial, if one is due, with at most `window` suspects. Returns
    /// whether it did.
    ///
    /// All those who were suspected once are tried together, since most connections die of other causes. After that, the
    /// half of those with the same number of deaths.
    pub(super) fn begin_trial(&mut self, cx: &mut Context, window: usize) -> bool {
        let Some(mut group) = self.waiting.first_entry() else { return false };
        let (due, deaths) = *group.key();
        if self.trial.is_some() || due > cx.now {
            return false;
        }
        let count = group.get().len();
        let count = match deaths {
            0..2 => count,
            u32::MAX => 1,
            _ => count.div_ceil(2),
        };
        let batch = group.get_mut().drain(..count.min(window)).collect();
        if group.get().is_empty() {
            group.remove();
        }
        // Requests that wait for the suspects on their stream don't wait another second.
        let exclusive_until = self.patience.unwrap_or(cx.after(PATIENCE));
        let ends = cx.after(cx.config.quarantine_window).max(exclusive_until);
        self.trial = Some(Trial { batch, is_sending: false, exclusive_until, ends });
        self.set_timer(cx);
        true
    }

    /// The connection is over.
    pub(super) fn disconnected(&mut self, cx: &mut Context) {
        self.clear_timer(cx);
        (self.trial, self.patience, self.last_sent) = (None, None, None);
        self.waiting.clear();
    }

    /// Whether the end of the connection makes suspects of what is unanswered: it came soon after a frame. A silent server,
    /// a requested reconnect and a planned restart prove nothing about a frame.
    pub(super) fn is_death(&self, cx: &Context, cause: &ConnectionError) -> bool {
        let is_planned = match cause {
            ConnectionError::Silent(_)
            | ConnectionError::Reconnect
            | ConnectionError::Unauthorized { .. }
            // F5 finds whose reply it was.
            | ConnectionError::TooLarge { .. } => true,
            ConnectionError::Closed(frame) => matches!(frame.code, 1001 | 1012),
            _ => false,
        };
        let window = cx.config.quarantine_window;
        !is_planned && self.last_sent.is_some_and(|last| cx.now.duration_since(last) < window)
    }

    /// Whether the server is well and dies of a trial: it has acknowledged others on this connection.
    pub(super) fn dies_of_a_trial(&self) -> bool {
        self.trial.is_some() && self.acknowledged > 0
    }

    /// The connection has died: all that was unanswered is suspected. Returns who is proved guilty. `requests` is the number
    /// of requests that were sent of late and not answered: they can be guilty too.
    /// Whether subscribes were acknowledged on this connection, and none is unanswered.
    pub(super) fn are_answered(&self, registry: &Registry, cx: &Context) -> bool {
        self.acknowledged > 0 && unanswered(registry, cx).is_empty()
    }

    pub(super) fn blame(
        &self,
        registry: &mut Registry,
        cx: &mut Context,
        cause: &ConnectionError,
        requests: usize,
    ) -> Option<Suspect> {
        let suspects = unanswered(registry, cx);
        let is_alone = suspects.len() == 1 && requests == 0;
        let mut guilty = None;
        for suspect in suspects {
            // The acknowledgement that a refresh follows is no proof that others are served.
            let own = u32::from(matches!(suspect, Suspect::Refresh(_)));
            let served_others = self.acknowledged > own;
            let Some(suspicion) = suspicion_mut(registry, suspect) else { continue };
            if is_alone {
                suspicion.record_alone(cx.now, served_others);
                guilty = suspicion.is_proved(cx.now, &cx.config).then_some(suspect);
            }
            suspicion.deaths += 1;
            suspicion.last = Some(cx.now);
            let alone = suspicion.alone;
            if is_alone && guilty.is_none() && alone >= DEATHS_FOR_REPORT {
                report(registry, cx, suspect, alone, cause);
            }
        }
        guilty
    }
}

/// The subscribes and refreshes without a reply, except those that the connection has outlived: an action that never
/// replies must not hide the guilty one.
fn unanswered(registry: &Registry, cx: &Context) -> Vec<Suspect> {
    let is_recent = |sent: Instant| cx.now.duration_since(sent) < cx.config.quarantine_window;
    let is_unanswered = |upstream: &Upstream| {
        upstream.phase.is_unanswered() && upstream.sent_at(cx).is_none_or(is_recent)
    };
    let upstreams = registry.upstreams.iter().filter(|(_, upstream)| is_unanswered(upstream));
    let refreshes = registry.subscribers.iter().filter(|(_, subscriber)| {
        match subscriber.refresh.as_ref().map(|refresh| &refresh.phase) {
            Some(refresh::Phase::Sent { due, .. }) => is_recent(refreshes::sent_at(*due, cx)),
            _ => false,
        }
    });
    let upstreams = upstreams.map(|(key, _)| Suspect::Upstream(key));
    upstreams.chain(refreshes.map(|(key, _)| Suspect::Refresh(key))).collect()
}

fn suspicion_mut(registry: &mut Registry, suspect: Suspect) -> Option<&mut Suspicion> {
    let suspicion = match suspect {
        Suspect::Upstream(key) => &mut registry.upstreams.get_mut(key)?.suspicion,
        Suspect::Refresh(key) => {
            &mut registry.subscribers.get_mut(key)?.refresh.as_mut()?.suspicion
        }
        Suspect::Request(_) => return None,
    };
    Some(&mut **suspicion.get_or_insert_default())
}

fn report(
    registry: &Registry,
    cx: &mut Context,
    suspect: Suspect,
    deaths: u32,
    cause: &ConnectionError,
) {
    let subscriber = |key| registry.subscribers.get(key);
    let (upstream, refresh) = match suspect {
        Suspect::Upstream(key) => (Some(key), None),
        Suspect::Refresh(key) => {
            let refresh = subscriber(key).and_then(|subscriber| subscriber.refresh.as_deref());
            (subscriber(key).and_then(Subscriber::upstream), refresh)
        }
        Suspect::Request(_) => (None, None),
    };
    let Some(upstream) = upstream.and_then(|key| registry.upstreams.get(key)) else { return };
    upstream.trace(cx, SubscriptionEvent::Suspected { deaths });
    let (stream, action) = match refresh {
        Some(refresh) => (&*refresh.request.stream, &*refresh.request.action),
        None => (&*upstream.stream, upstream.action()),
    };
    cx.quarantined(Quarantined {
        stream: stream.to_owned(),
        action: action.to_owned(),
        deaths,
        cause: cause.clone(),
    });
}
