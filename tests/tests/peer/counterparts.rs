//! The usages of dcrf-client, done with our core: each does what the usage of its name in
//! `tests/peer/usages.mjs` or `tests/peer/hooks.mjs` does.

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

fn name_of(request: Request) -> Request {
    request.arg("data", json!({"fields": ["name"]}))
}

fn delete_unliked() -> Request {
    Request::delete("people", 4).arg("data", json!({"reason": "unliked"}))
}

fn greet() -> Request {
    Request::new("tools", "greet").arg("name", "Alex")
}

fn person(pk: u32) -> Subscribe {
    Subscribe::instance("people", pk)
}

fn asks(request: Request) -> Ours {
    Ours::connected().request(request)
}

pub(crate) const REQUESTS: &[(&str, Counterpart)] = &[
    ("list", || asks(Request::list("people"))),
    ("list_with_data", || asks(search())),
    ("list_with_id", || asks(search().id("people-1"))),
    ("create", || asks(create())),
    ("create_with_id", || asks(create().id("create-1"))),
    ("create_with_every_type", || {
        asks(Request::create(
            "people",
            &json!({
                "name": "Zoë 😀 \"\\", "age": null, "height": 1.5, "id": 9_007_199_254_740_991_u64,
                "tags": ["a", {"b": [true, false, {}]}],
            }),
        ))
    }),
    ("retrieve", || asks(Request::retrieve("people", 4))),
    ("retrieve_with_data", || asks(name_of(Request::retrieve("people", 4)))),
    ("retrieve_with_id", || asks(name_of(Request::retrieve("people", 4)).id("retrieve-1"))),
    ("retrieve_uuid", || asks(name_of(Request::retrieve("gadgets", GADGET)))),
    ("update", || asks(update())),
    ("update_with_id", || asks(update().id("update-1"))),
    ("patch", || asks(patch())),
    ("patch_with_id", || asks(patch().id("patch-1"))),
    ("delete", || asks(Request::delete("people", 4))),
    ("delete_with_data", || asks(delete_unliked())),
    ("delete_with_id", || asks(delete_unliked().id("delete-1"))),
    ("request", || asks(Request::with_payload("mystream", &json!({"key": "value"})))),
    ("request_with_action", || asks(greet())),
    ("request_with_id", || asks(greet().id("greet-1"))),
    ("request_with_number_as_id", || asks(greet().id(77))),
    ("requests_at_once", || asks(create()).request(patch()).request(greet())),
];

pub(crate) const OUTAGES: &[(&str, Counterpart)] = &[
    ("requests_before_connect", || Ours::idle().request(create()).request(patch()).opens()),
    ("requests_offline", || Ours::connected().loses().request(create()).request(patch()).returns()),
    ("create_unanswered_at_a_loss", || asks(create()).silent("create").reconnects()),
    ("list_unanswered_at_a_loss", || asks(search()).silent("list").reconnects()),
    ("create_client_and_initialize", || Ours::idle().request(create()).opens()),
    ("start_closed", || Ours::idle().request(create()).opens()),
];

pub(crate) const SUBSCRIPTIONS: &[(&str, Counterpart)] = &[
    ("subscribe", || Ours::connected().subscribe(person(1))),
    ("subscribe_with_id", || Ours::connected().subscribe(person(1).id("person-1"))),
    ("subscribe_uuid", || Ours::connected().subscribe(Subscribe::instance("gadgets", GADGET))),
    ("subscribe_two", || Ours::connected().subscribe(person(1)).settles().subscribe(person(2))),
    ("subscribe_same_twice", || {
        Ours::connected().subscribe(person(1)).settles().subscribe(person(1))
    }),
    ("pk_field", || {
        Ours::connected_with(|config| config.pk_field = "id".into()).subscribe(person(1))
    }),
    ("build_subscribe_payload_of_another_action", || {
        let subscribe = Subscribe::new("people", "subscribe_to_person").arg("person", 1);
        Ours::connected().subscribe(subscribe)
    }),
    ("cancel", || Ours::connected().subscribe(person(1)).settles().cancel(0)),
    ("cancel_at_once", || Ours::connected().subscribe(person(1)).cancel(0)),
    ("cancel_offline", || Ours::connected().subscribe(person(1)).loses().cancel(0).returns()),
    ("subscribe_before_connect", || Ours::idle().subscribe(person(1)).opens()),
    ("subscribe_offline", || Ours::connected().loses().subscribe(person(1)).returns()),
    ("subscribe_between_requests", || asks(create()).subscribe(person(1)).request(patch())),
    ("subscribe_between_requests_before_connect", || {
        Ours::idle().request(create()).subscribe(person(1)).request(patch()).opens()
    }),
    ("reconnect", || {
        let subscribed = Ours::connected().subscribe(person(2)).subscribe(person(1).id("person-1"));
        subscribed.reconnects().reconnects()
    }),
    ("reconnect_with_requests_offline", || {
        Ours::connected().subscribe(person(1)).loses().request(create()).returns()
    }),
    ("refused_subscribe_and_reconnect", || {
        let refusing = Ours::connected().refuses("subscribe_instance", 403);
        refusing.subscribe(person(1)).reconnects().reconnects()
    }),
    ("deleted_and_reconnect", || {
        let deleted = json!({"stream": "people", "payload": {
            "errors": [], "data": {"pk": 1}, "action": "delete",
            "response_status": 204, "request_id": "person-1",
        }});
        let subscribed = Ours::connected().subscribe(person(1).id("person-1"));
        let refusing = subscribed.says(&deleted).refuses("subscribe_instance", 404);
        refusing.reconnects().reconnects()
    }),
];

fn two_people() -> Ours {
    Ours::connected().subscribe(person(1)).settles().subscribe(person(2)).settles()
}

pub(crate) const ENDS: &[(&str, Counterpart)] = &[
    ("unsubscribe_all", || two_people().unsubscribe_all(2)),
    ("unsubscribe_all_and_reconnect", || two_people().unsubscribe_all(2).reconnects()),
    ("resubscribe", || {
        let one = Ours::connected().subscribe(person(1)).settles();
        one.subscribe(person(2).id("person-2")).settles().resubscribe()
    }),
    ("resubscribe_offline", || {
        Ours::connected().subscribe(person(1)).loses().resubscribe().returns()
    }),
    ("close", || Ours::connected().close()),
    ("close_with_a_subscription", || Ours::connected().subscribe(person(1)).settles().close()),
    ("close_without_unsubscribe", || Ours::connected().subscribe(person(1)).settles().close()),
    ("close_with_a_request_in_flight", || asks(create()).close()),
    ("close_offline", || {
        let offline = Ours::connected().subscribe(person(1)).loses();
        offline.request(create()).close().stays_away()
    }),
    ("readme", || {
        let asked = Ours::idle()
            .request(create())
            .request(Request::retrieve("people", 4))
            .request(update())
            .request(patch())
            .request(Request::delete("people", 4));
        asked.subscribe(person(1)).cancel(0).opens()
    }),
    ("build_multiplexed_message_bare", || {
        let bare = Ours::connected_with(|config| config.framing = Framing::Bare);
        bare.request(create()).settles().subscribe(person(1))
    }),
];
