//! Each counter and each gauge of `Stats` moves with what it counts, and not otherwise.

mod conversation;
#[cfg(feature = "client")]
#[allow(dead_code, reason = "each test binary uses a part of it")]
mod memory;

use conversation::{Conversation, dropped, http, secs};
use dcrf_proto::{Close, Config, Limit, Request, Selector, Stats, Subscribe, WhenFull};
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
        (stats.connections, stats.losses, stats.failed_attempts)
    };
    c.lost(dropped());
    c.redials();
    c.lost(http(500));
    assert_eq!(of(&c), (0, 0, 2));
    c.reopens();
    assert_eq!(of(&c), (1, 0, 2));
    c.reconnects();
    assert_eq!(of(&c), (2, 1, 2));
    c.close(Close::now());
    c.lost(dropped());
    assert_eq!(of(&c), (2, 1, 2), "what the session closes itself is not lost");
}

#[test]
fn a_connection_that_is_lost_while_the_session_closes_is_lost() {
    let mut c = Conversation::open();
    c.requests(create());
    c.close(Close::default());
    c.lost(dropped());
    assert_eq!((c.stats().losses, c.stats().requests_lost), (1, 1));
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
    c.session.finish_replies(replies);
    let replies = c.session.stream(create(), c.now).unwrap();
    c.session.cancel_replies(replies);
    c.session.stream(create(), c.now).unwrap();
    let frame = c.sent_one();
    c.answers(&frame, &Value::Null);
    c.answers(&frame, &Value::Null);
    c.requests(create());
    c.requests(create().safe_to_repeat(true));
    c.lost(dropped());
    assert_eq!(c.stats().requests, 1);
    c.close(Close::now());

    let stats = c.stats();
    assert_eq!(stats.requests_made, 9);
    assert_eq!(stats.requests_answered, 2);
    assert_eq!(stats.requests_refused, 1);
    assert_eq!(stats.requests_timed_out, 1);
    assert_eq!(stats.requests_cancelled, 2);
    assert_eq!(stats.requests_overflowed, 1);
    assert_eq!(stats.requests_lost, 1);
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
    c.close(Close::now());
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
    assert_eq!((c.stats().put_off, c.stats().subscriptions_ended), (1, 0));
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
    c.close(Close::now());
    assert_eq!(c.stats().subscriptions_ended, 1, "those are the caller's own");
}

#[test]
fn of_refreshes_and_superseded_changes() {
    let limits = |config: &mut Config| config.changes = Limit { count: 2, bytes: usize::MAX };
    let mut c = Conversation::open_with(limits);
    let newest = Subscribe::instance("tasks", 7).refresh().when_full(WhenFull::KeepNewest);
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
    c.close(Close::now());
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
    c.session.cancel_replies(key);
    assert_eq!(of(&c), (0, 0));
}

#[test]
fn of_frames_that_listeners_have_not_read() {
    let mut c = Conversation::open_with(|config| config.notices = Limit { count: 2, bytes: 1_000 });
    let of = |c: &Conversation| (c.stats().unread_heard, c.stats().unread_heard_bytes);
    let key = c.session.listen(Selector::stream("tools"), c.now).unwrap();
    for _ in 0..3 {
        c.receives(&json!({"stream": "tools", "payload": {"n": 1}}));
    }
    assert_eq!((of(&c), c.stats().lagged, c.stats().listeners), ((2, 14), 1, 1));
    let _lagged = c.session.poll_heard(key);
    let _first = c.session.poll_heard(key);
    assert_eq!(of(&c), (1, 7));
    c.session.unlisten(key);
    assert_eq!((of(&c), c.stats().listeners), ((0, 0), 0));
}

#[test]
fn of_notices_and_events() {
    let mut c = Conversation::open_with(|config| config.notices = Limit { count: 2, bytes: 1_000 });
    c.notices();
    for _ in 0..3 {
        c.receives_text("{}");
    }
    let stats = c.stats();
    assert_eq!((stats.unread_notices, stats.unread_notices_bytes, stats.missed), (2, 4, 1));
    let (_, frame) = c.requests(create());
    c.answers(&frame, &Value::Null);
    assert_eq!(c.stats().unread_events, 1);
    c.events();
    assert_eq!((c.stats().unread_notices, c.stats().unread_events), (0, 0));
}

#[test]
#[cfg(feature = "client")]
fn of_notices_that_the_streams_of_a_client_hold() {
    let mut config = Config::default();
    config.notices = Limit { count: 2, bytes: 1_000 };
    let mut world = memory::World::new(config);
    let events = world.client().events();
    world.settle();
    let of = |stats: Stats| (stats.unread_notices, stats.unread_notices_bytes, stats.missed);
    assert_eq!(of(world.client().stats()), (2, 0, 0));
    world.receives([json!({}), json!({"n": 1})]);
    world.settle();
    assert_eq!(of(world.client().stats()), (2, 9, 2));
    drop(events);
    assert_eq!(of(world.client().stats()), (0, 0, 2));
}
