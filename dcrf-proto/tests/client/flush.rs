//! Messages without an answer, and the wait until all was written (rules R10 and C3).

use std::pin::pin;
use std::time::Duration;

use crate::memory::{Task, World};
use dcrf_proto::{CloseReason, Config, ConnectionError, RejectReason, Request, Subscribe};
use serde_json::{Value, json};

fn typing() -> Request {
    Request::new("chat", "typing")
}

fn refused_port() -> ConnectionError {
    ConnectionError::from(std::io::Error::from(std::io::ErrorKind::ConnectionRefused))
}

/// A client whose first attempt to connect has failed.
fn offline() -> World {
    let mut world = World::new(Config::default());
    world.network().error_replies.push_back(refused_port());
    world.settle();
    world
}

#[test]
fn r10_a_message_is_sent_and_its_answer_is_nobodys() {
    let mut world = World::connected();
    world.client().send(typing()).unwrap();
    assert_eq!(world.client().stats().waiting_requests, 1);
    world.settle();
    assert_eq!(world.sent_actions(), ["typing"]);
    assert_eq!(world.client().stats().requests, 0);
    world.answers(0, 200, &json!("seen"));
    assert_eq!((world.client().stats().late, world.client().stats().unhandled), (1, 0));
}

#[test]
fn r10_a_message_waits_offline_and_one_for_now_is_handed_back() {
    let mut world = offline();
    world.client().send(typing()).unwrap();
    let rejected = world.client().send_now(typing()).unwrap_err();
    assert_eq!((rejected.command, rejected.reason), (typing(), RejectReason::NotConnected));
    world.passes(Duration::from_secs(2));
    world.client().send_now(typing().arg("now", true)).unwrap();
    world.settle();
    assert_eq!(world.sent_actions(), ["typing", "typing"]);
    assert_eq!(world.network().sent[1]["payload"]["now"], true);
}

#[test]
fn r10_what_the_socket_did_not_take_now_is_not_sent_later() {
    let mut world = World::connected();
    world.network().stuck = true;
    world.client().send_now(typing()).unwrap();
    world.client().send(Request::new("chat", "said")).unwrap();
    world.settle();
    world.loses(ConnectionError::Dropped);
    world.passes(Duration::from_secs(2));
    assert_eq!(world.sent_actions(), ["said"]);
    assert_eq!(world.client().stats().unsent, 1);
}

#[test]
fn c3_a_flush_of_nothing_resolves() {
    let mut world = World::connected();
    let mut flush = pin!(world.client().flush());
    world.settle();
    assert_eq!(World::poll(flush.as_mut()), Some(Ok(())));
}

#[test]
fn c3_a_flush_waits_until_the_socket_has_taken_and_written_everything() {
    let mut world = World::connected();
    world.network().stuck = true;
    world.client().send(typing()).unwrap();
    let mut flush = pin!(world.client().flush());
    let waiter = Task::new();
    world.settle();
    assert_eq!(waiter.poll(flush.as_mut()), None, "the socket takes nothing");
    (world.network().stuck, world.network().clogged) = (false, true);
    world.settle();
    assert_eq!(world.sent_actions(), ["typing"]);
    assert!(!waiter.is_woken(), "the socket has taken it, and not written");
    assert_eq!(waiter.poll(flush.as_mut()), None);
    world.network().clogged = false;
    world.settle();
    assert!(waiter.is_woken());
    assert_eq!(waiter.poll(flush.as_mut()), Some(Ok(())));
    assert!(!waiter.is_known());
}

#[test]
fn c3_a_flush_does_not_wait_for_what_comes_after_it() {
    let mut world = World::connected();
    let mut flush = pin!(world.client().flush());
    world.network().stuck = true;
    world.client().send(typing()).unwrap();
    world.settle();
    assert_eq!(World::poll(flush.as_mut()), Some(Ok(())));
    assert_eq!(world.sent_actions(), [] as [&str; 0]);
}

#[test]
fn c3_a_flush_waits_offline_for_requests_and_subscriptions() {
    let mut world = offline();
    let response = world.client().list::<Value>("people");
    let mut of_the_request = pin!(world.client().flush());
    let subscribing = world.client().subscribe::<Value>(Subscribe::instance("tasks", 7));
    let mut of_both = pin!(world.client().flush());
    world.settle();
    assert_eq!(World::poll(of_the_request.as_mut()), None);
    assert_eq!(World::poll(of_both.as_mut()), None);
    world.passes(Duration::from_secs(2));
    assert_eq!(world.sent_actions(), ["subscribe_instance", "list"]);
    assert_eq!(World::poll(of_the_request.as_mut()), Some(Ok(())));
    assert_eq!(World::poll(of_both.as_mut()), Some(Ok(())));
    drop((response, subscribing));
}

#[test]
fn c3_a_flush_waits_for_a_cancel_action() {
    let mut world = World::connected();
    let lines = world.client().stream::<Value>(Request::list("rows").cancel_action("list_cancel"));
    world.settle();
    world.network().stuck = true;
    drop(lines);
    let mut flush = pin!(world.client().flush());
    world.settle();
    assert_eq!(World::poll(flush.as_mut()), None);
    world.network().stuck = false;
    world.settle();
    assert_eq!(world.sent_actions(), ["list", "list_cancel"]);
    assert_eq!(World::poll(flush.as_mut()), Some(Ok(())));
}

#[test]
fn c3_what_is_cancelled_or_times_out_is_not_waited_for() {
    let mut world = offline();
    let response = world.client().list::<Value>("people");
    world.client().send(typing().timeout(Duration::ZERO)).unwrap();
    let mut flush = pin!(world.client().flush());
    world.settle();
    assert_eq!(World::poll(flush.as_mut()), None);
    drop(response);
    world.settle();
    assert_eq!(World::poll(flush.as_mut()), Some(Ok(())));
}

#[test]
fn c3_a_flush_fails_when_the_client_is_closed_first() {
    let mut world = offline();
    world.client().send(typing()).unwrap();
    let (mut flush, waiter) = (pin!(world.client().flush()), Task::new());
    assert_eq!(waiter.poll(flush.as_mut()), None);
    world.client().close_now();
    world.settle();
    assert!(waiter.is_woken());
    assert_eq!(waiter.poll(flush.as_mut()), Some(Err(CloseReason::ByCaller)));
    // Also when it is asked for after that.
    assert_eq!(World::poll(pin!(world.client().flush())), Some(Err(CloseReason::ByCaller)));
}

#[test]
fn c3_what_was_written_before_the_close_was_flushed() {
    let mut world = World::connected();
    world.client().send(typing()).unwrap();
    let mut before = pin!(world.client().flush());
    let mut close = pin!(world.client().close());
    world.passes(Duration::from_secs(2));
    assert_eq!(World::poll(close.as_mut()), Some(()));
    assert_eq!(world.sent_actions(), ["typing"]);
    assert_eq!(World::poll(before.as_mut()), Some(Ok(())));
    assert!(world.driver_has_ended());
    let mut after = pin!(world.client().flush());
    assert_eq!(World::poll(after.as_mut()), Some(Ok(())), "nothing was left to write");
}

#[test]
fn c3_a_driver_that_is_dropped_fails_a_flush() {
    let mut world = World::connected();
    world.network().clogged = true;
    world.client().send(typing()).unwrap();
    world.settle();
    let (mut flush, waiter) = (pin!(world.client().flush()), Task::new());
    assert_eq!(waiter.poll(flush.as_mut()), None);
    world.drop_driver();
    assert!(waiter.is_woken());
    assert_eq!(waiter.poll(flush.as_mut()), Some(Err(CloseReason::DriverStopped)));
}

#[test]
fn c3_a_flush_that_is_dropped_leaves_nothing_behind() {
    let mut world = offline();
    world.client().send(typing()).unwrap();
    let waiter = Task::new();
    for _ in 0..100 {
        let mut flush = Box::pin(world.client().flush());
        assert_eq!(waiter.poll(flush.as_mut()), None);
    }
    assert!(!waiter.is_known());
    world.passes(Duration::from_secs(2));
    assert!(!waiter.is_woken());
    assert_eq!(world.sent_actions(), ["typing"]);
}

#[test]
fn c2_a_flush_keeps_its_client_alive() {
    let mut world = offline();
    world.client().send(typing()).unwrap();
    let mut flush = Box::pin(world.client().flush());
    world.client = None;
    world.passes(Duration::from_secs(2));
    assert_eq!(world.sent_actions(), ["typing"]);
    assert_eq!(World::poll(flush.as_mut()), Some(Ok(())));
    drop(flush);
    world.passes(Duration::from_secs(2));
    assert!(world.driver_has_ended());
}
