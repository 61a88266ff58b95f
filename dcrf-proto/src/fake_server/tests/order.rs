//! What overtakes what, and what a fault leaves behind.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn request_ids(client: &Client) -> Vec<Value> {
    client.payloads().iter().map(|its| its["request_id"].clone()).collect()
}

/// A server with actions that raise.
fn raising() -> FakeServer {
    let server = tasks();
    let view = View::new()
        .action("raise", |_| Answer::raise())
        .action("detached", |_| Answer::raise().after(SECOND).detached());
    server.view("tools", view);
    server
}

#[test]
fn detached_action_that_raises_never_replies_and_the_connection_stays() {
    let server = raising();
    let mut client = Client::new(&server);
    client.send("tools", &json!({"action": "detached"}));
    client.advance(SECOND);
    assert_eq!((client.outputs(), server.connections()), (vec![], 1));
    assert_eq!(server.exceptions(), ["connection 1: `detached` on `tools` raises, detached"]);
    client.call("tasks", &json!({"action": "list"}));
    let late = Feed::new("subscribe_late").group_by("done");
    let late = late.acknowledged_after(Duration::ZERO, Value::Null);
    server.view("tasks", View::of("tasks").feed(late));
    let client = Client::new(&server);
    client.send("tasks", &json!({"action": "subscribe_late", "request_id": "no group"}));
    client.send("tasks", &json!({"action": "subscribe_late", "done": true, "request_id": []}));
    assert_eq!((client.outputs(), server.exceptions().len()), (vec![], 3));
    client.send("tasks", &json!({"action": "unsubscribe_late"}));
    assert!(matches!(client.outputs()[..], [Output::Close { code: 1011, .. }]));
}

#[test]
fn close_arrives_behind_what_was_sent_before() {
    let server = raising();
    for (code, close) in [(4001, true), (1011, false)] {
        server.delay(Duration::ZERO);
        let mut client = Client::new(&server);
        server.delay(SECOND);
        client.send("tasks", &json!({"action": "list"}));
        if close {
            server.close(code, "bye");
        } else {
            client.send("tools", &json!({"action": "raise"}));
        }
        client.send("tasks", &json!({"action": "list", "request_id": "late"}));
        assert_eq!((client.outputs(), server.connections()), (vec![], 0));
        client.advance(SECOND);
        let outputs = client.outputs();
        let is_close =
            |output: &Output| matches!(output, Output::Close { code: its, .. } if *its == code);
        assert!(matches!(&outputs[..], [Output::Text(_), end] if is_close(end)), "{outputs:?}");
    }
}

#[test]
fn drop_overtakes_what_is_on_its_way() {
    let server = tasks();
    let mut client = Client::new(&server);
    server.delay(SECOND);
    client.send("tasks", &json!({"action": "list"}));
    server.close(4001, "bye");
    server.drop_connections();
    assert_eq!(client.outputs(), [Output::Drop]);
    client.advance(SECOND);
    assert_eq!(client.outputs(), []);
}

#[test]
fn recorded_frames_are_delayed_too() {
    let line = Line::new(1, Direction::ToClient, "{}");
    let server = FakeServer::replay(&[line]);
    server.delay(SECOND);
    let mut client = Client::new(&server);
    assert_eq!(client.outputs(), []);
    client.advance(SECOND);
    assert_eq!(client.outputs().len(), 1);
}

#[test]
fn closure_that_panics_leaves_nothing_behind() {
    let server = tasks();
    let write = |action: &mut Action<'_>| {
        action.insert("tasks", json!({"title": "three"}));
        assert!(action.argument("fails").is_none(), "it fails");
        Answer::ok(1)
    };
    let feed = Feed::new("subscribe_all");
    server.view("tasks", View::of("tasks").feed(feed).action("write", write));
    let mut client = Client::new(&server);
    client.call("tasks", &json!({"action": "subscribe_all", "request_id": "S"}));
    let steps = [Duration::ZERO, SECOND];
    for step in steps {
        server.delay_with(move |at| match at {
            Step::Call(call) if call.action == "write" => step,
            _ => Duration::ZERO,
        });
        let fail = AssertUnwindSafe(|| {
            client.send("tasks", &json!({"action": "write", "fails": true}));
            client.advance(10 * SECOND);
        });
        catch_unwind(fail).unwrap_err();
    }
    server.answer_next("tasks", "list", Answer::ok(1).after(SECOND));
    client.send("tasks", &json!({"action": "list", "request_id": "L"}));
    assert_eq!(server.poll_timeout(), Some(client.now + SECOND));
    client.advance(SECOND);
    assert_eq!((request_ids(&client), server.rows("tasks").len()), (vec![json!("L")], 2));
    server.update("tasks", 1, json!({"title": "new"}));
    assert_eq!(request_ids(&client), ["S"]);
}

#[test]
fn events_of_a_later_connection_are_swapped() {
    let server = tasks();
    server.swap_events("tasks");
    let client = Client::new(&server);
    client.call("tasks", &json!({"action": "subscribe_all", "request_id": "S"}));
    for title in ["a", "b", "c"] {
        server.update("tasks", 1, json!({"title": title}));
    }
    let titles: Vec<_> = client.payloads().iter().map(|its| its["data"]["title"].clone()).collect();
    assert_eq!(titles, ["b", "a", "c"]);
}

#[test]
fn call_takes_its_time_after_a_hold() {
    let server = tasks();
    server.delay_with(|step| if matches!(step, Step::Call(_)) { SECOND } else { Duration::ZERO });
    let mut client = Client::new(&server);
    let hold = server.hold("tasks", "list");
    client.send("tasks", &json!({"action": "list", "request_id": 1}));
    client.send("tasks", &json!({"action": "list", "request_id": 2}));
    client.advance(10 * SECOND);
    hold.release();
    assert_eq!(request_ids(&client), [0; 0]);
    client.advance(SECOND);
    assert_eq!(request_ids(&client), [1]);
    client.advance(SECOND);
    assert_eq!(request_ids(&client), [2]);
}

#[test]
fn stream_that_has_closed_has_no_subscriptions() {
    let server = tasks();
    let feed = Feed::new("subscribe_all");
    let view = View::of("tasks").feed(feed).action("hangup", |_| Answer::hang_up(1000));
    server.view("tasks", view);
    server.view("tools", View::new());
    let client = Client::new(&server);
    client.call("tasks", &json!({"action": "subscribe_all", "request_id": "S"}));
    assert_eq!(server.subscriptions().len(), 1);
    client.send("tasks", &json!({"action": "hangup"}));
    assert_eq!(server.subscriptions(), []);
    let hold = server.hold_events("tasks");
    server.update("tasks", 1, json!({"title": "new"}));
    assert!(!hold.is_reached());
}
