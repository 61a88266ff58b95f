//! The caller of live collections: collects, reads late, lists again, and leaves at any time.

use std::time::Duration;

use dcrf_proto::{Collect, CollectionKey, Event, Json, Request, Subscribe};
use fastrand::Rng;
use serde_json::Value;

use crate::server::{BOARDS, subscribe_boards};
use crate::simulation::Simulation;

/// A form of a collection.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent of each other")]
pub(crate) struct Form {
    /// Its index, which all of its frames carry.
    pub(crate) number: u64,
    /// The group of its rows. `None` for all.
    pub(crate) group: Option<u64>,
    /// Whether each group has a feed.
    pub(crate) has_two_feeds: bool,
    pub(crate) stream: &'static str,
    pub(crate) feed_stream: &'static str,
    pub(crate) has_keys_only: bool,
    pub(crate) is_mute: bool,
    pub(crate) is_paged: bool,
    pub(crate) has_version: bool,
    pub(crate) verify: Option<Duration>,
    pub(crate) resync_every: Option<Duration>,
}

/// The forms of a world whose events can be lost, or sent in another order.
pub(crate) fn forms(loses_events: bool, has_races: bool, random: &mut Rng) -> Vec<Form> {
    let count = random.u64(1..=3);
    (0..count).map(|number| form(number, loses_events, has_races, random)).collect()
}

fn form(number: u64, loses_events: bool, has_races: bool, random: &mut Rng) -> Form {
    let group = [None, Some(1), Some(2)][random.usize(..3)];
    let is_paged = random.u64(..3) == 0;
    let stream = BOARDS[usize::from(is_paged)];
    let feed_stream = if random.u64(..4) == 0 { BOARDS[2] } else { stream };
    let (has_keys_only, is_mute) = (random.u64(..4) == 0, random.u64(..4) == 0);
    let has_version = random.bool();
    // Only one that lists again can follow what is not reported.
    let is_unproved = is_mute && feed_stream != stream;
    let resyncs = loses_events || is_unproved || random.u64(..4) == 0;
    let is_blind = !has_version || has_keys_only;
    let verifies = (has_races && is_blind) || random.u64(..4) == 0;
    Form {
        number,
        group,
        has_two_feeds: group.is_none() && random.bool(),
        feed_stream,
        has_keys_only,
        is_mute,
        is_paged,
        stream,
        has_version,
        verify: verifies.then(|| Duration::from_millis(random.u64(100..2_000))),
        resync_every: resyncs.then(|| Duration::from_secs(random.u64(5..20))),
    }
}

impl Form {
    fn collect(&self) -> Collect {
        let in_group = |request: Request, group: Option<u64>| match group {
            Some(group) => request.arg("group", group),
            None => request,
        };
        let list = Request::list(self.stream).arg("form", self.number);
        let retrieve = Request::new(self.stream, "retrieve").arg("form", self.number);
        let mut collect = Collect::new(self.stream)
            .list(in_group(list, self.group))
            .retrieve(in_group(retrieve, self.group));
        let groups = if self.has_two_feeds { vec![Some(1), Some(2)] } else { vec![self.group] };
        for group in groups {
            let action = subscribe_boards(group.is_some(), self.has_keys_only, self.is_mute);
            let mut feed = Subscribe::new(self.feed_stream, action)
                .arg("form", self.number)
                .arg("is_mute", self.is_mute);
            if let Some(group) = group {
                feed = feed.arg("group", group);
            }
            collect = collect.feed(if self.is_mute { feed.without_ack() } else { feed });
        }
        if self.has_version {
            collect = collect.version(|row: &Json| row.decode::<Value>().ok()?["version"].as_u64());
        }
        if let Some(quiet) = self.verify {
            collect = collect.verify(quiet);
        }
        match self.resync_every {
            Some(interval) => collect.resync_every(interval),
            None => collect,
        }
    }

    /// How often it may list again in this time without any other reason. Rows that move between pages are one.
    pub(crate) fn relists(&self, time: Duration) -> u64 {
        let soon = self.is_paged.then_some(Duration::from_secs(5));
        let interval = [self.resync_every, soon].into_iter().flatten().min();
        // An interval is shortened by up to a tenth.
        let relists = |interval: Duration| time.as_millis() * 10 / (9 * interval.as_millis());
        let relists = interval.map_or(0, relists) + 1;
        u64::try_from(relists).unwrap_or(u64::MAX)
    }

    pub(crate) fn feeds(&self) -> usize {
        1 + usize::from(self.has_two_feeds)
    }
}

impl Simulation {
    pub(crate) fn call_collections(&mut self) {
        match self.random.u64(..100) {
            0..30 => {
                let forms = self.scenario.forms.len();
                let form = self.scenario.forms[self.random.usize(..forms)].clone();
                if self.invariants.collections.readers(form.number) < 4 {
                    self.collect(form);
                }
            }
            30..40 => self.end_any_collection(),
            40..50 => {
                if let Some(key) = self.invariants.collections.any(&mut self.random) {
                    self.trace.push(self.clock.now, || format!("resync {key:?}"));
                    self.invariants.collections.resync(key, &self.session);
                    self.session.resync(key, self.clock.instant());
                }
            }
            50..52 => {
                self.report.fault("reconnect");
                self.session
                    .force_reconnect(dcrf_proto::CloseFrame::normal(), self.clock.instant());
                self.invariants.force_reconnect();
            }
            52..70 => self.request("echo"),
            70 if self.random.u64(..20) == 0 => self.close_session(),
            _ => {}
        }
    }

    fn collect(&mut self, form: Form) {
        let is_slow = self.random.bool();
        self.trace.push(self.clock.now, || format!("collect {form:?}"));
        if let Ok(key) = self.session.collect(form.collect(), self.clock.instant()) {
            self.invariants.collections.add(key, form, is_slow, &self.session);
            self.report.count("collections", 1);
        }
    }

    fn end_any_collection(&mut self) {
        let Some(key) = self.invariants.collections.any(&mut self.random) else { return };
        self.end_collection(key);
    }

    fn end_collection(&mut self, key: CollectionKey) {
        self.trace.push(self.clock.now, || format!("end {key:?}"));
        self.session.end_collection(key, self.clock.instant());
        self.invariants.collections.remove(key, &self.session);
    }

    /// Collects again what has ended with an error, as a caller does.
    pub(crate) fn collect_again(&mut self) {
        for (key, form) in self.invariants.collections.ended_keys() {
            self.end_collection(key);
            self.report.count("collections that ended", 1);
            self.collect(form);
        }
    }

    /// A collection has something to read.
    pub(crate) fn collection_event(&mut self, event: &Event) {
        let Event::CollectionReadable(key) = event else { return };
        self.invariants.collections.check(*key, &self.session);
        if !self.invariants.collections.is_slow(*key) {
            self.read_collection(*key);
        }
    }

    pub(crate) fn read_collections(&mut self) {
        for key in self.invariants.collections.keys() {
            self.read_collection(key);
        }
    }

    fn read_collection(&mut self, key: CollectionKey) {
        while let Some(polled) = self.session.poll_collection(key) {
            self.trace.push(self.clock.now, || format!("    {key:?}: {polled:?}"));
            self.report.count("batches read", 1);
            self.invariants.collections.read(key, polled);
        }
        self.invariants.collections.check_reader(key, &self.session);
    }
}
