//! The streams `tasks` and `notes`: rows with a version that grows with every commit.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use dcrf_proto::fake_server::{Action, Answer, FakeServer, Feed, Field, Model, Pages, View};
use fastrand::Rng;
use serde_json::{Value, json};

use super::{Dice, LARGE, Server, lock};

/// A subscribe to this object makes the consumer raise, if the scenario has poison.
pub(crate) const POISON: u64 = 1;

const PAGE: usize = 3;
/// Tables don't grow beyond this.
const MAX_ROWS: usize = 12;

/// How the server names the pages of a list.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pagination {
    Offset,
    Number,
    /// As a view behind `view_as_consumer` does.
    Url,
    Cursor,
}

pub(super) fn add(fake: &FakeServer, dice: &Arc<Mutex<Dice>>, pagination: Pagination) {
    for (at, stream) in ["tasks", "notes"].into_iter().enumerate() {
        let model = Model::new().pk_field("pk").field(Field::integer("version"));
        let pks = (0..6).map(|nth| 2 * nth + 1 + at);
        fake.model(stream, model.rows(pks.map(|pk| json!({"pk": pk, "version": pk}))));
        let view = View::of(stream).feed(Feed::new("subscribe_feed")).feed(
            Feed::new("subscribe_mute").unacknowledged().payload(|event| {
                let (action, id) = (event.action, event.request_id);
                json!({"message": event.row, "action": action, "request_id": id})
            }),
        );
        let view = if stream == "notes" { paged(view, pagination) } else { view };
        fake.view(stream, replies(writes(view, dice), dice));
    }
    lock(dice).version = 12;
}

fn paged(view: View, pagination: Pagination) -> View {
    match pagination {
        Pagination::Offset => view.pages(Pages::Offset { default_limit: PAGE, max_limit: None }),
        Pagination::Number => view.pages(Pages::Number { size: PAGE, max_size: None }),
        Pagination::Cursor => view.pages(Pages::Cursor { size: PAGE, max_size: None }),
        Pagination::Url => view.action("list", |action| {
            let query = action.argument("query").and_then(|query| query["page"].as_str());
            let page: usize = query.and_then(|page| page.parse().ok()).unwrap_or(1);
            let rows = action.rows("notes");
            let next = (page * PAGE < rows.len())
                .then(|| format!("http://server/notes/?page={}", page + 1));
            let results: Vec<_> = rows.iter().skip((page - 1) * PAGE).take(PAGE).collect();
            let (count, previous) = (rows.len(), Value::Null);
            Answer::ok(
                json!({"count": count, "next": next, "previous": previous, "results": results}),
            )
        }),
    }
}

/// Adds the actions that read and write rows. A written row has an echo of the request's number.
fn writes(view: View, dice: &Arc<Mutex<Dice>>) -> View {
    let (of_creates, of_patches) = (dice.clone(), dice.clone());
    let row = |action: &Action<'_>, pk: &Value| {
        let mut row = action.row(&action.stream, pk)?;
        row["echo"] = action.argument("number").cloned().unwrap_or_default();
        Some(row)
    };
    view.action("retrieve", |action| {
        let Some(mut row) = action.row(&action.stream, pk(action)) else { return not_found() };
        // It looks like a page.
        (row["results"], row["count"], row["limit"]) = (json!([]), json!(9), json!(3));
        Answer::ok(row)
    })
    .action("create", move |action| {
        let stream = action.stream.clone();
        if action.rows(&stream).len() >= MAX_ROWS {
            return not_found();
        }
        let pk = action.insert(&stream, json!({"version": lock(&of_creates).next_version()}));
        Answer::status(201, row(action, &pk))
    })
    .action("patch", move |action| {
        let (stream, pk) = (action.stream.clone(), pk(action).clone());
        let version = lock(&of_patches).next_version();
        action.update(&stream, &pk, json!({"version": version}));
        row(action, &pk).map_or_else(not_found, Answer::ok)
    })
    .action("delete", |action| {
        let (stream, pk) = (action.stream.clone(), pk(action).clone());
        if action.delete(&stream, &pk) { Answer::status(204, Value::Null) } else { not_found() }
    })
}

/// Adds the actions that reply in every way, or not at all.
fn replies(view: View, dice: &Arc<Mutex<Dice>>) -> View {
    let (of_detached, of_crashes) = (dice.clone(), dice.clone());
    view.action("echo", |action| echo(action))
        .action("slow", |action| echo(action))
        .action("detached", move |action| {
            let mut dice = lock(&of_detached);
            let is_slow = dice.random.f64() < dice.slow_rate;
            echo(action).after(dice.service_time(is_slow)).detached()
        })
        .action(
            "crash",
            move |action| {
                if lock(&of_crashes).is_healthy { echo(action) } else { Answer::raise() }
            },
        )
        .action("large", |_| Answer::ok(LARGE))
        .action("refuse", |_| Answer::error(400, "no"))
        // A status that is not a number.
        .action("oddly", |_| Answer::error("bad", "no"))
        .action("never", |_| Answer::silence())
        .action("said", |_| Answer::silence())
        .action("print", |action| {
            let number = |name| action.argument(name).and_then(Value::as_u64).unwrap_or_default();
            let reply = |at| json!({"echo": number("number"), "at": at});
            let pause = Duration::from_millis(number("pause"));
            Answer::replies((0..number("count")).map(reply), pause)
        })
        .action("stop", |action| {
            action.cancel(action.request_id.clone());
            Answer::silence()
        })
}

fn echo(action: &Action<'_>) -> Answer {
    Answer::ok(json!({"echo": action.argument("number")}))
}

fn pk<'a>(action: &'a Action<'_>) -> &'a Value {
    action.argument("pk").unwrap_or(&Value::Null)
}

fn not_found() -> Answer {
    Answer::error(404, "no")
}

impl Dice {
    pub(super) fn next_version(&mut self) -> u64 {
        self.version += 1;
        self.version
    }
}

impl Server {
    /// Another program writes a task or a note.
    pub(crate) fn commit(&mut self, random: &mut Rng) {
        let stream = ["tasks", "tasks", "notes"][random.usize(..3)];
        let Some(pk) = self.any(stream, random) else { return };
        let version = json!({"version": self.dice().next_version()});
        match random.u64(..20) {
            0 | 1 if self.fake.keys(stream).len() < MAX_ROWS => {
                self.fake.insert(stream, version);
            }
            // Notes are read in pages, and a delete would shift the following pages.
            2 if stream == "tasks" => {
                self.fake.delete(stream, pk);
            }
            _ => {
                self.fake.update(stream, pk, version);
            }
        }
    }
}
