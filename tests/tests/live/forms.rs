//! Feeds and instances: what each form sends.

use serde_json::{Value, json};

use crate::socket::event;
use crate::{connect_to_shared, start};

#[test]
fn feed_with_a_serializer_sends_the_rows_of_the_list() {
    let (mut watcher, mut writer) = connect_to_shared("live_cards");
    let id = watcher.subscribe("cards", "subscribe_all", json!({}));
    let rows = watcher.list("cards", json!({}));
    assert_eq!(titles(&rows), ["card 1", "card 2", "card 3"]);
    for row in &rows {
        // Always with six digits and in UTC, so that versions compare as text.
        assert_eq!(version(row).len(), "2026-01-02T03:04:05.000006Z".len());
        assert!(version(row).ends_with('Z'));
    }

    let created = writer.data("cards", "create", json!({"data": {"title": "new"}}));
    assert_eq!(watcher.event("cards"), event("create", &id, 201, &created));
    let pk = &created["id"];
    let patched = writer.data("cards", "patch", json!({"pk": pk, "data": {"title": "newer"}}));
    assert_eq!(watcher.event("cards"), event("update", &id, 200, &patched));
    assert!(version(&patched) > version(&created));
    assert_eq!(watcher.list("cards", json!({})).last(), Some(&patched));
    assert_eq!(writer.status("cards", "delete", json!({"pk": pk})), 204);
    assert_eq!(watcher.event("cards"), event("delete", &id, 204, &patched));
    let unsubscribe = json!({"request_id": id});
    assert_eq!(watcher.status("cards", "unsubscribe_all", unsubscribe), 204);
}

#[test]
fn feed_of_keys_sends_the_key_alone() {
    let (mut watcher, mut writer) = connect_to_shared("live_notes");
    let id = watcher.subscribe("notes", "subscribe_all", json!({}));
    let created = writer.data("notes", "create", json!({"data": {"title": "new"}}));
    let pk = &created["id"];
    let key = json!({"pk": pk});
    assert_eq!(watcher.event("notes"), event("create", &id, 200, &key));
    assert_eq!(watcher.data("notes", "retrieve", key.clone()), created);
    writer.data("notes", "patch", json!({"pk": pk, "data": {"title": "newer"}}));
    assert_eq!(watcher.event("notes"), event("update", &id, 200, &key));
    writer.data("notes", "delete", key.clone());
    assert_eq!(watcher.event("notes"), event("delete", &id, 200, &key));
    assert_eq!(watcher.status("notes", "retrieve", key), 404);
}

/// Neither stream replies to the subscribe, so a list behind it proves that it is live.
#[test]
fn feeds_of_the_documentation_have_no_data_and_no_reply() {
    let (mut watcher, mut writer) = connect_to_shared("live_posts");
    let id = watcher.send("posts", "subscribe_all", json!({}));
    assert_eq!(watcher.list("posts", json!({})).len(), 3);
    let created = writer.data("posts", "create", json!({"data": {"title": "new"}}));
    let message = json!({"pk": created["id"]});
    let documented = |action: &str| json!({"message": message, "action": action, "request_id": id});
    assert_eq!(watcher.event("posts"), documented("create"));
    writer.data("posts", "patch", json!({"pk": created["id"], "data": {"title": "newer"}}));
    assert_eq!(watcher.event("posts"), documented("update"));

    watcher.send("posts", "unsubscribe_all", json!({"request_id": id}));
    watcher.send("anonymous_posts", "subscribe_all", json!({}));
    assert_eq!(watcher.list("posts", json!({})).len(), 4);
    assert_eq!(watcher.list("anonymous_posts", json!({})).len(), 4);
    writer.data("posts", "delete", json!({"pk": created["id"]}));
    let anonymous = json!({"message": message, "action": "delete"});
    assert_eq!(watcher.event("anonymous_posts"), anonymous);
}

/// The delete comes first if one stream of a connection has both feeds, and both have the new row.
#[test]
fn row_that_moves_leaves_one_feed_and_enters_the_other() {
    let (mut watcher, mut writer) = connect_to_shared("live_issues");
    let first = watcher.subscribe("issues", "subscribe_project", json!({"project": 1}));
    let second = watcher.subscribe("issues", "subscribe_project", json!({"project": 2}));
    assert_eq!(titles(&watcher.list("issues", json!({"project": 1}))), ["issue 1", "issue 2"]);
    assert_eq!(titles(&watcher.list("issues", json!({"project": 2}))), ["issue 3", "issue 4"]);
    assert_eq!(watcher.list("issues", json!({})).len(), 4);

    let moved = writer.data("issues", "patch", json!({"pk": 1, "data": {"project": 2}}));
    assert_eq!(moved["project"], 2);
    assert_eq!(watcher.event("issues"), event("delete", &first, 204, &moved));
    assert_eq!(watcher.event("issues"), event("create", &second, 201, &moved));
    assert_eq!(watcher.status("issues", "retrieve", json!({"pk": 1, "project": 1})), 404);
    assert_eq!(watcher.data("issues", "retrieve", json!({"pk": 1, "project": 2})), moved);

    let renamed = writer.data("issues", "patch", json!({"pk": 1, "data": {"title": "moved"}}));
    assert_eq!(watcher.event("issues"), event("update", &second, 200, &renamed));

    // Without the old group there is no delete.
    let unloaded = json!({"model": "issue", "pk": 2, "data": {"project": 2, "title": "unloaded"}});
    writer.data("controls", "save_unloaded", unloaded);
    let row = watcher.data("issues", "retrieve", json!({"pk": 2}));
    assert_eq!(watcher.event("issues"), event("update", &second, 200, &row));
    assert_eq!(titles(&watcher.list("issues", json!({"project": 1}))), [""; 0]);
    let last = writer.data("issues", "create", json!({"data": {"project": 1, "title": "last"}}));
    assert_eq!(watcher.event("issues"), event("create", &first, 201, &last));
    let cancel = json!({"project": 2, "request_id": second});
    assert_eq!(watcher.status("issues", "unsubscribe_project", cancel), 204);
}

#[test]
fn instances_are_followed_without_a_feed() {
    let (mut watcher, mut writer) = connect_to_shared("live_sensors");
    assert_eq!(watcher.status("sensors", "subscribe_all", json!({})), 405);
    let id = watcher.subscribe("sensors", "subscribe_instance", json!({"pk": 1}));
    let patched = writer.data("sensors", "patch", json!({"pk": 1, "data": {"title": "warm"}}));
    assert_eq!(watcher.event("sensors"), event("update", &id, 200, &patched));
    writer.data("sensors", "delete", json!({"pk": 1}));
    assert_eq!(watcher.event("sensors"), event("delete", &id, 204, &json!({"pk": 1})));
}

#[test]
fn lookup_field_is_the_argument_of_all_actions_on_one_row() {
    let (mut watcher, mut writer) = connect_to_shared("live_articles");
    let feed = watcher.subscribe("articles", "subscribe_all", json!({}));
    let slug = json!({"slug": "article-1"});
    let row = watcher.data("articles", "retrieve", slug.clone());
    assert_eq!((&row["id"], &row["slug"]), (&json!(1), &json!("article-1")));
    let with = |data: Value| json!({"slug": "article-1", "data": data});

    // On a connection of its own, since the order of the two observers' events is arbitrary.
    let id = writer.subscribe("articles", "subscribe_instance", slug.clone());
    let patched = writer.data("articles", "patch", with(json!({"title": "patched"})));
    assert_eq!(watcher.event("articles"), event("update", &feed, 200, &patched));
    assert_eq!(writer.event("articles"), event("update", &id, 200, &patched));
    let full = json!({"title": "updated", "slug": "article-1"});
    let updated = writer.data("articles", "update", with(full));
    assert_eq!(watcher.event("articles"), event("update", &feed, 200, &updated));
    assert_eq!(writer.event("articles"), event("update", &id, 200, &updated));
    // The feed's delete has the slug, the instance's only the primary key.
    assert_eq!(writer.status("articles", "delete", slug.clone()), 204);
    assert_eq!(watcher.event("articles"), event("delete", &feed, 204, &updated));
    assert_eq!(writer.event("articles"), event("delete", &id, 204, &json!({"pk": 1})));
    assert_eq!(watcher.status("articles", "retrieve", slug), 404);
}

/// DCRF reads the changed instance by `pk`, and `get_object` has no such argument. A request without
/// the slug ends the connection too.
#[test]
fn lookup_field_alone_ends_the_connection_with_the_first_update() {
    let (_server, mut watcher, mut writer) = start("live_broken_articles");
    let slug = json!({"slug": "article-1"});
    watcher.subscribe("broken_articles", "subscribe_instance", slug);
    let change = json!({"slug": "article-1", "data": {"title": "patched"}});
    writer.data("broken_articles", "patch", change);
    watcher.closed();
    writer.send("articles", "retrieve", json!({}));
    writer.closed();
}

/// The text of a row's version.
fn version(row: &Value) -> &str {
    row["updated_at"].as_str().expect("a time")
}

fn titles(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|row| row["title"].as_str().expect("a title")).collect()
}
