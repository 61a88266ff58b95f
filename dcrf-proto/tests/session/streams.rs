//! Streams of replies (rule R12).

use crate::conversation::{Conversation, dropped, secs, value};
use dcrf_proto::{
    CloseOptions, CloseReason, Event, Limit, RejectReason, ReplyStreamError, ReplyStreamKey,
    Request, RequestError,
};
use serde_json::{Value, json};

fn rows() -> Request {
    Request::list("rows").arg("limit", 3).cancel_action("list_cancel")
}

fn stream(c: &mut Conversation, request: Request) -> (ReplyStreamKey, Value) {
    let key = c.session.stream(request, c.now).expect("the request is accepted");
    (key, c.sent_one())
}

/// What has come for a stream since the test last looked, and its end.
fn read(c: &mut Conversation, key: ReplyStreamKey) -> (Vec<Value>, Option<ReplyStreamError>) {
    let mut replies = Vec::new();
    while let Some(polled) = c.session.poll_reply(key) {
        match polled {
            Ok(json) => replies.push(value(&json)),
            Err(ended) => return (replies, Some(ended)),
        }
    }
    (replies, None)
}

#[test]
fn r12_each_reply_is_handed_out_in_order_and_told_once() {
    let mut c = Conversation::open();
    let (key, frame) = stream(&mut c, rows());
    assert_eq!(frame["payload"]["action"], "list");
    assert_eq!(frame["payload"]["limit"], 3);

    c.answers(&frame, &json!([1]));
    c.answers(&frame, &json!([2]));
    assert_eq!(c.events(), [Event::ReplyReadable(key)]);
    assert_eq!(read(&mut c, key), (vec![json!([1]), json!([2])], None));
    c.answers(&frame, &json!([3]));
    assert_eq!(c.events(), [Event::ReplyReadable(key)]);
    assert_eq!(read(&mut c, key), (vec![json!([3])], None));
}

#[test]
fn r12_a_finished_stream_sends_nothing_and_what_comes_later_is_late() {
    let mut c = Conversation::open();
    let (key, frame) = stream(&mut c, rows());
    c.answers(&frame, &json!([1]));
    c.session.finish_reply_stream(key);
    assert_eq!(c.sent(), [] as [Value; 0]);
    assert_eq!(c.events(), []);
    c.answers(&frame, &json!([2]));
    assert_eq!((c.session.stats().late, c.session.stats().requests), (1, 0));
    assert!(c.session.poll_reply(key).is_none());
    assert_eq!(c.session.poll_timeout(), Some(c.now + secs(20)), "no deadline is left");
}

#[test]
fn r12_a_cancelled_stream_sends_its_cancel_action_with_its_id() {
    let mut c = Conversation::open();
    let (key, frame) = stream(&mut c, rows());
    c.answers(&frame, &json!([1]));
    c.session.cancel_reply_stream(key);
    let mut cancel = c.sent_one();
    assert_eq!(cancel["payload"]["action"], "list_cancel");
    assert_eq!(cancel["payload"]["request_id"], frame["payload"]["request_id"]);
    assert_eq!(cancel["stream"], "rows");
    // PyPI's DCRF has no such action.
    c.refuses(&cancel, 405);
    cancel["payload"]["action"] = json!("list");
    c.answers(&cancel, &json!([2]));
    assert_eq!(c.session.stats().late, 2);
    assert_eq!(c.notices().len(), 2, "only the states");
}

#[test]
fn r12_a_stream_that_was_not_sent_is_cancelled_without_a_word() {
    let mut c = Conversation::open();
    c.lost(dropped());
    let key = c.session.stream(rows(), c.now).unwrap();
    c.session.cancel_reply_stream(key);
    c.reopens();
    assert_eq!(c.sent(), [] as [Value; 0]);
}

#[test]
fn r12_a_cancel_action_is_not_sent_on_the_next_connection() {
    let mut c = Conversation::open();
    let (key, _) = stream(&mut c, rows());
    c.session.cancel_reply_stream(key);
    c.session.handle_disconnected(c.epoch(), dropped(), c.now);
    c.reopens();
    assert_eq!(c.sent(), [] as [Value; 0]);
}

#[test]
fn r12_a_stream_without_a_cancel_action_is_only_forgotten() {
    let mut c = Conversation::open();
    let (key, frame) = stream(&mut c, Request::new("tools", "count"));
    c.session.cancel_reply_stream(key);
    assert_eq!(c.sent(), [] as [Value; 0]);
    c.answers(&frame, &json!(1));
    assert_eq!(c.session.stats().late, 1);
}

#[test]
fn r12_a_refusal_ends_the_stream_after_what_came_before() {
    let mut c = Conversation::open();
    let (key, frame) = stream(&mut c, rows());
    c.answers(&frame, &json!([1]));
    c.refuses(&frame, 403);
    let (replies, end) = read(&mut c, key);
    assert_eq!(replies, [json!([1])]);
    let Some(ReplyStreamError::Request(RequestError::ErrorReply(error_reply))) = end else {
        panic!("{end:?}")
    };
    assert_eq!(error_reply.status, Some(403));
    assert!(c.session.poll_reply(key).is_none(), "the end is told once");
}

#[test]
fn r12_the_timeout_is_counted_anew_with_each_reply() {
    let mut c = Conversation::open();
    let (key, frame) = stream(&mut c, rows().timeout(secs(5)));
    for page in 0..4 {
        c.passes(secs(4));
        c.answers(&frame, &json!(page));
    }
    assert_eq!(read(&mut c, key).1, None);
    c.passes(secs(5));
    assert_eq!(
        read(&mut c, key),
        (vec![], Some(ReplyStreamError::Request(RequestError::TimedOut { sent: true })))
    );
    // The server may still be at it.
    assert_eq!(c.sent_one()["payload"]["action"], "list_cancel");
}

#[test]
fn r12_a_stream_that_was_never_sent_times_out_unsent() {
    let mut c = Conversation::open();
    c.lost(dropped());
    let key = c.session.stream(rows().timeout(secs(0)), c.now).unwrap();
    c.session.handle_timeout(c.now);
    let timed_out = ReplyStreamError::Request(RequestError::TimedOut { sent: false });
    assert_eq!(read(&mut c, key), (vec![], Some(timed_out)));
}

#[test]
fn r12_a_lost_connection_interrupts_the_stream_and_says_what_had_come() {
    let mut c = Conversation::open();
    let (key, frame) = stream(&mut c, rows());
    c.answers(&frame, &json!([1]));
    c.answers(&frame, &json!([2]));
    c.reconnects();
    assert_eq!(
        c.sent(),
        [] as [Value; 0],
        "it is not sent again, also if its action is safe to repeat"
    );
    let (replies, end) = read(&mut c, key);
    assert_eq!(replies.len(), 2);
    assert_eq!(end, Some(ReplyStreamError::Interrupted { received: 2 }));
}

#[test]
fn r12_a_stream_without_a_reply_is_repeated_once_where_that_is_safe() {
    let mut c = Conversation::open();
    let (key, first) = stream(&mut c, rows());
    c.reconnects();
    assert_eq!(c.sent_one(), first);
    c.reconnects();
    assert_eq!(c.sent(), [] as [Value; 0]);
    assert_eq!(read(&mut c, key).1, Some(ReplyStreamError::Interrupted { received: 0 }));

    let (key, _) = stream(&mut c, Request::new("tools", "count"));
    c.reconnects();
    assert_eq!(c.sent(), [] as [Value; 0]);
    assert_eq!(read(&mut c, key).1, Some(ReplyStreamError::Interrupted { received: 0 }));
}

#[test]
fn r12_a_reader_that_is_too_slow_ends_the_stream_and_nothing_is_left_out_before() {
    let mut c = Conversation::open_with(|config| config.replies = Limit { count: 2, bytes: 1_000 });
    let (key, frame) = stream(&mut c, rows());
    for page in 0..4 {
        c.answers(&frame, &json!(page));
    }
    assert_eq!(c.sent_one()["payload"]["action"], "list_cancel");
    let (replies, end) = read(&mut c, key);
    assert_eq!(replies, [json!(0), json!(1), json!(2)]);
    assert_eq!(end, Some(ReplyStreamError::Overflowed { received: 3 }));
}

#[test]
fn r12_a_closed_session_ends_its_streams() {
    let mut c = Conversation::open();
    let (key, _) = stream(&mut c, rows());
    c.close(CloseOptions::now());
    let closed = RequestError::Closed { reason: CloseReason::ByCaller, sent: true };
    assert_eq!(read(&mut c, key), (vec![], Some(ReplyStreamError::Request(closed))));
    let rejected = c.session.stream(rows(), c.now).unwrap_err();
    assert_eq!(rejected.reason, RejectReason::Closed(CloseReason::ByCaller));
}

#[test]
fn r12_a_close_waits_for_a_stream_to_end() {
    let mut c = Conversation::open();
    let (key, frame) = stream(&mut c, rows());
    c.close(CloseOptions::default());
    c.answers(&frame, &json!([1]));
    assert_eq!(read(&mut c, key), (vec![json!([1])], None));
    c.session.finish_reply_stream(key);
    assert!(matches!(c.session.state(), dcrf_proto::ConnectionState::Closed(_)));
}

#[test]
fn r12_unread_streams_are_bounded_with_the_requests() {
    let mut c = Conversation::open_with(|config| config.max_requests = 2);
    for _ in 0..2 {
        let (_, frame) = stream(&mut c, rows());
        c.refuses(&frame, 403);
    }
    // They have ended, and nobody has read that.
    let rejected = c.session.stream(rows(), c.now).unwrap_err();
    assert_eq!(rejected.reason, RejectReason::QueueFull);
}
