//! The test server again, as a fake server in memory: the same streams, models, rows, feeds, pages, permissions and
//! actions as `tests/server`, except `controls` and the paths that are about handshakes only.

use std::time::Duration;

use dcrf_proto::fake_server::{Action, Answer, Call, FakeServer, Feed, Field, Model, Pages, View};
use serde_json::{Value, json};

/// The largest page of the entries.
const LARGEST_PAGE: usize = 1000;

/// The actions that a view has for its model, without `retrieve` and those of instances.
const WRITES_AND_LIST: [&str; 5] = ["list", "create", "update", "patch", "delete"];

/// A fake server that answers as the real test server does.
///
/// A model has Django's name, which is part of an error message. So there is a stream of that name too, which the real
/// server does not have.
#[must_use]
pub fn mirror() -> FakeServer {
    let server = FakeServer::new();
    add_models(&server);
    let streams = board().into_iter().chain(live());
    for (stream, view) in streams {
        server.view(stream, view);
        server.bare(&format!("/ws/bare/{stream}/"), stream);
    }
    server
}

fn add_models(server: &FakeServer) {
    let task = Model::new()
        .pk_field("pk")
        .field(Field::text("title").max_length(50))
        .field(Field::boolean("done").default_value(false))
        .field(Field::integer("priority").default_value(0))
        .rows((1..=5).map(|n| json!({"title": format!("task {n}"), "priority": n})));
    server.model("task", task);
    let memo = Model::new()
        .field(Field::text("text").max_length(200))
        .field(Field::key_of("task", "task").nullable())
        .rows((1..=3).map(|n| json!({"text": format!("memo {n}")})));
    server.model("memo", memo);
    let gadget =
        Model::new().uuid_keys().field(Field::text("name").max_length(50)).order_by("name");
    let gadgets = ["anvil", "bell"]
        .into_iter()
        .zip(1..)
        .map(|(name, n)| json!({"id": format!("00000000-0000-0000-0000-{n:012}"), "name": name}));
    server.model("gadget", gadget.rows(gadgets));
    let row = Model::new().field(Field::text("label").max_length(50));
    server.model("row", row.rows((1..=8).map(|n| json!({"label": format!("row {n}")}))));
    for name in ["card", "note", "post", "sensor"] {
        server.model(name, record().rows(titles(name, 3)));
    }
    server.model("entry", record().rows(titles("entry", 100)));
    let issues = [1, 1, 2, 2]
        .into_iter()
        .zip(1..)
        .map(|(project, n)| json!({"title": format!("issue {n}"), "project": project}));
    let project = Field::integer("project").default_value(1);
    server.model("issue", record().field(project).rows(issues));
    let slug = Field::slug("slug").unique().default_with(|| {
        let number = fastrand::u64(..);
        format!("{number:016x}").into()
    });
    let articles =
        (1..=3).map(|n| json!({"title": format!("article {n}"), "slug": format!("article-{n}")}));
    server.model("article", record().field(slug).rows(articles));
}

/// A model of `live`.
fn record() -> Model {
    Model::new().field(Field::text("title").max_length(100)).updated_at("updated_at")
}

fn titles(name: &str, count: u32) -> impl Iterator<Item = Value> {
    (1..=count).map(move |n| json!({"title": format!("{name} {n}")}))
}

fn board() -> Vec<(&'static str, View)> {
    let guarded = without(View::of("task"), &WRITES_AND_LIST);
    let docs_feed = without(View::of("memo"), &WRITES_AND_LIST);
    let no_instances = ["retrieve", "subscribe_instance", "unsubscribe_instance"];
    let docs_feed = without(docs_feed, &no_instances);
    let rows = || without(without(View::of("row"), &WRITES_AND_LIST[1..]), &no_instances);
    vec![
        ("tasks", tasks()),
        ("memos", View::of("memo").feed(all())),
        ("docs_feed", docs_feed.feed(all().as_documented())),
        ("gadgets", View::of("gadget").feed(all().keys_only())),
        ("row_pages", rows().pages(Pages::Offset { default_limit: 3, max_limit: None })),
        ("row_stream", rows().pages(Pages::Streamed { default_limit: 3 })),
        ("tools", tools()),
        ("private", tasks().permission(is_authenticated)),
        ("guarded", guarded.permission(|call| call.action != "update")),
    ]
}

fn live() -> Vec<(&'static str, View)> {
    let entries = |pages| View::of("entry").feed(all()).pages(pages);
    let max_size = Some(LARGEST_PAGE);
    vec![
        ("cards", View::of("card").feed(all())),
        ("notes", View::of("note").feed(all().keys_only())),
        ("posts", View::of("post").feed(all().as_documented())),
        ("anonymous_posts", View::of("post").feed(all().without_request_ids())),
        (
            "issues",
            View::of("issue")
                .filter("project")
                .feed(Feed::new("subscribe_project").group_by("project")),
        ),
        ("sensors", View::of("sensor")),
        ("articles", View::of("article").lookup_field("slug").feed(all())),
        ("broken_articles", View::of("article").lookup_field_only("slug")),
        ("entries_by_offset", entries(Pages::Offset { default_limit: 20, max_limit: max_size })),
        ("entries_by_number", entries(Pages::Number { size: 20, max_size })),
        ("entries_by_cursor", entries(Pages::Cursor { size: 20, max_size })),
    ]
}

fn all() -> Feed {
    Feed::new("subscribe_all")
}

fn tasks() -> View {
    let late = Feed::new("subscribe_late_reply").same_as("subscribe_all");
    View::of("task")
        .feed(all())
        // The real one takes the delay as an argument: ours is that of a caller who sends 0.
        .feed(late.acknowledged_after(Duration::ZERO, json!({"subscribed": true})))
        .feed(Feed::new("subscribe_priority").group_by("priority"))
}

fn without(view: View, actions: &[&'static str]) -> View {
    actions.iter().fold(view, |view, action| view.without(action))
}

fn is_authenticated(call: &Call) -> bool {
    user_of(call) != "AnonymousUser"
}

/// The user whom the token in the query names.
fn user_of(call: &Call) -> &'static str {
    let is_alice = |argument: &str| argument == "token=tok-alice";
    if call.handshake.query.split('&').any(is_alice) { "alice" } else { "AnonymousUser" }
}

fn tools() -> View {
    View::new()
        .action("echo", |action| Answer::ok(action.arguments.clone()))
        .action("echo_sync", |action| Answer::ok(action.arguments.clone()))
        .action("slow", |action| match slept(action) {
            Some((seconds, answer)) => answer.after(seconds).detached(),
            None => Answer::raise().detached(),
        })
        .action("slow_inline", |action| match slept(action) {
            Some((seconds, answer)) => answer.after(seconds),
            None => Answer::raise(),
        })
        .action("mute", |_| Answer::silence())
        .action("fail", |action| fail(action.argument("kind")))
        .action("crash", |_| Answer::raise())
        .action("status", |action| match action.argument("code") {
            Some(code) => Answer::status(code.clone(), action.data().clone()),
            None => Answer::raise(),
        })
        .action("push", push)
        .action("big", |action| match action.argument("size").and_then(Value::as_u64) {
            Some(size) => Answer::ok("x".repeat(usize::try_from(size).unwrap_or(0))),
            None => Answer::raise(),
        })
        .action("whoami", |action| {
            let (user, path) = (user_of(action), action.handshake.path.as_str());
            let query = action.handshake.query.as_str();
            Answer::ok(json!({"user": user, "subprotocols": [], "path": path, "query": query}))
        })
        .action("hangup", |action| Answer::hang_up(code_of(action).unwrap_or(1000)))
        .action("kick", |action| match code_of(action) {
            Some(code) => {
                let reason = action.argument("reason").and_then(Value::as_str);
                Answer::close(code, reason.unwrap_or_default())
            }
            None => Answer::raise(),
        })
}

fn slept(action: &Action<'_>) -> Option<(Duration, Answer)> {
    let seconds = action.argument("seconds")?;
    // Python doesn't sleep for a negative time.
    let duration = Duration::try_from_secs_f64(seconds.as_f64()?.max(0.0)).ok()?;
    Some((duration, Answer::ok(json!({"slept": seconds}))))
}

fn fail(kind: Option<&Value>) -> Answer {
    match kind.and_then(Value::as_str) {
        Some("dict") => Answer::error(400, json!({"field": ["bad value"]})),
        Some("list") => Answer::error(400, json!(["first", "second"])),
        Some("str") => Answer::error(400, json!("plain")),
        Some("404") => Answer::error(404, json!("no such thing")),
        Some("403") => Answer::error(403, json!("not for you")),
        _ => Answer::raise(),
    }
}

fn push(action: &mut Action<'_>) -> Answer {
    let Some(count) = action.argument("count").and_then(Value::as_u64) else {
        return Answer::raise();
    };
    for n in 0..count {
        action.push(json!({"type": "tick", "n": n}));
    }
    Answer::ok(json!({"pushed": count}))
}

fn code_of(action: &Action<'_>) -> Option<u16> {
    action.argument("code")?.as_u64()?.try_into().ok()
}
