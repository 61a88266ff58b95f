//! What a test's author meets: assertions, mistakes, exceptions and holds.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use super::*;

fn message(mistake: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(mistake)).unwrap_err();
    panic.downcast_ref::<String>().unwrap().clone()
}

#[test]
fn exact_calls_are_asserted_in_their_order() {
    let server = tasks();
    let client = Client::new(&server);
    client.call("tasks", &json!({"action": "list"}));
    client.call("tasks", &json!({"action": "retrieve", "pk": 1}));
    let [list, retrieve] = [("tasks", "list", json!({})), ("tasks", "retrieve", json!({"pk": 1}))];
    server.assert_calls([list.clone(), retrieve.clone()]);
    server.assert_nothing_else();
    let text = message(|| server.assert_calls([retrieve, list.clone()]));
    assert!(text.contains("`retrieve` on `tasks` with {\"pk\":1}"), "{text}");
    message(|| server.assert_calls([list]));
}

#[test]
fn exceptions_say_why_the_connection_was_closed() {
    let server = tasks();
    for (frame, why) in [
        (json!({"stream": "task", "payload": {"action": "list"}}), "The streams are `tasks`."),
        (
            json!({"stream": "tasks", "payload": {"action": "retrieve"}}),
            "`retrieve` on `tasks` with {}",
        ),
        (json!({"stream": "tasks", "payload": []}), "a payload for `tasks` that is not an object"),
    ] {
        server.forget_calls();
        let client = Client::new(&server);
        server.receive(client.connection, &frame.to_string(), client.now);
        assert!(server.exceptions()[0].contains(why), "{:?}", server.exceptions());
        let text = message(|| drop(server.assert_called("tasks", "create", json!({}))));
        assert!(text.contains(why), "{text}");
    }
}

#[test]
fn mistakes_of_a_test_are_reported() {
    let server = tasks();
    let view = View::of("tasks");
    assert!(message(|| drop(server.hold("task", "list"))).contains("no stream `task`"));
    assert!(message(|| server.lose_events("task", 1)).contains("no stream `task`"));
    assert!(
        message(|| server.view("tasks", view.clone().filter("owner"))).contains("no field `owner`")
    );
    let feed = Feed::new("subscribe_owner").group_by("owner");
    assert!(message(|| server.view("tasks", view.feed(feed))).contains("no field `owner`"));
    assert!(message(|| drop(server.rows("task"))).contains("no model `task`"));
    assert!(message(|| drop(server.insert("tasks", json!({"pk": 1})))).contains("key 1 already"));
    assert!(
        message(|| _ = server.update("tasks", 1, json!({"titel": 1}))).contains("no field `titel`")
    );
}

#[test]
fn hold_can_be_waited_for() {
    let server = tasks();
    let client = Client::new(&server);
    let hold = server.hold("tasks", "list");
    thread::scope(|scope| {
        scope.spawn(|| hold.wait());
        client.send("tasks", &json!({"action": "list"}));
    });
    futures_lite::future::block_on(hold.reached());
    hold.release();
    assert_eq!(client.payloads().len(), 1);
}

#[test]
fn server_goes_on_with_the_clock_of_the_next_test() {
    let server = tasks();
    let mut ahead = Client::new(&server);
    ahead.advance(Duration::from_secs(1_000));
    let wait = Duration::from_secs(3);
    server.answer_next("tasks", "list", Answer::ok(1).after(wait));
    let mut behind = Client::new(&server);
    behind.send("tasks", &json!({"action": "list"}));
    assert_eq!(server.poll_timeout(), Some(behind.now + wait));
    behind.advance(wait);
    assert_eq!(behind.payloads()[0]["data"], 1);
}

#[test]
fn frame_that_was_not_recorded_ends_the_replay() {
    let server = tasks();
    let client = Client::new(&server);
    client.call("tasks", &json!({"action": "list"}));
    let replay = FakeServer::replay(&server.conversation());
    let client = Client::new(&replay);
    client.send("tasks", &json!({"action": "retrieve", "pk": 1}));
    assert!(matches!(client.outputs()[..], [Output::Close { code: 1011, .. }]));
    let text = message(|| replay.assert_replayed());
    assert!(text.contains("not recorded: connection 1") && text.contains("not sent"), "{text}");
}

#[test]
fn check_of_handshakes_replaces_the_one_before() {
    let server = tasks();
    server.check_handshake(|_| Err(403));
    server.check_handshake(|handshake| if handshake.path == "/ws/" { Ok(()) } else { Err(404) });
    let client = Client::new(&server);
    let other = server.connect(Handshake::new("/other/"), client.now);
    assert_eq!(other, Err(Refusal::Status(404)));
}

#[test]
fn call_with_any_arguments_is_asserted() {
    let server = tasks();
    let client = Client::new(&server);
    client.call("tasks", &json!({"action": "list", "limit": 1}));
    server.assert_calls([("tasks", "list", json!(null))]);
    server.forget_calls();
    client.call("tasks", &json!({"action": "list", "limit": 1}));
    server.assert_called("tasks", "list", ());
    server.assert_nothing_else();
    let text = message(|| drop(server.assert_called("tasks", "list", ())));
    assert!(text.starts_with("`list` on `tasks` was not called. "), "{text}");
}
