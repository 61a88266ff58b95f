//! Messages without a reply (rule R10).

use crate::conversation::{Conversation, dropped, secs};
use dcrf_proto::{
    CloseOptions, CloseReason, Config, ConnectionState, Limit, RejectReason, Request, Seed,
};
use serde_json::{Value, json};

fn typing() -> Request {
    Request::new("chat", "typing").arg("room", 7)
}

#[test]
fn r10_message_has_an_id_and_its_reply_is_dropped() {
    let mut c = Conversation::connected();
    c.session.send(typing(), c.now).unwrap();
    let frame = c.sent_one();
    assert_eq!(frame["payload"]["action"], "typing");
    assert_eq!(frame["payload"]["room"], 7);
    c.reply(&frame, &json!("seen"));
    assert_eq!(c.events(), []);
    assert_eq!((c.session.stats().late, c.session.stats().requests), (1, 0));
}

#[test]
fn r10_messages_wait_for_a_connection_in_order() {
    let mut c = Conversation::connecting(Config::default());
    c.request(Request::new("chat", "first"));
    c.session.send(typing(), c.now).unwrap();
    c.request(Request::new("chat", "last"));
    c.connect();
    assert_eq!(c.sent_actions(), ["first", "typing", "last"]);
}

#[test]
fn r10_message_has_no_deadline_by_default() {
    let mut c = Conversation::connected();
    c.disconnect(dropped());
    c.session.send(typing(), c.now).unwrap();
    c.session.send(typing().timeout(secs(60)), c.now).unwrap();
    c.advance(secs(3_600));
    assert_eq!(c.session.stats().unsent, 1);
    c.dials();
    c.wait_and_connect();
    assert_eq!(c.sent_actions(), ["typing"]);
}

#[test]
fn r10_messages_count_towards_the_limits() {
    let mut c = Conversation::idle(Config::default());
    let mut config = Config::default();
    config.outbox = Limit { count: 1, bytes: 10_000 };
    c.session = dcrf_proto::Session::new(config, Seed::from([7; 32]), c.now);
    c.session.send(typing(), c.now).unwrap();
    let rejected = c.session.send(typing(), c.now).unwrap_err();
    assert_eq!((rejected.command, rejected.reason), (typing(), RejectReason::QueueFull));
    let large = typing().arg("text", "x".repeat(1 << 20));
    let rejected = c.session.send(large, c.now).unwrap_err();
    assert!(matches!(rejected.reason, RejectReason::QueueFull | RejectReason::TooLarge { .. }));
}

#[test]
fn r10_send_now_is_rejected_without_a_connection() {
    let mut c = Conversation::connecting(Config::default());
    let rejected = c.session.send_now(typing(), c.now).unwrap_err();
    assert_eq!((rejected.command, rejected.reason), (typing(), RejectReason::NotConnected));
    c.connect();
    c.session.send_now(typing(), c.now).unwrap();
    assert_eq!(c.sent_actions(), ["typing"]);
}

#[test]
fn r10_send_now_is_never_sent_on_a_later_connection() {
    let mut c = Conversation::connected();
    c.session.send_now(typing(), c.now).unwrap();
    c.session.send(Request::new("chat", "said"), c.now).unwrap();
    c.session.handle_disconnected(c.epoch(), dropped(), c.now);
    assert_eq!(c.session.stats().unsent, 1);
    c.wait_and_connect();
    assert_eq!(c.sent_actions(), ["said"]);
}

#[test]
fn r10_close_sends_accepted_messages() {
    let mut c = Conversation::connected();
    c.session.send(typing(), c.now).unwrap();
    c.close(CloseOptions::default());
    assert_eq!(*c.session.state(), ConnectionState::Connected);
    assert_eq!(c.sent_actions(), ["typing"]);
    assert!(matches!(c.session.state(), ConnectionState::Closed(CloseReason::ByCaller)));
    let rejected = c.session.send(typing(), c.now).unwrap_err();
    assert_eq!(rejected.reason, RejectReason::Closed(CloseReason::ByCaller));
}

#[test]
fn r10_unsent_messages_are_counted() {
    let mut c = Conversation::connected();
    c.disconnect(dropped());
    c.session.send(typing(), c.now).unwrap();
    c.close(CloseOptions::default());
    assert_eq!(c.session.stats().unsent, 1);
    assert_eq!(c.events(), []);
    assert_eq!(c.sent(), [] as [Value; 0]);
}
