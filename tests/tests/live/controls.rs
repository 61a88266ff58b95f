//! The controls: writes without events, races with a known outcome, and slow lists.

use dcrf_tests::server::{Kind, Server};
use serde_json::{Value, json};

use crate::socket::{Socket, event};
use crate::{connect, start};

#[test]
fn bulk_writes_send_no_events() {
    let (_server, mut watcher, mut writer) = start("live_bulk");
    let id = watcher.subscribe("cards", "subscribe_all", json!({}));
    let before = watcher.list("cards", json!({}));
    let control = |writer: &mut Socket, action: &str, arguments: Value| {
        writer.data("controls", action, arguments)
    };

    let created = json!({"model": "card", "count": 3, "data": {"title": "bulk"}});
    assert_eq!(control(&mut writer, "bulk_create", created), json!({"pks": [4, 5, 6]}));
    let updated = json!({"model": "card", "pks": [1], "data": {"title": "silent"}});
    assert_eq!(control(&mut writer, "bulk_update", updated), json!({"changed": 1}));
    let deleted = json!({"model": "card", "pks": [2]});
    assert_eq!(control(&mut writer, "raw_delete", deleted), json!({"deleted": 1}));

    // The next event is that of the next row.
    let row = writer.data("cards", "create", json!({"data": {"title": "new"}}));
    assert_eq!(watcher.event("cards"), event("create", &id, 201, &row));
    let rows = watcher.list("cards", json!({}));
    assert_eq!(ids(&rows), [1, 3, 4, 5, 6, 7]);
    assert_eq!(rows[0]["title"], "silent");
    assert_eq!(rows[0]["updated_at"], before[0]["updated_at"], "`update` does not touch it");
}

#[test]
fn write_held_before_its_commit_is_not_listed() {
    let (_server, mut watcher, mut writer) = start("live_hold_commit");
    let id = watcher.subscribe("cards", "subscribe_all", json!({}));
    let hold = json!({"name": "slow", "at": "commit", "model": "card", "pk": 1, "data": {"title": "held"}});
    assert_eq!(writer.data("controls", "hold", hold), json!({"held": "commit", "pk": 1}));
    assert_eq!(watcher.list("cards", json!({}))[0]["title"], "card 1");
    writer.data("controls", "release", json!({"name": "slow"}));
    let listed = watcher.list("cards", json!({}))[0].clone();
    assert_eq!(listed["title"], "held");
    assert_eq!(watcher.event("cards"), event("update", &id, 200, &listed));
}

#[test]
fn event_held_behind_its_commit_is_older_than_the_list() {
    let (_server, watcher, writer) = start("live_hold_event");
    hold_event(watcher, writer);
}

#[test]
fn event_held_behind_its_commit_on_uvicorn() {
    let server = Server::builder().kind(Kind::Uvicorn).start().unwrap();
    let (watcher, writer) = connect(&server, "live_hold_event_uvicorn");
    hold_event(watcher, writer);
}

/// The event is older than the list's row, and arrives after it.
fn hold_event(mut watcher: Socket, mut writer: Socket) {
    let id = watcher.subscribe("cards", "subscribe_all", json!({}));
    let hold = json!({"name": "late", "at": "event", "model": "card", "pk": 1, "data": {"title": "first"}});
    assert_eq!(writer.data("controls", "hold", hold), json!({"held": "event", "pk": 1}));
    let first = watcher.list("cards", json!({}))[0].clone();
    assert_eq!(first["title"], "first");

    let second = writer.data("cards", "patch", json!({"pk": 1, "data": {"title": "second"}}));
    assert_eq!(watcher.event("cards"), event("update", &id, 200, &second));
    assert_eq!(watcher.list("cards", json!({}))[0], second);
    writer.data("controls", "release", json!({"name": "late"}));
    assert_eq!(watcher.event("cards"), event("update", &id, 200, &first));
    assert!(first["updated_at"].as_str() < second["updated_at"].as_str());
    assert_eq!(watcher.list("cards", json!({}))[0], second);
}

/// An update that arrives behind the delete, and would bring the row back.
#[test]
fn event_held_behind_a_delete() {
    let (_server, mut watcher, mut writer) = start("live_hold_delete");
    let id = watcher.subscribe("cards", "subscribe_all", json!({}));
    let hold = json!({"name": "late", "at": "event", "model": "card", "pk": 1, "data": {"title": "ghost"}});
    writer.data("controls", "hold", hold);
    let ghost = watcher.list("cards", json!({}))[0].clone();
    writer.data("cards", "delete", json!({"pk": 1}));
    assert_eq!(watcher.event("cards"), event("delete", &id, 204, &ghost));
    writer.data("controls", "release", json!({"name": "late"}));
    assert_eq!(watcher.event("cards"), event("update", &id, 200, &ghost));
    assert_eq!(ids(&watcher.list("cards", json!({}))), [2, 3]);

    // A delete can be held too, and a create has no key before.
    let hold = json!({"name": "gone", "at": "event", "model": "card", "pk": 2, "delete": true});
    writer.data("controls", "hold", hold);
    assert_eq!(ids(&watcher.list("cards", json!({}))), [3]);
    let create = json!({"name": "new", "at": "event", "model": "card", "data": {"title": "new"}});
    let pk = writer.data("controls", "hold", create)["pk"].clone();
    writer.data("controls", "release", json!({"name": "new"}));
    assert_eq!(watcher.event("cards")["data"]["id"], pk);
    writer.data("controls", "release", json!({"name": "gone"}));
    assert_eq!(watcher.event("cards")["data"]["id"], 2);
}

#[test]
fn events_of_two_writers_in_the_opposite_order() {
    let (_server, mut watcher, mut writer) = start("live_reverse");
    watcher.subscribe("cards", "subscribe_all", json!({}));
    let both = json!({"model": "card", "pk": 1, "first": {"title": "a"}, "second": {"title": "b"}});
    writer.data("controls", "reverse", both);
    let newer = watcher.event("cards")["data"].clone();
    let older = watcher.event("cards")["data"].clone();
    assert_eq!((&newer["title"], &older["title"]), (&json!("b"), &json!("a")));
    assert!(older["updated_at"].as_str() < newer["updated_at"].as_str());
    assert_eq!(watcher.list("cards", json!({}))[0], newer, "the older event is stale for good");
}

#[test]
fn replaced_row_is_deleted_and_created() {
    let (_server, mut watcher, mut writer) = start("live_replace");
    let id = watcher.subscribe("cards", "subscribe_all", json!({}));
    let before = watcher.list("cards", json!({}))[0].clone();
    writer.data("controls", "replace", json!({"model": "card", "pk": 1, "data": {"title": "b"}}));
    assert_eq!(watcher.event("cards"), event("delete", &id, 204, &before));
    let row = watcher.list("cards", json!({}))[0].clone();
    assert_eq!(watcher.event("cards"), event("create", &id, 201, &row));
}

/// The list has read its rows when it waits, so the row that is created meanwhile is missing.
#[test]
fn held_list_is_older_than_the_event_behind_it() {
    let (_server, mut watcher, mut writer) = start("live_hold_list");
    let id = watcher.subscribe("cards", "subscribe_all", json!({}));
    writer.data("controls", "hold_list", json!({"name": "list", "model": "card"}));
    let list = watcher.send("cards", "list", json!({}));
    writer.data("controls", "reached", json!({"name": "list"}));
    let row = writer.data("cards", "create", json!({"data": {"title": "new"}}));
    writer.data("controls", "release", json!({"name": "list"}));
    let rows = watcher.reply(&list, "list");
    assert_eq!(ids(rows["data"].as_array().unwrap()), [1, 2, 3]);
    assert_eq!(watcher.event("cards"), event("create", &id, 201, &row));
    // Only the next list waits.
    assert_eq!(watcher.list("cards", json!({})).len(), 4);
}

#[test]
fn every_row_is_saved_in_every_round() {
    let server = Server::builder().env("DCRF_TEST_CAPACITY", "10000").start().unwrap();
    let (mut watcher, mut writer) = connect(&server, "live_save_all");
    let id = watcher.subscribe("cards", "subscribe_all", json!({}));
    writer.data("controls", "bulk_create", json!({"model": "card", "count": 17}));
    let saved = writer.data("controls", "save_all", json!({"model": "card", "rounds": 20}));
    assert_eq!(saved, json!({"saved": 400}));
    let mut events = |rounds: usize| {
        let mut last = Vec::new();
        for round in 1..=rounds {
            let payloads: Vec<_> = (1..=20).map(|_| watcher.event("cards")).collect();
            last = payloads.iter().map(|payload| payload["data"].clone()).collect();
            assert_eq!(ids(&last), (1..=20).collect::<Vec<_>>());
            assert!(last.iter().all(|row| row["title"] == format!("change {round}")));
            let expected: Vec<_> = last.iter().map(|row| event("update", &id, 200, row)).collect();
            assert_eq!(payloads, expected);
        }
        last
    };
    assert_eq!(events(20), writer.list("cards", json!({})));
    // The same events without the saves between.
    let sent = writer.data("controls", "flood", json!({"rounds": 30}));
    assert_eq!(sent, json!({"sent": 600}));
    assert_eq!(events(30), writer.list("cards", json!({})));
}

/// The flood's events are those of an ordinary save, for each subscription that gets them.
#[test]
fn flood_sends_the_events_of_a_save() {
    let (_server, mut watcher, mut writer) = start("live_flood");
    let ids = [(); 2].map(|()| watcher.subscribe("cards", "subscribe_all", json!({})));
    // Each subscription's event, without the time of the save.
    let mut events = || {
        let mut events = [(); 2].map(|()| watcher.event("cards"));
        events.sort_by_key(|event| event["request_id"].to_string());
        events.map(|mut event| (event["data"]["updated_at"].take().to_string(), event))
    };
    let patch = json!({"pk": 1, "data": {"title": "change 1"}});
    let mut row = writer.data("cards", "patch", patch);
    let saved = events();
    assert_eq!(saved[0].0, row["updated_at"].take().to_string());
    for (nth, id) in ids.iter().enumerate() {
        assert_eq!(saved[nth].1, event("update", id, 200, &row));
    }
    writer.data("controls", "flood", json!({"rounds": 1}));
    for ((saved_at, saved), (flooded_at, flooded)) in saved.into_iter().zip(events()) {
        assert_eq!(flooded, saved);
        assert_eq!(flooded_at.len(), saved_at.len());
        assert!(flooded_at > saved_at);
    }
}

/// While its stream is blocked, a connection keeps one event and the capacity of the channel layer.
#[test]
fn events_over_the_capacity_are_lost() {
    let server = Server::builder().env("DCRF_TEST_CAPACITY", "2").start().unwrap();
    let (mut watcher, mut writer) = connect(&server, "live_capacity");
    watcher.subscribe("cards", "subscribe_all", json!({}));
    writer.data("controls", "hold_list", json!({"name": "list", "model": "card"}));
    let list = watcher.send("cards", "list", json!({}));
    writer.data("controls", "reached", json!({"name": "list"}));
    for n in 1..=8 {
        writer.data("cards", "create", json!({"data": {"title": format!("new {n}")}}));
    }
    writer.data("controls", "release", json!({"name": "list"}));
    watcher.reply(&list, "list");
    let mut title = || watcher.event("cards")["data"]["title"].clone();
    assert_eq!([title(), title(), title()], ["new 1", "new 2", "new 3"]);
    writer.data("cards", "create", json!({"data": {"title": "last"}}));
    assert_eq!(title(), "last");
}

/// The second writer keeps the first one's title, and does not bring back a deleted row.
#[test]
fn update_waits_for_the_row_and_reads_it_again() {
    let (server, mut watcher, mut writer) = start("live_locked");
    let mut behind = |hold: Value, patches: usize| {
        writer.data("controls", "hold", hold);
        let patch = watcher.send("cards", "patch", json!({"pk": 1, "data": {}}));
        while server.journal().payloads("cards").count() < patches {
            std::thread::yield_now();
        }
        writer.data("controls", "release", json!({"name": "first"}));
        watcher.reply(&patch, "patch")
    };
    let mut hold = json!({"name": "first", "at": "commit", "model": "card", "pk": 1});
    hold["data"] = json!({"title": "first"});
    assert_eq!(behind(hold.clone(), 1)["data"]["title"], "first");
    hold["delete"] = true.into();
    assert_eq!(behind(hold, 2)["response_status"], 404);
    assert_eq!(ids(&writer.list("cards", json!({}))), [2, 3]);
}

/// How stories count the lists of one connection.
#[test]
fn journal_has_the_lists_of_each_connection() {
    let (server, mut watcher, mut writer) = start("live_journal");
    watcher.list("cards", json!({}));
    writer.list("cards", json!({}));
    writer.list("cards", json!({}));
    let journal = server.journal();
    let lists: Vec<_> = journal
        .connections("/ws/")
        .map(|connection| {
            let connection = journal.of(connection);
            connection.payloads("cards").filter(|payload| payload["action"] == "list").count()
        })
        .collect();
    assert_eq!(lists, [1, 2]);
}

#[test]
fn mistakes_get_error_replies() {
    let (_server, _, mut writer) = start("live_mistakes");
    for (action, arguments, status) in [
        ("bulk_create", json!({"model": "unicorn", "count": 1}), 404),
        ("replace", json!({"model": "card", "pk": 99, "data": {}}), 404),
        ("hold", json!({"name": "x", "at": "event", "model": "card", "pk": 99}), 404),
        ("hold", json!({"name": "x", "at": "noon", "model": "card", "pk": 1}), 400),
        ("release", json!({"name": "unknown"}), 404),
    ] {
        assert_eq!(writer.status("controls", action, arguments), status, "{action}");
    }
    // A hold ends by itself.
    let hold = json!({"name": "short", "at": "commit", "model": "card", "pk": 1, "seconds": 0});
    writer.data("controls", "hold", hold);
    writer.data("controls", "release", json!({"name": "short"}));
    assert_eq!(writer.list("cards", json!({})).len(), 3);
}

fn ids(rows: &[Value]) -> Vec<i64> {
    rows.iter().map(|row| row["id"].as_i64().expect("a key")).collect()
}
