//! Messages without a reply, and flushing (rules R10 and C3).

use std::pin::pin;
use std::time::Duration;

use crate::memory::{Setup, Task};
use dcrf_proto::{CloseReason, Config, ConnectionError, RejectReason, Request, Subscribe};
use serde_json::{Value, json};

fn typing() -> Request {
    Request::new("chat", "typing")
}

fn connection_refused() -> ConnectionError {
    ConnectionError::from(std::io::Error::from(std::io::ErrorKind::ConnectionRefused))
}

/// A client whose first attempt to connect has failed.
fn offline() -> Setup {
    let mut setup = Setup::new(Config::default());
    setup.network().dial_errors.push_back(connection_refused());
    setup.settle();
    setup
}

#[test]
fn r10_reply_to_a_message_is_dropped() {
    let mut setup = Setup::connected();
    setup.client().send(typing()).unwrap();
    assert_eq!(setup.client().stats().waiting_requests, 1);
    setup.settle();
    assert_eq!(setup.sent_actions(), ["typing"]);
    assert_eq!(setup.client().stats().requests, 0);
    setup.reply(0, 200, &json!("seen"));
    assert_eq!((setup.client().stats().late, setup.client().stats().unhandled), (1, 0));
}

#[test]
fn r10_send_waits_for_a_connection_and_send_now_is_rejected() {
    let mut setup = offline();
    setup.client().send(typing()).unwrap();
    let rejected = setup.client().send_now(typing()).unwrap_err();
    assert_eq!((rejected.command, rejected.reason), (typing(), RejectReason::NotConnected));
    setup.advance(Duration::from_secs(2));
    setup.client().send_now(typing().arg("now", true)).unwrap();
    setup.settle();
    assert_eq!(setup.sent_actions(), ["typing", "typing"]);
    assert_eq!(setup.network().sent[1]["payload"]["now"], true);
}

#[test]
fn r10_send_now_is_not_sent_on_the_next_connection() {
    let mut setup = Setup::connected();
    setup.network().ready_blocked = true;
    setup.client().send_now(typing()).unwrap();
    setup.client().send(Request::new("chat", "message")).unwrap();
    setup.settle();
    setup.disconnect(ConnectionError::Dropped);
    setup.network().ready_blocked = false;
    setup.advance(Duration::from_secs(2));
    assert_eq!(setup.sent_actions(), ["message"]);
    assert_eq!(setup.client().stats().unsent, 1);
}

#[test]
fn c3_flush_of_nothing_completes() {
    let mut setup = Setup::connected();
    let mut flush = pin!(setup.client().flush());
    setup.settle();
    assert_eq!(Setup::poll(flush.as_mut()), Some(Ok(())));
}

#[test]
fn c3_flush_waits_until_everything_is_written() {
    let mut setup = Setup::connected();
    setup.network().ready_blocked = true;
    setup.client().send(typing()).unwrap();
    let mut flush = pin!(setup.client().flush());
    let waiter = Task::new();
    setup.settle();
    assert_eq!(waiter.poll(flush.as_mut()), None, "the socket accepts nothing");
    (setup.network().ready_blocked, setup.network().flush_blocked) = (false, true);
    setup.settle();
    assert_eq!(setup.sent_actions(), ["typing"]);
    assert!(!waiter.is_woken(), "the socket has accepted the message but not written it");
    assert_eq!(waiter.poll(flush.as_mut()), None);
    setup.network().flush_blocked = false;
    setup.settle();
    assert!(waiter.is_woken());
    assert_eq!(waiter.poll(flush.as_mut()), Some(Ok(())));
    assert!(!waiter.has_waker());
}

#[test]
fn c3_flush_does_not_wait_for_later_messages() {
    let mut setup = Setup::connected();
    let mut flush = pin!(setup.client().flush());
    setup.network().ready_blocked = true;
    setup.client().send(typing()).unwrap();
    setup.settle();
    assert_eq!(Setup::poll(flush.as_mut()), Some(Ok(())));
    assert_eq!(setup.sent_actions(), [] as [&str; 0]);
}

#[test]
fn c3_flush_waits_for_a_connection() {
    let mut setup = offline();
    let reply = setup.client().list::<Value>("people");
    let mut request_flush = pin!(setup.client().flush());
    let subscribing = setup.client().subscribe::<Value>(Subscribe::instance("tasks", 7));
    let mut both_flush = pin!(setup.client().flush());
    setup.settle();
    assert_eq!(Setup::poll(request_flush.as_mut()), None);
    assert_eq!(Setup::poll(both_flush.as_mut()), None);
    setup.advance(Duration::from_secs(2));
    assert_eq!(setup.sent_actions(), ["subscribe_instance", "list"]);
    assert_eq!(Setup::poll(request_flush.as_mut()), Some(Ok(())));
    assert_eq!(Setup::poll(both_flush.as_mut()), Some(Ok(())));
    drop((reply, subscribing));
}

#[test]
fn c3_flush_waits_for_a_cancel_action() {
    let mut setup = Setup::connected();
    let lines = setup.client().stream::<Value>(Request::list("rows").cancel_action("list_cancel"));
    setup.settle();
    setup.network().ready_blocked = true;
    drop(lines);
    let mut flush = pin!(setup.client().flush());
    setup.settle();
    assert_eq!(Setup::poll(flush.as_mut()), None);
    setup.network().ready_blocked = false;
    setup.settle();
    assert_eq!(setup.sent_actions(), ["list", "list_cancel"]);
    assert_eq!(Setup::poll(flush.as_mut()), Some(Ok(())));
}

#[test]
fn c3_flush_does_not_wait_for_cancelled_or_timed_out_messages() {
    let mut setup = offline();
    let reply = setup.client().list::<Value>("people");
    setup.client().send(typing().timeout(Duration::ZERO)).unwrap();
    let mut flush = pin!(setup.client().flush());
    setup.settle();
    assert_eq!(Setup::poll(flush.as_mut()), None);
    drop(reply);
    setup.settle();
    assert_eq!(Setup::poll(flush.as_mut()), Some(Ok(())));
}

#[test]
fn c3_flush_fails_if_the_client_is_closed_first() {
    let mut setup = offline();
    setup.client().send(typing()).unwrap();
    let (mut flush, waiter) = (pin!(setup.client().flush()), Task::new());
    assert_eq!(waiter.poll(flush.as_mut()), None);
    setup.client().close_now();
    setup.settle();
    assert!(waiter.is_woken());
    assert_eq!(waiter.poll(flush.as_mut()), Some(Err(CloseReason::ByCaller)));
    // So does a flush that starts after the close.
    assert_eq!(Setup::poll(pin!(setup.client().flush())), Some(Err(CloseReason::ByCaller)));
}

#[test]
fn c3_flush_succeeds_if_everything_is_written_before_the_close() {
    let mut setup = Setup::connected();
    setup.client().send(typing()).unwrap();
    let mut before = pin!(setup.client().flush());
    let mut close = pin!(setup.client().close());
    setup.advance(Duration::from_secs(2));
    assert_eq!(Setup::poll(close.as_mut()), Some(()));
    assert_eq!(setup.sent_actions(), ["typing"]);
    assert_eq!(Setup::poll(before.as_mut()), Some(Ok(())));
    assert!(setup.driver_has_ended());
    let mut after = pin!(setup.client().flush());
    assert_eq!(Setup::poll(after.as_mut()), Some(Ok(())), "nothing was left to write");
}

#[test]
fn c3_flush_fails_if_the_driver_is_dropped() {
    let mut setup = Setup::connected();
    setup.network().flush_blocked = true;
    setup.client().send(typing()).unwrap();
    setup.settle();
    let (mut flush, waiter) = (pin!(setup.client().flush()), Task::new());
    assert_eq!(waiter.poll(flush.as_mut()), None);
    setup.drop_driver();
    assert!(waiter.is_woken());
    assert_eq!(waiter.poll(flush.as_mut()), Some(Err(CloseReason::DriverStopped)));
}

#[test]
fn c3_dropped_flush_leaves_nothing_behind() {
    let mut setup = offline();
    setup.client().send(typing()).unwrap();
    let waiter = Task::new();
    for _ in 0..100 {
        let mut flush = Box::pin(setup.client().flush());
        assert_eq!(waiter.poll(flush.as_mut()), None);
    }
    assert!(!waiter.has_waker());
    setup.advance(Duration::from_secs(2));
    assert!(!waiter.is_woken());
    assert_eq!(setup.sent_actions(), ["typing"]);
}

#[test]
fn c2_flush_keeps_its_client_alive() {
    let mut setup = offline();
    setup.client().send(typing()).unwrap();
    let mut flush = Box::pin(setup.client().flush());
    setup.client = None;
    setup.advance(Duration::from_secs(2));
    assert_eq!(setup.sent_actions(), ["typing"]);
    assert_eq!(Setup::poll(flush.as_mut()), Some(Ok(())));
    drop(flush);
    setup.advance(Duration::from_secs(2));
    assert!(setup.driver_has_ended());
}
