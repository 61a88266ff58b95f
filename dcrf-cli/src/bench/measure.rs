//! What is measured: latencies in histograms, and counts.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// The longest latency, in microseconds. A longer one counts as this one.
const LONGEST: u64 = 3_600_000_000;
/// Digits that a latency keeps.
const DIGITS: u8 = 3;
/// How many causes of failures are counted separately.
const MOST_CAUSES: usize = 50;

/// What a latency is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Latency {
    Dial,
    Subscribe,
    Request,
    Write,
    EventFromSchedule,
    EventFromReply,
    SendDelay,
}

impl Latency {
    pub(crate) const ALL: [Self; 7] = [
        Self::Dial,
        Self::Subscribe,
        Self::Request,
        Self::Write,
        Self::EventFromSchedule,
        Self::EventFromReply,
        Self::SendDelay,
    ];

    /// The name in JSON.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Dial => "dial",
            Self::Subscribe => "subscribe",
            Self::Request => "request",
            Self::Write => "write",
            Self::EventFromSchedule => "event_from_schedule",
            Self::EventFromReply => "event_from_reply",
            Self::SendDelay => "send_delay",
        }
    }

    /// The name for people.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Dial => "dial",
            Self::Subscribe => "subscribe to reply",
            Self::Request => "request",
            Self::Write => "write",
            Self::EventFromSchedule => "write to event",
            Self::EventFromReply => "write's reply to event",
            Self::SendDelay => "delay of dcrf itself",
        }
    }

    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Self::Dial => "from when the client is due to connect, to connected",
            Self::Subscribe => {
                "from connected to the reply to the subscribe, also after a reconnect"
            }
            Self::Request => "from when the request is due to its reply",
            Self::Write => "from when the write is due to its reply",
            Self::EventFromSchedule => "from when the write is due to the event at each subscriber",
            Self::EventFromReply => {
                "from the write's reply to the event at each subscriber; 0 if the event came first"
            }
            Self::SendDelay => {
                "from when a request or write is due until this process hands it to the client: large numbers mean that \
                 this machine is too slow"
            }
        }
    }
}

/// Numbers of what has happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Counts {
    pub(crate) clients: u64,
    /// Connections made, the first ones and later ones.
    pub(crate) connects: u64,
    pub(crate) failed_dials: u64,
    pub(crate) lost_connections: u64,
    /// Clients that have given up for good.
    pub(crate) closed_clients: u64,
    /// Replies to subscribes, the first ones and later ones.
    pub(crate) subscribes: u64,
    /// Subscriptions that the server has ended.
    pub(crate) ended_subscriptions: u64,
    pub(crate) requests: u64,
    pub(crate) replies: u64,
    pub(crate) error_replies: u64,
    pub(crate) timeouts: u64,
    /// Requests whose connection was lost, or whose client is closed.
    pub(crate) failed_requests: u64,
    /// Requests that found the client's queue full.
    pub(crate) queue_full: u64,
    /// Requests and writes without an outcome when the run was cut.
    pub(crate) unfinished: u64,
    pub(crate) writes: u64,
    pub(crate) confirmed_writes: u64,
    pub(crate) refused_writes: u64,
    /// Writes that the server may have made, or not.
    pub(crate) unsure_writes: u64,
    /// Events of the run's own writes, each one once for each subscriber.
    pub(crate) events: u64,
    /// Events of others' writes.
    pub(crate) foreign_events: u64,
    pub(crate) doubled_events: u64,
    pub(crate) lost_events: u64,
    /// Events missed in outages that the clients have reported as gaps.
    pub(crate) events_in_gaps: u64,
    pub(crate) gaps: u64,
    /// Events that this process was too slow for.
    pub(crate) lagged_events: u64,
}

impl Counts {
    pub(crate) fn add(&mut self, other: &Self) {
        let Self {
            clients,
            connects,
            failed_dials,
            lost_connections,
            closed_clients,
            subscribes,
            ended_subscriptions,
            requests,
            replies,
            error_replies,
            timeouts,
            failed_requests,
            queue_full,
            unfinished,
            writes,
            confirmed_writes,
            refused_writes,
            unsure_writes,
            events,
            foreign_events,
            doubled_events,
            lost_events,
            events_in_gaps,
            gaps,
            lagged_events,
        } = other;
        self.clients += clients;
        self.connects += connects;
        self.failed_dials += failed_dials;
        self.lost_connections += lost_connections;
        self.closed_clients += closed_clients;
        self.subscribes += subscribes;
        self.ended_subscriptions += ended_subscriptions;
        self.requests += requests;
        self.replies += replies;
        self.error_replies += error_replies;
        self.timeouts += timeouts;
        self.failed_requests += failed_requests;
        self.queue_full += queue_full;
        self.unfinished += unfinished;
        self.writes += writes;
        self.confirmed_writes += confirmed_writes;
        self.refused_writes += refused_writes;
        self.unsure_writes += unsure_writes;
        self.events += events;
        self.foreign_events += foreign_events;
        self.doubled_events += doubled_events;
        self.lost_events += lost_events;
        self.events_in_gaps += events_in_gaps;
        self.gaps += gaps;
        self.lagged_events += lagged_events;
    }
}

/// A histogram of latencies in microseconds. It grows with what it holds.
///
/// # Errors
///
/// The constants are wrong.
pub(crate) fn histogram() -> Result<Histogram<u64>, Failure> {
    Histogram::new(DIGITS).map_err(|error| Failure::usage(error.to_string()))
}

fn record(histogram: &mut Histogram<u64>, micros: u64, count: u64) {
    // A growing histogram has room for each number up to the longest.
    let _ = histogram.record_n(micros.min(LONGEST), count);
}

/// Measures. Each thread has one, so that they don't wait for each other.
pub(crate) struct Recorder {
    pub(crate) counts: Counts,
    latencies: [Histogram<u64>; Latency::ALL.len()],
    /// Since the last [`take_second`](Self::take_second).
    second: Second,
    causes: Causes,
}

/// What went wrong, and how often.
pub(crate) type Causes = BTreeMap<String, u64>;

/// The latencies of one second.
pub(crate) struct Second {
    pub(crate) requests: Histogram<u64>,
    pub(crate) events: Histogram<u64>,
}

impl Second {
    pub(crate) fn new() -> Result<Self, Failure> {
        Ok(Self { requests: histogram()?, events: histogram()? })
    }
}

impl Recorder {
    pub(crate) fn new() -> Result<Self, Failure> {
        let new = histogram()?;
        Ok(Self {
            counts: Counts::default(),
            latencies: std::array::from_fn(|_| new.clone()),
            second: Second::new()?,
            causes: Causes::new(),
        })
    }

    pub(crate) fn record(&mut self, latency: Latency, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        record(&mut self.latencies[latency as usize], micros, 1);
        match latency {
            Latency::Request => record(&mut self.second.requests, micros, 1),
            Latency::EventFromSchedule => record(&mut self.second.events, micros, 1),
            _ => {}
        }
    }

    /// Counts a failure by its text. Texts that are too many count together.
    pub(crate) fn failed(&mut self, what: &str, error: &impl ToString) {
        let mut cause = format!("{what}: {}", error.to_string());
        if self.causes.len() >= MOST_CAUSES && !self.causes.contains_key(&cause) {
            cause = format!("{what}: other causes");
        }
        *self.causes.entry(cause).or_default() += 1;
    }

    /// Adds the latencies since the last call, and forgets them.
    pub(crate) fn take_second(&mut self, sum: &mut Second) {
        add(&mut sum.requests, &self.second.requests);
        add(&mut sum.events, &self.second.events);
        self.second.requests.reset();
        self.second.events.reset();
    }

    /// Adds what another recorder has measured.
    pub(crate) fn absorb(&mut self, other: &Self) {
        self.counts.add(&other.counts);
        for (sum, latency) in self.latencies.iter_mut().zip(&other.latencies) {
            add(sum, latency);
        }
        for (cause, count) in &other.causes {
            *self.causes.entry(cause.clone()).or_default() += count;
        }
    }

    pub(crate) fn into_parts(self) -> (Counts, [Histogram<u64>; Latency::ALL.len()], Causes) {
        (self.counts, self.latencies, self.causes)
    }
}

/// Adds a histogram to one with as many digits.
pub(crate) fn add(sum: &mut Histogram<u64>, other: &Histogram<u64>) {
    for step in other.iter_recorded() {
        record(sum, step.value_iterated_to(), step.count_at_value());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_apart_and_the_total_has_all() {
        let mut recorder = Recorder::new().unwrap();
        let mut seconds = Vec::new();
        for millis in [1, 50] {
            recorder.record(Latency::Request, Duration::from_millis(millis));
            let mut second = Second::new().unwrap();
            recorder.take_second(&mut second);
            seconds.push((second.requests.len(), second.requests.max() / 1000));
        }
        assert_eq!(seconds, [(1, 1), (1, 50)]);
        assert_eq!(recorder.latencies[Latency::Request as usize].len(), 2);
    }

    #[test]
    fn adding_is_exact() {
        let (mut one, mut two, mut both) =
            (histogram().unwrap(), histogram().unwrap(), histogram().unwrap());
        for n in 1..2000_u64 {
            let (target, value) = (if n % 3 == 0 { &mut one } else { &mut two }, n * n * 7);
            record(target, value, 1);
            record(&mut both, value, 1);
        }
        add(&mut one, &two);
        assert_eq!(one, both);
    }

    #[test]
    fn causes_are_bounded() {
        let mut recorder = Recorder::new().unwrap();
        for n in 0..200 {
            recorder.failed("lost", &n);
        }
        assert_eq!(recorder.causes.len(), MOST_CAUSES + 1);
        assert_eq!(recorder.causes["lost: other causes"], 150);
    }
}
