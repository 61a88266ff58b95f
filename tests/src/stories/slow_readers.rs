//! Readers slower than the server.

use std::time::Duration;

use dcrf_proto::{Change, Heartbeat, Limit, OverflowPolicy, Request, Subscribe, SubscriptionError};
use serde_json::{Value, json};

use super::{connect_to_shared, rename};
use crate::adapter::{Adapter, quick_config};
use crate::models::Task;
use crate::observe::{Mark, change, ended, eventually};

/// The buffer's capacity in changes.
const CAPACITY: usize = 4;

/// Four subscriptions are never read: one for each policy, and one alone on its object. On the same
/// connection other subscribers get every change, requests get replies, and pings continue.
pub async fn s11_stalled_readers_delay_nothing<A: Adapter>(adapter: A) {
    let server = &adapter.shared();
    let mark = Mark::new("/ws/");
    let mut config = quick_config();
    config.changes = Limit { count: CAPACITY, bytes: 1 << 20 };
    let heartbeat =
        Heartbeat { interval: Duration::from_millis(200), timeout: Duration::from_secs(10) };
    config.heartbeat = Some(heartbeat);
    let limit = config.changes;
    let client = adapter.connect(&mark.url(server), config).await.unwrap();
    let writer = connect_to_shared(&adapter).await;

    let first: Task = writer.create("tasks", &json!({"title": "first"})).await.unwrap();
    // Unique to this story.
    let priority = 2_000_000 + first.pk;
    let data = json!({"title": "one", "priority": priority});
    let one: Task = writer.create("tasks", &data).await.unwrap();
    let two: Task = writer.create("tasks", &data).await.unwrap();
    let quiet: Task = writer.create("tasks", &data).await.unwrap();

    let feed = |overflow_policy| {
        let of = Subscribe::new("tasks", "subscribe_priority").arg("priority", priority);
        client.subscribe::<Task>(of.overflow_policy(overflow_policy))
    };
    let mut oldest = feed(OverflowPolicy::DropOldest).await.unwrap();
    let mut newest = feed(OverflowPolicy::Conflate).await.unwrap();
    let mut end = feed(OverflowPolicy::Close).await.unwrap();
    let alone = Subscribe::instance("tasks", two.pk).overflow_policy(OverflowPolicy::Close);
    let mut alone = client.subscribe::<Task>(alone).await.unwrap();
    // These would end if they lagged.
    let mut prompt = feed(OverflowPolicy::Close).await.unwrap();
    let of_one = Subscribe::instance("tasks", one.pk).overflow_policy(OverflowPolicy::Close);
    let mut of_one = client.subscribe::<Task>(of_one).await.unwrap();

    let mut renames = vec![rename(&writer, &quiet, "once").await];
    assert_eq!(change(&mut prompt).await, Change::Update(renames[0].clone()));
    for number in 0..20 {
        let task = if number % 2 == 0 { &one } else { &two };
        let changed = rename(&writer, task, &format!("number {number}")).await;
        assert_eq!(change(&mut prompt).await, Change::Update(changed.clone()));
        if number % 2 == 0 {
            assert_eq!(change(&mut of_one).await, Change::Update(changed.clone()));
        }
        let echo = Request::new("tools", "echo").arg("number", number);
        assert_eq!(client.call::<Value>(echo).await, Ok(json!({"number": number})));
        renames.push(changed);
    }
    let before = client.stats().received;
    let pong = || client.stats().received > before;
    eventually(&adapter, "pongs arrive on an idle connection", pong).await;
    let unsubscribed = || mark.count(server, "tasks/unsubscribe_instance") == 1;
    eventually(&adapter, "the ended subscription is unsubscribed", unsubscribed).await;

    let updates = |from: usize| renames[from..].iter().cloned().map(Change::Update);
    assert_eq!(change(&mut oldest).await, Change::Lagged(17));
    for update in updates(17) {
        assert_eq!(change(&mut oldest).await, update);
    }
    assert_eq!(change(&mut newest).await, Change::Update(renames[0].clone()));
    for update in updates(18) {
        assert_eq!(change(&mut newest).await, update);
    }
    for update in updates(0).take(CAPACITY) {
        assert_eq!(change(&mut end).await, update);
    }
    assert_eq!(ended(&mut end).await, SubscriptionError::Overflowed { limit });
    for _ in 0..CAPACITY {
        assert!(matches!(change(&mut alone).await, Change::Update(_)));
    }
    assert_eq!(ended(&mut alone).await, SubscriptionError::Overflowed { limit });

    // The other subscriptions continue.
    let changed = rename(&writer, &one, "at last").await;
    for changes in [&mut prompt, &mut of_one, &mut oldest, &mut newest] {
        assert_eq!(change(changes).await, Change::Update(changed.clone()));
    }
    assert_eq!(mark.count(server, "tasks/subscribe_priority"), 1);
    assert_eq!(mark.count(server, "tasks/unsubscribe_priority"), 0);
    assert_eq!(mark.connections(server).len(), 1);
}
