//! Builders of a server's frames, for tests that play a server frame by frame.

use serde_json::{Value, json};

/// The action of a client's frame.
///
/// # Panics
///
/// If it has none.
pub fn action_of(request: &Value) -> &str {
    request["payload"]["action"].as_str().expect("a frame with an action")
}

/// The reply to `request`, a frame of a client. From status 400 on, it has an error.
///
/// ```
/// # use dcrf_proto::fake_server::frames;
/// # use serde_json::json;
/// let request = json!({"stream": "tasks", "payload": {"action": "retrieve", "pk": 7, "request_id": "r1"}});
/// let reply = frames::reply(&request, 200, &json!({"pk": 7, "title": "Paint"}));
/// assert_eq!(reply["payload"]["request_id"], "r1");
/// ```
pub fn reply(request: &Value, status: u16, data: &Value) -> Value {
    let errors = if status < 400 { json!([]) } else { json!(["A server error occurred."]) };
    frame(request, action_of(request), status, &errors, data)
}

/// An event of the subscription that `request` started, with status 200.
///
/// ```
/// # use dcrf_proto::fake_server::frames;
/// # use serde_json::json;
/// let subscribe = json!({"stream": "tasks", "payload": {"action": "subscribe_instance", "pk": 7, "request_id": "s1"}});
/// let update = frames::event(&subscribe, "update", &json!({"pk": 7, "title": "Paint"}));
/// assert_eq!(update["payload"]["action"], "update");
/// ```
pub fn event(request: &Value, action: &str, data: &Value) -> Value {
    frame(request, action, 200, &json!([]), data)
}

/// A frame with the stream and request id of `request`, and anything else.
pub fn frame(request: &Value, action: &str, status: u16, errors: &Value, data: &Value) -> Value {
    let id = &request["payload"]["request_id"];
    json!({"stream": request["stream"], "payload": payload(action, status, errors, data, id)})
}

/// The payload of a reply or an event.
pub fn payload(
    action: &str,
    status: u16,
    errors: &Value,
    data: &Value,
    request_id: &Value,
) -> Value {
    json!({
        "errors": errors, "data": data, "action": action,
        "response_status": status, "request_id": request_id,
    })
}
