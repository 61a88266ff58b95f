//! The changes that a reader must get, in order, and the rows that it knows (S5, S6, S11 to S15).

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use dcrf_proto::{Change, Json, OverflowPolicy, Session, SubscriptionError, SubscriptionKey};
use serde_json::Value;

use super::subscriptions::{Phase, Spec, Subscriptions, Suspicion};
use crate::server::Server;

/// A subscription is guilty after this time at least (L12).
const PROOF: Duration = Duration::from_secs(60);

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expected {
    Create(Value),
    Update(Value),
    Delete(Value),
    ErrorReply,
    Other(Value),
    Gap,
}

impl Expected {
    /// The change that an event must become.
    pub(super) fn of(payload: &Value) -> Option<Self> {
        let failed = payload["response_status"].as_u64().is_some_and(|status| status >= 400);
        if failed {
            return Some(Self::ErrorReply);
        }
        let data = payload.get("data").cloned();
        Some(match (payload["action"].as_str()?, data) {
            ("create", Some(data)) => Self::Create(data),
            ("update", Some(data)) => Self::Update(data),
            ("delete", Some(data)) => Self::Delete(data),
            _ => Self::Other(payload.clone()),
        })
    }

    fn from_change(change: &Change) -> Option<Self> {
        let decode = |json: &Json| -> Value { json.decode().expect("JSON") };
        Some(match change {
            Change::Create(data) => Self::Create(decode(data)),
            Change::Update(data) => Self::Update(decode(data)),
            Change::Delete(deleted) => Self::Delete(decode(&deleted.data)),
            Change::ErrorReply(_) => Self::ErrorReply,
            Change::Other { payload, .. } => Self::Other(decode(payload)),
            Change::Gap(_) => Self::Gap,
            _ => return None,
        })
    }

    fn is_create(&self) -> bool {
        match self {
            Self::Create(_) => true,
            Self::Other(payload) => payload["action"] == "create",
            _ => false,
        }
    }

    fn pk(&self) -> Option<u64> {
        match self {
            Self::Create(data) | Self::Update(data) | Self::Delete(data) => data["pk"].as_u64(),
            _ => None,
        }
    }
}

#[derive(Default)]
pub(super) struct Reader {
    expected: VecDeque<Expected>,
    /// Whether the last change was a gap, not counting those of a refresh, which may come anywhere.
    is_after_gap: bool,
    history: History,
    /// How many of the next expected changes may have been dropped.
    skips: u64,
    /// The error replies that were skipped before a delete. If that was of a refresh, they are still to come.
    skipped_error_replies: u64,
    lagged_gap: LaggedGap,
    rows: BTreeMap<u64, u64>,
    /// What a refresh has delivered since the last gap, or the last dropped changes.
    refreshed: Refreshed,
    /// Whether a refresh has found that the object does not exist. If changes are conflated, a newer change of it
    /// replaces that one.
    pub(super) is_missing: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Refreshed {
    #[default]
    NotYet,
    Current,
    /// It failed for good: only another subscribe brings one before the next gap.
    Failed,
}

/// A gap among dropped changes, which is still delivered, once for all of them.
#[derive(Default, PartialEq, Eq)]
enum LaggedGap {
    #[default]
    None,
    Due,
    Delivered,
}

/// Whether the next acknowledgement brings a gap (S5).
#[derive(Default, PartialEq, Eq)]
enum History {
    #[default]
    Empty,
    Complete,
    GapExpected,
}

impl Reader {
    pub(super) fn acknowledged(&mut self) {
        if std::mem::replace(&mut self.history, History::Complete) == History::GapExpected {
            self.expected.push_back(Expected::Gap);
        }
    }

    /// A change was not kept.
    pub(super) fn miss(&mut self) {
        self.acknowledged();
        self.expected.push_back(Expected::Gap);
    }

    pub(super) fn lose(&mut self) {
        self.is_missing = false;
        if self.history == History::Complete {
            self.history = History::GapExpected;
        }
    }

    pub(super) fn expect_change(&mut self, expected: &Expected, spec: &Spec) {
        // S13
        if expected.is_create() && !spec.include_create {
            return;
        }
        self.acknowledged();
        self.expected.push_back(expected.clone());
    }

    fn read(&mut self, change: &Change, spec: &Spec) {
        if let Change::Lagged(count) = change {
            assert_ne!(spec.overflow_policy, OverflowPolicy::Close, "S11: nothing is dropped");
            // Dropped snapshots count too, so earlier skips may be left over.
            if self.skips == 0 {
                self.lagged_gap = LaggedGap::None;
            }
            self.skips += count;
            (self.refreshed, self.is_missing) = (Refreshed::NotYet, false);
            return;
        }
        if let Change::Snapshot(objects) = change {
            assert!(spec.refreshes, "S6: an unrequested snapshot");
            let objects = objects.iter().map(|json| json.decode::<Value>().expect("JSON"));
            self.rows = objects.map(|row| (pk_of(&row), version_of(&row))).collect();
            if let Some(pk) = spec.target.pk() {
                assert!(self.rows.keys().all(|other| *other == pk), "S6: a row of another");
            }
            self.refreshed = Refreshed::Current;
            return;
        }
        if let Change::RefreshFailed(error) = change {
            assert!(spec.refreshes, "S6: an unrequested refresh failed: {error}");
            if error.is_final() {
                self.refreshed = Refreshed::Failed;
            }
            return;
        }
        let delivered =
            Expected::from_change(change).unwrap_or_else(|| panic!("{change:?} is not known"));
        if self.take_expected(&delivered, spec.overflow_policy) {
            self.is_after_gap = delivered == Expected::Gap;
            let is_newer = self.is_missing && delivered.pk().is_some();
            if is_newer && spec.overflow_policy == OverflowPolicy::Conflate {
                self.refreshed = Refreshed::Current;
            }
        } else if delivered == Expected::ErrorReply
            && spec.refreshes
            && self.skipped_error_replies > 0
        {
            (self.skips, self.skipped_error_replies) =
                (self.skips + 1, self.skipped_error_replies - 1);
        } else {
            // A refresh of a missing object.
            let by_refresh = spec.refreshes && matches!(delivered, Expected::Delete(_));
            assert!(by_refresh, "S5: got {delivered:?}, expected {:?}", self.expected);
            self.refreshed = Refreshed::Current;
        }
        self.learn(&delivered);
    }

    /// Removes the change from the expected ones if it is the next.
    fn take_expected(&mut self, delivered: &Expected, overflow_policy: OverflowPolicy) -> bool {
        let is_due = self.lagged_gap == LaggedGap::Due;
        assert!(!is_due || *delivered == Expected::Gap, "S5: {delivered:?} came before the gap");
        if *delivered == Expected::Gap {
            self.lagged_gap = LaggedGap::Delivered;
        }
        if is_due {
            return true;
        }
        if overflow_policy == OverflowPolicy::Conflate {
            let Some(at) = self.expected.iter().position(|expected| expected == delivered) else {
                return false;
            };
            self.expected.remove(at);
            let is_newer =
                |(nth, expected): &(usize, Expected)| *nth >= at || expected.pk() != delivered.pk();
            if delivered.pk().is_some() {
                let expected = std::mem::take(&mut self.expected).into_iter().enumerate();
                self.expected = expected.filter(is_newer).map(|(_, expected)| expected).collect();
            }
            return true;
        }
        let is_expected = self.expected.contains(delivered);
        // Changes dropped after merged gaps don't make a gap due.
        if is_expected && self.skips > 0 {
            self.merge_gaps(delivered);
        }
        while is_expected
            && self.skips > 0
            && self.expected.front().is_some_and(|expected| expected != delivered)
        {
            self.skip();
        }
        if self.lagged_gap == LaggedGap::Due {
            return self.take_expected(delivered, overflow_policy);
        }
        let gaps = self.expected.iter().take_while(|expected| **expected == Expected::Gap).count();
        if self.expected.get(gaps) == Some(delivered) {
            self.merge_gaps(delivered);
        }
        let is_next = self.expected.front() == Some(delivered);
        if is_next {
            self.expected.pop_front();
        }
        is_next
    }

    /// Adjacent gaps may be merged, so that they don't fill a buffer.
    fn merge_gaps(&mut self, delivered: &Expected) {
        if self.is_after_gap && *delivered != Expected::Gap {
            while self.expected.front() == Some(&Expected::Gap) {
                self.expected.pop_front();
            }
        }
    }

    fn skip(&mut self) {
        match self.expected.pop_front() {
            Some(Expected::Gap) if self.lagged_gap == LaggedGap::None => {
                self.lagged_gap = LaggedGap::Due;
            }
            Some(Expected::Gap) | None => {}
            Some(expected) => {
                self.skips -= 1;
                self.skipped_error_replies += u64::from(expected == Expected::ErrorReply);
            }
        }
    }

    fn learn(&mut self, delivered: &Expected) {
        match delivered {
            Expected::Create(row) | Expected::Update(row) if row["version"].is_u64() => {
                self.rows.insert(pk_of(row), version_of(row));
            }
            Expected::Delete(row) => _ = self.rows.remove(&pk_of(row)),
            Expected::Gap => self.refreshed = Refreshed::NotYet,
            _ => {}
        }
    }

    pub(super) fn has_read_all(&self, spec: &Spec) -> Result<(), String> {
        let unread =
            self.expected.iter().filter(|expected| **expected != Expected::Gap).count() as u64;
        if spec.overflow_policy != OverflowPolicy::Conflate && unread > self.skips {
            return Err(format!("{:?} was lost", self.expected));
        }
        Ok(())
    }

    pub(super) fn has_failed(&self) -> bool {
        self.refreshed == Refreshed::Failed
    }

    pub(super) fn check_rows(&self, rows: &BTreeMap<u64, u64>) -> Result<(), String> {
        if self.refreshed != Refreshed::Current {
            return Err(format!("refreshed: {:?}", self.refreshed));
        }
        if self.rows != *rows {
            return Err(format!("it knows {:?}, and the server has {rows:?}", self.rows));
        }
        Ok(())
    }
}

fn pk_of(row: &Value) -> u64 {
    row["pk"].as_u64().expect("a row")
}

fn version_of(row: &Value) -> u64 {
    row["version"].as_u64().expect("a row")
}

// Outputs
impl Subscriptions {
    pub(super) fn handle_event(&self, key: SubscriptionKey) {
        let phase = self.subscribers.get(&key).map(|subscriber| subscriber.phase);
        let is_read = matches!(phase, Some(Phase::Alive | Phase::EndedByAll));
        assert!(is_read, "S9: {key:?} has an event after its end");
    }

    pub(super) fn unsubscribed(&mut self, key: SubscriptionKey) {
        let subscriber = self.subscribers.remove(&key).expect("S9: an unrequested unsubscribe");
        assert_eq!(subscriber.phase, Phase::Unsubscribing, "S9: an unrequested unsubscribe");
    }

    /// Returns whether the subscription continues.
    pub(crate) fn read(
        &mut self,
        key: SubscriptionKey,
        polled: &Result<Change, SubscriptionError>,
        session: &Session,
        server: &Server,
        now: Instant,
    ) -> bool {
        let subscriber = self.subscribers.get_mut(&key).expect("S9: read after its end");
        if subscriber.phase == Phase::EndedByAll {
            assert_eq!(*polled, Err(SubscriptionError::Unsubscribed), "S12");
        }
        match polled {
            Ok(change) => subscriber.reader.read(change, &subscriber.spec),
            Err(ended) => {
                let target = subscriber.spec.target.clone();
                match ended {
                    SubscriptionError::Unsubscribed => {
                        assert_eq!(subscriber.phase, Phase::EndedByAll, "S12");
                    }
                    SubscriptionError::Overflowed { .. } => {
                        assert_eq!(subscriber.spec.overflow_policy, OverflowPolicy::Close, "S11");
                    }
                    SubscriptionError::ErrorReply(_)
                    | SubscriptionError::Gone(_)
                    | SubscriptionError::Revoked(_) => {
                        assert!(subscriber.has_error_reply, "S7: {ended}");
                    }
                    SubscriptionError::Poisoned { .. } => {
                        let Suspicion { times, since, coincidences } = subscriber.suspicion;
                        assert!(times >= 3, "L12: {target:?}, suspected {times} times");
                        let since = since.map(|since| now - since);
                        assert!(since >= Some(PROOF), "L12: {target:?} after {since:?}");
                        let is_guilty = server.is_guilty(&target, false) || coincidences > 0;
                        assert!(is_guilty, "L12: {target:?} is not guilty");
                    }
                    SubscriptionError::RefreshPoisoned { .. } => {
                        let refreshes = subscriber.spec.refreshes;
                        let refresh_of = (target.stream().to_owned(), target.pk());
                        let deaths = self.refresh_deaths.get(&refresh_of);
                        // Nothing can tell the deaths that no consumer has caused from the others.
                        let is_guilty = server.is_guilty(&target, refreshes)
                            || deaths.is_some_and(|deaths| deaths.coincidences > 0);
                        assert!(is_guilty, "L12: {target:?} is not guilty");
                    }
                    SubscriptionError::RefreshTooLarge { .. } => {
                        assert!(subscriber.spec.refreshes, "F5: it does not refresh");
                        let left = self.large_refreshes.checked_sub(1);
                        self.large_refreshes = left.expect("F5: no reply was too large");
                    }
                    SubscriptionError::TimedOut | SubscriptionError::Suspected { .. } => {
                        let refreshed = subscriber.reader.refreshed;
                        assert!(refreshed != Refreshed::Current, "S3: it was acknowledged");
                    }
                    _ => {}
                }
                self.subscribers.remove(&key);
                self.forget_if_unused(&target, session);
            }
        }
        polled.is_ok()
    }
}
