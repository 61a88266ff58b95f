//! Where our core sends something else than dcrf-client does, on purpose.

use serde_json::{Value, json};

pub(crate) struct Difference {
    pub(crate) usage: &'static str,
    /// As it stands in `tests/peer/README.md`.
    pub(crate) reason: &'static str,
    /// What ours sends instead, on each connection.
    pub(crate) ours: fn() -> Value,
}

const NO_DATA: &str =
    "DCRF's `list`, `retrieve` and `delete` read no data, so none is sent unless it is given";
const REPEATED: &str = "a request that is safe to repeat is sent once more when its answer is lost with the \
    connection (R4); dcrf-client's promise stays pending for ever";
const UNSUBSCRIBED: &str = "the server is told, since it would go on sending the events (S9)";
const NEVER_SENT: &str = "what is cancelled before it is sent never reaches the wire (S9)";
const SHARED: &str = "equal subscriptions share one on the wire: unsubscribing one of two to an object \
    silences the other on the server (S2)";
const ONCE: &str = "each connection gets one subscribe; dcrf-client replays the one that also waits in its \
    queue (S1)";
const IN_FRONT: &str = "subscribes go before the requests that wait, so that no event of what these change is \
    missed (R1, S4)";
const REFUSED: &str =
    "what the server has refused is not asked for again on every connection (S3, S7)";
const WITH_ID: &str = "a message carries an id, so that an answer to it can be told from what the server pushes \
    (R10)";
const NOW_OR_NEVER: &str = "what is to be sent now is refused without a connection (R10)";
const HOOKS_ON_REPLAY: &str = "a replay goes through the hooks as the first subscribe did, so that a token in it \
    is fresh (S4)";
const HOOKS_ON_ALL: &str =
    "the hooks see all that is sent: also a replay (S4), and messages that await no answer";
const ALL_ENDED: &str = "all end, and the server is told: dcrf-client unsubscribes from every other one, and tells \
    nobody (S9, S12)";

pub(crate) const DIFFERENCES: &[Difference] = &[
    Difference {
        usage: "list",
        reason: NO_DATA,
        ours: || json!([{"sent": [to_people(&json!({"action": "list", "request_id": "id1"}))]}]),
    },
    Difference {
        usage: "retrieve",
        reason: NO_DATA,
        ours: || {
            let retrieve = json!({"action": "retrieve", "pk": 4, "request_id": "id1"});
            json!([{"sent": [to_people(&retrieve)]}])
        },
    },
    Difference {
        usage: "delete",
        reason: NO_DATA,
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
        reason: IN_FRONT,
        ours: || json!([{"sent": [subscribe("id1"), create("id2"), patch("id3")]}]),
    },
    Difference {
        usage: "subscribe_between_requests_before_connect",
        reason: IN_FRONT,
        ours: || json!([{"sent": [subscribe("id1"), create("id2"), patch("id3")]}]),
    },
    Difference {
        usage: "refused_subscribe_and_reconnect",
        reason: REFUSED,
        ours: || json!([{"sent": [subscribe("id1")]}, {"sent": []}, {"sent": []}]),
    },
    Difference {
        usage: "deleted_and_reconnect",
        reason: REFUSED,
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
        reason: NOW_OR_NEVER,
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
