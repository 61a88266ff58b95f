//! Lists in pages of each form.

use serde_json::{Value, json};

use crate::socket::event;
use crate::{connect_to_shared, start};

const ROWS: usize = 100;
const PAGE: usize = 20;

#[test]
fn pages_by_limit_and_offset() {
    let (mut reader, _) = connect_to_shared("live_entries_by_offset");
    let mut rows = 0;
    while rows < ROWS {
        let page = reader.data("entries_by_offset", "list", json!({"offset": rows}));
        assert_eq!(keys(&page), ["count", "limit", "offset", "results"]);
        let place = (&page["count"], &page["limit"], &page["offset"]);
        assert_eq!(place, (&json!(ROWS), &json!(PAGE), &json!(rows)));
        rows += check(&page, rows, PAGE);
    }
    let page = reader.data("entries_by_offset", "list", json!({"limit": 70, "offset": 60}));
    check(&page, 60, 40);
}

#[test]
fn pages_by_number() {
    let (mut reader, _) = connect_to_shared("live_entries_by_number");
    let mut next = json!(1);
    let mut rows = 0;
    while !next.is_null() {
        let page = reader.data("entries_by_number", "list", json!({"page": next}));
        assert_eq!(keys(&page), ["count", "next", "previous", "results"]);
        assert_eq!(page["count"], ROWS);
        let previous = next.as_u64().filter(|number| *number > 1).map(|number| number - 1);
        assert_eq!(page["previous"], json!(previous));
        rows += check(&page, rows, PAGE);
        next = page["next"].clone();
    }
    assert_eq!(rows, ROWS);
    let page = reader.data("entries_by_number", "list", json!({"page_size": 70}));
    assert_eq!((check(&page, 0, 70), &page["next"]), (70, &json!(2)));
    for page in [json!(6), json!(0), json!("x")] {
        assert_eq!(reader.status("entries_by_number", "list", json!({"page": page})), 404);
    }
}

#[test]
fn pages_by_cursor() {
    let (mut reader, _) = connect_to_shared("live_entries_by_cursor");
    let mut cursor = Value::Null;
    let mut rows = 0;
    loop {
        let page = reader.data("entries_by_cursor", "list", json!({"cursor": cursor}));
        assert_eq!(keys(&page), ["next", "previous", "results"]);
        rows += check(&page, rows, PAGE);
        cursor = page["next"].clone();
        let Some(text) = cursor.as_str() else { break };
        assert!(!text.contains('?'), "a cursor, and not a URL: {text}");
    }
    assert_eq!(rows, ROWS);
    let page = reader.data("entries_by_cursor", "list", json!({"page_size": 70}));
    check(&page, 0, 70);
    for cursor in [json!("not base64"), json!(7)] {
        assert_eq!(reader.status("entries_by_cursor", "list", json!({"cursor": cursor})), 404);
    }
}

/// Pages by offset have the same count after an insert and a delete; a cursor misses no row.
#[test]
fn rows_that_change_between_pages() {
    let (_server, mut reader, mut writer) = start("live_entries_changed");
    let first = reader.data("entries_by_offset", "list", json!({}));
    let cursor = reader.data("entries_by_cursor", "list", json!({}))["next"].clone();
    writer.data("controls", "raw_delete", json!({"model": "entry", "pks": [1]}));
    writer.data("controls", "bulk_create", json!({"model": "entry", "count": 1}));

    let second = reader.data("entries_by_offset", "list", json!({"offset": PAGE}));
    assert_eq!(first["count"], second["count"]);
    assert_eq!(second["results"][0]["title"], "entry 22", "entry 21 is in no page");
    let second = reader.data("entries_by_cursor", "list", json!({"cursor": cursor}));
    assert_eq!(second["results"][0]["title"], "entry 21");
}

#[test]
fn streams_of_pages_share_a_feed() {
    let (_server, mut watcher, mut writer) = start("live_entries_feed");
    let streams = ["entries_by_offset", "entries_by_number", "entries_by_cursor"];
    for stream in streams {
        let id = watcher.subscribe(stream, "subscribe_all", json!({}));
        for other in streams {
            let change = json!({"pk": 1, "data": {"title": other}});
            let row = writer.data(other, "patch", change);
            assert_eq!(watcher.event(stream), event("update", &id, 200, &row));
        }
        assert_eq!(watcher.status(stream, "unsubscribe_all", json!({"request_id": id})), 204);
    }
}

/// The names of a page's fields.
fn keys(page: &Value) -> Vec<&str> {
    let mut keys: Vec<_> = page.as_object().expect("a page").keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

/// Checks that a page has `count` rows, those after the first `rows`.
fn check(page: &Value, rows: usize, count: usize) -> usize {
    let results = page["results"].as_array().expect("rows");
    let titles: Vec<_> = results.iter().map(|row| row["title"].as_str().unwrap()).collect();
    let expected: Vec<_> = (rows + 1..=rows + count).map(|n| format!("entry {n}")).collect();
    assert_eq!(titles, expected);
    count
}
