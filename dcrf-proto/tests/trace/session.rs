//! The spans and events that a session emits (feature `tracing`), with a virtual clock.

use crate::collector::{Collecting, Collector};
use crate::conversation::{Conversation, closed, dropped, http, millis, secs};
use dcrf_proto::{
    CloseFrame, CloseOptions, Config, ConnectionError, Limit, Request, Selector, Subscribe,
};
use serde_json::{Value, json};
use tracing::Level;

/// A conversation on an open connection, with the events of its beginning discarded.
fn open() -> (Collector, Collecting, Conversation) {
    let collector = Collector::default();
    let guard = collector.collect();
    let c = Conversation::connected_with(|config| {
        config.backoff.jitter = false;
        config.heartbeat = None;
        config.refresh_credentials = false;
    });
    collector.events();
    (collector, guard, c)
}

fn create() -> Request {
    Request::create("tasks", &json!({"title": "new"})).id("a")
}

#[track_caller]
fn request_span(collector: &Collector, end: &str) {
    let spans = collector.spans();
    let span = "DEBUG dcrf::request request stream=tasks action=create request_id=a";
    assert_eq!(spans.last().unwrap(), &format!("{span}{end}"));
    assert_eq!(collector.open(), 0, "the span has ended");
    let outcome = end.trim_start_matches(" outcome=").split(" ms=").next().unwrap();
    let settled = format!("DEBUG dcrf::request {outcome} in request");
    let events = collector.events();
    assert!(events.contains(&settled), "{events:?}");
}

#[test]
fn request_span_lasts_from_call_to_reply() {
    let (collector, _guard, mut c) = open();
    let (_, frame) = c.send_request(create());
    assert_eq!(collector.open(), 1);
    c.advance(millis(250));
    c.reply(&frame, &Value::Null);
    request_span(&collector, " outcome=ok ms=250 sent=true");
}

#[test]
fn request_span_records_outcome() {
    let error_reply: fn(&mut Conversation) = |c| {
        let frame = c.send_request(create()).1;
        c.reply_error(&frame, 404);
    };
    let timed_out: fn(&mut Conversation) = |c| {
        c.request(create());
        c.advance(secs(30));
    };
    let connection_lost: fn(&mut Conversation) = |c| {
        c.send_request(create());
        c.disconnect(dropped());
    };
    let unsent: fn(&mut Conversation) = |c| {
        c.disconnect(dropped());
        c.request(create().timeout(millis(10)));
        c.session.handle_timeout(c.now + millis(10));
    };
    let is_closed: fn(&mut Conversation) = |c| {
        c.send_request(create());
        c.close(CloseOptions::now());
    };
    let cancelled: fn(&mut Conversation) = |c| {
        let key = c.request(create());
        c.session.cancel(key);
    };
    let message: fn(&mut Conversation) = |c| {
        c.session.send(create(), c.now).unwrap();
        c.flush();
    };
    let replies: fn(&mut Conversation) = |c| {
        let key = c.session.stream(create(), c.now).unwrap();
        c.flush();
        c.session.finish_reply_stream(key);
    };
    for (end, scenario) in [
        (" outcome=error reply 404 ms=0 sent=true", error_reply),
        (" outcome=timed out ms=30000 sent=true", timed_out),
        (" outcome=connection lost ms=0 sent=true", connection_lost),
        (" outcome=timed out ms=10 sent=false", unsent),
        (" outcome=closed ms=0 sent=true", is_closed),
        (" outcome=cancelled ms=0 sent=false", cancelled),
        (" outcome=sent ms=0 sent=true", message),
        (" outcome=ok ms=0 sent=true", replies),
    ] {
        let (collector, _guard, mut c) = open();
        scenario(&mut c);
        request_span(&collector, end);
    }
}

#[test]
fn reply_stream_overflow_is_recorded() {
    let collector = Collector::default();
    let _guard = collector.collect();
    let mut c =
        Conversation::connected_with(|config| config.replies = Limit { count: 1, bytes: 100 });
    c.session.stream(create(), c.now).unwrap();
    let frame = c.sent_one();
    c.reply(&frame, &json!(1));
    c.reply(&frame, &json!(2));
    request_span(&collector, " outcome=overflowed ms=0 sent=true");
}

#[test]
fn request_span_is_child_of_current_span() {
    let (collector, _guard, mut c) = open();
    let span = tracing::span!(target: "story", Level::INFO, "checkout");
    span.in_scope(|| c.request(create()));
    let spans = collector.spans();
    assert!(spans.last().unwrap().ends_with(" request_id=a in checkout"), "{spans:?}");
}

#[test]
fn repeated_and_rejected_requests_are_logged() {
    let (collector, _guard, mut c) = open();
    c.send_request(create().idempotent(true));
    c.disconnect(dropped());
    let events = collector.events();
    let repeated =
        "DEBUG dcrf::request queued again: the connection was lost in request".to_owned();
    assert!(events.contains(&repeated), "{events:?}");
    c.session.request(create(), c.now).unwrap_err();
    assert_eq!(collector.events(), ["DEBUG dcrf::request rejected: the request id is in use"]);
}

#[test]
fn connection_states_have_production_levels() {
    let collector = Collector::default();
    let _guard = collector.collect();
    let mut config = Config::default();
    config.backoff.jitter = false;
    config.max_attempts = Some(4);
    let mut c = Conversation::connecting(config);
    c.disconnect(http(500));
    c.wait_for_dial();
    c.disconnect(http(500));
    c.wait_for_dial();
    c.connect();
    c.advance(secs(12));
    c.disconnect(closed(1011));
    c.wait_for_dial();
    c.connect();
    c.advance(secs(1));
    c.close(CloseOptions::now());
    let error = "the server rejected the WebSocket handshake with HTTP status 500";
    assert_eq!(
        collector.events(),
        [
            "DEBUG dcrf::connection connecting, attempt 1 attempt=1".to_owned(),
            format!("INFO dcrf::connection waiting for attempt 2: {error} attempt=1 wait_ms=1000"),
            "DEBUG dcrf::connection connecting, attempt 2 attempt=2".to_owned(),
            format!("DEBUG dcrf::connection waiting for attempt 3: {error} attempt=2 wait_ms=2000"),
            "DEBUG dcrf::connection connecting, attempt 3 attempt=3".to_owned(),
            "INFO dcrf::connection connected attempt=3".to_owned(),
            "INFO dcrf::connection waiting for attempt 1: the server closed the connection with code \
             1011 attempt=3 connected_ms=12000 wait_ms=1000"
                .to_owned(),
            "DEBUG dcrf::connection connecting, attempt 1 attempt=1".to_owned(),
            "INFO dcrf::connection connected attempt=1".to_owned(),
            "INFO dcrf::connection closed: the client was closed attempt=1 connected_ms=1000".to_owned(),
        ]
    );
}

#[test]
fn giving_up_and_unauthorized_are_warnings() {
    let collector = Collector::default();
    let _guard = collector.collect();
    let mut config = Config::default();
    config.max_attempts = Some(1);
    Conversation::connecting(config).disconnect(dropped());
    let mut c = Conversation::connecting(Config::default());
    c.disconnect(http(401));
    c.wait_for_dial();
    c.disconnect(http(401));
    let mut events = collector.events();
    events.retain(|event| event.starts_with("WARN"));
    assert_eq!(
        events,
        [
            "WARN dcrf::connection closed: gave up after 1 attempt: the connection ended without a close \
             frame attempt=1",
            "WARN dcrf::connection closed: not authorized: the server rejected the WebSocket handshake \
             with HTTP status 401 attempt=2",
        ]
    );
}

#[test]
fn subscription_steps_are_logged() {
    let (collector, _guard, mut c) = open();
    let named = "stream=tasks action=subscribe_instance request_id=s";
    let event = |level: &str, what: &str, fields: &str| {
        format!("{level} dcrf::subscription {what} {named}{fields}")
    };
    let (key, _) = c.subscribe_acked(Subscribe::instance("tasks", 7).id("s"));
    assert_eq!(collector.events(), [event("DEBUG", "subscribed", " again=false")]);
    c.reconnect();
    assert_eq!(collector.events().pop().unwrap(), "DEBUG dcrf::subscription resubscribing count=1");
    let frame = c.sent_one();
    c.reply_error(&frame, 503);
    let wait = " status=503 wait=1s";
    assert_eq!(collector.events(), [event("DEBUG", "deferred", wait)]);
    c.advance(secs(1));
    let frame = c.sent_one();
    c.reply(&frame, &Value::Null);
    assert_eq!(
        collector.events(),
        [
            event("DEBUG", "subscribed", " again=true"),
            event("DEBUG", "changes may be missing before this point", ""),
        ]
    );
    c.unsubscribe(key);
    assert_eq!(collector.events(), [event("DEBUG", "unsubscribed", "")]);
}

#[test]
fn error_reply_to_replay_is_a_warning() {
    let (collector, _guard, mut c) = open();
    let (_, frame) = c.subscribe_acked(Subscribe::instance("tasks", 7).id("s"));
    drop(frame);
    c.reconnect();
    collector.events();
    let frame = c.sent_one();
    c.reply_error(&frame, 403);
    let named = "stream=tasks action=subscribe_instance request_id=s";
    let ended = "WARN dcrf::subscription ended: error reply on a new connection";
    assert_eq!(collector.events(), [format!("{ended} {named} status=403")]);

    c.subscribe(Subscribe::instance("tasks", 8).id("t"));
    let frame = c.sent_one();
    c.reply_error(&frame, 403);
    let named = "stream=tasks action=subscribe_instance request_id=t";
    assert_eq!(
        collector.events(),
        [format!("DEBUG dcrf::subscription error reply {named} status=403")]
    );

    c.subscribe(Subscribe::instance("tasks", 9).id("u"));
    c.flush();
    c.advance(secs(30));
    let named = "stream=tasks action=subscribe_instance request_id=u";
    let late = format!("DEBUG dcrf::subscription acknowledgement timed out {named}");
    assert!(collector.events().contains(&late));
}

#[test]
fn poisoned_subscription_is_a_warning() {
    let collector = Collector::default();
    let _guard = collector.collect();
    let mut c = Conversation::connected_with(|config| {
        (config.quarantine_window, config.poisoned_after) = (secs(5), secs(0));
    });
    c.subscribe_acked(Subscribe::instance("tasks", 8));
    c.subscribe(Subscribe::instance("tasks", 9).id("v"));
    for _ in 0..6 {
        c.advance(secs(4));
        c.sent();
        c.disconnect(dropped());
        c.wait_and_connect();
        let frame = c.sent_one();
        c.reply(&frame, &Value::Null);
    }
    let named = "stream=tasks action=subscribe_instance request_id=v";
    let poisoned = "WARN dcrf::subscription ended: connections die after this subscribe";
    assert!(collector.events().contains(&format!("{poisoned} {named}")));
}

#[test]
fn first_malformed_frame_is_a_warning() {
    let (collector, _guard, mut c) = open();
    let (key, frame) = c.send_request(create());
    c.session.cancel(key);
    collector.events();
    c.receive_text("nonsense");
    c.session.handle_binary(c.epoch(), &[1, 2, 3], c.now);
    c.receive_text("{}");
    c.reply(&frame, &Value::Null);
    let malformed = "dropped a frame that is not a JSON object bytes=";
    let events = collector.events();
    assert_eq!(
        events[..3],
        [
            format!("WARN dcrf::frame {malformed}8"),
            format!("TRACE dcrf::frame {malformed}3"),
            "TRACE dcrf::frame unhandled frame bytes=2".to_owned(),
        ]
    );
    assert!(events[3].starts_with("TRACE dcrf::frame dropped a late reply bytes="), "{events:?}");

    c.reconnect();
    collector.events();
    c.receive_text("nonsense");
    assert_eq!(collector.events(), [format!("WARN dcrf::frame {malformed}8")]);
}

#[test]
fn first_lag_is_a_warning() {
    let collector = Collector::default();
    let _guard = collector.collect();
    let mut c = Conversation::connected_with(|config| {
        config.changes = Limit { count: 1, bytes: 100 };
        config.events = Limit { count: 1, bytes: 100 };
    });
    let (_, frame) = c.subscribe_acked(Subscribe::instance("tasks", 7));
    collector.events();
    for n in 0..3 {
        c.event(&frame, "update", &json!(n));
    }
    let lagged = "dcrf::subscription lagged: the reader is too slow stream=tasks count=1";
    assert_eq!(collector.events(), [format!("WARN {lagged}"), format!("TRACE {lagged}")]);

    c.session.listen(Selector::stream("tasks"), c.now).unwrap();
    for n in 0..2 {
        c.event(&frame, "other", &json!(n));
    }
    assert_eq!(collector.events().len(), 3, "two changes and a frame of the listener");
}

#[test]
fn x1_nothing_secret_is_traced() {
    const CANARY: &str = "canary-5ec2e7";
    let close = |code| ConnectionError::Closed(CloseFrame { code, reason: CANARY.into() });
    let secret = || Request::create("tasks", &json!({"password": CANARY})).arg("token", CANARY);
    let (collector, _guard, mut c) = open();
    let data = json!({"pk": CANARY, "password": CANARY});
    let (_, frame) = c.send_request(secret());
    c.reply(&frame, &data);
    let (_, frame) = c.send_request(secret());
    c.reply_with(&frame, 400, &json!([CANARY]), &data);
    let no_json = std::collections::BTreeMap::from([((CANARY, 2), CANARY)]);
    c.session.request(secret().arg("map", no_json), c.now).unwrap_err();
    let subscribe = Subscribe::instance("tasks", CANARY).arg("token", CANARY);
    let (_, frame) = c.subscribe_acked(subscribe.clone());
    c.event(&frame, "update", &data);
    c.receive(&json!({"push": CANARY}));
    c.receive_text(CANARY);
    c.send_request(secret().idempotent(true));
    c.disconnect(close(1011));
    c.wait_and_connect();
    let frame = c.sent().remove(0);
    c.reply_with(&frame, 403, &json!([CANARY]), &data);
    c.subscribe(subscribe);
    let frame = c.sent_one();
    c.reply_with(&frame, 503, &json!([CANARY]), &data);
    // It has worked before, so this must last.
    while c.session.epoch().is_some() {
        c.disconnect(close(4401));
        if c.session.poll_timeout().is_some() {
            c.wait_for_dial();
        }
    }
    let log = [collector.events(), collector.spans()].concat().join("\n");
    assert!(!log.contains(CANARY), "{log}");
    for what in ["not authorized", "deferred", "error reply on a new", "queued again", "code 1011"]
    {
        assert!(log.contains(what), "{what} in {log}");
    }
}
