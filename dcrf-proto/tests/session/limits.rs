//! Limits of queues, stale keys, and extreme options.

use std::time::Duration;

use crate::conversation::{Conversation, closed, dropped, secs};
use dcrf_proto::{
    Backoff, Change, ClientEvent, CloseOptions, Config, ConnectionState, Event, Frame, Heartbeat,
    Limit, RejectReason, Request, Subscribe, Transmit,
};
use serde_json::{Value, json};

const TINY: Limit = Limit { count: 3, bytes: 300 };

fn tiny() -> Conversation {
    Conversation::connected_with(|config| {
        config.outbox = TINY;
        config.events = TINY;
        config.changes = TINY;
        config.max_requests = 4;
        config.max_subscriptions = 4;
        config.replay_window = 2;
    })
}

fn count_events(c: &mut Conversation) -> usize {
    std::iter::from_fn(|| c.session.poll_event()).count()
}

#[test]
fn full_event_buffer_drops_events_and_counts_them() {
    let mut c = tiny();
    c.client_events();
    for n in 0..100 {
        c.receive(&json!({ "n": n }));
    }
    let events = c.client_events();
    assert_eq!(events[0], ClientEvent::Lagged(97));
    assert_eq!(events.len(), 4);

    for _ in 0..100 {
        c.receive(&json!("x".repeat(200)));
        c.receive(&json!({ "x": "x".repeat(200) }));
    }
    assert_eq!(c.client_events().len(), 2);
}

#[test]
fn full_event_buffer_keeps_the_last_state() {
    let mut c = Conversation::connected_with(|config| config.events = Limit { count: 0, bytes: 0 });
    c.close(CloseOptions::now());
    assert!(matches!(c.states().last(), Some(ConnectionState::Closed(_))));
}

#[test]
fn unread_changes_are_limited() {
    let mut c = tiny();
    let (key, frame) = c.subscribe_acked(Subscribe::instance("tasks", 1));
    c.events();
    for n in 0..1_000 {
        c.event(&frame, "update", &json!(n));
    }
    assert_eq!(count_events(&mut c), 1);
    let changes = c.changes(key);
    assert_eq!((changes.len(), &changes[0]), (4, &Change::Lagged(997)));
}

#[test]
fn queued_and_sent_requests_are_limited() {
    let mut c = tiny();
    let mut accepted = 0;
    for _ in 0..100 {
        accepted += usize::from(c.session.request(Request::list("tasks"), c.now).is_ok());
        c.flush();
    }
    assert_eq!(accepted, 4);
    assert_eq!(c.session.stats().requests, 4);
}

#[test]
fn subscribers_are_limited_shared_or_not() {
    for shared in [true, false] {
        let mut c = tiny();
        let pk = |n: u32| if shared { 0 } else { n };
        let subscribe = |n| Subscribe::instance("tasks", pk(n));
        let accepted =
            (0..100).filter(|n| c.session.subscribe(subscribe(*n), c.now).is_ok()).count();
        assert_eq!(accepted, 4);
    }
}

#[test]
fn unanswered_unsubscribes_are_limited() {
    let mut c = tiny();
    let mut rejected = 0;
    for n in 0..100 {
        match c.session.subscribe(Subscribe::instance("tasks", n), c.now) {
            Ok(key) => {
                c.flush();
                c.unsubscribe(key);
            }
            Err(error) => {
                assert_eq!(error.reason, RejectReason::QueueFull);
                rejected += 1;
            }
        }
        c.flush();
        c.events();
    }
    assert_eq!(rejected, 96);
}

#[test]
fn unpolled_events_are_limited() {
    let mut c = tiny();
    for n in 0..1_000 {
        if let Ok(key) = c.session.subscribe(Subscribe::instance("tasks", n), c.now) {
            c.unsubscribe(key);
        }
        if c.session.request(Request::list("tasks"), c.now).is_ok() {
            let frame = c.sent_one();
            c.reply(&frame, &Value::Null);
        }
        c.receive(&json!({}));
        c.disconnect(dropped());
        c.now += secs(60);
        c.session.handle_timeout(c.now);
        c.flush();
        c.connect();
    }
    assert!(count_events(&mut c) < 30);
}

#[test]
fn unpolled_transmits_are_limited() {
    let mut c = Conversation::connected();
    for _ in 0..1_000 {
        c.now += secs(20);
        c.session.handle_timeout(c.now);
        c.session.handle_pong(c.epoch(), c.now);
    }
    assert_eq!(c.transmits(), [Transmit::Frame(c.epoch(), Frame::Ping)]);

    let mut c = Conversation::connecting(Config::default());
    for _ in 0..1_000 {
        c.now += secs(60);
        c.session.handle_timeout(c.now);
    }
    assert!(c.transmits().len() <= 1);
}

#[test]
fn ids_of_cancelled_requests_are_limited() {
    let mut c = Conversation::connected();
    let request = |n: u32| Request::list("tasks").id(n);
    for n in 0..3_000 {
        let (key, _) = c.send_request(request(n));
        c.session.cancel(key);
    }
    let mut in_use = 0;
    for n in 0..3_000 {
        match c.session.request(request(n), c.now) {
            Ok(key) => c.session.cancel(key),
            Err(_) => in_use += 1,
        }
    }
    assert_eq!(in_use, 1_024);
}

#[test]
fn stale_request_key_finds_nothing() {
    let mut c = Conversation::connected();
    let (old, frame) = c.send_request(Request::list("tasks"));
    c.reply(&frame, &Value::Null);
    let (new, frame) = c.send_request(Request::list("tasks"));
    assert_eq!(old.index(), new.index());
    assert_ne!(old, new);
    c.settled();

    c.session.cancel(old);

    c.reply(&frame, &json!(1));
    assert_eq!(c.settled(), [(new, Ok(json!(1)))]);
}

#[test]
fn stale_subscription_key_finds_nothing() {
    let mut c = Conversation::connected();
    let (old, _) = c.subscribe_acked(Subscribe::instance("tasks", 1));
    c.unsubscribe(old);
    let unsubscribe = c.sent_one();
    c.reply(&unsubscribe, &Value::Null);
    let (new, frame) = c.subscribe_acked(Subscribe::instance("tasks", 1));
    assert_eq!(old.index(), new.index());
    c.event(&frame, "update", &json!(1));
    c.events();

    assert!(!c.session.is_acknowledged(old));
    assert_eq!(c.session.poll_change(old), None);
    c.unsubscribe(old);

    assert_eq!(c.events(), []);
    assert_eq!(c.sent(), [] as [Value; 0]);
    assert_eq!(c.changes(new).len(), 1);
}

#[test]
fn keys_are_small_and_dense() {
    let mut c = Conversation::connected();
    for expected in 0..10 {
        assert_eq!(c.request(Request::list("tasks")).index(), expected);
        assert_eq!(c.subscribe(Subscribe::instance("tasks", expected)).index(), expected);
    }
}

#[test]
fn early_and_repeated_timeouts_do_nothing() {
    let mut c = Conversation::connected();
    c.send_request(Request::list("tasks"));
    c.events();
    c.client_events();
    let next = c.session.poll_timeout();
    for _ in 0..10 {
        c.session.handle_timeout(c.now);
    }
    assert_eq!(c.session.poll_timeout(), next);
    assert_eq!(c.transmits(), []);
    assert_eq!(c.session.poll_event(), None);
}

#[test]
fn time_never_runs_backwards() {
    let mut c = Conversation::connected();
    let start = c.now;
    c.now += secs(100);
    let request = c.request(Request::list("tasks").timeout(secs(10)));
    c.session.handle_pong(c.epoch(), start);
    c.session.handle_timeout(start);
    c.now += secs(9);
    c.session.handle_pong(c.epoch(), c.now);
    assert_eq!(c.settled(), []);
    c.now += secs(1);
    c.session.handle_timeout(c.now);
    assert_eq!(c.settled()[0].0, request);
}

/// Connects, subscribes, requests, loses the connection and closes.
fn run_with(config: Config) {
    let mut c = Conversation::idle(config);
    c.session.open(c.now);
    for round in 0..50 {
        c.flush();
        if let (Some(epoch), ConnectionState::Connecting { .. }) =
            (c.session.epoch(), c.session.state())
        {
            c.session.handle_connected(epoch, c.now);
        }
        let _ = c.session.subscribe(Subscribe::instance("tasks", round), c.now);
        let _ = c.session.request(Request::list("tasks"), c.now);
        for frame in c.sent() {
            c.reply_error(&frame, if round % 2 == 0 { 503 } else { 200 });
        }
        c.receive(&json!({}));
        if round % 5 == 4 {
            c.disconnect(closed(if round % 2 == 0 { 1012 } else { 1013 }));
        }
        c.now += secs(round % 40);
        c.session.handle_timeout(c.now);
        c.events();
    }
    c.close(CloseOptions::default().wait(Duration::MAX));
    c.now += Duration::from_secs(20 * 365 * 24 * 3_600);
    c.session.handle_timeout(c.now);
    c.flush();
    c.now += secs(1);
    c.session.handle_timeout(c.now);
    assert!(c.session.is_finished());
}

#[test]
fn largest_options_work() {
    for factor in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, -1.0, 0.0] {
        for jitter in [true, false] {
            let mut config = Config::default();
            let most = Limit { count: usize::MAX, bytes: usize::MAX };
            let forever = Duration::MAX;
            config.backoff = Backoff { minimum: forever, maximum: forever, factor, jitter };
            config.min_uptime = forever;
            config.dial_timeout = forever;
            config.max_attempts = Some(u32::MAX);
            config.heartbeat = Some(Heartbeat { interval: forever, timeout: forever });
            config.request_timeout = Some(forever);
            (config.outbox, config.changes, config.events) = (most, most, most);
            (config.max_requests, config.max_subscriptions) = (usize::MAX, usize::MAX);
            (config.max_outgoing_message, config.replay_window) = (usize::MAX, usize::MAX);
            run_with(config);
        }
    }
}

#[test]
fn smallest_options_work() {
    for factor in [f64::NAN, 0.0, f64::MIN_POSITIVE, f64::INFINITY] {
        for max_attempts in [None, Some(0)] {
            let mut config = Config::default();
            let least = Limit { count: 0, bytes: 0 };
            let never = Duration::ZERO;
            config.backoff =
                Backoff { minimum: never, maximum: never, factor, jitter: max_attempts.is_none() };
            config.min_uptime = never;
            config.dial_timeout = never;
            config.max_attempts = max_attempts;
            config.heartbeat = Some(Heartbeat { interval: never, timeout: never });
            config.request_timeout = Some(never);
            (config.outbox, config.changes, config.events) = (least, least, least);
            (config.max_outgoing_message, config.replay_window) = (0, 0);
            run_with(config.clone());
            (config.max_requests, config.max_subscriptions) = (0, 0);
            run_with(config.clone());
            config.outbox = Limit { count: 10, bytes: 10_000 };
            (config.max_requests, config.max_subscriptions, config.max_outgoing_message) =
                (9, 9, 999);
            run_with(config);
        }
    }
}

#[test]
fn zero_timeout_settles_without_sending() {
    let mut c = Conversation::connected();
    let key = c.request(Request::list("tasks").timeout(Duration::ZERO));
    assert_eq!(c.sent(), [] as [Value; 0]);
    assert!(
        matches!(&c.events()[..], [Event::Settled { request, result: Err(_) }] if *request == key)
    );
}
