//! Rows: their keys, their order, and the writes that are undone.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;

fn titles(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|row| row["title"].as_str().unwrap()).collect()
}

fn events(client: &Client) -> Vec<Value> {
    client.payloads().iter().map(|its| its["action"].clone()).collect()
}

#[test]
fn row_is_looked_up_by_the_name_of_its_key() {
    let server = tasks();
    server.view("tasks", View::of("tasks").lookup_field("pk"));
    server.model("memos", Model::new().row(json!({})));
    server.view("memos", View::of("memos").lookup_field_only("id"));
    let client = Client::new(&server);
    let task = client.call("tasks", &json!({"action": "retrieve", "pk": "2"}));
    assert_eq!(task["data"]["title"], "two");
    let memo = client.call("memos", &json!({"action": "retrieve", "id": 1}));
    assert_eq!(memo["data"], json!({"id": 1}));
}

/// Creates, changes and deletes a row, and ends as `end` says.
fn writing(end: Answer) -> FakeServer {
    let server = tasks();
    let write = move |action: &mut Action<'_>| {
        action.atomic();
        action.insert("tasks", json!({"title": "three"}));
        action.update("tasks", &json!(2), json!({"title": "new"}));
        action.delete("tasks", &json!(1));
        end.clone()
    };
    let feed = Feed::new("subscribe_all");
    server.view("tasks", View::of("tasks").feed(feed).action("write", write));
    server
}

#[test]
fn atomic_action_that_fails_is_rolled_back() {
    for end in [Answer::raise(), Answer::error(400, "no")] {
        let server = writing(end);
        let before = server.rows("tasks");
        let (writer, other) = (Client::new(&server), Client::new(&server));
        other.call("tasks", &json!({"action": "subscribe_all", "request_id": "S"}));
        writer.send("tasks", &json!({"action": "write"}));
        assert_eq!((server.rows("tasks"), events(&other)), (before, vec![]));
    }
}

#[test]
fn atomic_action_that_succeeds_is_committed() {
    let server = writing(Answer::ok(1));
    let client = Client::new(&server);
    client.call("tasks", &json!({"action": "subscribe_all", "request_id": "S"}));
    client.send("tasks", &json!({"action": "write"}));
    assert_eq!(titles(&server.rows("tasks")), ["new", "three"]);
    assert_eq!(events(&client), ["write", "create", "update", "delete"]);
}

#[test]
fn row_that_is_restored_keeps_its_place() {
    let server = FakeServer::new();
    let row = |title: &str| json!({"title": title, "rank": 1});
    let fields = Model::new().field(Field::text("title")).field(Field::integer("rank"));
    server.model("tasks", fields.order_by("rank").rows([row("a"), row("b"), row("c")]));
    let write = |action: &mut Action<'_>| {
        action.atomic();
        action.delete("tasks", &json!(2));
        Answer::raise()
    };
    server.view("tasks", View::of("tasks").action("write", write));
    Client::new(&server).send("tasks", &json!({"action": "write"}));
    assert_eq!(titles(&server.rows("tasks")), ["a", "b", "c"]);
}

#[test]
fn interceptor_that_performs_the_call_too_may_push_and_cancel() {
    let server = tasks();
    server.answer_next("tasks", "count", Answer::ok(1).after(Duration::from_secs(1)).detached());
    let mut client = Client::new(&server);
    client.send("tasks", &json!({"action": "count", "request_id": "A"}));
    server.intercept(|action| {
        action.push(json!({"type": "tick"}));
        action.cancel("A".into());
        None
    });
    client.send("tasks", &json!({"action": "retrieve", "pk": 1}));
    client.advance(Duration::from_secs(1));
    let payloads = client.payloads();
    assert_eq!((&payloads[0]["type"], &payloads[1]["data"]["pk"]), (&json!("tick"), &json!(1)));
    assert_eq!(payloads.len(), 2);
}

#[test]
fn interceptor_that_writes_publishes_though_the_call_raises() {
    let server = tasks();
    server.intercept(|action| {
        if action.action == "retrieve" {
            action.insert("tasks", json!({"title": "three"}));
        }
        None
    });
    let (client, other) = (Client::new(&server), Client::new(&server));
    other.call("tasks", &json!({"action": "subscribe_all", "request_id": "S"}));
    client.send("tasks", &json!({"action": "retrieve"}));
    assert_eq!(events(&other), ["create"]);
}

#[test]
fn rows_are_ordered_by_any_scalar() {
    let order = |order: &str, values: [Value; 4]| {
        let server = FakeServer::new();
        let model = Model::new().field(Field::any("value")).order_by(order);
        server.model("rows", model.rows(values.map(|value| json!({"value": value}))));
        let rows = server.rows("rows");
        rows.iter().map(|row| row["id"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    let booleans = || [json!(true), json!(false), json!(true), json!(false)];
    assert_eq!(order("value", booleans()), [2, 4, 1, 3]);
    assert_eq!(order("-value", booleans()), [1, 3, 2, 4]);
    let floats = || [json!(2.5), json!(-1.5), json!(2), json!(null)];
    assert_eq!(order("value", floats()), [4, 2, 3, 1]);
    assert_eq!(order("-value", floats()), [1, 3, 2, 4]);
    assert_eq!(order("-id", floats()), [4, 3, 2, 1]);
    let large = [json!(i64::MAX), json!(i64::MAX - 1), json!(i64::MIN), json!(0)];
    assert_eq!(order("value", large), [3, 4, 2, 1]);
}

#[test]
fn row_with_an_impossible_key_is_a_mistake_of_the_test() {
    let server = tasks();
    let insert = |row: Value| {
        let insert = AssertUnwindSafe(|| server.insert("tasks", row));
        catch_unwind(insert).map_err(|panic| panic.downcast_ref::<String>().unwrap().clone())
    };
    let error = insert(json!({"pk": "a-1", "title": "x"})).unwrap_err();
    assert_eq!(error, "\"a-1\" can't be a key of `tasks`");
    assert_eq!(insert(json!({"pk": null, "title": "x"})), Ok(json!(3)));
    assert_eq!(insert(json!({"pk": i64::MAX, "title": "x"})), Ok(json!(i64::MAX)));
}

#[test]
fn rows_of_bulk_insert_give_no_event() {
    let server = tasks();
    let client = Client::new(&server);
    client.call("tasks", &json!({"action": "subscribe_all", "request_id": "S"}));
    let rows = [json!({"title": "three"}), json!({"pk": 9, "title": "nine"})];
    assert_eq!(server.bulk_insert("tasks", rows), [3, 9]);
    assert_eq!(titles(&server.rows("tasks")), ["one", "two", "three", "nine"]);
    server.update("tasks", 9, json!({"title": "new"}));
    assert_eq!(events(&client), ["update"]);
}

#[test]
fn blank_text_is_valid_and_the_default() {
    let server = FakeServer::new();
    let model = Model::new()
        .field(Field::text("note").blank().max_length(3))
        .field(Field::slug("slug").blank())
        .field(Field::text("maybe").blank().nullable());
    server.model("tasks", model);
    let client = Client::new(&server);
    let create = |data: Value| client.call("tasks", &json!({"action": "create", "data": data}));
    let row = |id: u32, note: &str, slug: &str, maybe: Value| json!({"id": id, "note": note, "slug": slug, "maybe": maybe});
    assert_eq!(create(json!({}))["data"], row(1, "", "", json!(null)));
    let given = json!({"note": " ", "slug": "", "maybe": ""});
    assert_eq!(create(given)["data"], row(2, "", "", json!("")));
    let errors = create(json!({"note": "long", "slug": null}))["errors"][0].take();
    assert_eq!(errors["note"], json!(["Ensure this field has no more than 3 characters."]));
    assert_eq!(errors["slug"], json!(["This field may not be null."]));
}

#[test]
#[should_panic(expected = "`done` is not a text field and can't be blank")]
fn blank_boolean_is_a_mistake_of_the_test() {
    drop(Field::boolean("done").blank());
}

#[test]
fn read_only_fields_are_ignored_from_clients() {
    let server = FakeServer::new();
    let model = Model::new()
        .field(Field::text("title"))
        .field(Field::text("owner").read_only())
        .field(Field::integer("rank").default_value(7).read_only());
    server.model("tasks", model);
    let client = Client::new(&server);
    let data = json!({"title": "x", "owner": "eve", "rank": "abc"});
    let created = client.call("tasks", &json!({"action": "create", "data": data}));
    assert_eq!(created["data"], json!({"id": 1, "title": "x", "owner": null, "rank": 7}));
    server.update("tasks", 1, json!({"owner": "alice"}));
    let patch = json!({"action": "patch", "pk": 1, "data": {"owner": "eve", "title": "y"}});
    let patched = client.call("tasks", &patch);
    assert_eq!(patched["data"], json!({"id": 1, "title": "y", "owner": "alice", "rank": 7}));
}

#[test]
fn list_selects_and_sorts_before_it_pages() {
    let server = FakeServer::new();
    let rows = (1..=6).map(|n| json!({"project": n % 2, "rank": 10 - n}));
    let fields = Model::new().field(Field::integer("project")).field(Field::integer("rank"));
    server.model("issues", fields.order_by("rank").rows(rows));
    let pages = Pages::Offset { default_limit: 2, max_limit: None };
    server.view("issues", View::of("issues").filter("project").filter("id").pages(pages));
    let client = Client::new(&server);
    let page = client.call("issues", &json!({"action": "list", "project": 1}));
    let results = json!([{"id": 5, "project": 1, "rank": 5}, {"id": 3, "project": 1, "rank": 7}]);
    assert_eq!(page["data"], json!({"count": 3, "results": results, "limit": 2, "offset": 0}));
    let page = client.call("issues", &json!({"action": "list", "id": 2}));
    assert_eq!(page["data"]["results"], json!([{"id": 2, "project": 0, "rank": 8}]));
}
