//! Each counter and each gauge of `Stats` moves with what it counts, and not otherwise.

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
fn of_the_connection() {
    let mut c = Conversation::dialling(Config::default());
    let of = |c: &Conversation| {
        let stats = c.stats();
        (stats.connections, stats.disconnects, stats.failed_attempts)
    };
    c.lost(dropped());
    c.redials();
    c.lost(http(500));
    assert_eq!(of(&c), (0, 0, 2));
    c.reopens();
    assert_eq!(of(&c), (1, 0, 2));
    c.reconnects();
    assert_eq!(of(&c), (2, 1, 2));
    c.close(CloseOptions::now());
    c.lost(dropped());
    assert_eq!(of(&c), (2, 1, 2), "what the session closes itself is not lost");
}

#[test]
fn a_connection_that_is_lost_while_the_session_closes_is_lost() {
    let mut c = Conversation::open();
    c.requests(create());
    c.close(CloseOptions::default());
    c.lost(dropped());
    assert_eq!((c.stats().disconnects, c.stats().requests_connection_lost), (1, 1));
}

#[test]
fn of_the_frames_and_their_bytes() {
    let mut c = Conversation::open();
    c.receives_text("nonsense");
    c.session.handle_binary(c.epoch(), &[1, 2, 3], c.now);
    c.receives_text("{}");
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
fn of_requests_by_their_outcome() {
    let mut c = Conversation::open_with(|config| {
        config.heartbeat = None;
        config.replies = Limit { count: 1, bytes: 100 };
    });
    let (_, frame) = c.requests(create());
    c.answers(&frame, &Value::Null);
    let (_, frame) = c.requests(create());
    c.refuses(&frame, 404);
    c.requests(create());
    c.passes(secs(30));
    let key = c.request(create());
    c.session.cancel(key);
    c.session.cancel(key);
    let replies = c.session.stream(create(), c.now).unwrap();
    c.session.finish_reply_stream(replies);
    let replies = c.session.stream(create(), c.now).unwrap();
    c.session.cancel_reply_stream(replies);
    c.session.stream(create(), c.now).unwrap();
    let frame = c.sent_one();
    c.answers(&frame, &Value::Null);
    c.answers(&frame, &Value::Null);
    c.requests(create());
    c.requests(create().idempotent(true));
    c.lost(dropped());
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
fn of_late_answers_messages_and_refused_calls() {
    let mut c = Conversation::open();
    let (key, frame) = c.requests(create());
    c.session.cancel(key);
    c.answers(&frame, &Value::Null);
    assert_eq!(c.stats().late, 1);

    c.session.send(create(), c.now).unwrap();
    assert_eq!((c.stats().messages_sent, c.stats().unsent), (0, 0));
    c.flush();
    assert_eq!((c.stats().messages_sent, c.stats().unsent), (1, 0));
    c.session.send_now(create(), c.now).unwrap();
    c.lost(dropped());
    assert_eq!((c.stats().messages_sent, c.stats().unsent), (1, 1));
    assert_eq!(c.stats().requests_made, 1, "a message is no request");

    c.session.send_now(create(), c.now).unwrap_err();
    c.request(create().id(1));
    c.session.request(create().id(1), c.now).unwrap_err();
    c.close(CloseOptions::now());
    c.session.subscribe(Subscribe::instance("tasks", 1), c.now).unwrap_err();
    c.session.listen(Selector::any(), c.now).unwrap_err();
    assert_eq!(c.stats().rejected, 4);
}

#[test]
fn of_subscriptions() {
    let mut c = Conversation::open_with(|config| config.backoff.jitter = false);
    let (key, _) = c.subscribes(Subscribe::instance("tasks", 7));
    assert_eq!((c.stats().subscribes_sent, c.stats().replays), (1, 0));
    c.reconnects();
    let frame = c.sent_one();
    assert_eq!((c.stats().subscribes_sent, c.stats().replays, c.stats().gaps), (2, 1, 0));
    c.refuses(&frame, 503);
    assert_eq!((c.stats().deferred, c.stats().subscriptions_ended), (1, 0));
    c.passes(secs(1));
    let frame = c.sent_one();
    c.answers(&frame, &Value::Null);
    assert_eq!((c.stats().replays, c.stats().gaps), (2, 1));
    c.reconnects();
    let frame = c.sent_one();
    c.refuses(&frame, 404);
    assert_eq!((c.stats().subscriptions_ended, c.stats().subscriptions), (1, 1));
    c.changes_and_end(key);
    assert_eq!(c.stats().subscriptions, 0);

    let (key, _) = c.subscribes(Subscribe::instance("tasks", 8));
    c.unsubscribe(key);
    c.sent_one();
    c.subscribes(Subscribe::instance("tasks", 9));
    c.close(CloseOptions::now());
    assert_eq!(c.stats().subscriptions_ended, 1, "those are the caller's own");
}

#[test]
fn of_refreshes_and_superseded_changes() {
    let limits = |config: &mut Config| config.changes = Limit { count: 2, bytes: usize::MAX };
    let mut c = Conversation::open_with(limits);
    let newest =
        Subscribe::instance("tasks", 7).refresh().overflow_policy(OverflowPolicy::Conflate);
    let (key, frame) = c.subscribes(newest);
    let retrieve = c.sent_one();
    assert_eq!((c.stats().refreshes, c.stats().requests_made), (1, 0));
    c.answers(&retrieve, &json!({"pk": 7}));
    assert_eq!(c.changes(key).len(), 1);
    for _ in 0..5 {
        c.event(&frame, "update", &json!({"pk": 7}));
    }
    assert_eq!((c.stats().superseded, c.stats().lagged), (3, 0));
    assert_eq!(c.stats().refreshes, 1);
}

#[test]
fn of_what_waits_for_a_connection() {
    let mut c = Conversation::idle(Config::default());
    c.request(create());
    c.session.send(create(), c.now).unwrap();
    let waiting = c.stats();
    assert_eq!((waiting.requests, waiting.waiting_requests), (2, 2));
    c.session.open(c.now);
    c.redials();
    c.opens();
    let sent: usize = c.sent_texts().iter().map(String::len).sum();
    assert_eq!(waiting.waiting_bytes, sent);
    assert_eq!((c.stats().waiting_requests, c.stats().waiting_bytes), (0, 0));
    assert_eq!(c.stats().requests, 1);
}

fn changes(c: &Conversation) -> (usize, usize) {
    (c.stats().unread_changes, c.stats().unread_changes_bytes)
}

#[test]
fn of_unread_changes() {
    let mut c = Conversation::open_with(|config| config.changes = Limit { count: 2, bytes: 1_000 });
    let (key, frame) = c.subscribes(Subscribe::instance("tasks", 7));
    let same = c.subscribe(Subscribe::instance("tasks", 7));
    for _ in 0..3 {
        c.event(&frame, "update", &json!("four"));
    }
    assert_eq!((changes(&c), c.stats().lagged), ((4, 24), 2));
    let _lagged = c.session.poll_change(key);
    assert_eq!(changes(&c), (4, 24));
    let _first = c.session.poll_change(key);
    assert_eq!(changes(&c), (3, 18));
    c.unsubscribe(same);
    assert_eq!(changes(&c), (1, 6));
    c.close(CloseOptions::now());
    assert_eq!(changes(&c), (1, 6), "they can still be read");
    c.changes_and_end(key);
    assert_eq!(changes(&c), (0, 0));
}

#[test]
fn of_unread_replies() {
    let mut c = Conversation::open();
    let of = |c: &Conversation| (c.stats().unread_replies, c.stats().unread_replies_bytes);
    let key = c.session.stream(create(), c.now).unwrap();
    let frame = c.sent_one();
    for _ in 0..3 {
        c.answers(&frame, &json!("four"));
    }
    assert_eq!(of(&c), (3, 18));
    let _first = c.session.poll_reply(key);
    assert_eq!(of(&c), (2, 12));
    c.session.cancel_reply_stream(key);
    assert_eq!(of(&c), (0, 0));
}

#[test]
fn of_frames_that_listeners_have_not_read() {
    let mut c = Conversation::open_with(|config| config.events = Limit { count: 2, bytes: 1_000 });
    let of = |c: &Conversation| (c.stats().unread_frames, c.stats().unread_frames_bytes);
    let key = c.session.listen(Selector::stream("tools"), c.now).unwrap();
    for _ in 0..3 {
        c.receives(&json!({"stream": "tools", "payload": {"n": 1}}));
    }
    assert_eq!((of(&c), c.stats().lagged, c.stats().listeners), ((2, 14), 1, 1));
    let _lagged = c.session.poll_listener(key);
    let _first = c.session.poll_listener(key);
    assert_eq!(of(&c), (1, 7));
    c.session.unlisten(key);
    assert_eq!((of(&c), c.stats().listeners), ((0, 0), 0));
}

#[test]
fn of_notices_and_events() {
    let mut c = Conversation::open_with(|config| config.events = Limit { count: 2, bytes: 1_000 });
    c.notices();
    for _ in 0..3 {
        c.receives_text("{}");
    }
    let stats = c.stats();
    assert_eq!((stats.unread_events, stats.unread_events_bytes, stats.lagged_events), (2, 4, 1));
    let (_, frame) = c.requests(create());
    c.answers(&frame, &Value::Null);
    assert_eq!(c.stats().unpolled_events, 1);
    c.events();
    assert_eq!((c.stats().unread_events, c.stats().unpolled_events), (0, 0));
}
