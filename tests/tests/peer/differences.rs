//! The usages in which our core deliberately sends other frames than dcrf-client.

use serde_json::{Value, json};

pub(crate) struct Difference {
    pub(crate) usage: &'static str,
    /// The text in `tests/peer/README.md`.
    pub(crate) reason: &'static str,
    /// The frames that our core sends, for each connection.
    pub(crate) ours: fn() -> Value,
}

const IGNORED_DATA: &str = "DCRF ignores `data` in `list`, `retrieve` and `delete`, so it is sent only if the caller sets it";
const REPEATED: &str = "an idempotent request is sent once more if the connection is lost before its reply (R4); \
    dcrf-client's promise stays pending forever";
const UNSUBSCRIBED: &str = "without an unsubscribe the server would keep sending events (S9)";
const NEVER_SENT: &str = "a subscription that is cancelled before it is sent is never sent (S9)";
const SHARED: &str = "equal subscriptions share one upstream subscription, since unsubscribing one of two to the \
    same object silences the other (S2)";
const ONCE: &str =
    "each connection gets exactly one subscribe; dcrf-client sends a queued one twice (S1)";
const SUBSCRIBE_FIRST: &str = "subscribes are sent before queued requests, so that no event caused by these is \
    missed (R1, S4)";
const NOT_REPLAYED: &str = "a subscription that got an error reply is not replayed (S3, S7)";
const WITH_ID: &str = "a message has a request id, so that its reply can be distinguished from unsolicited \
    messages (R10)";
const SEND_NOW_REJECTED: &str = "`send_now` is rejected without a connection (R10)";
const HOOKS_ON_REPLAY: &str =
    "a replay calls the hooks again, so that a token in the payload is fresh (S4)";
const HOOKS_ON_ALL: &str =
    "the hooks see everything that is sent, including replays (S4) and messages without a reply";
const ALL_ENDED: &str = "all subscriptions end with an unsubscribe; dcrf-client removes only every second one, and \
    sends no unsubscribe (S9, S12)";

pub(crate) const DIFFERENCES: &[Difference] = &[
    Difference {
        usage: "list",
        reason: IGNORED_DATA,
        ours: || json!([{"sent": [to_people(&json!({"action": "list", "request_id": "id1"}))]}]),
    },
    Difference {
        usage: "retrieve",
        reason: IGNORED_DATA,
        ours: || {
            let retrieve = json!({"action": "retrieve", "pk": 4, "request_id": "id1"});
            json!([{"sent": [to_people(&retrieve)]}])
        },
    },
    Difference {
        usage: "delete",
        reason: IGNORED_DATA,
        ours: || {
            let delete = json!({"action": "delete", "pk": 4, "request_id": "id1"});
            json!([{"sent": [to_people(&delete)]}])
        },
    },
    Difference {
        usage: "list_unanswered_at_a_loss",
        reason: REPEATED,
        ours: || {
            let search = json!({"search": "Al"});
            let list = to_people(&json!({"action": "list", "data": search, "request_id": "id1"}));
            json!([{"sent": [list]}, {"sent": [list]}])
        },
    },
    Difference {
        usage: "cancel",
        reason: UNSUBSCRIBED,
        ours: || {
            let unsubscribe =
                json!({"action": "unsubscribe_instance", "pk": 1, "request_id": "id1"});
            json!([{"sent": [subscribe("id1"), to_people(&unsubscribe)]}])
        },
    },
    Difference { usage: "cancel_at_once", reason: NEVER_SENT, ours: || json!([{"sent": []}]) },
    Difference {
        usage: "readme",
        reason: NEVER_SENT,
        ours: || {
            let johannes = json!({"name": "Johannes", "address": "123 Easy St"});
            json!([{"sent": [
                create("id1"),
                to_people(&json!({"action": "retrieve", "pk": 4, "request_id": "id2"})),
                to_people(&json!({"action": "update", "pk": 4, "data": johannes, "request_id": "id3"})),
                patch("id4"),
                to_people(&json!({"action": "delete", "pk": 4, "request_id": "id5"})),
            ]}])
        },
    },
    Difference {
        usage: "subscribe_same_twice",
        reason: SHARED,
        ours: || json!([{"sent": [subscribe("id1")]}]),
    },
    Difference {
        usage: "subscribe_offline",
        reason: ONCE,
        ours: || json!([{"sent": []}, {"sent": [subscribe("id1")]}]),
    },
    Difference {
        usage: "subscribe_between_requests",
        reason: SUBSCRIBE_FIRST,
        ours: || json!([{"sent": [subscribe("id1"), create("id2"), patch("id3")]}]),
    },
    Difference {
        usage: "subscribe_between_requests_before_connect",
        reason: SUBSCRIBE_FIRST,
        ours: || json!([{"sent": [subscribe("id1"), create("id2"), patch("id3")]}]),
    },
    Difference {
        usage: "failed_subscribe_and_reconnect",
        reason: NOT_REPLAYED,
        ours: || json!([{"sent": [subscribe("id1")]}, {"sent": []}, {"sent": []}]),
    },
    Difference {
        usage: "deleted_and_reconnect",
        reason: NOT_REPLAYED,
        ours: || {
            let subscribe = subscribe("person-1");
            json!([{"sent": [subscribe]}, {"sent": [subscribe]}, {"sent": []}])
        },
    },
    Difference { usage: "send", reason: WITH_ID, ours: || json!([{"sent": [ping("id1")]}]) },
    Difference { usage: "send_now", reason: WITH_ID, ours: || json!([{"sent": [ping("id1")]}]) },
    Difference {
        usage: "send_offline",
        reason: WITH_ID,
        ours: || json!([{"sent": []}, {"sent": [create("id1"), ping("id2")]}]),
    },
    Difference {
        usage: "send_now_offline",
        reason: SEND_NOW_REJECTED,
        ours: || json!([{"sent": [subscribe("id1")]}, {"sent": [subscribe("id1"), create("id2")]}]),
    },
    Difference {
        usage: "preprocess_payload",
        reason: HOOKS_ON_REPLAY,
        ours: || {
            let with = |mut frame: Value, token: &str, id: &str| {
                frame["payload"]["token"] = format!("{token} for people").into();
                frame["payload"]["ref"] = id.into();
                frame
            };
            let create = with(create("id1"), "token-1", "id1");
            let subscribed = |token| with(subscribe("id2"), token, "id2");
            json!([{"sent": [create, subscribed("token-2")]}, {"sent": [subscribed("token-3")]}])
        },
    },
    Difference {
        usage: "preprocess_message",
        reason: HOOKS_ON_ALL,
        ours: || {
            let with = |mut frame: Value, token: &str| {
                frame["token"] = token.into();
                frame
            };
            let (create, subscribe) = (with(create("id1"), "token-1"), subscribe("id2"));
            let ping = with(ping("id3"), "token-3");
            json!([
                {"sent": [create, with(subscribe.clone(), "token-2"), ping]},
                {"sent": [with(subscribe, "token-4")]},
            ])
        },
    },
    Difference {
        usage: "build_subscribe_payload",
        reason: HOOKS_ON_REPLAY,
        ours: || {
            let subscribed = |token: &str| {
                let mut frame = subscribe("id1");
                frame["payload"]["token"] = token.into();
                frame
            };
            json!([{"sent": [subscribed("token-1")]}, {"sent": [subscribed("token-2")]}])
        },
    },
    Difference {
        usage: "unsubscribe_all",
        reason: ALL_ENDED,
        ours: || json!([{"sent": subscribed_and_unsubscribed()}]),
    },
    Difference {
        usage: "unsubscribe_all_and_reconnect",
        reason: ALL_ENDED,
        ours: || json!([{"sent": subscribed_and_unsubscribed()}, {"sent": []}]),
    },
    Difference {
        usage: "resubscribe_offline",
        reason: ONCE,
        ours: || json!([{"sent": [subscribe("id1")]}, {"sent": [subscribe("id1")]}]),
    },
];

fn to_people(payload: &Value) -> Value {
    json!({"stream": "people", "payload": payload})
}

fn subscribe(id: &str) -> Value {
    to_people(&json!({"action": "subscribe_instance", "pk": 1, "request_id": id}))
}

fn create(id: &str) -> Value {
    to_people(&json!({"action": "create", "data": {"name": "Alex"}, "request_id": id}))
}

fn patch(id: &str) -> Value {
    to_people(&json!({"action": "patch", "pk": 4, "data": {"name": "Jefe"}, "request_id": id}))
}

fn ping(id: &str) -> Value {
    json!({"stream": "tools", "payload": {"action": "ping", "request_id": id}})
}

fn subscribed_and_unsubscribed() -> Vec<Value> {
    let frames = ["subscribe_instance", "unsubscribe_instance"].map(|action| {
        [1, 2].map(|pk| {
            to_people(&json!({"action": action, "pk": pk, "request_id": format!("id{pk}")}))
        })
    });
    frames.concat()
}
