//! Reply streams (rule R12).

use std::time::Duration;

use crate::memory::{Setup, Task};
use crate::server_frames::event;
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
fn start_printing(setup: &mut Setup) -> ReplyStream<String> {
    let lines = setup.client().stream(print());
    setup.settle();
    assert_eq!(setup.sent_actions().last().unwrap(), "print");
    lines
}

/// Asserts that the next item has arrived and is a line or an error.
fn assert_next(lines: &mut ReplyStream<String>, expected: Result<&str, ReplyStreamError>) {
    let expected = expected.map(str::to_owned).map_err(ReplyError::Stream);
    assert_eq!(Setup::poll(lines.next()), Some(Some(expected)));
}

#[test]
fn r12_until_ends_the_stream_without_a_cancel_action() {
    let mut setup = Setup::connected();
    let mut lines = start_printing(&mut setup).until(|line| line == "end");
    assert_eq!(Setup::poll(lines.next()), None);
    for text in ["one", "two", "end"] {
        setup.reply(0, 200, &json!(text));
    }
    assert_next(&mut lines, Ok("one"));
    assert_next(&mut lines, Ok("two"));
    assert!(!lines.is_terminated());
    assert_next(&mut lines, Ok("end"));
    assert!(lines.is_terminated());
    assert_eq!(Setup::poll(lines.next()), Some(None));
    drop(lines);
    setup.settle();
    assert_eq!(setup.sent_actions(), ["print"]);
    setup.reply(0, 200, &json!("after the end"));
    assert_eq!((setup.client().stats().late, setup.client().stats().unhandled), (1, 0));
}

#[test]
fn r12_dropping_the_stream_sends_the_cancel_action() {
    let mut setup = Setup::connected();
    let mut lines = start_printing(&mut setup);
    setup.reply(0, 200, &json!("one"));
    assert_next(&mut lines, Ok("one"));
    drop(lines);
    setup.settle();
    assert_eq!(setup.sent_actions(), ["print", "stop"]);
    let sent = setup.network().sent.clone();
    assert_eq!(sent[0]["payload"]["request_id"], sent[1]["payload"]["request_id"]);
    assert_eq!(setup.client().stats().requests, 0);
}

#[test]
fn r12_stream_dropped_before_its_request_is_sent_sends_nothing() {
    let mut setup = Setup::connected();
    drop(setup.client().stream::<String>(print()));
    setup.settle();
    assert_eq!(setup.sent_actions(), [] as [&str; 0]);
}

#[test]
fn r12_rejected_request_is_the_only_item() {
    let mut config = Config::default();
    config.outbox.count = 0;
    let setup = Setup::new(config);
    let mut lines = setup.client().stream::<String>(print());
    let Some(Some(Err(ReplyError::Stream(ReplyStreamError::Request(RequestError::Rejected(
        rejected,
    )))))) = Setup::poll(lines.next())
    else {
        panic!("expected a rejected request")
    };
    assert_eq!((rejected.command, rejected.reason), (print(), RejectReason::QueueFull));
    assert!(lines.is_terminated());
    assert_eq!(Setup::poll(lines.next()), Some(None));
}

#[test]
fn r12_stream_of_a_closed_client_is_an_error() {
    let mut setup = Setup::connected();
    setup.client().close_now();
    setup.settle();
    let mut lines = setup.client().stream::<String>(print());
    let closed = RequestError::Closed { reason: CloseReason::ByCaller, sent: false };
    assert_next(&mut lines, Err(ReplyStreamError::Request(closed)));
    assert_eq!(Setup::poll(lines.next()), Some(None));
}

#[test]
fn r12_stream_continues_after_a_decode_error() {
    let mut setup = Setup::connected();
    let mut lines = start_printing(&mut setup).until(|line| line == "end");
    setup.reply(0, 200, &json!("one"));
    setup.reply(0, 200, &json!(2));
    setup.reply(0, 200, &json!("end"));
    assert_next(&mut lines, Ok("one"));
    assert!(matches!(Setup::poll(lines.next()), Some(Some(Err(ReplyError::Decode(_))))));
    assert!(!lines.is_terminated());
    assert_next(&mut lines, Ok("end"));
    assert_eq!(Setup::poll(lines.next()), Some(None));
}

#[test]
fn r12_error_reply_is_the_last_item() {
    let mut setup = Setup::connected();
    let mut lines = start_printing(&mut setup);
    setup.reply(0, 200, &json!("one"));
    setup.reply(0, 403, &Value::Null);
    assert_next(&mut lines, Ok("one"));
    let Some(Some(Err(ReplyError::Stream(ReplyStreamError::Request(RequestError::ErrorReply(
        error_reply,
    )))))) = Setup::poll(lines.next())
    else {
        panic!("expected an error reply")
    };
    assert_eq!(error_reply.status, Some(403));
    assert_eq!(Setup::poll(lines.next()), Some(None));
    drop(lines);
    setup.settle();
    assert_eq!(
        setup.sent_actions(),
        ["print"],
        "an error reply ends the stream without a cancel action"
    );
}

#[test]
fn r12_interrupted_stream_yields_its_replies_and_their_number() {
    let mut setup = Setup::connected();
    let mut lines = start_printing(&mut setup);
    setup.reply(0, 200, &json!("one"));
    setup.reply(0, 200, &json!("two"));
    setup.disconnect(ConnectionError::Dropped);
    assert_next(&mut lines, Ok("one"));
    assert_next(&mut lines, Ok("two"));
    assert_next(&mut lines, Err(ReplyStreamError::Interrupted { received: 2 }));
    assert!(lines.is_terminated());
    assert_eq!(Setup::poll(lines.next()), Some(None));
    drop(lines);
    setup.advance(Duration::from_secs(2));
    assert_eq!(setup.sent_actions(), ["print"], "nothing is sent on the next connection");
}

#[test]
fn r12_reader_is_woken_by_each_reply_and_by_the_end() {
    let mut setup = Setup::connected();
    let mut lines = start_printing(&mut setup);
    let reader = Task::new();
    assert_eq!(reader.poll(lines.next()), None);
    setup.settle();
    assert!(!reader.is_woken(), "nothing has arrived");
    for text in ["one", "two"] {
        setup.reply(0, 200, &json!(text));
        assert!(reader.is_woken());
        assert_next(&mut lines, Ok(text));
        assert_eq!(reader.poll(lines.next()), None);
    }
    setup.disconnect(ConnectionError::Dropped);
    assert!(reader.is_woken());
    assert_next(&mut lines, Err(ReplyStreamError::Interrupted { received: 2 }));
    assert!(!reader.has_waker());
}

#[test]
fn r12_only_the_task_that_polled_last_is_woken() {
    let mut setup = Setup::connected();
    let mut lines = start_printing(&mut setup);
    let (first, second) = (Task::new(), Task::new());
    assert_eq!(first.poll(lines.next()), None);
    assert_eq!(second.poll(lines.next()), None);
    assert!(!first.has_waker());
    setup.reply(0, 200, &json!("one"));
    assert!(second.is_woken() && !first.is_woken());
}

#[test]
fn c2_dropping_the_driver_ends_a_reply_stream() {
    let mut setup = Setup::connected();
    let mut lines = start_printing(&mut setup);
    let reader = Task::new();
    assert_eq!(reader.poll(lines.next()), None);
    setup.drop_driver();
    assert!(reader.is_woken());
    let stopped = RequestError::Closed { reason: CloseReason::DriverStopped, sent: true };
    assert_next(&mut lines, Err(ReplyStreamError::Request(stopped)));
    assert_eq!(reader.poll(lines.next()), Some(None));
}

#[test]
fn r12_dropped_or_closed_stream_leaves_no_waker() {
    let mut setup = Setup::connected();
    let (mut dropped, mut closed) = (start_printing(&mut setup), start_printing(&mut setup));
    let (first, second) = (Task::new(), Task::new());
    assert_eq!(first.poll(dropped.next()), None);
    assert_eq!(second.poll(closed.next()), None);
    drop(dropped);
    assert!(!first.has_waker() && !first.is_woken());
    // The end is read before the driver wakes the reader.
    setup.client().close_now();
    assert!(matches!(Setup::poll(closed.next()), Some(Some(Err(ReplyError::Stream(_))))));
    assert!(!second.has_waker());
}

#[test]
fn r12_burst_does_not_overflow_a_prompt_reader() {
    let mut config = Config::default();
    config.replies.count = 10;
    let mut setup = Setup::new(config);
    setup.settle();
    let mut numbers = setup.client().stream::<u32>(print());
    setup.settle();
    let request = setup.network().sent[0].clone();
    setup.send_frames((0..100).map(|n| event(&request, "print", &json!(n))));
    let mut seen = 0;
    let mut more = true;
    while more {
        more = setup.poll_driver();
        while let Some(Some(number)) = Setup::poll(numbers.next()) {
            assert_eq!(number, Ok(seen));
            seen += 1;
        }
    }
    assert_eq!(seen, 100);
}

#[test]
fn c2_reply_stream_keeps_its_client_alive_until_it_ends() {
    let mut setup = Setup::connected();
    let mut lines = start_printing(&mut setup).until(|line| line == "end");
    setup.client = None;
    setup.settle();
    assert!(setup.network().connected);
    setup.reply(0, 200, &json!("end"));
    assert_next(&mut lines, Ok("end"));
    setup.settle();
    assert_eq!(setup.network().closed_with, Some(CloseFrame::normal()));
}
