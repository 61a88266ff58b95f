//! Typed resources.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::memory::Setup;
use dcrf_proto::client::{Client, Resource};
use dcrf_proto::{
    Change, Config, ConnectionError, ConnectionState, RejectReason, Request, RequestError,
    ResourceDescription, Subscribe, SubscriptionError,
};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Debug, PartialEq, Deserialize)]
struct Note {
    slug: String,
}

fn note(slug: &str) -> Note {
    Note { slug: slug.to_owned() }
}

fn notes(client: &Client) -> Resource<Note> {
    client.resource("notes").lookup_field("slug").list_arg("limit", 2).feed_action("subscribe_all")
}

/// The payloads that were sent, without their ids.
fn payloads(setup: &Setup) -> Vec<Value> {
    let payload = |frame: &Value| {
        let mut payload = frame["payload"].clone();
        payload.as_object_mut().unwrap().remove("request_id").unwrap();
        payload
    };
    setup.network().sent.iter().map(payload).collect()
}

#[test]
fn each_method_sends_its_action_and_decodes_the_reply() {
    let mut setup = Setup::connected();
    let notes = notes(setup.client());
    let data = json!({"slug": "a"});
    let mut list = pin!(notes.list());
    let mut retrieve = pin!(notes.retrieve("a"));
    let mut create = pin!(notes.create(&data));
    let mut update = pin!(notes.update("a", &data));
    let mut patch = pin!(notes.patch("a", &data));
    let mut delete = pin!(notes.delete("a"));
    let mut count = pin!(notes.action::<u32>("count", &json!({"done": true})));
    let mut pin = pin!(notes.action_on::<bool>("a", "pin", &()));
    // They are queued by the call.
    setup.settle();
    assert!(setup.network().sent.iter().all(|frame| frame["stream"] == "notes"));
    assert_eq!(
        payloads(&setup),
        [
            json!({"action": "list", "limit": 2}),
            json!({"action": "retrieve", "slug": "a"}),
            json!({"action": "create", "data": data}),
            json!({"action": "update", "slug": "a", "data": data}),
            json!({"action": "patch", "slug": "a", "data": data}),
            json!({"action": "delete", "slug": "a"}),
            json!({"action": "count", "done": true}),
            json!({"action": "pin", "slug": "a"}),
        ]
    );
    setup.reply(0, 200, &json!([{"slug": "a"}, {"slug": "b"}]));
    for index in 1..=4 {
        setup.reply(index, 200, &data);
    }
    setup.reply(5, 204, &Value::Null);
    setup.reply(6, 200, &json!(3));
    setup.reply(7, 200, &json!(true));
    assert_eq!(Setup::poll(list.as_mut()), Some(Ok(vec![note("a"), note("b")])));
    for reply in [retrieve.as_mut(), create.as_mut(), update.as_mut(), patch.as_mut()] {
        assert_eq!(Setup::poll(reply), Some(Ok(note("a"))));
    }
    assert_eq!(Setup::poll(delete.as_mut()), Some(Ok(())));
    assert_eq!(Setup::poll(count.as_mut()), Some(Ok(3)));
    assert_eq!(Setup::poll(pin.as_mut()), Some(Ok(true)));
}

#[test]
fn list_of_a_paginated_server_is_an_error() {
    let mut setup = Setup::connected();
    let notes: Resource<u32> = setup.client().resource("notes");
    for page in [
        json!({"count": 9, "results": [1, 2], "limit": 2, "offset": 0}),
        // The only page too, or the error came only once the list has grown.
        json!({"count": 2, "results": [1, 2], "limit": 2, "offset": 0}),
        json!({"count": 0, "results": [], "limit": 2, "offset": 0}),
        json!({"count": 9, "next": 2, "previous": null, "results": [1]}),
        json!({"next": "cD0y", "previous": null, "results": [1]}),
    ] {
        let mut list = pin!(notes.list());
        setup.settle();
        let sent = setup.network().sent.len() - 1;
        setup.reply(sent, 200, &page);
        let Some(Err(RequestError::Decode(error))) = Setup::poll(list.as_mut()) else {
            panic!("{page}")
        };
        assert_eq!(error.expected, "this is a page: use `all`");
    }
    // An object of the list that is wrong is no page.
    let mut list = pin!(notes.list());
    setup.settle();
    let sent = setup.network().sent.len() - 1;
    setup.reply(sent, 200, &json!([1, "a"]));
    let Some(Err(RequestError::Decode(error))) = Setup::poll(list.as_mut()) else { panic!() };
    assert!(!error.expected.contains("page"), "{error}");
}

#[test]
fn r12_all_reads_every_page() {
    let mut setup = Setup::connected();
    let mut all = notes(setup.client()).all();
    setup.settle();
    let page = |offset: u64, slugs: [&str; 2]| {
        let results = slugs.map(|slug| json!({"slug": slug}));
        json!({"count": 4, "results": results, "limit": 2, "offset": offset})
    };
    setup.reply(0, 200, &page(0, ["a", "b"]));
    assert_eq!(Setup::poll(all.next()), Some(Some(Ok(note("a")))));
    assert_eq!(all.total(), Some(4));
    assert_eq!(Setup::poll(all.next()), Some(Some(Ok(note("b")))));
    setup.settle();
    setup.reply(1, 200, &page(2, ["c", "d"]));
    assert_eq!(Setup::poll(all.next()), Some(Some(Ok(note("c")))));
    assert_eq!(Setup::poll(all.next()), Some(Some(Ok(note("d")))));
    assert_eq!(Setup::poll(all.next()), Some(None));
    assert_eq!(
        payloads(&setup),
        [json!({"action": "list", "limit": 2}), json!({"action": "list", "limit": 2, "offset": 2})]
    );
}

#[test]
fn subscriptions_decode_the_objects() {
    let mut setup = Setup::connected();
    let notes = notes(setup.client());
    let mut instance = pin!(notes.subscribe("a"));
    let mut feed = pin!(notes.feed());
    setup.settle();
    let expected =
        [json!({"action": "subscribe_instance", "slug": "a"}), json!({"action": "subscribe_all"})];
    assert_eq!(payloads(&setup), expected);
    setup.reply(0, 201, &Value::Null);
    setup.reply(1, 201, &Value::Null);
    for (subscribing, sent) in [(instance.as_mut(), 0), (feed.as_mut(), 1)] {
        let mut changes = Setup::poll(subscribing).unwrap().unwrap();
        setup.send_update(sent, &json!({"slug": "b"}));
        assert_eq!(Setup::poll(changes.next()), Some(Some(Ok(Change::Update(note("b"))))));
    }
}

#[test]
fn resource_without_a_feed_fails_at_once() {
    let setup = Setup::connected();
    let notes: Resource<Note> = setup.client().resource("notes");
    let Some(Err(SubscriptionError::Rejected(rejected))) = Setup::poll(notes.feed()) else {
        panic!("accepted")
    };
    assert!(matches!(rejected.reason, RejectReason::InvalidArgument { .. }));
}

#[test]
fn r7_missing_object_is_not_found() {
    let mut setup = Setup::connected();
    let mut missing = pin!(notes(setup.client()).retrieve("a"));
    setup.settle();
    setup.reply(0, 404, &Value::Null);
    let Some(Err(RequestError::ErrorReply(reply))) = Setup::poll(missing.as_mut()) else {
        panic!()
    };
    assert!(reply.is_not_found());
}

#[test]
fn with_changes_every_request_in_order() {
    let mut setup = Setup::connected();
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let plain = notes(setup.client());
    let changed = plain
        .with(|request| request.arg("a", 1).arg("b", 1))
        .with(move |request| {
            counted.fetch_add(1, Ordering::Relaxed);
            request.arg("b", 2)
        })
        .with_subscribe(|subscribe| subscribe.arg("c", 3));
    assert_eq!(calls.load(Ordering::Relaxed), 0);
    let data = json!({});
    let _replies = (
        (changed.list(), changed.all(), changed.delete("a")),
        (changed.retrieve("a"), changed.create(&data)),
        (changed.update("a", &data), changed.patch("a", &data)),
        (changed.action::<()>("count", &()), changed.action_on::<()>("a", "pin", &())),
    );
    setup.settle();
    assert_eq!(calls.load(Ordering::Relaxed), 9);
    let sent = payloads(&setup);
    assert_eq!(sent.len(), 9);
    for payload in sent {
        assert_eq!((&payload["a"], &payload["b"]), (&json!(1), &json!(2)), "{payload}");
        assert_eq!(payload["c"], Value::Null);
    }
    let _subscribing = (changed.subscribe("a"), changed.feed());
    let _plain = (plain.delete("b"), plain.subscribe("b"));
    setup.settle();
    let sent = payloads(&setup).split_off(9);
    let expected = [
        json!({"action": "subscribe_instance", "slug": "a", "c": 3}),
        json!({"action": "subscribe_all", "c": 3}),
        json!({"action": "subscribe_instance", "slug": "b"}),
        json!({"action": "delete", "slug": "b"}),
    ];
    for expected in &expected {
        assert!(sent.contains(expected), "{expected} is not in {sent:?}");
    }
    assert_eq!(sent.len(), 4);
}

#[test]
fn s6_refresh_of_a_feed_lists_with_the_arguments_of_the_resource() {
    let mut setup = Setup::connected();
    let notes = notes(setup.client())
        .with(|request| request.arg("a", 1))
        .with_subscribe(Subscribe::refresh);
    let mut feed = pin!(notes.feed());
    setup.settle();
    setup.reply(0, 201, &Value::Null);
    let list = json!({"action": "list", "limit": 2, "a": 1});
    assert_eq!(payloads(&setup), [json!({"action": "subscribe_all"}), list]);
    let mut feed = Setup::poll(feed.as_mut()).unwrap().unwrap();
    setup.reply(1, 200, &json!([{"slug": "a"}]));
    assert_eq!(Setup::poll(feed.next()), Some(Some(Ok(Change::Snapshot(vec![note("a")])))));
}

#[test]
fn r8_requests_and_subscriptions_can_have_ids() {
    let mut setup = Setup::connected();
    let notes = notes(setup.client());
    let first = notes.with(|request| request.id("note-a")).retrieve("a");
    let _second = notes.with_subscribe(|subscribe| subscribe.id(7)).subscribe("a");
    setup.settle();
    let mut ids: Vec<String> =
        setup.network().sent.iter().map(|f| f["payload"]["request_id"].to_string()).collect();
    ids.sort();
    assert_eq!(ids, [r#""note-a""#, "7"]);
    let again = notes.with(|request| request.id("note-a")).retrieve("a");
    let Some(Err(RequestError::Rejected(rejected))) = Setup::poll(again) else { panic!() };
    assert_eq!(rejected.reason, RejectReason::IdInUse);
    drop(first);
}

#[test]
fn r3_requests_can_have_timeouts() {
    let mut setup = Setup::connected();
    let notes = notes(setup.client()).with(|request| request.timeout(Duration::from_secs(2)));
    let mut list = pin!(notes.list());
    setup.settle();
    setup.advance(Duration::from_secs(1));
    assert_eq!(Setup::poll(list.as_mut()), None);
    setup.advance(Duration::from_secs(1));
    assert_eq!(Setup::poll(list.as_mut()), Some(Err(RequestError::TimedOut { sent: true })));
}

#[test]
fn fail_fast_rejects_offline_requests() {
    let mut setup = Setup::connected();
    let notes = notes(setup.client());
    setup.network().dial_errors.extend([const { ConnectionError::Dropped }; 9]);
    setup.disconnect(ConnectionError::Dropped);
    let fast = notes.with(Request::fail_fast);
    let Some(Err(RequestError::Rejected(rejected))) = Setup::poll(fast.delete("a")) else {
        panic!("it waits")
    };
    assert_eq!(rejected.reason, RejectReason::NotConnected);
    assert_eq!(Setup::poll(notes.delete("a")), None, "others wait");
}

#[test]
fn description_makes_plain_commands() {
    let mut setup = Setup::connected();
    let client = setup.client().clone();
    let described = ResourceDescription::new("notes").lookup_field("slug");
    let notes: Resource<Note> = client.resource_with(described.clone());
    assert_eq!(*notes.description(), described);
    let reply = client.call::<Value>(notes.with(|r| r.arg("a", 1)).description().retrieve("a"));
    setup.settle();
    assert_eq!(payloads(&setup), [json!({"action": "retrieve", "slug": "a"})]);
    drop(reply);
    assert_eq!(format!("{notes:?}"), r#"Resource("notes")"#);
}

#[test]
fn setters_change_their_own_value_only() {
    let setup = Setup::connected();
    let notes: Resource<Note> = setup.client().resource("notes");
    let feed = Subscribe::new("notes", "subscribe_team").arg("team", 1);
    let by_slug = notes.clone().lookup_field("slug").list_arg("limit", 2).pk_field("id");
    let by_slug = by_slug.feed_with(feed.clone());
    assert_eq!(*notes.description(), ResourceDescription::new("notes"));
    let expected = ResourceDescription::new("notes").lookup_field("slug").list_arg("limit", 2);
    assert_eq!(*by_slug.description(), expected.pk_field("id").feed_with(feed));
    let changed = notes.with(|request: Request| request.arg("a", 1)).lookup_field("slug");
    assert_eq!(changed.description().retrieve(1), Request::new("notes", "retrieve").arg("slug", 1));
}

#[test]
fn c2_resource_in_a_struct_keeps_the_client_alive() {
    struct App {
        notes: Resource<*const u8>,
    }
    fn shareable<T: Clone + Send + Sync + 'static>(value: &T) -> T {
        value.clone()
    }
    let mut setup = Setup::new(Config::default());
    let app = App { notes: setup.client().resource("notes") };
    // Also if the objects are neither.
    let clone = shareable(&app.notes);
    let mut watch = setup.client().watch_state();
    setup.client = None;
    setup.settle();
    assert_eq!(Setup::poll(watch.next()), Some(Some(ConnectionState::Connected)));
    drop(app);
    setup.settle();
    assert_eq!(Setup::poll(watch.next()), None, "a clone is left");
    let delete = clone.delete(7);
    setup.settle();
    assert_eq!(payloads(&setup), [json!({"action": "delete", "pk": 7})]);
    drop((clone, delete));
    setup.settle();
    let last = Setup::poll(watch.next());
    assert!(matches!(last, Some(Some(ConnectionState::Closed(_)))), "{last:?}");
}
