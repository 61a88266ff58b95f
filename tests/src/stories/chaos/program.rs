//! A program that keeps working through faults: it follows objects, makes requests, and records
//! what must hold afterwards.

use std::collections::HashMap;
use std::time::Duration;

use dcrf_proto::{Change, Request, RequestError, Subscribe};
use serde_json::{Value, json};

use crate::adapter::Adapter;
use crate::client::{Client, ReplyFuture, Subscription};
use crate::models::Task;
use crate::observe::{Mark, change};
use crate::server::Server;
use crate::stories::{create_task, rename};

/// Anything slower hangs.
const LIMIT: Duration = Duration::from_secs(20);

pub(super) struct Program<A> {
    adapter: A,
    /// The client under test.
    pub(super) client: Client,
    /// An undisturbed client that changes the followed objects.
    pub(super) writer: Client,
    tasks: [Task; 2],
    followers: Vec<Follower>,
    /// The tasks' latest title, as a number.
    version: u32,
    created: HashMap<String, Created>,
}

/// One subscription.
struct Follower {
    changes: Subscription<Task>,
    /// The subscribe's argument, for the lookup in the journal.
    argument: (&'static str, i64),
    tasks: Vec<i64>,
    /// The last version received of each task.
    versions: HashMap<i64, u32>,
}

/// A pending request.
pub(super) enum Pending {
    Create(String, ReplyFuture<Task>),
    Retrieve(ReplyFuture<Task>),
    Echo(ReplyFuture<Value>),
}

/// How often an object may have been created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Created {
    Once,
    AtMostOnce,
    Never,
}

impl<A: Adapter> Program<A> {
    pub(super) async fn new(adapter: A, client: Client, writer: Client) -> Self {
        let first = create_task(&writer, "first").await;
        // Unique to this story.
        let priority = 3_000_000 + first.pk;
        let data = json!({"title": "0", "priority": priority});
        let one: Task = writer.create("tasks", &data).await.unwrap();
        let other: Task = writer.create("tasks", &data).await.unwrap();
        let mut followers = Vec::new();
        for pk in [one.pk, other.pk] {
            let changes = client.subscribe(Subscribe::instance("tasks", pk)).await.unwrap();
            let argument = ("pk", pk);
            followers.push(Follower {
                changes,
                argument,
                tasks: vec![pk],
                versions: HashMap::new(),
            });
        }
        let feed = Subscribe::new("tasks", "subscribe_priority").arg("priority", priority);
        let changes = client.subscribe(feed).await.unwrap();
        let argument = ("priority", priority);
        let tasks = vec![one.pk, other.pk];
        followers.push(Follower { changes, argument, tasks, versions: HashMap::new() });
        let tasks = [one, other];
        let mut program =
            Self { adapter, client, writer, tasks, followers, version: 0, created: HashMap::new() };
        program.converge().await;
        program
    }

    /// Makes requests without awaiting them.
    pub(super) fn request(&self) -> Vec<Pending> {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let title = format!("chaos {number}");
        vec![
            Pending::Create(title.clone(), self.client.create("tasks", &json!({"title": title}))),
            Pending::Retrieve(self.client.retrieve("tasks", self.tasks[0].pk)),
            Pending::Echo(self.client.call(Request::new("tools", "echo").arg("n", number))),
        ]
    }

    /// Waits until each request settles, and records what must hold.
    pub(super) async fn settle(&mut self, pending: Vec<Pending>) {
        for request in pending {
            match request {
                Pending::Create(title, reply) => {
                    let created = match self.within(reply).await.map(drop) {
                        Ok(()) => Created::Once,
                        Err(error) if was_sent(&error) => Created::AtMostOnce,
                        Err(_) => Created::Never,
                    };
                    self.created.insert(title, created);
                }
                Pending::Retrieve(reply) => {
                    let _ = self.within(reply).await.map_err(|error| was_sent(&error));
                }
                Pending::Echo(reply) => {
                    let _ = self.within(reply).await.map_err(|error| was_sent(&error));
                }
            }
        }
    }

    /// Changes every followed task.
    pub(super) async fn change(&mut self) {
        self.version += 1;
        let title = self.version.to_string();
        for task in &self.tasks {
            let renamed = rename(&self.writer, task, &title);
            self.adapter.within(LIMIT, renamed).await;
        }
    }

    /// Reads up to the gap in each subscription.
    pub(super) async fn read_gaps(&mut self) {
        for follower in &mut self.followers {
            while self.adapter.within(LIMIT, follower.read()).await.is_some() {}
        }
    }

    /// Changes every followed task until all subscriptions deliver the change without a gap.
    pub(super) async fn converge(&mut self) {
        'change: loop {
            self.change().await;
            for follower in &mut self.followers {
                while !follower.knows(self.version) {
                    if self.adapter.within(LIMIT, follower.read()).await.is_none() {
                        continue 'change;
                    }
                }
            }
            return;
        }
    }

    /// Compares the results with the server's data and journal.
    pub(super) async fn verify(mut self, mark: &Mark, server: &Server) {
        // A duplicated change would arrive before this one.
        self.converge().await;
        assert_eq!(self.client.stats().subscriptions, self.followers.len());

        let tasks: Vec<Task> = self.writer.list("tasks").await.unwrap();
        let connections = mark.connections(server);
        let sent: Vec<Value> = connections.iter().flat_map(|c| c.payloads("tasks")).collect();
        for (title, created) in &self.created {
            let count = tasks.iter().filter(|task| task.title == *title).count();
            let received =
                sent.iter().filter(|payload| payload["data"]["title"] == **title).count();
            let expected = match created {
                Created::Once => 1..=1,
                Created::AtMostOnce => 0..=1,
                Created::Never => 0..=0,
            };
            assert!(expected.contains(&count), "{title} exists {count} times, not {created:?}");
            assert!(received <= 1, "{title} was received {received} times");
        }
        for (number, connection) in connections.iter().enumerate() {
            let payloads: Vec<Value> = connection.payloads("tasks").collect();
            let is_last = number + 1 == connections.len();
            for Follower { argument: (name, value), .. } in &self.followers {
                let is_subscribe = |payload: &&Value| {
                    let action = payload["action"].as_str().unwrap_or_default();
                    action.starts_with("subscribe") && payload[*name] == *value
                };
                let count = payloads.iter().filter(is_subscribe).count();
                let expected = usize::from(is_last)..=1;
                assert!(expected.contains(&count), "{name} {value} was sent {count} times");
            }
        }
        self.adapter.within(LIMIT, self.client.close()).await;
    }

    async fn within<T: Send>(&self, answer: ReplyFuture<T>) -> Result<T, RequestError> {
        self.adapter.within(LIMIT, answer).await
    }
}

impl Follower {
    /// Reads the next change, which must be newer than the previous; `None` for a gap.
    async fn read(&mut self) -> Option<()> {
        match change(&mut self.changes).await {
            Change::Update(task) => {
                let version = task.title.parse().unwrap();
                let before = self.versions.insert(task.pk, version);
                assert!(before < Some(version), "received {before:?}, then {version}");
                Some(())
            }
            Change::Gap(_) => None,
            other => panic!("expected an update or a gap, got {other:?}"),
        }
    }

    fn knows(&self, version: u32) -> bool {
        self.tasks.iter().all(|pk| self.versions.get(pk) == Some(&version))
    }
}

/// Whether the server may have acted on a failed request.
fn was_sent(error: &RequestError) -> bool {
    match error {
        RequestError::ConnectionLost { sent, .. } | RequestError::TimedOut { sent } => *sent,
        other => panic!("unexpected error {other:?}"),
    }
}
