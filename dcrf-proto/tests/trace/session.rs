//! What the crate `tracing` is told (feature `tracing`), with the virtual clock.

use crate::collector::{Collecting, Collector};
use crate::conversation::{Conversation, closed, dropped, http, millis, secs};
use dcrf_proto::{
    CloseFrame, CloseOptions, Config, ConnectionError, Limit, Request, Selector, Subscribe,
};
use serde_json::{Value, json};
use tracing::Level;

/// A conversation on a connection that was made before anyone looked.
fn open() -> (Collector, Collecting, Conversation) {
    let collector = Collector::default();
    let guard = collector.collect();
    let c = Conversation::open_with(|config| {
        config.backoff.jitter = false;
        config.heartbeat = None;
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
fn a_request_is_a_span_from_the_call_to_the_answer() {
    let (collector, _guard, mut c) = open();
    let (_, frame) = c.requests(create());
    assert_eq!(collector.open(), 1);
    c.passes(millis(250));
    c.answers(&frame, &Value::Null);
    request_span(&collector, " outcome=ok ms=250 sent=true");
}

#[test]
fn it_says_how_the_request_ended() {
    let refused: fn(&mut Conversation) = |c| {
        let frame = c.requests(create()).1;
        c.refuses(&frame, 404);
    };
    let timed_out: fn(&mut Conversation) = |c| {
        c.request(create());
        c.passes(secs(30));
    };
    let lost: fn(&mut Conversation) = |c| {
        c.requests(create());
        c.lost(dropped());
    };
    let unsent: fn(&mut Conversation) = |c| {
        c.lost(dropped());
        c.request(create().timeout(millis(10)));
        c.session.handle_timeout(c.now + millis(10));
    };
    let is_closed: fn(&mut Conversation) = |c| {
        c.requests(create());
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
    for (end, story) in [
        (" outcome=refused 404 ms=0 sent=true", refused),
        (" outcome=timed out ms=30000 sent=true", timed_out),
        (" outcome=lost ms=0 sent=true", lost),
        (" outcome=timed out ms=10 sent=false", unsent),
        (" outcome=closed ms=0 sent=true", is_closed),
        (" outcome=cancelled ms=0 sent=false", cancelled),
        (" outcome=sent ms=0 sent=true", message),
        (" outcome=ok ms=0 sent=true", replies),
    ] {
        let (collector, _guard, mut c) = open();
        story(&mut c);
        request_span(&collector, end);
    }
}

#[test]
fn replies_that_overflow_are_told() {
    let collector = Collector::default();
    let _guard = collector.collect();
    let mut c = Conversation::open_with(|config| config.replies = Limit { count: 1, bytes: 100 });
    c.session.stream(create(), c.now).unwrap();
    let frame = c.sent_one();
    c.answers(&frame, &json!(1));
    c.answers(&frame, &json!(2));
    request_span(&collector, " outcome=overflowed ms=0 sent=true");
}

#[test]
fn a_request_is_a_child_of_the_span_that_it_is_made_in() {
    let (collector, _guard, mut c) = open();
    let span = tracing::span!(target: "story", Level::INFO, "checkout");
    span.in_scope(|| c.request(create()));
    let spans = collector.spans();
    assert!(spans.last().unwrap().ends_with(" request_id=a in checkout"), "{spans:?}");
}

#[test]
fn a_repeat_and_a_refused_call_are_told() {
    let (collector, _guard, mut c) = open();
    c.requests(create().idempotent(true));
    c.lost(dropped());
    let events = collector.events();
    let repeated = "DEBUG dcrf::request queued once more after a loss in request".to_owned();
    assert!(events.contains(&repeated), "{events:?}");
    c.session.request(create(), c.now).unwrap_err();
    assert_eq!(collector.events(), ["DEBUG dcrf::request not accepted: the request id is in use"]);
}

#[test]
fn the_states_of_the_connection_are_told_so_that_a_person_can_live_with_it() {
    let collector = Collector::default();
    let _guard = collector.collect();
    let mut config = Config::default();
    config.backoff.jitter = false;
    config.max_attempts = Some(4);
    let mut c = Conversation::dialling(config);
    c.lost(http(500));
    c.redials();
    c.lost(http(500));
    c.redials();
    c.opens();
    c.passes(secs(12));
    c.lost(closed(1011));
    c.redials();
    c.opens();
    c.passes(secs(1));
    c.close(CloseOptions::now());
    let refused = "the server refused the WebSocket handshake with HTTP status 500";
    assert_eq!(
        collector.events(),
        [
            "DEBUG dcrf::connection connecting, attempt 1 attempt=1".to_owned(),
            format!("INFO dcrf::connection waiting for attempt 2: {refused} attempt=1 wait_ms=1000"),
            "DEBUG dcrf::connection connecting, attempt 2 attempt=2".to_owned(),
            format!("DEBUG dcrf::connection waiting for attempt 3: {refused} attempt=2 wait_ms=2000"),
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
fn a_person_should_look_at_a_client_that_gives_up_or_is_not_let_in() {
    let collector = Collector::default();
    let _guard = collector.collect();
    let mut config = Config::default();
    config.max_attempts = Some(1);
    Conversation::dialling(config).lost(dropped());
    let mut c = Conversation::dialling(Config::default());
    c.lost(http(401));
    c.redials();
    c.lost(http(401));
    let mut events = collector.events();
    events.retain(|event| event.starts_with("WARN"));
    assert_eq!(
        events,
        [
            "WARN dcrf::connection closed: gave up after 1 attempt: the connection ended without a close \
             frame attempt=1",
            "WARN dcrf::connection closed: not authorized: the server refused the WebSocket handshake \
             with HTTP status 401 attempt=2",
        ]
    );
}

#[test]
fn what_becomes_of_a_subscription_is_told() {
    let (collector, _guard, mut c) = open();
    let named = "stream=tasks action=subscribe_instance request_id=s";
    let told = |level: &str, what: &str, fields: &str| {
        format!("{level} dcrf::subscription {what} {named}{fields}")
    };
    let (key, _) = c.subscribes(Subscribe::instance("tasks", 7).id("s"));
    assert_eq!(collector.events(), [told("DEBUG", "subscribed", " again=false")]);
    c.reconnects();
    assert_eq!(
        collector.events().pop().unwrap(),
        "DEBUG dcrf::subscription subscribes anew count=1"
    );
    let frame = c.sent_one();
    c.refuses(&frame, 503);
    let wait = " status=503 wait=1s";
    assert_eq!(collector.events(), [told("DEBUG", "put off to later", wait)]);
    c.passes(secs(1));
    let frame = c.sent_one();
    c.answers(&frame, &Value::Null);
    assert_eq!(
        collector.events(),
        [
            told("DEBUG", "subscribed", " again=true"),
            told("DEBUG", "changes may be missing before this point", ""),
        ]
    );
    c.unsubscribe(key);
    assert_eq!(collector.events(), [told("DEBUG", "unsubscribed", "")]);
}

#[test]
fn a_person_should_look_at_a_subscription_that_is_not_let_back_in() {
    let (collector, _guard, mut c) = open();
    let (_, frame) = c.subscribes(Subscribe::instance("tasks", 7).id("s"));
    drop(frame);
    c.reconnects();
    collector.events();
    let frame = c.sent_one();
    c.refuses(&frame, 403);
    let named = "stream=tasks action=subscribe_instance request_id=s";
    let ended = "WARN dcrf::subscription refused on a new connection, and ended";
    assert_eq!(collector.events(), [format!("{ended} {named} status=403")]);

    c.subscribe(Subscribe::instance("tasks", 8).id("t"));
    let frame = c.sent_one();
    c.refuses(&frame, 403);
    let named = "stream=tasks action=subscribe_instance request_id=t";
    assert_eq!(
        collector.events(),
        [format!("DEBUG dcrf::subscription refused {named} status=403")]
    );

    c.subscribe(Subscribe::instance("tasks", 9).id("u"));
    c.flush();
    c.passes(secs(30));
    let named = "stream=tasks action=subscribe_instance request_id=u";
    let late = format!("DEBUG dcrf::subscription not acknowledged in time {named}");
    assert!(collector.events().contains(&late));
}

#[test]
fn a_person_should_look_at_a_subscription_of_which_connections_die() {
    let collector = Collector::default();
    let _guard = collector.collect();
    let mut c = Conversation::open_with(|config| config.quarantine_window = secs(5));
    c.subscribe(Subscribe::instance("tasks", 9).id("v"));
    for _ in 0..3 {
        while c.sent().is_empty() {
            c.passes(millis(250));
        }
        c.lost(dropped());
        c.reopens();
    }
    let named = "stream=tasks action=subscribe_instance request_id=v";
    let given_up = "WARN dcrf::subscription ended: three connections in a row died of it";
    assert!(collector.events().contains(&format!("{given_up} {named}")));
}

#[test]
fn dropped_frames_are_loud_once_and_quiet_after_that() {
    let (collector, _guard, mut c) = open();
    let (key, frame) = c.requests(create());
    c.session.cancel(key);
    collector.events();
    c.receives_text("nonsense");
    c.session.handle_binary(c.epoch(), &[1, 2, 3], c.now);
    c.receives_text("{}");
    c.answers(&frame, &Value::Null);
    let malformed = "dropped a frame that is no JSON object bytes=";
    let events = collector.events();
    assert_eq!(
        events[..3],
        [
            format!("WARN dcrf::frame {malformed}8"),
            format!("TRACE dcrf::frame {malformed}3"),
            "TRACE dcrf::frame a frame that belongs to nobody bytes=2".to_owned(),
        ]
    );
    assert!(events[3].starts_with("TRACE dcrf::frame dropped a late answer bytes="), "{events:?}");

    c.reconnects();
    collector.events();
    c.receives_text("nonsense");
    assert_eq!(collector.events(), [format!("WARN dcrf::frame {malformed}8")]);
}

#[test]
fn slow_readers_are_told_of_once() {
    let collector = Collector::default();
    let _guard = collector.collect();
    let mut c = Conversation::open_with(|config| {
        config.changes = Limit { count: 1, bytes: 100 };
        config.events = Limit { count: 1, bytes: 100 };
    });
    let (_, frame) = c.subscribes(Subscribe::instance("tasks", 7));
    collector.events();
    for n in 0..3 {
        c.event(&frame, "update", &json!(n));
    }
    let lagged = "dcrf::subscription dropped: the reader is too slow stream=tasks count=1";
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
    let farewell = |code| ConnectionError::Closed(CloseFrame { code, reason: CANARY.into() });
    let secret = || Request::create("tasks", &json!({"password": CANARY})).arg("token", CANARY);
    let (collector, _guard, mut c) = open();
    let data = json!({"pk": CANARY, "password": CANARY});
    let (_, frame) = c.requests(secret());
    c.answers(&frame, &data);
    let (_, frame) = c.requests(secret());
    c.replies(&frame, 400, &json!([CANARY]), &data);
    let no_json = std::collections::BTreeMap::from([((CANARY, 2), CANARY)]);
    c.session.request(secret().arg("map", no_json), c.now).unwrap_err();
    let subscribe = Subscribe::instance("tasks", CANARY).arg("token", CANARY);
    let (_, frame) = c.subscribes(subscribe.clone());
    c.event(&frame, "update", &data);
    c.receives(&json!({"push": CANARY}));
    c.receives_text(CANARY);
    c.requests(secret().idempotent(true));
    c.lost(farewell(1011));
    c.reopens();
    let frame = c.sent().remove(0);
    c.replies(&frame, 403, &json!([CANARY]), &data);
    c.subscribe(subscribe);
    let frame = c.sent_one();
    c.replies(&frame, 503, &json!([CANARY]), &data);
    for _ in 0..2 {
        c.lost(farewell(4401));
        if c.session.poll_timeout().is_some() {
            c.redials();
        }
    }
    let told = [collector.events(), collector.spans()].concat().join("\n");
    assert!(!told.contains(CANARY), "{told}");
    for what in ["not authorized", "put off", "refused on a new", "queued once more", "code 1011"] {
        assert!(told.contains(what), "{what} in {told}");
    }
}
