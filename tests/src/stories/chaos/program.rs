//! A program that goes on while everything fails: it follows some objects, makes requests, and keeps a record of
//! what it was promised.

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

/// Whatever takes longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) struct Program<A> {
    adapter: A,
    /// The one that everything happens to.
    pub(super) client: Client,
    /// One that nothing happens to, which changes what the other follows.
    pub(super) writer: Client,
    tasks: [Task; 2],
    followers: Vec<Follower>,
    /// The number of the last change of the tasks, which is their title.
    version: u32,
    created: HashMap<String, Created>,
}

/// One subscription.
struct Follower {
    changes: Subscription<Task>,
    /// The argument that names what it follows, in the server's journal.
    argument: (&'static str, i64),
    tasks: Vec<i64>,
    /// The version of each task that it was told last.
    told: HashMap<i64, u32>,
}

/// A request that was made.
pub(super) enum Asked {
    Create(String, ReplyFuture<Task>),
    Retrieve(ReplyFuture<Task>),
    Echo(ReplyFuture<Value>),
}

/// How often an object must have been created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Created {
    Once,
    AtMostOnce,
    Never,
}

impl<A: Adapter> Program<A> {
    pub(super) async fn new(adapter: A, client: Client, writer: Client) -> Self {
        let first = create_task(&writer, "first").await;
        // No other story has this priority.
        let priority = 3_000_000 + first.pk;
        let data = json!({"title": "0", "priority": priority});
        let one: Task = writer.create("tasks", &data).await.unwrap();
        let other: Task = writer.create("tasks", &data).await.unwrap();
        let mut followers = Vec::new();
        for pk in [one.pk, other.pk] {
            let changes = client.subscribe(Subscribe::instance("tasks", pk)).await.unwrap();
            let argument = ("pk", pk);
            followers.push(Follower { changes, argument, tasks: vec![pk], told: HashMap::new() });
        }
        let feed = Subscribe::new("tasks", "subscribe_priority").arg("priority", priority);
        let changes = client.subscribe(feed).await.unwrap();
        let argument = ("priority", priority);
        let tasks = vec![one.pk, other.pk];
        followers.push(Follower { changes, argument, tasks, told: HashMap::new() });
        let tasks = [one, other];
        let mut program =
            Self { adapter, client, writer, tasks, followers, version: 0, created: HashMap::new() };
        program.all_are_told().await;
        program
    }

    /// Makes requests, and waits for none.
    pub(super) fn ask(&self) -> Vec<Asked> {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let title = format!("chaos {number}");
        vec![
            Asked::Create(title.clone(), self.client.create("tasks", &json!({"title": title}))),
            Asked::Retrieve(self.client.retrieve("tasks", self.tasks[0].pk)),
            Asked::Echo(self.client.call(Request::new("tools", "echo").arg("n", number))),
        ]
    }

    /// Waits until each request has settled, and notes what was promised.
    pub(super) async fn settle(&mut self, asked: Vec<Asked>) {
        for asked in asked {
            match asked {
                Asked::Create(title, response) => {
                    let created = match self.within(response).await.map(drop) {
                        Ok(()) => Created::Once,
                        Err(error) if was_sent(&error) => Created::AtMostOnce,
                        Err(_) => Created::Never,
                    };
                    self.created.insert(title, created);
                }
                Asked::Retrieve(response) => {
                    let _ = self.within(response).await.map_err(|error| was_sent(&error));
                }
                Asked::Echo(response) => {
                    let _ = self.within(response).await.map_err(|error| was_sent(&error));
                }
            }
        }
    }

    /// Changes all that is followed.
    pub(super) async fn change(&mut self) {
        self.version += 1;
        let title = self.version.to_string();
        for task in &self.tasks {
            let renamed = rename(&self.writer, task, &title);
            self.adapter.within(PATIENCE, renamed).await;
        }
    }

    /// Reads up to the gap that each loss leaves in each subscription.
    pub(super) async fn read_gaps(&mut self) {
        for follower in &mut self.followers {
            while self.adapter.within(PATIENCE, follower.read()).await.is_some() {}
        }
    }

    /// Changes all that is followed, until everybody was told without a gap.
    pub(super) async fn all_are_told(&mut self) {
        'change: loop {
            self.change().await;
            for follower in &mut self.followers {
                while !follower.knows(self.version) {
                    if self.adapter.within(PATIENCE, follower.read()).await.is_none() {
                        continue 'change;
                    }
                }
            }
            return;
        }
    }

    /// Compares with what the server has, and with what it received.
    pub(super) async fn verify(mut self, mark: &Mark, server: &Server) {
        // A change that came twice would come before the next one.
        self.all_are_told().await;
        assert_eq!(self.client.stats().subscriptions, self.followers.len());

        let tasks: Vec<Task> = self.writer.list("tasks").await.unwrap();
        let connections = mark.connections(server);
        let sent: Vec<Value> = connections.iter().flat_map(|c| c.payloads("tasks")).collect();
        for (title, created) in &self.created {
            let count = tasks.iter().filter(|task| task.title == *title).count();
            let received =
                sent.iter().filter(|payload| payload["data"]["title"] == **title).count();
            let wanted = match created {
                Created::Once => 1..=1,
                Created::AtMostOnce => 0..=1,
                Created::Never => 0..=0,
            };
            assert!(wanted.contains(&count), "{title} exists {count} times, not {created:?}");
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
                let wanted = usize::from(is_last)..=1;
                assert!(wanted.contains(&count), "{name} {value} was sent {count} times");
            }
        }
        self.adapter.within(PATIENCE, self.client.close()).await;
    }

    async fn within<T: Send>(&self, answer: ReplyFuture<T>) -> Result<T, RequestError> {
        self.adapter.within(PATIENCE, answer).await
    }
}

impl Follower {
    /// The next change, which must be newer than all before; `None` for a gap.
    async fn read(&mut self) -> Option<()> {
        match change(&mut self.changes).await {
            Change::Update(task) => {
                let version = task.title.parse().unwrap();
                let before = self.told.insert(task.pk, version);
                assert!(before < Some(version), "told {before:?}, and then {version}");
                Some(())
            }
            Change::Gap(_) => None,
            other => panic!("expected an update or a gap, got {other:?}"),
        }
    }

    fn knows(&self, version: u32) -> bool {
        self.tasks.iter().all(|pk| self.told.get(pk) == Some(&version))
    }
}

/// Whether a request that failed may have been acted on.
fn was_sent(error: &RequestError) -> bool {
    match error {
        RequestError::ConnectionLost { sent } | RequestError::TimedOut { sent } => *sent,
        other => panic!("a fault of the network became {other:?}"),
    }
}
