//! The gauges of the events that wait in the streams of a client.

use dcrf_proto::{Config, Limit, Stats};
use serde_json::json;

use crate::memory::World;

#[test]
fn unread_client_events_are_counted() {
    let mut config = Config::default();
    config.events = Limit { count: 2, bytes: 1_000 };
    let mut world = World::new(config);
    let events = world.client().events();
    world.settle();
    let of = |stats: Stats| (stats.unread_events, stats.unread_events_bytes, stats.lagged_events);
    assert_eq!(of(world.client().stats()), (2, 0, 0));
    world.receives([json!({}), json!({"n": 1})]);
    world.settle();
    assert_eq!(of(world.client().stats()), (2, 9, 2));
    drop(events);
    assert_eq!(of(world.client().stats()), (0, 0, 2));
}
