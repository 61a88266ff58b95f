//! What a reader of a subscription is owed, in order, and what it knows of the server's rows (S5, S6, S11 to S15).

use std::collections::{BTreeMap, VecDeque};

use dcrf_proto::{Change, Json, OverflowPolicy, Session, SubscriptionError, SubscriptionKey};
use serde_json::Value;

use super::subscriptions::{Phase, Subscriptions, Wish};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Owed {
    Create(Value),
    Update(Value),
    Delete(Value),
    Refused,
    Other(Value),
    Gap,
}

impl Owed {
    /// What an event is to be told as.
    pub(super) fn of(payload: &Value) -> Option<Self> {
        let failed = payload["response_status"].as_u64().is_some_and(|status| status >= 400);
        if failed {
            return Some(Self::Refused);
        }
        let data = payload.get("data").cloned();
        Some(match (payload["action"].as_str()?, data) {
            ("create", Some(data)) => Self::Create(data),
            ("update", Some(data)) => Self::Update(data),
            ("delete", Some(data)) => Self::Delete(data),
            _ => Self::Other(payload.clone()),
        })
    }

    fn told(change: &Change) -> Option<Self> {
        let decode = |json: &Json| -> Value { json.decode().expect("JSON") };
        Some(match change {
            Change::Create(data) => Self::Create(decode(data)),
            Change::Update(data) => Self::Update(decode(data)),
            Change::Delete(deleted) => Self::Delete(decode(&deleted.data)),
            Change::ErrorReply(_) => Self::Refused,
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
    owed: VecDeque<Owed>,
    /// The last that was read was a gap, what a refresh brought aside: that is owed at no place.
    is_after_gap: bool,
    history: History,
    /// How many changes at the front of what is owed may have given way.
    skips: u64,
    lagged_gap: LaggedGap,
    rows: BTreeMap<u64, u64>,
    /// Since the last gap the state was told whole.
    is_fresh: bool,
    /// Changes gave way or a refresh was refused, and that was told.
    is_excused: bool,
}

/// A gap that gave way with what was around it: it is told all the same, once for all that did.
#[derive(Default, PartialEq, Eq)]
enum LaggedGap {
    #[default]
    None,
    Due,
    Told,
}

/// What the reader was told, so far as gaps go (S5).
#[derive(Default, PartialEq, Eq)]
enum History {
    #[default]
    Empty,
    Complete,
    GapOwed,
}

impl Reader {
    pub(super) fn acknowledged(&mut self) {
        if std::mem::replace(&mut self.history, History::Complete) == History::GapOwed {
            self.owed.push_back(Owed::Gap);
        }
    }

    pub(super) fn loses(&mut self) {
        if self.history == History::Complete {
            self.history = History::GapOwed;
        }
    }

    pub(super) fn owes(&mut self, owed: &Owed, wish: &Wish) {
        // S13
        if owed.is_create() && !wish.include_create {
            return;
        }
        self.acknowledged();
        self.owed.push_back(owed.clone());
    }

    fn reads(&mut self, change: &Change, wish: &Wish) {
        if let Change::Lagged(count) = change {
            assert_ne!(wish.overflow_policy, OverflowPolicy::Close, "S11: nothing gives way");
            // What gave way can be snapshots, so that skips of an earlier time can be left.
            if self.skips == 0 {
                self.lagged_gap = LaggedGap::None;
            }
            self.skips += count;
            self.is_excused = true;
            return;
        }
        if let Change::Snapshot(objects) = change {
            assert!(wish.refreshes, "S6: a snapshot that nobody asked for");
            let objects = objects.iter().map(|json| json.decode::<Value>().expect("JSON"));
            self.rows = objects.map(|row| (pk_of(&row), version_of(&row))).collect();
            if let Some(pk) = wish.target.pk() {
                assert!(self.rows.keys().all(|other| *other == pk), "S6: a row of another");
            }
            (self.is_fresh, self.is_excused) = (true, false);
            return;
        }
        let told = Owed::told(change).unwrap_or_else(|| panic!("{change:?} is not known"));
        if self.settles(&told, wish.overflow_policy) {
            self.is_after_gap = told == Owed::Gap;
        } else {
            // The refresh of what is not there, and one that is refused.
            let by_refresh = wish.refreshes && matches!(told, Owed::Delete(_) | Owed::Refused);
            assert!(by_refresh, "S5: {told:?} was told, and owed was {:?}", self.owed);
            self.is_fresh |= matches!(told, Owed::Delete(_));
        }
        self.learns(&told);
    }

    /// Takes it off what is owed, if it comes in its turn.
    fn settles(&mut self, told: &Owed, overflow_policy: OverflowPolicy) -> bool {
        let is_due = self.lagged_gap == LaggedGap::Due;
        assert!(!is_due || *told == Owed::Gap, "S5: {told:?} came before the gap");
        if *told == Owed::Gap {
            self.lagged_gap = LaggedGap::Told;
        }
        if is_due {
            return true;
        }
        if overflow_policy == OverflowPolicy::Conflate {
            let Some(at) = self.owed.iter().position(|owed| owed == told) else { return false };
            self.owed.remove(at);
            let is_newer = |(nth, owed): &(usize, Owed)| *nth >= at || owed.pk() != told.pk();
            if told.pk().is_some() {
                let owed = std::mem::take(&mut self.owed).into_iter().enumerate();
                self.owed = owed.filter(is_newer).map(|(_, owed)| owed).collect();
            }
            return true;
        }
        let is_owed = self.owed.contains(told);
        // What gives way behind gaps that were told as one does not make them due.
        if is_owed && self.skips > 0 {
            self.joins_gaps(told);
        }
        while is_owed && self.skips > 0 && self.owed.front().is_some_and(|owed| owed != told) {
            self.skip();
        }
        if self.lagged_gap == LaggedGap::Due {
            return self.settles(told, overflow_policy);
        }
        let gaps = self.owed.iter().take_while(|owed| **owed == Owed::Gap).count();
        if self.owed.get(gaps) == Some(told) {
            self.joins_gaps(told);
        }
        let is_next = self.owed.front() == Some(told);
        if is_next {
            self.owed.pop_front();
        }
        is_next
    }

    /// Gaps with nothing between may be told as one, since they must not fill a buffer.
    fn joins_gaps(&mut self, told: &Owed) {
        if self.is_after_gap && *told != Owed::Gap {
            while self.owed.front() == Some(&Owed::Gap) {
                self.owed.pop_front();
            }
        }
    }

    fn skip(&mut self) {
        match self.owed.pop_front() {
            Some(Owed::Gap) if self.lagged_gap == LaggedGap::None => {
                self.lagged_gap = LaggedGap::Due;
            }
            Some(Owed::Gap) | None => {}
            Some(_) => self.skips -= 1,
        }
    }

    fn learns(&mut self, told: &Owed) {
        match told {
            Owed::Create(row) | Owed::Update(row) if row["version"].is_u64() => {
                self.rows.insert(pk_of(row), version_of(row));
            }
            Owed::Delete(row) => _ = self.rows.remove(&pk_of(row)),
            Owed::Gap => self.is_fresh = false,
            Owed::Refused => self.is_excused = true,
            _ => {}
        }
    }

    pub(super) fn has_read_all(&self, wish: &Wish) -> Result<(), String> {
        let unread = self.owed.iter().filter(|owed| **owed != Owed::Gap).count() as u64;
        let exact = wish.overflow_policy != OverflowPolicy::Conflate && !self.is_excused;
        if exact && unread > self.skips {
            return Err(format!("{:?} was lost", self.owed));
        }
        Ok(())
    }

    pub(super) fn knows(&self, rows: &BTreeMap<u64, u64>) -> Result<(), String> {
        if self.is_excused {
            return Ok(());
        }
        if !self.is_fresh {
            return Err("it was not refreshed".to_owned());
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

// What the caller is told
impl Subscriptions {
    pub(super) fn told(&self, key: SubscriptionKey) {
        let phase = self.subscribers.get(&key).map(|subscriber| subscriber.phase);
        let is_read = matches!(phase, Some(Phase::Alive | Phase::Withdrawn));
        assert!(is_read, "S9: {key:?} was told of after its end");
    }

    pub(super) fn unsubscribed(&mut self, key: SubscriptionKey) {
        let subscriber =
            self.subscribers.remove(&key).expect("S9: an unsubscribe that nobody asked for");
        assert_eq!(subscriber.phase, Phase::Leaving, "S9: an unsubscribe that nobody asked for");
    }

    /// Says whether the reader goes on.
    pub(crate) fn read(
        &mut self,
        key: SubscriptionKey,
        polled: &Result<Change, SubscriptionError>,
        session: &Session,
    ) -> bool {
        let subscriber = self.subscribers.get_mut(&key).expect("S9: read after its end");
        if subscriber.phase == Phase::Withdrawn {
            assert_eq!(*polled, Err(SubscriptionError::Unsubscribed), "S12");
        }
        match polled {
            Ok(change) => subscriber.reader.reads(change, &subscriber.wish),
            Err(ended) => {
                let target = subscriber.wish.target.clone();
                match ended {
                    SubscriptionError::Unsubscribed => {
                        assert_eq!(subscriber.phase, Phase::Withdrawn, "S12");
                    }
                    SubscriptionError::Overflowed { .. } => {
                        assert_eq!(subscriber.wish.overflow_policy, OverflowPolicy::Close, "S11");
                    }
                    SubscriptionError::ErrorReply(_)
                    | SubscriptionError::Gone(_)
                    | SubscriptionError::Revoked(_) => {
                        assert!(subscriber.is_refused, "S7: {ended}");
                    }
                    SubscriptionError::Poisoned { .. } => {
                        let suspicions = subscriber.suspicions;
                        assert!(suspicions >= 3, "L12: {target:?}, suspected {suspicions} times");
                    }
                    SubscriptionError::TimedOut => {
                        assert!(!subscriber.reader.is_fresh, "S3: it was acknowledged");
                    }
                    _ => {}
                }
                self.subscribers.remove(&key);
                self.is_left(&target, session);
            }
        }
        polled.is_ok()
    }
}
