//! Requests: the outbox, deadlines, losses and ids (rules R1 to R5, R8, R9 and R11).

use crate::conversation::{Conversation, closed, dropped, millis, secs};
use dcrf_proto::{
    CloseOptions, CloseReason, Config, ConnectionError, Limit, RejectReason, Request, RequestError,
    Subscribe,
};
use serde_json::{Value, json};

fn create() -> Request {
    Request::create("tasks", &json!({"title": "new"}))
}

fn id_of(frame: &Value) -> &str {
    frame["payload"]["request_id"].as_str().expect("a text id")
}

const LOST: RequestError =
    RequestError::ConnectionLost { sent: true, cause: ConnectionError::Dropped };

#[test]
fn r1_requests_wait_for_a_connection_in_order() {
    let mut c = Conversation::idle(Config::default());
    for action in ["one", "two", "three"] {
        c.request(Request::new("tools", action));
    }
    assert_eq!(c.sent(), [] as [Value; 0]);
    assert_eq!(c.session.stats().waiting_requests, 3);

    c.session.open(c.now);
    c.wait_for_dial();
    c.connect();

    assert_eq!(c.sent_actions(), ["one", "two", "three"]);
    assert_eq!(c.session.stats().waiting_requests, 0);
}

#[test]
fn r1_requests_wait_behind_the_replay() {
    let mut c = Conversation::connecting(Config::default());
    c.request(Request::list("tasks"));
    c.subscribe(Subscribe::instance("tasks", 1));
    c.subscribe(Subscribe::instance("tasks", 2));
    c.connect();
    assert_eq!(c.sent_actions(), ["subscribe_instance", "subscribe_instance", "list"]);
}

#[test]
fn r1_request_is_sent_at_once_if_connected() {
    let mut c = Conversation::connected();
    let (_, frame) = c.send_request(create().id("c1"));
    assert_eq!(
        frame,
        json!({"stream": "tasks", "payload": {
            "action": "create", "request_id": "c1", "data": {"title": "new"},
        }})
    );
}

#[test]
fn r1_fail_fast_request_is_rejected_without_a_connection() {
    let mut c = Conversation::connecting(Config::default());
    let request = || Request::list("tasks").fail_fast();
    let rejected = c.session.request(request(), c.now).unwrap_err();
    assert_eq!((rejected.command, rejected.reason), (request(), RejectReason::NotConnected));
    let rejected = c.session.stream(request(), c.now).unwrap_err();
    assert_eq!(rejected.reason, RejectReason::NotConnected);
    let rejected = c.session.send(request(), c.now).unwrap_err();
    assert_eq!(rejected.reason, RejectReason::NotConnected);

    c.connect();
    c.send_request(request());
}

#[test]
fn r1_fail_fast_request_is_not_queued_again_after_a_loss() {
    let mut c = Conversation::connected();
    let (sent, _) = c.send_request(Request::list("tasks").fail_fast());
    let unsent = c.request(create().fail_fast());

    c.disconnect(dropped());

    let failed = |sent| Err(RequestError::ConnectionLost { sent, cause: dropped() });
    assert_eq!(c.settled(), [(sent, failed(true)), (unsent, failed(false))]);
    assert_eq!(c.session.stats().waiting_requests, 0);
}

#[test]
fn r2_outbox_is_limited_by_count_and_returns_the_request() {
    let mut config = Config::default();
    config.outbox.count = 2;
    let mut c = Conversation::connecting(config);
    c.request(create());
    c.request(create());

    let rejected = c.session.request(create().id("third"), c.now).unwrap_err();

    assert_eq!(rejected.reason, RejectReason::QueueFull);
    assert_eq!(rejected.command, create().id("third"));
    c.connect();
    assert_eq!(c.sent().len(), 2);
    c.request(create());
}

#[test]
fn r2_outbox_is_limited_by_bytes() {
    let mut config = Config::default();
    config.outbox = Limit { count: 1_000, bytes: 1_000 };
    let mut c = Conversation::connecting(config);
    let big = || Request::new("tools", "echo").arg("text", "x".repeat(500));
    let first = c.request(big());
    assert_eq!(c.session.request(big(), c.now).unwrap_err().reason, RejectReason::QueueFull);

    c.session.cancel(first);

    c.request(big());
}

#[test]
fn r2_default_limits_are_1024_requests_and_8_mebibytes() {
    let mut c = Conversation::connecting(Config::default());
    for _ in 0..1_024 {
        c.request(Request::list("tasks"));
    }
    assert!(c.session.request(Request::list("tasks"), c.now).is_err());

    let mut c = Conversation::connecting(Config::default());
    let almost_one_mebibyte = "x".repeat((1 << 20) - 200);
    for _ in 0..8 {
        c.request(Request::new("tools", "echo").arg("text", &almost_one_mebibyte));
    }
    let ninth = Request::new("tools", "echo").arg("text", &almost_one_mebibyte);
    assert_eq!(c.session.request(ninth, c.now).unwrap_err().reason, RejectReason::QueueFull);
}

#[test]
fn r3_request_that_times_out_in_the_outbox_is_never_sent() {
    let mut config = Config::default();
    config.backoff.jitter = false;
    let mut c = Conversation::idle(config);
    let key = c.request(create());

    c.advance(millis(29_999));
    assert_eq!(c.settled(), []);
    c.advance(millis(1));

    assert_eq!(c.settled(), [(key, Err(RequestError::TimedOut { sent: false }))]);
    c.session.open(c.now);
    c.wait_for_dial();
    c.connect();
    assert_eq!(c.sent(), [] as [Value; 0]);
}

#[test]
fn r3_expired_request_is_not_sent_before_its_timer_fires() {
    let mut c = Conversation::connecting(Config::default());
    let key = c.request(create().timeout(secs(1)));
    c.now += secs(1);
    c.connect();
    assert_eq!(c.sent(), [] as [Value; 0]);
    assert_eq!(c.settled(), [(key, Err(RequestError::TimedOut { sent: false }))]);
}

#[test]
fn r3_late_reply_is_dropped_and_counted() {
    let mut c = Conversation::connected();
    let (key, frame) = c.send_request(create().timeout(secs(5)));
    c.advance(secs(5));
    assert_eq!(c.settled(), [(key, Err(RequestError::TimedOut { sent: true }))]);

    c.reply(&frame, &json!({"pk": 1}));

    assert_eq!(c.settled(), []);
    assert_eq!(c.unhandled(), [] as [Value; 0]);
    assert_eq!(c.session.stats().late, 1);
}

#[test]
fn r3_deadline_is_per_request_and_starts_at_the_call() {
    let mut c = Conversation::connecting(Config::default());
    let key = c.request(create().timeout(secs(5)));
    c.advance(secs(4));
    c.connect();
    c.flush();
    c.advance(secs(1));
    assert_eq!(c.settled(), [(key, Err(RequestError::TimedOut { sent: true }))]);
}

#[test]
fn r3_request_without_a_deadline_never_times_out() {
    for no_timeout in [true, false] {
        let mut c = Conversation::connected_with(|config| {
            config.heartbeat = None;
            if !no_timeout {
                config.request_timeout = None;
            }
        });
        let request = if no_timeout { create().no_timeout() } else { create() };
        c.send_request(request);
        c.advance(secs(1_000_000));
        assert_eq!(c.settled(), []);
    }
}

#[test]
fn r3_timeout_before_the_resend_reports_sent() {
    let mut c = Conversation::connected();
    let (key, _) = c.send_request(Request::list("tasks").timeout(secs(1)));
    c.disconnect(closed(1013));
    c.advance(secs(1));
    assert_eq!(c.settled(), [(key, Err(RequestError::TimedOut { sent: true }))]);
}

#[test]
fn r4_sent_request_fails_once() {
    let mut c = Conversation::connected();
    let (key, _) = c.send_request(create());
    c.disconnect(dropped());
    assert_eq!(c.settled(), [(key, Err(LOST))]);
    c.wait_and_connect();
    assert_eq!(c.sent(), [] as [Value; 0]);
    c.advance(secs(60));
    assert_eq!(c.settled(), []);
}

#[test]
fn r4_unsent_request_stays_queued() {
    let mut c = Conversation::connected();
    let key = c.request(create());
    c.disconnect(dropped());
    assert_eq!(c.settled(), []);
    c.wait_and_connect();
    let frame = c.sent_one();
    c.reply(&frame, &json!(1));
    assert_eq!(c.settled(), [(key, Ok(json!(1)))]);
}

#[test]
fn r4_idempotent_requests_are_resent_in_order() {
    let mut c = Conversation::connected();
    let (first, before) = c.send_request(Request::list("tasks"));
    let (second, _) = c.send_request(Request::retrieve("tasks", 1));
    c.disconnect(dropped());
    let third = c.request(create());
    c.wait_and_connect();

    let frames = c.sent();

    assert_eq!(frames.len(), 3);
    assert_eq!(frames[0], before);
    for frame in &frames {
        c.reply(frame, &frame["payload"]["action"]);
    }
    let expected = [(first, "list"), (second, "retrieve"), (third, "create")]
        .map(|(key, a)| (key, Ok(json!(a))));
    assert_eq!(c.settled(), expected);
    assert_eq!(c.session.stats().repeated, 2);
}

#[test]
fn r4_idempotent_request_is_resent_at_most_once() {
    let mut c = Conversation::connected();
    let (key, _) = c.send_request(Request::list("tasks"));
    c.reconnect();
    assert_eq!(c.sent().len(), 1);
    c.reconnect();
    assert_eq!(c.sent().len(), 0);
    assert_eq!(c.settled(), [(key, Err(LOST))]);
}

#[test]
fn r4_only_list_and_retrieve_are_idempotent_by_default() {
    let requests = [
        (Request::list("tasks"), true),
        (Request::retrieve("tasks", 1), true),
        (Request::new("tasks", "list"), true),
        (create(), false),
        (Request::update("tasks", 1, &json!({})), false),
        (Request::patch("tasks", 1, &json!({})), false),
        (Request::delete("tasks", 1), false),
        (Request::new("tasks", "archive"), false),
        (Request::list("tasks").idempotent(false), false),
        (Request::new("tasks", "archive").idempotent(true), true),
    ];
    for (request, is_resent) in requests {
        let mut c = Conversation::connected();
        c.send_request(request.clone());
        c.reconnect();
        assert_eq!(c.sent().len(), usize::from(is_resent), "{request:?}");
    }
}

#[test]
fn r5_request_settles_once_in_every_way() {
    type Way = fn(&mut Conversation, &Value);
    let ways: [(&str, Way); 5] = [
        ("reply", |c, frame| c.reply(frame, &json!(1))),
        ("error_reply", |c, frame| c.reply_error(frame, 400)),
        ("timeout", |c, _| c.advance(secs(5))),
        ("loss", |c, _| c.disconnect(dropped())),
        ("close", |c, _| c.close(CloseOptions::now())),
    ];
    for (name, first) in &ways {
        let mut c = Conversation::connected();
        let (key, frame) = c.send_request(create().timeout(secs(5)));
        first(&mut c, &frame);
        let settled = c.settled();
        assert_eq!(settled.len(), 1, "{name}");
        assert_eq!(settled[0].0, key, "{name}");
        for (_, then) in &ways {
            then(&mut c, &frame);
            c.session.cancel(key);
        }
        assert_eq!(c.settled(), [], "{name}");
        assert_eq!(c.session.stats().requests, 0, "{name}");
    }
}

#[test]
fn r8_ids_are_hyphenated_random_uuids() {
    let mut c = Conversation::connected();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..100 {
        let (_, frame) = c.send_request(create());
        let id = id_of(&frame);
        assert_eq!((id.len(), &id[14..15]), (36, "4"), "{id}");
        assert!("89ab".contains(&id[19..20]), "{id}");
        assert!(seen.insert(id.to_owned()));
    }
}

#[test]
fn r8_id_in_use_is_rejected() {
    let mut c = Conversation::connected();
    let (_, frame) = c.send_request(create().id("mine"));
    let rejected = c.session.request(create().id("mine"), c.now).unwrap_err();
    assert_eq!(rejected.reason, RejectReason::IdInUse);
    let subscribe = Subscribe::instance("tasks", 1).id("mine");
    let rejected = c.session.subscribe(subscribe, c.now).unwrap_err();
    assert_eq!(rejected.reason, RejectReason::IdInUse);

    c.reply(&frame, &Value::Null);

    c.request(create().id("mine"));
}

#[test]
fn r8_id_of_a_cancelled_request_stays_in_use_on_its_connection() {
    let mut c = Conversation::connected();
    let (key, _) = c.send_request(create().id("mine"));
    c.session.cancel(key);
    assert!(c.session.request(create().id("mine"), c.now).is_err());
    c.reconnect();
    c.request(create().id("mine"));
}

#[test]
fn r9_request_cancelled_before_sending_is_never_sent() {
    let mut c = Conversation::connecting(Config::default());
    let cancelled = c.request(create());
    c.request(Request::list("tasks"));
    c.session.cancel(cancelled);
    c.connect();
    assert_eq!(c.sent_actions(), ["list"]);
    assert_eq!(c.settled(), []);
}

#[test]
fn r9_reply_to_a_cancelled_request_is_dropped_and_counted() {
    let mut c = Conversation::connected();
    let (key, frame) = c.send_request(create());
    c.session.cancel(key);
    c.reply(&frame, &json!(1));
    assert_eq!(c.settled(), []);
    assert_eq!(c.unhandled(), [] as [Value; 0]);
    assert_eq!(c.session.stats().late, 1);
}

#[test]
fn r9_cancelled_request_is_not_resent() {
    let mut c = Conversation::connected();
    let (key, _) = c.send_request(Request::list("tasks"));
    c.disconnect(dropped());
    c.session.cancel(key);
    c.wait_and_connect();
    assert_eq!(c.sent(), [] as [Value; 0]);
}

#[test]
fn r11_oversized_message_is_rejected() {
    let limit = (1 << 20) - 1;
    let mut c = Conversation::connected();
    let envelope = c.send_request(Request::new("tools", "echo").id("big").arg("x", "")).1;
    c.reply(&envelope, &Value::Null);
    let room = limit - envelope.to_string().len();
    let big = |size: usize| Request::new("tools", "echo").id("big").arg("x", "x".repeat(size));

    let rejected = c.session.request(big(room + 1), c.now).unwrap_err();
    assert_eq!(rejected.reason, RejectReason::TooLarge { size: limit + 1, limit });
    assert_eq!(rejected.command, big(room + 1));

    c.request(big(room));
    assert_eq!(c.sent_texts()[0].len(), limit);
}

#[test]
fn r11_limit_applies_to_subscribe_and_unsubscribe() {
    let mut c = Conversation::connected_with(|config| config.max_outgoing_message = 200);
    let subscribe =
        |size: usize| Subscribe::new("tasks", "subscribe_to").arg("x", "x".repeat(size));
    let mut accepted = 0;
    for size in 0..200 {
        if let Ok(key) = c.session.subscribe(subscribe(size), c.now) {
            c.flush();
            c.unsubscribe(key);
            accepted += 1;
        }
    }
    assert!((1..200).contains(&accepted));
    assert!(c.sent_texts().iter().all(|text| text.len() <= 200));
}

#[test]
fn invalid_or_reserved_argument_is_rejected() {
    let mut c = Conversation::connected();
    let no_json = std::collections::BTreeMap::from([((1, 2), 3)]);
    let requests = [
        create().arg("action", "destroy"),
        create().arg("request_id", 1),
        create().arg("map", &no_json),
    ];
    for request in requests {
        let rejected = c.session.request(request.clone(), c.now).unwrap_err();
        assert!(matches!(rejected.reason, RejectReason::InvalidArgument { .. }));
        assert_eq!(rejected.command, request);
    }
}

#[test]
fn closed_session_rejects_and_returns_requests() {
    let mut c = Conversation::connected();
    c.close(CloseOptions::now());
    let rejected = c.session.request(create(), c.now).unwrap_err();
    assert_eq!(rejected.reason, RejectReason::Closed(CloseReason::ByCaller));
    assert_eq!(rejected.command, create());
}

#[test]
fn f1_custom_payload_is_sent_unchanged_with_an_id() {
    let mut c = Conversation::connected();
    let payload = json!({"key": "value", "nested": {"a": [1, null]}});
    let (key, frame) = c.send_request(Request::with_payload("mystream", &payload));
    let mut sent = frame["payload"].clone();
    assert!(sent.as_object_mut().unwrap().remove("request_id").is_some());
    assert_eq!(sent, payload);

    let reply = json!({"request_id": frame["payload"]["request_id"], "data": 1});
    c.receive(&json!({"stream": "mystream", "payload": reply}));
    assert_eq!(c.settled(), [(key, Ok(json!(1)))]);

    let (_, frame) =
        c.send_request(Request::with_payload("tools", &json!({"action": "echo", "n": 1})));
    assert_eq!((&frame["payload"]["action"], &frame["payload"]["n"]), (&json!("echo"), &json!(1)));
}

#[test]
fn payload_that_is_not_an_object_or_has_an_id_is_rejected() {
    let mut c = Conversation::connected();
    let wrong = [json!([1]), json!({"action": 7}), json!({"request_id": 7}), json!("text")];
    for payload in wrong {
        let rejected =
            c.session.request(Request::with_payload("tools", &payload), c.now).unwrap_err();
        assert!(matches!(rejected.reason, RejectReason::InvalidArgument { .. }), "{payload}");
    }
    let rejected = c.session.request(Request::new("tools", "echo").args(&7), c.now).unwrap_err();
    assert!(matches!(rejected.reason, RejectReason::InvalidArgument { .. }));
}

#[test]
fn r2_stats_count_waiting_requests_and_bytes() {
    let mut c = Conversation::connecting(Config::default());
    assert_eq!(c.session.stats().waiting_bytes, 0);
    c.request(Request::list("tasks"));
    let cancelled = c.request(Request::create("tasks", &json!({"title": "x".repeat(1_000)})));
    assert!(c.session.stats().waiting_bytes > 1_000);
    c.session.cancel(cancelled);
    let waiting = c.session.stats();
    c.connect();
    let texts = c.sent_texts();
    assert_eq!((waiting.waiting_requests, waiting.waiting_bytes), (1, texts[0].len()));
    assert_eq!(c.session.stats().waiting_bytes, 0);
}
