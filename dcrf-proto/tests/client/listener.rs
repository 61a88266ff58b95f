//! Listening by a selector, as a caller does it over sockets in memory (rule F2).

use std::time::Duration;

use crate::memory::{Task, World};
use dcrf_proto::client::Listener;
use dcrf_proto::{CloseReason, Config, ConnectionError, ListenerEvent, RejectReason, Selector};
use futures_core::FusedStream;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Debug, PartialEq, Deserialize)]
struct Tick {
    n: u64,
}

fn ticks() -> Selector {
    Selector::stream("tools").contains(json!({"type": "tick"}))
}

fn listening(world: &World) -> Listener<Tick> {
    world.client().listen(ticks()).unwrap()
}

fn tick(n: impl Into<Value>) -> Value {
    json!({"stream": "tools", "payload": {"type": "tick", "n": n.into()}})
}

fn pushes(world: &mut World, frames: impl IntoIterator<Item = Value>) {
    world.receives(frames);
    world.settle();
}

/// The number of the next tick; `None` when there is none.
fn next(ticks: &mut Listener<Tick>) -> Option<u64> {
    match World::poll(ticks.next())? {
        Some(Ok(ListenerEvent::Frame { stream, payload: Tick { n } })) => {
            assert_eq!(stream.as_deref(), Some("tools"));
            Some(n)
        }
        other => panic!("expected a tick, got {other:?}"),
    }
}

#[test]
fn f2_what_is_heard_is_a_stream_that_goes_on_over_reconnects() {
    let mut world = World::connected();
    let mut ticks = listening(&world);
    assert_eq!(next(&mut ticks), None);
    pushes(&mut world, [tick(1), json!({"stream": "tools", "payload": {"type": "tock"}})]);
    assert_eq!((next(&mut ticks), next(&mut ticks)), (Some(1), None));
    world.loses(ConnectionError::Dropped);
    assert_eq!(next(&mut ticks), None);
    world.passes(Duration::from_secs(2));
    pushes(&mut world, [tick(2)]);
    assert_eq!((next(&mut ticks), next(&mut ticks)), (Some(2), None));
    assert!(!ticks.is_terminated());
    assert_eq!(world.sent_actions(), [] as [&str; 0]);
}

#[test]
fn f2_a_payload_that_does_not_fit_is_an_error_and_the_listening_goes_on() {
    let mut world = World::connected();
    let mut ticks = listening(&world);
    pushes(&mut world, [tick("one"), tick(2)]);
    assert!(matches!(World::poll(ticks.next()), Some(Some(Err(_)))));
    assert_eq!(next(&mut ticks), Some(2));
}

#[test]
fn f2_a_listener_is_woken_by_a_frame_and_by_the_drivers_end() {
    let mut world = World::connected();
    let mut ticks = listening(&world);
    let reader = Task::new();
    assert!(reader.poll(ticks.next()).is_none());
    pushes(&mut world, [json!({"stream": "tools", "payload": {"type": "tock"}})]);
    assert!(!reader.is_woken());
    pushes(&mut world, [tick(1)]);
    assert!(reader.is_woken());
    assert_eq!(next(&mut ticks), Some(1));
    assert!(reader.poll(ticks.next()).is_none());
    world.drop_driver();
    assert!(reader.is_woken());
    assert_eq!(reader.poll(ticks.next()), Some(None));
    assert!(ticks.is_terminated() && !reader.is_known());
    assert_eq!(reader.poll(ticks.next()), Some(None));
}

#[test]
fn f2_what_came_before_the_close_is_heard_before_the_end() {
    let mut world = World::connected();
    let mut ticks = listening(&world);
    pushes(&mut world, [tick(1), tick(2)]);
    world.client().close_now();
    world.passes(Duration::from_secs(2));
    assert!(world.driver_has_ended());
    assert_eq!((next(&mut ticks), next(&mut ticks)), (Some(1), Some(2)));
    assert!(!ticks.is_terminated());
    assert_eq!(World::poll(ticks.next()), Some(None));
    assert!(ticks.is_terminated());
    let rejected = world.client().listen::<Tick>(self::ticks()).unwrap_err();
    assert_eq!(rejected.reason, RejectReason::Closed(CloseReason::ByCaller));
}

#[test]
fn f2_a_slow_listener_is_told_how_much_it_has_missed() {
    let mut config = Config::default();
    config.events.count = 2;
    let mut world = World::new(config);
    world.settle();
    let mut ticks = listening(&world);
    pushes(&mut world, (0..5).map(tick));
    assert_eq!(World::poll(ticks.next()), Some(Some(Ok(ListenerEvent::Lagged(3)))));
    assert_eq!((next(&mut ticks), next(&mut ticks)), (Some(3), Some(4)));
}

#[test]
fn f2_a_burst_does_not_overrun_a_prompt_listener() {
    let mut config = Config::default();
    config.events.count = 10;
    let mut world = World::new(config);
    world.settle();
    let mut ticks = listening(&world);
    world.receives((0..100).map(tick));
    let mut seen = 0;
    let mut more = true;
    while more {
        more = world.poll_driver();
        while let Some(n) = next(&mut ticks) {
            assert_eq!(n, seen);
            seen += 1;
        }
    }
    assert_eq!(seen, 100);
}

#[test]
fn f2_a_listener_that_is_dropped_leaves_nothing_behind() {
    let mut world = World::connected();
    let mut ticks = listening(&world);
    let reader = Task::new();
    assert!(reader.poll(ticks.next()).is_none());
    assert_eq!(world.client().stats().listeners, 1);
    drop(ticks);
    assert_eq!(world.client().stats().listeners, 0);
    assert!(!reader.is_known());
    pushes(&mut world, [tick(1)]);
    assert_eq!(world.client().stats().unhandled, 1);
}

#[test]
fn f2_a_selector_that_is_not_accepted_is_handed_back() {
    let mut config = Config::default();
    config.max_subscriptions = 1;
    let world = World::new(config);
    let _first = listening(&world);
    let rejected = world.client().listen::<Tick>(ticks()).unwrap_err();
    assert_eq!((rejected.command, rejected.reason), (ticks(), RejectReason::QueueFull));
    assert_eq!(world.client().stats().listeners, 1);
}

#[test]
fn c2_a_listener_keeps_its_client_alive() {
    let mut world = World::connected();
    let ticks = listening(&world);
    world.client = None;
    world.settle();
    assert!(world.network().closed_with.is_none());
    drop(ticks);
    world.settle();
    assert!(world.network().closed_with.is_some());
}
