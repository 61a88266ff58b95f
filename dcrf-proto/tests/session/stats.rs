//! The counters and gauges of [`Stats`].

use crate::conversation::{Conversation, dropped, http, secs};
use dcrf_proto::{
    CloseOptions, Config, Limit, OverflowPolicy, Request, Selector, Stats, Subscribe,
};
use serde_json::{Value, json};

fn create() -> Request {
    Request::create("tasks", &json!({"title": "new"}))
}

impl Conversation {
    fn stats(&self) -> Stats {
        self.session.stats()
    }
}

#[test]
fn connections_and_failed_attempts_are_counted() {
    let mut c = Conversation::connecting(Config::default());
    let gauges = |c: &Conversation| {
        let stats = c.stats();
        (stats.connections, stats.disconnects, stats.failed_attempts)
    };
    c.disconnect(dropped());
    c.wait_for_dial();
    c.disconnect(http(500));
    assert_eq!(gauges(&c), (0, 0, 2));
    c.wait_and_connect();
    assert_eq!(gauges(&c), (1, 0, 2));
    c.reconnect();
    assert_eq!(gauges(&c), (2, 1, 2));
    c.close(CloseOptions::now());
    c.disconnect(dropped());
    assert_eq!(gauges(&c), (2, 1, 2), "a close is not a disconnect");
}

#[test]
fn connection_lost_during_a_close_is_counted() {
    let mut c = Conversation::connected();
    c.send_request(create());
    c.close(CloseOptions::default());
    c.disconnect(dropped());
    assert_eq!((c.stats().disconnects, c.stats().requests_connection_lost), (1, 1));
}

#[test]
fn frames_and_bytes_are_counted() {
    let mut c = Conversation::connected();
    c.receive_text("nonsense");
    c.session.handle_binary(c.epoch(), &[1, 2, 3], c.now);
    c.receive_text("{}");
    c.session.handle_pong(c.epoch(), c.now);
    let stats = c.stats();
    assert_eq!((stats.received, stats.received_bytes), (4, 8 + 3 + 2));
    assert_eq!((stats.malformed, stats.unhandled), (2, 1));

    c.request(create());
    c.subscribe(Subscribe::instance("tasks", 7));
    assert_eq!(c.stats().sent, 0);
    let bytes: usize = c.sent_texts().iter().map(String::len).sum();
    assert_eq!((c.stats().sent, c.stats().sent_bytes), (2, bytes as u64));
}

#[test]
fn requests_are_counted_by_outcome() {
    let mut c = Conversation::connected_with(|config| {
        config.heartbeat = None;
        config.replies = Limit { count: 1, bytes: 100 };
    });
    let (_, frame) = c.send_request(create());
    c.reply(&frame, &Value::Null);
    let (_, frame) = c.send_request(create());
    c.reply_error(&frame, 404);
    c.send_request(create());
    c.advance(secs(30));
    let key = c.request(create());
    c.session.cancel(key);
    c.session.cancel(key);
    let replies = c.session.stream(create(), c.now).unwrap();
    c.session.finish_reply_stream(replies);
    let replies = c.session.stream(create(), c.now).unwrap();
    c.session.cancel_reply_stream(replies);
    c.session.stream(create(), c.now).unwrap();
    let frame = c.sent_one();
    c.reply(&frame, &Value::Null);
    c.reply(&frame, &Value::Null);
    c.send_request(create());
    c.send_request(create().idempotent(true));
    c.disconnect(dropped());
    assert_eq!(c.stats().requests, 1);
    c.close(CloseOptions::now());

    let stats = c.stats();
    assert_eq!(stats.requests_made, 9);
    assert_eq!(stats.requests_replied, 2);
    assert_eq!(stats.requests_error_reply, 1);
    assert_eq!(stats.requests_timed_out, 1);
    assert_eq!(stats.requests_cancelled, 2);
    assert_eq!(stats.requests_overflowed, 1);
    assert_eq!(stats.requests_connection_lost, 1);
    assert_eq!((stats.repeated, stats.requests_closed, stats.requests), (1, 1, 0));
}

#[test]
fn late_replies_messages_and_rejected_calls_are_counted() {
    let mut c = Conversation::connected();
    let (key, frame) = c.send_request(create());
    c.session.cancel(key);
    c.reply(&frame, &Value::Null);
    assert_eq!(c.stats().late, 1);

    c.session.send(create(), c.now).unwrap();
    assert_eq!((c.stats().messages_sent, c.stats().unsent), (0, 0));
    c.flush();
    assert_eq!((c.stats().messages_sent, c.stats().unsent), (1, 0));
    c.session.send_now(create(), c.now).unwrap();
    c.disconnect(dropped());
    assert_eq!((c.stats().messages_sent, c.stats().unsent), (1, 1));
    assert_eq!(c.stats().requests_made, 1, "a message is not a request");

    c.session.send_now(create(), c.now).unwrap_err();
    c.request(create().id(1));
    c.session.request(create().id(1), c.now).unwrap_err();
    c.close(CloseOptions::now());
    c.session.subscribe(Subscribe::instance("tasks", 1), c.now).unwrap_err();
    c.session.listen(Selector::any(), c.now).unwrap_err();
    assert_eq!(c.stats().rejected, 4);
}

#[test]
fn subscriptions_are_counted() {
    let mut c = Conversation::connected_with(|config| config.backoff.jitter = false);
    let (key, _) = c.subscribe_acked(Subscribe::instance("tasks", 7));
    assert_eq!((c.stats().subscribes_sent, c.stats().replays), (1, 0));
    c.reconnect();
    let frame = c.sent_one();
    assert_eq!((c.stats().subscribes_sent, c.stats().replays, c.stats().gaps), (2, 1, 0));
    c.reply_error(&frame, 503);
    assert_eq!((c.stats().deferred, c.stats().subscriptions_ended), (1, 0));
    c.advance(secs(1));
    let frame = c.sent_one();
    c.reply(&frame, &Value::Null);
    assert_eq!((c.stats().replays, c.stats().gaps), (2, 1));
    c.reconnect();
    let frame = c.sent_one();
    c.reply_error(&frame, 404);
    assert_eq!((c.stats().subscriptions_ended, c.stats().subscriptions), (1, 1));
    c.changes_and_end(key);
    assert_eq!(c.stats().subscriptions, 0);

    let (key, _) = c.subscribe_acked(Subscribe::instance("tasks", 8));
    c.unsubscribe(key);
    c.sent_one();
    c.subscribe_acked(Subscribe::instance("tasks", 9));
    c.close(CloseOptions::now());
    assert_eq!(c.stats().subscriptions_ended, 1, "ends by the caller are not counted");
}

#[test]
fn refreshes_and_superseded_changes_are_counted() {
    let limits = |config: &mut Config| config.changes = Limit { count: 2, bytes: usize::MAX };
    let mut c = Conversation::connected_with(limits);
    let conflated =
        Subscribe::instance("tasks", 7).refresh().overflow_policy(OverflowPolicy::Conflate);
    let (key, frame) = c.subscribe_acked(conflated);
    let retrieve = c.sent_one();
    assert_eq!((c.stats().refreshes, c.stats().requests_made), (1, 0));
    c.reply(&retrieve, &json!({"pk": 7}));
    assert_eq!(c.changes(key).len(), 1);
    for _ in 0..5 {
        c.event(&frame, "update", &json!({"pk": 7}));
    }
    assert_eq!((c.stats().superseded, c.stats().lagged), (3, 0));
    assert_eq!(c.stats().refreshes, 1);
}

#[test]
fn waiting_requests_are_counted() {
    let mut c = Conversation::idle(Config::default());
    c.request(create());
    c.session.send(create(), c.now).unwrap();
    let waiting = c.stats();
    assert_eq!((waiting.requests, waiting.waiting_requests), (2, 2));
    c.session.open(c.now);
    c.wait_for_dial();
    c.connect();
    let sent: usize = c.sent_texts().iter().map(String::len).sum();
    assert_eq!(waiting.waiting_bytes, sent);
    assert_eq!((c.stats().waiting_requests, c.stats().waiting_bytes), (0, 0));
    assert_eq!(c.stats().requests, 1);
}

fn changes(c: &Conversation) -> (usize, usize) {
    (c.stats().unread_changes, c.stats().unread_changes_bytes)
}

#[test]
fn unread_changes_are_counted() {
    let mut c =
        Conversation::connected_with(|config| config.changes = Limit { count: 2, bytes: 1_000 });
    let (key, frame) = c.subscribe_acked(Subscribe::instance("tasks", 7));
    let second = c.subscribe(Subscribe::instance("tasks", 7));
    for _ in 0..3 {
        c.event(&frame, "update", &json!("four"));
    }
    assert_eq!((changes(&c), c.stats().lagged), ((4, 24), 2));
    let _lagged = c.session.poll_change(key);
    assert_eq!(changes(&c), (4, 24));
    let _first = c.session.poll_change(key);
    assert_eq!(changes(&c), (3, 18));
    c.unsubscribe(second);
    assert_eq!(changes(&c), (1, 6));
    c.close(CloseOptions::now());
    assert_eq!(changes(&c), (1, 6), "they can still be read");
    c.changes_and_end(key);
    assert_eq!(changes(&c), (0, 0));
}

#[test]
fn unread_replies_are_counted() {
    let mut c = Conversation::connected();
    let gauges = |c: &Conversation| (c.stats().unread_replies, c.stats().unread_replies_bytes);
    let key = c.session.stream(create(), c.now).unwrap();
    let frame = c.sent_one();
    for _ in 0..3 {
        c.reply(&frame, &json!("four"));
    }
    assert_eq!(gauges(&c), (3, 18));
    let _first = c.session.poll_reply(key);
    assert_eq!(gauges(&c), (2, 12));
    c.session.cancel_reply_stream(key);
    assert_eq!(gauges(&c), (0, 0));
}

#[test]
fn unread_listener_frames_are_counted() {
    let mut c =
        Conversation::connected_with(|config| config.events = Limit { count: 2, bytes: 1_000 });
    let gauges = |c: &Conversation| (c.stats().unread_frames, c.stats().unread_frames_bytes);
    let key = c.session.listen(Selector::stream("tools"), c.now).unwrap();
    for _ in 0..3 {
        c.receive(&json!({"stream": "tools", "payload": {"n": 1}}));
    }
    assert_eq!((gauges(&c), c.stats().lagged, c.stats().listeners), ((2, 14), 1, 1));
    let _lagged = c.session.poll_listener(key);
    let _first = c.session.poll_listener(key);
    assert_eq!(gauges(&c), (1, 7));
    c.session.unlisten(key);
    assert_eq!((gauges(&c), c.stats().listeners), ((0, 0), 0));
}

#[test]
fn unread_and_unpolled_events_are_counted() {
    let mut c =
        Conversation::connected_with(|config| config.events = Limit { count: 2, bytes: 1_000 });
    c.client_events();
    for _ in 0..3 {
        c.receive_text("{}");
    }
    let stats = c.stats();
    assert_eq!((stats.unread_events, stats.unread_events_bytes, stats.lagged_events), (2, 4, 1));
    let (_, frame) = c.send_request(create());
    c.reply(&frame, &Value::Null);
    assert_eq!(c.stats().unpolled_events, 1);
    c.events();
    assert_eq!((c.stats().unread_events, c.stats().unpolled_events), (0, 0));
}
