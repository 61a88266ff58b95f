//! One subscriber: what it knows of its row, built from its changes alone, and whether it was told of all that it
//! missed.

use std::fmt;
use std::time::{Duration, Instant};

use dcrf_tests::models::Task;
use dcrf_tests::recoveries::Recoveries;
use dcrf_tokio::{Change, ChangeError, Subscription, SubscriptionError};
use tokio::sync::watch;

/// A subscriber that reads on, in a task of its own.
pub(crate) struct Reader {
    row: usize,
    known: watch::Receiver<Known>,
}

#[derive(Clone, Debug)]
pub(crate) struct Known {
    version: Option<i64>,
    since: Instant,
    /// Told of a gap, and not yet of the state after it.
    in_gap: bool,
    /// Told of a gap, and of nothing since: only the first change after it may be of any version.
    may_jump: bool,
    events: u64,
    gaps: u64,
    /// When the state was told again after a gap.
    told_again: Vec<Instant>,
    /// What was missed without a word.
    unannounced: Vec<(i64, i64)>,
}

impl Reader {
    pub(crate) fn start(row: usize, mut changes: Subscription<Task>) -> Self {
        let (sender, known) = watch::channel(Known::new());
        tokio::spawn(async move {
            while let Some(change) = changes.next().await {
                let change = match change {
                    Err(ChangeError::Subscription(SubscriptionError::Closed(_))) => break,
                    change => change.unwrap(),
                };
                sender.send_modify(|known| known.learns(&change));
            }
        });
        Self { row, known }
    }

    pub(crate) fn row(&self) -> usize {
        self.row
    }

    /// Waits until it knows this version. Says since when it does.
    pub(crate) async fn reaches(mut self, version: i64, limit: Duration) -> (Known, Instant) {
        let row = self.row;
        let reached = async {
            let known = self.known.wait_for(|known| known.version == Some(version)).await;
            known.unwrap().clone()
        };
        let reached = tokio::time::timeout(limit, reached).await;
        let known = reached.unwrap_or_else(|_| {
            panic!("row {row} has the version {version}, and {:?}", self.known.borrow())
        });
        let since = known.since;
        (known, since)
    }
}

impl Known {
    fn new() -> Self {
        Self {
            version: None,
            since: Instant::now(),
            in_gap: false,
            may_jump: false,
            events: 0,
            gaps: 0,
            told_again: Vec::new(),
            unannounced: Vec::new(),
        }
    }

    fn learns(&mut self, change: &Change<Task>) {
        match change {
            Change::Update(task) => {
                self.events += 1;
                let before = self.version.unwrap_or(task.priority);
                // The event of what the snapshot had already told is no difference.
                if !self.may_jump && task.priority > before + 1 {
                    self.unannounced.push((before, task.priority));
                }
                assert!(task.priority >= before, "{before} and then {}", task.priority);
                self.knows(task.priority);
            }
            Change::Snapshot(tasks) => {
                let [task] = &tasks[..] else { panic!("one row, and not {tasks:?}") };
                assert!(self.version.is_none_or(|before| task.priority >= before));
                if std::mem::take(&mut self.in_gap) {
                    self.told_again.push(Instant::now());
                }
                self.knows(task.priority);
            }
            Change::Gap(_) => {
                self.gaps += 1;
                (self.in_gap, self.may_jump) = (true, true);
            }
            other => panic!("{other:?}"),
        }
    }

    fn knows(&mut self, version: i64) {
        self.may_jump = false;
        if self.version.replace(version) != Some(version) {
            self.since = Instant::now();
        }
    }
}

/// All subscribers together.
#[derive(Default)]
pub(crate) struct Report {
    subscribers: u64,
    events: u64,
    gaps: u64,
    told_again: Vec<Instant>,
    unannounced: Vec<(i64, i64)>,
}

impl Report {
    pub(crate) fn add(&mut self, known: &Known) {
        self.subscribers += 1;
        self.events += known.events;
        self.gaps += known.gaps;
        self.told_again.extend(&known.told_again);
        self.unannounced.extend(&known.unannounced);
    }

    /// The times from the end of a worker until its subscribers knew the state again.
    pub(crate) fn recoveries(&self, ends: &[Instant]) -> Recoveries {
        let mut recoveries = Recoveries::default();
        for told in &self.told_again {
            if let Some(end) = ends.iter().rev().find(|end| *end <= told) {
                recoveries.push(*told - *end);
            }
        }
        recoveries
    }

    /// Whatever was missed was announced, and the restarts were felt.
    pub(crate) fn check(&self) {
        assert_eq!(self.unannounced, [], "missed without a gap");
        assert!(self.events > self.subscribers, "hardly anything happened: {self}");
        assert!(self.gaps >= self.subscribers, "hardly a gap: {self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subscribers, events, gaps, .. } = self;
        write!(f, "{events} events to {subscribers} subscribers, {gaps} gaps")
    }
}
