//! What a client or a test can do to the server at its edges.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::task::{Wake, Waker};
use std::thread;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn request_ids(client: &Client) -> Vec<Value> {
    client.payloads().iter().map(|its| its["request_id"].clone()).collect()
}

/// Fails instead of waiting for ever for a lock.
#[expect(clippy::disallowed_methods, reason = "a deadlock would keep the test's own thread")]
fn within_seconds(work: impl FnOnce() + Send + 'static) {
    let (sender, done) = channel();
    thread::spawn(move || {
        work();
        let _ = sender.send(());
    });
    done.recv_timeout(10 * SECOND).expect("a deadlock");
}

#[test]
fn rows_that_refer_to_each_other_are_deleted_once() {
    let server = FakeServer::new();
    let parent = Field::key_of("parent", "nodes").nullable();
    let rows = [json!({"parent": 1}), json!({"parent": 3}), json!({"parent": 2})];
    server.model("nodes", Model::new().field(parent).rows(rows));
    assert!(server.delete("nodes", 1));
    assert!(server.delete("nodes", 2));
    assert!(server.rows("nodes").is_empty());
}

#[test]
fn long_chain_of_rows_is_deleted() {
    let server = FakeServer::new();
    let parent = Field::key_of("parent", "nodes").nullable();
    let row = |pk: u32| json!({"id": pk, "parent": pk.checked_sub(1).filter(|pk| *pk > 0)});
    server.model("nodes", Model::new().field(parent).rows((1..=1_500).map(row)));
    assert!(server.delete("nodes", 1));
    assert!(server.rows("nodes").is_empty());
}

#[test]
fn many_replies_without_a_pause() {
    let server = FakeServer::new();
    let replies =
        |_: &mut Action<'_>| Answer::replies((0..100_000).map(Value::from), Duration::ZERO);
    server.view("tools", View::new().action("count", replies));
    let client = Client::new(&server);
    client.send("tools", &json!({"action": "count", "request_id": 1}));
    assert_eq!(client.outputs().len(), 100_000);
}

fn counting(is_late: bool) -> FakeServer {
    let server = FakeServer::new();
    let count = move |_: &mut Action<'_>| {
        let replies = Answer::replies((0..3).map(Value::from), SECOND);
        if is_late { replies.after(SECOND) } else { replies }
    };
    let cancel = |action: &mut Action<'_>| {
        action.cancel(action.argument("id").cloned().unwrap());
        Answer::silence()
    };
    server.view("tools", View::new().action("count", count).action("cancel", cancel));
    server
}

#[test]
fn cancelled_replies_stay_cancelled_when_the_id_is_used_again() {
    let mut client = Client::new(&counting(false));
    let count = json!({"action": "count", "request_id": "A"});
    client.send("tools", &count);
    client.send("tools", &json!({"action": "cancel", "id": "A"}));
    client.send("tools", &count);
    client.advance(10 * SECOND);
    let data: Vec<_> = client.payloads().iter().map(|its| its["data"].clone()).collect();
    assert_eq!(data, [0, 0, 1, 2]);
}

#[test]
fn replies_to_two_calls_with_the_same_id_are_complete() {
    let mut client = Client::new(&counting(false));
    client.send("tools", &json!({"action": "count"}));
    client.advance(SECOND);
    client.send("tools", &json!({"action": "count"}));
    client.advance(10 * SECOND);
    assert_eq!(client.payloads().len(), 6);
}

#[test]
fn detached_replies_are_cancelled_before_the_first() {
    let mut client = Client::new(&counting(true));
    client.send("tools", &json!({"action": "count", "request_id": "A"}));
    client.send("tools", &json!({"action": "cancel", "id": "A"}));
    client.advance(10 * SECOND);
    assert_eq!(client.payloads().len(), 0);
}

#[test]
fn longest_delay_is_for_ever() {
    let server = tasks();
    let never = Duration::MAX;
    server.view(
        "tools",
        View::new()
            .action("never", move |_| Answer::ok(1).after(never))
            .action("detached", move |_| Answer::ok(1).after(never).detached()),
    );
    let mut client = Client::new(&server);
    client.advance(SECOND);
    client.call("tasks", &json!({"action": "subscribe_all", "request_id": "S"}));
    server.delay_events(never);
    server.update("tasks", 1, json!({"title": "new"}));
    server.delay_events(SECOND);
    server.update("tasks", 1, json!({"title": "newer"}));
    for action in ["detached", "never", "never"] {
        client.send("tools", &json!({"action": action}));
    }
    server.delay(never);
    client.send("tasks", &json!({"action": "list"}));
    server.ready_after("tasks", never);
    let other = Client::new(&server);
    client.advance(10 * SECOND);
    assert_eq!((client.outputs(), server.poll_timeout()), (vec![], None));
    server.delay(Duration::ZERO);
    other.send("tasks", &json!({"action": "list"}));
    assert!(matches!(other.outputs()[..], [Output::Close { code: 1011, .. }]));
}

#[test]
fn nothing_overtakes_what_arrives_at_the_same_time() {
    let server = tasks();
    server.view("tools", View::new().action("slow", |_| Answer::ok(1).after(SECOND)));
    let mut client = Client::new(&server);
    client.send("tools", &json!({"action": "slow", "request_id": "later"}));
    server.delay(SECOND);
    client.send("tasks", &json!({"action": "list", "request_id": "sooner"}));
    server.delay(Duration::ZERO);
    client.advance(SECOND);
    assert_eq!(request_ids(&client), ["sooner", "later"]);
}

#[test]
fn jobs_of_a_closed_connection_are_forgotten() {
    let server = FakeServer::new();
    server.view("tools", View::new().action("slow", |_| Answer::ok(1).after(SECOND).detached()));
    let client = Client::new(&server);
    client.send("tools", &json!({"action": "slow"}));
    assert!(server.poll_timeout().is_some());
    server.disconnected(client.connection);
    assert_eq!(server.poll_timeout(), None);
}

#[test]
#[should_panic(expected = "must not use the server")]
fn default_that_uses_the_server_panics_instead_of_waiting_for_ever() {
    let server = tasks();
    let handle = server.clone();
    let position =
        Field::integer("position").default_with(move || handle.rows("tasks").len().into());
    server.model("cards", Model::new().field(position));
    server.insert("cards", json!({}));
}

#[test]
fn closure_that_is_replaced_may_own_a_hold() {
    within_seconds(|| {
        let server = tasks();
        let hold = |server: &FakeServer| server.hold("tasks", "list");
        for _ in 0..2 {
            let mine = hold(&server);
            server.intercept(move |_| {
                let _ = &mine;
                None
            });
            let mine = hold(&server);
            server.events_with(move |_| {
                let _ = &mine;
                Fate::Deliver
            });
            let mine = hold(&server);
            server.delay_with(move |_| {
                let _ = &mine;
                Duration::ZERO
            });
            let mine = hold(&server);
            let silence = move |_: &mut Action<'_>| {
                let _ = &mine;
                Answer::silence()
            };
            server.view("tools", View::new().action("silence", silence));
        }
        let client = Client::new(&server);
        server.view("tools", View::new());
        server.disconnected(client.connection);
    });
}

/// A task with a connection, which its last waker drops.
struct Task(Client);

impl Wake for Task {
    fn wake(self: Arc<Self>) {}
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.server.disconnected(self.0.connection);
    }
}

#[test]
fn waker_that_is_replaced_or_forgotten_may_drop_a_task() {
    within_seconds(|| {
        let server = tasks();
        let client = Client::new(&server);
        let wait = |waker: Waker| server.wake_for_output(client.connection, &waker);
        wait(Arc::new(Task(Client::new(&server))).into());
        wait(Arc::new(Task(Client::new(&server))).into());
        assert_eq!(server.connections(), 2);
        server.disconnected(client.connection);
        assert_eq!(server.connections(), 0);
    });
}

#[test]
fn rows_of_a_restarted_server_have_their_first_keys() {
    let server = FakeServer::new();
    let model = Model::new().uuid_keys().field(Field::text("title"));
    server.model("tasks", model.rows([json!({"title": "one"}), json!({"title": "two"})]));
    let rows = server.rows("tasks");
    server.restart_without_rows();
    assert_eq!(server.rows("tasks"), rows);
}

#[test]
fn slug_with_a_length_stays_a_slug() {
    let server = FakeServer::new();
    server.model("tags", Model::new().field(Field::slug("name").max_length(3)));
    let client = Client::new(&server);
    let errors = |name: &str| {
        let create = json!({"action": "create", "data": {"name": name}});
        client.call("tags", &create)["errors"][0]["name"].as_array().map_or(0, Vec::len)
    };
    assert_eq!([errors("a-b"), errors("a b"), errors("abcd"), errors("a b c")], [0, 1, 1, 2]);
}

#[test]
fn bare_endpoint_is_accepted_once_its_stream_is_ready() {
    let server = tasks();
    server.bare("/ws/tasks/", "tasks");
    server.ready_after("tasks", SECOND);
    let mut client = Client::new(&server);
    client.connection = server.connect(Handshake::new("/ws/tasks/"), client.now).unwrap();
    server.receive(client.connection, r#"{"action": "list"}"#, client.now);
    assert!(matches!(client.outputs()[..], [Output::Text(_)]));
}

#[test]
fn frames_that_are_no_strict_json_are_replayed_as_they_are() {
    let lines = [
        Line::new(1, Direction::ToClient, r#"{"stream":"tools","payload":{"ratio":NaN}}"#),
        Line::new(1, Direction::ToServer, "one"),
        Line::new(1, Direction::ToClient, r#"{"id":123456789012345678901234567890}"#),
    ];
    let server = FakeServer::replay(&lines);
    let client = Client::new(&server);
    assert_eq!(client.outputs(), [Output::Text(lines[0].text.clone())]);
    server.receive(client.connection, "one", client.now);
    assert_eq!(client.outputs(), [Output::Text(lines[2].text.clone())]);
    server.receive(client.connection, "two", client.now);
    assert!(matches!(client.outputs()[..], [Output::Close { code: 1011, .. }]));
}

#[test]
#[should_panic(expected = "at least one row")]
fn pages_without_rows_are_a_mistake_of_the_test() {
    drop(View::of("tasks").pages(Pages::Streamed { default_limit: 0 }));
}

#[test]
fn interceptor_that_panics_once_stays() {
    let server = tasks();
    server.intercept(|call| {
        assert_ne!(call.action, "list");
        Some(Answer::ok("intercepted"))
    });
    let client = Client::new(&server);
    let list = || client.send("tasks", &json!({"action": "list"}));
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(list)).unwrap_err();
    let client = Client::new(&server);
    assert_eq!(
        client.call("tasks", &json!({"action": "retrieve", "pk": 1}))["data"],
        "intercepted"
    );
}

#[test]
fn hold_is_not_reached_by_an_event_for_a_closed_connection() {
    let server = tasks();
    let mut client = Client::new(&server);
    client.call("tasks", &json!({"action": "subscribe_all", "request_id": "S"}));
    server.delay_events(SECOND);
    server.update("tasks", 1, json!({"title": "new"}));
    let held = server.hold_events("tasks");
    server.drop_connections();
    client.advance(SECOND);
    assert!(!held.is_reached());
}

#[test]
#[should_panic(expected = "has no field `projekt`")]
fn filter_of_no_field_is_a_mistake_of_the_test() {
    let server = tasks();
    server.view("tasks", View::of("tasks").filter("projekt"));
}

#[test]
fn detached_reply_is_held_and_its_stream_is_not() {
    let server = tasks();
    let feed = Feed::new("subscribe_all").acknowledged_after(Duration::ZERO, Value::Null);
    server.view("tasks", View::of("tasks").feed(feed));
    let client = Client::new(&server);
    let held = server.hold_reply("tasks", "subscribe_all");
    client.send("tasks", &json!({"action": "subscribe_all", "request_id": "S"}));
    assert!(held.is_reached());
    server.update("tasks", 1, json!({"title": "new"}));
    let actions = |client: &Client| {
        client.payloads().iter().map(|its| its["action"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(actions(&client), ["update"]);
    held.release();
    assert_eq!(actions(&client), ["subscribe_all"]);
}

#[test]
fn rows_that_refer_are_deleted_before_and_from_the_last_on() {
    let server = FakeServer::new();
    server.model("tasks", Model::new().row(json!({})));
    let task = Field::key_of("task", "tasks");
    server.model("memos", Model::new().field(task).rows([json!({"task": 1}), json!({"task": 1})]));
    server.view("memos", View::of("memos").feed(Feed::new("subscribe_all")));
    let client = Client::new(&server);
    client.call("memos", &json!({"action": "subscribe_all", "request_id": "S"}));
    server.delete("tasks", 1);
    let pks: Vec<_> = client.payloads().iter().map(|its| its["data"]["id"].clone()).collect();
    assert_eq!(pks, [2, 1]);
}

#[test]
#[should_panic(expected = "has no field `rnak`")]
fn order_by_no_field_is_a_mistake_of_the_test() {
    FakeServer::new().model("tasks", Model::new().order_by("rnak"));
}

struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn advance_wakes_for_the_earlier_timeout() {
    let server = FakeServer::new();
    server.view("tools", View::new().action("slow", |_| Answer::ok(1).after(10 * SECOND)));
    let client = Client::new(&server);
    client.send("tools", &json!({"action": "slow"}));
    let wakes = Arc::new(Wakes(AtomicUsize::new(0)));
    server.wake_for_output(client.connection, &wakes.clone().into());
    assert_eq!(server.poll_timeout(), Some(client.now + 10 * SECOND));
    server.advance(4 * SECOND);
    assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
    assert_eq!(server.poll_timeout(), Some(client.now + 6 * SECOND));
}

#[test]
fn feed_with_names_of_its_own() {
    let server = FakeServer::new();
    let issues = Model::new().field(Field::integer("project")).row(json!({"project": 1}));
    server.model("issues", issues);
    let feed = Feed::new("follow").unsubscribe("unfollow_all");
    server.view("issues", View::of("issues").feed(feed.group_by_argument("project", "of")));
    let client = Client::new(&server);
    let call = |action: &str| {
        let call = json!({"action": action, "of": 1, "request_id": "S"});
        client.call("issues", &call)["response_status"].take()
    };
    assert_eq!(call("follow"), 201);
    server.update("issues", 1, json!({"project": 2}));
    assert_eq!(client.payloads()[0]["action"], "delete");
    assert_eq!([call("unfollow"), call("unfollow_all")], [405, 204]);
    assert_eq!(server.subscriptions(), []);
}
