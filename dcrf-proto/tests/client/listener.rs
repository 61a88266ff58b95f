//! Listeners (rule F2).

use std::time::Duration;

use crate::memory::{Setup, Task};
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

fn listen(setup: &Setup) -> Listener<Tick> {
    setup.client().listen(ticks()).unwrap()
}

fn tick(n: impl Into<Value>) -> Value {
    json!({"stream": "tools", "payload": {"type": "tick", "n": n.into()}})
}

fn send_and_settle(setup: &mut Setup, frames: impl IntoIterator<Item = Value>) {
    setup.send_frames(frames);
    setup.settle();
}

/// The number of the next tick, if one has arrived.
fn next(ticks: &mut Listener<Tick>) -> Option<u64> {
    match Setup::poll(ticks.next())? {
        Some(Ok(ListenerEvent::Frame { stream, payload: Tick { n } })) => {
            assert_eq!(stream.as_deref(), Some("tools"));
            Some(n)
        }
        other => panic!("expected a tick, got {other:?}"),
    }
}

#[test]
fn f2_listener_survives_a_reconnect() {
    let mut setup = Setup::connected();
    let mut ticks = listen(&setup);
    assert_eq!(next(&mut ticks), None);
    send_and_settle(&mut setup, [tick(1), json!({"stream": "tools", "payload": {"type": "tock"}})]);
    assert_eq!((next(&mut ticks), next(&mut ticks)), (Some(1), None));
    setup.disconnect(ConnectionError::Dropped);
    assert_eq!(next(&mut ticks), None);
    setup.advance(Duration::from_secs(2));
    send_and_settle(&mut setup, [tick(2)]);
    assert_eq!((next(&mut ticks), next(&mut ticks)), (Some(2), None));
    assert!(!ticks.is_terminated());
    assert_eq!(setup.sent_actions(), [] as [&str; 0]);
}

#[test]
fn f2_listener_continues_after_a_decode_error() {
    let mut setup = Setup::connected();
    let mut ticks = listen(&setup);
    send_and_settle(&mut setup, [tick("one"), tick(2)]);
    assert!(matches!(Setup::poll(ticks.next()), Some(Some(Err(_)))));
    assert_eq!(next(&mut ticks), Some(2));
}

#[test]
fn f2_listener_is_woken_by_a_frame_and_by_the_end_of_the_driver() {
    let mut setup = Setup::connected();
    let mut ticks = listen(&setup);
    let reader = Task::new();
    assert!(reader.poll(ticks.next()).is_none());
    send_and_settle(&mut setup, [json!({"stream": "tools", "payload": {"type": "tock"}})]);
    assert!(!reader.is_woken());
    send_and_settle(&mut setup, [tick(1)]);
    assert!(reader.is_woken());
    assert_eq!(next(&mut ticks), Some(1));
    assert!(reader.poll(ticks.next()).is_none());
    setup.drop_driver();
    assert!(reader.is_woken());
    assert_eq!(reader.poll(ticks.next()), Some(None));
    assert!(ticks.is_terminated() && !reader.has_waker());
    assert_eq!(reader.poll(ticks.next()), Some(None));
}

#[test]
fn f2_listener_yields_buffered_frames_after_a_close() {
    let mut setup = Setup::connected();
    let mut ticks = listen(&setup);
    send_and_settle(&mut setup, [tick(1), tick(2)]);
    setup.client().close_now();
    setup.advance(Duration::from_secs(2));
    assert!(setup.driver_has_ended());
    assert_eq!((next(&mut ticks), next(&mut ticks)), (Some(1), Some(2)));
    assert!(!ticks.is_terminated());
    assert_eq!(Setup::poll(ticks.next()), Some(None));
    assert!(ticks.is_terminated());
    let rejected = setup.client().listen::<Tick>(self::ticks()).unwrap_err();
    assert_eq!(rejected.reason, RejectReason::Closed(CloseReason::ByCaller));
}

#[test]
fn f2_slow_listener_gets_the_number_of_dropped_frames() {
    let mut config = Config::default();
    config.events.count = 2;
    let mut setup = Setup::new(config);
    setup.settle();
    let mut ticks = listen(&setup);
    send_and_settle(&mut setup, (0..5).map(tick));
    assert_eq!(Setup::poll(ticks.next()), Some(Some(Ok(ListenerEvent::Lagged(3)))));
    assert_eq!((next(&mut ticks), next(&mut ticks)), (Some(3), Some(4)));
}

#[test]
fn f2_burst_does_not_make_a_prompt_listener_lag() {
    let mut config = Config::default();
    config.events.count = 10;
    let mut setup = Setup::new(config);
    setup.settle();
    let mut ticks = listen(&setup);
    setup.send_frames((0..100).map(tick));
    let mut seen = 0;
    let mut more = true;
    while more {
        more = setup.poll_driver();
        while let Some(n) = next(&mut ticks) {
            assert_eq!(n, seen);
            seen += 1;
        }
    }
    assert_eq!(seen, 100);
}

#[test]
fn f2_dropped_listener_leaves_nothing_behind() {
    let mut setup = Setup::connected();
    let mut ticks = listen(&setup);
    let reader = Task::new();
    assert!(reader.poll(ticks.next()).is_none());
    assert_eq!(setup.client().stats().listeners, 1);
    drop(ticks);
    assert_eq!(setup.client().stats().listeners, 0);
    assert!(!reader.has_waker());
    send_and_settle(&mut setup, [tick(1)]);
    assert_eq!(setup.client().stats().unhandled, 1);
}

#[test]
fn f2_rejected_listen_returns_its_selector() {
    let mut config = Config::default();
    config.max_subscriptions = 1;
    let setup = Setup::new(config);
    let _first = listen(&setup);
    let rejected = setup.client().listen::<Tick>(ticks()).unwrap_err();
    assert_eq!((rejected.command, rejected.reason), (ticks(), RejectReason::QueueFull));
    assert_eq!(setup.client().stats().listeners, 1);
}

#[test]
fn c2_listener_keeps_its_client_alive() {
    let mut setup = Setup::connected();
    let ticks = listen(&setup);
    setup.client = None;
    setup.settle();
    assert!(setup.network().closed_with.is_none());
    drop(ticks);
    setup.settle();
    assert!(setup.network().closed_with.is_some());
}
