//! Messages over the size limit (rule F5): they cost the request, refresh or event that they are about, and nothing else.

use crate::conversation::{Conversation, closed, secs};
use dcrf_proto::{
    Change, CloseReason, ConnectionError, ConnectionState, Framing, Gap, ListenerEvent,
    ReplyStreamError, Request, RequestError, Selector, Subscribe, SubscriptionError,
};
use serde_json::{Value, json};

const SIZE: usize = 5 << 20;
const LIMIT: usize = 4 << 20;

const ERROR: RequestError = RequestError::ReplyTooLarge { size: SIZE, limit: LIMIT };
const LOST: ConnectionError = ConnectionError::TooLarge { size: SIZE, limit: LIMIT };
const ENDED: SubscriptionError = SubscriptionError::RefreshTooLarge { size: SIZE, limit: LIMIT };

/// The server sends a message over the limit, with the ids of `frame`.
fn receive_too_large(c: &mut Conversation, frame: &Value, action: &str) {
    let envelope = json!({"stream": frame["stream"], "payload": {
        "errors": [], "data": [], "action": action, "response_status": 200,
        "request_id": frame["payload"]["request_id"],
    }});
    let (epoch, now) = (c.epoch(), c.now);
    c.session.handle_too_large(epoch, &envelope.to_string(), SIZE, LIMIT, now);
}

fn gap() -> Change {
    Change::Gap(Gap::new(LOST))
}

#[test]
fn f5_request_whose_reply_is_too_large_fails_alone() {
    let mut c = Conversation::connected();
    let (subscription, _) = c.subscribe_acked(Subscribe::instance("tasks", 7));
    let (large, frame) = c.send_request(Request::list("rows"));
    let (small, other) = c.send_request(Request::list("tasks"));

    receive_too_large(&mut c, &frame, "list");
    assert_eq!(c.settled(), [(large, Err(ERROR))]);
    assert!(ERROR.may_have_happened());
    assert_eq!(ERROR.to_string(), "the reply has 5242880 bytes, more than the limit of 4194304");

    c.reply(&other, &json!([]));
    assert_eq!(c.settled(), [(small, Ok(json!([])))]);
    assert_eq!(c.changes(subscription), []);
    assert_eq!((c.session.stats().too_large, c.session.stats().disconnects), (1, 0));
    assert_eq!(c.session.stats().requests_reply_too_large, 1);
    c.advance(secs(100));
    assert_eq!(c.sent().len(), 0, "nothing is repeated");
}

#[test]
fn f5_bare_reply_that_is_too_large_fails_its_request() {
    let mut c = Conversation::connected_with(|config| config.framing = Framing::Bare);
    let key = c.request(Request::list("rows"));
    let frame = c.sent_one();
    let envelope = json!({"errors": [], "data": [], "request_id": frame["request_id"]}).to_string();
    c.session.handle_too_large(c.epoch(), &envelope, SIZE, LIMIT, c.now);
    assert_eq!(c.settled(), [(key, Err(ERROR))]);
}

#[test]
fn f5_reply_stream_ends_and_is_cancelled_on_the_server() {
    let mut c = Conversation::connected();
    let request = Request::list("rows").cancel_action("list_cancel");
    let key = c.session.stream(request, c.now).unwrap();
    let frame = c.sent_one();
    receive_too_large(&mut c, &frame, "list");
    let error = ReplyStreamError::Request(ERROR);
    assert_eq!(c.session.poll_reply(key), Some(Err(error)));
    assert_eq!(c.sent_one()["payload"]["action"], "list_cancel");
}

#[test]
fn f5_refresh_that_is_too_large_ends_its_subscription_alone() {
    let mut c = Conversation::connected();
    let feed = || Subscribe::new("rows", "subscribe_all").include_create();
    let (other, frame) = c.subscribe_acked(feed());
    let refreshing = c.subscribe(feed().refresh());
    let refresh = c.sent_one();
    receive_too_large(&mut c, &refresh, "list");

    assert_eq!(c.end(refreshing), ENDED);
    assert!(ENDED.is_final());
    c.event(&frame, "update", &json!({"pk": 1}));
    assert_eq!(c.changes(other).len(), 1, "the other subscriber goes on");
    c.reconnect();
    assert_eq!(c.sent_actions(), ["subscribe_all"], "the refresh is not repeated");
}

#[test]
fn f5_event_that_is_too_large_is_a_gap_and_a_refresh() {
    let mut c = Conversation::connected();
    let (plain, frame) = c.subscribe_acked(Subscribe::new("rows", "subscribe_all"));
    let creates = c.subscribe(Subscribe::new("rows", "subscribe_all").include_create());
    let refreshing = c.subscribe(Subscribe::new("rows", "subscribe_all").refresh());
    let refresh = c.sent_one();
    c.reply(&refresh, &json!([]));
    for key in [plain, creates, refreshing] {
        c.changes(key);
    }

    receive_too_large(&mut c, &frame, "update");
    for key in [plain, creates, refreshing] {
        assert_eq!(c.changes(key), [gap()]);
    }
    let refresh = c.sent_one();
    assert_eq!(refresh["payload"]["action"], "list");
    c.reply(&refresh, &json!([{"pk": 1}]));
    assert!(matches!(c.changes(refreshing)[..], [Change::Snapshot(_)]));

    receive_too_large(&mut c, &frame, "create");
    assert_eq!((c.changes(plain), c.changes(creates)), (vec![], vec![gap()]));
    assert_eq!(c.session.stats().disconnects, 0);
}

#[test]
fn f5_event_that_is_too_large_before_the_acknowledgement_is_a_gap_alone() {
    let mut c = Conversation::connected();
    let key = c.subscribe(Subscribe::new("rows", "subscribe_all").refresh());
    let frame = c.sent_one();
    receive_too_large(&mut c, &frame, "update");
    assert_eq!(c.changes(key), [gap()]);
    assert_eq!(c.sent().len(), 0, "the acknowledgement refreshes");
    c.reply(&frame, &Value::Null);
    assert_eq!(c.sent_actions(), ["list"]);
}

#[test]
fn f5_acknowledgement_that_is_too_large_acknowledges() {
    let mut c = Conversation::connected();
    let key = c.subscribe(Subscribe::new("rows", "subscribe_all"));
    let frame = c.sent_one();
    receive_too_large(&mut c, &frame, "subscribe_all");
    assert!(c.session.is_acknowledged(key));
}

#[test]
fn f5_listener_gets_the_number_and_not_the_envelope() {
    let mut c = Conversation::connected();
    let listener = c.session.listen(Selector::stream("rows"), c.now).unwrap();
    let nobody = json!({"stream": "rows", "payload": {"request_id": "nobody's"}});
    receive_too_large(&mut c, &nobody, "push");
    assert_eq!(c.session.poll_listener(listener), Some(ListenerEvent::Lagged(1)));
    c.session.handle_too_large(c.epoch(), "not an envelope", SIZE, LIMIT, c.now);
    c.session.handle_too_large(c.epoch(), "[]", SIZE, LIMIT, c.now);
    assert_eq!(c.unhandled(), [] as [Value; 0]);
    assert_eq!(c.session.stats().too_large, 3);
}

// A socket that ends the connection instead of skipping the message.

#[test]
fn f5_loss_fails_the_only_request_in_flight() {
    let mut c = Conversation::connected();
    let (key, _) = c.send_request(Request::list("rows"));
    c.disconnect(LOST);
    assert_eq!(c.settled(), [(key, Err(ERROR))]);
    c.wait_and_connect();
    assert_eq!(c.sent().len(), 0, "it is not repeated");
}

#[test]
fn f5_losses_never_close_the_client() {
    let mut c = Conversation::connected();
    for _ in 0..20 {
        c.disconnect(LOST);
        c.wait_and_connect();
    }
    assert_eq!(*c.session.state(), ConnectionState::Connected);
}

#[test]
fn f5_guilty_refresh_is_found_among_others() {
    let mut c = Conversation::connected();
    let feeds: Vec<_> = (0..10)
        .map(|n| {
            let feed = Subscribe::new("rows", "subscribe_team").arg("team", n);
            c.subscribe(feed.refresh_with(Request::list("rows").arg("team", n)))
        })
        .collect();
    let mut connections = 1;
    let mut refreshed = 0;
    loop {
        let frames = c.sent();
        if frames.is_empty() {
            break;
        }
        for frame in frames {
            if frame["payload"]["action"] != "list" {
                c.reply_with(&frame, 201, &json!([]), &Value::Null);
            } else if frame["payload"]["team"] != 7 {
                refreshed += 1;
                c.reply(&frame, &json!([]));
            } else {
                c.disconnect(LOST);
                c.wait_and_connect();
                (connections, refreshed) = (connections + 1, 0);
                assert!(connections < 4, "the guilty one is not found");
                break;
            }
        }
    }
    assert_eq!(refreshed, 9);
    for (n, feed) in feeds.into_iter().enumerate() {
        let (_, end) = c.changes_and_end(feed);
        assert_eq!(end, (n == 7).then_some(ENDED));
    }
    // From now on, refreshes are sent together again.
    c.disconnect(closed(1011));
    c.wait_and_connect();
    for frame in c.sent() {
        c.reply_with(&frame, 201, &json!([]), &Value::Null);
    }
    assert_eq!(c.sent().len(), 9);
}

#[test]
fn f5_refreshes_go_together_once_the_guilty_one_is_found() {
    let mut c = Conversation::connected();
    let mut feeds: Vec<_> = (0..10)
        .map(|n| {
            let feed = Subscribe::new("rows", "subscribe_team").arg("team", n);
            c.subscribe(feed.refresh_with(Request::list("rows").arg("team", n)))
        })
        .collect();
    for refreshes in [10, 1, 9] {
        for frame in c.sent() {
            c.reply_with(&frame, 201, &json!([]), &Value::Null);
        }
        assert_eq!(c.sent().len(), refreshes);
        if refreshes < 9 {
            assert_eq!(c.session.stats().subscriptions_ended, 0);
        }
        c.disconnect(LOST);
        c.wait_and_connect();
    }
    let ended = feeds.extract_if(.., |feed| c.changes_and_end(*feed).1 == Some(ENDED)).count();
    assert_eq!(ended, 1);
}

#[test]
fn f5_policy_can_still_stop_at_a_message_that_is_too_large() {
    let mut c = Conversation::connected();
    c.session.handle_disconnected_with(c.epoch(), LOST, dcrf_proto::FailureAction::Stop, c.now);
    assert_eq!(*c.session.state(), ConnectionState::Closed(CloseReason::Fatal(LOST)));
}
