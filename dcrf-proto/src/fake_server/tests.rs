use std::time::{Duration, Instant};

use serde_json::{Value, json};

mod edges;
mod fuzz;
mod order;
mod rows;

use super::*;

mod mistakes;

/// A client that sends frames to a server at one moment, and takes what comes.
struct Client {
    server: FakeServer,
    connection: ConnectionId,
    now: Instant,
}

impl Client {
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn new(server: &FakeServer) -> Self {
        let now = Instant::now();
        let connection = server.connect(Handshake::new("/ws/"), now).unwrap();
        Self { server: server.clone(), connection, now }
    }

    fn send(&self, stream: &str, payload: &Value) {
        let frame = json!({"stream": stream, "payload": payload});
        self.server.receive(self.connection, &frame.to_string(), self.now);
    }

    fn outputs(&self) -> Vec<Output> {
        std::iter::from_fn(|| self.server.poll_output(self.connection)).collect()
    }

    /// The payloads that have come.
    fn payloads(&self) -> Vec<Value> {
        let outputs = self.outputs().into_iter();
        let payload = |output| match output {
            Output::Text(text) => serde_json::from_str::<Value>(&text).unwrap()["payload"].take(),
            other => panic!("{other:?}"),
        };
        outputs.map(payload).collect()
    }

    fn call(&self, stream: &str, payload: &Value) -> Value {
        self.send(stream, payload);
        let mut payloads = self.payloads();
        assert_eq!(payloads.len(), 1, "{payloads:?}");
        payloads.remove(0)
    }

    fn advance(&mut self, time: Duration) {
        self.now += time;
        self.server.handle_timeout(self.now);
    }
}

fn tasks() -> FakeServer {
    let server = FakeServer::new();
    let model = Model::new()
        .pk_field("pk")
        .field(Field::text("title").max_length(10))
        .field(Field::boolean("done").default_value(false))
        .rows([json!({"title": "one"}), json!({"title": "two"})]);
    server.model("tasks", model);
    server.view("tasks", View::of("tasks").feed(Feed::new("subscribe_all")));
    server
}

fn subscribe_instance(client: &Client, pk: u32, id: &str) {
    let reply =
        client.call("tasks", &json!({"action": "subscribe_instance", "pk": pk, "request_id": id}));
    assert_eq!(reply["response_status"], 201);
}

#[test]
fn rows_are_created_changed_and_deleted_with_the_words_of_the_framework() {
    let server = tasks();
    let client = Client::new(&server);
    let created =
        client.call("tasks", &json!({"action": "create", "data": {"title": "x"}, "request_id": 1}));
    assert_eq!(created["data"], json!({"pk": 3, "title": "x", "done": false}));
    assert_eq!(created["response_status"], 201);
    let invalid = json!({"title": "much too long", "done": null});
    let refused = client.call("tasks", &json!({"action": "patch", "pk": 3, "data": invalid}));
    let errors = json!([{
        "title": ["Ensure this field has no more than 10 characters."],
        "done": ["This field may not be null."],
    }]);
    assert_eq!(refused["errors"], errors);
    assert_eq!(refused["request_id"], Value::Null);
    let gone = client.call("tasks", &json!({"action": "delete", "pk": "3"}));
    assert_eq!((&gone["response_status"], &gone["data"]), (&json!(204), &Value::Null));
    let missing = client.call("tasks", &json!({"action": "retrieve", "pk": 3}));
    assert_eq!(missing["errors"], json!(["Not found"]));
    let unknown = client.call("tasks", &json!({"action": "nosuch"}));
    assert_eq!(unknown["errors"], json!(["Method \"nosuch\" not allowed."]));
    let none = client.call("tasks", &json!({"request_id": [1]}));
    assert_eq!(none["errors"], json!(["Unable to find action in message body."]));
    assert_eq!(none["request_id"], json!([1]));
}

#[test]
fn own_write_replies_before_its_event() {
    let client = Client::new(&tasks());
    client.call("tasks", &json!({"action": "subscribe_all", "request_id": "S"}));
    client.send("tasks", &json!({"action": "create", "data": {"title": "x"}, "request_id": "C"}));
    let ids: Vec<_> = client.payloads().iter().map(|its| its["request_id"].clone()).collect();
    assert_eq!(ids, ["C", "S"]);
}

#[test]
fn quirk_1_unsubscribing_after_an_event_silences_the_other_ids() {
    let server = tasks();
    let client = Client::new(&server);
    subscribe_instance(&client, 1, "A");
    subscribe_instance(&client, 1, "B");
    server.update("tasks", 1, json!({"title": "new"}));
    assert_eq!(client.payloads().len(), 2);
    client.call("tasks", &json!({"action": "unsubscribe_instance", "pk": 1, "request_id": "A"}));
    server.update("tasks", 1, json!({"title": "newer"}));
    assert_eq!(client.payloads().len(), 0);
    subscribe_instance(&client, 1, "C");
    server.update("tasks", 1, json!({"title": "newest"}));
    let ids: Vec<_> = client.payloads().iter().map(|its| its["request_id"].clone()).collect();
    assert_eq!(ids, ["B", "C"]);
}

#[test]
fn quirk_2_unsubscribing_removes_the_id_from_all_instances() {
    let server = tasks();
    let client = Client::new(&server);
    subscribe_instance(&client, 1, "A");
    subscribe_instance(&client, 2, "A");
    client.call("tasks", &json!({"action": "unsubscribe_instance", "pk": 1, "request_id": "A"}));
    server.update("tasks", 2, json!({"title": "new"}));
    assert_eq!(client.payloads().len(), 0);
}

#[test]
fn quirk_3_instances_are_read_when_the_event_is_delivered() {
    let server = tasks();
    let client = Client::new(&server);
    subscribe_instance(&client, 1, "A");
    let held = server.hold_events("tasks");
    server.update("tasks", 1, json!({"title": "new"}));
    server.delete("tasks", 1);
    assert!(held.is_reached());
    held.release();
    let events = client.payloads();
    assert_eq!(events[0]["errors"], json!(["Not found"]));
    assert_eq!(events[1]["data"], json!({"pk": 1}));
}

#[test]
fn quirk_4_events_over_the_capacity_are_lost() {
    let server = tasks();
    server.channel_capacity(2);
    let client = Client::new(&server);
    client.call("tasks", &json!({"action": "subscribe_all", "request_id": "S"}));
    let held = server.hold("tasks", "list");
    client.send("tasks", &json!({"action": "list", "request_id": "L"}));
    for _ in 0..3 {
        server.update("tasks", 1, json!({"title": "new"}));
    }
    assert_eq!(client.payloads().len(), 0);
    held.release();
    assert_eq!(client.payloads().len(), 3);
}

#[test]
fn quirk_5_writes_of_a_transaction_give_one_event() {
    let server = tasks();
    let write_twice = |action: &mut Action<'_>| {
        let pk = action.insert("tasks", json!({"title": "a"}));
        action.update("tasks", &pk, json!({"title": "b"}));
        Answer::silence()
    };
    let view = View::of("tasks").feed(Feed::new("subscribe_all"));
    server.view(
        "tasks",
        view.action("twice", write_twice).action("at_once", move |action| {
            action.atomic();
            write_twice(action)
        }),
    );
    let client = Client::new(&server);
    client.call("tasks", &json!({"action": "subscribe_all", "request_id": "S"}));
    let events = |action: &str| {
        client.send("tasks", &json!({"action": action}));
        let events = client.payloads().into_iter();
        events.map(|its| (its["action"].clone(), its["data"]["title"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(events("twice"), [(json!("create"), json!("a")), (json!("update"), json!("b"))]);
    assert_eq!(events("at_once"), [(json!("create"), json!("b"))]);
}

#[test]
fn quirk_6_denied_event_is_reported_and_delivered() {
    let server = tasks();
    server.view("tasks", View::of("tasks").permission(|call| call.action != "update"));
    let client = Client::new(&server);
    subscribe_instance(&client, 1, "A");
    server.update("tasks", 1, json!({"title": "new"}));
    let events = client.payloads();
    assert_eq!(
        (&events[0]["response_status"], &events[0]["request_id"]),
        (&json!(403), &Value::Null)
    );
    assert_eq!(events[1]["data"]["title"], "new");
}

#[test]
fn quirk_7_stream_that_has_closed_ends_the_connection_at_its_next_frame() {
    let server = tasks();
    server.view("tools", View::new().action("hangup", |_| Answer::hang_up(1000)));
    let client = Client::new(&server);
    client.send("tools", &json!({"action": "hangup"}));
    client.call("tasks", &json!({"action": "list"}));
    client.send("tools", &json!({"action": "hangup"}));
    assert!(matches!(client.outputs()[..], [Output::Close { code: 1011, .. }]));
}

#[test]
fn quirk_8_replies_of_a_shared_consumer_reach_the_last_connection() {
    let server = FakeServer::new();
    server.view("reports", View::new().shared().action("list", |_| Answer::ok(json!([]))));
    let (first, last) = (Client::new(&server), Client::new(&server));
    first.send("reports", &json!({"action": "list", "request_id": "first"}));
    assert_eq!(first.payloads().len(), 0);
    assert_eq!(last.payloads()[0]["request_id"], "first");
}

#[test]
fn quirk_9_multiplexed_frame_at_a_bare_endpoint_has_no_action() {
    let server = tasks();
    server.bare("/ws/tasks/", "tasks");
    let mut client = Client::new(&server);
    client.connection = server.connect(Handshake::new("/ws/tasks/"), client.now).unwrap();
    client.send("tasks", &json!({"action": "list", "request_id": 1}));
    let [Output::Text(text)] = &client.outputs()[..] else { panic!("no reply") };
    let reply: Value = serde_json::from_str(text).unwrap();
    assert_eq!((&reply["response_status"], &reply["request_id"]), (&json!(405), &Value::Null));
}

#[test]
fn held_list_has_read_its_rows() {
    let server = tasks();
    let client = Client::new(&server);
    let held = server.hold_reply("tasks", "list");
    client.send("tasks", &json!({"action": "list"}));
    server.delete("tasks", 1);
    held.release();
    assert_eq!(client.payloads()[0]["data"].as_array().unwrap().len(), 2);
}

#[test]
fn slow_action_blocks_its_stream_and_a_detached_one_does_not() {
    let server = tasks();
    let wait = Duration::from_secs(3);
    server.view(
        "tools",
        View::new()
            .action("slow", move |_| Answer::ok("slow").after(wait))
            .action("detached", move |_| Answer::ok("detached").after(wait).detached())
            .action("quick", |_| Answer::ok("quick")),
    );
    let mut client = Client::new(&server);
    for action in ["detached", "quick", "slow", "quick"] {
        client.send("tools", &json!({"action": action}));
    }
    assert_eq!(client.payloads().len(), 1);
    assert_eq!(server.poll_timeout(), Some(client.now + wait));
    client.advance(wait);
    let data: Vec<_> = client.payloads().iter().map(|its| its["data"].clone()).collect();
    assert_eq!(data, ["detached", "slow", "quick"]);
}

#[test]
fn events_are_lost_repeated_and_swapped() {
    let server = tasks();
    let client = Client::new(&server);
    client.call("tasks", &json!({"action": "subscribe_all", "request_id": "S"}));
    let titles = |client: &Client| {
        let events = client.payloads();
        events
            .iter()
            .map(|its| its["data"]["title"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    server.lose_events("tasks", 1);
    server.repeat_events("tasks", 1);
    for title in ["a", "b", "c"] {
        server.update("tasks", 1, json!({"title": title}));
    }
    assert_eq!(titles(&client), ["b", "b", "c"]);
    server.swap_events("tasks");
    for title in ["d", "e", "f"] {
        server.update("tasks", 1, json!({"title": title}));
    }
    assert_eq!(titles(&client), ["e", "d", "f"]);
}

#[test]
fn exception_closes_the_connection() {
    for (preset, end) in [
        (Preset::Daphne, Output::Close { code: 1011, reason: String::new() }),
        (Preset::Uvicorn, Output::Drop),
    ] {
        let server = FakeServer::on(preset);
        server.view("tools", View::new());
        let client = Client::new(&server);
        client.send("nosuch", &json!({"action": "list"}));
        assert_eq!(client.outputs(), [end]);
    }
}

#[test]
fn row_that_moves_between_groups_leaves_with_a_delete() {
    let server = FakeServer::new();
    server
        .model("issues", Model::new().field(Field::integer("project")).row(json!({"project": 1})));
    server.view(
        "issues",
        View::of("issues").feed(Feed::new("subscribe_project").group_by("project")),
    );
    let client = Client::new(&server);
    for project in [1, 2] {
        let call =
            json!({"action": "subscribe_project", "project": project, "request_id": project});
        client.call("issues", &call);
    }
    server.update("issues", 1, json!({"project": 2}));
    let events = client.payloads();
    let seen: Vec<_> = events.iter().map(|its| (&its["action"], &its["request_id"])).collect();
    assert_eq!(seen, [(&json!("delete"), &json!(1)), (&json!("create"), &json!(2))]);
    assert_eq!(events[0]["data"]["project"], 2);
}

#[test]
fn calls_are_asserted_once() {
    let server = tasks();
    let client = Client::new(&server);
    client.call("tasks", &json!({"action": "create", "data": {"title": "x", "done": true}}));
    let call = server.assert_called("tasks", "create", json!({"data": {"title": "x"}}));
    assert_eq!(call.data()["done"], true);
    server.assert_nothing_else();
    client.call("tasks", &json!({"action": "list"}));
    let message = std::panic::catch_unwind(|| server.assert_nothing_else()).unwrap_err();
    let message = message.downcast_ref::<String>().unwrap();
    assert!(message.contains("`list` on `tasks` with {}, connection 1"), "{message}");
}

#[test]
fn closure_that_uses_the_server_panics_instead_of_waiting_for_ever() {
    let server = tasks();
    let handle = server.clone();
    server.view("tools", View::new().action("peek", move |_| Answer::ok(handle.rows("tasks"))));
    let client = Client::new(&server);
    let call = || client.send("tools", &json!({"action": "peek"}));
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)).unwrap_err();
    assert!(panic.downcast_ref::<String>().unwrap().contains("must not use the server"));
    assert_eq!(server.rows("tasks").len(), 2);
}

#[test]
fn recorded_conversation_is_played_with_other_request_ids() {
    let server = tasks();
    let client = Client::new(&server);
    client.call("tasks", &json!({"action": "subscribe_all", "request_id": "recorded"}));
    server.update("tasks", 1, json!({"title": "new"}));
    client.payloads();
    let lines: Vec<String> = server.conversation().iter().map(Line::to_string).collect();
    let replay = FakeServer::replay(&Line::parse(&lines.join("\n")).unwrap());
    let client = Client::new(&replay);
    client.send("tasks", &json!({"action": "subscribe_all", "request_id": "mine"}));
    let frames = client.payloads();
    assert_eq!(frames[1]["data"]["title"], "new");
    assert!(frames.iter().all(|frame| frame["request_id"] == "mine"));
    replay.assert_replayed();
}

#[test]
fn restart_without_rows_brings_the_first_ones_back() {
    let server = tasks();
    let client = Client::new(&server);
    server.delete("tasks", 1);
    server.restart_without_rows();
    assert_eq!(client.outputs(), [Output::Drop]);
    assert_eq!(server.rows("tasks").len(), 2);
}

#[test]
fn quirk_10_frame_to_a_stream_that_is_not_ready_ends_the_connection() {
    let server = tasks();
    server.ready_after("tasks", Duration::from_secs(1));
    let client = Client::new(&server);
    client.send("tasks", &json!({"action": "list"}));
    assert!(matches!(client.outputs()[..], [Output::Close { code: 1011, .. }]));
    let mut client = Client::new(&server);
    client.advance(Duration::from_secs(1));
    client.call("tasks", &json!({"action": "list"}));
}

#[test]
fn pages_of_each_form() {
    let mut tables = super::table::Tables::new();
    assert!(tables.add("rows", Model::new().rows(vec![json!({}); 5])).is_ok());
    let rows = tables.select("rows", |_| true);
    let page = |pages: &Pages, arguments: Value| {
        let Value::Object(arguments) = arguments else { panic!() };
        match pages.list(&rows, &arguments, &mut None) {
            super::pages::Listed::Page(page) => page,
            _ => panic!("no page"),
        }
    };
    let offset = Pages::Offset { default_limit: 2, max_limit: Some(3) };
    let wanted = json!({"count": 5, "results": [{"id": 4}, {"id": 5}], "limit": 3, "offset": 3});
    assert_eq!(page(&offset, json!({"limit": 9, "offset": "3"})), wanted);
    assert_eq!(page(&offset, json!({"limit": 0}))["limit"], 2);
    let number = Pages::Number { size: 2, max_size: Some(4) };
    let third = page(&number, json!({"page": 3}));
    assert_eq!((&third["next"], &third["previous"]), (&Value::Null, &json!(2)));
    let cursor = Pages::Cursor { size: 2, max_size: None };
    let mut arguments = json!({});
    let mut seen = Vec::new();
    loop {
        let page = page(&cursor, arguments);
        seen.extend(page["results"].as_array().unwrap().clone());
        if page["next"].is_null() {
            break;
        }
        arguments = json!({"cursor": page["next"]});
    }
    assert_eq!(seen.len(), 5);
}

#[test]
#[should_panic(expected = "`tasks` has no field `titel`")]
fn field_that_does_not_exist_is_a_mistake_of_the_test() {
    tasks().insert("tasks", json!({"titel": "typo"}));
}
