//! A subscriber's view of its row, built only from changes, with the losses that no gap announced.

use std::fmt;
use std::time::{Duration, Instant};

use dcrf_tests::models::Task;
use dcrf_tests::recoveries::Recoveries;
use dcrf_tokio::{Change, ChangeError, Subscription, SubscriptionError};
use tokio::sync::watch;

/// A subscriber that reads its changes in a task.
pub(crate) struct Subscriber {
    row: usize,
    view: watch::Receiver<View>,
}

#[derive(Clone, Debug)]
pub(crate) struct View {
    version: Option<i64>,
    /// When that version arrived.
    since: Instant,
    /// Whether the snapshot after a gap is still to come.
    is_stale: bool,
    /// Whether the next change may skip versions, because it is the first after a gap.
    may_skip: bool,
    events: u64,
    gaps: u64,
    /// When each snapshot after a gap arrived.
    recovered: Vec<Instant>,
    /// The versions before and after each loss without a gap.
    unannounced: Vec<(i64, i64)>,
}

impl Subscriber {
    pub(crate) fn start(row: usize, mut changes: Subscription<Task>) -> Self {
        let (sender, view) = watch::channel(View::new());
        tokio::spawn(async move {
            while let Some(change) = changes.next().await {
                let change = match change {
                    Err(ChangeError::Subscription(SubscriptionError::Closed(_))) => break,
                    change => change.unwrap(),
                };
                sender.send_modify(|view| view.apply(&change));
            }
        });
        Self { row, view }
    }

    pub(crate) fn row(&self) -> usize {
        self.row
    }

    /// Waits until the view has this version.
    pub(crate) async fn converge(mut self, version: i64, limit: Duration) -> View {
        let row = self.row;
        let converged = async {
            let view = self.view.wait_for(|view| view.version == Some(version)).await;
            view.unwrap().clone()
        };
        let converged = tokio::time::timeout(limit, converged).await;
        converged.unwrap_or_else(|_| {
            panic!(
                "row {row} has version {version}, but its subscriber has {:?}",
                self.view.borrow()
            )
        })
    }
}

impl View {
    fn new() -> Self {
        Self {
            version: None,
            since: Instant::now(),
            is_stale: false,
            may_skip: false,
            events: 0,
            gaps: 0,
            recovered: Vec::new(),
            unannounced: Vec::new(),
        }
    }

    pub(crate) fn since(&self) -> Instant {
        self.since
    }

    fn apply(&mut self, change: &Change<Task>) {
        match change {
            Change::Update(task) => {
                self.events += 1;
                let previous = self.version.unwrap_or(task.priority);
                // An event may repeat the version of the snapshot.
                if !self.may_skip && task.priority > previous + 1 {
                    self.unannounced.push((previous, task.priority));
                }
                assert!(task.priority >= previous, "{previous}, then {}", task.priority);
                self.set(task.priority);
            }
            Change::Snapshot(tasks) => {
                let [task] = &tasks[..] else { panic!("expected one row, got {tasks:?}") };
                assert!(self.version.is_none_or(|previous| task.priority >= previous));
                if std::mem::take(&mut self.is_stale) {
                    self.recovered.push(Instant::now());
                }
                self.set(task.priority);
            }
            Change::Gap(_) => {
                self.gaps += 1;
                (self.is_stale, self.may_skip) = (true, true);
            }
            other => panic!("{other:?}"),
        }
    }

    fn set(&mut self, version: i64) {
        self.may_skip = false;
        if self.version.replace(version) != Some(version) {
            self.since = Instant::now();
        }
    }
}

/// The sums over all subscribers.
#[derive(Default)]
pub(crate) struct Report {
    subscribers: u64,
    events: u64,
    gaps: u64,
    recovered: Vec<Instant>,
    unannounced: Vec<(i64, i64)>,
}

impl Report {
    pub(crate) fn add(&mut self, view: &View) {
        self.subscribers += 1;
        self.events += view.events;
        self.gaps += view.gaps;
        self.recovered.extend(&view.recovered);
        self.unannounced.extend(&view.unannounced);
    }

    /// The times from the restart of a worker until its subscribers had the state again.
    pub(crate) fn recoveries(&self, restarts: &[Instant]) -> Recoveries {
        let mut recoveries = Recoveries::default();
        for recovered in &self.recovered {
            if let Some(restart) = restarts.iter().rev().find(|restart| *restart <= recovered) {
                recoveries.push(*recovered - *restart);
            }
        }
        recoveries
    }

    /// Asserts that a gap announced every loss, and that the restarts had an effect.
    pub(crate) fn check(&self) {
        assert_eq!(self.unannounced, [], "changes were lost without a gap");
        assert!(self.events > self.subscribers, "too few events: {self}");
        assert!(self.gaps >= self.subscribers, "too few gaps: {self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subscribers, events, gaps, .. } = self;
        write!(f, "{events} events to {subscribers} subscribers, {gaps} gaps")
    }
}
