//! Reply streams (rule R12).

use crate::conversation::{Conversation, dropped, secs, value};
use dcrf_proto::{
    CloseOptions, CloseReason, Event, Limit, RejectReason, ReplyStreamError, ReplyStreamKey,
    Request, RequestError, Subscribe,
};
use serde_json::{Value, json};

fn rows() -> Request {
    Request::list("rows").arg("limit", 3).cancel_action("list_cancel")
}

fn stream(c: &mut Conversation, request: Request) -> (ReplyStreamKey, Value) {
    let key = c.session.stream(request, c.now).expect("the request is accepted");
    (key, c.sent_one())
}

/// Takes the new replies of a stream, and its error if it has ended.
fn read(c: &mut Conversation, key: ReplyStreamKey) -> (Vec<Value>, Option<ReplyStreamError>) {
    let mut replies = Vec::new();
    while let Some(polled) = c.session.poll_reply(key) {
        match polled {
            Ok(json) => replies.push(value(&json)),
            Err(error) => return (replies, Some(error)),
        }
    }
    (replies, None)
}

#[test]
fn r12_replies_arrive_in_order_with_one_notification() {
    let mut c = Conversation::connected();
    let (key, frame) = stream(&mut c, rows());
    assert_eq!(frame["payload"]["action"], "list");
    assert_eq!(frame["payload"]["limit"], 3);

    c.reply(&frame, &json!([1]));
    c.reply(&frame, &json!([2]));
    assert_eq!(c.events(), [Event::ReplyReadable(key)]);
    assert_eq!(read(&mut c, key), (vec![json!([1]), json!([2])], None));
    c.reply(&frame, &json!([3]));
    assert_eq!(c.events(), [Event::ReplyReadable(key)]);
    assert_eq!(read(&mut c, key), (vec![json!([3])], None));
}

#[test]
fn r12_finished_stream_sends_nothing_and_counts_late_replies() {
    let mut c = Conversation::connected();
    let (key, frame) = stream(&mut c, rows());
    c.reply(&frame, &json!([1]));
    c.session.finish_reply_stream(key);
    assert_eq!(c.sent(), [] as [Value; 0]);
    assert_eq!(c.events(), []);
    c.reply(&frame, &json!([2]));
    assert_eq!((c.session.stats().late, c.session.stats().requests), (1, 0));
    assert!(c.session.poll_reply(key).is_none());
    assert_eq!(c.session.poll_timeout(), Some(c.now + secs(20)), "only the heartbeat is left");
}

#[test]
fn r12_cancelled_stream_sends_its_cancel_action_with_its_id() {
    let mut c = Conversation::connected();
    let (key, frame) = stream(&mut c, rows());
    c.reply(&frame, &json!([1]));
    c.session.cancel_reply_stream(key);
    let mut cancel = c.sent_one();
    assert_eq!(cancel["payload"]["action"], "list_cancel");
    assert_eq!(cancel["payload"]["request_id"], frame["payload"]["request_id"]);
    assert_eq!(cancel["stream"], "rows");
    // DCRF on PyPI has no such action.
    c.reply_error(&cancel, 405);
    cancel["payload"]["action"] = json!("list");
    c.reply(&cancel, &json!([2]));
    assert_eq!(c.session.stats().late, 2);
    assert_eq!(c.client_events().len(), 2, "only changes of state");
}

/// The main branch of DCRF applies it to all lists of the consumer, and sends nothing for those.
#[test]
fn r12_list_cancel_is_not_sent_while_the_stream_has_another_list() {
    type Other = fn(&mut Conversation);
    let others: [(&str, Other, bool); 6] = [
        ("a list", |c| _ = c.send_request(Request::list("rows")), false),
        ("a streamed list", |c| _ = stream(c, rows()), false),
        (
            "a refresh",
            |c| {
                c.subscribe_acked(Subscribe::new("rows", "subscribe_all").refresh());
                c.sent_one();
            },
            false,
        ),
        ("a list of another stream", |c| _ = c.send_request(Request::list("other")), true),
        ("another action", |c| _ = c.send_request(Request::retrieve("rows", 1)), true),
        ("a list that is not sent", |c| _ = c.request(Request::list("rows")), true),
    ];
    for (name, other, is_sent) in others {
        let mut c = Conversation::connected();
        let (key, frame) = stream(&mut c, rows());
        c.reply(&frame, &json!([1]));
        other(&mut c);
        c.session.cancel_reply_stream(key);
        let sent = c.sent_actions().contains(&"list_cancel".to_owned());
        assert_eq!(sent, is_sent, "{name}");
    }
}

#[test]
fn r12_list_cancel_is_sent_when_the_other_list_was_answered() {
    let mut c = Conversation::connected();
    let (key, _) = stream(&mut c, rows());
    let (_, other) = c.send_request(Request::list("rows"));
    c.reply(&other, &json!([]));
    c.session.cancel_reply_stream(key);
    assert_eq!(c.sent_actions(), ["list_cancel"]);
}

#[test]
fn r12_other_cancel_action_is_sent_beside_a_list() {
    let mut c = Conversation::connected();
    let (key, _) = stream(&mut c, rows().cancel_action("enough"));
    c.send_request(Request::list("rows"));
    c.session.cancel_reply_stream(key);
    assert_eq!(c.sent_actions(), ["enough"]);
}

#[test]
fn r12_unsent_stream_sends_no_cancel_action() {
    let mut c = Conversation::connected();
    c.disconnect(dropped());
    let key = c.session.stream(rows(), c.now).unwrap();
    c.session.cancel_reply_stream(key);
    c.wait_and_connect();
    assert_eq!(c.sent(), [] as [Value; 0]);
}

#[test]
fn r12_cancel_action_is_not_sent_on_the_next_connection() {
    let mut c = Conversation::connected();
    let (key, _) = stream(&mut c, rows());
    c.session.cancel_reply_stream(key);
    c.session.handle_disconnected(c.epoch(), dropped(), c.now);
    c.wait_and_connect();
    assert_eq!(c.sent(), [] as [Value; 0]);
}

#[test]
fn r12_cancelled_stream_without_a_cancel_action_sends_nothing() {
    let mut c = Conversation::connected();
    let (key, frame) = stream(&mut c, Request::new("tools", "count"));
    c.session.cancel_reply_stream(key);
    assert_eq!(c.sent(), [] as [Value; 0]);
    c.reply(&frame, &json!(1));
    assert_eq!(c.session.stats().late, 1);
}

#[test]
fn r12_error_reply_ends_the_stream_after_earlier_replies() {
    let mut c = Conversation::connected();
    let (key, frame) = stream(&mut c, rows());
    c.reply(&frame, &json!([1]));
    c.reply_error(&frame, 403);
    let (replies, end) = read(&mut c, key);
    assert_eq!(replies, [json!([1])]);
    let Some(ReplyStreamError::Request(RequestError::ErrorReply(error_reply))) = end else {
        panic!("{end:?}")
    };
    assert_eq!(error_reply.status, Some(403));
    assert!(c.session.poll_reply(key).is_none(), "the error is delivered once");
}

#[test]
fn r12_each_reply_restarts_the_timeout() {
    let mut c = Conversation::connected();
    let (key, frame) = stream(&mut c, rows().timeout(secs(5)));
    for page in 0..4 {
        c.advance(secs(4));
        c.reply(&frame, &json!(page));
    }
    assert_eq!(read(&mut c, key).1, None);
    c.advance(secs(5));
    assert_eq!(
        read(&mut c, key),
        (vec![], Some(ReplyStreamError::Request(RequestError::TimedOut { sent: true })))
    );
    // The server may still be sending replies.
    assert_eq!(c.sent_one()["payload"]["action"], "list_cancel");
}

#[test]
fn r12_unsent_stream_times_out_as_not_sent() {
    let mut c = Conversation::connected();
    c.disconnect(dropped());
    let key = c.session.stream(rows().timeout(secs(0)), c.now).unwrap();
    c.session.handle_timeout(c.now);
    let timed_out = ReplyStreamError::Request(RequestError::TimedOut { sent: false });
    assert_eq!(read(&mut c, key), (vec![], Some(timed_out)));
}

#[test]
fn r12_connection_loss_interrupts_the_stream() {
    let mut c = Conversation::connected();
    let (key, frame) = stream(&mut c, rows());
    c.reply(&frame, &json!([1]));
    c.reply(&frame, &json!([2]));
    c.reconnect();
    assert_eq!(
        c.sent(),
        [] as [Value; 0],
        "not sent again after a reply, even if it is idempotent"
    );
    let (replies, end) = read(&mut c, key);
    assert_eq!(replies.len(), 2);
    assert_eq!(end, Some(ReplyStreamError::Interrupted { received: 2 }));
}

#[test]
fn r12_idempotent_stream_without_a_reply_is_resent_once() {
    let mut c = Conversation::connected();
    let (key, first) = stream(&mut c, rows());
    c.reconnect();
    assert_eq!(c.sent_one(), first);
    c.reconnect();
    assert_eq!(c.sent(), [] as [Value; 0]);
    assert_eq!(read(&mut c, key).1, Some(ReplyStreamError::Interrupted { received: 0 }));

    let (key, _) = stream(&mut c, Request::new("tools", "count"));
    c.reconnect();
    assert_eq!(c.sent(), [] as [Value; 0]);
    assert_eq!(read(&mut c, key).1, Some(ReplyStreamError::Interrupted { received: 0 }));
}

#[test]
fn r12_slow_reader_ends_the_stream_without_losing_earlier_replies() {
    let mut c =
        Conversation::connected_with(|config| config.replies = Limit { count: 2, bytes: 1_000 });
    let (key, frame) = stream(&mut c, rows());
    for page in 0..4 {
        c.reply(&frame, &json!(page));
    }
    assert_eq!(c.sent_one()["payload"]["action"], "list_cancel");
    let (replies, end) = read(&mut c, key);
    assert_eq!(replies, [json!(0), json!(1), json!(2)]);
    assert_eq!(end, Some(ReplyStreamError::Overflowed { received: 3 }));
}

#[test]
fn r12_close_now_ends_the_streams() {
    let mut c = Conversation::connected();
    let (key, _) = stream(&mut c, rows());
    c.close(CloseOptions::now());
    let closed = RequestError::Closed { reason: CloseReason::ByCaller, sent: true };
    assert_eq!(read(&mut c, key), (vec![], Some(ReplyStreamError::Request(closed))));
    let rejected = c.session.stream(rows(), c.now).unwrap_err();
    assert_eq!(rejected.reason, RejectReason::Closed(CloseReason::ByCaller));
}

#[test]
fn r12_close_waits_for_a_stream_to_end() {
    let mut c = Conversation::connected();
    let (key, frame) = stream(&mut c, rows());
    c.close(CloseOptions::default());
    c.reply(&frame, &json!([1]));
    assert_eq!(read(&mut c, key), (vec![json!([1])], None));
    c.session.finish_reply_stream(key);
    assert!(matches!(c.session.state(), dcrf_proto::ConnectionState::Closed(_)));
}

#[test]
fn r12_unread_streams_count_towards_the_request_limit() {
    let mut c = Conversation::connected_with(|config| config.max_requests = 2);
    for _ in 0..2 {
        let (_, frame) = stream(&mut c, rows());
        c.reply_error(&frame, 403);
    }
    // They have ended, but their errors are unread.
    let rejected = c.session.stream(rows(), c.now).unwrap_err();
    assert_eq!(rejected.reason, RejectReason::QueueFull);
}
