//! Streams of replies, as a caller reads them over sockets in memory (rule R12).

use std::time::Duration;

use crate::memory::{Task, World, event};
use dcrf_proto::client::{ReplyError, ReplyStream};
use dcrf_proto::{
    CloseFrame, CloseReason, Config, ConnectionError, RejectReason, ReplyStreamError, Request,
    RequestError,
};
use futures_core::FusedStream;
use serde_json::{Value, json};

fn print() -> Request {
    Request::new("reports", "print").cancel_action("stop")
}

/// A stream whose request was sent.
fn printing(world: &mut World) -> ReplyStream<String> {
    let lines = world.client().stream(print());
    world.settle();
    assert_eq!(world.sent_actions().last().unwrap(), "print");
    lines
}

/// Reads what has come next: a line, or the end.
fn reads(lines: &mut ReplyStream<String>, expected: Result<&str, ReplyStreamError>) {
    let expected = expected.map(str::to_owned).map_err(ReplyError::Stream);
    assert_eq!(World::poll(lines.next()), Some(Some(expected)));
}

#[test]
fn r12_until_ends_the_stream_and_sends_nothing() {
    let mut world = World::connected();
    let mut lines = printing(&mut world).until(|line| line == "end");
    assert_eq!(World::poll(lines.next()), None);
    for text in ["one", "two", "end"] {
        world.answers(0, 200, &json!(text));
    }
    reads(&mut lines, Ok("one"));
    reads(&mut lines, Ok("two"));
    assert!(!lines.is_terminated());
    reads(&mut lines, Ok("end"));
    assert!(lines.is_terminated());
    assert_eq!(World::poll(lines.next()), Some(None));
    drop(lines);
    world.settle();
    assert_eq!(world.sent_actions(), ["print"]);
    world.answers(0, 200, &json!("after the end"));
    assert_eq!((world.client().stats().late, world.client().stats().unhandled), (1, 0));
}

#[test]
fn r12_dropping_the_stream_sends_the_cancel_action() {
    let mut world = World::connected();
    let mut lines = printing(&mut world);
    world.answers(0, 200, &json!("one"));
    reads(&mut lines, Ok("one"));
    drop(lines);
    world.settle();
    assert_eq!(world.sent_actions(), ["print", "stop"]);
    let sent = world.network().sent.clone();
    assert_eq!(sent[0]["payload"]["request_id"], sent[1]["payload"]["request_id"]);
    assert_eq!(world.client().stats().requests, 0);
}

#[test]
fn r12_a_stream_that_is_dropped_before_it_is_sent_never_reaches_the_wire() {
    let mut world = World::connected();
    drop(world.client().stream::<String>(print()));
    world.settle();
    assert_eq!(world.sent_actions(), [] as [&str; 0]);
}

#[test]
fn r12_a_rejected_request_is_the_first_item_and_the_last() {
    let mut config = Config::default();
    config.outbox.count = 0;
    let world = World::new(config);
    let mut lines = world.client().stream::<String>(print());
    let Some(Some(Err(ReplyError::Stream(ReplyStreamError::Request(RequestError::Rejected(
        rejected,
    )))))) = World::poll(lines.next())
    else {
        panic!("it was accepted")
    };
    assert_eq!((rejected.command, rejected.reason), (print(), RejectReason::QueueFull));
    assert!(lines.is_terminated());
    assert_eq!(World::poll(lines.next()), Some(None));
}

#[test]
fn r12_a_stream_of_a_client_that_is_closed_says_so() {
    let mut world = World::connected();
    world.client().close_now();
    world.settle();
    let mut lines = world.client().stream::<String>(print());
    let closed = RequestError::Closed { reason: CloseReason::ByCaller, sent: false };
    reads(&mut lines, Err(ReplyStreamError::Request(closed)));
    assert_eq!(World::poll(lines.next()), Some(None));
}

#[test]
fn r12_a_reply_that_does_not_fit_is_an_error_and_the_stream_goes_on() {
    let mut world = World::connected();
    let mut lines = printing(&mut world).until(|line| line == "end");
    world.answers(0, 200, &json!("one"));
    world.answers(0, 200, &json!(2));
    world.answers(0, 200, &json!("end"));
    reads(&mut lines, Ok("one"));
    assert!(matches!(World::poll(lines.next()), Some(Some(Err(ReplyError::Decode(_))))));
    assert!(!lines.is_terminated());
    reads(&mut lines, Ok("end"));
    assert_eq!(World::poll(lines.next()), Some(None));
}

#[test]
fn r12_a_refusal_is_the_last_item() {
    let mut world = World::connected();
    let mut lines = printing(&mut world);
    world.answers(0, 200, &json!("one"));
    world.answers(0, 403, &Value::Null);
    reads(&mut lines, Ok("one"));
    let Some(Some(Err(ReplyError::Stream(ReplyStreamError::Request(RequestError::ErrorReply(
        error_reply,
    )))))) = World::poll(lines.next())
    else {
        panic!("it was not refused")
    };
    assert_eq!(error_reply.status, Some(403));
    assert_eq!(World::poll(lines.next()), Some(None));
    drop(lines);
    world.settle();
    assert_eq!(world.sent_actions(), ["print"], "the server has ended it itself");
}

#[test]
fn r12_an_interrupted_stream_hands_out_what_had_come_and_says_how_much_that_was() {
    let mut world = World::connected();
    let mut lines = printing(&mut world);
    world.answers(0, 200, &json!("one"));
    world.answers(0, 200, &json!("two"));
    world.loses(ConnectionError::Dropped);
    reads(&mut lines, Ok("one"));
    reads(&mut lines, Ok("two"));
    reads(&mut lines, Err(ReplyStreamError::Interrupted { received: 2 }));
    assert!(lines.is_terminated());
    assert_eq!(World::poll(lines.next()), Some(None));
    drop(lines);
    world.passes(Duration::from_secs(2));
    assert_eq!(world.sent_actions(), ["print"], "nothing is sent on the next connection");
}

#[test]
fn r12_a_reader_is_woken_by_each_reply_and_by_the_end() {
    let mut world = World::connected();
    let mut lines = printing(&mut world);
    let reader = Task::new();
    assert_eq!(reader.poll(lines.next()), None);
    world.settle();
    assert!(!reader.is_woken(), "nothing has come");
    for text in ["one", "two"] {
        world.answers(0, 200, &json!(text));
        assert!(reader.is_woken());
        reads(&mut lines, Ok(text));
        assert_eq!(reader.poll(lines.next()), None);
    }
    world.loses(ConnectionError::Dropped);
    assert!(reader.is_woken());
    reads(&mut lines, Err(ReplyStreamError::Interrupted { received: 2 }));
    assert!(!reader.is_known());
}

#[test]
fn r12_only_the_last_who_polled_is_woken() {
    let mut world = World::connected();
    let mut lines = printing(&mut world);
    let (first, second) = (Task::new(), Task::new());
    assert_eq!(first.poll(lines.next()), None);
    assert_eq!(second.poll(lines.next()), None);
    assert!(!first.is_known());
    world.answers(0, 200, &json!("one"));
    assert!(second.is_woken() && !first.is_woken());
}

#[test]
fn c2_a_driver_that_is_dropped_ends_a_stream_of_replies() {
    let mut world = World::connected();
    let mut lines = printing(&mut world);
    let reader = Task::new();
    assert_eq!(reader.poll(lines.next()), None);
    world.drop_driver();
    assert!(reader.is_woken());
    let stopped = RequestError::Closed { reason: CloseReason::DriverStopped, sent: true };
    reads(&mut lines, Err(ReplyStreamError::Request(stopped)));
    assert_eq!(reader.poll(lines.next()), Some(None));
}

#[test]
fn r12_a_reader_whose_stream_has_gone_is_forgotten() {
    let mut world = World::connected();
    let (mut dropped, mut closed) = (printing(&mut world), printing(&mut world));
    let (first, second) = (Task::new(), Task::new());
    assert_eq!(first.poll(dropped.next()), None);
    assert_eq!(second.poll(closed.next()), None);
    drop(dropped);
    assert!(!first.is_known() && !first.is_woken());
    // It reads the end before the driver gets to wake it.
    world.client().close_now();
    assert!(matches!(World::poll(closed.next()), Some(Some(Err(ReplyError::Stream(_))))));
    assert!(!second.is_known());
}

#[test]
fn r12_a_burst_does_not_overflow_a_prompt_reader() {
    let mut config = Config::default();
    config.replies.count = 10;
    let mut world = World::new(config);
    world.settle();
    let mut numbers = world.client().stream::<u32>(print());
    world.settle();
    let request = world.network().sent[0].clone();
    world.receives((0..100).map(|n| event(&request, &json!("print"), 200, &json!(n))));
    let mut seen = 0;
    let mut more = true;
    while more {
        more = world.poll_driver();
        while let Some(Some(number)) = World::poll(numbers.next()) {
            assert_eq!(number, Ok(seen));
            seen += 1;
        }
    }
    assert_eq!(seen, 100);
}

#[test]
fn c2_a_stream_keeps_its_client_alive_until_it_has_ended() {
    let mut world = World::connected();
    let mut lines = printing(&mut world).until(|line| line == "end");
    world.client = None;
    world.settle();
    assert!(world.network().connected);
    world.answers(0, 200, &json!("end"));
    reads(&mut lines, Ok("end"));
    world.settle();
    assert_eq!(world.network().closed_with, Some(CloseFrame::normal()));
}
