//! The frames of a DCRF server, for the tests that play one. The adapters' tests include this file by its path: a crate
//! for it would be one more to publish, or a cycle.

#![allow(dead_code, reason = "each test binary uses a part of this module")]

use serde_json::{Value, json};

pub(crate) fn action_of(request: &Value) -> &str {
    request["payload"]["action"].as_str().expect("a frame with an action")
}

/// A reply to `request`. From status 400 on, it has an error.
pub(crate) fn reply(request: &Value, status: u16, data: &Value) -> Value {
    frame(request, action_of(request), status, data)
}

/// An event of the subscription that `request` started.
pub(crate) fn event(request: &Value, action: &str, data: &Value) -> Value {
    frame(request, action, 200, data)
}

/// A frame with the stream and request id of `request`, and any action. From status 400 on, it has an error.
pub(crate) fn frame(request: &Value, action: &str, status: u16, data: &Value) -> Value {
    let errors = if status < 400 { json!([]) } else { json!(["no"]) };
    frame_with_errors(request, action, status, &errors, data)
}

pub(crate) fn frame_with_errors(
    request: &Value,
    action: &str,
    status: u16,
    errors: &Value,
    data: &Value,
) -> Value {
    let id = &request["payload"]["request_id"];
    json!({"stream": request["stream"], "payload": payload(id, action, status, errors, data)})
}

pub(crate) fn payload(
    id: &Value,
    action: &str,
    status: u16,
    errors: &Value,
    data: &Value,
) -> Value {
    json!({
        "errors": errors, "data": data, "action": action,
        "response_status": status, "request_id": id,
    })
}
