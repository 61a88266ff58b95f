//! Builders of a server's frames, for tests that play a server frame by frame.

use serde_json::{Value, json};

/// The payload of a reply or an event.
///
/// ```
/// # use dcrf_proto::fake_server::frames;
/// # use serde_json::json;
/// let payload = frames::payload("create", 201, &json!([]), &json!({"pk": 1}), &json!("c1"));
/// assert_eq!(payload["response_status"], 201);
/// ```
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

/// The reply to `request`, a frame of a client. From status 400 on, its data is null, and `data` stands in its errors.
///
/// ```
/// # use dcrf_proto::fake_server::frames;
/// # use serde_json::json;
/// let request = json!({"stream": "tasks", "payload": {"action": "retrieve", "pk": 7, "request_id": "r1"}});
/// let reply = frames::reply(&request, 404, &json!("Not found"));
/// assert_eq!(reply["payload"]["errors"], json!(["Not found"]));
/// ```
pub fn reply(request: &Value, status: u16, data: &Value) -> Value {
    let action = request["payload"]["action"].as_str().unwrap_or_default();
    event(request, action, status, data)
}

/// An event of the subscription that `request` started. From status 400 on, its data is null, and `data` stands in its
/// errors.
///
/// ```
/// # use dcrf_proto::fake_server::frames;
/// # use serde_json::json;
/// let subscribe = json!({"stream": "tasks", "payload": {"action": "subscribe_instance", "pk": 7, "request_id": "s1"}});
/// let update = frames::event(&subscribe, "update", 200, &json!({"pk": 7, "title": "Paint"}));
/// assert_eq!(update["payload"]["request_id"], "s1");
/// ```
pub fn event(request: &Value, action: &str, status: u16, data: &Value) -> Value {
    let (errors, data) = match data {
        Value::Null if status < 400 => (json!([]), &Value::Null),
        data if status < 400 => (json!([]), data),
        Value::Array(errors) => (json!(errors), &Value::Null),
        error => (json!([error]), &Value::Null),
    };
    let id = &request["payload"]["request_id"];
    json!({"stream": request["stream"], "payload": payload(action, status, &errors, data, id)})
}
