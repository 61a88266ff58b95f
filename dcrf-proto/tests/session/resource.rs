//! The requests and subscriptions that a described resource makes.

use crate::conversation::{Conversation, json_of, secs};
use dcrf_proto::{
    Change, Pk, RejectReason, Request, ResourceDescription, Subscribe, SubscriptionError,
};
use serde_json::{Value, json};

fn notes() -> ResourceDescription {
    ResourceDescription::new("notes")
}

/// The payload of the frame that `request` sends, without its id.
fn payload_of(request: Request) -> Value {
    let mut c = Conversation::connected();
    c.request(request);
    payload(c.sent_one())
}

fn payload(mut frame: Value) -> Value {
    assert_eq!(frame["stream"], "notes");
    frame["payload"].as_object_mut().unwrap().remove("request_id").unwrap();
    frame["payload"].take()
}

/// The payloads of the subscribe, of the refresh if there is one, and of the unsubscribe.
fn payloads_of(subscribe: Subscribe) -> Vec<Value> {
    let mut c = Conversation::connected();
    let (key, frame) = c.subscribe_acked(subscribe);
    let mut frames = vec![frame];
    frames.extend(c.sent());
    c.unsubscribe(key);
    frames.extend(c.sent());
    frames.into_iter().map(payload).collect()
}

#[test]
fn each_action_names_the_object_by_the_lookup_field() {
    let data = json!({"text": "milk"});
    for (field, key) in [("pk", json!(7)), ("slug", json!("milk")), ("id", json!(7))] {
        let by = |mut payload: Value| {
            payload[field] = key.clone();
            payload
        };
        let notes = notes().lookup_field(field);
        for (request, expected) in [
            (notes.retrieve(&key), json!({"action": "retrieve"})),
            (notes.update(&key, &data), json!({"action": "update", "data": data})),
            (notes.patch(&key, &data), json!({"action": "patch", "data": data})),
            (notes.delete(&key), json!({"action": "delete"})),
            (notes.action_on(&key, "pin").arg("at", 1), json!({"action": "pin", "at": 1})),
        ] {
            assert_eq!(payload_of(request), by(expected));
        }
        for (request, expected) in [
            (notes.list(), json!({"action": "list"})),
            (notes.create(&data), json!({"action": "create", "data": data})),
            (notes.action("count"), json!({"action": "count"})),
        ] {
            assert_eq!(payload_of(request), expected);
        }
        let subscribe = json!({"action": "subscribe_instance"});
        let unsubscribe = json!({"action": "unsubscribe_instance"});
        let retrieve = json!({"action": "retrieve"});
        let (subscribe, unsubscribe, retrieve) = (by(subscribe), by(unsubscribe), by(retrieve));
        assert_eq!(payloads_of(notes.subscribe(&key)), [subscribe.clone(), unsubscribe.clone()]);
        let refreshed = notes.subscribe(&key).refresh();
        assert_eq!(payloads_of(refreshed), [subscribe, retrieve, unsubscribe]);
    }
}

#[test]
fn plain_resource_makes_the_same_commands_as_request_and_subscribe() {
    let data = json!({"text": "milk"});
    let notes = notes();
    assert_eq!(notes.list(), Request::list("notes"));
    assert_eq!(notes.retrieve(7), Request::retrieve("notes", 7));
    assert_eq!(notes.create(&data), Request::create("notes", &data));
    assert_eq!(notes.update(7, &data), Request::update("notes", 7, &data));
    assert_eq!(notes.patch(7, &data), Request::patch("notes", 7, &data));
    assert_eq!(notes.delete(7), Request::delete("notes", 7));
    assert_eq!(notes.subscribe(7), Subscribe::instance("notes", 7));
    assert_eq!(notes.stream(), "notes");
}

#[test]
fn r4_list_and_retrieve_of_a_resource_are_repeated_after_a_loss() {
    let mut c = Conversation::connected();
    let notes = notes().lookup_field("slug").list_arg("limit", 2);
    c.request(notes.list());
    c.request(notes.retrieve("milk"));
    c.request(notes.delete("milk"));
    assert_eq!(c.sent_actions(), ["list", "retrieve", "delete"]);
    c.reconnect();
    assert_eq!(c.sent_actions(), ["list", "retrieve"]);
}

#[test]
fn list_arguments_are_sent_with_each_list_and_nothing_else() {
    let notes = notes().list_arg("limit", 2).list_arg("done", false).list_arg("limit", 3);
    assert_eq!(payload_of(notes.list()), json!({"action": "list", "limit": 3, "done": false}));
    assert_eq!(payload_of(notes.retrieve(7)), json!({"action": "retrieve", "pk": 7}));
    assert_eq!(payload_of(notes.create(&())), json!({"action": "create", "data": null}));
}

#[test]
fn s13_feed_of_a_resource_delivers_creates() {
    let mut c = Conversation::connected();
    let (key, frame) = c.subscribe_acked(notes().feed_action("subscribe_all").feed());
    assert_eq!(payload(frame.clone()), json!({"action": "subscribe_all"}));
    c.event(&frame, "create", &json!(1));
    assert_eq!(c.changes(key), [Change::Create(json_of(&json!(1)))]);
    c.unsubscribe(key);
    assert_eq!(payload(c.sent_one()), json!({"action": "unsubscribe_all"}));
}

#[test]
fn s6_feed_is_refreshed_by_the_list_of_the_resource() {
    let notes = notes().list_arg("limit", 2).feed_action("subscribe_all");
    let list = json!({"action": "list", "limit": 2});
    let expected = [json!({"action": "subscribe_all"}), list, json!({"action": "unsubscribe_all"})];
    assert_eq!(payloads_of(notes.feed().refresh()), expected);
    // The list arguments may be described after the feed.
    let other = ResourceDescription::new("notes").feed_action("subscribe_all");
    assert_eq!(payloads_of(other.list_arg("limit", 2).feed().refresh()), expected);
    let newest = Request::new("notes", "newest");
    let twice = notes.feed().refresh_with(newest.clone()).refresh();
    assert_eq!(payloads_of(twice), expected);
    let refreshed = Subscribe::new("notes", "subscribe_all").refresh();
    assert_eq!(payloads_of(notes.clone().feed_with(refreshed).feed()), expected);
    // A refresh with a custom request stays so.
    let refreshed = notes.feed_with(Subscribe::new("notes", "subscribe_all").refresh_with(newest));
    assert_eq!(payloads_of(refreshed.feed())[1], json!({"action": "newest"}));
}

#[test]
fn feed_with_describes_arguments_names_and_acknowledgement() {
    let follow =
        Subscribe::new("notes", "follow").arg("team", "red").unsubscribe_action("unfollow");
    let feed = notes().feed_with(follow).feed();
    let expected = ["follow", "unfollow"].map(|action| json!({"action": action, "team": "red"}));
    assert_eq!(payloads_of(feed), expected);

    let mut c = Conversation::connected();
    let feed = Subscribe::new("notes", "subscribe_all").without_ack();
    let key = c.subscribe(notes().feed_with(feed).feed());
    let frame = c.sent_one();
    c.advance_alive(secs(60));
    c.event(&frame, "update", &json!(1));
    assert_eq!(c.changes(key), [Change::Update(json_of(&json!(1)))]);
}

#[test]
fn feed_can_be_on_another_stream() {
    let mut c = Conversation::connected();
    let notes = notes().feed_with(Subscribe::new("note_events", "subscribe_all"));
    let (_, frame) = c.subscribe_acked(notes.feed().refresh());
    assert_eq!(frame["stream"], "note_events");
    assert_eq!(payload(c.sent_one()), json!({"action": "list"}));
}

#[test]
fn resource_without_a_feed_rejects_the_subscription() {
    let mut c = Conversation::connected();
    let rejected = c.session.subscribe(notes().feed().refresh().arg("a", 1), c.now).unwrap_err();
    assert_eq!(rejected.to_string(), "argument `feed_action`: the resource describes no feed");
    assert!(matches!(rejected.reason, RejectReason::InvalidArgument { .. }));
    assert!(SubscriptionError::from(rejected).is_final());
    assert_eq!(c.sent(), [] as [Value; 0]);
}

#[test]
fn invalid_names_and_values_are_rejected() {
    let mut c = Conversation::connected();
    let not_json = std::collections::BTreeMap::from([((1, 2), 3)]);
    for request in [
        notes().lookup_field("request_id").retrieve(7),
        notes().list_arg("action", 1).list(),
        notes().list_arg("a", &not_json).list(),
        notes().retrieve(&not_json),
        notes().action("count").args(&7),
    ] {
        let rejected = c.session.request(request, c.now).unwrap_err();
        assert!(matches!(rejected.reason, RejectReason::InvalidArgument { .. }), "{rejected}");
    }
    assert_eq!(payload_of(notes().action("count").args(&())), json!({"action": "count"}));
}

#[test]
fn s10_deletes_have_the_key_field_of_the_resource() {
    let notes = notes().pk_field("id").feed_action("subscribe_all");
    let own = Subscribe::new("notes", "subscribe_all").pk_field("uid");
    for (subscribe, name) in [
        (notes.subscribe(7), "id"),
        (notes.feed(), "id"),
        (notes.clone().feed_with(own).feed(), "uid"),
    ] {
        let mut c = Conversation::connected();
        let (key, frame) = c.subscribe_acked(subscribe);
        c.event(&frame, "delete", &json!({"pk": 7}));
        let changes = c.changes(key);
        let [Change::Delete(deleted)] = &changes[..] else { panic!("{changes:?}") };
        assert_eq!(deleted.pk, Some(Pk::from(7)));
        assert_eq!(deleted.data.as_str(), format!(r#"{{"{name}":7}}"#));
    }
}

#[test]
fn x1_debug_of_a_resource_shows_no_values() {
    let feed = Subscribe::new("notes", "subscribe_team").arg("team", "SECRET");
    let notes = notes().list_arg("token", "SECRET").feed_with(feed);
    let shown = format!("{notes:?} {:?}", notes.feed());
    assert!(shown.contains("token") && !shown.contains("SECRET"), "{shown}");
}
