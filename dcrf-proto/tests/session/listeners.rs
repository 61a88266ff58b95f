//! Listeners (rule F2).

use crate::conversation::{Conversation, value};
use dcrf_proto::{
    CloseOptions, CloseReason, Event, Framing, Limit, ListenerEvent, ListenerKey, RejectReason,
    Request, Selector, Subscribe,
};
use serde_json::{Value, json};

fn tick(n: u32) -> Value {
    json!({"stream": "tools", "payload": {"type": "tick", "n": n}})
}

fn listen(c: &mut Conversation, selector: Selector) -> ListenerKey {
    c.session.listen(selector, c.now).expect("the selector is accepted")
}

/// Takes the new events of a listener and returns the payloads.
fn payloads(c: &mut Conversation, key: ListenerKey) -> Vec<Value> {
    let mut payloads = Vec::new();
    while let Some(event) = c.session.poll_listener(key) {
        payloads.push(match event {
            ListenerEvent::Frame { payload, .. } => value(&payload),
            ListenerEvent::Lagged(count) => json!({"lagged": count}),
            other => panic!("{other:?}"),
        });
    }
    payloads
}

#[test]
fn f2_listener_gets_every_frame_that_matches_its_pattern() {
    let mut c = Conversation::connected();
    let ticks = listen(&mut c, Selector::stream("tools").contains(json!({"type": "tick"})));
    let third = listen(&mut c, Selector::message(json!({"payload": {"n": 3}})));
    for n in 2..4 {
        c.receive(&tick(n));
    }
    c.receive(&json!({"stream": "tools", "payload": {"type": "tock"}}));
    c.receive(&json!({"stream": "tasks", "payload": {"type": "tick"}}));
    assert_eq!(c.events(), [Event::ListenerReadable(ticks), Event::ListenerReadable(third)]);
    assert_eq!(
        payloads(&mut c, ticks),
        [json!({"type": "tick", "n": 2}), json!({"type": "tick", "n": 3})]
    );
    assert_eq!(payloads(&mut c, third), [json!({"type": "tick", "n": 3})]);
    assert_eq!(c.unhandled().len(), 2, "frames without a listener are unhandled");
}

#[test]
fn f2_listener_is_notified_once_until_it_is_read() {
    let mut c = Conversation::connected();
    let all = listen(&mut c, Selector::any());
    c.receive(&tick(1));
    c.receive(&tick(2));
    assert_eq!(c.events(), [Event::ListenerReadable(all)]);
    c.receive(&tick(3));
    assert_eq!(c.events(), [Event::ListenerReadable(all)]);
    assert_eq!(payloads(&mut c, all).len(), 3);
}

#[test]
fn f2_listener_also_gets_frames_of_requests_and_subscriptions() {
    let mut c = Conversation::connected();
    let all = listen(&mut c, Selector::stream("tasks"));
    let (request, frame) = c.send_request(Request::retrieve("tasks", 7));
    let (subscription, subscribe) = c.subscribe_acked(Subscribe::instance("tasks", 7));
    c.reply(&frame, &json!({"pk": 7}));
    c.event(&subscribe, "update", &json!({"pk": 7}));
    assert_eq!(c.settled(), [(request, Ok(json!({"pk": 7})))]);
    assert_eq!(c.changes(subscription).len(), 1);
    let actions: Vec<_> = payloads(&mut c, all).iter().map(|p| p["action"].clone()).collect();
    assert_eq!(actions, ["subscribe_instance", "retrieve", "update"]);
    assert_eq!(c.session.stats().unhandled, 0);
}

#[test]
fn f2_listener_event_names_the_stream() {
    let mut c = Conversation::connected();
    let all = listen(&mut c, Selector::any());
    c.receive(&tick(1));
    c.receive(&json!({"hello": "client"}));
    let Some(ListenerEvent::Frame { stream, .. }) = c.session.poll_listener(all) else { panic!() };
    assert_eq!(stream.as_deref(), Some("tools"));
    let Some(ListenerEvent::Frame { stream, payload, .. }) = c.session.poll_listener(all) else {
        panic!()
    };
    assert_eq!((stream, value(&payload)), (None, json!({"hello": "client"})));
}

#[test]
fn f2_listener_gets_whole_bare_frames() {
    let mut c = Conversation::connected_with(|config| config.framing = Framing::Bare);
    let ticks = listen(&mut c, Selector::stream("tools").contains(json!({"type": "tick"})));
    c.receive(&json!({"type": "tick", "n": 1}));
    c.receive(&json!({"type": "tock", "n": 1}));
    assert_eq!(payloads(&mut c, ticks), [json!({"type": "tick", "n": 1})]);
}

#[test]
fn f2_listener_gets_null_for_nan() {
    let mut c = Conversation::connected();
    let ticks = listen(&mut c, Selector::any().contains(json!({"type": "tick"})));
    c.receive_text(r#"{"stream": "tools", "payload": {"type": "tick", "n": NaN}}"#);
    assert_eq!(payloads(&mut c, ticks), [json!({"type": "tick", "n": null})]);
}

#[test]
fn f2_dropped_listener_receives_nothing() {
    let mut c = Conversation::connected();
    let (of_stream, of_any) =
        (listen(&mut c, Selector::stream("tools")), listen(&mut c, Selector::any()));
    c.receive(&tick(1));
    c.session.unlisten(of_stream);
    c.session.unlisten(of_any);
    assert_eq!(c.events(), [], "no event for earlier frames");
    c.receive(&tick(2));
    assert_eq!(c.unhandled().len(), 1);
    assert!(c.session.poll_listener(of_any).is_none());
    assert_eq!(c.session.stats().listeners, 0);
}

#[test]
fn f2_listener_survives_a_reconnect() {
    let mut c = Conversation::connected();
    let ticks = listen(&mut c, Selector::stream("tools"));
    c.receive(&tick(1));
    c.reconnect();
    c.receive(&tick(2));
    assert_eq!(payloads(&mut c, ticks).len(), 2);
    assert_eq!(c.sent(), [] as [Value; 0], "listeners send nothing");
}

#[test]
fn f2_slow_listener_drops_the_oldest_and_reports_the_count() {
    let mut c =
        Conversation::connected_with(|config| config.events = Limit { count: 2, bytes: 10_000 });
    let slow = listen(&mut c, Selector::stream("tools"));
    let prompt = listen(&mut c, Selector::any());
    for n in 0..5 {
        c.receive(&tick(n));
        assert_eq!(payloads(&mut c, prompt), [json!({"type": "tick", "n": n})]);
    }
    assert_eq!(
        payloads(&mut c, slow),
        [json!({"lagged": 3}), json!({"type": "tick", "n": 3}), json!({"type": "tick", "n": 4})]
    );
    assert_eq!(c.session.stats().lagged, 3);
}

#[test]
fn f2_rejected_selector_is_returned() {
    let mut c = Conversation::connected_with(|config| config.max_subscriptions = 1);
    let wrong = Selector::any().contains(std::collections::BTreeMap::from([((1, 2), 3)]));
    let rejected = c.session.listen(wrong.clone(), c.now).unwrap_err();
    assert_eq!(rejected.command, wrong);
    assert!(matches!(rejected.reason, RejectReason::InvalidArgument { .. }));

    listen(&mut c, Selector::any());
    let rejected = c.session.listen(Selector::any(), c.now).unwrap_err();
    assert_eq!(rejected.reason, RejectReason::QueueFull);

    c.close(CloseOptions::now());
    let rejected = c.session.listen(Selector::any(), c.now).unwrap_err();
    assert_eq!(rejected.reason, RejectReason::Closed(CloseReason::ByCaller));
}

/// As Python and JavaScript read it.
#[test]
fn f1_of_a_repeated_key_the_last_value_counts_for_requests_and_listeners() {
    let reply = |c: &mut Conversation, first: &str, last: &str| {
        let (key, frame) = c.send_request(Request::new("tasks", "echo"));
        let id = &frame["payload"]["request_id"];
        let payload = |data: &str| {
            let data = data.to_owned();
            format!(r#"{{"action":"echo","request_id":{id},"response_status":200,"data":{data}}}"#)
        };
        let value = |data: &str| if data == "-" { "7".to_owned() } else { payload(data) };
        c.receive_text(&format!(
            r#"{{"stream":"tools","stream":"tasks","payload":{},"payload":{}}}"#,
            value(first),
            value(last),
        ));
        let settled = c.settled().into_iter().find(|(settled, _)| *settled == key);
        settled.map(|(_, result)| result.unwrap())
    };
    let mut c = Conversation::connected();
    let listener = listen(&mut c, Selector::any());
    assert_eq!(reply(&mut c, "1", "2"), Some(json!(2)));
    assert_eq!(payloads(&mut c, listener)[0]["data"], 2);
    assert_eq!(reply(&mut c, "-", "2"), Some(json!(2)));
    assert_eq!(payloads(&mut c, listener)[0]["data"], 2);
    // The payload is no object, so the frame is no envelope.
    assert_eq!(reply(&mut c, "1", "-"), None);
    assert_eq!(payloads(&mut c, listener)[0]["payload"], 7);
    let of_stream = listen(&mut c, Selector::stream("tasks").contains(json!({"data": 2})));
    reply(&mut c, "1", "2");
    assert_eq!(payloads(&mut c, of_stream).len(), 1);
    reply(&mut c, "2", "1");
    assert_eq!(payloads(&mut c, of_stream).len(), 0);
}
