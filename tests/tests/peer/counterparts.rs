//! Our counterparts of dcrf-client's usages. `hooks.rs` has those that use a dialect or `send`.

use dcrf_proto::{Framing, Request, Subscribe};
use serde_json::json;

use crate::ours::Ours;

const GADGET: &str = "00000000-0000-0000-0000-000000000001";

pub(crate) type Counterpart = fn() -> Ours;

fn create() -> Request {
    Request::create("people", &json!({"name": "Alex"}))
}

fn patch() -> Request {
    Request::patch("people", 4, &json!({"name": "Jefe"}))
}

fn update() -> Request {
    Request::update("people", 4, &json!({"name": "Johannes", "address": "123 Easy St"}))
}

fn search() -> Request {
    Request::list("people").arg("data", json!({"search": "Al"}))
}

fn with_fields(request: Request) -> Request {
    request.arg("data", json!({"fields": ["name"]}))
}

fn delete_with_reason() -> Request {
    Request::delete("people", 4).arg("data", json!({"reason": "unliked"}))
}

fn greet() -> Request {
    Request::new("tools", "greet").arg("name", "Alex")
}

fn person(pk: u32) -> Subscribe {
    Subscribe::instance("people", pk)
}

fn request(request: Request) -> Ours {
    Ours::connected().request(request)
}

pub(crate) const REQUESTS: &[(&str, Counterpart)] = &[
    ("list", || request(Request::list("people"))),
    ("list_with_data", || request(search())),
    ("list_with_id", || request(search().id("people-1"))),
    ("create", || request(create())),
    ("create_with_id", || request(create().id("create-1"))),
    ("create_with_every_type", || {
        request(Request::create(
            "people",
            &json!({
                "name": "Zoë 😀 \"\\", "age": null, "height": 1.5, "id": 9_007_199_254_740_991_u64,
                "tags": ["a", {"b": [true, false, {}]}],
            }),
        ))
    }),
    ("retrieve", || request(Request::retrieve("people", 4))),
    ("retrieve_with_data", || request(with_fields(Request::retrieve("people", 4)))),
    ("retrieve_with_id", || request(with_fields(Request::retrieve("people", 4)).id("retrieve-1"))),
    ("retrieve_uuid", || request(with_fields(Request::retrieve("gadgets", GADGET)))),
    ("update", || request(update())),
    ("update_with_id", || request(update().id("update-1"))),
    ("patch", || request(patch())),
    ("patch_with_id", || request(patch().id("patch-1"))),
    ("delete", || request(Request::delete("people", 4))),
    ("delete_with_data", || request(delete_with_reason())),
    ("delete_with_id", || request(delete_with_reason().id("delete-1"))),
    ("request", || request(Request::with_payload("mystream", &json!({"key": "value"})))),
    ("request_with_action", || request(greet())),
    ("request_with_id", || request(greet().id("greet-1"))),
    ("request_with_number_as_id", || request(greet().id(77))),
    ("requests_at_once", || request(create()).request(patch()).request(greet())),
];

pub(crate) const OUTAGES: &[(&str, Counterpart)] = &[
    ("requests_before_connect", || Ours::idle().request(create()).request(patch()).open()),
    ("requests_offline", || {
        Ours::connected().go_offline().request(create()).request(patch()).go_online()
    }),
    ("create_unanswered_at_a_loss", || request(create()).leave_unanswered("create").reconnect()),
    ("list_unanswered_at_a_loss", || request(search()).leave_unanswered("list").reconnect()),
    ("create_client_and_initialize", || Ours::idle().request(create()).open()),
    ("start_closed", || Ours::idle().request(create()).open()),
];

pub(crate) const SUBSCRIPTIONS: &[(&str, Counterpart)] = &[
    ("subscribe", || Ours::connected().subscribe(person(1))),
    ("subscribe_with_id", || Ours::connected().subscribe(person(1).id("person-1"))),
    ("subscribe_uuid", || Ours::connected().subscribe(Subscribe::instance("gadgets", GADGET))),
    ("subscribe_two", || Ours::connected().subscribe(person(1)).settle().subscribe(person(2))),
    ("subscribe_same_twice", || {
        Ours::connected().subscribe(person(1)).settle().subscribe(person(1))
    }),
    ("pk_field", || {
        Ours::connected_with(|config| config.pk_field = "id".into()).subscribe(person(1))
    }),
    ("build_subscribe_payload_of_another_action", || {
        let subscribe = Subscribe::new("people", "subscribe_to_person").arg("person", 1);
        Ours::connected().subscribe(subscribe)
    }),
    ("cancel", || Ours::connected().subscribe(person(1)).settle().cancel(0)),
    ("cancel_at_once", || Ours::connected().subscribe(person(1)).cancel(0)),
    ("cancel_offline", || {
        Ours::connected().subscribe(person(1)).go_offline().cancel(0).go_online()
    }),
    ("subscribe_before_connect", || Ours::idle().subscribe(person(1)).open()),
    ("subscribe_offline", || Ours::connected().go_offline().subscribe(person(1)).go_online()),
    ("subscribe_between_requests", || request(create()).subscribe(person(1)).request(patch())),
    ("subscribe_between_requests_before_connect", || {
        Ours::idle().request(create()).subscribe(person(1)).request(patch()).open()
    }),
    ("reconnect", || {
        let subscribed = Ours::connected().subscribe(person(2)).subscribe(person(1).id("person-1"));
        subscribed.reconnect().reconnect()
    }),
    ("reconnect_with_requests_offline", || {
        Ours::connected().subscribe(person(1)).go_offline().request(create()).go_online()
    }),
    ("failed_subscribe_and_reconnect", || {
        let failing = Ours::connected().reply_with_error("subscribe_instance", 403);
        failing.subscribe(person(1)).reconnect().reconnect()
    }),
    ("deleted_and_reconnect", || {
        let delete = json!({"stream": "people", "payload": {
            "errors": [], "data": {"pk": 1}, "action": "delete",
            "response_status": 204, "request_id": "person-1",
        }});
        let subscribed = Ours::connected().subscribe(person(1).id("person-1"));
        let deleted = subscribed.receive(&delete).reply_with_error("subscribe_instance", 404);
        deleted.reconnect().reconnect()
    }),
];

fn two_people() -> Ours {
    Ours::connected().subscribe(person(1)).settle().subscribe(person(2)).settle()
}

pub(crate) const ENDS: &[(&str, Counterpart)] = &[
    ("unsubscribe_all", || two_people().unsubscribe_all(2)),
    ("unsubscribe_all_and_reconnect", || two_people().unsubscribe_all(2).reconnect()),
    ("resubscribe", || {
        let one = Ours::connected().subscribe(person(1)).settle();
        one.subscribe(person(2).id("person-2")).settle().resubscribe()
    }),
    ("resubscribe_offline", || {
        Ours::connected().subscribe(person(1)).go_offline().resubscribe().go_online()
    }),
    ("close", || Ours::connected().close()),
    ("close_with_a_subscription", || Ours::connected().subscribe(person(1)).settle().close()),
    ("close_without_unsubscribe", || Ours::connected().subscribe(person(1)).settle().close()),
    ("close_with_a_request_in_flight", || request(create()).close()),
    ("close_offline", || {
        let offline = Ours::connected().subscribe(person(1)).go_offline();
        offline.request(create()).close().assert_stays_closed()
    }),
    ("readme", || {
        let requests = Ours::idle()
            .request(create())
            .request(Request::retrieve("people", 4))
            .request(update())
            .request(patch())
            .request(Request::delete("people", 4));
        requests.subscribe(person(1)).cancel(0).open()
    }),
    ("build_multiplexed_message_bare", || {
        let bare = Ours::connected_with(|config| config.framing = Framing::Bare);
        bare.request(create()).settle().subscribe(person(1))
    }),
];
