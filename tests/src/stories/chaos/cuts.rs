//! Connections cut after each byte of a frame, in both directions.

use std::any::TypeId;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use dcrf_proto::{Change, Framing, RequestError, Subscribe};
use serde_json::{Value, json};

use crate::adapter::{Adapter, TokioCurrentThread, quick_config};
use crate::client::{Client, Subscription};
use crate::models::Task;
use crate::observe::{Mark, change};
use crate::proxy::{Fault, Proxy, Way};
use crate::recoveries::Recoveries;
use crate::server::Server;
use crate::stories::{connect_to_shared, create_task, rename};

/// Anything slower hangs.
const LIMIT: Duration = Duration::from_secs(10);

/// Each cut ends a fresh connection within a subscribe or its acknowledgement, or within a create
/// or its reply. A subscribe is replayed; a create fails with `sent: true`.
///
/// One adapter cuts at every byte, the others at every seventh, to save time.
pub async fn connection_cut_at_every_byte<A: Adapter>(adapter: A) {
    let server = Server::shared();
    let proxy = Proxy::before(server.address()).unwrap();
    let mark = Mark::new("/ws/bare/tasks/");
    let mut config = quick_config();
    config.framing = Framing::Bare;
    // No pings, so that only the story's frames are counted.
    config.heartbeat = None;
    // Every connection is short, and no subscription must become a suspect (L12).
    config.quarantine_window = Duration::ZERO;
    config.backoff.minimum = Duration::from_millis(1);
    config.backoff.maximum = Duration::from_millis(5);
    let client = adapter.connect(&proxy.url(&mark.target()), config).await.unwrap();
    let writer = connect_to_shared(&adapter).await;
    let task = create_task(&writer, "0").await;
    let mut story =
        Story { adapter, proxy, client, writer, task, recoveries: Recoveries::default() };
    let step = if TypeId::of::<A>() == TypeId::of::<TokioCurrentThread>() { 1 } else { 7 };

    let (there, back) = story.lengths_of_a_subscribe().await;
    for (way, length) in [(Way::ToServer, there), (Way::ToClient, back)] {
        // The last cut comes after the whole frame.
        for bytes in (0..=length).step_by(step).chain([length]) {
            let is_whole = (way, bytes) == (Way::ToClient, length);
            story.cut_a_subscribe(Fault::Cut(way, bytes), is_whole).await;
        }
    }

    let (there, back) = story.lengths_of_a_create().await;
    let mut expected: Vec<(String, RangeInclusive<usize>)> = Vec::new();
    // Not the last byte of the reply: its keys may grow by a digit.
    for (way, length) in [(Way::ToServer, there), (Way::ToClient, back - 1)] {
        for bytes in (0..=length).step_by(7).chain([length]) {
            let title = story.title(way, bytes);
            story.cut_a_create(Fault::Cut(way, bytes), &title).await;
            let count = match way {
                Way::ToServer if bytes < there => 0..=0,
                Way::ToServer => 0..=1,
                _ => 1..=1,
            };
            expected.push((title, count));
        }
    }

    let tasks: Vec<Task> = story.writer.list("tasks").await.unwrap();
    for (title, range) in expected {
        let count = tasks.iter().filter(|task| task.title == title).count();
        assert!(range.contains(&count), "{title:?} exists {count} times, not {range:?}");
    }
    for connection in mark.connections(server) {
        let mut subscribes: Vec<Value> = connection
            .frames()
            .filter(|frame| frame["action"] == "subscribe_instance")
            .map(|mut frame| frame["request_id"].take())
            .collect();
        let sent = subscribes.len();
        subscribes.dedup();
        assert_eq!(subscribes.len(), sent, "a subscribe was sent twice on one connection");
    }
    story.client.close().await;
    story.recoveries.print(&format!("chaos: {:?}, cuts", story.adapter));
}

struct Story<A> {
    adapter: A,
    proxy: Proxy,
    client: Client,
    writer: Client,
    task: Task,
    recoveries: Recoveries,
}

impl<A: Adapter> Story<A> {
    async fn cut_a_subscribe(&mut self, cut: Fault, is_acknowledged: bool) {
        self.proxy.inject(cut);
        let started = Instant::now();
        let mut changes = self.subscribe().await;
        if is_acknowledged {
            let next = self.adapter.within(LIMIT, change(&mut changes)).await;
            assert!(matches!(next, Change::Gap(_)), "expected a gap, got {next:?}");
        }
        self.recoveries.push(started.elapsed());
        for title in ["one", "two"] {
            let renamed = rename(&self.writer, &self.task, title).await;
            let next = self.adapter.within(LIMIT, change(&mut changes)).await;
            assert_eq!(next, Change::Update(renamed), "{cut:?}");
        }
        self.adapter.within(LIMIT, changes.cancel()).await.unwrap();
    }

    async fn cut_a_create(&mut self, cut: Fault, title: &str) {
        self.proxy.inject(cut);
        let started = Instant::now();
        let create = self.client.create::<Task>("tasks", &json!({"title": title}));
        let result = self.adapter.within(LIMIT, create).await;
        let is_lost = matches!(result, Err(RequestError::ConnectionLost { sent: true, .. }));
        assert!(is_lost, "{cut:?}: {result:?}");
        // A reply proves that the next connection is open.
        let retrieve = self.client.retrieve::<Task>("tasks", self.task.pk);
        self.adapter.within(LIMIT, retrieve).await.unwrap();
        self.recoveries.push(started.elapsed());
    }

    /// A unique title of constant length.
    fn title(&self, way: Way, bytes: usize) -> String {
        format!("{:8} {bytes:04} {:06}", format!("{way:?}"), self.task.pk)
    }

    async fn subscribe(&self) -> Subscription<Task> {
        let subscribe = self.client.subscribe(Subscribe::instance("tasks", self.task.pk));
        self.adapter.within(LIMIT, subscribe).await.unwrap()
    }

    /// The lengths of a subscribe and its acknowledgement.
    async fn lengths_of_a_subscribe(&self) -> (usize, usize) {
        let before = self.proxy.arrived();
        let changes = self.subscribe().await;
        let after = self.proxy.arrived();
        changes.cancel().await.unwrap();
        (after.0 - before.0, after.1 - before.1)
    }

    /// The length of a create, and the minimal length of its reply.
    async fn lengths_of_a_create(&self) -> (usize, usize) {
        let before = self.proxy.arrived();
        let data = json!({"title": self.title(Way::Both, 0)});
        let _: Task = self.client.create("tasks", &data).await.unwrap();
        let after = self.proxy.arrived();
        (after.0 - before.0, after.1 - before.1)
    }
}
